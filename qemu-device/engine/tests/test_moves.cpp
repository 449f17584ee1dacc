// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Stores to pages that snapshots share: the old bytes move, and no mapping
// changes, but for frames that somebody else than a map has.
#include "rig.hpp"
#include "write_set.hpp"

#include <gtest/gtest.h>

namespace snapmem_test {
namespace {

constexpr std::uint32_t npages = 40;
constexpr std::uint32_t extent = snapmem_impl::WriteSet::extent_pages;

class MovesTest : public testing::TestWithParam<Trap> {
  protected:
    void SetUp() override { SKIP_WITHOUT(GetParam()); }
    void TearDown() override { EXPECT_STREQ(rig()->check(), nullptr); }
    Rig &rig() { return rig_; }

    // The mappings that a store of `byte` to all of these pages makes.
    std::uint64_t mapped_by_fill(Page p, std::uint8_t byte, std::uint32_t n) {
        const std::uint64_t before = rig()->work().mapped;
        rig().fill(p, byte, n);
        EXPECT_STREQ(rig()->check(), nullptr);
        return rig()->work().mapped - before;
    }
    // The same of stores to all pages of an extent, in no order.
    std::uint64_t mapped_by_jumps(Page p, std::uint8_t byte) {
        std::uint64_t mapped = 0;
        for (Page n = 0; n < extent; ++n) {
            mapped += mapped_by_fill(p + n * 23 % extent, byte, 1);
        }
        return mapped;
    }
    // What a snapshot or region has, as a capture that is given back.
    void expect_bytes(std::uint32_t handle, std::uint8_t byte,
                      std::uint32_t n = npages) {
        const Captured c = rig().capture_all(handle, n);
        ASSERT_EQ(c.status, SNAPMEM_OK);
        expect_frames(c, byte);
        rig().release(c.frames);
    }
    void expect_frames(const Captured &c, std::uint8_t byte) {
        for (const Frame f : c.frames) {
            EXPECT_TRUE(all_bytes(rig().frame(f), page_bytes, byte));
        }
    }

  private:
    Rig rig_{GetParam(),
             {.frames = 1024,
              .window_pages = 256,
              .rx_reserve = 0,
              .mode = SNAPMEM_SHARE,
              .dedup = false,
              .queues = 1}};
};

INSTANTIATE_TEST_SUITE_P(Traps, MovesTest,
                         testing::Values(Trap::fake, Trap::real),
                         [](const auto &info) {
                             return trap_name(info.param);
                         });

TEST_P(MovesTest, AStoreUnderSnapshotsChangesNoMapping) {
    const RegionName r = rig().create(npages);
    rig().fill(r.page, 1, npages);
    std::vector<std::uint32_t> snapshots;
    for (std::uint8_t i = 1; i < 5; ++i) {
        snapshots.push_back(rig().snapshot(r));
        EXPECT_EQ(mapped_by_fill(r.page, i + 1, npages), 0U);
    }
    EXPECT_EQ(rig().counters().cow_copies, 4 * npages);
    for (std::uint8_t i = 1; i < 5; ++i) {
        expect_bytes(snapshots[i - 1U], i);
    }
    expect_bytes(r.handle, 5);
}

// Whoever jumps about in the region, too.
TEST_P(MovesTest, OnePageAtATime) {
    const RegionName r = rig().create(npages);
    rig().fill(r.page, 1, npages);
    const std::uint32_t s = rig().snapshot(r);
    for (Page p = npages; p-- > 0;) {
        EXPECT_EQ(mapped_by_fill(r.page + p, 2, 1), 0U);
    }
    EXPECT_EQ(rig().counters().ahead_pages, 0U);
    expect_bytes(s, 1);
    expect_bytes(r.handle, 2);
}

// Where one version after another is stored to all over, few stores trap.
TEST_P(MovesTest, WhoJumpsAboutInOneVersionAfterAnother) {
    const RegionName r = rig().create(extent);
    rig().fill(r.page, 1, extent);
    std::vector<std::uint64_t> traps;
    for (std::uint8_t i = 1; i <= 4; ++i) {
        const std::uint32_t s = rig().snapshot(r);
        const std::uint64_t before = rig().counters().write_faults;
        EXPECT_EQ(mapped_by_jumps(r.page, i + 1), 0U);
        traps.push_back(rig().counters().write_faults - before);
        expect_bytes(s, i, extent);
        expect_bytes(r.handle, i + 1, extent);
        EXPECT_EQ(rig()->snapshot_drop(s), SNAPMEM_OK);
    }
    EXPECT_GE(traps[0], extent / 2);
    for (int i = 1; i < 4; ++i) {
        EXPECT_EQ(traps[i], extent / snapmem_impl::WriteSet::group_pages) << i;
    }
}

// There a store to a page that the guest has rebinds that page only.
TEST_P(MovesTest, WhoJumpedAboutAndIsCaptured) {
    const RegionName r = rig().create(extent);
    rig().fill(r.page, 1, extent);
    for (std::uint8_t i = 2; i <= 3; ++i) {
        const std::uint32_t s = rig().snapshot(r);
        mapped_by_jumps(r.page, i);
        EXPECT_EQ(rig()->snapshot_drop(s), SNAPMEM_OK);
    }
    const Captured c = rig().capture_all(r.handle, extent);
    const std::uint64_t before = rig().counters().cow_copies;
    rig().fill(r.page + 20, 4, 1);
    EXPECT_EQ(rig().counters().cow_copies - before, 1U);
    expect_frames(c, 3);
    rig().release(c.frames);
}

// To the end of an extent; where mappings change, no more than 16.
TEST_P(MovesTest, WhoGoesThroughARegionTrapsSeldom) {
    constexpr std::uint32_t large = 192;
    const RegionName r = rig().create(large);
    rig().fill(r.page, 1, large);
    const std::uint32_t s = rig().snapshot(r);
    const std::uint64_t before = rig().counters().write_faults;
    EXPECT_EQ(mapped_by_fill(r.page, 2, large), 0U);
    // 1, 2, 4, 8, 16, 32, 1, then 64 and 64.
    EXPECT_EQ(rig().counters().write_faults - before, 9U);
    expect_bytes(s, 1, large);
    EXPECT_EQ(rig()->snapshot_drop(s), SNAPMEM_OK);

    const Captured c = rig().capture_all(r.handle, large);
    const std::uint64_t then = rig().counters().write_faults;
    rig().fill(r.page, 3, large);
    EXPECT_EQ(rig().counters().write_faults - then, 4U + large / 16);
    expect_frames(c, 2);
    rig().release(c.frames);
}

// What the guest has been given stays where it is.
TEST_P(MovesTest, AFrameThatTheGuestHoldsStays) {
    const RegionName r = rig().create(npages);
    rig().fill(r.page, 1, npages);
    const Captured before = rig().capture_all(r.handle, 2);
    const std::uint32_t s = rig().snapshot(r);
    const Captured after = rig().capture(r.handle, 4 * page_bytes, page_bytes);
    const Captured of_it = rig().capture(s, 8 * page_bytes, page_bytes);
    EXPECT_EQ(mapped_by_fill(r.page, 2, 2), 2U);
    EXPECT_EQ(mapped_by_fill(r.page + 4, 2, 1), 1U);
    EXPECT_EQ(mapped_by_fill(r.page + 8, 2, 1), 1U);
    EXPECT_EQ(mapped_by_fill(r.page + 12, 2, 1), 0U);
    for (const Captured *c : {&before, &after, &of_it}) {
        expect_frames(*c, 1);
        rig().release(c->frames);
    }
    expect_bytes(s, 1);
    // Given back, it does not matter any more.
    const std::uint32_t again = rig().snapshot(r);
    EXPECT_EQ(mapped_by_fill(r.page, 3, npages), 0U);
    expect_bytes(s, 1);
    EXPECT_EQ(rig()->snapshot_drop(again), SNAPMEM_OK);
}

// Who shows a frame together with others goes elsewhere.
TEST_P(MovesTest, AFrameThatClonesShowStays) {
    const RegionName r = rig().create(npages);
    rig().fill(r.page, 1, npages);
    const std::uint32_t s = rig().snapshot(r);
    const RegionName a = rig().clone(s);
    const RegionName b = rig().clone(s);
    EXPECT_GT(mapped_by_fill(r.page, 2, npages), 0U);
    EXPECT_GT(mapped_by_fill(a.page, 3, npages), 0U);
    EXPECT_TRUE(all_bytes(rig().page(b.page), npages * page_bytes, 1));
    rig().fill(b.page, 4, npages);
    expect_bytes(s, 1);
    EXPECT_TRUE(all_bytes(rig().page(r.page), npages * page_bytes, 2));
    EXPECT_TRUE(all_bytes(rig().page(a.page), npages * page_bytes, 3));
    EXPECT_TRUE(all_bytes(rig().page(b.page), npages * page_bytes, 4));
    // And shows frames of its own then, which snapshots let it keep.
    for (const RegionName &c : {r, a, b}) {
        const std::uint32_t t = rig().snapshot(c);
        EXPECT_EQ(mapped_by_fill(c.page, 5, npages), 0U);
        EXPECT_EQ(rig()->snapshot_drop(t), SNAPMEM_OK);
    }
}

// A clone that has gone leaves nothing behind once the region's pages are its
// own again.
TEST_P(MovesTest, AfterTheLastCloneNothingIsRebound) {
    const RegionName r = rig().create(npages);
    rig().fill(r.page, 1, npages);
    const std::uint32_t s = rig().snapshot(r);
    EXPECT_EQ(rig().destroy(rig().clone(s)), SNAPMEM_OK);
    EXPECT_EQ(rig()->snapshot_drop(s), SNAPMEM_OK);
    EXPECT_EQ(mapped_by_fill(r.page, 2, npages), 0U);
    const std::uint32_t t = rig().snapshot(r);
    EXPECT_EQ(mapped_by_fill(r.page, 3, npages), 0U);
    expect_bytes(t, 2);
}

TEST_P(MovesTest, ACloneOfWhatHasMovedShowsItWhereItIs) {
    const RegionName r = rig().create(npages);
    rig().fill(r.page, 1, npages);
    const std::uint32_t s = rig().snapshot(r);
    rig().fill(r.page, 2, npages);
    const RegionName clone = rig().clone(s);
    EXPECT_TRUE(all_bytes(rig().page(clone.page), npages * page_bytes, 1));
    EXPECT_EQ(mapped_by_fill(clone.page, 3, npages), 0U);
    expect_bytes(s, 1);
    EXPECT_TRUE(all_bytes(rig().page(r.page), npages * page_bytes, 2));
}

// The region gets back frames that it has shown all the time.
TEST_P(MovesTest, FramesComeHome) {
    const std::uint32_t available = rig()->available();
    const RegionName r = rig().create(npages);
    for (std::uint8_t i = 0; i < 10; ++i) {
        const std::uint32_t s = rig().snapshot(r);
        rig().fill(r.page, i, npages);
        EXPECT_EQ(rig()->snapshot_drop(s), SNAPMEM_OK);
    }
    EXPECT_EQ(rig().counters().region_frames, npages);
    EXPECT_EQ(rig().destroy(r), SNAPMEM_OK);
    EXPECT_EQ(rig()->available(), available);
}

// Two pages of a snapshot with the same version, so of a clone that shows one
// frame twice.
TEST(Moves, AFrameShownTwiceInOneWindowStays) {
    Rig rig(Trap::fake, {.frames = 256,
                         .window_pages = 64,
                         .rx_reserve = 0,
                         .mode = SNAPMEM_SHARE,
                         .dedup = true,
                         .queues = 1});
    const RegionName r = rig.create(4);
    rig.fill(r.page, 1);
    rig->snapshot_drop(rig.snapshot(r)); // frames are known by their bytes
    const std::uint32_t known = rig.snapshot(r);
    rig.fill(r.page + 1, 1);
    rig.fill(r.page + 2, 1);
    const std::uint32_t s = rig.snapshot(r);
    EXPECT_GT(rig.counters().dedup_pages, 0U);
    const RegionName clone = rig.clone(s);
    EXPECT_EQ(rig.destroy(r), SNAPMEM_OK);
    rig.fill(clone.page + 1, 2);
    EXPECT_TRUE(all_bytes(rig.page(clone.page), page_bytes, 1));
    EXPECT_TRUE(all_bytes(rig.page(clone.page + 2), page_bytes, 1));
    rig.fill(clone.page + 2, 3);
    rig.fill(clone.page, 4);
    EXPECT_STREQ(rig->check(), nullptr);
    const Captured c = rig.capture_all(s, 3);
    for (const Frame f : c.frames) {
        EXPECT_TRUE(all_bytes(rig.frame(f), page_bytes, 1));
    }
    EXPECT_EQ(rig->snapshot_drop(known), SNAPMEM_OK);
    EXPECT_STREQ(rig->check(), nullptr);
}

} // namespace
} // namespace snapmem_test
