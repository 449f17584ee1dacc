// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Page maps against plain vectors, with small and large fan-outs.
#include "page_map.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace snapmem_impl {
namespace {

using Model = std::vector<Frame>;

class PageMapTest : public testing::TestWithParam<std::uint32_t> {
  protected:
    static constexpr std::uint32_t frames = 4000;

    // A map beside what it must hold.
    struct Pair {
        PageMap map;
        Model model;
    };

    Pair make(std::uint32_t npages) {
        maps_.reserve(maps_.nodes_for(npages));
        return {maps_.empty(npages), Model(npages, no_frame)};
    }
    Pair copy(const Pair &p) {
        maps_.reserve(16 * maps_.nodes_for(p.map.npages)); // a family
        return {maps_.share(p.map), p.model};
    }
    void set(Pair &p, Page page) {
        const Frame f = pool_.take(Holder::map);
        maps_.set(p.map, page, f);
        p.model[page] = f;
    }
    void clear(Pair &p, Page first, std::uint32_t n) {
        maps_.clear(p.map, first, n);
        std::fill_n(p.model.begin() + first, n, no_frame);
    }
    void expect_same(const Pair &p) {
        Model seen;
        maps_.each(p.map, 0, p.map.npages, [&](Page page, Frame f) {
            ASSERT_EQ(page, seen.size());
            ASSERT_EQ(maps_.frame(p.map, page), f);
            seen.push_back(f);
        });
        EXPECT_EQ(seen, p.model);
        const auto populated = std::count_if(
            seen.begin(), seen.end(), [](Frame f) { return f != no_frame; });
        EXPECT_EQ(p.map.populated, populated);
    }

    Fd file_ = make_memory_file("test", frames *page_bytes);
    Ledger ledger_{1};
    FramePool pool_{file_, frames, ledger_};
    PageMaps maps_{pool_, ledger_, GetParam()};
};

INSTANTIATE_TEST_SUITE_P(FanoutBits, PageMapTest, testing::Values(1, 2, 3, 6));

TEST_P(PageMapTest, IsEmptyAtFirst) {
    for (const std::uint32_t n : {1U, 2U, 63U, 64U, 65U, 300U}) {
        expect_same(make(n));
    }
}

// What shares the nodes finds a version where it has gone.
TEST_P(PageMapTest, FollowsVersionsToOtherFrames) {
    Pair a = make(70);
    set(a, 3);
    set(a, 69);
    Pair b = copy(a);
    const Frame before = a.model[69];
    b.model[69] = pool_.take(Holder::map);
    const Version moved = maps_.version(b.map, 69);
    maps_.move(a.map, 69, b.model[69]);
    expect_same(a);
    expect_same(b);
    EXPECT_EQ(maps_.version(b.map, 69), moved);
    EXPECT_NE(maps_.version(a.map, 69), moved);
    EXPECT_EQ(maps_.frame_of(moved), b.model[69]);
    EXPECT_EQ(pool_.map_holds(before), 1U);
    EXPECT_EQ(maps_.versions(), 3U);
    maps_.drop(b.map);
    EXPECT_EQ(maps_.frame_of(moved), no_frame);
    EXPECT_EQ(maps_.versions(), 2U);
    expect_same(a);
    pool_.update_available(); // nodes went
    EXPECT_STREQ(pool_.check(), nullptr);
}

TEST_P(PageMapTest, CountsTheNodesOfAFullMap) {
    for (const std::uint32_t n : {1U, 5U, 64U, 65U, 257U}) {
        const std::size_t wanted = maps_.nodes_for(n);
        Pair p = make(n);
        for (Page page = 0; page < n; ++page) {
            set(p, page); // takes no more than make() has reserved
        }
        expect_same(p);
        EXPECT_LE(wanted, std::size_t{n} * 2 + 20);
        maps_.drop(p.map);
    }
    EXPECT_EQ(pool_.free(), frames);
}

TEST_P(PageMapTest, SharedNodesNeverChange) {
    Pair a = make(300);
    for (Page p = 0; p < 300; p += 3) {
        set(a, p);
    }
    Pair b = copy(a);
    EXPECT_FALSE(maps_.find(a.map, 3).exclusive);
    set(b, 3);
    set(b, 100);
    clear(b, 50, 120);
    expect_same(a);
    expect_same(b);
    EXPECT_TRUE(maps_.find(b.map, 3).exclusive);
    maps_.drop(a.map);
    expect_same(b);
    EXPECT_TRUE(maps_.find(b.map, 299).exclusive);
    maps_.drop(b.map);
    EXPECT_EQ(pool_.free(), frames);
}

TEST_P(PageMapTest, DiffsWhatDiffersAndStopsWhenTold) {
    Pair a = make(300);
    for (Page p = 0; p < 300; ++p) {
        set(a, p);
    }
    Pair b = copy(a);
    std::vector<Page> changed{0, 1, 63, 64, 65, 128, 299};
    for (const Page p : changed) {
        set(b, p);
    }
    clear(b, 200, 2);
    changed.insert(changed.end() - 1, {200, 201});
    std::vector<Page> seen;
    const auto all = [&](Page p, Frame fa, Frame fb) {
        EXPECT_EQ(fa, a.model[p]);
        EXPECT_EQ(fb, b.model[p]);
        seen.push_back(p);
        return true;
    };
    maps_.diff(a.map, b.map, 0, all);
    EXPECT_EQ(seen, changed);
    seen.clear();
    maps_.diff(a.map, b.map, 64, all);
    EXPECT_EQ(seen, std::vector<Page>(changed.begin() + 3, changed.end()));
    seen.clear();
    maps_.diff(a.map, b.map, 0, [&](Page p, Frame, Frame) {
        seen.push_back(p);
        return seen.size() < 2;
    });
    EXPECT_EQ(seen.size(), 2U);
    maps_.diff(a.map, a.map, 0, [](Page, Frame, Frame) {
        ADD_FAILURE() << "the same map";
        return true;
    });
}

TEST_P(PageMapTest, RandomFamiliesOfMaps) {
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::vector<Pair> family;
    family.push_back(make(200));
    for (int step = 0; step < 3000; ++step) {
        Pair &p = family[random() % family.size()];
        const auto page = static_cast<Page>(random() % 200);
        switch (random() % 5) {
        case 0:
            if (family.size() < 8) {
                family.push_back(copy(p));
            }
            break;
        case 1:
            clear(p, page,
                  1 + static_cast<std::uint32_t>(random() % (200 - page)));
            break;
        case 2:
            if (family.size() > 1) {
                maps_.drop(p.map);
                std::swap(p, family.back());
                family.pop_back();
            }
            break;
        default:
            set(p, page);
        }
        if (step % 50 == 0) {
            for (const Pair &each : family) {
                expect_same(each);
            }
            pool_.update_available(); // as the engine does for nodes
            ASSERT_STREQ(pool_.check(), nullptr);
        }
    }
    for (Pair &p : family) {
        maps_.drop(p.map);
    }
    EXPECT_EQ(pool_.free(), frames);
}

} // namespace
} // namespace snapmem_impl
