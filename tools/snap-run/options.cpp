// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.h"

#include <algorithm>
#include <array>
#include <getopt.h>

namespace snaprun {

Options parse(int argc, char **argv) {
    static const std::array<option, 5> names{{
        {"count", no_argument, nullptr, 'c'},
        {"output", required_argument, nullptr, 'o'},
        {"help", no_argument, nullptr, 'h'},
        {"version", no_argument, nullptr, 'V'},
        {},
    }};
    Options o;
    optind = 0; // from the start, also when called again
    opterr = 0;
    for (int c = 0; (c = getopt_long(argc, argv, "+:co:hV", names.data(),
                                     nullptr)) != -1;) {
        const std::string word = argv[std::max(1, optind - 1)];
        switch (c) {
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
    if (optind == argc)
        throw UsageError("no program to run");
    o.argv = argv + optind;
    return o;
}

const char *usage() {
    return "Usage: snap-run [OPTION...] [--] PROGRAM [ARGUMENT...]\n\n"
           "  -c, --count        at the end, tell how many sockets are "
           "AF_SNAP\n"
           "  -o, --output=FILE  the same, into FILE\n"
           "  -h, --help         this text\n"
           "  -V, --version      the version\n\n"
           "Exit codes: PROGRAM's, 128 and more if a signal ended it, 125 if\n"
           "snap-run fails, 126 if PROGRAM cannot be run this way, 127 if it\n"
           "is not there.\n";
}

} // namespace snaprun
