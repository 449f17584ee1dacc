// SPDX-License-Identifier: LGPL-2.1-or-later
// snapcat: standard input to datagrams, datagrams to standard output.
#include "transfer.h"

#include "../common/printable.h"

#include <cstdio>
#include <exception>

namespace {

int transfer(const snapcat::Options &options) {
    snapcat::Transfer transfer(options);
    const auto report = [&] {
        if (options.verbose)
            std::fputs(transfer.report().c_str(), stderr);
    };
    try {
        const int code = transfer.run();
        report();
        return code;
    } catch (...) {
        report();
        throw;
    }
}

} // namespace

int main(int argc, char **argv) {
    try {
        const auto options = snapcat::parse(argc, argv);
        switch (options.action) {
        case snapcat::Options::Action::help:
            std::fputs(snapcat::usage().c_str(), stdout);
            return snapcat::exit_ok;
        case snapcat::Options::Action::version:
            std::printf("snapcat %s\n", snap_version());
            return snapcat::exit_ok;
        case snapcat::Options::Action::transfer:
            break;
        }
        return transfer(options);
    } catch (const snapcat::UsageError &error) {
        snaptool::complain("snapcat", error.what());
        std::fputs("Try 'snapcat --help'.\n", stderr);
        return snapcat::exit_usage;
    } catch (const std::exception &error) {
        snaptool::complain("snapcat", error.what());
        return snapcat::exit_failed;
    }
}
