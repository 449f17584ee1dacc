// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Short of frames, of mappings, of regions; a trap that fails.
#include "rig.hpp"

#include <gtest/gtest.h>

namespace snapmem_test {
namespace {

snapmem_config share_config(std::uint32_t frames, std::uint32_t reserve) {
    return {.frames = frames,
            .window_pages = 64,
            .rx_reserve = reserve,
            .mode = SNAPMEM_SHARE,
            .dedup = false,
            .queues = 1};
}

// Take all frames that can be had.
std::vector<Frame> drain(Rig &rig) {
    std::vector<Frame> frames(rig->available());
    EXPECT_EQ(rig->receive(frames), SNAPMEM_OK);
    return frames;
}

class LimitsTest : public testing::TestWithParam<Trap> {
  protected:
    void SetUp() override { SKIP_WITHOUT(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Traps, LimitsTest,
                         testing::Values(Trap::fake, Trap::real),
                         [](const auto &info) {
                             return trap_name(info.param);
                         });

TEST_P(LimitsTest, StoresAreServedWithThePoolFull) {
    Rig rig(GetParam(), share_config(64, 0));
    const RegionName r = rig.create(32);
    rig.fill(r.page, 1, 32);
    const Captured c = rig.capture(r.handle, 0, 32 * page_bytes);
    ASSERT_EQ(c.status, SNAPMEM_OK);
    EXPECT_EQ(rig.counters().reserved_frames, 32U);
    EXPECT_EQ(rig->available(), 0U);
    std::vector<Frame> one(1);
    EXPECT_EQ(rig->receive(one), SNAPMEM_NO_FRAMES);
    EXPECT_EQ(rig.capture(r.handle, 0, 1).status, SNAPMEM_NO_FRAMES);
    // The pages are shared already: once more costs no frame.
    const Captured again = rig.capture(r.handle, 0, 32 * page_bytes);
    EXPECT_EQ(again.status, SNAPMEM_OK);
    rig.fill(r.page, 2, 32);
    EXPECT_TRUE(all_bytes(rig.page(r.page), 32 * page_bytes, 2));
    for (const Frame f : c.frames) {
        EXPECT_TRUE(all_bytes(rig.frame(f), page_bytes, 1));
    }
    EXPECT_EQ(rig.counters().free_frames, 0U);
    EXPECT_STREQ(rig->check(), nullptr);
    EXPECT_EQ(rig.capture(r.handle, 0, page_bytes).status, SNAPMEM_NO_FRAMES);
}

TEST_P(LimitsTest, ReleasingASharedFrameFreesItsPromise) {
    Rig rig(GetParam(), share_config(40, 0));
    const RegionName r = rig.create(20);
    const Captured c = rig.capture(r.handle, 0, 20 * page_bytes);
    EXPECT_EQ(rig->available(), 0U);
    rig.release(c.frames);
    EXPECT_EQ(rig->available(), 20U);
    const auto taken = drain(rig);
    rig.fill(r.page, 1, 20); // armed, not shared: needs no frame
    EXPECT_EQ(rig.counters().cow_copies, 0U);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST_P(LimitsTest, OnlyReceptionUsesItsReserve) {
    Rig rig(GetParam(), share_config(20, 8));
    std::uint32_t handle = 0;
    std::uint32_t page = 0;
    EXPECT_EQ(rig->region_create(spec_for(13), handle, page),
              SNAPMEM_NO_FRAMES);
    const RegionName r = rig.create(10);
    EXPECT_EQ(rig.capture(r.handle, 0, 3 * page_bytes).status,
              SNAPMEM_NO_FRAMES);
    EXPECT_EQ(rig.capture(r.handle, 1, 2 * page_bytes).status,
              SNAPMEM_NO_FRAMES);
    EXPECT_EQ(rig.counters().free_frames, 10U);
    EXPECT_EQ(rig.counters().guest_frames, 0U);
    EXPECT_EQ(rig.capture(r.handle, 0, 2 * page_bytes).status, SNAPMEM_OK);
    std::vector<Frame> frames(9);
    EXPECT_EQ(rig->receive(frames), SNAPMEM_NO_FRAMES);
    frames.resize(8);
    EXPECT_EQ(rig->receive(frames), SNAPMEM_OK);
    rig.fill(r.page, 1, 2);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST_P(LimitsTest, ShortOfMappingsItCopies) {
    // 1 + 1 for the region, its end, then 2 per shared page.
    Rig rig(GetParam(), share_config(256, 0), 3 + 2 * 8);
    const RegionName r = rig.create(32);
    const Captured few = rig.capture(r.handle, 0, 8 * page_bytes);
    EXPECT_EQ(rig.counters().shared_bytes, 8 * page_bytes);
    const Captured more = rig.capture(r.handle, 0, 9 * page_bytes);
    ASSERT_EQ(more.status, SNAPMEM_OK);
    EXPECT_EQ(rig.counters().copied_bytes, 9 * page_bytes);
    rig.fill(r.page, 1, 32);
    for (const Frame f : few.frames) {
        EXPECT_TRUE(all_bytes(rig.frame(f), page_bytes, 0));
    }
    EXPECT_STREQ(rig->check(), nullptr);
    // The window is in pieces now: no mapping is left for a region.
    std::uint32_t handle = 0;
    std::uint32_t page = 0;
    EXPECT_EQ(rig->region_create(spec_for(16), handle, page), SNAPMEM_OK);
    rig.fill(page, 3, 16);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST(Limits, RegionsNeedMappings) {
    Rig rig(Trap::none,
            {.frames = 64,
             .window_pages = 64,
             .rx_reserve = 0,
             .mode = SNAPMEM_COPY,
             .dedup = false,
             .queues = 1},
            5);
    const auto all = drain(rig);
    std::vector<Frame> odd;
    for (Frame f = 1; f < 64; f += 2) {
        odd.push_back(f);
    }
    rig->drop(odd);
    std::uint32_t handle = 0;
    std::uint32_t page = 0;
    EXPECT_EQ(rig->region_create(spec_for(4), handle, page), SNAPMEM_NO_MEMORY);
    EXPECT_EQ(rig.counters().free_frames, 32U);
    EXPECT_STREQ(rig->check(), nullptr);
    EXPECT_EQ(rig->region_create(spec_for(3), handle, page), SNAPMEM_OK);
}

// A capture of a snapshot gives the guest frames that a region shows, and a
// store to them has to rebind the page. Without mappings for that, and without
// frames, it is served all the same: from what the store was promised.
TEST_P(LimitsTest, ShortOfMappingsSnapshotsAreCapturedAllTheSame) {
    Rig rig(GetParam(), share_config(256, 0), 3 + 2 * 8);
    const RegionName r = rig.create(32);
    rig.fill(r.page, 7, 32);
    const std::uint32_t s = rig.snapshot(r);
    drain(rig);
    const Captured few = rig.capture_all(s, 8);
    ASSERT_EQ(rig.capture_all(s, 8).status, SNAPMEM_OK); // held already
    EXPECT_EQ(rig.counters().cow_copies, 0U);
    const Captured all = rig.capture_all(s, 32);
    ASSERT_EQ(all.status, SNAPMEM_OK);
    EXPECT_EQ(rig.counters().cow_copies, 24U);
    EXPECT_EQ(rig.counters().copied_bytes, 0U);
    EXPECT_STREQ(rig->check(), nullptr);
    const std::uint64_t before = rig->work().mapped;
    rig.fill(r.page, 1, 32);
    EXPECT_EQ(rig.counters().cow_copies, 32U);
    EXPECT_LE(rig->work().mapped - before, 8U);
    EXPECT_STREQ(rig->check(), nullptr);
    for (const Captured *c : {&few, &all}) {
        for (const Frame f : c->frames) {
            EXPECT_TRUE(all_bytes(rig.frame(f), page_bytes, 7));
        }
    }
    // Of a region it copies, and may lack frames for that.
    EXPECT_EQ(rig.capture_all(r.handle, 32).status, SNAPMEM_NO_FRAMES);
}

// Also pages that the region shows elsewhere: for those a mapping is there from
// the snapshot on, or it does without them.
TEST(Limits, ShortOfMappingsSnapshotsWithDuplicatesAreCapturedToo) {
    for (const std::uint32_t budget : {3U, 4U, 5U, 100U}) {
        snapmem_config config = share_config(64, 0);
        config.dedup = true;
        Rig rig(Trap::fake, config, budget);
        const RegionName r = rig.create(8);
        rig.fill(r.page, 7, 8);
        const std::uint32_t s = rig.snapshot(r);
        EXPECT_EQ(rig.counters().dedup_pages, budget < 4 ? 0U : 7U);
        EXPECT_STREQ(rig->check(), nullptr);
        drain(rig);
        const Captured c = rig.capture_all(s, 8);
        ASSERT_EQ(c.status, SNAPMEM_OK);
        EXPECT_STREQ(rig->check(), nullptr);
        rig.fill(r.page, 1, 8);
        for (const Frame f : c.frames) {
            EXPECT_TRUE(all_bytes(rig.frame(f), page_bytes, 7));
        }
        EXPECT_STREQ(rig->check(), nullptr);
    }
}

// Taking promises back changes what an operation needs. 16 pages, 8 of them
// own; nobody has the frames of the others any more, and 8 frames are free.
class HalfReclaimed {
  public:
    HalfReclaimed() : rig(Trap::fake, share_config(64, 0)) {
        region = rig.create(16);
        const std::uint32_t s = rig.snapshot(region);
        for (Page p = 8; p-- > 0;) { // downwards: nothing is copied ahead
            rig.fill(region.page + p, 1);
        }
        rig->snapshot_drop(s);
        EXPECT_EQ(rig->available(), 40U);
        drain(rig);
        EXPECT_EQ(rig.counters().free_frames, 8U);
    }
    Rig rig;
    RegionName region;
};

TEST(Limits, WhatASnapshotNeedsIsAskedAfterReclaiming) {
    HalfReclaimed h;
    std::uint32_t out = 0;
    std::uint64_t version = 0;
    EXPECT_EQ(
        h.rig->snapshot(h.region.handle, SNAPMEM_QUOTA_NONE, out, version),
        SNAPMEM_NO_FRAMES);
    EXPECT_STREQ(h.rig->check(), nullptr);
    EXPECT_EQ(h.rig->available(), 8U);
}

TEST(Limits, WhatACaptureNeedsIsAskedAfterReclaiming) {
    HalfReclaimed h;
    EXPECT_EQ(h.rig.capture_all(h.region.handle, 16).status, SNAPMEM_NO_FRAMES);
    EXPECT_STREQ(h.rig->check(), nullptr);
    h.rig.fill(h.region.page, 2, 16);
}

TEST(Limits, WhatAMergeNeedsIsAskedAfterReclaiming) {
    Rig rig(Trap::fake, share_config(96, 0));
    const RegionName r = rig.create(16);
    const std::uint32_t base = rig.snapshot(r);
    const RegionName clone = rig.clone(base);
    rig.fill(clone.page, 7, 16);
    const std::uint32_t from = rig.snapshot(clone);
    EXPECT_EQ(rig.destroy(clone), SNAPMEM_OK);
    const std::uint32_t s = rig.snapshot(r);
    for (Page p = 8; p-- > 0;) {
        rig.fill(r.page + p, 0);
    }
    rig->snapshot_drop(s);
    drain(rig);
    std::size_t n = 0;
    std::uint64_t version = 0;
    const snapmem_status status =
        rig->merge(r.handle, base, from, SNAPMEM_QUOTA_NONE, {}, n, version);
    EXPECT_EQ(status, SNAPMEM_NO_FRAMES);
    EXPECT_STREQ(rig->check(), nullptr);
}

// What was allowed by one estimate must not be too much by the other, exact
// one: regions side by side have no gap between them.
TEST(Limits, BothEstimatesOfMappingsAgree) {
    Rig rig(Trap::fake, share_config(256, 0), 21);
    for (int i = 0; i < 6; ++i) {
        const RegionName r = rig.create(4);
        ASSERT_EQ(rig.capture(r.handle, 0, page_bytes).status, SNAPMEM_OK);
    }
    EXPECT_EQ(rig.counters().shared_bytes, 6 * page_bytes);
    rig.create(1, true);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST(Limits, AsManyRegionsAsPromised) {
    Rig rig(Trap::fake, {.frames = 2000,
                         .window_pages = 2000,
                         .rx_reserve = 0,
                         .mode = SNAPMEM_SHARE,
                         .dedup = false,
                         .queues = 1});
    std::uint32_t handle = 0;
    std::uint32_t page = 0;
    for (std::uint32_t i = 0; i < SNAPMEM_REGIONS_MAX; ++i) {
        ASSERT_EQ(rig->region_create(spec_for(1), handle, page), SNAPMEM_OK);
    }
    EXPECT_EQ(rig->region_create(spec_for(1), handle, page),
              SNAPMEM_NO_REGIONS);
    EXPECT_STREQ(rig->check(), nullptr);
    rig->reset();
    EXPECT_EQ(rig->available(), 2000U);
    EXPECT_STREQ(rig->check(), nullptr);
}

// 1024 pages, 17 nodes, on a pool of 4096 frames.
class ManyNodes : public testing::Test {
  protected:
    static constexpr std::uint32_t npages = 1024;
    static constexpr std::uint32_t frames = 4096;

    void SetUp() override {
        ASSERT_EQ(rig_.try_create(spec(SNAPMEM_QUOTA_NONE), region_),
                  SNAPMEM_OK);
    }
    static snapmem_region_spec spec(std::uint32_t quota) {
        snapmem_region_spec s = spec_for(npages);
        s.owner = 5;
        s.quota = quota;
        return s;
    }
    // Give every leaf of the map a copy, and take no frame for that.
    void copy_nodes(const RegionName &r, Page i) {
        for (Page p = 0; p < npages; p += 64) {
            ASSERT_EQ(rig_->discard(r.handle, p + i % 64, 1), SNAPMEM_OK);
        }
    }
    snapmem_status snapshot(const RegionName &r, std::uint32_t quota,
                            std::uint32_t &handle) {
        std::uint64_t version = 0;
        return rig_->snapshot(r.handle, quota, handle, version);
    }

    Rig rig_{Trap::fake,
             {.frames = frames,
              .window_pages = 2 * npages,
              .rx_reserve = 0,
              .mode = SNAPMEM_SHARE,
              .dedup = false,
              .queues = 1}};
    RegionName region_;
};

TEST_F(ManyNodes, AreChargedToTheOwner) {
    constexpr std::uint32_t quota = 2 * npages + 64;
    std::vector<std::uint32_t> snapshots;
    std::uint32_t s = 0;
    for (Page i = 0; snapshot(region_, quota, s) == SNAPMEM_OK; ++i) {
        snapshots.push_back(s);
        ASSERT_LT(i, 64U) << "nobody pays for the nodes";
        copy_nodes(region_, i);
        EXPECT_LE(rig_->charged(5), quota);
        EXPECT_STREQ(rig_->check(), nullptr);
    }
    EXPECT_EQ(snapshot(region_, quota, s), SNAPMEM_QUOTA);
    EXPECT_GT(snapshots.size(), 10U);
    // The stores that are promised change no charge.
    const std::uint64_t before = rig_->charged(5);
    rig_.fill(region_.page, 1, npages);
    EXPECT_EQ(rig_->charged(5), before);
    for (const std::uint32_t drop : snapshots) {
        EXPECT_EQ(rig_->snapshot_drop(drop), SNAPMEM_OK);
    }
    EXPECT_EQ(rig_->charged(5), npages);
    EXPECT_EQ(rig_.destroy(region_), SNAPMEM_OK);
    EXPECT_EQ(rig_->charged(5), 0U);
}

// As clones that leave nothing but their snapshots, without a quota.
TEST_F(ManyNodes, AreBoundedByTheDevice) {
    std::uint32_t base = 0;
    ASSERT_EQ(snapshot(region_, SNAPMEM_QUOTA_NONE, base), SNAPMEM_OK);
    const auto attack = [&](Page i) {
        RegionName clone;
        std::uint32_t s = 0;
        snapmem_status status = rig_->clone(base, spec(SNAPMEM_QUOTA_NONE),
                                            clone.handle, clone.page);
        if (status == SNAPMEM_OK) {
            copy_nodes(clone, i);
            status = snapshot(clone, SNAPMEM_QUOTA_NONE, s);
            EXPECT_EQ(rig_.destroy(clone), SNAPMEM_OK);
        }
        return status;
    };
    snapmem_status status = SNAPMEM_OK;
    for (Page i = 0; i < 2000 && status == SNAPMEM_OK; ++i) {
        status = attack(i);
    }
    EXPECT_EQ(status, SNAPMEM_NO_FRAMES);
    // A quarter of what is free when the snapshot has a frame for each page and
    // region and clone are promised as many each, and what regions need for
    // themselves.
    constexpr std::uint32_t left = frames - 3 * npages;
    EXPECT_LE(rig_.counters().map_bytes, left * 1040 + 3 * npages * 13);
    EXPECT_GE(rig_.counters().map_bytes, left * 1000);
    EXPECT_STREQ(rig_->check(), nullptr);
    rig_.fill(region_.page, 1, npages); // stores have their nodes
    EXPECT_STREQ(rig_->check(), nullptr);
    rig_->reset();
    EXPECT_EQ(rig_.counters().map_bytes, 0U);
    EXPECT_EQ(rig_->charged(5), 0U);
}

// 64 MiB, and four users who leave snapshots of clones that have nothing but
// nodes of their own. What one may have is as the guest's kernel says: two
// fifths of the pool, and no more than stays free besides a reserve.
TEST(Limits, UsersWhoMakeNodesLeaveRoomForOthers) {
    constexpr std::uint32_t frames = 16384;
    constexpr std::uint32_t reserve = 64;
    constexpr std::uint32_t kept = reserve + frames / 20;
    constexpr std::uint32_t npages = 1024;
    constexpr std::uint32_t users = 4;
    constexpr std::uint32_t late = users + 1;
    constexpr std::uint32_t root = 0;
    Rig rig(Trap::fake, {.frames = frames,
                         .window_pages = frames,
                         .rx_reserve = reserve,
                         .mode = SNAPMEM_SHARE,
                         .dedup = false,
                         .queues = 1});
    const auto quota = [&](std::uint32_t user) {
        const auto has = static_cast<std::uint32_t>(rig->charged(user));
        const std::uint32_t room =
            rig->available() - std::min(rig->available(), kept);
        return std::min(frames * 2 / 5, (has + room) / 2);
    };
    const auto spec = [&](std::uint32_t user, std::uint32_t n) {
        snapmem_region_spec s = spec_for(n);
        s.owner = user;
        s.quota = user == root ? SNAPMEM_QUOTA_NONE : quota(user);
        return s;
    };
    const auto snapshot = [&](std::uint32_t user, const RegionName &r,
                              std::uint32_t &s) {
        std::uint64_t version = 0;
        return rig->snapshot(r.handle, quota(user), s, version);
    };
    // False: the user can get no more. Nothing of it must throw.
    const auto round = [&](std::uint32_t user, std::uint32_t base, Page page) {
        RegionName clone;
        std::uint32_t s = 0;
        if (rig->clone(base, spec(user, npages), clone.handle, clone.page) !=
            SNAPMEM_OK) {
            return false;
        }
        bool more = true;
        for (Page p = 0; more && p < npages; p += 64) {
            more = rig->discard(clone.handle, p + page, 1) == SNAPMEM_OK;
        }
        more = more && snapshot(user, clone, s) == SNAPMEM_OK;
        EXPECT_EQ(rig.destroy(clone), SNAPMEM_OK);
        return more;
    };

    std::vector<std::uint32_t> bases(users + 1);
    for (std::uint32_t user = 1; user <= users; ++user) {
        RegionName r;
        ASSERT_EQ(rig.try_create(spec(user, npages), r), SNAPMEM_OK);
        ASSERT_EQ(snapshot(user, r, bases[user]), SNAPMEM_OK);
        ASSERT_EQ(rig.destroy(r), SNAPMEM_OK);
    }
    std::uint32_t rounds = 0;
    for (std::uint32_t alive = users; alive != 0;) {
        alive = 0;
        for (std::uint32_t user = 1; user <= users; ++user) {
            ASSERT_NO_THROW(alive += round(user, bases[user], rounds % 64));
        }
        ++rounds;
    }
    EXPECT_GT(rounds, 100U) << "nothing was left to the users";
    EXPECT_STREQ(rig->check(), nullptr);
    // For somebody who comes late, for reception, and for the administrator.
    RegionName r;
    EXPECT_EQ(rig.try_create(spec(late, 64), r), SNAPMEM_OK);
    std::vector<Frame> received(reserve);
    EXPECT_EQ(rig->receive(received), SNAPMEM_OK);
    ASSERT_EQ(rig.try_create(spec(root, frames / 40), r), SNAPMEM_OK);
    rig.snapshot(r);
    EXPECT_EQ(rig->discard(r.handle, 0, 8), SNAPMEM_OK);
    rig.fill(r.page, 1, 16);
    EXPECT_STREQ(rig->check(), nullptr);
}

// One user after another takes all the mappings that it can get: each finds
// some, whatever the way, and the administrator the rest.
TEST(Limits, UsersWhoTakeMappingsLeaveSomeForOthers) {
    constexpr std::uint32_t budget = 4096;
    constexpr std::uint32_t quota = 1U << 20;
    Rig rig(Trap::fake,
            {.frames = 65536,
             .window_pages = 32768,
             .rx_reserve = 0,
             .mode = SNAPMEM_SHARE,
             .dedup = false,
             .queues = 1},
            budget);
    const auto spec = [&](std::uint32_t user, std::uint32_t n, bool sparse) {
        snapmem_region_spec s = spec_for(n, sparse);
        s.owner = user;
        s.quota = quota;
        return s;
    };
    std::uint32_t user = 0;
    // By regions without frames, clones, holes, and captures: a region of
    // frames needs no more than one as long as nobody else shows or holds them.
    const auto sparse = [&] {
        RegionName r;
        std::uint32_t n = 0;
        while (rig.try_create(spec(user, 64, true), r) == SNAPMEM_OK) {
            n += 64;
        }
        return n;
    };
    const auto clones = [&] {
        std::uint32_t n = 0;
        for (int i = 0; i < 64; ++i) {
            RegionName r;
            RegionName clone;
            std::uint32_t s = 0;
            std::uint64_t version = 0;
            EXPECT_EQ(rig.try_create(spec(user, 32, false), r), SNAPMEM_OK);
            EXPECT_EQ(rig->snapshot(r.handle, quota, s, version), SNAPMEM_OK);
            if (rig->clone(s, spec(user, 0, false), clone.handle, clone.page) !=
                SNAPMEM_OK) {
                break;
            }
            n += 32;
        }
        return n;
    };
    const auto holes = [&] {
        RegionName r;
        EXPECT_EQ(rig.try_create(spec(user, 2048, false), r), SNAPMEM_OK);
        std::uint32_t n = 0;
        while (n < 1024 && rig->discard(r.handle, 2 * n, 1) == SNAPMEM_OK) {
            ++n;
        }
        return n;
    };
    const auto captures = [&] {
        RegionName r;
        EXPECT_EQ(rig.try_create(spec(user, 1024, false), r), SNAPMEM_OK);
        rig.capture_all(r.handle, 256);
        rig.capture(r.handle, std::uint64_t{256} * page_bytes, 64 * page_bytes);
        return static_cast<std::uint32_t>(rig.counters().shared_bytes /
                                          page_bytes);
    };
    user = 1;
    EXPECT_GT(sparse(), budget * 2 / 5);
    user = 2;
    EXPECT_GT(clones(), budget / 10);
    user = 3;
    EXPECT_GT(holes(), budget / 50);
    user = 4;
    EXPECT_GT(captures(), 0U);
    user = 5;
    EXPECT_GT(sparse(), 0U);
    EXPECT_STREQ(rig->check(), nullptr);
    // What needs no more goes on, also for who has more than is left.
    user = 1;
    RegionName r;
    EXPECT_EQ(rig.try_create(spec(user, 1, true), r), SNAPMEM_NO_MEMORY);
    // The administrator has no such limit.
    EXPECT_EQ(rig.try_create(spec_for(64, true), r), SNAPMEM_OK);
    EXPECT_STREQ(rig->check(), nullptr);
}

// Who has more than is left by now keeps it, and loses it as it lets it go.
TEST(Limits, WhoHasMoreMappingsThanAreLeftKeepsThem) {
    Rig rig(Trap::fake,
            {.frames = 4096,
             .window_pages = 4096,
             .rx_reserve = 0,
             .mode = SNAPMEM_SHARE,
             .dedup = false,
             .queues = 1},
            1100);
    snapmem_region_spec s = spec_for(500, true);
    s.owner = 1;
    s.quota = 4000;
    RegionName mine;
    ASSERT_EQ(rig.try_create(s, mine), SNAPMEM_OK);
    RegionName r;
    ASSERT_EQ(rig.try_create(spec_for(550, true), r), SNAPMEM_OK);
    s.npages = 1;
    EXPECT_EQ(rig.try_create(s, r), SNAPMEM_NO_MEMORY);
    const std::uint32_t snapshot = rig.snapshot(mine);
    EXPECT_EQ(rig->discard(mine.handle, 7, 3), SNAPMEM_OK);
    rig.fill(mine.page, 1, 500);
    EXPECT_EQ(rig->snapshot_drop(snapshot), SNAPMEM_OK);
    EXPECT_STREQ(rig->check(), nullptr);
    // By now it needs one mapping for a run of frames, and may not again.
    std::uint32_t again = 0;
    RegionName clone;
    std::uint64_t version = 0;
    EXPECT_EQ(rig->snapshot(mine.handle, 4000, again, version), SNAPMEM_OK);
    EXPECT_EQ(rig->clone(again, s, clone.handle, clone.page),
              SNAPMEM_NO_MEMORY);
    const Captured c = rig.capture_all(mine.handle, 200);
    EXPECT_EQ(c.status, SNAPMEM_OK);
    EXPECT_EQ(rig.counters().copied_bytes, 200 * page_bytes);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST(Limits, AnArmThatFailsHalfWayCopies) {
    Rig rig(Trap::fake, share_config(64, 0));
    const RegionName r = rig.create(8);
    rig.fake().fail_arm = true;
    const Captured c = rig.capture(r.handle, 0, 8 * page_bytes);
    ASSERT_EQ(c.status, SNAPMEM_OK);
    EXPECT_EQ(rig.counters().copied_bytes, 8 * page_bytes);
    rig.fill(r.page, 1, 8); // the armed half goes through resolve_store()
    EXPECT_EQ(rig.counters().cow_copies, 0U);
    EXPECT_TRUE(all_bytes(rig.frame(c.frames[0]), page_bytes, 0));
    EXPECT_STREQ(rig->check(), nullptr);
    rig.fake().fail_arm = false;
    const Captured d = rig.capture(r.handle, 0, 8 * page_bytes);
    EXPECT_EQ(rig.counters().shared_bytes, 8 * page_bytes);
}

TEST(Limits, ARegionThatCannotBeWatchedIsUndone) {
    Rig rig(Trap::fake, share_config(64, 0));
    rig.fake().fail_rebound = true;
    std::uint32_t handle = 0;
    std::uint32_t page = 0;
    EXPECT_EQ(rig->region_create(spec_for(8), handle, page), SNAPMEM_NO_MEMORY);
    EXPECT_EQ(rig->available(), 64U);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST(Limits, WithoutATrapAutoCopiesAndShareRefuses) {
    snapmem_config config = share_config(64, 0);
    const auto make = [&] {
        auto trap = std::make_unique<FakeTrap>();
        trap->fail_start = true;
        return Engine(config, std::move(trap), {.map_budget = 1000});
    };
    EXPECT_THROW(make(), snapmem_impl::TrapError);
    config.mode = SNAPMEM_AUTO;
    EXPECT_FALSE(make().can_share());
}

// Pages 0 to 15 are captured and stay; the others are written, and armed by
// others than captures.
TEST(Limits, AutoCountsOnlyWhatCapturesHaveArmed) {
    constexpr std::size_t captured = 16 * page_bytes;
    Rig rig(Trap::fake, {.frames = 512,
                         .window_pages = 64,
                         .rx_reserve = 0,
                         .mode = SNAPMEM_AUTO,
                         .dedup = false,
                         .queues = 1});
    const RegionName r = rig.create(32);
    snapmem_object o{};
    for (int i = 0; i < 80 && !o.sharing; ++i) {
        rig.release(rig.capture(r.handle, 0, captured).frames);
        EXPECT_EQ(rig->get_object(r.handle, o), SNAPMEM_OK);
    }
    ASSERT_TRUE(o.sharing);
    const std::uint32_t s = rig.snapshot(r);
    std::uint64_t version = 0;
    std::size_t conflicts = 0;
    for (std::uint8_t i = 1; i < 20; ++i) {
        rig.fill(r.page + 16, i, 16);
        ASSERT_EQ(rig->merge(r.handle, s, s, SNAPMEM_QUOTA_NONE, {}, conflicts,
                             version),
                  SNAPMEM_OK); // arms what was written
        if (i == 10) {
            ASSERT_EQ(rig->snapshot_drop(rig.snapshot(r)), SNAPMEM_OK);
        }
    }
    rig.release(rig.capture(r.handle, 0, captured).frames);
    EXPECT_EQ(rig->get_object(r.handle, o), SNAPMEM_OK);
    EXPECT_TRUE(o.sharing) << "as if captured pages had been written";
    // And those count.
    for (int i = 0; i < 3; ++i) {
        rig.fill(r.page, 1, 16);
        rig.release(rig.capture(r.handle, 0, captured).frames);
    }
    EXPECT_EQ(rig->get_object(r.handle, o), SNAPMEM_OK);
    EXPECT_FALSE(o.sharing);
}

TEST(Limits, AutoFindsABufferThatStaysAndOneThatDoesNot) {
    Rig rig(Trap::fake, {.frames = 256,
                         .window_pages = 64,
                         .rx_reserve = 0,
                         .mode = SNAPMEM_AUTO,
                         .dedup = false,
                         .queues = 1});
    const RegionName stays = rig.create(16);
    for (int i = 0; i < 200; ++i) {
        rig.release(rig.capture(stays.handle, 0, 16 * page_bytes).frames);
    }
    EXPECT_EQ(rig.counters().shared_bytes, (200 - 63) * 16 * page_bytes);
    const RegionName changes = rig.create(16);
    const std::uint64_t before = rig.counters().shared_bytes;
    for (int i = 0; i < 1000; ++i) {
        rig.fill(changes.page, static_cast<std::uint8_t>(i), 16);
        rig.release(rig.capture(changes.handle, 0, 16 * page_bytes).frames);
    }
    // Every page is written again, though nobody holds its frame any more.
    EXPECT_LE(rig.counters().shared_bytes - before, 5 * 16 * page_bytes);
    const RegionName queued = rig.create(16);
    const std::uint64_t start = rig.counters().shared_bytes;
    Captured last;
    for (int i = 0; i < 1000; ++i) {
        rig.fill(queued.page, static_cast<std::uint8_t>(i), 16);
        Captured now = rig.capture(queued.handle, 0, 16 * page_bytes);
        rig.release(last.frames);
        last = std::move(now);
    }
    EXPECT_LE(rig.counters().shared_bytes - start, 5 * 16 * page_bytes);
}

} // namespace
} // namespace snapmem_test
