// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <getopt.h>
#include <string_view>

namespace snapbench {

namespace {

template <typename T>
T number(const char *name, std::string_view text, T max) {
    const auto *end = text.data() + text.size();
    T value{};
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end || value == 0 ||
        value > max)
        throw UsageError(std::string(name) + " wants a number from 1 to " +
                         std::to_string(max) + ", not '" + std::string(text) +
                         "'");
    return value;
}

} // namespace

Options parse(int argc, char **argv) {
    static const std::array<option, 6> names{{
        {"size", required_argument, nullptr, 's'},
        {"count", required_argument, nullptr, 'n'},
        {"keep", no_argument, nullptr, 'k'},
        {"help", no_argument, nullptr, 'h'},
        {"version", no_argument, nullptr, 'V'},
        {},
    }};
    Options o;
    opterr = 0;
    for (int c = 0; (c = getopt_long(argc, argv, ":s:n:khV", names.data(),
                                     nullptr)) != -1;) {
        const std::string word = argv[std::max(1, optind - 1)];
        switch (c) {
        case 's':
            o.size = number("--size", optarg, size_max);
            break;
        case 'n':
            o.count = number("--count", optarg, 100000000U);
            if (o.count % rounds != 0)
                throw UsageError("--count wants a multiple of " +
                                 std::to_string(rounds));
            break;
        case 'k':
            o.rewrite = false;
            break;
        case 'h':
            o.help = true;
            return o;
        case 'V':
            o.version = true;
            return o;
        case ':':
            throw UsageError("option " + word + " wants a value");
        default:
            throw UsageError("unknown option " + word);
        }
    }
    if (optind < argc)
        o.host = argv[optind++];
    if (optind < argc)
        o.port = number<std::uint16_t>("PORT", argv[optind++], 65535);
    if (optind < argc)
        throw UsageError(std::string("unexpected argument ") + argv[optind]);
    return o;
}

const char *usage() {
    return "Usage: snap-bench [OPTION...] [HOST [PORT]]\n\n"
           "  -s, --size=BYTES      of each datagram (60000)\n"
           "  -n, --count=MESSAGES  of each sender, a multiple of 10 (10000)\n"
           "  -k, --keep            the buffer as it is between sends\n"
           "  -h, --help            this text\n"
           "  -V, --version         the version\n\n"
           "HOST is an IPv4 address that discards (10.77.0.1), PORT 7009.\n"
           "Exit codes: 0 measured, 1 a call failed, 2 usage.\n";
}

} // namespace snapbench
