// SPDX-License-Identifier: LGPL-2.1-or-later
// What the processes of one run count together, in memory that snap-run made:
// it outlives those that are killed.
#ifndef SNAP_RUN_COUNTS_H
#define SNAP_RUN_COUNTS_H

#include "ledger.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace snaprun {

// Environment: the path of a file that holds a Counts.
inline constexpr const char *counts_variable = "SNAP_RUN_COUNTS";

// Environment: bytes of the region that each process may have.
inline constexpr const char *heap_variable = "SNAP_RUN_HEAP";

// Environment: set if the heap serves allocations with large alignments, too.
inline constexpr const char *aligned_variable = "SNAP_RUN_HEAP_ALIGNED";

struct Counts {
    std::atomic<std::uint64_t> mapped;    // sockets that are AF_SNAP
    std::atomic<std::uint64_t> fell_back; // sockets that stayed AF_INET(6)
    std::atomic<std::int32_t> error;      // errno of the last that fell back
    std::int32_t reserved;
    std::atomic<std::uint64_t> in_region; // large allocations there
    std::atomic<std::uint64_t> elsewhere; // those that got ordinary memory
    Ledger ledger;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

} // namespace snaprun

#endif
