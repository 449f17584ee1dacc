// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Single commands in their worst case, which a guest can arrange on purpose:
// what one of them may keep others waiting. No trap.
#include "rig.hpp"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <vector>

namespace snapmem_bench {
namespace {

// Frames that a few snapshots of so many pages set aside for their nodes.
constexpr std::uint32_t for_nodes(std::uint32_t npages) {
    return npages / 64;
}

// ---- REGION_CREATE, 256 MiB

enum class Frames { never_used, used, fragmented };

void worst_create(benchmark::State &state, Frames frames) {
    constexpr std::uint32_t n = large_pages / 4;
    for ([[maybe_unused]] auto _ : state) {
        Rig rig(Trap::null, {2 * n + 1, n});
        if (frames == Frames::fragmented) {
            rig.fragment();
        } else if (frames == Frames::used) {
            const RegionName r = rig.create(n);
            rig.store_all(r);
            rig.destroy(r);
        }
        const auto most = frames == Frames::fragmented ? n / 8 : n;
        state.SetIterationTime(seconds([&] { rig.create(most); }));
    }
}
BENCHMARK_CAPTURE(worst_create, never_used, Frames::never_used)
    ->UseManualTime()
    ->Iterations(1);
BENCHMARK_CAPTURE(worst_create, used, Frames::used)
    ->UseManualTime()
    ->Iterations(1);
BENCHMARK_CAPTURE(worst_create, fragmented_32m, Frames::fragmented)
    ->UseManualTime()
    ->Iterations(1);

// One step of it: the longest of all.
void worst_create_step(benchmark::State &state) {
    constexpr std::uint32_t n = large_pages / 4;
    for ([[maybe_unused]] auto _ : state) {
        Rig rig(Trap::null, {2 * n + 1, n});
        const RegionName r = rig.create(n);
        rig.store_all(r);
        rig.destroy(r);
        double longest = 0;
        for (bool more = true; more;) {
            longest =
                std::max(longest, seconds([&] { more = rig.create_step(n); }));
        }
        state.SetIterationTime(longest);
    }
}
BENCHMARK(worst_create_step)->UseManualTime()->Iterations(1);

// ---- CLONE of another owner's snapshot, 64 MiB

void worst_clone(benchmark::State &state, std::uint32_t owner) {
    constexpr std::uint32_t n = middle_pages;
    Rig rig(Trap::null, {3 * n + for_nodes(n), 2 * n});
    const RegionName r = rig.create(n);
    const std::uint32_t s = rig.snapshot(r);
    for ([[maybe_unused]] auto _ : state) {
        RegionName clone;
        state.SetIterationTime(
            seconds([&] { clone = rig.clone(s, n, owner); }));
        rig.destroy(clone);
    }
}
BENCHMARK_CAPTURE(worst_clone, same_owner, 0)->UseManualTime()->Iterations(5);
BENCHMARK_CAPTURE(worst_clone, other_owner, 1)->UseManualTime()->Iterations(5);

// One step of the copies.
void worst_clone_step(benchmark::State &state) {
    constexpr std::uint32_t n = middle_pages;
    Rig rig(Trap::null, {3 * n + for_nodes(n), 2 * n});
    const std::uint32_t s = rig.snapshot(rig.create(n));
    for ([[maybe_unused]] auto _ : state) {
        double longest = 0;
        for (bool more = true; more;) {
            longest = std::max(longest,
                               seconds([&] { more = rig.clone_step(s, 1); }));
        }
        state.SetIterationTime(longest);
    }
}
BENCHMARK(worst_clone_step)->UseManualTime()->Iterations(1);

// ---- SNAPSHOT of one page: of many, and with many promises

void worst_snapshot(benchmark::State &state) {
    const auto held = static_cast<std::uint32_t>(state.range(0));
    const auto promised = static_cast<std::uint32_t>(state.range(1));
    // Twice the promises pass the budget.
    Rig rig(Trap::null, {promised + 1024, promised + 1024}, SNAPMEM_AUTO,
            promised == 0 ? UINT32_MAX : promised * 3 / 2);
    if (promised != 0) {
        rig.create(promised, true);
    }
    const RegionName r = rig.create(1);
    for (std::uint32_t i = 0; i < held; ++i) {
        rig.snapshot(r);
    }
    for ([[maybe_unused]] auto _ : state) {
        std::uint32_t s = 0;
        state.SetIterationTime(seconds([&] { s = rig.snapshot(r); }));
        rig.drop(s);
    }
}
BENCHMARK(worst_snapshot)
    ->Args({0, 0})
    ->Args({SNAPMEM_SNAPSHOTS_MAX - 1, 0})
    ->Args({0, large_pages})
    ->UseManualTime()
    ->Iterations(1000);

// ---- A trapped store, nothing but single frames free in 4 GiB

void worst_store(benchmark::State &state) {
    constexpr std::uint32_t n = middle_pages;
    Rig rig(Trap::null, {4 * large_pages, n});
    rig.fragment();
    const RegionName r = rig.create(n, true);
    std::uint32_t p = 0;
    for ([[maybe_unused]] auto _ : state) {
        // Each 16th is a trap that copies as far ahead as there is.
        state.SetIterationTime(seconds([&] {
            for (const std::uint32_t end = p + 64; p < end; ++p) {
                rig.store(r, p, 0, p);
            }
        }));
    }
    state.SetItemsProcessed(state.iterations() * 4);
}
BENCHMARK(worst_store)->UseManualTime()->Iterations(middle_pages / 64);

// ---- CAPTURE without frames, after a snapshot has gone; 256 MiB of regions

void worst_capture(benchmark::State &state) {
    constexpr std::uint32_t n = large_pages / 4;
    Rig rig(Trap::null, {n + 64, n + 64});
    const RegionName large = rig.create(n, false, SNAPMEM_HINT_REWRITE);
    const RegionName busy = rig.create(1);
    const std::uint32_t keep = rig.snapshot(busy);
    rig.receive_all();
    std::vector<Frame> frames(1);
    std::uint32_t got = 0;
    for ([[maybe_unused]] auto _ : state) {
        rig.drop(rig.snapshot(busy));
        state.SetIterationTime(seconds([&] {
            if (rig->capture(large.handle, 0, page_bytes, frames, got) !=
                SNAPMEM_NO_FRAMES) {
                must(SNAPMEM_BAD_FRAME, "a capture without frames");
            }
        }));
    }
    rig.drop(keep);
}
BENCHMARK(worst_capture)->UseManualTime()->Iterations(200);

// ---- DIFF of equal bytes in different frames: one command of 64 MiB

void worst_diff(benchmark::State &state) {
    constexpr std::uint32_t n = middle_pages;
    Rig rig(Trap::null, {3 * n + for_nodes(n), n});
    const RegionName r = rig.create(n);
    const std::uint32_t a = rig.snapshot(r);
    for (std::uint32_t p = 0; p < n; ++p) {
        rig.store(r, p, 0, 0);
    }
    const std::uint32_t b = rig.snapshot(r);
    std::vector<Page> pages(1024);
    for ([[maybe_unused]] auto _ : state) {
        benchmark::DoNotOptimize(rig.diff(a, b, pages));
    }
}
BENCHMARK(worst_diff);

} // namespace
} // namespace snapmem_bench
