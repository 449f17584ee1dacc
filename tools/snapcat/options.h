// SPDX-License-Identifier: LGPL-2.1-or-later
// What snapcat was asked to do.
#ifndef SNAPCAT_OPTIONS_H
#define SNAPCAT_OPTIONS_H

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace snapcat {

// Exit codes, as in snapcat(1).
enum Exit { exit_ok = 0, exit_failed = 1, exit_usage = 2, exit_missing = 3 };

enum class Memory { automatic, region, plain };

struct Options {
    enum class Action { transfer, help, version };

    Action action = Action::transfer;
    int family = AF_UNSPEC;
    bool inet = false; // AF_INET and AF_INET6 instead of AF_SNAP
    bool listen = false;
    bool keep = false; // listen to everybody, not to the first peer only
    bool verbose = false;
    bool fill = false;     // fill each datagram before it is sent
    bool view = false;     // receive without a copy
    bool end_mark = false; // an empty datagram is the end of the data
    Memory memory = Memory::automatic;
    std::size_t bytes = 1400;          // of a datagram, at most
    std::uint64_t count = 0;           // datagrams; 0: no limit
    std::uint64_t rate = 0;            // bytes per second; 0: no limit
    std::chrono::milliseconds wait{0}; // 0: for ever
    int copybreak = -1;                // bytes; -1: as it is
    int receive_buffer = 0;            // bytes; 0: as it is
    std::string source, source_port;   // local address
    std::string host, port;            // remote, or local with listen
};

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws UsageError.
Options parse(int argc, char **argv);

// "123", "60k", "16M", "1G" (powers of 1024) within [low, high]; throws
// UsageError with the option's name.
std::uint64_t parse_number(const char *name, std::string_view text,
                           std::uint64_t low, std::uint64_t high);

std::string usage();

} // namespace snapcat

#endif
