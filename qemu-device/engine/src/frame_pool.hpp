// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The frames: their memory, who holds each, which are free.
#pragma once

#include "ledger.hpp"
#include "os.hpp"
#include "types.hpp"

#include <atomic>
#include <span>
#include <vector>

namespace snapmem_impl {

// Who keeps a frame from being free; each is counted. A map hold is a leaf of
// a page map, of a region or a snapshot.
enum class Holder : std::uint8_t { guest, device, map };

// Not thread-safe (the engine's mutex), but for available() and data().
//
// Levels, all kept by reclassify():
//   free      nobody holds the frame
//   guest     frames with a guest hold
//   mapped    frames with a map hold
// The ledger counts own frames, own frames that someone else holds too, and
// frames by owner. free >= what it keeps for stores and nodes, always.
class FramePool {
  public:
    // file: the frames are its first pages. The ledger must live longer.
    FramePool(const Fd &file, std::uint32_t frames, Ledger &ledger);

    [[nodiscard]] std::uint32_t frames() const {
        return static_cast<std::uint32_t>(entries_.size());
    }
    [[nodiscard]] std::uint8_t *base() const { return memory_.data(); }
    [[nodiscard]] std::uint8_t *data(Frame f) const {
        return memory_.data() + f * page_bytes;
    }

    // Frames that are free, and neither promised to a store nor set aside for
    // shared nodes. Any thread.
    [[nodiscard]] std::uint32_t available() const {
        return available_.load(std::memory_order_relaxed);
    }
    // After the ledger's promises, or its shared nodes, changed other than
    // through a frame.
    void update_available();
    // Take a frame close to the most recently freed one, which is likely to be
    // in a cache: the first free one of its 64. So frames that are taken one
    // after another lie in a row mostly, which spares their user work, and do
    // again when they have come back in whatever order.
    // One must be free; the caller has asked available() or has a promise.
    Frame take(Holder who, Owner owner = 0);
    // Take out.size() frames in as few ascending runs as a greedy search
    // finds; that many must be free. O(size + log(size) * pool / 64).
    void take_runs(Holder who, Owner owner, std::span<Frame> out);
    // The same for few frames at a time when somebody waits: it looks at
    // few_words words of the bit map at most for each length of runs, and does
    // without runs then. O(size).
    void take_few(Holder who, Owner owner, std::span<Frame> out);
    static constexpr std::uint32_t few_words = 32;
    // Words of the bit map that searches have looked at.
    [[nodiscard]] std::uint64_t searched() const { return searched_; }

    // Make frames zero that were just taken. Those that were never freed before
    // cost nothing: the file was made of zeros. O(count).
    void clear(std::span<const Frame> frames);
    // Frames that had to be written to be zero.
    [[nodiscard]] std::uint64_t cleared() const { return cleared_; }

    // The frame of zeros, with one hold more. There is one as long as somebody
    // holds it and it can take many more holds; if not (has_zero()), one must
    // be free.
    Frame take_zero(Holder who);
    [[nodiscard]] bool has_zero() const {
        return zero_ != no_frame && takes_holds(zero_);
    }
    // Can the guest get as many holds more as one capture may give? In the
    // middle of it, one more? True once means true to its end.
    [[nodiscard]] bool takes_holds(Frame f) const {
        return entries_[f].guest < guest_holds_max;
    }
    [[nodiscard]] bool takes_one_hold(Frame f) const {
        return entries_[f].guest < guest_holds_max + capture_holds_max;
    }
    // Far from wrapping round.
    static constexpr std::uint32_t guest_holds_max = 1U << 31;
    static constexpr std::uint32_t capture_holds_max = 512; // 257 pages

    // Add and drop one hold. The frame must not be free; dropping the last
    // hold frees it.
    void add(Frame f, Holder who);
    void drop(Frame f, Holder who);
    void drop_all_guest_holds();

    // Mark a frame with one map hold as the region's own.
    void own(Frame f, Slot slot);
    // A capture shares an own frame, whose page it has armed; and a store to
    // that page has come.
    void set_captured(Frame f, bool captured) {
        entries_[f].mark.captured = captured ? 1 : 0;
    }
    [[nodiscard]] bool captured(Frame f) const {
        return entries_[f].mark.captured != 0;
    }
    // No frame is the region's own any more. O(1), nearly always.
    void disown_all(Slot slot);

    [[nodiscard]] std::uint32_t guest_holds(Frame f) const {
        return entries_[f].guest;
    }
    [[nodiscard]] std::uint32_t device_holds(Frame f) const {
        return entries_[f].device;
    }
    [[nodiscard]] std::uint32_t map_holds(Frame f) const {
        return entries_[f].maps;
    }
    [[nodiscard]] bool is_own(Frame f) const { return is_own(entries_[f]); }
    [[nodiscard]] bool is_own_of(Frame f, Slot slot) const {
        return is_own(f) && entries_[f].mark.slot == slot;
    }
    // Held by the guest or the device.
    [[nodiscard]] bool held(Frame f) const { return entries_[f].held(); }
    [[nodiscard]] bool is_free(Frame f) const { return entries_[f].is_free(); }
    // Of a frame that is not free.
    [[nodiscard]] Owner owner(Frame f) const { return entries_[f].mark.owner; }

    [[nodiscard]] std::uint32_t free() const { return free_; }
    [[nodiscard]] std::uint32_t guest() const { return guest_; }
    [[nodiscard]] std::uint32_t mapped() const { return mapped_; }

    // Recount everything: a message, or nullptr.
    [[nodiscard]] const char *check() const;

  private:
    struct Links {
        Frame next = no_frame;
        Frame prev = no_frame;
    };
    struct Mark {
        std::uint32_t epoch; // own if the epoch of the slot's account; or 0
        Slot slot : 15;
        Slot captured : 1;
        Owner owner;
    };
    struct Entry {
        std::uint32_t guest = 0;
        std::uint32_t device = 0;
        std::uint32_t maps = 0;
        union {
            Links free = {}; // is_free()
            Mark mark;       // else
        };

        [[nodiscard]] bool held() const { return guest != 0 || device != 0; }
        [[nodiscard]] bool is_free() const { return !held() && maps == 0; }
        std::uint32_t &holds(Holder who) {
            return who == Holder::guest    ? guest
                   : who == Holder::device ? device
                                           : maps;
        }
    };
    static_assert(sizeof(Entry) == 20);

    [[nodiscard]] bool is_own(const Entry &e) const {
        return e.maps != 0 && e.mark.epoch == ledger_.epoch(e.mark.slot);
    }
    template <typename Change>
    void reclassify(Frame f, Change change);
    void count(const Entry &e, std::uint32_t by);
    void link_free(Frame f);
    void unlink_free(Frame f);
    void take_at(Frame f, Holder who, Owner owner);
    [[nodiscard]] bool has_bit(const std::vector<std::uint64_t> &bits,
                               Frame f) const {
        return (bits[f / 64] >> (f % 64) & 1) != 0;
    }
    // Highest free run of n frames that ends at or below `below`, or none in
    // that many words of the bit map.
    [[nodiscard]] Frame find_run(std::uint32_t n, Frame below,
                                 std::uint32_t words);
    // Take a run, and what is free below it, as much as there is room for.
    std::size_t take_run(Frame first, std::uint32_t n, Holder who, Owner owner,
                         std::span<Frame> out);

    Ledger &ledger_;
    Mapping memory_;
    std::vector<Entry> entries_;
    std::vector<std::uint64_t> free_bits_;
    std::vector<std::uint64_t> used_bits_; // freed at least once
    Frame few_below_;                      // where take_few() goes on
    std::uint64_t searched_ = 0;
    std::uint64_t cleared_ = 0;
    Frame head_ = no_frame;
    Frame zero_ = no_frame;
    std::uint32_t free_ = 0;
    std::uint32_t guest_ = 0;
    std::uint32_t mapped_ = 0;
    std::atomic<std::uint32_t> available_ = 0;
};

} // namespace snapmem_impl
