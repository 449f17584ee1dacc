// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Captures and releases of several queues: frames in the caches of lanes, and
// captures that go on at the same time as everything else.
#include "lane_lock.hpp"
#include "rig.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>

namespace snapmem_test {
namespace {

constexpr std::uint32_t queues = 3;
constexpr std::uint32_t frames = 200;
constexpr std::uint32_t reserve = 50; // more than a cache has
constexpr std::uint32_t cache_frames = 20;
constexpr std::uint32_t pages = 8; // of a region

snapmem_config config(snapmem_mode mode = SNAPMEM_COPY) {
    return {.frames = frames,
            .window_pages = 256,
            .rx_reserve = reserve,
            .mode = mode,
            .dedup = false,
            .queues = queues};
}

class LanesTest : public testing::Test {
  protected:
    Rig rig_{Trap::fake, config(), 10000, 6, cache_frames};

    void TearDown() override {
        EXPECT_STREQ(rig_->check(), nullptr);
        rig_->reset();
        EXPECT_EQ(rig_->available(), frames);
        EXPECT_STREQ(rig_->check(), nullptr);
    }
    Captured capture(const RegionName &r, std::uint32_t queue) {
        return rig_.capture(r.handle, 0, pages * page_bytes, queue);
    }
    // Free frames come to be in the cache of that queue.
    void fill_cache(const RegionName &r, std::uint32_t queue) {
        std::vector<Frame> all;
        for (int i = 0; i < 4; ++i) {
            const Captured c = capture(r, queue);
            ASSERT_EQ(c.status, SNAPMEM_OK);
            all.insert(all.end(), c.frames.begin(), c.frames.end());
        }
        rig_.release(all, queue);
    }
};

TEST_F(LanesTest, FramesInCachesAreFree) {
    const RegionName r = rig_.create(pages);
    const std::uint32_t free = frames - pages;
    std::array<std::vector<Frame>, queues> held;
    std::uint32_t out = 0;
    for (int round = 0; round < 8; ++round) {
        for (std::uint32_t q = 0; q < queues; ++q) {
            const Captured c = capture(r, q);
            ASSERT_EQ(c.status, SNAPMEM_OK);
            out += pages;
            EXPECT_EQ(rig_->available(), free - out);
            EXPECT_EQ(rig_.counters().free_frames, free - out);
            EXPECT_EQ(rig_.counters().guest_frames, out);
            // The next queue gives them back.
            rig_.release(held[(q + 1) % queues], q);
            out -= static_cast<std::uint32_t>(held[(q + 1) % queues].size());
            held[(q + 1) % queues] = c.frames;
            EXPECT_EQ(rig_->available(), free - out);
            EXPECT_EQ(rig_.counters().guest_frames, out);
            EXPECT_STREQ(rig_->check(), nullptr);
        }
    }
    const snapmem_counters n = rig_.counters();
    EXPECT_EQ(n.captures, 8U * queues);
    EXPECT_EQ(n.copied_bytes, n.captures * pages * page_bytes);
    EXPECT_EQ(n.released, n.captures * pages - out);
    snapmem_object object;
    ASSERT_EQ(rig_->get_object(r.handle, object), SNAPMEM_OK);
    EXPECT_EQ(object.copied_pages, n.captures * pages);
}

TEST_F(LanesTest, FramesComeInARowWhenTheyWereBackInNone) {
    const RegionName r = rig_.create(pages);
    fill_cache(r, 0);
    Captured a = capture(r, 0);
    const Captured b = capture(r, 0);
    a.frames.insert(a.frames.begin() + pages / 2, b.frames.begin(),
                    b.frames.end());
    std::reverse(a.frames.begin(), a.frames.end());
    rig_.release(a.frames, 0);
    const Captured c = capture(r, 0);
    ASSERT_EQ(c.frames.size(), pages);
    EXPECT_TRUE(std::is_sorted(c.frames.begin(), c.frames.end()));
    rig_.release(c.frames, 0);
}

TEST_F(LanesTest, CapturesGetTheFramesInOtherCaches) {
    const RegionName r = rig_.create(pages);
    for (std::uint32_t q = 0; q < queues; ++q) {
        fill_cache(r, q);
    }
    std::uint32_t n = 0;
    while (capture(r, 0).status == SNAPMEM_OK) {
        ++n;
    }
    EXPECT_EQ(n, (frames - pages - reserve) / pages);
}

TEST_F(LanesTest, CachesLeaveTheReserve) {
    const RegionName r = rig_.create(pages);
    fill_cache(r, 1);
    std::vector<Frame> received(frames - pages - reserve);
    ASSERT_EQ(rig_->receive(received), SNAPMEM_OK);
    EXPECT_EQ(capture(r, 1).status, SNAPMEM_NO_FRAMES);
    // A frame that comes back is not kept for the queue that gives it.
    rig_->give(received);
    rig_.release({received[0], received[1]}, 1);
    EXPECT_EQ(rig_.capture(r.handle, 0, 3 * page_bytes, 1).status,
              SNAPMEM_NO_FRAMES);
    EXPECT_EQ(rig_.capture(r.handle, 0, 2 * page_bytes, 1).status, SNAPMEM_OK);
}

TEST_F(LanesTest, OthersGetTheFramesInCaches) {
    const RegionName r = rig_.create(pages);
    fill_cache(r, 0);
    fill_cache(r, 1);
    std::vector<Frame> all(frames - pages);
    ASSERT_EQ(rig_->receive(all), SNAPMEM_OK);
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
    EXPECT_EQ(rig_->available(), 0U);
    rig_->drop(all);

    fill_cache(r, 0);
    const RegionName large = rig_.create(frames - pages - reserve - 100);
    fill_cache(r, 1);
    RegionName rest;
    EXPECT_EQ(rig_.try_create(spec_for(100), rest), SNAPMEM_OK);
    EXPECT_EQ(rig_->available(), reserve);
    EXPECT_EQ(rig_.destroy(large), SNAPMEM_OK);
}

// A store takes a frame that was promised, wherever it is.
TEST_F(LanesTest, StoresGetTheFramesInCaches) {
    const RegionName r = rig_.create(48);
    rig_.fill(r.page, 1, 48);
    const RegionName small = rig_.create(pages);
    fill_cache(small, 0);
    fill_cache(small, 2);
    const std::uint32_t snapshot = rig_.snapshot(r);
    std::vector<Frame> received(rig_->available());
    ASSERT_EQ(rig_->receive(received), SNAPMEM_OK);
    rig_.fill(r.page, 2, 48);
    EXPECT_STREQ(rig_->check(), nullptr);
    EXPECT_EQ(rig_->snapshot_drop(snapshot), SNAPMEM_OK);
    rig_->drop(received);
}

// ---- Captures that share ----------------------------------------------------

class SharesTest : public testing::Test {
  protected:
    static constexpr std::uint32_t npages = 8;
    Rig rig_{Trap::fake, config(SNAPMEM_SHARE), 10000, 6, cache_frames};

    void TearDown() override {
        EXPECT_STREQ(rig_->check(), nullptr);
        rig_->reset();
        EXPECT_EQ(rig_->available(), frames);
        EXPECT_STREQ(rig_->check(), nullptr);
    }
    // Armed, and captured before.
    RegionName create() {
        const RegionName r = rig_.create(npages);
        rig_.fill(r.page, 1, npages);
        rig_.release(capture(r, 0).frames, 0);
        return r;
    }
    Captured capture(const RegionName &r, std::uint32_t queue,
                     std::uint32_t pages_of_it = npages) {
        return rig_.capture(r.handle, 0, pages_of_it * page_bytes, queue);
    }
};

TEST_F(SharesTest, NobodyTakesTheLock) {
    const RegionName r = create();
    const std::uint32_t free = frames - npages;
    const std::uint64_t locked = rig_->work().locked;
    const Captured first = capture(r, 1);
    const Captured second = capture(r, 2);
    EXPECT_EQ(second.frames, first.frames);
    // Each page has been promised a frame, once.
    EXPECT_EQ(rig_->available(), free - npages);
    rig_.release(first.frames, 2);
    EXPECT_EQ(rig_->available(), free - npages);
    rig_.release(second.frames, 0);
    EXPECT_EQ(rig_->available(), free);
    EXPECT_EQ(rig_->work().locked, locked + 1); // by this look
}

// Whoever takes the lock finds what lanes have done.
TEST_F(SharesTest, LevelsAreAsEver) {
    const RegionName r = create();
    const std::uint64_t shared = rig_.counters().shared_bytes;
    const std::uint64_t captures = rig_.counters().captures;
    const std::uint64_t released = rig_.counters().released;
    const Captured first = capture(r, 1);
    EXPECT_EQ(rig_.counters().guest_frames, npages);
    EXPECT_EQ(rig_.counters().reserved_frames, npages);
    EXPECT_STREQ(rig_->check(), nullptr);
    const Captured second = capture(r, 2, 4);
    EXPECT_EQ(rig_.counters().reserved_frames, npages);
    rig_.release(first.frames, 2);
    EXPECT_EQ(rig_.counters().guest_frames, 4U);
    EXPECT_EQ(rig_.counters().reserved_frames, 4U);
    EXPECT_STREQ(rig_->check(), nullptr);
    rig_.release(second.frames, 0);
    EXPECT_EQ(rig_.counters().shared_bytes, shared + 12 * page_bytes);
    EXPECT_EQ(rig_.counters().captures, captures + 2);
    EXPECT_EQ(rig_.counters().released, released + 12);
    snapmem_object object;
    ASSERT_EQ(rig_->get_object(r.handle, object), SNAPMEM_OK);
    EXPECT_EQ(object.shared_pages, npages + 12U);
}

TEST_F(SharesTest, EndsOfTheRangeAreCopied) {
    const RegionName r = create();
    const auto ends = [&] {
        return rig_.capture(r.handle, 100, 3 * page_bytes, 1);
    };
    rig_.release(ends().frames, 1); // the cache of the queue is filled
    const std::uint64_t locked = rig_->work().locked;
    const Captured c = ends();
    EXPECT_EQ(rig_->work().locked, locked + 1);
    ASSERT_EQ(c.frames.size(), 4U);
    EXPECT_TRUE(all_bytes(rig_.frame(c.frames[0]), 100, 0));
    EXPECT_TRUE(all_bytes(rig_.frame(c.frames[0]) + 100, page_bytes - 100, 1));
    EXPECT_TRUE(all_bytes(rig_.frame(c.frames[3]), 100, 1));
    EXPECT_TRUE(all_bytes(rig_.frame(c.frames[3]) + 100, page_bytes - 100, 0));
    EXPECT_STREQ(rig_->check(), nullptr);
    rig_.fill(r.page, 2, npages);
    EXPECT_TRUE(all_bytes(rig_.frame(c.frames[1]), page_bytes, 1));
    EXPECT_TRUE(all_bytes(rig_.frame(c.frames[2]), page_bytes, 1));
    rig_.release(c.frames, 0);
}

// A store since the last capture: the page is armed first.
TEST_F(SharesTest, WhatMayBeWrittenIsArmed) {
    const RegionName r = create();
    rig_.fill(r.page + 3, 2);
    const Captured c = capture(r, 1);
    rig_.fill(r.page, 3, npages);
    EXPECT_TRUE(all_bytes(rig_.frame(c.frames[2]), page_bytes, 1));
    EXPECT_TRUE(all_bytes(rig_.frame(c.frames[3]), page_bytes, 2));
    rig_.release(c.frames, 1);
}

// The same of a page whose old bytes have gone elsewhere, to a snapshot.
TEST_F(SharesTest, WhatHasMovedIsArmed) {
    const RegionName r = create();
    const std::uint32_t snapshot = rig_.snapshot(r);
    rig_.release(capture(r, 0).frames, 0);
    rig_.fill(r.page, 2, npages);
    const Captured c = capture(r, 1);
    rig_.fill(r.page, 3, npages);
    for (const Frame f : c.frames) {
        EXPECT_TRUE(all_bytes(rig_.frame(f), page_bytes, 2));
    }
    rig_.release(c.frames, 1);
    EXPECT_EQ(rig_->snapshot_drop(snapshot), SNAPMEM_OK);
}

// The first of guest and device to hold a frame promises one, and the last one
// gives it back.
TEST_F(SharesTest, TheDeviceHoldsThem) {
    const RegionName r = create();
    const Captured c = capture(r, 1);
    rig_->hold(c.frames);
    rig_.release(c.frames, 1);
    EXPECT_EQ(rig_.counters().reserved_frames, npages);
    EXPECT_STREQ(rig_->check(), nullptr);
    rig_.release(capture(r, 2).frames, 0);
    EXPECT_EQ(rig_.counters().reserved_frames, npages);
    EXPECT_STREQ(rig_->check(), nullptr);
    rig_->drop(c.frames);
    EXPECT_EQ(rig_.counters().reserved_frames, 0U);
}

TEST_F(SharesTest, FramesForReceptionStay) {
    const RegionName r = create();
    std::vector<Frame> received(rig_->available() - reserve - npages + 1);
    ASSERT_EQ(rig_->receive(received), SNAPMEM_OK);
    EXPECT_EQ(capture(r, 1).status, SNAPMEM_NO_FRAMES);
    const Captured c = capture(r, 1, npages - 1);
    EXPECT_EQ(c.status, SNAPMEM_OK);
    EXPECT_EQ(capture(r, 2).status, SNAPMEM_NO_FRAMES);
    rig_.release(c.frames, 1);
    rig_->drop(received);
}

// Of more regions than a lane has places for.
TEST_F(SharesTest, ManyRegions) {
    std::vector<RegionName> regions;
    regions.reserve(6);
    for (int i = 0; i < 6; ++i) {
        regions.push_back(create());
    }
    std::vector<Frame> all;
    for (const RegionName &r : regions) {
        const Captured c = capture(r, 1);
        ASSERT_EQ(c.status, SNAPMEM_OK);
        all.insert(all.end(), c.frames.begin(), c.frames.end());
        EXPECT_EQ(rig_->available(), frames - 6 * npages - all.size());
    }
    EXPECT_STREQ(rig_->check(), nullptr);
    rig_.release(all, 2);
    EXPECT_EQ(rig_->available(), frames - 6 * npages);
}

// A lane promises only so much before somebody tells the ledger.
TEST(Shares, NoLaneTakesWhatIsKept) {
    snapmem_config c = config(SNAPMEM_SHARE);
    c.frames = 400;
    Rig rig(Trap::fake, c, 10000, 6, cache_frames);
    const std::uint32_t npages = c.frames / 2;
    const RegionName r = rig.create(npages);
    rig.fill(r.page, 1, npages);
    const auto capture = [&](Page first, std::uint32_t queue) {
        return rig.capture(r.handle, first * page_bytes, pages * page_bytes,
                           queue);
    };
    for (Page p = 0; p < npages; p += pages) {
        rig.release(capture(p, 0).frames);
    }
    std::uint32_t captures = 0;
    for (Page p = 0; p < npages; p += pages) {
        captures += capture(p, 1).status == SNAPMEM_OK;
    }
    EXPECT_EQ(captures, (c.frames - npages - reserve) / pages);
    EXPECT_GE(rig->available(), reserve);
    EXPECT_STREQ(rig->check(), nullptr);
}

// With few mappings captures copy, before a store might lack one.
TEST(Shares, MappingsSuffice) {
    constexpr std::uint32_t budget = 20; // for two of four regions
    Rig rig(Trap::fake, config(SNAPMEM_SHARE), budget, 6, cache_frames);
    std::vector<RegionName> regions;
    regions.reserve(4);
    for (int i = 0; i < 4; ++i) {
        const RegionName r = rig.create(pages);
        rig.fill(r.page, 1, pages);
        rig.release(rig.capture(r.handle, 0, pages * page_bytes, 0).frames);
        regions.push_back(r);
    }
    for (std::uint32_t i = 0; i < 4; ++i) {
        EXPECT_EQ(
            rig.capture(regions[i].handle, 0, pages * page_bytes, i % 3).status,
            SNAPMEM_OK);
        EXPECT_STREQ(rig->check(), nullptr);
    }
}

TEST_F(LanesTest, WhatIsNotHeldIsNotReleased) {
    const RegionName r = rig_.create(pages);
    fill_cache(r, 0);
    const Captured c = capture(r, 0);
    rig_.release(c.frames, 1);
    std::size_t done = 0;
    for (std::uint32_t q = 0; q < queues; ++q) {
        EXPECT_EQ(rig_->release(c.frames, done, q), SNAPMEM_BAD_FRAME);
        EXPECT_EQ(done, 0U);
    }
    // Two holds, and one of the device.
    const Captured again = capture(r, 0);
    rig_->hold(again.frames);
    rig_.release(again.frames, 0);
    EXPECT_EQ(rig_->available(), frames - 2 * pages);
    rig_->drop(again.frames);
    EXPECT_EQ(rig_->available(), frames - pages);
}

// ---- At the same time -------------------------------------------------------

using Clock = std::chrono::steady_clock;
constexpr auto run_time = std::chrono::milliseconds(800);

TEST(LaneLock, OneWriterOrOneReaderInEachLane) {
    snapmem_impl::LaneLock lock(2);
    int shared = 0; // that TSan looks at
    std::array<int, 2> own{};
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, lane = static_cast<std::uint32_t>(i % 2)] {
            while (!stop) {
                if (lock.try_lock_lane(lane)) {
                    const int before = shared;
                    ++own[lane];
                    EXPECT_EQ(shared, before);
                    lock.unlock_lane(lane);
                }
            }
        });
    }
    const auto end = Clock::now() + run_time;
    int writes = 0;
    while (Clock::now() < end) {
        lock.lock();
        ++shared;
        const std::array<int, 2> before = own;
        ++writes;
        EXPECT_EQ(own, before);
        lock.unlock();
    }
    stop = true;
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_EQ(shared, writes);
}

// Commits make the region all one byte, then all another; discards zero it;
// what a capture has of it is one of them, from its first page to its last,
// and stays so, also if the region goes and others take its frames.
class CapturesTest : public testing::TestWithParam<snapmem_mode> {};

INSTANTIATE_TEST_SUITE_P(Modes, CapturesTest,
                         testing::Values(SNAPMEM_COPY, SNAPMEM_SHARE),
                         [](const auto &info) {
                             return mode_name(info.param);
                         });

TEST_P(CapturesTest, SeeNothingHalf) {
    snapmem_config c = config(GetParam());
    c.frames = 600;
    Rig rig(Trap::fake, c, 10000, 6, cache_frames);
    constexpr std::uint32_t n = 12; // pages
    const RegionName source = rig.create(n);
    std::array<std::uint32_t, 2> versions{};
    for (std::uint8_t i = 0; i < 2; ++i) {
        rig.fill(source.page, static_cast<std::uint8_t>(i + 1), n);
        versions[i] = rig.snapshot(source);
    }
    std::atomic<std::uint32_t> handle = rig.clone(versions[0]).handle;
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> captures = 0;
    std::atomic<std::uint64_t> refused = 0;
    std::vector<std::thread> threads;
    for (std::uint32_t q = 0; q < queues; ++q) {
        threads.emplace_back([&, q] {
            struct Kept {
                std::vector<Frame> frames;
                std::uint8_t byte;
            };
            const auto is_whole = [&rig](const Kept &k) {
                return std::all_of(
                    k.frames.begin(), k.frames.end(), [&](Frame f) {
                        const std::size_t npages = (f & large_bit) ? n : 1;
                        return all_bytes(rig.frame(f & ~large_bit),
                                         npages * page_bytes, k.byte);
                    });
            };
            std::vector<Kept> kept;
            while (!stop && !testing::Test::HasFailure()) {
                Captured got =
                    rig.capture(handle, 0, n * page_bytes, q, q != 0);
                if (got.status == SNAPMEM_OK) {
                    kept.push_back(
                        {got.frames, *rig.frame(got.frames[0] & ~large_bit)});
                    EXPECT_TRUE(is_whole(kept.back())) << "torn";
                    ++captures;
                } else {
                    ++refused;
                }
                if (kept.size() == 4 || got.status == SNAPMEM_NO_FRAMES) {
                    for (const Kept &k : kept) {
                        EXPECT_TRUE(is_whole(k)) << "a frame changed";
                        rig.release(k.frames, (q + kept.size()) % queues);
                    }
                    kept.clear();
                }
            }
            for (const Kept &k : kept) {
                rig.release(k.frames, q);
            }
        });
    }
    const auto end = Clock::now() + run_time;
    for (std::uint32_t i = 0; Clock::now() < end; ++i) {
        const RegionName r = rig.clone(versions[i % 2]);
        const std::uint32_t old = handle.exchange(r.handle);
        EXPECT_EQ(rig->region_destroy(old), SNAPMEM_OK);
        std::uint64_t version = 1;
        for (std::uint32_t j = 0; j < 6; ++j) {
            EXPECT_EQ(rig->commit(r.handle, versions[(i + j) % 2],
                                  SNAPMEM_QUOTA_NONE, version),
                      SNAPMEM_OK);
        }
        EXPECT_EQ(rig->discard(r.handle, 0, n), SNAPMEM_OK);
        if (i % 16 == 0) {
            EXPECT_STREQ(rig->check(), nullptr);
        }
    }
    stop = true;
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_STREQ(rig->check(), nullptr);
    EXPECT_GT(captures, 0U);
    std::printf("  %llu captures, %llu refused\n",
                static_cast<unsigned long long>(captures),
                static_cast<unsigned long long>(refused));
    rig->reset();
    EXPECT_EQ(rig->available(), c.frames);
}

// Several queues release the same frames, or the same large one: one of them
// does.
class ReleasesTest : public testing::TestWithParam<bool> {};

TEST_P(ReleasesTest, AFrameIsReleasedOnce) {
    const bool large = GetParam();
    const std::uint32_t pages = large ? large_frames : 8;
    Rig rig(Trap::fake, config(), 10000, 6, cache_frames);
    const RegionName r = rig.create(pages);
    std::atomic<std::uint32_t> go = 0;
    std::atomic<std::uint32_t> ready = 0;
    std::atomic<std::uint64_t> released = 0;
    std::vector<Frame> now;
    std::vector<std::thread> threads;
    constexpr std::uint32_t rounds = 2000;
    for (std::uint32_t q = 0; q < queues; ++q) {
        threads.emplace_back([&, q] {
            for (std::uint32_t i = 1; i <= rounds; ++i) {
                for (std::uint32_t seen = go; seen < i; seen = go) {
                    go.wait(seen);
                }
                for (const Frame f : now) {
                    std::size_t done = 0;
                    static_cast<void>(rig->release({&f, 1}, done, q));
                    released += done;
                }
                ++ready;
                ready.notify_one();
            }
        });
    }
    for (std::uint32_t i = 1; i <= rounds; ++i) {
        now = rig.capture(r.handle, 0, pages * page_bytes, i % queues, large)
                  .frames;
        EXPECT_EQ(now.size(), large ? 1 : pages);
        ready = 0;
        go = i;
        go.notify_all();
        for (std::uint32_t seen = ready; seen < queues; seen = ready) {
            ready.wait(seen);
        }
    }
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_EQ(released, std::uint64_t{rounds} * (large ? 1 : pages));
    EXPECT_EQ(rig->available(), frames - pages);
    EXPECT_STREQ(rig->check(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Sizes, ReleasesTest, testing::Bool(),
                         [](const auto &info) {
                             return info.param ? "Large" : "Single";
                         });

} // namespace
} // namespace snapmem_test
