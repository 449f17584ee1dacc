// SPDX-License-Identifier: LGPL-2.1-or-later
#include "region.hpp"

#include <gtest/gtest.h>
#include <utility>
#include <vector>

namespace snapmem_impl {
namespace {

TEST(SlotTable, HandlesAreNeverZeroAndGoStale) {
    SlotTable<Region> table(8, 0);
    Region &r = *table.find_unused();
    table.name(r);
    EXPECT_EQ(table.used(), 1U);
    const std::uint32_t handle = table.handle(r);
    EXPECT_NE(handle, 0U);
    EXPECT_EQ(table.find(handle), &r);
    const std::vector<std::uint32_t> bad{0, handle + 1, handle | 0xffff};
    for (const std::uint32_t name : bad) {
        EXPECT_EQ(table.find(name), nullptr);
    }
    SlotTable<Region>::retire(r);
    EXPECT_EQ(table.find(handle), nullptr);
    EXPECT_NE(table.find_unused(), &r) << "in use until cleared";
    table.clear(r);
    EXPECT_EQ(table.used(), 0U);
    EXPECT_EQ(table.find_unused(), &r);
}

TEST(SlotTable, TagsTellHandlesApart) {
    SlotTable<Region> regions(8, 0);
    SlotTable<Snapshot> snapshots(8, snapshot_tag);
    Region &r = *regions.find_unused();
    Snapshot &s = *snapshots.find_unused();
    regions.name(r);
    snapshots.name(s);
    EXPECT_EQ(snapshots.find(regions.handle(r)), nullptr);
    EXPECT_EQ(regions.find(snapshots.handle(s)), nullptr);
    EXPECT_EQ(snapshots.find(snapshots.handle(s)), &s);
}

TEST(SlotTable, GenerationsSkipZero) {
    SlotTable<Region> table(8, 0);
    Region &r = *table.find_unused();
    for (int i = 0; i < 70000; ++i) {
        SlotTable<Region>::retire(r);
        ASSERT_NE(table.handle(r), 0U);
    }
}

std::vector<std::pair<Page, std::uint32_t>> runs_of(WriteSet &set) {
    std::vector<std::pair<Page, std::uint32_t>> runs;
    set.runs([&](Page p, std::uint32_t n) {
        runs.emplace_back(p, n);
        return true;
    });
    return runs;
}

TEST(WriteSet, GivesRunsOfExtentsAndForgetsThemAtOnce) {
    WriteSet set(300);
    EXPECT_TRUE(runs_of(set).empty());
    for (const Page p : {299U, 5U, 70U, 6U}) {
        set.add(p);
    }
    using Runs = std::vector<std::pair<Page, std::uint32_t>>;
    EXPECT_EQ(runs_of(set), (Runs{{0, 128}, {256, 44}}));
    EXPECT_TRUE(set.has(5));
    EXPECT_FALSE(set.has(7));
    set.remove(5);
    EXPECT_FALSE(set.has(5));
    set.clear();
    EXPECT_FALSE(set.has(299));
    EXPECT_TRUE(runs_of(set).empty());
    set.add(64);
    EXPECT_FALSE(set.has(70)) << "of an earlier epoch";
    EXPECT_EQ(runs_of(set), (Runs{{64, 64}}));
}

// Up to that many stores to the extent of page 64 trap, one to a page.
bool dense_after(WriteSet &set, std::uint32_t traps) {
    set.clear();
    bool dense = false;
    for (Page p = 64; p < 64 + traps; ++p) {
        dense = set.trapped(p);
        EXPECT_FALSE(set.has(p));
    }
    return dense;
}

TEST(WriteSet, KnowsWhereStoresTrappedOften) {
    WriteSet set(300);
    EXPECT_FALSE(dense_after(set, WriteSet::traps_dense - 1));
    EXPECT_FALSE(dense_after(set, WriteSet::traps_dense)) << "the next time";
    EXPECT_TRUE(dense_after(set, WriteSet::traps_still_dense));
    EXPECT_FALSE(set.trapped(0)) << "another extent";
    set.clear();
    EXPECT_TRUE(dense_after(set, WriteSet::traps_still_dense - 1))
        << "an epoch without any says nothing";
    EXPECT_FALSE(dense_after(set, 64));
    EXPECT_TRUE(dense_after(set, 1));
    EXPECT_FALSE(dense_after(set, 1));
}

TEST(StoreAhead, DoublesForStoresInSequence) {
    StoreAhead ahead;
    EXPECT_EQ(ahead.pages(7), 1U);
    ahead.copied(7, 1);
    Page p = 8;
    for (const std::uint32_t n : {2U, 4U, 8U, 16U, 32U, 64U, 64U}) {
        EXPECT_EQ(ahead.pages(p), n);
        ahead.copied(p, n);
        p += n;
    }
    EXPECT_EQ(ahead.pages(p + 1), 1U);
}

TEST(SharePolicy, FollowsHints) {
    SharePolicy keep(SNAPMEM_HINT_KEEP);
    SharePolicy rewrite(SNAPMEM_HINT_REWRITE);
    for (int i = 0; i < 1000; ++i) {
        EXPECT_TRUE(keep.share(1));
        EXPECT_FALSE(rewrite.share(256));
    }
}

// Captures until the policy shares, at most `limit`.
int copies_before_share(SharePolicy &policy, int limit) {
    int n = 0;
    while (n < limit && !policy.share(16)) {
        ++n;
    }
    return n;
}

TEST(SharePolicy, StartsWithCopiesThenProbes) {
    SharePolicy policy;
    EXPECT_EQ(copies_before_share(policy, 1000), 63);
}

TEST(SharePolicy, NeverSharesShortRanges) {
    SharePolicy policy;
    for (int i = 0; i < 1000; ++i) {
        EXPECT_FALSE(policy.share(SharePolicy::share_pages_min - 1));
    }
}

TEST(SharePolicy, GoesOnSharingWhileNothingFaults) {
    SharePolicy policy;
    copies_before_share(policy, 1000);
    for (int i = 0; i < 1000; ++i) {
        policy.shared(16);
        ASSERT_TRUE(policy.share(16));
    }
}

TEST(SharePolicy, BacksOffTwiceAsLongAfterEachFailure) {
    SharePolicy policy;
    copies_before_share(policy, 1000);
    for (int expected = 64; expected <= 4096; expected *= 2) {
        policy.shared(16);
        policy.faulted();
        policy.faulted();
        EXPECT_EQ(copies_before_share(policy, 10000), expected + 1);
    }
    policy.shared(16);
    policy.faulted();
    policy.faulted();
    EXPECT_EQ(copies_before_share(policy, 10000), 4097) << "the limit";
}

} // namespace
} // namespace snapmem_impl
