// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap/names.cpp
#include <snap/libsnap.h>

#include <gtest/gtest.h>
#include <set>
#include <string>

TEST(Names, EveryReasonHasItsOwn) {
    std::set<std::string> seen;
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++) {
        ASSERT_NE(snap_copy_reason_name(i), nullptr) << i;
        ASSERT_NE(snap_copy_reason_text(i), nullptr) << i;
        EXPECT_TRUE(seen.insert(snap_copy_reason_name(i)).second) << i;
    }
    EXPECT_EQ(snap_copy_reason_name(SNAP_COPY_REASONS), nullptr);
    EXPECT_EQ(snap_copy_reason_text(~0U), nullptr);
    EXPECT_STREQ(snap_copy_reason_name(SNAP_COPY_NO_FRAMES), "no_frames");
}

TEST(Names, EveryReasonToCopyWhatIsReceivedHasItsOwn) {
    std::set<std::string> seen;
    for (unsigned int i = 0; i < SNAP_RECV_REASONS; i++) {
        ASSERT_NE(snap_recv_reason_name(i), nullptr) << i;
        ASSERT_NE(snap_recv_reason_text(i), nullptr) << i;
        EXPECT_TRUE(seen.insert(snap_recv_reason_name(i)).second) << i;
    }
    EXPECT_EQ(snap_recv_reason_name(SNAP_RECV_REASONS), nullptr);
    EXPECT_EQ(snap_recv_reason_text(~0U), nullptr);
    EXPECT_STREQ(snap_recv_reason_name(SNAP_RECV_CONTROL), "control");
}

TEST(Names, EveryCounterHasItsOwn) {
    std::set<std::string> seen;
    for (unsigned int i = 0; i < SNAP_CTR_MAX; i++) {
        ASSERT_NE(snap_counter_name(i), nullptr) << i;
        EXPECT_TRUE(seen.insert(snap_counter_name(i)).second) << i;
    }
    EXPECT_EQ(snap_counter_name(SNAP_CTR_MAX), nullptr);
    EXPECT_STREQ(snap_counter_name(SNAP_CTR_TX_DMA_BYTES), "tx_dma_bytes");
}

TEST(Names, LevelsAreCountsOfWhatThereIs) {
    const std::set<unsigned int> levels{
        SNAP_CTR_FREE_FRAMES,   SNAP_CTR_GUEST_FRAMES,
        SNAP_CTR_REGION_FRAMES, SNAP_CTR_RESERVED_FRAMES,
        SNAP_CTR_REGIONS,       SNAP_CTR_SNAPSHOTS_HELD};
    for (unsigned int i = 0; i < SNAP_CTR_MAX; i++)
        EXPECT_EQ(snap_counter_is_level(i), levels.contains(i) ? 1 : 0) << i;
    EXPECT_EQ(snap_counter_is_level(SNAP_CTR_MAX), 0);
}
