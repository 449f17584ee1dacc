// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The frames: their memory, who holds each, which are free.
#pragma once

#include "cache_lines.hpp"
#include "free_frames.hpp"
#include "ledger.hpp"
#include "os.hpp"
#include "types.hpp"

#include <array>
#include <atomic>
#include <span>
#include <vector>

namespace snapmem_impl {

// Who keeps a frame from being free; each is counted. A map hold is a leaf of
// a page map, of a region or a snapshot.
enum class Holder : std::uint8_t { guest, device, map };

struct FrameCaches {
    std::uint32_t lanes = 1;
    std::uint32_t frames = 0;  // in each at most, and promised by it; or 0
    std::uint32_t reserve = 0; // free frames kept from lanes
};

// For one thread at a time (the engine's lock), but for available(), data()
// and what is said to be for a lane.
//
// Levels, all kept by reclassify():
//   free      nobody holds the frame
//   guest     frames with a guest hold
//   mapped    frames with a map hold
// The ledger counts own frames, own frames that someone else holds too, and
// frames by owner. free >= what it keeps for stores and nodes, always.
//
// Each lane has a cache of free frames, which whoever has the lane takes and
// puts back without the others. So it writes to no line that they write to, and
// gets the frames that are in the caches of its processor. Frames in caches are
// free like all others, but in no list. There are some only as long as what is
// in the list is enough for all that free frames are kept for, and cache_frames
// more: when fewer are, update_available() puts all of them into the list, and
// caches stay empty. So nobody lacks a frame because a cache has it.
//
// A lane also gives the guest holds on frames of regions, and takes them back.
// What that promises is for the lane to know until somebody takes the lock, who
// tells the ledger: settle().
class FramePool {
  public:
    // file: the frames are its first pages. It and the ledger must live longer.
    FramePool(const Fd &file, std::uint32_t frames, Ledger &ledger,
              const FrameCaches &caches = {});

    [[nodiscard]] std::uint32_t frames() const {
        return static_cast<std::uint32_t>(entries_.size());
    }
    [[nodiscard]] std::uint8_t *base() const { return memory_.data(); }
    [[nodiscard]] std::uint8_t *data(Frame f) const {
        return memory_.data() + f * page_bytes;
    }

    // Swap what maps have of two frames: holds and owner. Neither is free, or
    // anybody's own, or held by the guest or the device.
    void exchange(Frame a, Frame b);

    // Frames that are free, and neither promised to a store nor set aside for
    // shared nodes. Any thread.
    [[nodiscard]] std::uint32_t available() const {
        // Below zero only in the middle of a copy-on-write, under the lock.
        const auto n = static_cast<std::int32_t>(
            available_.load(std::memory_order_relaxed) - out() - promised());
        return n > 0 ? static_cast<std::uint32_t>(n) : 0;
    }
    // After the ledger's promises, or its shared nodes, changed other than
    // through a frame.
    void update_available();
    // Take the next free frame: mostly one behind the last, and close to the
    // one freed last.
    // One must be free; the caller has asked available() or has a promise.
    Frame take(Holder who, Owner owner = 0);
    // Take out.size() frames in as few ascending runs as a greedy search
    // finds; that many must be free. O(size + log(size) * pool / 64).
    void take_runs(Holder who, Owner owner, std::span<Frame> out);
    // The same for few frames at a time when somebody waits, without a search:
    // one run if a group near by has it, else as take() finds them. O(size).
    void take_few(Holder who, Owner owner, std::span<Frame> out);
    // Is a large one free that is in no cache? Also for a lane. O(1).
    [[nodiscard]] bool has_large() const {
        return listed_.find_few(large_frames) != no_frame;
    }
    // The first frame of a large one, all of which are taken: no_frame if none
    // is free, in caches neither. So many must be free besides. O(1), or the
    // size of the caches.
    Frame take_large(Holder who);
    // Words of the bit map that searches have looked at.
    [[nodiscard]] std::uint64_t searched() const { return listed_.searched(); }

    // Make frames zero that were just taken. Those that were never freed before
    // cost nothing: the file was made of zeros. O(count).
    void clear(std::span<const Frame> frames);
    // Copy a page into each of them, which were just taken. O(count).
    void fill(std::span<const Frame> frames,
              std::span<const std::uint8_t *const> pages);
    // For a lane: n frames of its cache, which stay there until hand_out()
    // gives the guest a hold on each; none if there are not so many.
    [[nodiscard]] std::span<const Frame> cached(std::uint32_t lane,
                                                std::uint32_t n) const;
    // The same for those of a large frame, in order; none if the cache has
    // none.
    [[nodiscard]] std::span<const Frame> cached_large(std::uint32_t lane);
    void hand_out(std::uint32_t lane, std::uint32_t n);
    // For a lane: drop the last hold on each of n frames in a row, the guest's,
    // into the cache. False, and none is, if one has anything else, or they do
    // not fit. Several lanes may try that with one frame.
    [[nodiscard]] bool take_back(std::uint32_t lane, Frame first,
                                 std::uint32_t n);
    // Afterwards: once half a cache has come back, what is in it is sorted, so
    // that the next captures get frames in a row, as from take().
    void sort_cache(std::uint32_t lane);
    // Fill the cache of a lane to the half, if it has fewer frames and there
    // are plenty; empty it to the half if no large frame fits in any more.
    void refill(std::uint32_t lane);
    void spill(std::uint32_t lane);

    // For a lane: may the guest get a hold on that frame of a region, without a
    // change to its mark? If all lanes may promise that much more, that is.
    [[nodiscard]] bool may_share(Frame f) const {
        const Entry &e = entries_[f];
        return promises(e) && e.mark.captured != 0 &&
               std::atomic_ref(entries_[f].guest)
                       .load(std::memory_order_relaxed) < guest_holds_max;
    }
    [[nodiscard]] std::uint32_t lanes_promise() const {
        return static_cast<std::uint32_t>(caches_.size()) * cache_frames_;
    }
    [[nodiscard]] bool lanes_may_promise() const {
        return plenty(lanes_promise());
    }
    // It gets one on each of these, all of one region: false, and none, if the
    // lane has promised too much since the lock was taken.
    [[nodiscard]] bool share(std::uint32_t lane, Slot slot,
                             std::span<const Frame> frames);
    // It drops one; false if the frame is none of a region alone.
    [[nodiscard]] bool unshare(std::uint32_t lane, Frame f);
    // Whoever takes the lock: what lanes have promised is in the ledger then.
    // O(lanes).
    void settle();

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
    // A page of that region's window shows the frame, from now on or no more.
    // Regions of one owner may show the same; once a second page does, it is
    // not known any more how many do, until the frame is somebody's own. The
    // ledger counts the pages that a store would rebind: those of frames that
    // are held or shown often.
    void show(Frame f, Slot slot);
    void hide(Frame f, Slot slot);
    // Forget which region's window shows it, once.
    void forget_shower(Frame f);
    [[nodiscard]] bool shown_once(Frame f) const {
        return entries_[f].mark.shown == Shown::once;
    }
    [[nodiscard]] bool shown_often(Frame f) const {
        return entries_[f].mark.shown == Shown::often;
    }
    // The region whose window shows it once.
    [[nodiscard]] Slot shower(Frame f) const { return entries_[f].mark.slot; }

    // Held by the guest or the device.
    [[nodiscard]] bool held(Frame f) const { return entries_[f].held(); }
    [[nodiscard]] bool is_free(Frame f) const { return entries_[f].is_free(); }
    // Of a frame that is not free.
    [[nodiscard]] Owner owner(Frame f) const { return entries_[f].mark.owner; }

    [[nodiscard]] std::uint32_t free() const { return free_ - out(); }
    [[nodiscard]] std::uint32_t guest() const { return guest_ + out(); }
    [[nodiscard]] std::uint32_t mapped() const { return mapped_; }

    // Recount everything: a message, or nullptr.
    [[nodiscard]] const char *check() const;

  private:
    enum class Shown : Slot { never, once, often };
    struct Mark {
        std::uint32_t epoch; // own if the epoch of the slot's account; or 0
        Slot slot : 12;      // whose own, and whose window shows it once
        Slot captured : 1;
        Shown shown : 2;
        Owner owner;
    };
    struct Entry {
        std::uint32_t guest = 0;
        std::uint32_t device = 0;
        std::uint32_t maps = 0;
        Mark mark = {}; // of a frame that is not free, or is in a cache

        [[nodiscard]] bool held() const { return guest != 0 || device != 0; }
        [[nodiscard]] bool is_free() const { return !held() && maps == 0; }
        std::uint32_t &holds(Holder who) {
            return who == Holder::guest    ? guest
                   : who == Holder::device ? device
                                           : maps;
        }
    };
    static_assert(sizeof(Entry) == 20 &&
                  sizeof(Entry) * large_frames % cache_line == 0);
    // Written by one thread at a time, read by all.
    class Count {
      public:
        [[nodiscard]] std::uint32_t get() const {
            return n_.load(std::memory_order_relaxed);
        }
        void add(std::uint32_t by) {
            n_.store(get() + by, std::memory_order_relaxed);
        }

      private:
        std::atomic<std::uint32_t> n_ = 0;
    };
    // Own frames of a region that came to be held, less those that are no
    // longer. Modular.
    struct Promises {
        Slot slot;
        std::uint32_t n;
    };
    // Who has its lane writes it.
    struct alignas(cache_line) Cache {
        std::vector<Frame> frames;  // taken from the end
        std::uint32_t unsorted = 0; // taken back since they were sorted
        // Handed out, less those taken back: the levels lack it. Modular.
        Count out;
        // Promised, less those given back, since ever. Modular.
        Count promised;
        // Those since settle(), by region.
        std::uint32_t regions = 0;
        std::array<Promises, 4> unsettled{};

        // A place for those of that region, or nullptr.
        Promises *promises_of(Slot slot);
    };

    [[nodiscard]] bool is_own(const Entry &e) const {
        return e.maps != 0 && e.mark.epoch == ledger_.epoch(e.mark.slot);
    }
    // Would a store take one frame more, and show it, just because the guest
    // holds this one? A region's own, which one page shows.
    [[nodiscard]] bool promises(const Entry &e) const {
        return is_own(e) && e.mark.shown == Shown::once && e.device == 0;
    }
    // Drop that hold alone; false if it is not like that. With a lane.
    [[nodiscard]] bool drop_last(Frame f);
    template <typename Change>
    void reclassify(Frame f, Change change);
    void count(const Entry &e, std::uint32_t by);
    void list(Frame f); // as free
    void empty_caches();
    void list_large(); // one of a cache
    [[nodiscard]] std::uint32_t out() const {
        std::uint32_t n = 0;
        for (const Cache &c : caches_) {
            n += c.out.get();
        }
        return n;
    }
    [[nodiscard]] std::uint32_t promised() const {
        std::uint32_t n = 0;
        for (const Cache &c : caches_) {
            n += c.promised.get();
        }
        return n;
    }
    // Are there enough frames in the list without those of the caches?
    [[nodiscard]] bool plenty(std::uint32_t n = 0) const {
        return listed_.count() >= ledger_.kept() + cache_above_ + n;
    }
    [[nodiscard]] const char *check_lists() const;
    void take_at(Frame f, Holder who, Owner owner);
    [[nodiscard]] bool was_used(Frame f) const {
        return (used_bits_[f / 64] >> (f % 64) & 1) != 0;
    }
    // Take a run, and what is free below it, as much as there is room for.
    std::size_t take_run(Frame first, std::uint32_t n, Holder who, Owner owner,
                         std::span<Frame> out);

    Ledger &ledger_;
    const Fd &file_;
    Mapping memory_;
    // Those of an aligned group of 16 have cache lines of their own.
    LineVector<Entry> entries_;
    FreeFrames listed_;                    // free, and in no cache
    std::vector<std::uint64_t> used_bits_; // freed at least once
    std::uint64_t cleared_ = 0;
    Frame zero_ = no_frame;
    std::uint32_t free_ = 0;  // with those that lanes have handed out
    std::uint32_t guest_ = 0; // without them
    std::uint32_t mapped_ = 0;
    const std::uint32_t cache_frames_;
    const std::uint32_t cache_above_; // of the list, besides what is kept
    bool caching_ = false;
    std::uint32_t settled_ = 0; // of what lanes have promised since ever
    std::vector<Cache> caches_;
    std::atomic<std::uint32_t> available_ = 0;
};

} // namespace snapmem_impl
