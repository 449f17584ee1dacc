// SPDX-License-Identifier: LGPL-2.1-or-later
// snapctl: asks the snap module about its device and its sockets.
#include "command.h"

#include "../common/printable.h"

#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
    try {
        const auto request = snapctl::parse(argc, argv);
        return request.command->run(request);
    } catch (const snapctl::UsageError &error) {
        snaptool::complain("snapctl", error.what());
        std::fputs("Try 'snapctl --help'.\n", stderr);
        return snapctl::exit_usage;
    } catch (const snapctl::DeviceError &error) {
        snaptool::complain("snapctl", error.what());
        return error.exit_code();
    } catch (const std::exception &error) {
        snaptool::complain("snapctl", error.what());
        return snapctl::exit_failed;
    }
}
