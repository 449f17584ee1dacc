// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.h"

#include <array>
#include <charconv>
#include <cmath>
#include <getopt.h>
#include <string>
#include <string_view>

namespace snaptrace {

namespace {

constexpr double interval_max = 3600; // seconds

template <typename T>
T number(const char *name, std::string_view text, T max) {
    const auto *end = text.data() + text.size();
    T value{};
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end || !(value > 0) ||
        value > max)
        throw UsageError(std::string(name) + ": '" + std::string(text) +
                         "' is no number above 0 and up to " +
                         std::to_string(static_cast<std::uint64_t>(max)));
    return value;
}

} // namespace

Options parse(int argc, char **argv) {
    static const std::array<option, 9> names{{
        {"interval", required_argument, nullptr, 'i'},
        {"count", required_argument, nullptr, 'n'},
        {"pid", required_argument, nullptr, 'p'},
        {"json", no_argument, nullptr, 'j'},
        {"histogram", no_argument, nullptr, 'H'},
        {"by-socket", no_argument, nullptr, 's'},
        {"help", no_argument, nullptr, 'h'},
        {"version", no_argument, nullptr, 'V'},
        {},
    }};
    Options o;
    optind = 0; // from the start, also when called again
    opterr = 0;
    for (int c = 0; (c = getopt_long(argc, argv, "+:i:n:p:jHshV", names.data(),
                                     nullptr)) != -1;) {
        switch (c) {
        case 'i': {
            const auto seconds = number("--interval", optarg, interval_max);
            o.interval = std::chrono::milliseconds(
                std::max(1L, std::lround(seconds * 1000)));
            break;
        }
        case 'n':
            o.count = number("--count", optarg, 1000000000U);
            break;
        case 'p':
            o.pid = number("--pid", optarg, std::uint32_t{1} << 22);
            break;
        case 'j':
            o.json = true;
            break;
        case 'H':
            o.histogram = true;
            break;
        case 's':
            o.by_socket = true;
            break;
        case 'h':
            o.help = true;
            return o;
        case 'V':
            o.version = true;
            return o;
        case ':':
            throw UsageError(std::string(argv[optind - 1]) +
                             " needs an argument");
        default:
            throw UsageError("unknown option " + std::string(argv[optind - 1]));
        }
    }
    if (optind < argc)
        throw UsageError("unexpected argument " + std::string(argv[optind]));
    return o;
}

const char *usage() {
    return "Usage: snaptrace [OPTION...]\n\n"
           "  -i, --interval SECONDS  between reports (1)\n"
           "  -n, --count N           end after so many reports\n"
           "  -p, --pid PID           this process only\n"
           "  -s, --by-socket         a line for each socket\n"
           "  -H, --histogram         time from send to doorbell\n"
           "  -j, --json              an object on a line for each report\n"
           "  -h, --help              this text\n"
           "  -V, --version           the version\n";
}

} // namespace snaptrace
