// SPDX-License-Identifier: LGPL-2.1-or-later
// snapctl: asks the snap module about its device and its sockets.
#include "command.h"

#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
    try {
        const auto request = snapctl::parse(argc, argv);
        return request.command->run(request);
    } catch (const snapctl::UsageError &error) {
        std::fprintf(stderr, "snapctl: %s\nTry 'snapctl --help'.\n",
                     error.what());
        return snapctl::exit_usage;
    } catch (const snapctl::DeviceError &error) {
        std::fprintf(stderr, "snapctl: %s\n", error.what());
        return error.exit_code();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "snapctl: %s\n", error.what());
        return snapctl::exit_failed;
    }
}
