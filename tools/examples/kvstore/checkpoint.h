// SPDX-License-Identifier: LGPL-2.1-or-later
// Checkpoints of a store that goes on serving puts.
#ifndef KVSTORE_CHECKPOINT_H
#define KVSTORE_CHECKPOINT_H

#include "store.h"
#include "writers.h"

#include <snap/libsnap.hpp>

#include <string>

namespace kvstore {

struct Options;

struct Checkpoint {
    nanoseconds call;  // until snapshot or fork had returned
    nanoseconds total; // until the file was written
};

// Both throw std::system_error.
Checkpoint by_snapshot(const snap::Region &region, Store &store,
                       const std::string &path);
Checkpoint by_fork(std::span<const std::byte> memory, Store &store,
                   const std::string &path);

// Fills a new table in zeros with as many names as leave room; their number.
std::uint64_t fill(Table &table);

// The command; prints a table.  The exit code.
int run_checkpoint(const Options &options);

} // namespace kvstore

#endif
