// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Regions: their names, and which way to capture each of them.
#pragma once

#include "types.hpp"

#include "snapmem/snapmem.h"

#include <vector>

namespace snapmem_impl {

// Shall a capture under SNAPMEM_AUTO share or copy?
//
// A copy costs the same each time. Sharing is cheaper for a long range that
// stays as it is, and far dearer for one that is written again soon: each
// store faults. So a region starts with copies, and now and then one capture
// of at least share_pages_min whole pages probes by sharing. As long as fewer
// than 1/8 of the pages shared since then have faulted, sharing goes on; when
// more have, the region copies for `interval_` captures, twice as many after
// each failure in a row.
class SharePolicy {
  public:
    static constexpr std::uint32_t share_pages_min = 16;
    static constexpr std::uint32_t interval_min = 64;
    static constexpr std::uint32_t interval_max = 4096;
    // Pages shared without relapse after which old failures are forgotten.
    static constexpr std::uint32_t trust_pages = 4096;

    SharePolicy() = default;
    explicit SharePolicy(snapmem_hint hint) : hint_(hint) {}

    // Asked once per capture that covers that many pages wholly.
    bool share(std::uint32_t whole_pages);
    // The capture did share; a store faulted on a page shared before.
    void shared(std::uint32_t pages) { shared_ += pages; }
    void faulted() { ++faults_; }

  private:
    snapmem_hint hint_ = SNAPMEM_HINT_NONE;
    std::uint32_t wait_ = interval_min - 1; // captures to copy, then probe
    std::uint32_t interval_ = interval_min;
    std::uint32_t shared_ = 0; // pages, since the probe
    std::uint32_t faults_ = 0; // since the probe
    bool sharing_ = false;
};

struct Region {
    Page first = 0;
    std::uint32_t npages = 0; // 0: the slot is unused
    // Without a name: unbinding it failed, a reset will try again.
    bool named = false;
    std::uint16_t generation = 1; // never 0, so no handle is 0
    SharePolicy policy;
};

// The slots. A slot is named by its index, a region by its handle, which
// carries the generation of the slot: a handle kept too long names nothing.
class RegionTable {
  public:
    RegionTable() : slots_(SNAPMEM_REGIONS_MAX) {}

    // The slot of a handle, an unused slot; nullptr if there is none.
    [[nodiscard]] Region *find(std::uint32_t handle);
    [[nodiscard]] Region *find_unused();

    [[nodiscard]] std::uint32_t handle(const Region &r) const {
        return std::uint32_t{r.generation} << 16 | index(r);
    }
    // Takes the name from the region; the slot stays in use until clear().
    static void retire(Region &r);
    static void clear(Region &r) { r.npages = 0; }

    // How the window names the region: never 0.
    [[nodiscard]] std::uint32_t owner(const Region &r) const {
        return index(r) + 1;
    }
    [[nodiscard]] Region &of_owner(std::uint32_t owner) {
        return slots_[owner - 1];
    }

    [[nodiscard]] auto begin() { return slots_.begin(); }
    [[nodiscard]] auto end() { return slots_.end(); }
    [[nodiscard]] auto begin() const { return slots_.begin(); }
    [[nodiscard]] auto end() const { return slots_.end(); }

  private:
    [[nodiscard]] std::uint32_t index(const Region &r) const {
        return static_cast<std::uint32_t>(&r - slots_.data());
    }

    std::vector<Region> slots_;
};

} // namespace snapmem_impl
