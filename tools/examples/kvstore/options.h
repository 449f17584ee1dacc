// SPDX-License-Identifier: LGPL-2.1-or-later
// What kvstore was asked to do.
#ifndef KVSTORE_OPTIONS_H
#define KVSTORE_OPTIONS_H

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace kvstore {

enum class Command { help, checkpoint, follow };
enum class Method { both, snapshot, fork };

struct Options {
    Command command = Command::help;
    std::size_t size = 0; // bytes of the table
    // checkpoint
    Method method = Method::both;
    unsigned int seconds = 5; // for each method
    unsigned int writers = 1;
    std::string file = "/tmp/kvstore.checkpoint";
    // follow
    std::uint64_t versions = 1000;
    unsigned int readers = 1;
    unsigned int pause = 1000; // microseconds between versions
};

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws UsageError.
Options parse(int argc, char **argv);

const char *usage();

} // namespace kvstore

#endif
