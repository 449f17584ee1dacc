// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Snapshots: what taking one costs, what arming traps costs, what the stores
// after it cost, what memory the engine needs.
#include "heap.hpp"
#include "memory.hpp"
#include "processors.hpp"
#include "rig.hpp"
#include "userfault_trap.hpp"

#include <benchmark/benchmark.h>
#include <thread>

namespace snapmem_bench {
namespace {

std::uint32_t pages_of(const benchmark::State &state) {
    return static_cast<std::uint32_t>(state.range(0));
}

// ---- Metadata: no trap, nothing to copy

void snapshot_idle(benchmark::State &state) {
    const std::uint32_t n = pages_of(state);
    Rig rig(Trap::null, Rig::size_for(n));
    const RegionName r = rig.create(n);
    rig.drop(rig.snapshot(r));
    for ([[maybe_unused]] auto _ : state) {
        std::uint32_t s = 0;
        state.SetIterationTime(seconds([&] { s = rig.snapshot(r); }));
        rig.drop(s);
    }
}
BENCHMARK(snapshot_idle)
    ->Arg(small_pages)
    ->Arg(middle_pages)
    ->Arg(large_pages)
    ->UseManualTime();

void snapshot_idle_sparse(benchmark::State &state) {
    Rig rig(Trap::null, Rig::size_for(huge_pages));
    const RegionName r = rig.create(huge_pages, true);
    rig.store(r, huge_pages / 2, 0, 1);
    rig.drop(rig.snapshot(r));
    for ([[maybe_unused]] auto _ : state) {
        std::uint32_t s = 0;
        state.SetIterationTime(seconds([&] { s = rig.snapshot(r); }));
        rig.drop(s);
    }
}
BENCHMARK(snapshot_idle_sparse)->UseManualTime();

// With the mappings that this host gives, and its trap.
void snapshot_idle_mapped(benchmark::State &state) {
    Rig rig(Trap::host, Rig::size_for(huge_pages));
    const RegionName r = rig.create(huge_pages);
    rig.drop(rig.snapshot(r)); // arms all pages
    for ([[maybe_unused]] auto _ : state) {
        std::uint32_t s = 0;
        state.SetIterationTime(seconds([&] { s = rig.snapshot(r); }));
        rig.drop(s);
    }
}
BENCHMARK(snapshot_idle_mapped)->UseManualTime()->Iterations(1000);

// Every page has been stored to since the last snapshot.
void snapshot_written(benchmark::State &state) {
    const std::uint32_t n = pages_of(state);
    Rig rig(Trap::null, Rig::size_for(n));
    const RegionName r = rig.create(n);
    for ([[maybe_unused]] auto _ : state) {
        for (std::uint32_t p = 0; p < n; ++p) {
            rig.store(r, p, 0, p);
        }
        std::uint32_t s = 0;
        state.SetIterationTime(seconds([&] { s = rig.snapshot(r); }));
        rig.drop(s);
    }
    state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(snapshot_written)
    ->Arg(small_pages)
    ->Arg(middle_pages)
    ->Arg(large_pages)
    ->UseManualTime()
    ->Iterations(30);

// ---- Arming with the host's trap

// Memory under the trap, without an engine.
class TrappedMemory {
  public:
    explicit TrappedMemory(std::uint32_t npages)
        : npages_(npages),
          file_(snapmem_impl::make_memory_file("bench", npages * page_bytes)),
          memory_(npages, MAP_SHARED, file_.get()) {
        trap_.start(memory_.data(), npages, sink_);
        if (!trap_.rebound(0, npages)) {
            must(SNAPMEM_NO_TRAP, "memory for the trap");
        }
    }
    TrappedMemory(const TrappedMemory &) = delete;
    TrappedMemory &operator=(const TrappedMemory &) = delete;
    ~TrappedMemory() { trap_.stop(); }

    // In steps of that many pages.
    void arm(std::uint32_t step) {
        for (Page p = 0; p < npages_; p += step) {
            if (!trap_.arm(p, std::min(step, npages_ - p))) {
                must(SNAPMEM_NO_TRAP, "arm");
            }
        }
    }
    // Writable again and written, as after a while of use.
    void use() {
        trap_.disarm(0, npages_);
        memory_.write_all();
    }

    // One page in so many; each store is a trap, which disarms its page.
    void store(std::uint32_t stride) {
        memory_.write(0, memory_.bytes(), stride);
    }

  private:
    class Sink final : public snapmem_impl::StoreSink {
      public:
        explicit Sink(snapmem_impl::WriteTrap &trap) : trap_(trap) {}
        snapmem_impl::Resolved resolve_store(Page p) noexcept override {
            return trap_.disarm(p, 1) ? snapmem_impl::Resolved::woken
                                      : snapmem_impl::Resolved::yes;
        }

      private:
        snapmem_impl::WriteTrap &trap_;
    };

    std::uint32_t npages_;
    snapmem_impl::Fd file_;
    Memory memory_;
    snapmem_impl::UserfaultTrap trap_;
    Sink sink_{trap_};
};

void arm(benchmark::State &state) {
    const std::uint32_t n = pages_of(state);
    const auto step = static_cast<std::uint32_t>(state.range(1));
    TrappedMemory memory(n);
    for ([[maybe_unused]] auto _ : state) {
        memory.use();
        state.SetIterationTime(seconds([&] { memory.arm(step); }));
    }
    state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(arm)
    ->Args({middle_pages, 1})
    ->Args({middle_pages, 64})
    ->Args({small_pages, small_pages})
    ->Args({middle_pages, middle_pages})
    ->Args({large_pages, large_pages})
    ->UseManualTime()
    ->Iterations(20);

// What a single store cannot do without: the kernel's fault, a switch to the
// fault thread and back, and the page disarmed.
void trap_alone(benchmark::State &state) {
    constexpr std::uint32_t n = middle_pages / 2;
    constexpr std::uint32_t stride = 64;
    TrappedMemory memory(n);
    for ([[maybe_unused]] auto _ : state) {
        memory.use();
        memory.arm(n);
        state.SetIterationTime(seconds([&] { memory.store(stride); }));
    }
    state.SetItemsProcessed(state.iterations() * (n / stride));
}
BENCHMARK(trap_alone)->UseManualTime()->Iterations(30);

// ---- Stores after a snapshot, with the host's trap

void store_some(Rig &rig, const RegionName &r, std::uint32_t first,
                std::uint32_t end) {
    for (std::uint32_t p = first; p < end; ++p) {
        rig.store(r, p, 2, p);
    }
}
void store_all(Rig &rig, const RegionName &r) {
    store_some(rig, r, 0, r.npages);
}

enum class Held { by_snapshot, by_nobody };
enum class FaultThread { here, elsewhere };

void store_after(benchmark::State &state, std::uint32_t stride, Held held,
                 FaultThread where = FaultThread::here) {
    constexpr std::uint32_t n = middle_pages / 2;
    if (where == FaultThread::elsewhere) {
        use_last_processor();
    }
    Rig rig(Trap::host, Rig::size_for(n));
    use_first_processor();
    const RegionName r = rig.create(n);
    store_all(rig, r);
    for ([[maybe_unused]] auto _ : state) {
        std::uint32_t s = rig.snapshot(r);
        if (held == Held::by_nobody) {
            rig.drop(s);
        }
        state.SetIterationTime(seconds([&] {
            for (std::uint32_t p = 0; p < n; p += stride) {
                rig.store(r, p, 1, p);
            }
        }));
        if (held == Held::by_snapshot) {
            rig.drop(s);
        }
    }
    state.SetItemsProcessed(state.iterations() * (n / stride));
}
// Far apart: each store is a trap of its own.
BENCHMARK_CAPTURE(store_after, single, 64, Held::by_snapshot)
    ->UseManualTime()
    ->Iterations(30);
BENCHMARK_CAPTURE(store_after, single_elsewhere, 64, Held::by_snapshot,
                  FaultThread::elsewhere)
    ->UseManualTime()
    ->Iterations(30);
// One after another: the engine copies ahead.
BENCHMARK_CAPTURE(store_after, around, 1, Held::by_snapshot)
    ->UseManualTime()
    ->Iterations(10);
// The snapshot has gone: nothing to copy.
BENCHMARK_CAPTURE(store_after, dropped_single, 64, Held::by_nobody)
    ->UseManualTime()
    ->Iterations(30);
BENCHMARK_CAPTURE(store_after, dropped_around, 1, Held::by_nobody)
    ->UseManualTime()
    ->Iterations(10);

// All that the program waits for: every page has been stored to, and is armed.
void snapshot_and_arm(benchmark::State &state) {
    const std::uint32_t n = pages_of(state);
    Rig rig(Trap::host, Rig::size_for(n));
    const RegionName r = rig.create(n);
    for ([[maybe_unused]] auto _ : state) {
        store_all(rig, r);
        std::uint32_t s = 0;
        state.SetIterationTime(seconds([&] { s = rig.snapshot(r); }));
        rig.drop(s);
    }
}
BENCHMARK(snapshot_and_arm)
    ->Arg(small_pages)
    ->Arg(middle_pages)
    ->Arg(large_pages)
    ->UseManualTime()
    ->Iterations(10);

// A snapshot, and a store to each page while it lasts. The old bytes go to
// frames that were used before, or to such as the host has to find memory for.
enum class Frames { used, never_used };

void snapshot_and_store_all(benchmark::State &state, Frames frames) {
    const std::uint32_t n = pages_of(state);
    Rig rig(Trap::host, Rig::size_for(n));
    const RegionName r = rig.create(n);
    store_all(rig, r); // as the memory of other ways
    if (frames == Frames::used) {
        const std::uint32_t s = rig.snapshot(r);
        store_all(rig, r);
        rig.drop(s);
    }
    for ([[maybe_unused]] auto _ : state) {
        std::uint32_t s = 0;
        state.SetIterationTime(seconds([&] {
            s = rig.snapshot(r);
            store_all(rig, r);
        }));
        rig.drop(s);
    }
    state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK_CAPTURE(snapshot_and_store_all, used, Frames::used)
    ->Arg(small_pages)
    ->Arg(middle_pages)
    ->Arg(large_pages)
    ->UseManualTime()
    ->MinTime(0.1);
BENCHMARK_CAPTURE(snapshot_and_store_all, never_used, Frames::never_used)
    ->Arg(small_pages)
    ->Arg(middle_pages)
    ->Arg(large_pages)
    ->UseManualTime()
    ->Iterations(1);

// The same by two threads, each a half, on two processors.
void snapshot_and_store_by_two(benchmark::State &state) {
    const std::uint32_t n = pages_of(state);
    use_all_processors();
    Rig rig(Trap::host, Rig::size_for(n));
    const RegionName r = rig.create(n);
    store_all(rig, r); // as the memory of other ways
    for ([[maybe_unused]] auto _ : state) {
        std::uint32_t s = 0;
        state.SetIterationTime(seconds([&] {
            s = rig.snapshot(r);
            std::thread other([&] { store_some(rig, r, n / 2, n); });
            store_some(rig, r, 0, n / 2);
            other.join();
        }));
        rig.drop(s);
    }
    use_first_processor();
    state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(snapshot_and_store_by_two)
    ->Arg(middle_pages)
    ->UseManualTime()
    ->MinTime(0.1);

// ---- Memory

// Heap of the engine for regions that nobody uses, 64 MiB of them at least:
// the same for every engine, by frame and window page, by page of a region.
void idle_memory(benchmark::State &state) {
    const std::uint32_t n = pages_of(state);
    const std::uint32_t regions = std::max(middle_pages / n, 1U);
    const std::uint32_t all = n * regions;
    const double percent = 100.0 / (static_cast<double>(all) * page_bytes);
    for ([[maybe_unused]] auto _ : state) {
        const std::size_t before = heap_bytes();
        std::size_t fixed = 0;
        {
            Rig rig(Trap::null, {1, 1});
            fixed = heap_bytes() - before;
        }
        Rig rig(Trap::null, {all, all});
        const std::size_t tables = heap_bytes() - before - fixed;
        for (std::uint32_t i = 0; i < regions; ++i) {
            rig.create(n);
        }
        const std::size_t maps = heap_bytes() - before - fixed - tables;
        state.counters["fixed_bytes"] = static_cast<double>(fixed);
        state.counters["tables_percent"] =
            static_cast<double>(tables) * percent;
        state.counters["region_percent"] = static_cast<double>(maps) * percent;
    }
}
BENCHMARK(idle_memory)
    ->Arg(small_pages)
    ->Arg(middle_pages)
    ->Arg(large_pages)
    ->Iterations(1);

void snapshot_memory(benchmark::State &state) {
    const std::uint32_t n = pages_of(state);
    for ([[maybe_unused]] auto _ : state) {
        Rig rig(Trap::null, Rig::size_for(n));
        const RegionName r = rig.create(n);
        const std::size_t before = heap_bytes();
        const std::uint32_t first = rig.snapshot(r);
        const std::size_t one = heap_bytes();
        for (int i = 0; i < 99; ++i) {
            benchmark::DoNotOptimize(rig.snapshot(r));
        }
        state.counters["first_bytes"] = static_cast<double>(one - before);
        state.counters["next_bytes"] =
            static_cast<double>(heap_bytes() - one) / 99;
        rig.drop(first);
    }
}
BENCHMARK(snapshot_memory)
    ->Arg(small_pages)
    ->Arg(middle_pages)
    ->Arg(large_pages)
    ->Iterations(1);

} // namespace
} // namespace snapmem_bench
