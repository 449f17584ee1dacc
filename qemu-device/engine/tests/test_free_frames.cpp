// SPDX-License-Identifier: LGPL-2.1-or-later
#include "free_frames.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace snapmem_impl {
namespace {

constexpr std::uint32_t group = FreeFrames::group_frames;

Frame take(FreeFrames &free) {
    const Frame f = free.next();
    free.remove(f);
    return f;
}
void take_all(FreeFrames &free) {
    while (free.count() != 0) {
        take(free);
    }
}
void add(FreeFrames &free, Frame first, std::uint32_t n) {
    for (Frame f = first; f < first + n; ++f) {
        free.add(f);
    }
}

TEST(FreeFrames, TakesAllInOrder) {
    FreeFrames free(200);
    EXPECT_EQ(free.count(), 200U);
    for (Frame f = 0; f < 200; ++f) {
        EXPECT_TRUE(free.has(f));
        EXPECT_EQ(take(free), f);
        EXPECT_FALSE(free.has(f));
        ASSERT_STREQ(free.check(), nullptr);
    }
    EXPECT_EQ(free.count(), 0U);
}

TEST(FreeFrames, SinglesLeaveWholeGroupsWhole) {
    FreeFrames free(6 * 64);
    take_all(free);
    add(free, 64, group);
    for (const Frame f : {1, 2 * 64, 3 * 64 + 5, 4 * 64 + 63}) {
        free.add(f);
    }
    add(free, 5 * 64, group); // the last
    for (const Frame f : {4 * 64 + 63, 3 * 64 + 5, 2 * 64, 1}) {
        EXPECT_EQ(take(free), f);
    }
    EXPECT_EQ(take(free), 5U * 64);
    EXPECT_STREQ(free.check(), nullptr);
}

TEST(FreeFrames, WhatCameBackInAnyOrderIsTakenInARow) {
    FreeFrames free(256);
    take_all(free);
    std::vector<Frame> back(64);
    for (std::uint32_t i = 0; i < 64; ++i) {
        back[i] = 64 + i;
    }
    std::mt19937 random(1);
    std::shuffle(back.begin(), back.end(), random);
    for (const Frame f : back) {
        free.add(f);
    }
    for (std::uint32_t i = 0; i < 64; ++i) {
        EXPECT_EQ(take(free), 64 + i);
    }
}

TEST(FreeFrames, FewAreFoundInOneGroup) {
    FreeFrames free(4 * 64);
    take_all(free);
    add(free, 10, group); // over a border: 6 and 10
    EXPECT_EQ(free.find_few(6), 10U);
    EXPECT_EQ(free.find_few(7), no_frame) << "the group to look at has 6";
    add(free, 128, group);
    EXPECT_EQ(free.find_few(6), 10U) << "a partly free group has them";
    EXPECT_EQ(free.find_few(7), 128U);
    EXPECT_EQ(free.find_few(group), 128U);
    EXPECT_EQ(free.find_few(group + 1), no_frame);
}

TEST(FreeFrames, AShortLastGroupIsUsedLast) {
    FreeFrames free(2 * group + 3);
    take_all(free);
    add(free, 0, 2 * group + 3);
    EXPECT_EQ(free.find_few(group), 0U);
    EXPECT_EQ(free.find_run(group, 2 * group + 3), group + 3);
    for (Frame f = 0; f < 2 * group; ++f) {
        EXPECT_EQ(take(free), f);
    }
    EXPECT_EQ(free.find_few(3), 2 * group);
    EXPECT_EQ(free.find_few(4), no_frame);
    EXPECT_STREQ(free.check(), nullptr);
    EXPECT_EQ(take(free), 2 * group);
    EXPECT_STREQ(free.check(), nullptr);
}

TEST(FreeFrames, RunsMayBeLong) {
    FreeFrames free(1000);
    EXPECT_EQ(free.find_run(1000, 1000), 0U);
    free.remove(500);
    EXPECT_EQ(free.find_run(499, 1000), 501U);
    EXPECT_EQ(free.find_run(500, 1000), 0U);
    EXPECT_EQ(free.find_run(501, 1000), no_frame);
    EXPECT_EQ(free.find_run(3, 300), 297U);
}

// A group is split only if all others are whole or used up.
TEST(FreeFrames, StaysRightWhateverComesAndGoes) {
    for (const std::uint32_t frames : {1U, 15U, 16U, 65U, 200U, 1024U}) {
        FreeFrames free(frames);
        std::mt19937 random(frames);
        std::vector<Frame> used;
        const auto whole = [&](Frame f) {
            const Frame first = f / group * group;
            const Frame end = std::min(first + group, frames);
            return std::all_of(used.begin(), used.end(),
                               [&](Frame u) { return u < first || u >= end; });
        };
        for (int i = 0; i < 3000; ++i) {
            if (free.count() != 0 && (used.empty() || random() % 2 == 0)) {
                const Frame f =
                    random() % 4 != 0 ? free.next() : free.find_run(1, frames);
                ASSERT_TRUE(free.has(f));
                if (f == free.next() && whole(f)) {
                    for (Frame g = 0; g < frames; ++g) {
                        ASSERT_TRUE(!free.has(g) || whole(g));
                    }
                }
                free.remove(f);
                used.push_back(f);
            } else {
                std::swap(used[random() % used.size()], used.back());
                free.add(used.back());
                used.pop_back();
            }
            ASSERT_EQ(free.count(), frames - used.size());
            ASSERT_STREQ(free.check(), nullptr);
        }
    }
}

} // namespace
} // namespace snapmem_impl
