// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rig.hpp"

#include "snapmem/snapmem.h"

#include <array>
#include <gtest/gtest.h>
#include <memory>

namespace snapmem_test {
namespace {

struct Free {
    void operator()(snapmem *m) const { snapmem_free(m); }
};
using Handle = std::unique_ptr<snapmem, Free>;

Handle make(snapmem_config config, const char **error) {
    return Handle(snapmem_new(&config, false, error));
}

TEST(CBoundary, RefusesBadSizes) {
    const std::array<snapmem_config, 7> bad{{
        {0, 1, 0, SNAPMEM_COPY, false, 1},
        {1, 0, 0, SNAPMEM_COPY, false, 1},
        {(1U << 24) + 1, 1, 0, SNAPMEM_COPY, false, 1},
        {1, (1U << 24) + 1, 0, SNAPMEM_COPY, false, 1},
        {~0U, ~0U, 0, SNAPMEM_COPY, false, 1},
        {4, 4, 4, SNAPMEM_COPY, false, 1},
        {4, 4, 0, static_cast<snapmem_mode>(3), false, 1},
    }};
    for (const snapmem_config &config : bad) {
        const char *error = nullptr;
        EXPECT_EQ(make(config, &error), nullptr);
        EXPECT_NE(error, nullptr);
        EXPECT_EQ(make(config, nullptr), nullptr);
    }
}

TEST(CBoundary, FreeTakesNull) {
    snapmem_free(nullptr);
}

TEST(CBoundary, SaysWhetherItCanShare) {
    for (const snapmem_mode mode : {SNAPMEM_COPY, SNAPMEM_AUTO}) {
        const Handle m = make({8, 8, 0, mode, false, 1}, nullptr);
        EXPECT_EQ(snapmem_can_share(m.get()), no_userfault().empty());
    }
    const char *error = nullptr;
    const Handle share = make({8, 8, 0, SNAPMEM_SHARE, false, 1}, &error);
    EXPECT_EQ(share != nullptr, no_userfault().empty());
    EXPECT_EQ(error == nullptr, no_userfault().empty());
}

TEST(CBoundary, SaysWhatMappingsTheFirstHasLeft) {
    const snapmem_config large{8, 1U << 24, 0, SNAPMEM_COPY, false, 1};
    const snapmem_config small{8, 8, 0, SNAPMEM_COPY, false, 1};
    {
        const Handle first = make(small, nullptr);
        EXPECT_EQ(snapmem_maps_lacking(first.get()), 0U);
        const Handle second = make(large, nullptr);
        EXPECT_GT(snapmem_maps_lacking(second.get()), 0U);
        const Handle third = make(small, nullptr);
        EXPECT_EQ(snapmem_maps_lacking(third.get()),
                  8 + SNAPMEM_REGIONS_MAX + 1);
    }
    const Handle again = make(small, nullptr);
    EXPECT_EQ(snapmem_maps_lacking(again.get()), 0U);
}

TEST(CBoundary, MakesAndFreesALargeEngineLazily) {
    const Handle m =
        make({1U << 20, 1U << 20, 64, SNAPMEM_COPY, false, 1}, nullptr);
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(snapmem_free_frames(m.get()), 1U << 20);
}

TEST(CBoundary, RoundTrip) {
    for (const snapmem_mode mode : {SNAPMEM_COPY, SNAPMEM_AUTO}) {
        const Handle m = make({64, 64, 4, mode, false, 1}, nullptr);
        ASSERT_NE(m, nullptr);
        std::uint32_t region = 0;
        std::uint32_t page = 0;
        snapmem_region_spec spec = spec_for(4);
        spec.hint = SNAPMEM_HINT_KEEP;
        ASSERT_EQ(snapmem_region_create(m.get(), &spec, &region, &page),
                  SNAPMEM_OK);
        std::uint8_t *at = snapmem_window(m.get()) + page * SNAPMEM_FRAME_BYTES;
        std::memset(at, 1, 8192);
        std::array<std::uint32_t, 4> frames{};
        std::uint32_t n = 0;
        ASSERT_EQ(snapmem_capture(m.get(), 0, region, 0, 8192, frames.data(),
                                  frames.size(), &n),
                  SNAPMEM_OK);
        ASSERT_EQ(n, 2U);
        std::memset(at, 2, 8192);
        for (std::uint32_t i = 0; i < n; ++i) {
            EXPECT_TRUE(all_bytes(snapmem_pool(m.get()) +
                                      frames[i] * SNAPMEM_FRAME_BYTES,
                                  SNAPMEM_FRAME_BYTES, 1));
            EXPECT_TRUE(snapmem_guest_holds(m.get(), frames[i], 1));
        }
        std::size_t done = 0;
        EXPECT_EQ(snapmem_release(m.get(), 0, frames.data(), n, &done),
                  SNAPMEM_OK);
        EXPECT_EQ(done, 2U);

        ASSERT_EQ(snapmem_receive(m.get(), frames.data(), 2), SNAPMEM_OK);
        snapmem_give(m.get(), frames.data(), 2);
        snapmem_hold(m.get(), frames.data(), 1);
        EXPECT_EQ(snapmem_release(m.get(), 0, frames.data(), 2, nullptr),
                  SNAPMEM_OK);
        snapmem_drop(m.get(), frames.data(), 1);
        EXPECT_EQ(snapmem_free_frames(m.get()), 60U);
        EXPECT_EQ(snapmem_region_destroy(m.get(), region), SNAPMEM_OK);
        EXPECT_EQ(snapmem_check(m.get()), nullptr);
        snapmem_reset(m.get());
        snapmem_counters c;
        snapmem_get_counters(m.get(), &c);
        EXPECT_EQ(c.captures, 1U);
        EXPECT_EQ(c.free_frames, 64U);
        EXPECT_EQ(c.released, 4U);
    }
}

TEST(CBoundary, SnapshotsRoundTrip) {
    SKIP_WITHOUT(Trap::real);
    const Handle handle = make({64, 64, 4, SNAPMEM_COPY, true, 1}, nullptr);
    snapmem *m = handle.get();
    const snapmem_region_spec spec = spec_for(4);
    std::uint32_t region = 0;
    std::uint32_t page = 0;
    ASSERT_EQ(snapmem_region_create(m, &spec, &region, &page), SNAPMEM_OK);
    std::uint8_t *at = snapmem_window(m) + page * SNAPMEM_FRAME_BYTES;
    std::uint32_t one = 0;
    std::uint32_t two = 0;
    std::uint64_t version = 0;
    constexpr std::uint32_t none = SNAPMEM_QUOTA_NONE;
    ASSERT_EQ(snapmem_snapshot(m, region, none, &one, &version), SNAPMEM_OK);
    std::uint32_t clone = 0;
    ASSERT_EQ(snapmem_clone(m, one, &spec, &clone, &page), SNAPMEM_OK);
    snapmem_window(m)[page * SNAPMEM_FRAME_BYTES + 9] = 7;
    std::uint64_t version_of_clone = 0;
    ASSERT_EQ(snapmem_snapshot(m, clone, none, &two, &version_of_clone),
              SNAPMEM_OK);
    std::array<std::uint32_t, 4> pages{};
    std::size_t n = 0;
    std::uint32_t next = 0;
    ASSERT_EQ(snapmem_diff(m, one, two, 0, pages.data(), 4, &n, &next),
              SNAPMEM_OK);
    EXPECT_EQ(n, 1U);
    EXPECT_EQ(pages[0], 0U);
    EXPECT_EQ(next, SNAPMEM_DIFF_END);
    ASSERT_EQ(snapmem_commit(m, region, two, none, &version), SNAPMEM_OK);
    EXPECT_EQ(at[9], 7);
    std::array<std::uint64_t, 4> conflicts{};
    ASSERT_EQ(snapmem_merge(m, region, two, one, none, conflicts.data(), 4, &n,
                            &version),
              SNAPMEM_OK);
    EXPECT_EQ(at[9], 0);
    ASSERT_EQ(snapmem_discard(m, region, 0, 4), SNAPMEM_OK);
    snapmem_object object;
    ASSERT_EQ(snapmem_get_object(m, region, &object), SNAPMEM_OK);
    EXPECT_EQ(object.populated, 0U);
    EXPECT_GT(snapmem_charged(m, 0), 0U);
    EXPECT_EQ(snapmem_snapshot_drop(m, one), SNAPMEM_OK);
    EXPECT_EQ(snapmem_snapshot_drop(m, one), SNAPMEM_BAD_REGION);
    EXPECT_EQ(snapmem_check(m), nullptr);
    snapmem_reset(m);
    EXPECT_EQ(snapmem_free_frames(m), 64U);
}

} // namespace
} // namespace snapmem_test
