// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Each operation of the table "What operations cost" in engine.rst, for n and
// for 2 n, with what makes it dear arranged: how its time grows. No trap.
#include "rig.hpp"

#include <benchmark/benchmark.h>
#include <vector>

namespace snapmem_bench {
namespace {

constexpr std::uint32_t some_pages = 8192; // of a region; and twice as many
constexpr std::uint32_t some_frames = 128; // of one command
constexpr std::uint32_t some_large = 32;   // likewise, of large ones
constexpr std::uint32_t some_owners = 500;

std::uint32_t arg(const benchmark::State &state) {
    return static_cast<std::uint32_t>(state.range(0));
}

void two_sizes(benchmark::internal::Benchmark *b, std::uint32_t n,
               int iterations = 20) {
    b->Arg(n)->Arg(2 * n)->UseManualTime()->Iterations(iterations);
}
void by_pages(benchmark::internal::Benchmark *b) {
    two_sizes(b, some_pages, 3);
}
void by_frames(benchmark::internal::Benchmark *b) {
    two_sizes(b, some_frames);
}
void by_large(benchmark::internal::Benchmark *b) {
    two_sizes(b, some_large);
}
void by_owners(benchmark::internal::Benchmark *b) {
    two_sizes(b, some_owners);
}

// before() is not measured, nor is after().
template <typename Before, typename F, typename After>
void measure(benchmark::State &state, Before before, F f, After after) {
    before();
    f(); // what is done for the first time only
    after();
    for ([[maybe_unused]] auto _ : state) {
        before();
        state.SetIterationTime(seconds(f));
        after();
    }
}

// ---- Regions

// All of its frames are single ones that were used before.
void cost_create(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, {2 * n + 2, n});
    rig.fragment();
    RegionName r;
    measure(
        state, [] {}, [&] { r = rig.create(n); },
        [&] {
            rig.store_all(r);
            rig.destroy(r);
        });
}
BENCHMARK(cost_create)->Apply(by_pages);

void cost_create_sparse(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, {n, n});
    RegionName r;
    measure(
        state, [] {}, [&] { r = rig.create(n, true); },
        [&] { rig.destroy(r); });
}
BENCHMARK(cost_create_sparse)->Apply(by_pages);

void cost_destroy(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, {2 * n + 2, n});
    rig.fragment();
    RegionName r;
    measure(
        state, [&] { r = rig.create(n); }, [&] { rig.destroy(r); }, [] {});
}
BENCHMARK(cost_destroy)->Apply(by_pages);

void cost_clone(benchmark::State &state, std::uint32_t owner) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, Rig::size_for(n, 2));
    const std::uint32_t s = rig.snapshot(rig.create(n));
    RegionName r;
    measure(
        state, [] {}, [&] { r = rig.clone(s, n, owner); },
        [&] { rig.destroy(r); });
}
BENCHMARK_CAPTURE(cost_clone, same_owner, 0)->Apply(by_pages);
BENCHMARK_CAPTURE(cost_clone, other_owner, 1)->Apply(by_pages);

void cost_discard(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, Rig::size_for(n));
    const RegionName r = rig.create(n);
    measure(
        state, [&] { rig.store_all(r); },
        [&] { must(rig->discard(r.handle, 0, n), "discard"); }, [] {});
}
BENCHMARK(cost_discard)->Apply(by_pages);

// ---- Snapshots

// Each but one is there, and all frames are promised.
void cost_snapshot(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, Rig::size_for(n));
    const RegionName r = rig.create(n);
    for (std::uint32_t i = 1; i < SNAPMEM_SNAPSHOTS_MAX; ++i) {
        rig.snapshot(r);
    }
    rig.receive_all();
    std::uint32_t s = 0;
    measure(
        state, [] {}, [&] { s = rig.snapshot(r); }, [&] { rig.drop(s); });
}
BENCHMARK(cost_snapshot)->Apply(by_pages);

void cost_snapshot_written(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, Rig::size_for(n));
    const RegionName r = rig.create(n);
    std::uint32_t s = 0;
    measure(
        state, [&] { rig.store_all(r); }, [&] { s = rig.snapshot(r); },
        [&] { rig.drop(s); });
}
BENCHMARK(cost_snapshot_written)->Apply(by_pages);

// Nobody else has its frames any more.
void cost_drop(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, Rig::size_for(n));
    const RegionName r = rig.create(n);
    std::uint32_t s = 0;
    measure(
        state,
        [&] {
            s = rig.snapshot(r);
            rig.store_all(r);
        },
        [&] { rig.drop(s); }, [] {});
}
BENCHMARK(cost_drop)->Apply(by_pages);

// One page, alone, of n under a snapshot, no two free frames in a row.
void cost_store(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, {6 * n, n});
    const RegionName r = rig.create(n);
    rig.fragment();
    std::uint32_t s = 0;
    std::uint32_t p = 0;
    measure(
        state,
        [&] {
            s = rig.snapshot(r);
            p = (p + n / 2 + 1) % n;
        },
        [&] { rig.store(r, p, 0, 1); }, [&] { rig.drop(s); });
}
BENCHMARK(cost_store)->Apply(by_pages);

// All pages have been changed: in a clone, for one that has stayed.
class Changed {
  public:
    explicit Changed(std::uint32_t n)
        : rig_(Trap::null, Rig::size_for(n, 3)), region_(rig_.create(n)),
          base_(rig_.snapshot(region_)), from_(change(n)) {}

    Rig &rig() { return rig_; }
    void restore() { version_ = rig_.restore(region_, base_); }
    void commit() { version_ = rig_.commit(region_, from_, version_); }
    void merge() { version_ = rig_.merge(region_, base_, from_); }
    [[nodiscard]] std::uint32_t base() const { return base_; }
    [[nodiscard]] std::uint32_t from() const { return from_; }

  private:
    std::uint32_t change(std::uint32_t n) {
        const RegionName clone = rig_.clone(base_, n);
        rig_.store_all(clone);
        const std::uint32_t s = rig_.snapshot(clone);
        rig_.destroy(clone);
        return s;
    }

    Rig rig_;
    RegionName region_;
    std::uint32_t base_;
    std::uint32_t from_;
    std::uint64_t version_ = 0;
};

void cost_commit(benchmark::State &state) {
    Changed c(arg(state));
    measure(
        state, [&] { c.restore(); }, [&] { c.commit(); }, [] {});
}
BENCHMARK(cost_commit)->Apply(by_pages);

void cost_merge(benchmark::State &state) {
    Changed c(arg(state));
    measure(
        state, [&] { c.restore(); }, [&] { c.merge(); }, [] {});
}
BENCHMARK(cost_merge)->Apply(by_pages);

// One command compares 2048 pages at most.
void cost_diff(benchmark::State &state) {
    Changed c(arg(state));
    std::vector<Page> pages(arg(state));
    measure(
        state, [] {},
        [&] {
            benchmark::DoNotOptimize(c.rig().diff(c.base(), c.from(), pages));
        },
        [] {});
}
BENCHMARK(cost_diff)->Apply(by_pages);

// ---- Captures, and frames of the guest

// What `handle` names is captured, and released for the next time.
void captures(benchmark::State &state, Rig &rig, std::uint32_t handle,
              const RegionName *stored) {
    std::vector<Frame> frames(arg(state));
    const std::uint32_t bytes = arg(state) * page_bytes;
    std::uint32_t n = 0;
    measure(
        state,
        [&] {
            if (stored != nullptr) {
                rig.store_all(*stored);
            }
        },
        [&] { must(rig->capture(handle, 0, bytes, frames, n), "capture"); },
        [&] {
            std::size_t done = 0;
            must(rig->release(std::span(frames).first(n), done), "release");
        });
}

void cost_capture(benchmark::State &state, snapmem_mode mode) {
    Rig rig(Trap::null, {3 * some_pages, some_pages}, mode);
    rig.fragment();
    const RegionName r = rig.create(arg(state));
    captures(state, rig, r.handle, &r);
}
BENCHMARK_CAPTURE(cost_capture, copy, SNAPMEM_COPY)->Apply(by_frames);
BENCHMARK_CAPTURE(cost_capture, share, SNAPMEM_SHARE)->Apply(by_frames);

void cost_capture_snapshot(benchmark::State &state) {
    Rig rig(Trap::null, {3 * some_pages, some_pages});
    rig.fragment();
    captures(state, rig, rig.snapshot(rig.create(arg(state))), nullptr);
}
BENCHMARK(cost_capture_snapshot)->Apply(by_frames);

void cost_release(benchmark::State &state) {
    Rig rig(Trap::null, {3 * some_pages, some_pages});
    rig.fragment();
    std::vector<Frame> frames(arg(state));
    measure(
        state,
        [&] {
            must(rig->receive(frames), "receive");
            rig->give(frames);
        },
        [&] {
            std::size_t done = 0;
            must(rig->release(frames, done), "release");
        },
        [] {});
}
BENCHMARK(cost_release)->Apply(by_frames);

void cost_receive(benchmark::State &state) {
    Rig rig(Trap::null, {3 * some_pages, some_pages});
    rig.fragment();
    std::vector<Frame> frames(arg(state));
    measure(
        state, [] {}, [&] { must(rig->receive(frames), "receive"); },
        [&] { rig->drop(frames); });
}
BENCHMARK(cost_receive)->Apply(by_frames);

// One of a pool of n frames, all others of which are single ones.
void cost_receive_large(benchmark::State &state) {
    Rig rig(Trap::null, {arg(state), 1});
    rig.fragment(1);
    Frame large = 0;
    measure(
        state, [] {}, [&] { must(rig->receive_large(large), "receive_large"); },
        [&] {
            rig->drop({&large, 1});
        });
}
BENCHMARK(cost_receive_large)->Apply(by_pages);

void cost_release_large(benchmark::State &state) {
    Rig rig(Trap::null, {3 * some_pages, some_pages});
    rig.fragment(arg(state));
    std::vector<Frame> large(arg(state));
    measure(
        state,
        [&] {
            for (Frame &f : large) {
                must(rig->receive_large(f), "receive_large");
            }
            rig->give(large);
        },
        [&] {
            std::size_t done = 0;
            must(rig->release(large, done), "release");
        },
        [] {});
}
BENCHMARK(cost_release_large)->Apply(by_large);

// ---- Questions

void cost_get_object(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, Rig::size_for(n));
    const RegionName r = rig.create(n);
    rig.snapshot(r);
    snapmem_object object;
    measure(
        state, [] {},
        [&] { must(rig->get_object(r.handle, object), "get_object"); }, [] {});
}
BENCHMARK(cost_get_object)->Apply(by_pages);

void cost_charged(benchmark::State &state) {
    const std::uint32_t n = arg(state);
    Rig rig(Trap::null, Rig::size_for(n + 1));
    const std::uint32_t s = rig.snapshot(rig.create(1));
    for (std::uint32_t owner = 1; owner <= n; ++owner) {
        rig.clone(s, 1, owner);
    }
    measure(
        state, [] {}, [&] { benchmark::DoNotOptimize(rig->charged(n)); },
        [] {});
}
BENCHMARK(cost_charged)->Apply(by_owners);

} // namespace
} // namespace snapmem_bench
