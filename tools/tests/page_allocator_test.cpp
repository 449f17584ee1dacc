// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap/page_allocator.cpp
#include "libsnap/page_allocator.h"

#include <gtest/gtest.h>
#include <random>
#include <vector>

using snap::detail::PageAllocator;

TEST(PageAllocator, TakesTheFirstFit) {
    PageAllocator pages(10);
    EXPECT_EQ(pages.allocate(3), 0U);
    EXPECT_EQ(pages.allocate(3), 3U);
    EXPECT_EQ(pages.allocate(4), 6U);
    EXPECT_EQ(pages.allocate(1), std::nullopt);
    EXPECT_TRUE(pages.release(3));
    EXPECT_EQ(pages.allocate(2), 3U);
    EXPECT_EQ(pages.allocate(1), 5U);
}

TEST(PageAllocator, ExtendsWhereItIsFree) {
    PageAllocator pages(10);
    EXPECT_EQ(pages.allocate(2), 0U);
    EXPECT_EQ(pages.allocate(2), 2U);
    EXPECT_FALSE(pages.extend(0, 3)) << "somebody is there";
    EXPECT_TRUE(pages.extend(0, 2));
    EXPECT_FALSE(pages.extend(0, 1));
    EXPECT_FALSE(pages.extend(1, 2));
    EXPECT_FALSE(pages.extend(2, 9)) << "there is no page 10";
    EXPECT_TRUE(pages.extend(2, 5));
    EXPECT_EQ(pages.free_pages(), 3U);
    EXPECT_EQ(pages.allocate(1), 7U);
    EXPECT_TRUE(pages.release(7));
    EXPECT_TRUE(pages.extend(2, 8)) << "all that is there";
    EXPECT_EQ(pages.free_pages(), 0U);
    EXPECT_TRUE(pages.release(2));
    EXPECT_EQ(pages.largest_free(), 8U);
}

TEST(PageAllocator, RefusesWhatIsNotThere) {
    PageAllocator pages(4);
    EXPECT_EQ(pages.allocate(0), std::nullopt);
    EXPECT_EQ(pages.allocate(5), std::nullopt);
    EXPECT_EQ(pages.allocate(SIZE_MAX), std::nullopt);
    EXPECT_FALSE(pages.release(0));
    EXPECT_EQ(pages.allocate(2), 0U);
    EXPECT_FALSE(pages.release(1));
    EXPECT_TRUE(pages.release(0));
    EXPECT_FALSE(pages.release(0));
    PageAllocator none(0);
    EXPECT_EQ(none.allocate(1), std::nullopt);
}

TEST(PageAllocator, JoinsNeighbours) {
    PageAllocator pages(3);
    for (unsigned int i = 0; i < 3; i++)
        ASSERT_EQ(pages.allocate(1), i);
    EXPECT_TRUE(pages.release(0));
    EXPECT_TRUE(pages.release(2));
    EXPECT_EQ(pages.largest_free(), 1U);
    EXPECT_TRUE(pages.release(1));
    EXPECT_EQ(pages.largest_free(), 3U);
}

// Random operations against a bitmap.
TEST(PageAllocator, AgreesWithABitmap) {
    constexpr std::size_t total = 64;
    // NOLINTNEXTLINE(cert-msc51-cpp): repeatable on purpose
    std::mt19937 random(1);
    PageAllocator pages(total);
    std::vector<bool> used(total);
    std::vector<std::pair<std::size_t, std::size_t>> held;
    for (int step = 0; step < 20000; step++) {
        if (random() % 2 == 0) {
            const std::size_t want = 1 + random() % 9;
            const auto got = pages.allocate(want);
            if (!got) {
                ASSERT_LT(pages.largest_free(), want);
                continue;
            }
            for (std::size_t i = *got; i < *got + want; i++) {
                ASSERT_FALSE(used.at(i));
                used.at(i) = true;
            }
            held.emplace_back(*got, want);
        } else if (!held.empty()) {
            std::swap(held[random() % held.size()], held.back());
            const auto [first, count] = held.back();
            held.pop_back();
            ASSERT_TRUE(pages.release(first));
            for (std::size_t i = first; i < first + count; i++)
                used.at(i) = false;
        }
        const auto free = std::count(used.begin(), used.end(), false);
        ASSERT_EQ(pages.free_pages(), static_cast<std::size_t>(free));
    }
    for (const auto &run : held)
        ASSERT_TRUE(pages.release(run.first));
    EXPECT_EQ(pages.largest_free(), total);
}
