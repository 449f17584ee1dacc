// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Captures of 64 KiB, beside memcpy.
#include "processors.hpp"
#include "rig.hpp"

#include <array>
#include <benchmark/benchmark.h>
#include <cstring>
#include <vector>

namespace snapmem_bench {
namespace {

constexpr std::uint32_t capture_bytes = 65536;
constexpr std::uint32_t capture_pages = capture_bytes / page_bytes;
constexpr int threads_max = 4;

void count_bytes(benchmark::State &state) {
    state.SetBytesProcessed(state.iterations() * std::int64_t{capture_bytes});
}

void capture_and_release(Rig &rig, const RegionName &r,
                         std::uint64_t offset = 0, std::uint32_t queue = 0) {
    std::array<Frame, capture_pages> frames{};
    std::uint32_t n = 0;
    must(rig->capture(r.handle, offset, capture_bytes, frames, n, queue),
         "capture");
    std::size_t done = 0;
    must(rig->release(std::span(frames).first(n), done, queue), "release");
}

// The room of all threads.
Rig make_rig(snapmem_mode mode) {
    constexpr std::uint32_t pages = threads_max * capture_pages;
    return Rig(mode == SNAPMEM_COPY ? Trap::null : Trap::host,
               Rig::size_for(pages, 2), mode);
}

void memcpy_64k(benchmark::State &state) {
    std::vector<std::uint8_t> from(capture_bytes, 1);
    std::vector<std::uint8_t> to(capture_bytes);
    for ([[maybe_unused]] auto _ : state) {
        std::memcpy(to.data(), from.data(), capture_bytes);
        benchmark::ClobberMemory();
    }
    count_bytes(state);
}
BENCHMARK(memcpy_64k);

// The buffer is warm, and so are the frames, which were released just now.
void capture_copy_64k(benchmark::State &state) {
    Rig rig = make_rig(SNAPMEM_COPY);
    const RegionName r = rig.create(capture_pages);
    for (std::uint32_t p = 0; p < capture_pages; ++p) {
        rig.store(r, p, 0, 1);
    }
    for ([[maybe_unused]] auto _ : state) {
        capture_and_release(rig, r);
    }
    count_bytes(state);
}
BENCHMARK(capture_copy_64k);

// Nobody stores to the buffer in between.
void capture_share_64k(benchmark::State &state) {
    Rig rig = make_rig(SNAPMEM_SHARE);
    const RegionName r = rig.create(capture_pages);
    for ([[maybe_unused]] auto _ : state) {
        capture_and_release(rig, r);
    }
    count_bytes(state);
}
BENCHMARK(capture_share_64k);

// A store to each page, a capture of all, in turn.
void rewritten_64k(benchmark::State &state, snapmem_mode mode) {
    Rig rig = make_rig(mode);
    const RegionName r = rig.create(capture_pages);
    std::uint64_t value = 0;
    for ([[maybe_unused]] auto _ : state) {
        ++value;
        for (std::uint32_t p = 0; p < capture_pages; ++p) {
            rig.words(r)[p * words_per_page] = value;
        }
        capture_and_release(rig, r);
    }
    count_bytes(state);
}
BENCHMARK_CAPTURE(rewritten_64k, copy, SNAPMEM_COPY);
BENCHMARK_CAPTURE(rewritten_64k, share, SNAPMEM_SHARE)->UseRealTime();
BENCHMARK_CAPTURE(rewritten_64k, auto, SNAPMEM_AUTO) -> UseRealTime();

// Several threads, each with a region and a queue of its own.
std::unique_ptr<Rig> shared_rig;
RegionName shared_region;

template <snapmem_mode mode>
void share_rig(const benchmark::State & /*state*/) {
    use_all_processors();
    shared_rig = std::make_unique<Rig>(make_rig(mode));
}
void share_rig_and_region(const benchmark::State &state) {
    share_rig<SNAPMEM_SHARE>(state);
    shared_region = shared_rig->create(threads_max * capture_pages);
}
void unshare_rig(const benchmark::State & /*state*/) {
    shared_rig.reset();
    use_first_processor();
}

void capture_threads(benchmark::State &state) {
    const RegionName r = shared_rig->create(capture_pages);
    const auto queue = static_cast<std::uint32_t>(state.thread_index());
    for ([[maybe_unused]] auto _ : state) {
        capture_and_release(*shared_rig, r, 0, queue);
    }
    count_bytes(state);
}
void capture_copy_threads(benchmark::State &state) {
    capture_threads(state);
}
void capture_share_threads(benchmark::State &state) {
    capture_threads(state);
}
// Several threads, each with a range of the same region.
void capture_share_one_region(benchmark::State &state) {
    const auto queue = static_cast<std::uint32_t>(state.thread_index());
    for ([[maybe_unused]] auto _ : state) {
        capture_and_release(*shared_rig, shared_region,
                            std::uint64_t{queue} * capture_bytes, queue);
    }
    count_bytes(state);
}
BENCHMARK(capture_copy_threads)
    ->Setup(share_rig<SNAPMEM_COPY>)
    ->Teardown(unshare_rig)
    ->ThreadRange(1, threads_max)
    ->UseRealTime();
BENCHMARK(capture_share_threads)
    ->Setup(share_rig<SNAPMEM_SHARE>)
    ->Teardown(unshare_rig)
    ->ThreadRange(1, threads_max)
    ->UseRealTime();
BENCHMARK(capture_share_one_region)
    ->Setup(share_rig_and_region)
    ->Teardown(unshare_rig)
    ->ThreadRange(1, threads_max)
    ->UseRealTime();

} // namespace
} // namespace snapmem_bench
