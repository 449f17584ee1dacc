// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The window area: what each page shows, and the mappings for it.
#pragma once

#include "frame_pool.hpp"
#include "os.hpp"
#include "types.hpp"

#include <optional>
#include <span>
#include <vector>

namespace snapmem_impl {

// A page of the one file behind frames and windows: a frame, or, behind the
// frames, the scratch page of a window page.
using Backing = std::uint32_t;

// Every window page shows a page of one file: a frame, or its own scratch
// page, which is what pages outside of regions show, and holes: pages of a
// region that have no frame. One file, because the kernel then merges
// neighbours whose offsets ascend, and segments() is an upper bound that
// holds (private anonymous memory would not merge again once written).
//
// Not thread-safe (the engine's lock).
class Window {
  public:
    // file has the frames of the pool and `pages` scratch pages after them.
    // Owners are numbers up to `owners`; that of a region is its slot plus one.
    // The pool is told which frames are shown, the ledger of holes; both must
    // live longer.
    Window(const Fd &file, FramePool &pool, Ledger &ledger, std::uint32_t pages,
           std::uint32_t owners);

    [[nodiscard]] std::uint32_t pages() const {
        return static_cast<std::uint32_t>(backing_.size());
    }
    [[nodiscard]] std::uint8_t *base() const { return memory_.data(); }

    // Who bound the page: 0 means nobody.
    [[nodiscard]] std::uint32_t owner(Page p) const { return owner_[p]; }
    [[nodiscard]] Backing backing(Page p) const { return backing_[p]; }
    // What p shows as a hole.
    [[nodiscard]] Backing scratch(Page p) const { return frames_ + p; }

    // First run of n pages that nobody bound. O(window).
    [[nodiscard]] std::optional<Page> find_gap(std::uint32_t n) const;

    // Show other pages of the file from p on, each at once for all threads;
    // returns how many are done, fewer than asked if the host refuses a
    // mapping. O(pages). Frames are populated if somebody is about to use
    // them.
    [[nodiscard]] std::uint32_t show(Page p, std::span<const Backing> pages,
                                     std::uint32_t owner,
                                     bool populate = true) noexcept;
    // Show scratch pages. False leaves all as it was. Never adds more than
    // two segments.
    [[nodiscard]] bool show_scratch(Page p, std::uint32_t n,
                                    std::uint32_t owner) noexcept;
    // Back to nobody; false leaves all as it was. Never adds a segment.
    [[nodiscard]] bool unbind(Page p, std::uint32_t n) noexcept {
        return show_scratch(p, n, 0);
    }
    // Make the scratch pages zero and give their memory back. Neither adds
    // segments nor takes write protection off.
    void clear_scratch(Page p, std::uint32_t n) noexcept;

    // Mapping segments the kernel may need for the area, at most. Ends of an
    // owner's run always count, so that unbinding a neighbour adds none.
    [[nodiscard]] std::uint32_t segments() const { return segments_; }
    // Of an owner's pages. O(1).
    [[nodiscard]] std::uint32_t segments_of(std::uint32_t owner) const {
        return segments_of_[owner];
    }
    // What showing these adds at most to what nobody bound, and what showing
    // another frame in one page adds at most.
    [[nodiscard]] std::uint32_t bind_cost(std::span<const Backing> pages) const;
    static constexpr std::uint32_t rebind_cost = 2;

    // Pages that have been looked at to count them; mappings that were made.
    [[nodiscard]] std::uint64_t counted() const { return counted_; }
    [[nodiscard]] std::uint64_t mapped() const { return mapped_; }

    // Recount everything: a message, or nullptr.
    [[nodiscard]] const char *check() const;

  private:
    // Length of the ascending run that begins at pages[0], frames or scratch.
    [[nodiscard]] std::size_t run_length(std::span<const Backing> pages) const;
    // Does a segment begin at p?
    [[nodiscard]] bool begins(Page p) const;
    // Count what begins in a range, by: 1 or the modular -1.
    void count_begins(Page first, Page end, std::uint32_t by);
    void tell(Page p, bool shown) noexcept;
    // The region of a page that somebody bound.
    [[nodiscard]] Slot slot_of(Page p) const {
        return static_cast<Slot>(owner_[p] - 1);
    }
    void record(Page p, std::uint32_t n, Backing backing,
                std::uint32_t owner) noexcept;
    void advise(Page p, std::uint32_t n) const noexcept;
    [[nodiscard]] bool map(Page p, std::uint32_t n, Backing backing,
                           bool populate) noexcept;

    const Fd &file_;
    FramePool &pool_;
    Ledger &ledger_;
    std::uint32_t frames_;
    Mapping memory_;
    std::vector<Backing> backing_;
    std::vector<std::uint16_t> owner_;
    std::uint32_t segments_ = 0;
    std::vector<std::uint32_t> segments_of_; // by owner
    std::uint64_t counted_ = 0;
    std::uint64_t mapped_ = 0;
};

} // namespace snapmem_impl
