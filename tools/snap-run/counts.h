// SPDX-License-Identifier: LGPL-2.1-or-later
// What the processes of one run count together, in memory that snap-run made:
// it outlives those that are killed.
#ifndef SNAP_RUN_COUNTS_H
#define SNAP_RUN_COUNTS_H

#include <atomic>
#include <cstdint>

namespace snaprun {

// Environment: the path of a file that holds a Counts.
inline constexpr const char *counts_variable = "SNAP_RUN_COUNTS";

struct Counts {
    std::atomic<std::uint64_t> mapped;    // sockets that are AF_SNAP
    std::atomic<std::uint64_t> fell_back; // sockets that stayed AF_INET(6)
    std::atomic<std::int32_t> error;      // errno of the last that fell back
    std::int32_t reserved;
};

static_assert(sizeof(Counts) == 24);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

} // namespace snaprun

#endif
