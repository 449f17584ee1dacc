// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <getopt.h>
#include <string_view>

namespace snaprun {

namespace {

// Whole pages: "64M" and the like.
std::uint64_t bytes(const char *name, std::string_view text) {
    constexpr std::uint64_t page = 4096;
    constexpr std::uint64_t most = std::uint64_t{1} << 40;
    constexpr std::string_view units = "kmg";
    const char *const end = text.data() + text.size();
    std::uint64_t value = 0;
    auto [rest, error] = std::from_chars(text.data(), end, value);
    unsigned int shift = 0;
    if (error == std::errc() && end - rest == 1) {
        const auto unit = units.find(static_cast<char>(*rest | 0x20));
        if (unit != std::string_view::npos) {
            shift = 10 * (static_cast<unsigned int>(unit) + 1);
            rest = end;
        }
    }
    if (error != std::errc() || rest != end || value == 0 ||
        value > most >> shift)
        throw UsageError(std::string(name) + " wants a size, not '" +
                         std::string(text) + "'");
    return ((value << shift) + page - 1) / page * page;
}

} // namespace

Options parse(int argc, char **argv) {
    static const std::array<option, 7> names{{
        {"heap", required_argument, nullptr, 'H'},
        {"aligned", no_argument, nullptr, 'A'},
        {"count", no_argument, nullptr, 'c'},
        {"output", required_argument, nullptr, 'o'},
        {"help", no_argument, nullptr, 'h'},
        {"version", no_argument, nullptr, 'V'},
        {},
    }};
    Options o;
    optind = 0; // from the start, also when called again
    opterr = 0;
    for (int c = 0; (c = getopt_long(argc, argv, "+:H:Aco:hV", names.data(),
                                     nullptr)) != -1;) {
        const std::string word = argv[std::max(1, optind - 1)];
        switch (c) {
        case 'H':
            o.heap = bytes("--heap", optarg);
            break;
        case 'A':
            o.aligned = true;
            break;
        case 'c':
            o.count = true;
            break;
        case 'o':
            o.count = true;
            o.output = optarg;
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
    if (o.aligned && o.heap == 0)
        throw UsageError("--aligned goes with --heap");
    if (optind == argc)
        throw UsageError("no program to run");
    o.argv = argv + optind;
    return o;
}

const char *usage() {
    return "Usage: snap-run [OPTION...] [--] PROGRAM [ARGUMENT...]\n\n"
           "  -H, --heap=SIZE    large allocations in a region, of that size\n"
           "                     in each process (k, M, G)\n"
           "  -A, --aligned      those for O_DIRECT as well, which copies "
           "them\n"
           "  -c, --count        at the end, tell how many sockets are "
           "AF_SNAP,\n"
           "                     and what went by reference or by copy\n"
           "  -o, --output=FILE  the same, into FILE\n"
           "  -h, --help         this text\n"
           "  -V, --version      the version\n\n"
           "Exit codes: PROGRAM's, 128 and more if a signal ended it, 125 if\n"
           "snap-run fails, 126 if PROGRAM cannot be run this way, 127 if it\n"
           "is not there.\n";
}

} // namespace snaprun
