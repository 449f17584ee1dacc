// SPDX-License-Identifier: LGPL-2.1-or-later
#include "versions.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace snapmem_impl {
namespace {

TEST(Versions, ThereIsOneForEachFrame) {
    constexpr std::uint32_t frames = 10;
    Versions versions(frames);
    std::vector<Version> all;
    for (Frame f = frames; f-- > 0;) {
        all.push_back(versions.add(f));
    }
    EXPECT_EQ(versions.used(), frames);
    for (Frame f = frames; f-- > 0;) {
        EXPECT_EQ(versions.frame(all[frames - 1 - f]), f);
    }
    versions.remove(all[3]);
    EXPECT_FALSE(versions.used(all[3]));
    versions.remove(all[7]);
    EXPECT_EQ(versions.used(), frames - 2);
    EXPECT_EQ(versions.add(6), all[7]);
    EXPECT_EQ(versions.add(2), all[3]);
    EXPECT_EQ(versions.frame(all[3]), 2U);
}

TEST(Versions, StayTheSameWhereverTheyGo) {
    Versions versions(4);
    const Version a = versions.add(0);
    const Version b = versions.add(1);
    versions.move(a, 2);
    EXPECT_EQ(versions.frame(a), 2U);
    EXPECT_EQ(versions.frame(b), 1U);
    EXPECT_EQ(versions.used(), 2U);
}

} // namespace
} // namespace snapmem_impl
