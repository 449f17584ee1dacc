// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether this process has limited its own system calls.
#ifndef SNAP_RUN_SANDBOX_H
#define SNAP_RUN_SANDBOX_H

#include <atomic>

namespace snaprun {

// It, or one that it was forked from, has set up a filter of seccomp(2).  That
// may kill it for a family of sockets which it does not know.
extern std::atomic<unsigned int> sandboxed; // 0: not

} // namespace snaprun

#endif
