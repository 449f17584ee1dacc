// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <getopt.h>
#include <vector>

namespace snapcat {

namespace {

// The largest payload of UDP over IPv4; IPv6 takes it as well.
constexpr std::uint64_t datagram_max = 65507;

enum Long {
    long_no_region = 256,
    long_inet,
    long_rate,
    long_rcvbuf,
    long_copybreak,
    long_view
};

struct Switch {
    int key; // a character, or one of Long
    const char *name;
    const char *argument; // nullptr: none
    const char *help;
    void (*set)(Options &, const char *);
};

// Every option once: parser, short options and usage() are made from this.
constexpr std::array switches{
    Switch{'4', "ipv4", nullptr, "use IPv4",
           [](Options &o, const char *) { o.family = AF_INET; }},
    Switch{'6', "ipv6", nullptr, "use IPv6",
           [](Options &o, const char *) { o.family = AF_INET6; }},
    Switch{'l', "listen", nullptr, "receive instead of connecting",
           [](Options &o, const char *) { o.listen = true; }},
    Switch{'u', "udp", nullptr, "datagrams: the default and all there is",
           [](Options &, const char *) {}},
    Switch{'v', "verbose", nullptr, "report on standard error at the end",
           [](Options &o, const char *) { o.verbose = true; }},
    Switch{'k', "keep-open", nullptr, "with -l: receive from everybody",
           [](Options &o, const char *) { o.keep = true; }},
    Switch{'s', "source", "ADDRESS", "local address",
           [](Options &o, const char *a) { o.source = a; }},
    Switch{'p', "port", "PORT", "local port",
           [](Options &o, const char *a) { o.source_port = a; }},
    Switch{'b', "bytes", "BYTES", "of each datagram sent (1400)",
           [](Options &o, const char *a) {
               o.bytes = parse_number("-b", a, 1, datagram_max);
           }},
    Switch{'f', "fill", nullptr, "fill a datagram before sending it",
           [](Options &o, const char *) { o.fill = true; }},
    Switch{'n', "count", "COUNT", "stop after so many datagrams",
           [](Options &o, const char *a) {
               o.count = parse_number("-n", a, 1, UINT64_MAX);
           }},
    Switch{'w', "wait", "SECONDS", "stop after this long without a datagram",
           [](Options &o, const char *a) {
               o.wait = std::chrono::seconds(parse_number("-w", a, 1, 1000000));
           }},
    Switch{'z', "end-mark", nullptr, "an empty datagram ends the data",
           [](Options &o, const char *) { o.end_mark = true; }},
    Switch{'r', "region", nullptr, "send from a region, or fail",
           [](Options &o, const char *) { o.memory = Memory::region; }},
    Switch{long_no_region, "no-region", nullptr, "send from plain memory",
           [](Options &o, const char *) { o.memory = Memory::plain; }},
    Switch{long_inet, "inet", nullptr, "plain UDP sockets, to compare",
           [](Options &o, const char *) { o.inet = true; }},
    Switch{long_rate, "rate", "BYTES", "send at most so many per second",
           [](Options &o, const char *a) {
               o.rate = parse_number("--rate", a, 1, 1ULL << 40);
           }},
    Switch{long_rcvbuf, "rcvbuf", "BYTES", "size of the receive buffer",
           [](Options &o, const char *a) {
               o.receive_buffer = static_cast<int>(
                   parse_number("--rcvbuf", a, 1, INT_MAX / 2));
           }},
    Switch{long_copybreak, "copybreak", "BYTES", "copy shorter datagrams",
           [](Options &o, const char *a) {
               o.copybreak =
                   static_cast<int>(parse_number("--copybreak", a, 0, INT_MAX));
           }},
    Switch{long_view, "view", nullptr, "receive by view: without a copy",
           [](Options &o, const char *) { o.view = true; }},
    Switch{'h', "help", nullptr, "this text",
           [](Options &o, const char *) { o.action = Options::Action::help; }},
    Switch{
        'V', "version", nullptr, "the version",
        [](Options &o, const char *) { o.action = Options::Action::version; }},
};

bool has_letter(const Switch &s) {
    return s.key < long_no_region;
}

std::string short_options() {
    std::string text = ":";
    for (const auto &s : switches)
        if (has_letter(s))
            text.append(1, static_cast<char>(s.key))
                .append(s.argument != nullptr ? ":" : "");
    return text;
}

std::vector<option> long_options() {
    std::vector<option> table;
    table.reserve(switches.size() + 1);
    for (const auto &s : switches)
        table.push_back(
            {s.name, s.argument != nullptr ? required_argument : no_argument,
             nullptr, s.key});
    table.push_back({});
    return table;
}

// What is left when the options are gone: [host] port.
void set_names(Options &options, int argc, char **argv) {
    const int words = argc - optind;
    if (words > 2)
        throw UsageError("too many arguments");
    if (options.listen) {
        if (words == 2)
            options.host = argv[optind];
        if (words >= 1)
            options.port = argv[argc - 1];
        if (!options.source.empty() && !options.host.empty())
            throw UsageError("two local addresses");
        if (!options.source_port.empty() && !options.port.empty())
            throw UsageError("two local ports");
        if (options.host.empty())
            options.host = options.source;
        if (options.port.empty())
            options.port = options.source_port;
        if (options.port.empty())
            throw UsageError("no port to listen on");
    } else {
        if (words != 2)
            throw UsageError("host and port are needed");
        options.host = argv[optind];
        options.port = argv[optind + 1];
    }
}

} // namespace

std::uint64_t parse_number(const char *name, std::string_view text,
                           std::uint64_t low, std::uint64_t high) {
    std::uint64_t value = 0;
    const char *end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data(), end, value);
    unsigned int shift = 0;
    if (error == std::errc() && end - rest == 1) {
        constexpr std::string_view units = "kmg";
        const auto unit = units.find(static_cast<char>(*rest | 0x20));
        if (unit != std::string_view::npos) {
            shift = 10 * (static_cast<unsigned int>(unit) + 1);
            rest = end;
        }
    }
    if (error != std::errc() || rest != end || value > (UINT64_MAX >> shift) ||
        value << shift < low || value << shift > high)
        throw UsageError(std::string(name) + " wants a number from " +
                         std::to_string(low) + " to " + std::to_string(high) +
                         ", not '" + std::string(text) + "'");
    return value << shift;
}

Options parse(int argc, char **argv) {
    Options options;
    const auto letters = short_options();
    const auto table = long_options();
    optind = 0; // starts getopt afresh, also for tests
    opterr = 0;
    for (;;) {
        const int got =
            getopt_long(argc, argv, letters.c_str(), table.data(), nullptr);
        if (got == -1)
            break;
        const auto found =
            std::find_if(switches.begin(), switches.end(),
                         [&](const auto &s) { return s.key == got; });
        const std::string word = argv[std::max(1, optind - 1)];
        if (got == ':')
            throw UsageError("option " + word + " wants a value");
        if (found == switches.end())
            throw UsageError("unknown option " + word);
        found->set(options, optarg);
        if (options.action != Options::Action::transfer)
            return options;
    }
    set_names(options, argc, argv);
    if (options.keep && !options.listen)
        throw UsageError("-k goes with -l");
    if (options.inet && options.copybreak >= 0)
        throw UsageError("--copybreak does not go with --inet");
    if (options.inet && options.view)
        throw UsageError("--view does not go with --inet");
    return options;
}

std::string usage() {
    std::string text = "Usage: snapcat [OPTION...] HOST PORT\n"
                       "       snapcat -l [OPTION...] [ADDRESS] PORT\n\n";
    for (const auto &s : switches) {
        std::string line = "  ";
        if (has_letter(s))
            line.append("-").append(1, static_cast<char>(s.key)).append(", ");
        else
            line += "    ";
        line.append("--").append(s.name);
        if (s.argument != nullptr)
            line.append("=").append(s.argument);
        line.resize(std::max<std::size_t>(line.size() + 1, 26), ' ');
        text += line + s.help + '\n';
    }
    return text + "\nNumbers may end in k, M or G.  Exit codes: 0 done, "
                  "1 failed, 2 usage,\n3 the datagrams expected did not "
                  "arrive.\n";
}

} // namespace snapcat
