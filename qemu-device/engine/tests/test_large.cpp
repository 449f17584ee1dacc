// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Captures in large frames, and how these go back.
#include "rig.hpp"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>

namespace snapmem_test {
namespace {

constexpr std::uint32_t queues = 2;
constexpr std::uint32_t frames = 400;
constexpr std::uint32_t reserve = 20;
constexpr std::uint32_t pages = 40; // of the region
constexpr std::uint32_t cache_frames = 2 * large_frames;
constexpr auto bytes_of = [](std::size_t npages) {
    return static_cast<std::uint32_t>(npages * page_bytes);
};

class LargeTest : public testing::TestWithParam<snapmem_mode> {
  protected:
    Rig rig_{Trap::fake,
             {.frames = frames,
              .window_pages = 256,
              .rx_reserve = reserve,
              .mode = GetParam(),
              .dedup = false,
              .queues = queues},
             10000,
             6,
             cache_frames};
    RegionName region_ = rig_.create(pages);

    void SetUp() override {
        for (Page p = 0; p < pages; ++p) {
            rig_.fill(region_.page + p, byte_of(p));
        }
    }
    void TearDown() override {
        EXPECT_STREQ(rig_->check(), nullptr);
        rig_->reset();
        EXPECT_EQ(rig_->available(), frames);
        EXPECT_STREQ(rig_->check(), nullptr);
    }

    static std::uint8_t byte_of(Page p) {
        return static_cast<std::uint8_t>(p + 1);
    }
    Captured capture(std::uint64_t offset, std::uint32_t length,
                     std::uint32_t queue = 0) {
        return rig_.capture(region_.handle, offset, length, queue, true);
    }
    static bool is_large(const Captured &c) {
        return c.frames.size() == 1 && (c.frames[0] & large_bit) != 0;
    }
    // Byte n of a capture that began at that offset of the region.
    [[nodiscard]] std::uint8_t
    expected(std::uint64_t offset, std::uint32_t length, std::size_t n) const {
        const std::size_t at = offset / page_bytes * page_bytes + n;
        return at < offset || at >= offset + length
                   ? 0
                   : byte_of(static_cast<Page>(at / page_bytes));
    }
    void expect_bytes(const Captured &c, std::uint64_t offset,
                      std::uint32_t length) {
        const std::uint8_t *p = rig_.frame(c.frames[0] & ~large_bit);
        for (std::size_t n = 0; n < large_frames * page_bytes; ++n) {
            ASSERT_EQ(p[n], expected(offset, length, n)) << n;
        }
    }
};

// Nothing but the range is in it, also where others' bytes were before.
TEST_P(LargeTest, ARangeIsInOneWithZerosAround) {
    rig_.poison_pool(frames - pages);
    for (const std::uint32_t queue : {0U, 0U, 1U}) {
        const std::uint64_t offset = 3 * page_bytes + 100;
        const std::uint32_t length = bytes_of(9) + 77;
        const Captured c = capture(offset, length, queue);
        ASSERT_EQ(c.status, SNAPMEM_OK);
        ASSERT_TRUE(is_large(c));
        EXPECT_EQ(rig_->available(), frames - pages - large_frames);
        expect_bytes(c, offset, length);
        rig_.fill(region_.page, 0xee, pages);
        expect_bytes(c, offset, length);
        SetUp();
        rig_.release(c.frames, queue);
        EXPECT_EQ(rig_->available(), frames - pages);
    }
}

TEST_P(LargeTest, MoreThanHalfAndNoMoreThanOne) {
    for (const std::uint32_t n : {8U, 9U, 16U, 17U}) {
        const Captured c = capture(0, bytes_of(n));
        ASSERT_EQ(c.status, SNAPMEM_OK);
        EXPECT_EQ(is_large(c), n == 9 || n == 16) << n;
        EXPECT_TRUE(is_large(c) || c.frames.size() == n) << n;
        rig_.release(c.frames);
    }
    const Captured c = rig_.capture(region_.handle, 0, bytes_of(16));
    EXPECT_EQ(c.frames.size(), 16U) << "nobody asked for one";
    rig_.release(c.frames);
}

TEST_P(LargeTest, HolesAreZeros) {
    ASSERT_EQ(rig_->discard(region_.handle, 2, 5), SNAPMEM_OK);
    rig_.poison_pool(frames - pages);
    const Captured c = capture(0, bytes_of(12));
    ASSERT_EQ(c.status, SNAPMEM_OK);
    ASSERT_TRUE(is_large(c));
    const std::uint8_t *p = rig_.frame(c.frames[0] & ~large_bit);
    EXPECT_TRUE(all_bytes(p + 2 * page_bytes, 5 * page_bytes, 0));
    EXPECT_EQ(p[page_bytes], byte_of(1));
    EXPECT_EQ(p[7 * page_bytes], byte_of(7));
    rig_.release(c.frames);
}

// One comes back to the queue that gives it, whatever else is in its cache.
TEST_P(LargeTest, TheNextIsOneThatWasGivenBack) {
    const Captured first = capture(0, bytes_of(16));
    const Captured few = rig_.capture(region_.handle, 0, bytes_of(3), 0);
    rig_.release(first.frames, 0);
    rig_.release(few.frames, 0);
    const Captured again = capture(0, bytes_of(16));
    EXPECT_EQ(again.frames, first.frames);
    rig_.release(again.frames, 1);
    EXPECT_EQ(capture(0, bytes_of(16), 1).frames, first.frames);
    EXPECT_EQ(rig_.counters().released, 2 * large_frames + 3);
}

TEST_P(LargeTest, WithoutARowThereAreSingleOnes) {
    std::vector<Frame> all(frames - pages);
    ASSERT_EQ(rig_->receive(all), SNAPMEM_OK);
    std::vector<Frame> every_other;
    std::copy_if(all.begin(), all.end(), std::back_inserter(every_other),
                 [](Frame f) { return f % 2 == 0; });
    rig_->drop(every_other);
    const Captured c = capture(0, bytes_of(16));
    ASSERT_EQ(c.status, SNAPMEM_OK);
    EXPECT_EQ(c.frames.size(), 16U);
    rig_.release(c.frames);
    std::erase_if(all, [](Frame f) { return f % 2 == 0; });
    rig_->drop(all);
    const Captured whole = capture(0, bytes_of(16));
    EXPECT_TRUE(is_large(whole)) << "again, once the others are back";
    rig_.release(whole.frames);
}

// What a cache has is free for others as well.
TEST_P(LargeTest, ReceptionGetsThoseInCaches) {
    std::vector<Frame> all(frames - pages);
    ASSERT_EQ(rig_->receive(all), SNAPMEM_OK);
    std::vector<Frame> back;
    std::vector<Frame> kept;
    for (const Frame f : all) {
        (f % 2 == 0 && f >= 2 * large_frames ? kept : back).push_back(f);
    }
    rig_->drop(back);
    const Captured c = capture(0, bytes_of(16));
    ASSERT_TRUE(is_large(c));
    rig_.release(c.frames, 0);
    std::array<Frame, 2> large{};
    EXPECT_EQ(rig_->receive_large(large[0]), SNAPMEM_OK);
    EXPECT_EQ(rig_->receive_large(large[1]), SNAPMEM_OK);
    EXPECT_STREQ(rig_->check(), nullptr);
    Frame none = 0;
    EXPECT_EQ(rig_->receive_large(none), SNAPMEM_NO_FRAMES);
    rig_->drop(large);
    rig_->drop(kept);
}

// The pages alone are there besides the reserve, a large frame is not.
TEST_P(LargeTest, ItLeavesTheReserve) {
    std::vector<Frame> some(frames - pages - reserve - 12);
    ASSERT_EQ(rig_->receive(some), SNAPMEM_OK);
    const Captured c = capture(0, bytes_of(12));
    ASSERT_EQ(c.status, SNAPMEM_OK);
    EXPECT_EQ(c.frames.size(), 12U);
    rig_.release(c.frames);
    rig_->drop(some);
}

TEST_P(LargeTest, ItIsReleasedWhollyOrNotAtAll) {
    for (const std::uint32_t queue : {0U, 1U}) {
        const Captured c = capture(0, bytes_of(16));
        ASSERT_TRUE(is_large(c));
        const Frame part = (c.frames[0] & ~large_bit) + 9;
        rig_.release({part}, queue);
        const std::uint32_t before = rig_->available();
        std::size_t done = 0;
        EXPECT_EQ(rig_->release(c.frames, done, queue), SNAPMEM_BAD_FRAME);
        EXPECT_EQ(done, 0U);
        EXPECT_EQ(rig_->available(), before);
        EXPECT_TRUE(rig_->guest_holds(part - 9, 9));
        EXPECT_FALSE(rig_->guest_holds(part, 1));
    }
}

INSTANTIATE_TEST_SUITE_P(Modes, LargeTest,
                         testing::Values(SNAPMEM_COPY, SNAPMEM_AUTO));

} // namespace
} // namespace snapmem_test
