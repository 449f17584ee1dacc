// SPDX-License-Identifier: LGPL-2.1-or-later
// What a stretch of work cost the machine.
#pragma once

#include <cstdint>
#include <snap/libsnap.hpp>

namespace snapbench {

// Totals since boot, or the difference of two of them.
struct Counters {
    std::uint64_t nanoseconds = 0; // guest clock; instructions under icount
    std::uint64_t exits = 0;       // doorbells, takes, arms of the snap device
    std::uint64_t write_faults = 0;
    std::uint64_t cow_copies = 0;
    std::uint64_t interrupts = 0;    // of the snap device
    std::uint64_t page_allocs = 0;   // of the whole machine
    std::uint64_t device_copied = 0; // bytes: captures by copy and DMA reads
    std::uint64_t ref_bytes = 0;     // of AF_SNAP sockets of the namespace
    std::uint64_t copied_bytes = 0;  // likewise

    Counters operator-(const Counters &before) const;
    Counters &operator+=(const Counters &more);
};

// Throws std::system_error.
Counters read_counters(const snap::Device &device);

} // namespace snapbench
