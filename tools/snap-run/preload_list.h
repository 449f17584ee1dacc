// SPDX-License-Identifier: LGPL-2.1-or-later
// The loader's list of libraries to preload, which child processes inherit.
#ifndef SNAP_RUN_PRELOAD_LIST_H
#define SNAP_RUN_PRELOAD_LIST_H

#include <string>

namespace snaprun {

// Puts a library of ours in front.  It is beside this program, as built, or
// in ../lib, as installed.  Throws std::runtime_error.
void preload(const std::string &library);

} // namespace snaprun

#endif
