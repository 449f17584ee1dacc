// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The work of one command has a bound, whatever was arranged before. Steps are
// counted, not time.
#include "rig.hpp"

#include <array>
#include <gtest/gtest.h>

namespace snapmem_test {
namespace {

using snapmem_impl::FramePool;
using snapmem_impl::Work;

snapmem_config config(std::uint32_t frames, std::uint32_t window_pages) {
    return {.frames = frames,
            .window_pages = window_pages,
            .rx_reserve = 0,
            .mode = SNAPMEM_COPY,
            .dedup = false,
            .queues = 1};
}

std::vector<Frame> receive_all(Rig &rig) {
    std::vector<Frame> frames(rig->available());
    EXPECT_EQ(rig->receive(frames), SNAPMEM_OK);
    return frames;
}

TEST(Bounds, FramesThatWereNeverUsedAreNotCleared) {
    Rig rig(Trap::fake, config(2048, 2048));
    const RegionName r = rig.create(1000);
    EXPECT_EQ(rig->work().cleared, 0U);
    EXPECT_TRUE(all_bytes(rig.page(r.page), 1000 * page_bytes, 0));
    rig.fill(r.page, 1, 1000);
    EXPECT_EQ(rig.destroy(r), SNAPMEM_OK);
    const RegionName again = rig.create(1000);
    EXPECT_EQ(rig->work().cleared, 1000U);
    EXPECT_TRUE(all_bytes(rig.page(again.page), 1000 * page_bytes, 0));
    EXPECT_STREQ(rig->check(), nullptr);
}

// A region of frames that were used, in steps: none does more than its share,
// and the window needs no more mappings than with one command.
TEST(Bounds, ARegionGetsItsFramesInSteps) {
    constexpr std::uint32_t npages = 5000;
    constexpr std::uint32_t few = 8; // mappings
    Rig rig(Trap::fake, config(2 * npages, 2 * npages), few);
    const RegionName used = rig.create(npages);
    rig.fill(used.page, 1, npages);
    EXPECT_EQ(rig.destroy(used), SNAPMEM_OK);
    RegionName r;
    std::uint32_t steps = 0;
    for (snapmem_status status = SNAPMEM_AGAIN; status == SNAPMEM_AGAIN;
         ++steps) {
        const Work before = rig->work();
        status = rig->region_create(spec_for(npages), r.handle, r.page, true);
        ASSERT_TRUE(status == SNAPMEM_AGAIN || status == SNAPMEM_OK);
        ASSERT_LE(rig->work().given - before.given, Engine::step_pages);
        ASSERT_LE(rig->work().cleared - before.cleared, Engine::step_pages);
        ASSERT_STREQ(rig->check(), nullptr);
        // Others go on meanwhile.
        std::vector<Frame> received(1);
        ASSERT_EQ(rig->receive(received), SNAPMEM_OK);
        rig->drop(received);
    }
    EXPECT_EQ(steps, npages / Engine::step_pages + 1);
    EXPECT_TRUE(all_bytes(rig.page(r.page), npages * page_bytes, 0));
    rig.fill(r.page, 2, npages);
    EXPECT_EQ(rig.counters().write_faults, 0U);
    EXPECT_EQ(rig->charged(0), npages);
    EXPECT_EQ(rig.destroy(r), SNAPMEM_OK);
    EXPECT_EQ(rig->available(), 2 * npages);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST(Bounds, ACloneForAnotherOwnerIsCopiedInSteps) {
    constexpr std::uint32_t npages = 3000;
    Rig rig(Trap::fake, config(4 * npages, 2 * npages));
    const RegionName r = rig.create(npages, true);
    for (Page p = 0; p < npages; p += 2) {
        rig.fill(r.page + p, static_cast<std::uint8_t>(1 + p % 200));
    }
    const std::uint32_t s = rig.snapshot(r);
    snapmem_region_spec spec = spec_for(0);
    spec.owner = 1;
    RegionName clone;
    std::uint32_t steps = 0;
    for (snapmem_status status = SNAPMEM_AGAIN; status == SNAPMEM_AGAIN;
         ++steps) {
        const std::uint64_t before = rig->work().given;
        status = rig->clone(s, spec, clone.handle, clone.page, true);
        ASSERT_TRUE(status == SNAPMEM_AGAIN || status == SNAPMEM_OK);
        ASSERT_LE(rig->work().given - before, Engine::step_pages);
        ASSERT_STREQ(rig->check(), nullptr);
    }
    EXPECT_EQ(steps, npages / Engine::step_pages + 1);
    EXPECT_EQ(std::memcmp(rig.page(clone.page), rig.page(r.page),
                          npages * page_bytes),
              0);
    EXPECT_EQ(rig->charged(1), npages);
    EXPECT_EQ(rig.counters().clones, 1U);
    rig.fill(clone.page, 9, npages);
    EXPECT_TRUE(all_bytes(rig.page(r.page), page_bytes, 1));
    EXPECT_STREQ(rig->check(), nullptr);
}

// What is begun and not ended is nobody's in the end.
TEST(Bounds, ARegionInStepsIsAbandonedByWhatComesBetween) {
    constexpr std::uint32_t npages = 3000;
    Rig rig(Trap::fake, config(4 * npages, 3 * npages));
    const RegionName source = rig.create(npages);
    const std::uint32_t s = rig.snapshot(source);
    const std::uint32_t available = rig->available();
    RegionName r;
    const auto step = [&](std::uint32_t n) {
        return rig->region_create(spec_for(n), r.handle, r.page, true);
    };
    const auto expect_abandoned = [&] {
        EXPECT_EQ(rig->available(), available);
        EXPECT_STREQ(rig->check(), nullptr);
    };
    EXPECT_EQ(step(2000), SNAPMEM_AGAIN);
    EXPECT_EQ(rig->available(), available - 2000);
    rig->abandon();
    expect_abandoned();
    EXPECT_EQ(step(2000), SNAPMEM_AGAIN);
    EXPECT_EQ(step(2001), SNAPMEM_AGAIN);
    EXPECT_EQ(rig->available(), available - 2001);
    EXPECT_EQ(step(2 * npages), SNAPMEM_NO_FRAMES);
    expect_abandoned();
    EXPECT_EQ(step(2000), SNAPMEM_AGAIN);
    EXPECT_EQ(rig.destroy(rig.create(1)), SNAPMEM_OK);
    expect_abandoned();
    EXPECT_EQ(step(2000), SNAPMEM_AGAIN);
    snapmem_region_spec other = spec_for(0);
    other.owner = 1;
    EXPECT_EQ(rig->clone(s, other, r.handle, r.page, true), SNAPMEM_AGAIN);
    EXPECT_EQ(rig->available(), available - npages);
    EXPECT_EQ(rig->snapshot_drop(s), SNAPMEM_OK);
    EXPECT_EQ(rig->charged(1), 0U);
    EXPECT_EQ(rig->clone(s, other, r.handle, r.page, true), SNAPMEM_BAD_REGION);
    EXPECT_EQ(step(2000), SNAPMEM_AGAIN);
    rig->reset();
    EXPECT_EQ(rig->available(), 4 * npages);
    EXPECT_STREQ(rig->check(), nullptr);
    EXPECT_EQ(step(2000), SNAPMEM_AGAIN);
    EXPECT_EQ(step(2000), SNAPMEM_OK);
}

// No two free frames are neighbours, so there is no run to be found for the
// pages that a store copies ahead.
TEST(Bounds, AStoreDoesNotSearchAFragmentedPool) {
    constexpr std::uint32_t frames = 65536;
    constexpr std::uint32_t npages = 512;
    Rig rig(Trap::fake, config(frames, npages));
    std::vector<Frame> odd;
    for (const Frame f : receive_all(rig)) {
        if (f % 2 != 0) {
            odd.push_back(f);
        }
    }
    rig->drop(odd);
    const RegionName r = rig.create(npages, true);
    rig.fill(r.page, 1, npages);
    EXPECT_EQ(rig->work().searched, 0U);
    EXPECT_GT(rig.counters().ahead_pages, npages / 2);
    EXPECT_STREQ(rig->check(), nullptr);
}

// Each 16 pages of the pass have a group of frames, and a mapping at most.
TEST(Bounds, APassThroughARegionTakesWholeGroups) {
    constexpr std::uint32_t npages = 512;
    Rig rig(Trap::fake, config(65536, npages));
    const RegionName r = rig.create(npages, true);
    const std::uint64_t before = rig->work().mapped;
    rig.fill(r.page, 1, npages);
    // Alone, together with one other, with three, with seven, then sixteen.
    EXPECT_LE(rig->work().mapped - before, npages / 16 + 16);
    EXPECT_EQ(rig->work().searched, 0U);
    EXPECT_STREQ(rig->check(), nullptr);
}

// Promises past the budget's half: the sum is looked at more closely, but not
// page by page.
TEST(Bounds, ASnapshotDoesNotLookAtTheWindow) {
    Rig rig(Trap::fake, config(16384, 8192), 6000);
    rig.create(4096, true);
    const RegionName small = rig.create(2);
    for (int i = 0; i < 10; ++i) {
        rig.fill(small.page, 1, 2);
        const std::uint64_t before = rig->work().counted;
        const std::uint32_t s = rig.snapshot(small);
        EXPECT_EQ(rig->work().counted, before);
        EXPECT_EQ(rig->snapshot_drop(s), SNAPMEM_OK);
    }
    EXPECT_STREQ(rig->check(), nullptr);
}

// A command of a data queue that lacks frames looks for those that may be own
// again, and takes a bounded step; and what there is to find is found however
// often snapshots are dropped meanwhile.
TEST(Bounds, ACaptureThatFailsTakesOneStepOnly) {
    constexpr std::uint32_t npages = 16384;
    constexpr std::uint32_t hidden = 64;
    Rig rig(Trap::fake, config(npages + 512, npages + 512));
    const RegionName large = rig.create(npages);
    const RegionName busy = rig.create(1);
    const RegionName last = rig.create(hidden);
    rig->snapshot_drop(rig.snapshot(last));
    const std::uint32_t keep = rig.snapshot(busy); // all is promised from here
    receive_all(rig);
    std::uint32_t captures = 0;
    for (snapmem_status status = SNAPMEM_NO_FRAMES; status == SNAPMEM_NO_FRAMES;
         ++captures) {
        ASSERT_LT(captures, 10U) << "a frame that is there is not found";
        rig->snapshot_drop(rig.snapshot(busy));
        const std::uint64_t before = rig->work().reclaimed;
        status = rig.capture(large.handle, 0, page_bytes).status;
        ASSERT_LE(rig->work().reclaimed - before, Engine::reclaim_slots);
    }
    EXPECT_GT(captures, npages / Engine::reclaim_slots);
    EXPECT_EQ(rig->snapshot_drop(keep), SNAPMEM_OK);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST(Bounds, ADiffOfEqualBytesGoesOnLater) {
    constexpr std::uint32_t npages = 5000;
    constexpr std::uint32_t for_nodes = npages / 100; // of two snapshots
    Rig rig(Trap::fake, config(3 * npages + for_nodes, npages));
    const RegionName r = rig.create(npages);
    const std::uint32_t a = rig.snapshot(r);
    rig.fill(r.page, 0, npages - 1); // other frames, the same bytes
    rig.fill(r.page + npages - 1, 1);
    const std::uint32_t b = rig.snapshot(r);
    std::array<Page, 16> pages{};
    std::uint32_t commands = 0;
    for (Page next = 0; next != SNAPMEM_DIFF_END; ++commands) {
        std::size_t n = 0;
        const std::uint64_t before = rig->work().compared;
        ASSERT_EQ(rig->diff(a, b, next, pages, n, next), SNAPMEM_OK);
        ASSERT_LE(rig->work().compared - before, Engine::diff_pages);
        ASSERT_EQ(n, next == SNAPMEM_DIFF_END ? 1U : 0U);
    }
    EXPECT_EQ(pages[0], npages - 1);
    EXPECT_EQ(commands, npages / Engine::diff_pages + 1);
}

} // namespace
} // namespace snapmem_test
