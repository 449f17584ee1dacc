// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Diff, merge and commit against the number of pages that changed, in a
// region of 256 MiB. No trap, so it is the engine's own work.
#include "rig.hpp"

#include <benchmark/benchmark.h>
#include <vector>

namespace snapmem_bench {
namespace {

constexpr std::uint32_t npages = 65536;
constexpr std::uint32_t changed_max = 4096;

// A region at its base, and a clone of the base with k pages changed, as far
// apart as they can be.
class Branches {
  public:
    explicit Branches(std::uint32_t k)
        : k_(k), rig_(Trap::null, Rig::size_for(npages, 2)),
          region_(rig_.create(npages)), base_(rig_.snapshot(region_)),
          branch_(rig_.clone(base_, npages)), from_(change_branch()) {}

    // A store to one word of each page that changes.
    void change(const RegionName &r, std::size_t word) {
        for (std::uint32_t i = 0; i < k_; ++i) {
            rig_.store(r, i * (npages / k_), word, i + 1);
        }
    }
    void change_region(std::size_t word) { change(region_, word); }
    std::uint32_t diff() { return rig_.diff_all(base_, from_, pages_); }
    void merge() { version_ = rig_.merge(region_, base_, from_); }
    void commit() { version_ = rig_.commit(region_, from_, version_); }
    // Back to the base.
    void restore() { version_ = rig_.restore(region_, base_); }

  private:
    std::uint32_t change_branch() {
        change(branch_, 0);
        return rig_.snapshot(branch_);
    }

    std::uint32_t k_;
    Rig rig_;
    RegionName region_;
    std::uint32_t base_;
    RegionName branch_;
    std::uint32_t from_;
    std::uint64_t version_ = 0;
    std::vector<Page> pages_ = std::vector<Page>(changed_max);
};

void diff(benchmark::State &state) {
    Branches b(static_cast<std::uint32_t>(state.range(0)));
    for ([[maybe_unused]] auto _ : state) {
        if (b.diff() != state.range(0)) {
            state.SkipWithError("diff is wrong");
        }
    }
}
BENCHMARK(diff)->RangeMultiplier(4)->Range(1, changed_max);

// The region is still at the base: pages move over whole.
void merge_one_side(benchmark::State &state) {
    Branches b(static_cast<std::uint32_t>(state.range(0)));
    for ([[maybe_unused]] auto _ : state) {
        b.restore();
        state.SetIterationTime(seconds([&] { b.merge(); }));
    }
}
BENCHMARK(merge_one_side)
    ->RangeMultiplier(4)
    ->Range(1, changed_max)
    ->UseManualTime()
    ->Iterations(20);

// The region has changed other words of the same pages.
void merge_both_sides(benchmark::State &state) {
    Branches b(static_cast<std::uint32_t>(state.range(0)));
    for ([[maybe_unused]] auto _ : state) {
        b.restore();
        b.change_region(8);
        state.SetIterationTime(seconds([&] { b.merge(); }));
    }
}
BENCHMARK(merge_both_sides)
    ->RangeMultiplier(4)
    ->Range(1, changed_max)
    ->UseManualTime()
    ->Iterations(20);

void commit(benchmark::State &state) {
    Branches b(static_cast<std::uint32_t>(state.range(0)));
    for ([[maybe_unused]] auto _ : state) {
        b.restore();
        state.SetIterationTime(seconds([&] { b.commit(); }));
    }
}
BENCHMARK(commit)
    ->RangeMultiplier(4)
    ->Range(1, changed_max)
    ->UseManualTime()
    ->Iterations(20);

} // namespace
} // namespace snapmem_bench
