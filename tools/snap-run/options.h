// SPDX-License-Identifier: LGPL-2.1-or-later
// What snap-run was asked to do.
#ifndef SNAP_RUN_OPTIONS_H
#define SNAP_RUN_OPTIONS_H

#include <cstdint>
#include <stdexcept>
#include <string>

namespace snaprun {

// Exit codes of snap-run itself, as env(1) has them; else those of PROGRAM.
enum Exit {
    exit_ok = 0,
    exit_failed = 125,     // wrong usage, or a system call failed
    exit_unusable = 126,   // PROGRAM is there, but cannot be run this way
    exit_not_found = 127,  // there is no PROGRAM
    exit_signal_base = 128 // PROGRAM was killed: plus the signal
};

struct Options {
    bool help = false;
    bool version = false;
    bool count = false;     // tell at the end how many sockets there were
    std::string output;     // a file for that; empty: standard error
    std::uint64_t heap = 0; // bytes of the region of each process; 0: none
    bool aligned = false;   // those with a large alignment, too
    char **argv = nullptr;  // PROGRAM and its arguments
};

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws UsageError.  Options end where PROGRAM begins.
Options parse(int argc, char **argv);

const char *usage();

} // namespace snaprun

#endif
