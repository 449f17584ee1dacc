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

Command command(std::string_view word) {
    if (word == "serve")
        return Command::serve;
    if (word == "run")
        return Command::run;
    if (word == "list")
        return Command::list;
    throw UsageError("unknown command " + std::string(word));
}

} // namespace

Options parse(int argc, char **argv) {
    static const std::array<option, 10> names{{
        {"port", required_argument, nullptr, 'p'},
        {"rounds", required_argument, nullptr, 'r'},
        {"milliseconds", required_argument, nullptr, 'm'},
        {"attempts", required_argument, nullptr, 'a'},
        {"json", required_argument, nullptr, 'j'},
        {"listen", required_argument, nullptr, 'l'},
        {"pid-file", required_argument, nullptr, 'P'},
        {"help", no_argument, nullptr, 'h'},
        {"version", no_argument, nullptr, 'V'},
        {},
    }};
    Options o;
    opterr = 0;
    for (int c = 0; (c = getopt_long(argc, argv, ":p:r:m:a:j:l:P:hV",
                                     names.data(), nullptr)) != -1;) {
        const std::string word = argv[std::max(1, optind - 1)];
        switch (c) {
        case 'p':
            o.port = number<std::uint16_t>("--port", optarg, 65535);
            break;
        case 'r':
            o.plan.rounds = number("--rounds", optarg, 1000U);
            break;
        case 'm':
            o.plan.milliseconds = number("--milliseconds", optarg, 60000U);
            break;
        case 'a':
            o.plan.attempts = number("--attempts", optarg, 100U);
            break;
        case 'j':
            o.json = optarg;
            break;
        case 'l':
            o.listen = optarg;
            break;
        case 'P':
            o.pid_file = optarg;
            break;
        case 'h':
            o.command = Command::help;
            return o;
        case 'V':
            o.command = Command::version;
            return o;
        case ':':
            throw UsageError("option " + word + " wants a value");
        default:
            throw UsageError("unknown option " + word);
        }
    }
    if (optind == argc)
        throw UsageError("no command");
    o.command = command(argv[optind++]);
    o.rows.assign(argv + optind, argv + argc);
    if (o.command == Command::serve && !o.rows.empty())
        throw UsageError("unexpected argument " + o.rows.front());
    return o;
}

const char *usage() {
    return "Usage: snap-bench [OPTION...] serve\n"
           "       snap-bench [OPTION...] run [ROW...]\n"
           "       snap-bench list [ROW...]\n\n"
           "  -p, --port=PORT         where `serve` listens (7100)\n"
           "run:\n"
           "  -r, --rounds=NUMBER     of both sides, in turn (5)\n"
           "  -m, --milliseconds=MS   of one side in a round (200)\n"
           "  -a, --attempts=NUMBER   until the spread is under a fifth (3)\n"
           "  -j, --json=FILE         leaves results there\n"
           "serve:\n"
           "  -l, --listen=ADDRESS    of one interface; all (0.0.0.0)\n"
           "  -P, --pid-file=FILE     that of QEMU, whose threads are watched\n"
           "  -h, --help              this text\n"
           "  -V, --version           the version\n\n"
           "ROW is a name, or a pattern as of the shell; list prints them.\n"
           "Exit codes: 0 measured, 1 a row failed, 2 usage.\n";
}

} // namespace snapbench
