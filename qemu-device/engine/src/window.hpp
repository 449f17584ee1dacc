// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The window area: which page shows which frame, and the mappings for it.
#pragma once

#include "os.hpp"
#include "types.hpp"

#include <optional>
#include <span>
#include <vector>

namespace snapmem_impl {

// Every window page is backed by a page of one file: a frame, or its own
// scratch page behind the frames. One file, because the kernel then merges
// neighbours whose offsets ascend, and segments() is an upper bound that
// holds (private anonymous memory would not merge again once written).
//
// Not thread-safe (the engine's mutex).
class Window {
  public:
    // file has `frames` pages of frames and `pages` scratch pages after them.
    Window(const Fd &file, std::uint32_t frames, std::uint32_t pages);

    [[nodiscard]] std::uint32_t pages() const {
        return static_cast<std::uint32_t>(entries_.size());
    }
    [[nodiscard]] std::uint8_t *base() const { return memory_.data(); }

    // Who bound the page: 0 means scratch.
    [[nodiscard]] std::uint32_t owner(Page p) const {
        return entries_[p].owner;
    }
    // The frame behind a bound page.
    [[nodiscard]] Frame frame(Page p) const { return entries_[p].backing; }

    // First run of n scratch pages. O(window).
    [[nodiscard]] std::optional<Page> find_gap(std::uint32_t n) const;

    // Show frames[i] at page p + i. On false some pages may show their frame
    // already: unbind() the run. O(frames).
    [[nodiscard]] bool bind(Page p, std::span<const Frame> frames,
                            std::uint32_t owner) noexcept;
    // Show another frame at one bound page, at once for all threads.
    [[nodiscard]] bool rebind(Page p, Frame f) noexcept;
    // Back to scratch; false leaves all as it was. Never adds a segment.
    // Then calls freed() for each frame, the first page's last.
    template <typename Freed>
    [[nodiscard]] bool unbind(Page p, std::uint32_t n, Freed freed) noexcept {
        if (!map(p, n, frames_ + p, 0)) {
            return false;
        }
        for (Page q = p + n; q-- > p;) {
            freed(entries_[q].backing);
        }
        forget(p, n);
        return true;
    }

    // Mapping segments the kernel may need for the area, at most. Ends of an
    // owner's run always count, so that unbinding a neighbour adds none.
    [[nodiscard]] std::uint32_t segments() const { return segments_; }
    // What bind() adds to it at most, and rebind() at most.
    static std::uint32_t bind_cost(std::span<const Frame> frames);
    static constexpr std::uint32_t rebind_cost = 2;

    // Recount everything: a message, or nullptr.
    [[nodiscard]] const char *check() const;

  private:
    struct Entry {
        std::uint32_t backing; // page of the file
        std::uint32_t owner;
    };

    // Does a segment begin at p?
    [[nodiscard]] bool begins(Page p) const;
    [[nodiscard]] std::uint32_t begin_count(Page first, Page end) const;
    void forget(Page p, std::uint32_t n) noexcept;
    [[nodiscard]] bool map(Page p, std::uint32_t n, std::uint32_t backing,
                           int flags) noexcept;

    const Fd &file_;
    std::uint32_t frames_;
    Mapping memory_;
    std::vector<Entry> entries_;
    std::uint32_t segments_ = 1;
};

} // namespace snapmem_impl
