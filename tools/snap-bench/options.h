// SPDX-License-Identifier: LGPL-2.1-or-later
// What snap-bench was asked to do.
#ifndef SNAP_BENCH_OPTIONS_H
#define SNAP_BENCH_OPTIONS_H

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace snapbench {

// Exit codes, as in snap-bench(1).
enum Exit { exit_ok = 0, exit_failed = 1, exit_usage = 2 };

constexpr std::size_t size_max = 65507; // what UDP over IPv4 carries
constexpr unsigned rounds = 10;         // alternating, against drift

struct Options {
    bool help = false;
    bool version = false;
    std::string host = "10.77.0.1";
    std::uint16_t port = 7009;
    std::size_t size = 60000;
    unsigned count = 10000; // of each sender, in all rounds together
    bool rewrite = true;
};

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws UsageError.
Options parse(int argc, char **argv);

const char *usage();

} // namespace snapbench

#endif
