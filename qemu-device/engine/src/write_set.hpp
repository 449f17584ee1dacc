// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pages of a region to which stores land without a trap.
#pragma once

#include "types.hpp"

#include <algorithm>
#include <vector>

namespace snapmem_impl {

// By extents of 64 pages, which is also how they are armed again: arming a few
// pages too many is cheaper than asking the kernel for each. An extent counts
// only in the epoch of its last page added, so clear() is O(1).
//
// What stores did to an extent in the last epoch that had any is a guess at
// what they will do in this one: where many trapped, many pages will be stored
// to. Then a trap adds the pages around its own, as a group, so that few more
// trap, and if most groups had one they go on to be many.
class WriteSet {
  public:
    static constexpr std::uint32_t extent_pages = 64;
    // To copy that many pages costs as much as a trap.
    static constexpr std::uint32_t group_pages = 16;
    // Traps in an epoch that make an extent dense, and that leave it so.
    static constexpr std::uint8_t traps_dense = 16;
    static constexpr std::uint8_t traps_still_dense = 3;

    // An empty set for pages under npages. Throws std::bad_alloc; add() does
    // not allocate.
    explicit WriteSet(std::uint32_t npages = 0)
        : extents_((npages + extent_pages - 1) / extent_pages),
          npages_(npages) {
        touched_.reserve(extents_.size());
    }

    [[nodiscard]] bool has(Page p) const {
        const Extent &e = extents_[p / extent_pages];
        return e.epoch == epoch_ && (e.pages >> (p % extent_pages) & 1) != 0;
    }
    void add(Page p) noexcept {
        touch(p).pages |= std::uint64_t{1} << (p % extent_pages);
    }
    // A store to p, which is no member, traps: is its extent dense, the group
    // of p worth adding as a whole?
    bool trapped(Page p) noexcept {
        Extent &e = touch(p);
        e.traps = std::min<std::uint8_t>(e.traps, traps_dense - 1) + 1;
        return e.dense;
    }
    void remove(Page p) noexcept {
        extents_[p / extent_pages].pages &=
            ~(std::uint64_t{1} << (p % extent_pages));
    }
    void clear() noexcept {
        touched_.clear();
        if (++epoch_ == 0) {
            std::fill(extents_.begin(), extents_.end(), Extent{});
            epoch_ = 1;
        }
    }

    // visit(page, n) for runs of pages that have every member among them, in
    // order; until it returns false. O(extents touched), and sorting them.
    template <typename Visit>
    bool runs(Visit visit) {
        std::sort(touched_.begin(), touched_.end());
        for (std::size_t i = 0; i < touched_.size();) {
            std::size_t end = i + 1;
            while (end < touched_.size() &&
                   touched_[end] == touched_[end - 1] + 1) {
                ++end;
            }
            const Page first = touched_[i] * extent_pages;
            const Page last = (touched_[end - 1] + 1) * extent_pages;
            if (!visit(first, std::min(last, npages_) - first)) {
                return false;
            }
            i = end;
        }
        return true;
    }

    [[nodiscard]] std::size_t bytes() const {
        return extents_.capacity() * sizeof(Extent) +
               touched_.capacity() * sizeof(std::uint32_t);
    }

  private:
    struct Extent {
        std::uint64_t pages = 0; // bit by bit
        std::uint32_t epoch = 0;
        std::uint8_t traps = 0; // in that, up to traps_dense
        bool dense = false;
    };

    // The extent of p, as one of this epoch.
    Extent &touch(Page p) noexcept {
        const std::uint32_t i = p / extent_pages;
        Extent &e = extents_[i];
        if (e.epoch != epoch_) {
            const std::uint8_t many = e.dense ? traps_still_dense : traps_dense;
            e = {0, epoch_, 0, e.traps >= many};
            touched_.push_back(i);
        }
        return e;
    }

    std::vector<Extent> extents_;
    std::vector<std::uint32_t> touched_; // of this epoch; each once
    std::uint32_t npages_;
    std::uint32_t epoch_ = 1;
};

} // namespace snapmem_impl
