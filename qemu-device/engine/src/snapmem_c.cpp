// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The C boundary: checks arguments that C cannot type, and turns exceptions
// into a status.
#include "snapmem/snapmem.h"

#include "engine.hpp"
#include "level.hpp"
#include "userfault_trap.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <utility>

using snapmem_impl::Engine;
using snapmem_impl::Frame;
using snapmem_impl::UserfaultTrap;

static_assert(SNAPMEM_FRAME_BYTES == snapmem_impl::page_bytes);

namespace {

// Half of the mappings of the process, for all engines in it: the rest is for
// itself. No engine needs more than one for each of its window pages, and
// those between its regions.
class MapBudget {
  public:
    explicit MapBudget(std::uint32_t window_pages) {
        const std::uint32_t all = snapmem_impl::mappings_max() / 2;
        const std::uint32_t want = window_pages + SNAPMEM_REGIONS_MAX + 1;
        std::uint32_t taken = taken_;
        do {
            mine_ = std::min(all - std::min(taken, all), want);
            lacking_ = want - mine_;
        } while (!taken_.compare_exchange_weak(taken, taken + mine_));
    }
    MapBudget(const MapBudget &) = delete;
    MapBudget &operator=(const MapBudget &) = delete;
    ~MapBudget() { taken_ -= mine_; }

    [[nodiscard]] std::uint32_t get() const { return mine_; }
    [[nodiscard]] std::uint32_t lacking() const { return lacking_; }

  private:
    static inline std::atomic<std::uint32_t> taken_ = 0;
    std::uint32_t mine_ = 0;
    std::uint32_t lacking_ = 0;
};

} // namespace

struct snapmem {
    snapmem(const snapmem_config &config,
            std::unique_ptr<snapmem_impl::WriteTrap> trap)
        : budget(config.window_pages),
          engine(config, std::move(trap),
                 {.map_budget = budget.get(),
                  .cache_frames = cache_frames(config)}) {}

    // All caches have an eighth of the pool at most.
    static std::uint32_t cache_frames(const snapmem_config &config) {
        const std::uint32_t queues = std::max(config.queues, 1U);
        return std::min(snapmem_impl::Tuning().cache_frames,
                        config.frames / 8 / queues);
    }

    MapBudget budget;
    Engine engine;
};

namespace {

// Frames and window pages have one file, indexed by 32 bits with room left.
constexpr std::uint32_t frames_max = 1u << 24;

const char *config_error(const snapmem_config &c) {
    if (c.frames == 0 || c.frames > frames_max) {
        return "the pool must have between 1 and 2^24 frames";
    }
    if (c.window_pages == 0 || c.window_pages > frames_max) {
        return "the window must have between 1 and 2^24 pages";
    }
    if (c.rx_reserve >= c.frames) {
        return "the reserve for reception must be smaller than the pool";
    }
    if (c.mode != SNAPMEM_AUTO && c.mode != SNAPMEM_SHARE &&
        c.mode != SNAPMEM_COPY) {
        return "no such capture mode";
    }
    return nullptr;
}

template <typename F>
snapmem_status guarded(F f) noexcept {
    try {
        return f();
    } catch (...) {
        return SNAPMEM_NO_MEMORY;
    }
}

} // namespace

extern "C" {

snapmem *snapmem_new(const snapmem_config *config, bool kernel_stores,
                     const char **error) {
    const char *message = config_error(*config);
    if (message == nullptr) {
        try {
            // Also to copy: snapshots need it.
            auto trap = std::make_unique<UserfaultTrap>(kernel_stores);
            return std::make_unique<snapmem>(*config, std::move(trap))
                .release();
        } catch (const snapmem_impl::TrapError &) {
            message = snapmem_trap_advice(kernel_stores);
        } catch (...) {
            message = "no memory for the pool and the window";
        }
    }
    if (error != nullptr) {
        *error = message;
    }
    return nullptr;
}

const char *snapmem_trap_advice(bool kernel_stores) {
    return kernel_stores
               ? "to share under KVM, QEMU needs a userfaultfd that sees the "
                 "kernel's stores: let it open /dev/userfaultfd, or set "
                 "vm.unprivileged_userfaultfd=1"
               : "sharing needs userfaultfd with write protection of shared "
                 "memory (Linux 5.19), which this host does not give";
}

void snapmem_free(snapmem *m) {
    const std::unique_ptr<snapmem> gone(m);
}

bool snapmem_can_share(const snapmem *m) {
    return m->engine.can_share();
}

uint32_t snapmem_maps_lacking(const snapmem *m) {
    return m->budget.lacking();
}

uint8_t *snapmem_pool(const snapmem *m) {
    return m->engine.pool_base();
}

uint8_t *snapmem_window(const snapmem *m) {
    return m->engine.window_base();
}

snapmem_status snapmem_region_create(snapmem *m,
                                     const snapmem_region_spec *spec,
                                     uint32_t *region, uint32_t *window_page) {
    return guarded(
        [&] { return m->engine.region_create(*spec, *region, *window_page); });
}

snapmem_status snapmem_region_create_step(snapmem *m,
                                          const snapmem_region_spec *spec,
                                          uint32_t *region,
                                          uint32_t *window_page) {
    return guarded([&] {
        return m->engine.region_create(*spec, *region, *window_page, true);
    });
}

void snapmem_abandon(snapmem *m) {
    m->engine.abandon();
}

snapmem_status snapmem_region_destroy(snapmem *m, uint32_t region) {
    return guarded([&] { return m->engine.region_destroy(region); });
}

snapmem_status snapmem_capture(snapmem *m, uint32_t queue, uint32_t region,
                               uint64_t offset, uint32_t length,
                               uint32_t *frames, size_t room,
                               uint32_t *nframes) {
    return guarded([&] {
        return m->engine.capture(region, offset, length, {frames, room},
                                 *nframes, queue);
    });
}

snapmem_status snapmem_capture_large(snapmem *m, uint32_t queue,
                                     uint32_t region, uint64_t offset,
                                     uint32_t length, uint32_t *frames,
                                     size_t room, uint32_t *nframes) {
    return guarded([&] {
        return m->engine.capture(region, offset, length, {frames, room},
                                 *nframes, queue, true);
    });
}

snapmem_status snapmem_snapshot(snapmem *m, uint32_t region, uint32_t quota,
                                uint32_t *snapshot, uint64_t *version) {
    return guarded(
        [&] { return m->engine.snapshot(region, quota, *snapshot, *version); });
}

snapmem_status snapmem_snapshot_drop(snapmem *m, uint32_t snapshot) {
    return guarded([&] { return m->engine.snapshot_drop(snapshot); });
}

snapmem_status snapmem_clone(snapmem *m, uint32_t snapshot,
                             const snapmem_region_spec *spec, uint32_t *region,
                             uint32_t *window_page) {
    return guarded([&] {
        return m->engine.clone(snapshot, *spec, *region, *window_page);
    });
}

snapmem_status snapmem_clone_step(snapmem *m, uint32_t snapshot,
                                  const snapmem_region_spec *spec,
                                  uint32_t *region, uint32_t *window_page) {
    return guarded([&] {
        return m->engine.clone(snapshot, *spec, *region, *window_page, true);
    });
}

snapmem_status snapmem_commit(snapmem *m, uint32_t region, uint32_t from,
                              uint32_t quota, uint64_t *version) {
    return guarded(
        [&] { return m->engine.commit(region, from, quota, *version); });
}

snapmem_status snapmem_merge(snapmem *m, uint32_t region, uint32_t base,
                             uint32_t from, uint32_t quota, uint64_t *conflicts,
                             size_t room, size_t *nconflicts,
                             uint64_t *version) {
    return guarded([&] {
        return m->engine.merge(region, base, from, quota, {conflicts, room},
                               *nconflicts, *version);
    });
}

snapmem_status snapmem_diff(const snapmem *m, uint32_t a, uint32_t b,
                            uint32_t first, uint32_t *pages, size_t room,
                            size_t *npages, uint32_t *next) {
    return guarded([&] {
        return m->engine.diff(a, b, first, {pages, room}, *npages, *next);
    });
}

snapmem_status snapmem_discard(snapmem *m, uint32_t region, uint32_t first,
                               uint32_t npages) {
    return guarded([&] { return m->engine.discard(region, first, npages); });
}

snapmem_status snapmem_get_object(const snapmem *m, uint32_t handle,
                                  snapmem_object *out) {
    return guarded([&] { return m->engine.get_object(handle, *out); });
}

uint32_t snapmem_charged(const snapmem *m, uint32_t owner) {
    return static_cast<uint32_t>(std::min<std::uint64_t>(
        m->engine.charged(owner), std::numeric_limits<uint32_t>::max()));
}

snapmem_status snapmem_release(snapmem *m, uint32_t queue,
                               const uint32_t *frames, size_t count,
                               size_t *done) {
    return guarded([&] {
        size_t dropped = 0;
        const snapmem_status status =
            m->engine.release({frames, count}, dropped, queue);
        if (done != nullptr) {
            *done = dropped;
        }
        return status;
    });
}

bool snapmem_guest_holds(const snapmem *m, uint32_t first, uint32_t count) {
    return m->engine.guest_holds(first, count);
}

snapmem_status snapmem_receive(snapmem *m, uint32_t *frames, size_t count) {
    return guarded([&] { return m->engine.receive({frames, count}); });
}

snapmem_status snapmem_receive_large(snapmem *m, uint32_t *large) {
    return guarded([&] { return m->engine.receive_large(*large); });
}

void snapmem_give(snapmem *m, const uint32_t *frames, size_t count) {
    m->engine.give({frames, count});
}

void snapmem_hold(snapmem *m, const uint32_t *frames, size_t count) {
    m->engine.hold({frames, count});
}

void snapmem_drop(snapmem *m, const uint32_t *frames, size_t count) {
    m->engine.drop({frames, count});
}

uint32_t snapmem_free_frames(const snapmem *m) {
    return m->engine.available();
}

void snapmem_publish_free_frames(const snapmem *m, uint32_t *word) {
    snapmem_impl::publish_level(std::atomic_ref<uint32_t>(*word),
                                [m] { return m->engine.available(); });
}

void snapmem_reset(snapmem *m) {
    m->engine.reset();
}

void snapmem_get_counters(const snapmem *m, snapmem_counters *out) {
    m->engine.get_counters(*out);
}

const char *snapmem_check(const snapmem *m) {
    try {
        return m->engine.check();
    } catch (...) {
        return "no memory for the check";
    }
}

} // extern "C"
