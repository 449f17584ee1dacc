// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.h"

#include <array>
#include <charconv>
#include <getopt.h>
#include <limits>
#include <string_view>

namespace kvstore {

namespace {

enum Option {
    opt_help = 'h',
    opt_size = 's',
    opt_seconds = 't',
    opt_writers = 'w',
    opt_method = 'm',
    opt_file = 'f',
    opt_versions = 'n',
    opt_readers = 'r',
    opt_pause = 'p',
};

constexpr std::array<option, 10> long_options{{
    {"help", no_argument, nullptr, opt_help},
    {"size", required_argument, nullptr, opt_size},
    {"seconds", required_argument, nullptr, opt_seconds},
    {"writers", required_argument, nullptr, opt_writers},
    {"method", required_argument, nullptr, opt_method},
    {"file", required_argument, nullptr, opt_file},
    {"versions", required_argument, nullptr, opt_versions},
    {"readers", required_argument, nullptr, opt_readers},
    {"pause", required_argument, nullptr, opt_pause},
    {nullptr, 0, nullptr, 0},
}};

constexpr std::size_t mebibyte = 1 << 20;

template <typename Number>
Number number(const char *text, Number least, Number most) {
    const std::string_view word = text;
    Number value{};
    const auto *end = word.data() + word.size();
    const auto result = std::from_chars(word.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end || value < least ||
        value > most)
        throw UsageError("not a number from " + std::to_string(least) + " to " +
                         std::to_string(most) + ": " + text);
    return value;
}

Method method(std::string_view word) {
    if (word == "snapshot")
        return Method::snapshot;
    if (word == "fork")
        return Method::fork;
    if (word == "both")
        return Method::both;
    throw UsageError("not snapshot, fork or both: " + std::string(word));
}

Command command(std::string_view word) {
    if (word == "checkpoint")
        return Command::checkpoint;
    if (word == "follow")
        return Command::follow;
    throw UsageError("unknown command " + std::string(word));
}

void set(Options &options, int option, const char *text) {
    switch (option) {
    case opt_size:
        options.size = mebibyte * number<std::size_t>(text, 1, 65536);
        break;
    case opt_seconds:
        options.seconds = number(text, 1U, 3600U);
        break;
    case opt_writers:
        options.writers = number(text, 1U, 64U);
        break;
    case opt_method:
        options.method = method(text);
        break;
    case opt_file:
        options.file = text;
        break;
    case opt_versions:
        options.versions = number<std::uint64_t>(
            text, 1, std::numeric_limits<std::uint32_t>::max());
        break;
    case opt_readers:
        options.readers = number(text, 0U, 64U);
        break;
    case opt_pause:
        options.pause = number(text, 0U, 1000000U);
        break;
    default:
        throw UsageError("unknown option");
    }
}

} // namespace

Options parse(int argc, char **argv) {
    Options options;
    optind = 0; // starts getopt afresh, also for tests
    opterr = 0;
    for (int got = 0;
         (got = getopt_long(argc, argv, "hs:t:w:m:f:n:r:p:",
                            long_options.data(), nullptr)) != -1;) {
        if (got == opt_help)
            return {};
        set(options, got, optarg);
    }
    if (optind + 1 != argc)
        throw UsageError(optind == argc ? "no command" : "more than a command");
    options.command = command(argv[optind]);
    if (options.size == 0)
        options.size =
            (options.command == Command::checkpoint ? 8 : 1) * mebibyte;
    return options;
}

const char *usage() {
    return "Usage: kvstore [OPTION...] COMMAND\n"
           "A key-value store in snapshot memory.\n"
           "\n"
           "checkpoint: put without end, and meanwhile write consistent\n"
           "checkpoints to a file and verify them: by a snapshot of a region,\n"
           "and, the same table in ordinary memory, by fork(2).\n"
           "  -t, --seconds N      for each method (5)\n"
           "  -m, --method METHOD  snapshot, fork or both (both)\n"
           "  -w, --writers N      threads that put (1)\n"
           "  -f, --file PATH      of the checkpoint; removed at the end\n"
           "                       (/tmp/kvstore.checkpoint)\n"
           "\n"
           "follow: publish versions of a table by commit, while other\n"
           "processes check that they see whole versions only.\n"
           "  -n, --versions N     to publish (1000)\n"
           "  -r, --readers N      processes that follow (1)\n"
           "  -p, --pause N        microseconds between versions (1000)\n"
           "\n"
           "  -s, --size MIB       of the table (8, follow: 1)\n"
           "  -h, --help           this text\n"
           "\n"
           "Exit codes: 0 all was verified, 1 not so or a call failed, 2 "
           "usage.\n";
}

} // namespace kvstore
