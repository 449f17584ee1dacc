// SPDX-License-Identifier: LGPL-2.1-or-later
// Stays with the program and tells what its processes have counted.
#ifndef SNAP_RUN_SUPERVISE_H
#define SNAP_RUN_SUPERVISE_H

#include <functional>
#include <snap.h>
#include <string>

namespace snaprun {

struct Counts;

// Runs the program, which returns only if it fails, in a child process, passes
// signals on to it, and waits for it and all its descendants, daemons too.
// The counts go to a file, or to standard error if output is empty.  Returns
// the exit status.  Throws std::system_error.
int supervise(const std::function<int()> &program, const std::string &output);

// A line.
std::string report(const Counts &counts);

// Lines, as those of snapcat(1).
std::string report(const snap_sock_stats &stats);

} // namespace snaprun

#endif
