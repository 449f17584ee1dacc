// SPDX-License-Identifier: LGPL-2.1-or-later
#include "counters.h"

#include <chrono>
#include <fstream>
#include <string>

namespace snapbench {

namespace {

// Every counter once, for the two operators.
constexpr std::uint64_t Counters::*all[] = {
    &Counters::nanoseconds,   &Counters::exits,      &Counters::write_faults,
    &Counters::cow_copies,    &Counters::interrupts, &Counters::page_allocs,
    &Counters::device_copied, &Counters::ref_bytes,  &Counters::copied_bytes,
};

std::uint64_t page_allocations() {
    std::ifstream file("/proc/vmstat");
    std::string name;
    std::uint64_t value = 0;
    std::uint64_t sum = 0;
    while (file >> name >> value) {
        if (name.starts_with("pgalloc_"))
            sum += value;
    }
    return sum;
}

} // namespace

Counters Counters::operator-(const Counters &before) const {
    Counters d;
    for (auto member : all)
        d.*member = this->*member - before.*member;
    return d;
}

Counters &Counters::operator+=(const Counters &more) {
    for (auto member : all)
        this->*member += more.*member;
    return *this;
}

Counters read_counters(const snap::Device &device) {
    Counters c;
    const snap_stats s = device.stats();
    c.exits = s.device[SNAP_CTR_DOORBELLS] + s.device[SNAP_CTR_TAKES] +
              s.device[SNAP_CTR_ARMS];
    c.write_faults = s.device[SNAP_CTR_WRITE_FAULTS];
    c.cow_copies = s.device[SNAP_CTR_COW_COPIES];
    c.interrupts = s.device[SNAP_CTR_INTERRUPTS];
    c.device_copied =
        s.device[SNAP_CTR_COPIED_BYTES] + s.device[SNAP_CTR_TX_DMA_BYTES];
    c.ref_bytes = s.sockets.tx_ref_bytes;
    c.copied_bytes = s.sockets.tx_copied_bytes;
    c.page_allocs = page_allocations();
    c.nanoseconds = std::chrono::nanoseconds(
                        std::chrono::steady_clock::now().time_since_epoch())
                        .count();
    return c;
}

} // namespace snapbench
