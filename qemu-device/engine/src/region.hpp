// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Regions and snapshots, and which way to capture a region.
#pragma once

#include "cache_lines.hpp"
#include "page_map.hpp"
#include "slot_table.hpp"
#include "types.hpp"
#include "write_set.hpp"

#include "snapmem/snapmem.h"

#include <algorithm>
#include <atomic>

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
    // The same for several threads at a time: true if it has to copy. If not,
    // share() knows.
    bool copies(std::uint32_t whole_pages);
    // True if share() would say yes and nothing else. Also for several threads.
    bool goes_on_sharing(std::uint32_t whole_pages);
    // The capture did share so many pages; a store to one of them trapped,
    // or made it writable with others. The former for several threads, too.
    void shared(std::uint32_t pages) {
        std::atomic_ref(shared_).fetch_add(pages, std::memory_order_relaxed);
    }
    void faulted() { ++faults_; }
    // Would the next long capture share?
    [[nodiscard]] bool sharing() const {
        return hint_ == SNAPMEM_HINT_KEEP || sharing_;
    }

  private:
    snapmem_hint hint_ = SNAPMEM_HINT_NONE;
    std::uint32_t wait_ = interval_min - 1; // captures to copy, then probe
    std::uint32_t interval_ = interval_min;
    std::uint32_t shared_ = 0; // pages, since the probe
    std::uint32_t faults_ = 0; // since the probe
    bool sharing_ = false;
};

// How many pages to copy when a store traps. One that follows the last one
// doubles the number: whoever goes through a region traps seldom.
class StoreAhead {
  public:
    static constexpr std::uint32_t pages_max = 64;
    // Where each may need a mapping of its own, which is dearer.
    static constexpr std::uint32_t rebinds_max = 16;

    // A store to page p traps; at most so many pages are worth copying.
    std::uint32_t pages(Page p) {
        pages_ = p == next_ ? std::min(pages_ * 2, pages_max) : 1;
        return pages_;
    }
    // That many have been.
    void copied(Page p, std::uint32_t n) { next_ = p + n; }

  private:
    Page next_ = ~Page{0};
    std::uint32_t pages_ = 1;
};

// Captures of several regions at a time share no cache line.
struct alignas(cache_line) Region : SlotBase {
    Page first = 0; // in the window
    std::uint32_t npages = 0;
    PageMap map;
    WriteSet writable;
    // Rises with each snapshot, commit, merge; the region's only while not
    // dirty, which the first store, or a discard, makes it.
    std::uint64_t version = 1;
    bool dirty = false;
    bool limited = false; // made under a quota
    SharePolicy policy;
    StoreAhead ahead;
    std::uint64_t shared_pages = 0; // captured by sharing
    std::uint64_t copied_pages = 0; // captured by copying
    std::uint64_t write_faults = 0;
};

struct Snapshot : SlotBase {
    PageMap map;
    std::uint32_t owner_id = 0;
    std::uint64_t version = 0; // of the region when it was taken
    // If it has holes, the frame of zeros, with a device hold: captures of a
    // snapshot's whole pages do not lack a frame.
    Frame zero = no_frame;
};

// FramePool names slots with 12 bits.
static_assert(SNAPMEM_REGIONS_MAX <= 1U << 12);

// Handles of snapshots have this in their low half, those of regions do not.
inline constexpr std::uint32_t snapshot_tag = 0x8000;
static_assert(SNAPMEM_REGIONS_MAX <= snapshot_tag &&
              SNAPMEM_SNAPSHOTS_MAX <= snapshot_tag);

} // namespace snapmem_impl
