// SPDX-License-Identifier: LGPL-2.1-or-later
// Processor time of the threads of a process.
#ifndef SNAP_BENCH_THREADS_H
#define SNAP_BENCH_THREADS_H

#include <cstdint>
#include <map>
#include <string>

namespace snapbench {

// Nanoseconds by name; threads that have the same name together.
using ThreadTimes = std::map<std::string, std::uint64_t>;

// Nothing if there is no such process any more.  /proc may lie elsewhere.
ThreadTimes thread_times(const std::string &pid,
                         const std::string &proc = "/proc");

// On one line, "NANOSECONDS NAME;...": names have no semicolon.
std::string to_line(const ThreadTimes &times);
ThreadTimes from_line(const std::string &line);

} // namespace snapbench

#endif
