// SPDX-License-Identifier: LGPL-2.1-or-later
// What snap-bench was asked to do.
#ifndef SNAP_BENCH_OPTIONS_H
#define SNAP_BENCH_OPTIONS_H

#include "measure.h"
#include "session.h"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace snapbench {

// Exit codes, as in snap-bench(1).
enum Exit { exit_ok = 0, exit_failed = 1, exit_usage = 2 };

enum class Command { help, version, list, run, serve };

struct Options {
    Command command = Command::help;
    std::uint16_t port = default_port;
    Plan plan;
    std::string json;               // file that run leaves results in
    std::vector<std::string> rows;  // patterns of run and list; none: all
    std::string listen = "0.0.0.0"; // of serve, an IPv4 address
    std::string pid_file;           // of serve
};

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws UsageError.
Options parse(int argc, char **argv);

const char *usage();

} // namespace snapbench

#endif
