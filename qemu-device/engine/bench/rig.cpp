// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rig.hpp"
#include "userfault_trap.hpp"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace snapmem_bench {

namespace {

constexpr std::uint32_t spare_frames = 1024;   // for captures
constexpr std::uint32_t spare_mappings = 2000; // of the process

} // namespace

void must(snapmem_status status, const char *what) {
    if (status != SNAPMEM_OK) {
        std::fprintf(stderr, "snapmem-bench: %s: status %d\n", what,
                     static_cast<int>(status));
        std::exit(1);
    }
}

Rig::Size Rig::size_for(std::uint32_t npages, std::uint32_t regions) {
    // A snapshot sets frames aside for the nodes of its map, too.
    const std::uint32_t all = npages * regions;
    const std::uint32_t frames = 2 * all + all / 128 + spare_frames;
    // As pools of devices, which have whole groups.
    return {frames - frames % SNAPMEM_LARGE_FRAMES, all};
}

Rig::Rig(Trap kind, Size size, snapmem_mode mode, std::uint32_t budget) {
    const snapmem_config config{.frames = size.frames,
                                .window_pages = size.window_pages,
                                .rx_reserve = 0,
                                .mode = mode,
                                .dedup = false,
                                .queues = queues};
    std::unique_ptr<snapmem_impl::WriteTrap> trap;
    if (kind == Trap::null) {
        auto null = std::make_unique<NullTrap>();
        null_ = null.get();
        trap = std::move(null);
    } else {
        trap = std::make_unique<snapmem_impl::UserfaultTrap>();
        budget = snapmem_impl::mappings_max() - spare_mappings;
    }
    engine_ = std::make_unique<Engine>(
        config, std::move(trap), snapmem_impl::Tuning{.map_budget = budget});
    if (!engine_->can_share()) {
        must(SNAPMEM_NO_TRAP, "userfaultfd with write protection");
    }
}

RegionName Rig::create(std::uint32_t npages, bool sparse, snapmem_hint hint) {
    const snapmem_region_spec spec{.npages = npages,
                                   .hint = hint,
                                   .sparse = sparse,
                                   .owner = 0,
                                   .quota = SNAPMEM_QUOTA_NONE};
    RegionName r{.npages = npages};
    must(engine_->region_create(spec, r.handle, r.page), "region_create");
    return r;
}

RegionName Rig::clone(std::uint32_t snapshot, std::uint32_t npages,
                      std::uint32_t owner) {
    const snapmem_region_spec spec{.npages = npages,
                                   .hint = SNAPMEM_HINT_NONE,
                                   .sparse = false,
                                   .owner = owner,
                                   .quota = SNAPMEM_QUOTA_NONE};
    RegionName r{.npages = npages};
    must(engine_->clone(snapshot, spec, r.handle, r.page), "clone");
    return r;
}

bool Rig::create_step(std::uint32_t npages) {
    const snapmem_region_spec spec{.npages = npages,
                                   .hint = SNAPMEM_HINT_NONE,
                                   .sparse = false,
                                   .owner = 0,
                                   .quota = SNAPMEM_QUOTA_NONE};
    RegionName r;
    const snapmem_status status =
        engine_->region_create(spec, r.handle, r.page, true);
    must(status == SNAPMEM_AGAIN ? SNAPMEM_OK : status, "region_create");
    return status == SNAPMEM_AGAIN;
}

bool Rig::clone_step(std::uint32_t snapshot, std::uint32_t owner) {
    const snapmem_region_spec spec{.npages = 0,
                                   .hint = SNAPMEM_HINT_NONE,
                                   .sparse = false,
                                   .owner = owner,
                                   .quota = SNAPMEM_QUOTA_NONE};
    RegionName r;
    const snapmem_status status =
        engine_->clone(snapshot, spec, r.handle, r.page, true);
    must(status == SNAPMEM_AGAIN ? SNAPMEM_OK : status, "clone");
    return status == SNAPMEM_AGAIN;
}

void Rig::destroy(const RegionName &r) {
    must(engine_->region_destroy(r.handle), "region_destroy");
}

std::uint32_t Rig::snapshot(const RegionName &r) {
    std::uint32_t s = 0;
    std::uint64_t version = 0;
    must(engine_->snapshot(r.handle, SNAPMEM_QUOTA_NONE, s, version),
         "snapshot");
    return s;
}

void Rig::drop(std::uint32_t snapshot) {
    must(engine_->snapshot_drop(snapshot), "snapshot_drop");
}

std::uint64_t Rig::commit(const RegionName &r, std::uint32_t from,
                          std::uint64_t version) {
    must(engine_->commit(r.handle, from, SNAPMEM_QUOTA_NONE, version),
         "commit");
    return version;
}

std::uint64_t Rig::merge(const RegionName &r, std::uint32_t base,
                         std::uint32_t from) {
    std::uint64_t version = 0;
    std::size_t n = 0;
    must(engine_->merge(r.handle, base, from, SNAPMEM_QUOTA_NONE, {}, n,
                        version),
         "merge");
    return version;
}

std::uint64_t Rig::restore(const RegionName &r, std::uint32_t snapshot) {
    std::uint32_t s = 0;
    std::uint64_t version = 0;
    must(engine_->snapshot(r.handle, SNAPMEM_QUOTA_NONE, s, version),
         "snapshot");
    version = commit(r, snapshot, version);
    drop(s);
    return version;
}

std::vector<Frame> Rig::receive_all() {
    std::vector<Frame> frames(engine_->available());
    must(engine_->receive(frames), "receive");
    return frames;
}

void Rig::fragment(std::uint32_t large) {
    std::vector<Frame> back;
    for (const Frame f : receive_all()) {
        if (f % 2 != 0 || f < large * SNAPMEM_LARGE_FRAMES) {
            back.push_back(f);
        }
    }
    engine_->drop(back);
}

std::uint32_t Rig::diff(std::uint32_t a, std::uint32_t b,
                        std::span<Page> pages) {
    std::size_t n = 0;
    Page next = 0;
    must(engine_->diff(a, b, 0, pages, n, next), "diff");
    return static_cast<std::uint32_t>(n);
}

std::uint32_t Rig::diff_all(std::uint32_t a, std::uint32_t b,
                            std::span<Page> pages) {
    std::size_t sum = 0;
    for (Page next = 0; next != SNAPMEM_DIFF_END && sum < pages.size();) {
        std::size_t n = 0;
        must(engine_->diff(a, b, next, pages.subspan(sum), n, next), "diff");
        sum += n;
    }
    return static_cast<std::uint32_t>(sum);
}

} // namespace snapmem_bench
