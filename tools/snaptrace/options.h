// SPDX-License-Identifier: LGPL-2.1-or-later
// What snaptrace was asked to do.
#ifndef SNAPTRACE_OPTIONS_H
#define SNAPTRACE_OPTIONS_H

#include <chrono>
#include <cstdint>
#include <stdexcept>

namespace snaptrace {

struct Options {
    std::chrono::milliseconds interval{1000};
    unsigned int count = 0; // reports; zero: until interrupted
    std::uint32_t pid = 0;  // zero: all processes
    bool json = false;
    bool histogram = false;
    bool by_socket = false;
    bool help = false;
    bool version = false;
};

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

Options parse(int argc, char **argv);

const char *usage();

} // namespace snaptrace

#endif
