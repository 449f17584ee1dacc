// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What each call does, with each trap.
#include "rig.hpp"

#include <array>
#include <gtest/gtest.h>

namespace snapmem_test {
namespace {

snapmem_config config_for(snapmem_mode mode) {
    return {.frames = 96,
            .window_pages = 64,
            .rx_reserve = 8,
            .mode = mode,
            .dedup = false,
            .queues = 1};
}

// Every way to capture.
class EngineTest : public testing::TestWithParam<Trap> {
  protected:
    void SetUp() override {
        SKIP_WITHOUT(GetParam());
        rig_ = std::make_unique<Rig>(
            GetParam(), config_for(GetParam() == Trap::none ? SNAPMEM_COPY
                                                            : SNAPMEM_SHARE));
        rig_->poison_pool(96);
    }
    void TearDown() override {
        if (rig_) {
            EXPECT_STREQ(rig()->check(), nullptr);
        }
    }
    Rig &rig() { return *rig_; }
    [[nodiscard]] bool shares() const { return GetParam() != Trap::none; }

  private:
    std::unique_ptr<Rig> rig_;
};

INSTANTIATE_TEST_SUITE_P(Traps, EngineTest,
                         testing::Values(Trap::none, Trap::fake, Trap::real),
                         [](const auto &info) {
                             return trap_name(info.param);
                         });

TEST_P(EngineTest, RegionsAreZeroAndOfTheirOwn) {
    const RegionName a = rig().create(10);
    const RegionName b = rig().create(20);
    EXPECT_NE(a.handle, b.handle);
    EXPECT_TRUE(all_bytes(rig().page(a.page), 10 * page_bytes, 0));
    EXPECT_TRUE(all_bytes(rig().page(b.page), 20 * page_bytes, 0));
    rig().fill(a.page, 1, 10);
    EXPECT_TRUE(all_bytes(rig().page(b.page), 20 * page_bytes, 0));
    EXPECT_EQ(rig().counters().region_frames, 30U);
    rig()->region_destroy(a.handle);
    const RegionName c = rig().create(10);
    EXPECT_TRUE(all_bytes(rig().page(c.page), 10 * page_bytes, 0));
}

TEST_P(EngineTest, ACaptureOutlivesLaterStores) {
    const RegionName r = rig().create(4);
    rig().fill(r.page, 1, 4);
    const Captured c = rig().capture(r.handle, 0, 4 * page_bytes);
    ASSERT_EQ(c.status, SNAPMEM_OK);
    ASSERT_EQ(c.frames.size(), 4U);
    rig().fill(r.page, 2, 4);
    for (const Frame f : c.frames) {
        EXPECT_TRUE(all_bytes(rig().frame(f), page_bytes, 1));
    }
    EXPECT_TRUE(all_bytes(rig().page(r.page), 4 * page_bytes, 2));
    const snapmem_counters n = rig().counters();
    EXPECT_EQ(n.cow_copies, shares() ? 4U : 0U);
    EXPECT_EQ(n.write_faults, shares() ? 3U : 0U) << "1, 2, 1 pages";
    EXPECT_EQ(n.shared_bytes, shares() ? 4 * page_bytes : 0U);
    EXPECT_EQ(n.copied_bytes, shares() ? 0U : 4 * page_bytes);
    EXPECT_EQ(n.guest_frames, 4U);
    EXPECT_EQ(n.reserved_frames, 0U) << "the copies were made";
}

TEST_P(EngineTest, ACaptureOutlivesItsRegion) {
    const RegionName r = rig().create(2);
    rig().fill(r.page, 1, 2);
    const Captured c = rig().capture(r.handle, 0, 2 * page_bytes);
    EXPECT_EQ(rig()->region_destroy(r.handle), SNAPMEM_OK);
    if (GetParam() != Trap::fake) { // which learns of no unbinding
        rig().fill(r.page, 2, 2);   // scratch memory now
    }
    rig().fill(rig().create(2).page, 3, 2);
    EXPECT_TRUE(all_bytes(rig().frame(c.frames[0]), page_bytes, 1));
    EXPECT_TRUE(all_bytes(rig().frame(c.frames[1]), page_bytes, 1));
    rig().release(c.frames);
    EXPECT_EQ(rig().counters().free_frames, 94U);
}

TEST_P(EngineTest, PartialPagesAreZeroOutsideTheRange) {
    const RegionName r = rig().create(4);
    std::vector<std::uint8_t> data(4 * page_bytes);
    for (std::size_t i = 0; i < data.size(); ++i) {
        data[i] = static_cast<std::uint8_t>(1 + i % 251);
    }
    rig().store(r.page, 0, data.data(), data.size());
    for (const std::uint32_t offset : {0U, 1U, 63U, 4095U, 4096U, 5000U}) {
        for (const std::uint32_t length :
             {1U, 2U, 63U, 1400U, 4095U, 4096U, 4097U, 8191U, 8192U, 8193U}) {
            const Captured c = rig().capture(r.handle, offset, length);
            ASSERT_EQ(c.status, SNAPMEM_OK);
            const std::uint32_t first = offset / page_bytes;
            ASSERT_EQ(c.frames.size(),
                      (offset + length - 1) / page_bytes - first + 1);
            for (std::uint32_t i = 0; i < c.frames.size() * page_bytes; ++i) {
                const std::uint32_t at = first * page_bytes + i;
                const bool inside = at >= offset && at < offset + length;
                ASSERT_EQ(rig().frame(c.frames[i / page_bytes])[i % page_bytes],
                          inside ? data[at] : 0)
                    << offset << "+" << length << " byte " << at;
            }
            rig().release(c.frames);
        }
    }
}

TEST_P(EngineTest, BadCapturesChangeNothing) {
    const RegionName r = rig().create(2);
    const auto status = [&](std::uint32_t region, std::uint64_t offset,
                            std::uint32_t length) {
        return rig().capture(region, offset, length).status;
    };
    EXPECT_EQ(status(0, 0, 1), SNAPMEM_BAD_REGION);
    EXPECT_EQ(status(r.handle + 1, 0, 1), SNAPMEM_BAD_REGION);
    EXPECT_EQ(status(r.handle + 65536, 0, 1), SNAPMEM_BAD_REGION);
    EXPECT_EQ(status(r.handle, 0, 0), SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(status(r.handle, 0, (1U << 20) + 1), SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(status(r.handle, 0, ~0U), SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(status(r.handle, 0, 8193), SNAPMEM_BAD_OFFSET);
    EXPECT_EQ(status(r.handle, 8192, 1), SNAPMEM_BAD_OFFSET);
    EXPECT_EQ(status(r.handle, 8193, 1), SNAPMEM_BAD_OFFSET);
    EXPECT_EQ(status(r.handle, ~std::uint64_t{0}, 2), SNAPMEM_BAD_OFFSET);
    std::vector<Frame> room(1);
    std::uint32_t n = 77;
    EXPECT_EQ(rig()->capture(r.handle, 4095, 2, room, n), SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(n, 77U);
    const snapmem_counters c = rig().counters();
    EXPECT_EQ(c.captures, 0U);
    EXPECT_EQ(c.free_frames, 94U);
    EXPECT_EQ(status(r.handle, 8191, 1), SNAPMEM_OK);
}

TEST_P(EngineTest, BadRegions) {
    std::uint32_t handle = 0;
    std::uint32_t page = 0;
    const auto create = [&](std::uint32_t n) {
        return rig()->region_create(spec_for(n), handle, page);
    };
    EXPECT_EQ(create(0), SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(create(65), SNAPMEM_NO_WINDOW);
    EXPECT_EQ(create(~0U), SNAPMEM_NO_WINDOW);
    ASSERT_EQ(create(64), SNAPMEM_OK);
    EXPECT_EQ(create(1), SNAPMEM_NO_WINDOW);
    EXPECT_EQ(rig()->region_destroy(handle), SNAPMEM_OK);
    EXPECT_EQ(rig()->region_destroy(handle), SNAPMEM_BAD_REGION);
    EXPECT_EQ(rig()->region_destroy(0), SNAPMEM_BAD_REGION);
    EXPECT_EQ(rig().counters().free_frames, 96U);
}

TEST_P(EngineTest, ReleaseStopsAtTheFirstBadFrame) {
    const RegionName r = rig().create(2);
    const Captured c = rig().capture(r.handle, 0, 2 * page_bytes);
    const std::vector<Frame> list{c.frames[0], c.frames[1], c.frames[1], 0};
    std::size_t done = 9;
    EXPECT_EQ(rig()->release(list, done), SNAPMEM_BAD_FRAME);
    EXPECT_EQ(done, 2U);
    const std::vector<Frame> outside{96};
    EXPECT_EQ(rig()->release(outside, done), SNAPMEM_BAD_FRAME);
    const std::vector<Frame> far{~0U};
    EXPECT_EQ(rig()->release(far, done), SNAPMEM_BAD_FRAME);
    EXPECT_EQ(done, 0U);
    EXPECT_EQ(rig().counters().released, 2U);
}

TEST_P(EngineTest, ALargeFrameIsHeldAndReleasedAsOne) {
    std::uint32_t large = 0;
    std::size_t done = 0;
    ASSERT_EQ(rig()->receive_large(large), SNAPMEM_OK);
    EXPECT_EQ(large, SNAPMEM_LARGE) << "frames 0 to 15";
    EXPECT_EQ(rig().counters().free_frames, 96U - SNAPMEM_LARGE_FRAMES);
    EXPECT_EQ(rig()->release({&large, 1}, done), SNAPMEM_BAD_FRAME);
    rig()->give({&large, 1});
    EXPECT_TRUE(rig()->guest_holds(0, SNAPMEM_LARGE_FRAMES));
    EXPECT_FALSE(rig()->guest_holds(0, SNAPMEM_LARGE_FRAMES + 1));
    for (const std::uint32_t bad :
         {SNAPMEM_LARGE | 1, SNAPMEM_LARGE | 16, SNAPMEM_LARGE | 96, ~0U}) {
        EXPECT_EQ(rig()->release({&bad, 1}, done), SNAPMEM_BAD_FRAME) << bad;
    }
    // Any of its frames may have more holds; all must have one.
    const std::uint32_t one = 7;
    rig()->hold({&one, 1});
    EXPECT_EQ(rig()->release({&large, 1}, done), SNAPMEM_OK);
    EXPECT_EQ(done, 1U);
    EXPECT_EQ(rig().counters().released, SNAPMEM_LARGE_FRAMES);
    EXPECT_EQ(rig().counters().free_frames, 95U);
    std::uint32_t other = 0;
    ASSERT_EQ(rig()->receive_large(other), SNAPMEM_OK);
    EXPECT_EQ(other, SNAPMEM_LARGE | SNAPMEM_LARGE_FRAMES) << "all of it free";
    rig()->give({&other, 1});
    const std::uint32_t part = SNAPMEM_LARGE_FRAMES + 3;
    EXPECT_EQ(rig()->release({&part, 1}, done), SNAPMEM_OK);
    EXPECT_EQ(rig()->release({&other, 1}, done), SNAPMEM_BAD_FRAME);
    EXPECT_EQ(rig().counters().free_frames, 95U - SNAPMEM_LARGE_FRAMES + 1)
        << "none of the others";
    rig()->reset();
    rig()->drop({&one, 1});
    EXPECT_EQ(rig().counters().free_frames, 96U);
}

// Frames in a row are no large one where they do not start as one does.
TEST_P(EngineTest, ALargeFrameStartsWhereItMay) {
    std::array<std::uint32_t, 2> large{};
    for (std::uint32_t &number : large) {
        ASSERT_EQ(rig()->receive_large(number), SNAPMEM_OK);
    }
    rig()->give(large);
    EXPECT_TRUE(rig()->guest_holds(8, SNAPMEM_LARGE_FRAMES));
    const std::uint32_t astray = SNAPMEM_LARGE | 8;
    std::size_t done = 0;
    EXPECT_EQ(rig()->release({&astray, 1}, done), SNAPMEM_BAD_FRAME);
    EXPECT_EQ(rig().counters().guest_frames, 2 * SNAPMEM_LARGE_FRAMES);
    EXPECT_EQ(rig()->release(large, done), SNAPMEM_OK);
    EXPECT_EQ(done, 2U);
    EXPECT_EQ(rig().counters().guest_frames, 0U);
}

TEST_P(EngineTest, EachCaptureHoldsOnceMore) {
    const RegionName r = rig().create(1);
    const Captured a = rig().capture(r.handle, 0, page_bytes);
    const Captured b = rig().capture(r.handle, 0, page_bytes);
    EXPECT_EQ(a.frames == b.frames, shares());
    rig().release(a.frames);
    EXPECT_TRUE(rig()->guest_holds(b.frames[0], 1));
    rig().release(b.frames);
    EXPECT_FALSE(rig()->guest_holds(b.frames[0], 1));
}

TEST_P(EngineTest, GuestHoldsChecksItsRange) {
    std::vector<Frame> frames(96);
    ASSERT_EQ(rig()->receive(frames), SNAPMEM_OK);
    EXPECT_FALSE(rig()->guest_holds(0, 1)) << "only the device does";
    rig()->give(frames);
    EXPECT_TRUE(rig()->guest_holds(0, 96));
    EXPECT_TRUE(rig()->guest_holds(95, 1));
    EXPECT_FALSE(rig()->guest_holds(0, 97));
    EXPECT_FALSE(rig()->guest_holds(96, 1));
    EXPECT_FALSE(rig()->guest_holds(~0U, 2));
    EXPECT_FALSE(rig()->guest_holds(1, ~0U));
}

TEST_P(EngineTest, DeviceHoldsKeepAReleasedFrame) {
    const RegionName r = rig().create(1);
    rig().fill(r.page, 1);
    const Captured c = rig().capture(r.handle, 0, page_bytes);
    rig()->hold(c.frames);
    rig().release(c.frames);
    rig().fill(r.page, 2);
    EXPECT_TRUE(all_bytes(rig().frame(c.frames[0]), page_bytes, 1));
    EXPECT_EQ(rig().counters().free_frames, 94U);
    rig()->drop(c.frames);
    EXPECT_EQ(rig().counters().free_frames, 95U);
    rig()->drop(c.frames); // a mistake of the glue: ignored
    rig()->hold(c.frames);
    rig()->give(c.frames);
    EXPECT_EQ(rig().counters().free_frames, 95U);
}

TEST_P(EngineTest, ResetKeepsDeviceHoldsOnly) {
    const RegionName r = rig().create(4);
    rig().fill(r.page, 1, 4);
    const Captured c = rig().capture(r.handle, 0, 4 * page_bytes);
    const std::vector<Frame> sent{c.frames[0]};
    rig()->hold(sent);
    rig()->reset();
    EXPECT_EQ(rig().counters().free_frames, 95U);
    EXPECT_EQ(rig().counters().region_frames, 0U);
    EXPECT_EQ(rig().counters().guest_frames, 0U);
    EXPECT_EQ(rig()->region_destroy(r.handle), SNAPMEM_BAD_REGION);
    EXPECT_TRUE(all_bytes(rig().frame(sent[0]), page_bytes, 1));
    rig()->drop(sent);
    EXPECT_EQ(rig()->available(), 96U);
    EXPECT_NE(rig().create(4).handle, r.handle);
}

// ---- Sharing alone ----

class EngineShareTest : public EngineTest {};

INSTANTIATE_TEST_SUITE_P(Traps, EngineShareTest,
                         testing::Values(Trap::fake, Trap::real),
                         [](const auto &info) {
                             return trap_name(info.param);
                         });

TEST_P(EngineShareTest, AStoreAfterReleaseCopiesNothing) {
    const RegionName r = rig().create(32);
    rig().release(rig().capture(r.handle, 0, 32 * page_bytes).frames);
    rig().fill(r.page, 1, 32);
    EXPECT_EQ(rig().counters().cow_copies, 0U);
    EXPECT_EQ(rig().counters().write_faults, 1U) << "64 pages per fault";
}

TEST_P(EngineShareTest, DisarmingStopsAtASharedPage) {
    const RegionName r = rig().create(4);
    rig().release(rig().capture(r.handle, 0, 4 * page_bytes).frames);
    const Captured c = rig().capture(r.handle, 2 * page_bytes, page_bytes);
    rig().fill(r.page, 1, 4);
    EXPECT_TRUE(all_bytes(rig().frame(c.frames[0]), page_bytes, 0));
    EXPECT_EQ(rig().counters().cow_copies, 1U);
    EXPECT_EQ(rig().counters().write_faults, 3U);
}

TEST_P(EngineShareTest, SharesAgainAfterCopyOnWrite) {
    const RegionName r = rig().create(2);
    std::vector<Captured> all;
    for (std::uint8_t round = 1; round < 20; ++round) {
        rig().fill(r.page, round, 2);
        all.push_back(rig().capture(r.handle, 0, 2 * page_bytes));
        ASSERT_STREQ(rig()->check(), nullptr);
    }
    for (std::uint8_t round = 1; round < 20; ++round) {
        for (const Frame f : all[round - 1].frames) {
            EXPECT_TRUE(all_bytes(rig().frame(f), page_bytes, round));
        }
    }
    EXPECT_EQ(rig().counters().copied_bytes, 0U);
}

TEST_P(EngineShareTest, WorksOnScatteredFrames) {
    std::vector<Frame> all(96);
    ASSERT_EQ(rig()->receive(all), SNAPMEM_OK);
    std::vector<Frame> odd;
    for (Frame f = 1; f < 96; f += 2) {
        odd.push_back(f);
    }
    rig()->drop(odd);
    const RegionName r = rig().create(16);
    rig().fill(r.page, 1, 16);
    const Captured c = rig().capture(r.handle, 0, 16 * page_bytes);
    ASSERT_EQ(c.status, SNAPMEM_OK);
    EXPECT_EQ(rig().counters().shared_bytes, 16 * page_bytes);
    rig().fill(r.page, 2, 16);
    for (const Frame f : c.frames) {
        EXPECT_TRUE(all_bytes(rig().frame(f), page_bytes, 1));
    }
}

} // namespace
} // namespace snapmem_test
