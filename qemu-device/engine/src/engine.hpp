// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The engine: regions, captures and stores over pool, window and trap.
#pragma once

#include "frame_pool.hpp"
#include "region.hpp"
#include "window.hpp"
#include "write_trap.hpp"

#include "snapmem/snapmem.h"

#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace snapmem_impl {

// Locking: mutex_ guards everything that is not constant. It is a leaf for
// the threads that call in; a trap may take locks of its own inside it, and
// calls resolve_store() without them. The fault thread waits for nothing
// else, so a thread that is stopped in a store while it holds any lock of its
// own (the BQL, say) still goes on.
//
// A page of a region is *armed* when the trap stops stores to it, and
// *shared* when its frame is held by the guest or the device too. Invariants,
// which check() verifies:
//   - each page of a region shows a frame of its own;
//   - a shared page is armed (so the held frame never changes);
//   - free frames >= shared pages, and mapping segments + what rebinding
//     every shared page may add <= map_budget (so a store never fails).
//
// Memory is read and written through the pool's mapping only: the engine
// itself never faults.
class Engine final : private StoreSink {
  public:
    // trap: nullptr to copy always. map_budget: mapping segments that the
    // window may use. Throws TrapError (SNAPMEM_SHARE and the trap does not
    // start), std::system_error and std::bad_alloc.
    Engine(const snapmem_config &config, std::unique_ptr<WriteTrap> trap,
           std::uint32_t map_budget);
    Engine(const Engine &) = delete;
    Engine &operator=(const Engine &) = delete;
    ~Engine() override;

    [[nodiscard]] bool can_share() const { return trap_ != nullptr; }
    [[nodiscard]] std::uint8_t *pool_base() const { return pool_.base(); }
    [[nodiscard]] std::uint8_t *window_base() const { return window_.base(); }
    [[nodiscard]] std::uint32_t available() const { return pool_.available(); }

    // As the functions of snapmem.h.
    snapmem_status region_create(std::uint32_t npages, snapmem_hint hint,
                                 std::uint32_t &region, std::uint32_t &page);
    snapmem_status region_destroy(std::uint32_t region);
    snapmem_status capture(std::uint32_t region, std::uint64_t offset,
                           std::uint32_t length, std::span<Frame> frames,
                           std::uint32_t &nframes);
    snapmem_status release(std::span<const Frame> frames, std::size_t &done);
    [[nodiscard]] bool guest_holds(Frame first,
                                   std::uint32_t count) const noexcept;
    snapmem_status receive(std::span<Frame> frames);
    void give(std::span<const Frame> frames) noexcept;
    void hold(std::span<const Frame> frames) noexcept;
    void drop(std::span<const Frame> frames) noexcept;
    void reset() noexcept;
    void get_counters(snapmem_counters &out) const noexcept;
    [[nodiscard]] const char *check() const;

  private:
    using Lock = std::lock_guard<std::mutex>;

    // A capture, cut at page borders. Pages are window pages.
    struct Cut {
        Page first, end;             // touched
        Page whole_first, whole_end; // covered wholly
        std::size_t head;            // bytes before the range in `first`
        std::size_t tail;            // bytes after it in `end - 1`

        [[nodiscard]] std::uint32_t pages() const { return end - first; }
        [[nodiscard]] std::uint32_t wholes() const {
            return whole_end - whole_first;
        }
        [[nodiscard]] bool is_whole(Page p) const {
            return p >= whole_first && p < whole_end;
        }
    };

    // All below: the caller holds mutex_, but for resolve_store().
    static Cut cut(const Region &r, std::uint64_t offset, std::uint32_t length);
    [[nodiscard]] bool wants_share(Region &r, const Cut &c) const;
    // Frames a capture takes or reserves.
    [[nodiscard]] std::uint32_t frames_needed(const Cut &c, bool share) const;
    // Make the whole pages of c fit to be held; false: copy them instead.
    bool prepare_share(const Cut &c);
    Frame copy_page(Page p, std::size_t head, std::size_t tail);
    [[nodiscard]] bool maps_allow(std::uint64_t more) const;
    // Let stores land again on p, armed and not shared, and a few such
    // pages behind it.
    void disarm_unshared(Region &r, Page p);
    // False: no mapping to be had; the region lives on without a name.
    bool destroy(Region &r) noexcept;
    bool resolve_store(Page p) noexcept override;

    const snapmem_mode mode_;
    const std::uint32_t rx_reserve_; // frames
    const std::uint32_t map_budget_; // segments

    mutable std::mutex mutex_;
    Fd file_; // the frames, then the scratch pages of the window
    FramePool pool_;
    Window window_;
    RegionTable regions_;
    std::vector<std::uint8_t> armed_; // by window page
    snapmem_counters counters_{};     // the levels are in pool_
    // Set once; the thread it may have ends in ~Engine().
    std::unique_ptr<WriteTrap> trap_;
};

} // namespace snapmem_impl
