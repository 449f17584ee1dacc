// SPDX-License-Identifier: LGPL-2.1-or-later
// What a stretch of work costs the machine that does it.
#ifndef SNAP_BENCH_COUNTERS_H
#define SNAP_BENCH_COUNTERS_H

#include "nic_stats.h"
#include "row.h"

#include <snap/memory.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace snapbench {

// snap-bench(1) says where each comes from.
enum Counter : unsigned char {
    wall_ns,
    busy_ns, // of a machine's only processor; instructions under -icount
    doorbells,
    exits,
    interrupts,
    capture_copied,
    write_faults,
    cow_copied,
    device_copied,
    by_reference,
    page_allocs,
    page_faults,
    kernel_copied, // this and below only if snap_count.ko is there
    slab_allocs,
    counters_max
};

std::string_view name_of(Counter counter);

// Nanoseconds that processors have been idle, of a file as /proc/timer_list,
// and how many processors it has.
struct Idle {
    std::uint64_t ns = 0;
    unsigned processors = 0;
};

Idle idle_of(const char *path);

using Counts = std::array<std::uint64_t, counters_max>;

Counts operator-(const Counts &after, const Counts &before);
Counts &operator+=(Counts &sum, const Counts &more);

// Reads them for one interface; whoever reads twice gets what was in between.
class Meter {
  public:
    explicit Meter(const Nic &nic);

    // To be called before and after: the order of reading keeps what reading
    // itself costs out of the difference.
    Counts before();
    Counts after();

    // Whether busy_ns is of use: of several processors some are idle at the
    // moment, and the kernel does not show since when.
    static bool knows_busy();

    // Whether snap_count.ko is there.
    static bool counts_calls();

  private:
    void read_nic(Counts &counts);
    static void read_kernel(Counts &counts);
    static void read_clocks(Counts &counts);
    static void read_calls(Counts &counts);

    std::optional<NicStats> stats_; // none of loopback
    std::optional<snap::Device> device_;
    std::string nic_;
    std::string interrupts_of_; // start of the last word of its lines
};

} // namespace snapbench

#endif
