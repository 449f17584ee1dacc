// SPDX-License-Identifier: LGPL-2.1-or-later
#include "region.hpp"

#include <gtest/gtest.h>

namespace snapmem_impl {
namespace {

TEST(RegionTable, HandlesAreNeverZeroAndGoStale) {
    RegionTable table;
    Region &r = *table.find_unused();
    r.npages = 1;
    r.named = true;
    const std::uint32_t handle = table.handle(r);
    EXPECT_NE(handle, 0U);
    EXPECT_EQ(table.find(handle), &r);
    EXPECT_EQ(table.find(0), nullptr);
    EXPECT_EQ(table.find(handle + 1), nullptr);
    EXPECT_EQ(table.find(handle | 0xffff), nullptr);
    RegionTable::retire(r);
    EXPECT_EQ(table.find(handle), nullptr);
    EXPECT_NE(table.find_unused(), &r) << "in use until cleared";
    RegionTable::clear(r);
    EXPECT_EQ(table.find_unused(), &r);
}

TEST(RegionTable, GenerationsSkipZero) {
    RegionTable table;
    Region &r = *table.find_unused();
    for (int i = 0; i < 70000; ++i) {
        RegionTable::retire(r);
        ASSERT_NE(table.handle(r), 0U);
    }
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
