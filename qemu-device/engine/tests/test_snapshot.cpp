// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Snapshots, clones, commit, merge, diff, discard, one by one.
#include "rig.hpp"

#include <array>
#include <gtest/gtest.h>

namespace snapmem_test {
namespace {

constexpr std::uint32_t pool_frames = 128;
constexpr std::uint32_t reserve = 8;
constexpr std::uint32_t no_quota = SNAPMEM_QUOTA_NONE;

class SnapshotTest : public testing::TestWithParam<Trap> {
  protected:
    void SetUp() override {
        SKIP_WITHOUT(GetParam());
        make(SNAPMEM_COPY, false);
    }
    void TearDown() override {
        if (rig_) {
            EXPECT_STREQ(rig()->check(), nullptr);
            rig()->reset();
            EXPECT_EQ(rig()->available(), pool_frames);
        }
    }
    void make(snapmem_mode mode, bool dedup) {
        rig_ = std::make_unique<Rig>(
            GetParam(),
            snapmem_config{pool_frames, 256, reserve, mode, dedup, 1});
        rig_->poison_pool(pool_frames);
    }
    Rig &rig() { return *rig_; }

    // Every page of it has only this byte.
    void expect_pages(std::uint32_t handle,
                      const std::vector<std::uint8_t> &bytes) {
        const Captured c =
            rig().capture_all(handle, static_cast<std::uint32_t>(bytes.size()));
        ASSERT_EQ(c.status, SNAPMEM_OK);
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            EXPECT_TRUE(
                all_bytes(rig().frame(c.frames[i]), page_bytes, bytes[i]))
                << "page " << i;
        }
        rig().release(c.frames);
    }
    snapmem_object object(std::uint32_t handle) {
        snapmem_object o;
        EXPECT_EQ(rig()->get_object(handle, o), SNAPMEM_OK);
        return o;
    }
    snapmem_status snapshot(const RegionName &r, std::uint32_t quota,
                            std::uint32_t *handle = nullptr) {
        std::uint32_t h = 0;
        std::uint64_t version = 0;
        const auto s = rig()->snapshot(r.handle, quota, h, version);
        if (handle != nullptr) {
            *handle = h;
        }
        return s;
    }
    snapmem_status commit(const RegionName &r, std::uint32_t from,
                          std::uint64_t version) {
        return rig()->commit(r.handle, from, no_quota, version);
    }
    std::uint64_t store_word(const RegionName &r, std::size_t offset,
                             std::uint64_t value) {
        rig().store(r.page, offset, &value, sizeof(value));
        return value;
    }

  private:
    std::unique_ptr<Rig> rig_;
};

INSTANTIATE_TEST_SUITE_P(Traps, SnapshotTest,
                         testing::Values(Trap::fake, Trap::real),
                         [](const auto &info) {
                             return trap_name(info.param);
                         });

TEST_P(SnapshotTest, OutlivesStoresAndItsRegion) {
    const RegionName r = rig().create(4);
    rig().fill(r.page, 1, 4);
    const std::uint32_t one = rig().snapshot(r);
    rig().fill(r.page + 1, 2, 2);
    const std::uint32_t two = rig().snapshot(r);
    rig().fill(r.page, 3, 4);
    expect_pages(one, {1, 1, 1, 1});
    expect_pages(two, {1, 2, 2, 1});
    EXPECT_EQ(rig().destroy(r), SNAPMEM_OK);
    expect_pages(one, {1, 1, 1, 1});
    EXPECT_EQ(rig()->snapshot_drop(one), SNAPMEM_OK);
    expect_pages(two, {1, 2, 2, 1});
    EXPECT_EQ(rig().counters().region_frames, 4U);
    EXPECT_EQ(rig()->snapshot_drop(two), SNAPMEM_OK);
    EXPECT_EQ(rig()->available(), pool_frames);
}

TEST_P(SnapshotTest, BadHandles) {
    const RegionName r = rig().create(1);
    const std::uint32_t s = rig().snapshot(r);
    std::uint64_t version = 1;
    std::uint32_t out = 0;
    std::size_t n = 0;
    std::array<Page, 1> room{};
    for (const std::uint32_t bad : {0U, r.handle, s + 1, s + 65536, ~0U}) {
        EXPECT_EQ(rig()->snapshot_drop(bad), SNAPMEM_BAD_REGION);
        EXPECT_EQ(commit(r, bad, 1), SNAPMEM_BAD_REGION);
        EXPECT_EQ(rig()->merge(r.handle, bad, s, no_quota, {}, n, version),
                  SNAPMEM_BAD_REGION);
        EXPECT_EQ(rig()->diff(s, bad, 0, room, n, out), SNAPMEM_BAD_REGION);
        EXPECT_EQ(rig()->clone(bad, spec_for(0), out, out), SNAPMEM_BAD_REGION);
    }
    for (const std::uint32_t bad : {0U, s, r.handle + 1, ~0U}) {
        EXPECT_EQ(rig()->snapshot(bad, no_quota, out, version),
                  SNAPMEM_BAD_REGION);
        EXPECT_EQ(rig()->discard(bad, 0, 1), SNAPMEM_BAD_REGION);
    }
    EXPECT_EQ(rig()->diff(s, s, 1, room, n, out), SNAPMEM_BAD_OFFSET);
    EXPECT_EQ(rig()->diff(s, s, 0, {}, n, out), SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(rig()->discard(r.handle, 0, 0), SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(rig()->discard(r.handle, 0, 2), SNAPMEM_BAD_OFFSET);
    EXPECT_EQ(rig()->discard(r.handle, 1, ~0U), SNAPMEM_BAD_OFFSET);
    const RegionName longer = rig().create(2);
    EXPECT_EQ(commit(longer, s, 1), SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(rig()->merge(longer.handle, s, s, no_quota, {}, n, version),
              SNAPMEM_BAD_LENGTH);
    EXPECT_EQ(rig()->diff(s, rig().snapshot(longer), 0, room, n, out),
              SNAPMEM_BAD_LENGTH);
}

TEST_P(SnapshotTest, PromisesEverythingThatAStoreMayNeed) {
    const RegionName r = rig().create(40);
    rig().fill(r.page, 1, 40);
    EXPECT_EQ(rig().counters().reserved_frames, 0U);
    const std::uint32_t s = rig().snapshot(r);
    EXPECT_EQ(rig().counters().reserved_frames, 40U);
    std::vector<Frame> all(rig()->available());
    ASSERT_EQ(rig()->receive(all), SNAPMEM_OK);
    EXPECT_EQ(snapshot(r, no_quota), SNAPMEM_OK) << "nothing new to promise";
    rig().fill(r.page, 2, 40);
    EXPECT_EQ(rig().counters().free_frames, 0U);
    EXPECT_EQ(snapshot(r, no_quota), SNAPMEM_NO_FRAMES);
    expect_pages(s, std::vector<std::uint8_t>(40, 1));
    EXPECT_TRUE(all_bytes(rig().page(r.page), 40 * page_bytes, 2));
    rig()->drop(all);
}

TEST_P(SnapshotTest, DroppingTheLastGivesThePromiseBackWhenItIsNeeded) {
    const RegionName r = rig().create(60);
    rig().fill(r.page, 1, 60);
    const std::uint32_t s = rig().snapshot(r);
    EXPECT_EQ(rig()->available(), pool_frames - 120);
    rig()->snapshot_drop(s);
    std::vector<Frame> all(pool_frames - 60);
    ASSERT_EQ(rig()->receive(all), SNAPMEM_OK);
    rig().fill(r.page, 2, 60); // needs no frame any more
    EXPECT_EQ(rig().counters().cow_copies, 0U);
    EXPECT_EQ(rig().counters().write_faults, 1U) << "64 pages per fault";
    rig()->drop(all);
}

TEST_P(SnapshotTest, VersionsRiseWithStoresAndCommits) {
    const RegionName r = rig().create(2);
    const std::uint32_t one = rig().snapshot(r);
    const std::uint64_t version = object(r.handle).version;
    EXPECT_FALSE(object(r.handle).dirty);
    const std::uint32_t same = rig().snapshot(r);
    EXPECT_EQ(object(same).version, version);
    rig().fill(r.page, 1);
    EXPECT_TRUE(object(r.handle).dirty);
    EXPECT_EQ(commit(r, one, version), SNAPMEM_CONFLICT) << "stored to";
    const std::uint32_t two = rig().snapshot(r);
    EXPECT_EQ(object(two).version, version + 1);
    EXPECT_EQ(commit(r, one, version), SNAPMEM_CONFLICT) << "another version";
    EXPECT_EQ(commit(r, one, version + 1), SNAPMEM_OK);
    EXPECT_TRUE(all_bytes(rig().page(r.page), page_bytes, 0));
    EXPECT_EQ(object(r.handle).version, version + 2);
    EXPECT_EQ(commit(r, two, version + 2), SNAPMEM_OK);
    EXPECT_TRUE(all_bytes(rig().page(r.page), page_bytes, 1));
    rig().fill(r.page, 9); // traps: the commit has armed it
    EXPECT_EQ(commit(r, one, version + 3), SNAPMEM_CONFLICT);
    EXPECT_EQ(rig().counters().conflicts, 3U);
    EXPECT_EQ(rig().counters().commits, 2U);
}

TEST_P(SnapshotTest, ClonesAreRegionsOfTheirOwn) {
    const RegionName r = rig().create(4);
    rig().fill(r.page, 1, 4);
    const std::uint32_t s = rig().snapshot(r);
    const RegionName a = rig().clone(s);
    const RegionName b = rig().clone(s);
    EXPECT_TRUE(all_bytes(rig().page(a.page), 4 * page_bytes, 1));
    EXPECT_EQ(rig().counters().region_frames, 4U);
    rig().fill(a.page, 2, 2);
    rig().fill(b.page + 3, 3);
    expect_pages(s, {1, 1, 1, 1});
    expect_pages(r.handle, {1, 1, 1, 1});
    expect_pages(a.handle, {2, 2, 1, 1});
    expect_pages(b.handle, {1, 1, 1, 3});
    rig()->snapshot_drop(s);
    EXPECT_EQ(rig().destroy(r), SNAPMEM_OK);
    expect_pages(b.handle, {1, 1, 1, 3});
}

TEST_P(SnapshotTest, SparsePagesTakeNoFrames) {
    const RegionName r = rig().create(100, true);
    EXPECT_EQ(rig().counters().region_frames, 0U);
    EXPECT_EQ(rig().counters().free_frames, pool_frames);
    EXPECT_TRUE(all_bytes(rig().page(r.page), 100 * page_bytes, 0));
    EXPECT_EQ(rig().counters().region_frames, 0U) << "loads need none";
    rig().fill(r.page + 50, 5);
    EXPECT_EQ(object(r.handle).populated, 1U);
    const std::uint32_t s = rig().snapshot(r);
    EXPECT_EQ(object(s).populated, 1U);
    std::vector<std::uint8_t> wanted(100, 0);
    wanted[50] = 5;
    expect_pages(s, wanted);
    EXPECT_EQ(rig().counters().region_frames, 1U);
}

TEST_P(SnapshotTest, LookingAtASnapshotNeverLacksAFrame) {
    const RegionName r = rig().create(4, true);
    rig().fill(r.page + 1, 1);
    const std::uint32_t s = rig().snapshot(r);
    std::vector<Frame> all(rig()->available());
    ASSERT_EQ(rig()->receive(all), SNAPMEM_OK);
    expect_pages(s, {0, 1, 0, 0});
    rig()->drop(all);
}

TEST_P(SnapshotTest, ScratchBytesAreNoHoles) {
    rig().fill(0, 7, 256);
    const RegionName r = rig().create(100, true);
    EXPECT_TRUE(all_bytes(rig().page(r.page), 100 * page_bytes, 0));
    rig().fill(r.page + 3, 1);
    EXPECT_EQ(rig().destroy(r), SNAPMEM_OK);
}

TEST_P(SnapshotTest, DiscardMakesZerosAndGivesFramesBack) {
    const RegionName r = rig().create(8);
    rig().fill(r.page, 1, 8);
    const std::uint32_t s = rig().snapshot(r);
    ASSERT_EQ(rig()->discard(r.handle, 2, 4), SNAPMEM_OK);
    expect_pages(r.handle, {1, 1, 0, 0, 0, 0, 1, 1});
    EXPECT_TRUE(all_bytes(rig().page(r.page + 2), 4 * page_bytes, 0));
    expect_pages(s, std::vector<std::uint8_t>(8, 1));
    EXPECT_TRUE(object(r.handle).dirty);
    rig()->snapshot_drop(s);
    EXPECT_EQ(rig().counters().region_frames, 4U);
    rig().fill(r.page + 3, 2);
    expect_pages(r.handle, {1, 1, 0, 2, 0, 0, 1, 1});
}

TEST_P(SnapshotTest, DiffListsWhatDiffersByItsBytes) {
    const RegionName r = rig().create(50);
    rig().fill(r.page, 1, 50);
    const std::uint32_t a = rig().snapshot(r);
    rig().fill(r.page + 3, 2);
    rig().fill(r.page + 4, 1); // other frame, same bytes
    rig().fill(r.page + 49, 2);
    const std::uint32_t b = rig().snapshot(r);
    std::array<Page, 1> room{};
    std::size_t n = 0;
    Page next = 0;
    ASSERT_EQ(rig()->diff(a, b, 0, room, n, next), SNAPMEM_OK);
    EXPECT_EQ(n, 1U);
    EXPECT_EQ(room[0], 3U);
    EXPECT_EQ(next, 49U);
    ASSERT_EQ(rig()->diff(a, b, next, room, n, next), SNAPMEM_OK);
    EXPECT_EQ(room[0], 49U);
    EXPECT_EQ(next, SNAPMEM_DIFF_END);
}

TEST_P(SnapshotTest, MergeBringsInWordsAndNamesConflicts) {
    const RegionName r = rig().create(3);
    store_word(r, 0, 1);
    const std::uint32_t base = rig().snapshot(r);
    const RegionName clone = rig().clone(base);
    store_word(clone, 8, 2);
    store_word(clone, page_bytes + 16, 3);
    store_word(clone, 2 * page_bytes, 4);
    const std::uint32_t from = rig().snapshot(clone);
    store_word(r, 16, 5);             // same page, other word
    store_word(r, 2 * page_bytes, 4); // the same change
    std::array<std::uint64_t, 4> conflicts{};
    std::size_t n = 9;
    std::uint64_t version = 0;
    ASSERT_EQ(
        rig()->merge(r.handle, base, from, no_quota, conflicts, n, version),
        SNAPMEM_OK);
    EXPECT_EQ(n, 0U);
    EXPECT_EQ(version, object(r.handle).version);
    EXPECT_FALSE(object(r.handle).dirty);
    std::array<std::uint64_t, 3> words{};
    std::memcpy(words.data(), rig().page(r.page), sizeof(words));
    EXPECT_EQ(words, (std::array<std::uint64_t, 3>{1, 2, 5}));
    std::memcpy(words.data(), rig().page(r.page + 1), sizeof(words));
    EXPECT_EQ(words[2], 3U);

    store_word(r, page_bytes + 16, 6);
    store_word(r, page_bytes + 24, 7);
    EXPECT_EQ(
        rig()->merge(r.handle, base, from, no_quota, conflicts, n, version),
        SNAPMEM_CONFLICT);
    EXPECT_EQ(n, 1U);
    EXPECT_EQ(conflicts[0], page_bytes + 16);
    std::memcpy(words.data(), rig().page(r.page + 1), sizeof(words));
    EXPECT_EQ(words[2], 6U) << "nothing has changed";
    EXPECT_TRUE(object(r.handle).dirty);
}

TEST_P(SnapshotTest, QuotasCountFramesAndPromisesByOwner) {
    snapmem_region_spec spec = spec_for(10);
    spec.owner = 5;
    spec.quota = 25;
    RegionName r;
    ASSERT_EQ(rig().try_create(spec, r), SNAPMEM_OK);
    EXPECT_EQ(rig()->charged(5), 10U);
    std::uint32_t s = 0;
    EXPECT_EQ(snapshot(r, 19), SNAPMEM_QUOTA);
    ASSERT_EQ(snapshot(r, 20, &s), SNAPMEM_OK);
    EXPECT_EQ(rig()->charged(5), 20U);
    RegionName other;
    EXPECT_EQ(rig().try_create(spec, other), SNAPMEM_QUOTA);
    spec.owner = 6;
    EXPECT_EQ(rig().try_create(spec, other), SNAPMEM_OK);
    rig().fill(r.page, 1, 10);
    EXPECT_EQ(rig()->charged(5), 20U) << "promises became frames";
    EXPECT_EQ(snapshot(r, 29), SNAPMEM_QUOTA);
    rig()->snapshot_drop(s);
    EXPECT_EQ(rig()->charged(5), 10U);
    EXPECT_EQ(snapshot(r, 20, &s), SNAPMEM_OK);
    std::uint32_t page = 0;
    spec.quota = 9;
    EXPECT_EQ(rig()->clone(s, spec, other.handle, page), SNAPMEM_QUOTA);
    rig()->snapshot_drop(s);
    spec.owner = 5;
    spec.quota = 20;
    EXPECT_EQ(rig().try_create(spec, other), SNAPMEM_OK)
        << "the promise is taken back";
}

// Nobody keeps anything on the account of another, and who has a clone of what
// another has made pays for all of it.
TEST_P(SnapshotTest, AnotherOwnersClonePaysForItself) {
    snapmem_region_spec spec = spec_for(20);
    spec.owner = 1;
    RegionName r;
    ASSERT_EQ(rig().try_create(spec, r), SNAPMEM_OK);
    rig().fill(r.page, 1, 20);
    ASSERT_EQ(rig()->discard(r.handle, 3, 1), SNAPMEM_OK);
    std::uint32_t s = 0;
    ASSERT_EQ(snapshot(r, no_quota, &s), SNAPMEM_OK);
    spec.owner = 2;
    spec.quota = 20;
    RegionName clone;
    ASSERT_EQ(rig()->clone(s, spec, clone.handle, clone.page), SNAPMEM_OK);
    EXPECT_FALSE(object(clone.handle).dirty);
    EXPECT_EQ(rig()->charged(2), 20U);
    EXPECT_EQ(rig()->charged(1), 20U + 19U);
    EXPECT_EQ(rig().destroy(r), SNAPMEM_OK);
    EXPECT_EQ(rig()->snapshot_drop(s), SNAPMEM_OK);
    EXPECT_EQ(rig()->charged(1), 0U);
    std::vector<std::uint8_t> wanted(20, 1);
    wanted[3] = 0;
    expect_pages(clone.handle, wanted);
    std::uint32_t second = 0;
    EXPECT_EQ(snapshot(clone, 38, &second), SNAPMEM_QUOTA);
    ASSERT_EQ(snapshot(clone, 39, &second), SNAPMEM_OK);
    rig().fill(clone.page, 2, 20);
    EXPECT_EQ(rig()->charged(2), 39U);
    expect_pages(second, wanted);
}

TEST_P(SnapshotTest, CommitNeedsNoFramesAfterASnapshot) {
    const RegionName r = rig().create(30);
    const std::uint32_t empty = rig().snapshot(r);
    const RegionName clone = rig().clone(empty);
    rig().fill(clone.page, 1, 30);
    const std::uint32_t full = rig().snapshot(clone);
    std::vector<Frame> all(rig()->available());
    ASSERT_EQ(rig()->receive(all), SNAPMEM_OK);
    EXPECT_EQ(commit(r, full, object(r.handle).version), SNAPMEM_OK);
    EXPECT_TRUE(all_bytes(rig().page(r.page), 30 * page_bytes, 1));
    rig()->drop(all);
}

TEST_P(SnapshotTest, DedupFindsPagesThatExistAlready) {
    make(SNAPMEM_AUTO, true);
    const RegionName r = rig().create(4);
    rig().fill(r.page, 1, 4);
    const std::uint32_t one = rig().snapshot(r);
    EXPECT_EQ(rig().counters().dedup_pages, 3U);
    rig().fill(r.page, 1, 4); // written again, the same
    const std::uint32_t two = rig().snapshot(r);
    EXPECT_EQ(rig().counters().dedup_pages, 7U);
    expect_pages(one, {1, 1, 1, 1});
    expect_pages(two, {1, 1, 1, 1});
    rig().fill(r.page, 2, 4);
    expect_pages(one, {1, 1, 1, 1});
    expect_pages(two, {1, 1, 1, 1});
    // never across owners
    snapmem_region_spec spec = spec_for(1);
    spec.owner = 77;
    RegionName other;
    ASSERT_EQ(rig().try_create(spec, other), SNAPMEM_OK);
    rig().fill(other.page, 1);
    rig().snapshot(other);
    EXPECT_EQ(rig().counters().dedup_pages, 7U);
    rig()->snapshot_drop(one);
    expect_pages(two, {1, 1, 1, 1});
}

TEST_P(SnapshotTest, AsManyAsPromised) {
    const RegionName r = rig().create(1);
    std::uint32_t handle = 0;
    for (std::uint32_t i = 0; i < SNAPMEM_SNAPSHOTS_MAX; ++i) {
        ASSERT_EQ(snapshot(r, no_quota, &handle), SNAPMEM_OK);
    }
    EXPECT_EQ(snapshot(r, no_quota), SNAPMEM_NO_REGIONS);
    EXPECT_EQ(rig().counters().snapshots_held, SNAPMEM_SNAPSHOTS_MAX);
    rig()->snapshot_drop(handle);
    EXPECT_EQ(snapshot(r, no_quota), SNAPMEM_OK);
}

TEST(Snapshot, NeedsATrap) {
    Rig rig(Trap::none, {64, 64, 0, SNAPMEM_COPY, false, 1});
    const RegionName r = rig.create(4, true);
    EXPECT_EQ(rig.counters().region_frames, 4U) << "not sparse";
    std::uint32_t out = 0;
    std::uint64_t version = 0;
    EXPECT_EQ(rig->snapshot(r.handle, no_quota, out, version), SNAPMEM_NO_TRAP);
    EXPECT_EQ(rig->clone(1, spec_for(0), out, out), SNAPMEM_NO_TRAP);
    rig.fill(r.page, 1, 4);
    EXPECT_EQ(rig->discard(r.handle, 1, 2), SNAPMEM_OK);
    EXPECT_TRUE(all_bytes(rig.page(r.page), page_bytes, 1));
    EXPECT_TRUE(all_bytes(rig.page(r.page + 1), 2 * page_bytes, 0));
    EXPECT_STREQ(rig->check(), nullptr);
}

// Only what may come to show other frames than it does needs mappings: a clone,
// and then the region whose frames it shows.
TEST(Snapshot, NeedsNoMappingsButForClones) {
    Rig rig(Trap::fake, {512, 256, 0, SNAPMEM_COPY, false, 1}, 30);
    const RegionName small = rig.create(8);
    const RegionName large = rig.create(100);
    const std::uint32_t of_small = rig.snapshot(small);
    for (std::uint8_t i = 1; i < 3; ++i) {
        const std::uint32_t s = rig.snapshot(large);
        rig.fill(large.page, i, 100);
        RegionName clone;
        EXPECT_EQ(rig->clone(s, spec_for(0), clone.handle, clone.page),
                  SNAPMEM_NO_MEMORY);
        EXPECT_EQ(rig->snapshot_drop(s), SNAPMEM_OK);
        EXPECT_STREQ(rig->check(), nullptr);
    }
    const RegionName clone = rig.clone(of_small);
    EXPECT_STREQ(rig->check(), nullptr);
    for (Page p = 0; p < 8; p += 2) {
        rig.fill(small.page + p, 1);
        rig.fill(clone.page + p + 1, 2);
    }
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST(Snapshot, AnArmThatFailsTakesNone) {
    Rig rig(Trap::fake, {256, 64, 0, SNAPMEM_COPY, false, 1});
    const RegionName r = rig.create(8);
    rig.fake().fail_arm = true;
    std::uint32_t out = 0;
    std::uint64_t version = 0;
    EXPECT_EQ(rig->snapshot(r.handle, no_quota, out, version),
              SNAPMEM_NO_MEMORY);
    EXPECT_EQ(rig.counters().snapshots_held, 0U);
    rig.fill(r.page, 1, 8); // the armed half traps for nothing
    EXPECT_STREQ(rig->check(), nullptr);
    rig.fake().fail_arm = false;
    EXPECT_EQ(rig->snapshot(r.handle, no_quota, out, version), SNAPMEM_OK);
}

// Neither the new pages can be watched nor the old ones again: the content
// goes, but not the place in the window, which somebody has mapped.
TEST(Snapshot, ACommitThatCannotBeUndoneLosesTheContent) {
    Rig rig(Trap::fake, {256, 64, 0, SNAPMEM_COPY, false, 1});
    const RegionName r = rig.create(8);
    const std::uint32_t empty = rig.snapshot(r);
    const RegionName clone = rig.clone(empty);
    rig.fill(clone.page, 1, 8);
    const std::uint32_t full = rig.snapshot(clone);
    std::uint64_t version = 2;
    rig.fake().fail_arm = true;
    EXPECT_EQ(rig->commit(r.handle, full, no_quota, version),
              SNAPMEM_NO_MEMORY);
    EXPECT_EQ(rig->discard(clone.handle, 0, 1), SNAPMEM_NO_MEMORY);
    rig.fake().fail_arm = false;
    EXPECT_STREQ(rig->check(), nullptr);
    const RegionName other = rig.create(8);
    EXPECT_NE(other.page, r.page);
    EXPECT_NE(other.page, clone.page);
    EXPECT_EQ(rig.destroy(r), SNAPMEM_OK);
    EXPECT_EQ(rig.destroy(clone), SNAPMEM_OK);
    rig->reset();
    EXPECT_EQ(rig->available(), 256U);
}

// The frames of one clone become another's alone by stores, too.
TEST(Snapshot, PromisesComeBackWhenTheOtherSideIsWritten) {
    Rig rig(Trap::fake, {64, 64, 0, SNAPMEM_COPY, false, 1});
    const RegionName a = rig.create(16);
    const std::uint32_t s = rig.snapshot(a);
    rig.clone(s);
    rig->snapshot_drop(s);
    RegionName more;
    EXPECT_EQ(rig.try_create(spec_for(17), more), SNAPMEM_NO_FRAMES);
    rig.fill(a.page, 1, 16);
    EXPECT_EQ(rig.try_create(spec_for(17), more), SNAPMEM_OK);
    EXPECT_STREQ(rig->check(), nullptr);
}

TEST(Snapshot, DiscardingHolesTakesNoMemory) {
    Rig rig(Trap::fake, {8192, 8192, 0, SNAPMEM_COPY, false, 1});
    const RegionName r = rig.create(4096, true);
    for (Page p = 0; p < 4096; p += 64) {
        rig.fill(r.page + p, 1);
    }
    rig.snapshot(r);
    const std::uint64_t before = rig.counters().map_bytes;
    for (int i = 0; i < 200; ++i) {
        rig.snapshot(r);
        for (Page p = 0; p < 4096; p += 64) {
            ASSERT_EQ(rig->discard(r.handle, p + 1, 1), SNAPMEM_OK);
        }
    }
    EXPECT_LE(rig.counters().map_bytes, 2 * before);
    rig->reset();
    EXPECT_EQ(rig.counters().map_bytes, 0U);
}

} // namespace
} // namespace snapmem_test
