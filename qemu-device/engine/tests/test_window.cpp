// SPDX-License-Identifier: LGPL-2.1-or-later
#include "window.hpp"

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/mman.h>
#include <vector>

namespace snapmem_impl {
namespace {

class WindowTest : public testing::Test {
  protected:
    static constexpr std::uint32_t frames = 64;
    static constexpr std::uint32_t pages = 64;
    Fd file_ = make_memory_file("snapmem-test",
                                std::uint64_t{frames + pages} * page_bytes);
    Ledger ledger_{8};
    FramePool pool_{file_, frames, ledger_};
    Window window_{file_, pool_, ledger_, pages, 8};

    void SetUp() override {
        for (Frame f = 0; f < frames; ++f) {
            ASSERT_EQ(pool_.take(Holder::map), f); // as of regions
            *pool_.data(f) = static_cast<std::uint8_t>(f + 1);
        }
    }
    void TearDown() override { EXPECT_STREQ(window_.check(), nullptr); }

    // The byte the guest sees; frame f has f + 1.
    [[nodiscard]] int at(Page p) const {
        return window_.base()[p * page_bytes];
    }
    void unbind(Page p, std::uint32_t n) { ASSERT_TRUE(window_.unbind(p, n)); }
    [[nodiscard]] bool bind(Page p, const std::vector<Backing> &run,
                            std::uint32_t owner) {
        return window_.show(p, run, owner) == run.size();
    }
    [[nodiscard]] bool rebind(Page p, Frame f) {
        return window_.show(p, {&f, 1}, window_.owner(p)) == 1;
    }
    // Mappings the kernel has for the window.
    [[nodiscard]] std::uint32_t kernel_segments() const {
        const auto begin = reinterpret_cast<std::uintptr_t>(window_.base());
        std::ifstream maps("/proc/self/maps");
        std::uint32_t n = 0;
        for (std::string line; std::getline(maps, line);) {
            const auto start = std::stoull(line, nullptr, 16);
            n += start >= begin && start < begin + pages * page_bytes;
        }
        return n;
    }
};

TEST_F(WindowTest, ScratchPagesAreWritableEverywhere) {
    for (Page p = 0; p < pages; ++p) {
        window_.base()[p * page_bytes + 7] = 9;
    }
    EXPECT_EQ(window_.segments(), 1U);
}

TEST_F(WindowTest, BindsRunsAndShowsTheFrames) {
    const std::vector<Frame> run{5, 6, 7, 20, 30, 31};
    EXPECT_EQ(window_.bind_cost(run), 4U);
    ASSERT_TRUE(bind(10, run, 1));
    for (Page i = 0; i < run.size(); ++i) {
        EXPECT_EQ(at(10 + i), static_cast<int>(run[i] + 1));
        EXPECT_EQ(window_.backing(10 + i), run[i]);
        EXPECT_EQ(window_.owner(10 + i), 1U);
    }
    EXPECT_EQ(window_.segments(), 5U);
    EXPECT_EQ(window_.owner(9), 0U);
    EXPECT_EQ(window_.owner(16), 0U);
    unbind(10, 6);
    EXPECT_EQ(window_.segments(), 1U);
    EXPECT_EQ(at(10), 0);
}

TEST_F(WindowTest, RebindsOnePage) {
    const std::vector<Frame> run{1, 2, 3};
    ASSERT_TRUE(bind(0, run, 1));
    ASSERT_TRUE(rebind(1, 40));
    EXPECT_EQ(at(0), 2);
    EXPECT_EQ(at(1), 41);
    EXPECT_EQ(at(2), 4);
    EXPECT_EQ(window_.segments(), 4U);
}

TEST_F(WindowTest, HolesAreScratchPagesMadeZero) {
    window_.base()[5 * page_bytes] = 9;
    ASSERT_TRUE(window_.show_scratch(4, 3, 1));
    window_.clear_scratch(4, 3);
    EXPECT_EQ(at(5), 0);
    EXPECT_EQ(window_.owner(5), 1U);
    EXPECT_EQ(window_.backing(5), window_.scratch(5));
    ASSERT_TRUE(rebind(5, 40));
    EXPECT_EQ(at(5), 41);
    const std::vector<Backing> mixed{window_.scratch(4), 63,
                                     window_.scratch(6)};
    EXPECT_EQ(window_.bind_cost(mixed), 4U);
    ASSERT_TRUE(bind(4, mixed, 1));
    EXPECT_EQ(at(5), 64);
    EXPECT_EQ(at(6), 0);
    unbind(4, 3);
    EXPECT_EQ(window_.segments(), 1U);
}

TEST_F(WindowTest, FindsTheFirstGap) {
    EXPECT_EQ(window_.find_gap(pages), Page{0});
    EXPECT_EQ(window_.find_gap(pages + 1), std::nullopt);
    const std::vector<Frame> one{1};
    ASSERT_TRUE(bind(3, one, 1));
    EXPECT_EQ(window_.find_gap(3), Page{0});
    EXPECT_EQ(window_.find_gap(4), Page{4});
    EXPECT_EQ(window_.find_gap(61), std::nullopt);
}

// segments() must never be below what the kernel uses, unbind() must never
// raise it, and bind_cost and rebind_cost must be upper bounds.
TEST_F(WindowTest, SegmentsBoundTheKernelsMappings) {
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::vector<std::vector<Frame>> bound(8); // run i at page 8 * i
    for (int step = 0; step < 2000; ++step) {
        const auto i = static_cast<std::uint32_t>(random() % 8);
        const std::uint32_t before = window_.segments();
        if (bound[i].empty()) {
            const auto n = static_cast<std::uint32_t>(1 + random() % 8);
            std::vector<Frame> run;
            Frame f = 8 * i;
            for (std::uint32_t k = 0; k < n; ++k) {
                run.push_back(random() % 3 ? f++ : f = random() % frames);
            }
            for (Frame &x : run) {
                x %= frames;
            }
            ASSERT_TRUE(bind(8 * i, run, i + 1));
            ASSERT_LE(window_.segments(), before + window_.bind_cost(run));
            bound[i] = run;
        } else if (random() % 2) {
            unbind(8 * i, static_cast<std::uint32_t>(bound[i].size()));
            ASSERT_LE(window_.segments(), before);
            bound[i].clear();
        } else {
            const Page p = 8 * i + random() % bound[i].size();
            ASSERT_TRUE(rebind(p, random() % frames));
            ASSERT_LE(window_.segments(), before + Window::rebind_cost);
        }
        ASSERT_STREQ(window_.check(), nullptr);
        if (step % 10 == 0) {
            ASSERT_LE(kernel_segments(), window_.segments());
        }
    }
}

// The flags of the window's mappings in /proc/self/smaps.
std::vector<std::string> vm_flags(const std::uint8_t *base, std::size_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(base);
    std::ifstream maps("/proc/self/smaps");
    std::vector<std::string> flags;
    bool ours = false;
    for (std::string line; std::getline(maps, line);) {
        if (line.starts_with("VmFlags:")) {
            if (ours) {
                flags.push_back(line + " ");
            }
        } else if (line.find(':') > line.find('-')) { // begins a mapping
            const auto start = std::stoull(line, nullptr, 16);
            ours = start >= begin && start < begin + bytes;
        }
    }
    return flags;
}

TEST_F(WindowTest, StaysOutOfDumpsAndForksWhateverItShows) {
    // As QEMU does with a guest's memory, once.
    madvise(window_.base(), pages * page_bytes, MADV_HUGEPAGE);
    madvise(window_.base(), pages * page_bytes, MADV_DONTFORK);
    ASSERT_TRUE(bind(8, {3, 4, 20, 9}, 1));
    ASSERT_TRUE(rebind(9, 30));
    ASSERT_TRUE(bind(30, {40}, 2));
    for (Page p = 40; p < 60; p += 2) {
        ASSERT_TRUE(bind(p, {1}, 3));
        unbind(p, 1);
    }
    const auto flags = vm_flags(window_.base(), pages * page_bytes);
    ASSERT_GE(flags.size(), 6U);
    for (const std::string &f : flags) {
        EXPECT_NE(f.find(" dd "), std::string::npos) << f;
        EXPECT_NE(f.find(" dc "), std::string::npos) << f;
    }
    EXPECT_LE(kernel_segments(), window_.segments());
}

} // namespace
} // namespace snapmem_impl
