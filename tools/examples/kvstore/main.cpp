// SPDX-License-Identifier: LGPL-2.1-or-later
// kvstore: what snapshot memory is good for, without any network.
#include "checkpoint.h"
#include "follow.h"
#include "options.h"

#include "../../common/printable.h"

#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
    try {
        const auto options = kvstore::parse(argc, argv);
        switch (options.command) {
        case kvstore::Command::checkpoint:
            return kvstore::run_checkpoint(options);
        case kvstore::Command::follow:
            return kvstore::run_follow(options);
        case kvstore::Command::help:
            std::fputs(kvstore::usage(), stdout);
        }
        return 0;
    } catch (const kvstore::UsageError &error) {
        snaptool::complain("kvstore", error.what());
        std::fputs("Try 'kvstore --help'.\n", stderr);
        return 2;
    } catch (const std::exception &error) {
        snaptool::complain("kvstore", error.what());
        return 1;
    }
}
