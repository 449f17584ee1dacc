// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The engine: regions, captures, snapshots and stores over pool, maps, window
// and trap. Documentation/engine.rst draws it.
#pragma once

#include "dedup_cache.hpp"
#include "frame_pool.hpp"
#include "lane_lock.hpp"
#include "ledger.hpp"
#include "page_map.hpp"
#include "region.hpp"
#include "slot_table.hpp"
#include "window.hpp"
#include "write_trap.hpp"

#include "snapmem/snapmem.h"

#include <array>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <vector>

namespace snapmem_impl {

struct Tuning {
    std::uint32_t map_budget = 0;     // mapping segments the window may use
    std::uint32_t fanout_bits = 6;    // of the page maps, from 1
    std::uint32_t cache_frames = 128; // free frames of a queue, at most
};

// What an operation adds to the pages that stores may come to rebind, by
// region.
class MoreRebinds {
  public:
    // O(regions that were added since).
    void clear() {
        while (added_ != 0) {
            of_[slot_[--added_]] = 0;
        }
        total_ = 0;
    }
    void add(Slot slot, std::uint32_t pages = 1) {
        if (of_[slot] == 0 && pages != 0) {
            slot_[added_++] = slot;
        }
        of_[slot] += pages;
        total_ += pages;
    }
    [[nodiscard]] std::uint32_t of(Slot slot) const { return of_[slot]; }
    [[nodiscard]] std::uint64_t total() const { return total_; }

  private:
    std::array<std::uint32_t, SNAPMEM_REGIONS_MAX> of_{};
    std::array<Slot, SNAPMEM_REGIONS_MAX> slot_{}; // those with some
    std::uint32_t added_ = 0;
    std::uint64_t total_ = 0;
};

// What has been done in all, in steps: that the work of an operation has a
// bound can be seen in them, whatever the time is.
struct Work {
    std::uint64_t searched = 0;  // words of the bit map of free frames
    std::uint64_t cleared = 0;   // frames
    std::uint64_t given = 0;     // frames, to regions that come
    std::uint64_t reclaimed = 0; // slots of nodes, for frames that became own
    std::uint64_t compared = 0;  // pages, for a diff
    std::uint64_t counted = 0;   // window pages, for segments
    std::uint64_t mapped = 0;    // mappings made
    std::uint64_t locked = 0;    // times that somebody had the lock
};

// Locking: lock_ guards everything that is not constant. It is a leaf for
// the threads that call in; a trap may take locks of its own inside it, and
// calls resolve_store() without them. The fault thread waits for nothing
// else, so a thread that is stopped in a store while it holds any lock of its
// own (the BQL, say) still goes on.
//
// Whoever changes anything has lock_ for itself. Captures that copy, or share
// what is armed, and releases of such frames have a lane of it instead, one for
// each data queue: they read what the others change, and write what is the
// lane's (its cache of frames, what it has promised, its Tally), guest holds,
// and counters of the region, these two atomically. So they go on at the same
// time, and what they capture stays where it is, and is of one moment as far as
// the engine changes it: a commit comes before or after all of a capture.
//
// A page of a region is *writable*, or *armed*: the trap stops stores to it.
// Its frame is *own* if no snapshot and no other region has it; a page without
// frame is a *hole*. Invariants, which check() verifies:
//   - a writable page shows an own frame that neither the guest nor the device
//     holds (so what anybody else has never changes);
//   - each page shows the frame of its region's map, or, a hole, its scratch
//     page, which is zero;
//   - free frames >= promises of the ledger and frames for shared nodes, and
//     mapping segments + what rebinding every page that a store may rebind adds
//     <= map_budget (so a store never fails);
//   - the arena has nodes for the stores to come;
//   - frames and nodes of a map are charged to the owner of its region, or of
//     the region that its snapshot was taken of.
//
// Memory is read and written through the pool's mapping only: the engine
// itself never faults.
class Engine final : private StoreSink {
  public:
    // trap: nullptr to copy always, without snapshots. Throws TrapError
    // (SNAPMEM_SHARE and the trap does not start), std::system_error and
    // std::bad_alloc.
    Engine(const snapmem_config &config, std::unique_ptr<WriteTrap> trap,
           const Tuning &tuning);
    Engine(const Engine &) = delete;
    Engine &operator=(const Engine &) = delete;
    ~Engine() override;

    [[nodiscard]] bool can_share() const { return trap_ != nullptr; }
    [[nodiscard]] std::uint8_t *pool_base() const { return pool_.base(); }
    [[nodiscard]] std::uint8_t *window_base() const { return window_.base(); }
    [[nodiscard]] std::uint32_t available() const { return pool_.available(); }

    // As the functions of snapmem.h. They throw std::bad_alloc for
    // SNAPMEM_NO_MEMORY, and have done nothing then.

    // engine.cpp
    snapmem_status region_create(const snapmem_region_spec &spec,
                                 std::uint32_t &region, std::uint32_t &page,
                                 bool step = false);
    void abandon() noexcept;
    snapmem_status region_destroy(std::uint32_t region);
    void reset() noexcept;
    void get_counters(snapmem_counters &out) const noexcept;
    // engine_capture.cpp
    snapmem_status capture(std::uint32_t handle, std::uint64_t offset,
                           std::uint32_t length, std::span<Frame> frames,
                           std::uint32_t &nframes, std::uint32_t queue = 0,
                           bool large = false);
    // engine_frames.cpp
    snapmem_status release(std::span<const Frame> frames, std::size_t &done,
                           std::uint32_t queue = 0);
    [[nodiscard]] bool guest_holds(Frame first,
                                   std::uint32_t count) const noexcept;
    snapmem_status receive(std::span<Frame> frames);
    snapmem_status receive_large(Frame &large);
    // Numbers, of large frames as well.
    void give(std::span<const Frame> frames) noexcept;
    void hold(std::span<const Frame> frames) noexcept;
    void drop(std::span<const Frame> frames) noexcept;
    // engine_snapshot.cpp
    snapmem_status snapshot(std::uint32_t region, std::uint32_t quota,
                            std::uint32_t &snapshot, std::uint64_t &version);
    snapmem_status snapshot_drop(std::uint32_t snapshot);
    snapmem_status clone(std::uint32_t snapshot,
                         const snapmem_region_spec &spec, std::uint32_t &region,
                         std::uint32_t &page, bool step = false);
    snapmem_status diff(std::uint32_t a, std::uint32_t b, Page first,
                        std::span<Page> pages, std::size_t &npages,
                        Page &next) const;
    snapmem_status get_object(std::uint32_t handle, snapmem_object &out) const;
    [[nodiscard]] std::uint64_t charged(std::uint32_t owner) const;
    // engine_commit.cpp
    snapmem_status commit(std::uint32_t region, std::uint32_t from,
                          std::uint32_t quota, std::uint64_t &version);
    snapmem_status merge(std::uint32_t region, std::uint32_t base,
                         std::uint32_t from, std::uint32_t quota,
                         std::span<std::uint64_t> conflicts,
                         std::size_t &nconflicts, std::uint64_t &version);
    snapmem_status discard(std::uint32_t region, Page first, std::uint32_t n);
    // engine_check.cpp
    [[nodiscard]] const char *check() const;
    [[nodiscard]] Work work() const;

    // Bounds of the work of one command.
    static constexpr std::uint32_t reclaim_slots = 4096; // of a data queue
    static constexpr std::uint32_t diff_pages = 2048;    // compared
    static constexpr std::uint32_t step_pages = SNAPMEM_STEP_PAGES;

  private:
    // A leaf of a diff is this much less than a page.
    static constexpr std::uint32_t diff_page_work = 16;
    static constexpr std::uint32_t diff_work = diff_pages * diff_page_work;
    // Regions whose frames are mapped at once: 1 MiB. Larger ones are when
    // their pages are used.
    static constexpr std::uint32_t populate_max = 256;

    [[nodiscard]] const char *check_nodes() const;
    [[nodiscard]] const char *check_versions() const;

    // lock_, and the ledger knows what lanes have done.
    class Lock {
      public:
        explicit Lock(const Engine &e) : guard_(e.lock_) {
            e.pool_.settle();
            ++e.work_.locked;
        }

      private:
        std::lock_guard<LaneLock> guard_;
    };

    // A capture, cut at page borders. Pages are those of the region.
    struct Cut {
        Page first, end;             // touched
        Page whole_first, whole_end; // covered wholly
        std::size_t head;            // bytes before the range in `first`
        std::size_t tail;            // bytes after it in `end - 1`

        [[nodiscard]] std::uint32_t pages() const { return end - first; }
        [[nodiscard]] std::uint32_t wholes() const {
            return whole_end - whole_first;
        }
        // Does it take more than half of a large frame, and no more than one?
        [[nodiscard]] bool fits_large() const {
            return pages() > large_frames / 2 && pages() <= large_frames;
        }
        [[nodiscard]] bool is_whole(Page p) const {
            return p >= whole_first && p < whole_end;
        }
    };

    // What is captured.
    struct Source {
        Region *region = nullptr; // or a snapshot
        const PageMap *map = nullptr;
        Cut cut{};
    };

    // What lanes count for themselves.
    struct alignas(cache_line) Tally {
        std::uint64_t captures = 0;
        std::uint64_t copied_bytes = 0;
        std::uint64_t shared_bytes = 0;
        std::uint64_t released = 0;
    };
    // Several threads may share a lane, but one at a time.
    [[nodiscard]] std::uint32_t lane_of(std::uint32_t queue) const {
        return queue % lock_.lanes();
    }
    // In a lane: a capture that copies, or shares pages that others have armed,
    // if that is all it takes. False: it is for whoever has the lock.
    bool capture_in_lane(std::uint32_t lane, std::uint32_t handle,
                         std::uint64_t offset, std::uint32_t length,
                         std::span<Frame> frames, std::uint32_t &nframes,
                         bool large);
    bool copy_in_lane(std::uint32_t lane, const Source &source,
                      std::span<Frame> frames, std::uint32_t &nframes,
                      bool large);
    bool share_in_lane(std::uint32_t lane, const Source &source,
                       std::span<Frame> frames, std::uint32_t &nframes);
    // Are there frames, and mappings for the owner of r, were each lane to
    // promise as much as it may?
    [[nodiscard]] bool lanes_may_promise(const Region &r) const;
    // Release frames until one takes more than the lane; returns how many.
    std::size_t release_in_lane(std::uint32_t lane,
                                std::span<const Frame> frames);

    // All below: the caller holds lock_, but for resolve_store().

    // Of frames that exist.
    [[nodiscard]] bool guest_holds_all(Frame first, std::uint32_t count) const;
    // Those that the numbers name; what does not exist is left out.
    template <typename Each>
    void each_frame(std::span<const Frame> numbers, Each each);
    // Are there so many for reception, or can they be found?
    [[nodiscard]] bool may_receive(std::size_t frames);
    // What a region is made of besides its slot; nothing is taken by it yet.
    struct Birth {
        Region *region = nullptr;
        Page gap = 0;
        Owner owner = 0;
    };
    static bool limited(const snapmem_region_spec &spec) {
        return spec.quota != SNAPMEM_QUOTA_NONE;
    }
    // Everything that can fail before frames and window are touched.
    snapmem_status prepare_birth(const snapmem_region_spec &spec, Birth &birth);
    void open_region(const Birth &birth, const snapmem_region_spec &spec);
    // Arm the pages of a region that has just been bound; else it is gone.
    snapmem_status arm_new(Region &r, bool armed);
    // That was all.
    snapmem_status give_birth(Region &r, bool armed, std::uint32_t &region,
                              std::uint32_t &page);
    // A region that gets its frames step by step; at most one does. With those
    // of a snapshot it gets copies of its pages.
    struct Growth {
        Region *region = nullptr;
        Page left = 0; // pages to go, from the end on
        std::uint32_t snapshot = 0;
        snapmem_region_spec spec{};
    };
    [[nodiscard]] bool grows(const snapmem_region_spec &spec,
                             std::uint32_t snapshot) const;
    snapmem_status begin_growth(const Birth &birth,
                                const snapmem_region_spec &spec,
                                std::uint32_t snapshot);
    bool grow() noexcept;
    // To the end, or one step of it. Whatever fails abandons the region.
    snapmem_status go_on(bool step, std::uint32_t &region, std::uint32_t &page);
    void abandon_growth() noexcept;
    // False: no mapping to be had; the region lives on without a name.
    bool destroy(Region &r) noexcept;
    // Its pages can neither be shown nor watched as they should: they become
    // scratch pages, and stay the region's until it is destroyed.
    void lose(Region &r) noexcept;

    static Cut cut(std::uint64_t offset, std::uint32_t length);
    // Also in a lane.
    snapmem_status find_source(std::uint32_t handle, std::uint64_t offset,
                               std::uint32_t length, std::size_t room,
                               Source &source) const;
    [[nodiscard]] bool copies_always(const Cut &c) const {
        return !trap_ || mode_ == SNAPMEM_COPY || c.wholes() == 0;
    }
    [[nodiscard]] bool wants_share(Region &r, const Cut &c) const;
    // Frames a capture takes or promises.
    [[nodiscard]] std::uint32_t frames_needed(const PageMap &m, const Cut &c,
                                              bool share) const;
    // Make the whole pages of c fit to be held; false: copy them instead.
    bool prepare_share(Region &r, const Cut &c);
    bool prepare_share(const PageMap &snapshot, const Cut &c);
    [[nodiscard]] bool may_hold(const PageMap &snapshot, const Cut &c);
    // The bytes of page p that the range covers, and zeros around them.
    void copy_page(Frame to, Frame from, Page p, const Cut &c) const;
    [[nodiscard]] Frame make_large(Frame first, const Cut &c) const;
    [[nodiscard]] Frame take_large_for(const Cut &c);

    // What an operation takes or promises: frames, those of them that count
    // for the owner, and nodes that come to be shared, which do and are paid
    // for in frames.
    struct Need {
        std::uint64_t frames, charged;
        std::uint32_t nodes = 0;
    };
    // How far to look for frames that may be own again: all over for a command
    // of the mailbox; for one of a data queue a step further each time.
    enum class Look : std::uint8_t { all, step };
    // Are they there for other purposes than reception, and within the quota?
    // Reclaims if not, which changes what is needed, too: need() is asked
    // again then, and what it said last holds.
    template <typename NeedNow>
    snapmem_status afford(Owner o, std::uint32_t quota, NeedNow need,
                          Look look = Look::all) {
        for (bool looked = false;; looked = true) {
            const Need n = need();
            const std::uint64_t takes =
                n.frames + ledger_.node_frames(n.nodes) - ledger_.node_frames();
            const bool frames =
                takes == 0 || pool_.available() >= takes + rx_reserve_;
            const std::uint64_t charged =
                ledger_.charged(o, n.nodes) + n.charged;
            const bool within = quota == SNAPMEM_QUOTA_NONE ||
                                charged == ledger_.charged(o) ||
                                charged <= quota;
            if (frames && within) {
                return SNAPMEM_OK;
            }
            if (looked || reclaim_left_ == 0) {
                return frames ? SNAPMEM_QUOTA : SNAPMEM_NO_FRAMES;
            }
            reclaim(look);
        }
    }
    // Make frames own again that were shared with snapshots since dropped.
    void reclaim(Look look) noexcept;
    void reclaim_all() noexcept;
    void reclaim_step() noexcept;
    void own_if_alone(const Region &r, Frame f) noexcept;
    // Map holds were dropped: there may be such frames, in any region.
    void may_reclaim() { reclaim_left_ = SNAPMEM_REGIONS_MAX + 1; }
    // Whose segments are to become more.
    struct Mapper {
        Owner owner = 0;
        bool limited = false;           // by the others: a quota was given
        const Region *region = nullptr; // that is there, not one to come
    };
    [[nodiscard]] Mapper mapper(const Region &r) const {
        return {ledger_.owner(slot(r)), r.limited, &r};
    }
    // Does the budget have that many more segments, and those that rebinding
    // the pages of more_ may add? And an owner who is limited gets more only
    // as long as it has no more than what stays unused: then others find some,
    // however many there are. O(1) unless the budget is short, then O(regions).
    [[nodiscard]] bool maps_allow(const Mapper &m, std::uint64_t segments,
                                  const MoreRebinds &more = {}) const;
    // Whoever comes to have that frame, which a window page shows, makes a
    // store to that page rebind it.
    void add_rebind(Frame f) {
        if (pool_.shown_once(f) && !pool_.held(f)) {
            more_.add(pool_.shower(f));
        }
    }
    // Nodes for all stores to come, and more. Throws std::bad_alloc. There is
    // no other limit than that of frames: a free one is set aside for so many
    // shared nodes, and the others are the trees of regions.
    void reserve_nodes(std::size_t more = 0) {
        maps_.reserve(node_debt_ + more);
    }

    // Arm what may be written now; false: stores to some of it trap for
    // nothing.
    bool arm_written(Region &r) noexcept;
    bool arm(Page p, std::uint32_t n) noexcept;
    void forget(Snapshot &s) noexcept;
    snapmem_status clone_shared(const Snapshot &s, const Birth &birth,
                                const snapmem_region_spec &spec,
                                std::uint32_t &region, std::uint32_t &page);
    void share_duplicates(Region &r, PageMap &snapshot) noexcept;

    struct Change; // a page of a commit: engine_commit.cpp
    template <typename Fill>
    snapmem_status apply(Region &r, std::span<const Change> changes,
                         std::uint32_t quota, Fill fill);
    bool show(Region &r, std::span<const Change> changes,
              std::span<const Backing> pages) noexcept;
    void follow_window(Region &r, std::span<const Change> changes,
                       std::span<const Backing> pages) noexcept;

    // engine_store.cpp
    Resolved resolve_store(Page p) noexcept override;
    [[nodiscard]] bool needs_copy(const PageMaps::Found &found) const;
    [[nodiscard]] bool may_move(Frame f) const;
    void count_fault(Region &r, Frame f) noexcept;
    void make_writable(Region &r, Page p) noexcept;
    Resolved disarm(Page p, std::uint32_t n) noexcept {
        return trap_->disarm(p, n) ? Resolved::woken : Resolved::yes;
    }
    Resolved disarm_from(Region &r, Page p) noexcept;
    // Pages that a trap copies: does the version that others have move?
    struct Run {
        Page first;
        std::uint32_t n;
        bool moves;
    };
    Run run_to_copy(Region &r, Page p) noexcept;
    Resolved copy_from(Region &r, Page p) noexcept;

    [[nodiscard]] Slot slot(const Region &r) const { return regions_.index(r); }
    // How the window names a region: never 0.
    [[nodiscard]] std::uint32_t owner(const Region &r) const {
        return std::uint32_t{slot(r)} + 1;
    }
    // The bytes of a page with that frame, or of a hole.
    [[nodiscard]] const std::uint8_t *bytes(Frame f) const;

    const snapmem_mode mode_;
    const std::uint32_t rx_reserve_; // frames
    const std::uint32_t map_budget_; // segments

    mutable LaneLock lock_;
    std::vector<Tally> tallies_;
    Fd file_; // the frames, then the scratch pages of the window
    Ledger ledger_;
    mutable FramePool pool_; // settle() is not const
    PageMaps maps_;
    Window window_;
    mutable SlotTable<Region> regions_; // find() is not const
    mutable SlotTable<Snapshot> snapshots_;
    DedupCache dedup_;
    Growth growth_;
    MoreRebinds more_; // of one operation
    // Nodes that the maps of all regions have at most.
    std::size_t node_debt_ = 0;
    // Where reclaim_step() goes on, and the regions that it has yet to finish:
    // those of one round, and the rest of the one it is in.
    Slot reclaim_slot_ = 0;
    Page reclaim_page_ = 0;
    std::uint32_t reclaim_left_ = 0;
    mutable Work work_;           // of what the parts do not count themselves
    snapmem_counters counters_{}; // the levels and tallies are elsewhere
    // Set once; the thread it may have ends in ~Engine().
    std::unique_ptr<WriteTrap> trap_;
};

} // namespace snapmem_impl
