// SPDX-License-Identifier: LGPL-2.1-or-later
// Versions of a table that one process publishes and others follow.
#ifndef KVSTORE_FOLLOW_H
#define KVSTORE_FOLLOW_H

#include "table.h"
#include "writers.h"

#include <snap/libsnap.hpp>

#include <cstdint>

namespace kvstore {

struct Options;

// Works on a region of its own, and commits what it has to the published one.
class Publisher {
  public:
    // published: holds a table, which nobody else stores to.
    explicit Publisher(const snap::Region &published);

    // Changes a part of the table and publishes it as the next generation.
    // Throws std::runtime_error if somebody else has changed the region.
    void publish(std::uint64_t names);

    // Tries to publish on top of a version that is not the last any more.
    bool refuses_stale() const;

    nanoseconds longest() const { return longest_; }
    nanoseconds total() const { return total_; }

  private:
    const snap::Region &published_;
    snap::Snapshot first_;
    snap::Region work_;
    Table table_;
    std::uint64_t version_;
    nanoseconds longest_{0}; // of the commits
    nanoseconds total_{0};
};

// What a reader has seen of a region until it came to a generation.
struct Seen {
    std::uint64_t versions = 0;  // different ones
    std::uint64_t snapshots = 0; // verified
    std::uint64_t direct = 0;    // readings of the mapped region, verified
    std::uint64_t passed = 0;    // of these, that a commit interrupted
    std::string fault;
};
Seen follow(const snap::Region &published, std::uint64_t last);

// The command.  The exit code.
int run_follow(const Options &options);

} // namespace kvstore

#endif
