// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which frames are free, and which of them to take.
#pragma once

#include "types.hpp"

#include <bit>
#include <cstdint>
#include <vector>

namespace snapmem_impl {

// Frames by groups of 16, aligned. A group with free frames is in one of two
// lists: of those that are partly free, and of those that are wholly free. The
// one a frame was freed to last is in front. Single frames are taken from
// partly free groups as long as there are any, so whole groups stay whole.
//
// The last group of a pool may have fewer frames. It is wholly free when these
// are, and is then the last of its list.
//
// Not thread-safe.
class FreeFrames {
  public:
    static constexpr std::uint32_t group_frames = large_frames;

    explicit FreeFrames(std::uint32_t frames); // all free

    [[nodiscard]] std::uint32_t count() const { return count_; }
    [[nodiscard]] bool has(Frame f) const {
        return (bits_[f / 64] >> (f % 64) & 1) != 0;
    }

    // A frame becomes free, or is free no more. O(1).
    void add(Frame f);
    void remove(Frame f);

    // The free frame to take next; there must be one. It is close to the one
    // freed last, which is likely to be in a cache: of the groups in the same
    // 64 frames that are in the same list, it is the first frame. So frames
    // that are taken one after another lie in a row mostly, which spares their
    // user work, and do again when they have come back in whatever order. O(1).
    [[nodiscard]] Frame next() const;

    // The first of n free frames in a row, in the partly free group that next()
    // looks at, or in a wholly free one; no_frame if neither has them. O(1).
    [[nodiscard]] Frame find_few(std::uint32_t n) const;

    // The first of the highest n free frames in a row that end at or below
    // `below`; no_frame if there are none. O(below / 64).
    [[nodiscard]] Frame find_run(std::uint32_t n, Frame below);
    // Words of the bit map that this has looked at.
    [[nodiscard]] std::uint64_t searched() const { return searched_; }

    // Look at everything: a message, or nullptr.
    [[nodiscard]] const char *check() const;

  private:
    using Group = std::uint32_t;

    struct Links {
        Group next;
        Group prev;
    };

    [[nodiscard]] Group groups() const {
        return static_cast<Group>(links_.size() - 2);
    }
    // Each list is a ring through its head.
    [[nodiscard]] Group partly() const { return groups(); }
    [[nodiscard]] Group wholly() const { return groups() + 1; }
    [[nodiscard]] bool empty(Group head) const {
        return links_[head].next == head;
    }
    // The list for a group with free frames.
    [[nodiscard]] Group list_of(Group g) const {
        return mask(g) == full(g) ? wholly() : partly();
    }

    // Bit i: frame i of the group is free.
    [[nodiscard]] std::uint32_t mask(Group g) const {
        return static_cast<std::uint32_t>(
            bits_[g / 4] >> (g % 4 * group_frames) & 0xffff);
    }
    [[nodiscard]] std::uint32_t full(Group g) const {
        return g + 1 < groups() ? 0xffff : last_full_;
    }

    void link(Group g);
    void unlink(Group g);
    [[nodiscard]] Group first(Group head) const;

    std::vector<std::uint64_t> bits_; // a word has the masks of four groups
    std::vector<Links> links_;        // of the groups, then the two heads
    std::uint32_t last_full_;         // the mask of the last group
    std::uint32_t count_;
    std::uint64_t searched_ = 0;
};

} // namespace snapmem_impl
