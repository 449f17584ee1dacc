// SPDX-License-Identifier: LGPL-2.1-or-later
#include "frame_pool.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace snapmem_impl {
namespace {

class FramePoolTest : public testing::Test {
  protected:
    static constexpr std::uint32_t frames = 200;
    Fd file_ = make_memory_file("test", frames *page_bytes);
    FramePool pool_{file_, frames};

    void TearDown() override { EXPECT_STREQ(pool_.check(), nullptr); }
};

TEST_F(FramePoolTest, StartsFree) {
    EXPECT_EQ(pool_.free(), frames);
    EXPECT_EQ(pool_.available(), frames);
    EXPECT_EQ(pool_.next_free(), 0U);
}

TEST_F(FramePoolTest, TakesTheMostRecentlyFreedFirst) {
    const Frame a = pool_.take(Holder::guest);
    const Frame b = pool_.take(Holder::device);
    pool_.drop(b, Holder::device);
    pool_.drop(a, Holder::guest);
    EXPECT_EQ(pool_.take(Holder::guest), a);
    EXPECT_EQ(pool_.take(Holder::guest), b);
}

TEST_F(FramePoolTest, FreesWithTheLastHoldOnly) {
    const Frame f = pool_.take(Holder::guest);
    pool_.add(f, Holder::guest);
    pool_.add(f, Holder::device);
    pool_.drop(f, Holder::guest);
    pool_.drop(f, Holder::guest);
    EXPECT_EQ(pool_.free(), frames - 1);
    EXPECT_EQ(pool_.guest(), 0U);
    pool_.drop(f, Holder::device);
    EXPECT_EQ(pool_.free(), frames);
}

TEST_F(FramePoolTest, ReservesForFramesOfRegionsHeldElsewhere) {
    const Frame f = pool_.take(Holder::region);
    EXPECT_EQ(pool_.reserved(), 0U);
    pool_.add(f, Holder::guest);
    EXPECT_EQ(pool_.reserved(), 1U);
    EXPECT_EQ(pool_.available(), frames - 2);
    pool_.add(f, Holder::device);
    pool_.drop(f, Holder::guest);
    EXPECT_EQ(pool_.reserved(), 1U);
    pool_.drop(f, Holder::region);
    EXPECT_EQ(pool_.reserved(), 0U);
    EXPECT_EQ(pool_.available(), frames - 1);
}

TEST_F(FramePoolTest, TakesOneRunFromTheTop) {
    std::vector<Frame> out(70);
    pool_.take_runs(Holder::region, out);
    for (std::uint32_t i = 0; i < 70; ++i) {
        EXPECT_EQ(out[i], frames - 70 + i);
    }
    EXPECT_EQ(pool_.next_free(), 0U);
}

TEST_F(FramePoolTest, TakesScatteredFramesWhenThereIsNoRun) {
    std::vector<Frame> all(frames);
    pool_.take_runs(Holder::guest, all);
    EXPECT_EQ(pool_.free(), 0U);
    for (Frame f = 0; f < frames; f += 2) {
        pool_.drop(f, Holder::guest);
    }
    std::vector<Frame> out(frames / 2);
    pool_.take_runs(Holder::region, out);
    EXPECT_EQ(pool_.free(), 0U);
    EXPECT_EQ(pool_.region(), frames / 2);
}

TEST_F(FramePoolTest, DropsAllGuestHolds) {
    const Frame a = pool_.take(Holder::guest);
    pool_.add(a, Holder::guest);
    const Frame b = pool_.take(Holder::guest);
    pool_.add(b, Holder::device);
    pool_.drop_all_guest_holds();
    EXPECT_EQ(pool_.guest(), 0U);
    EXPECT_EQ(pool_.free(), frames - 1);
    EXPECT_TRUE(pool_.held(b));
}

} // namespace
} // namespace snapmem_impl
