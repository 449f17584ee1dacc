// SPDX-License-Identifier: LGPL-2.1-or-later
#include "frame_pool.hpp"

#include <algorithm>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace snapmem_impl {
namespace {

class FramePoolTest : public testing::Test {
  protected:
    static constexpr std::uint32_t frames = 200;
    Fd file_ = make_memory_file("test", frames *page_bytes);
    Ledger ledger_{4};
    FramePool pool_{file_, frames, ledger_};

    void TearDown() override {
        EXPECT_STREQ(pool_.check(), nullptr);
        EXPECT_STREQ(ledger_.check(), nullptr);
    }
    // A region of that many pages; all that it has is promises.
    void open(Slot slot, std::uint32_t npages, std::uint32_t owner = 7) {
        ledger_.open(slot, npages, ledger_.find_owner(owner));
        pool_.update_available();
    }
};

TEST_F(FramePoolTest, StartsFree) {
    EXPECT_EQ(pool_.free(), frames);
    EXPECT_EQ(pool_.available(), frames);
    EXPECT_EQ(pool_.take(Holder::guest), 0U);
}

TEST_F(FramePoolTest, TakesTheMostRecentlyFreedFirst) {
    const Frame a = pool_.take(Holder::guest);
    const Frame b = pool_.take(Holder::device);
    pool_.drop(b, Holder::device);
    pool_.drop(a, Holder::guest);
    EXPECT_EQ(pool_.take(Holder::guest), a);
    EXPECT_EQ(pool_.take(Holder::guest), b);
}

TEST_F(FramePoolTest, TakesARowOfThoseFreedLastInAnyOrder) {
    std::vector<Frame> taken(frames / 2);
    for (Frame &f : taken) {
        f = pool_.take(Holder::guest);
    }
    EXPECT_TRUE(std::is_sorted(taken.begin(), taken.end()));
    for (const Frame f : {90, 13, 10, 12, 11}) {
        pool_.drop(f, Holder::guest);
    }
    for (const Frame f : {10, 11, 12, 13, 90}) {
        EXPECT_EQ(pool_.take(Holder::guest), f);
    }
}

// Of frames that were used before, and of others, in a row or not.
class FramePoolFillTest : public FramePoolTest {
  protected:
    static constexpr std::uint32_t count = 100;
    std::vector<Frame> fresh_;

    void SetUp() override {
        for (int i = 0; i < 150; ++i) {
            fresh_.push_back(pool_.take(Holder::guest));
        }
        for (Frame f = 20; f < 60; f += f % 7 + 1) {
            std::fill_n(pool_.data(f), page_bytes, 0xaa);
            pool_.drop(f, Holder::guest);
            std::erase(fresh_, f);
            fresh_.insert(fresh_.begin(), pool_.take(Holder::guest));
        }
        fresh_.resize(count);
        std::reverse(fresh_.begin() + 80, fresh_.end());
        for (std::uint32_t i = 0; i < count; ++i) {
            from_.emplace_back(page_bytes, static_cast<std::uint8_t>(i + 1));
            pages_.push_back(from_.back().data());
        }
    }
    // The faults of this thread meanwhile.
    std::int64_t fill(std::size_t n) {
        const auto faults = [] {
            rusage usage{};
            getrusage(RUSAGE_THREAD, &usage);
            return usage.ru_minflt;
        };
        const std::span<const Frame> all(fresh_);
        const auto before = faults();
        pool_.fill(all.last(n), std::span(pages_).last(n));
        return faults() - before;
    }
    void expect_filled() const {
        for (std::uint32_t i = 0; i < count; ++i) {
            const std::uint8_t *p = pool_.data(fresh_[i]);
            EXPECT_EQ(std::count(p, p + page_bytes, i + 1), page_bytes);
        }
    }

  private:
    std::vector<std::vector<std::uint8_t>> from_;
    std::vector<const std::uint8_t *> pages_;

  protected:
    void release() {
        pool_.drop_all_guest_holds();
        EXPECT_EQ(pool_.free(), frames);
    }
};

TEST_F(FramePoolFillTest, CopiesPagesToAllKindsOfFrames) {
    fill(count);
    expect_filled();
    release();
}

TEST_F(FramePoolFillTest, TakesNoFaultForEachFrameThatWasNeverUsed) {
    EXPECT_LT(fill(60), 10);
}

TEST_F(FramePoolFillTest, CopiesWhenTheFileCannotBeWritten) {
    const Fd other(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(dup3(other.get(), file_.get(), O_CLOEXEC), file_.get());
    fill(count);
    expect_filled();
    release();
}

TEST_F(FramePoolTest, FreesWithTheLastHoldOnly) {
    const Frame f = pool_.take(Holder::guest);
    pool_.add(f, Holder::guest);
    pool_.add(f, Holder::device);
    pool_.drop(f, Holder::guest);
    pool_.drop(f, Holder::guest);
    EXPECT_EQ(pool_.free(), frames - 1);
    EXPECT_EQ(pool_.guest(), 0U);
    pool_.drop(f, Holder::device);
    EXPECT_EQ(pool_.free(), frames);
}

TEST_F(FramePoolTest, PromisesWhatIsNotOwnOrIsHeldElsewhere) {
    open(1, 3);
    EXPECT_EQ(ledger_.promised(), 3U) << "three holes";
    EXPECT_EQ(pool_.available(), frames - 3);
    const Frame f = pool_.take(Holder::map, ledger_.owner(1));
    pool_.own(f, 1);
    EXPECT_EQ(ledger_.promised(), 2U);
    pool_.add(f, Holder::guest);
    EXPECT_EQ(ledger_.promised(), 3U);
    EXPECT_EQ(ledger_.unpromised(1), 0U);
    EXPECT_EQ(pool_.available(), frames - 1 - 3);
    pool_.add(f, Holder::device);
    pool_.drop(f, Holder::guest);
    EXPECT_EQ(ledger_.promised(), 3U);
    pool_.drop(f, Holder::map);
    EXPECT_EQ(ledger_.promised(), 3U);
    EXPECT_FALSE(pool_.is_own(f));
    pool_.drop(f, Holder::device);
    ledger_.close(1);
    pool_.update_available();
    EXPECT_EQ(pool_.available(), frames);
}

TEST_F(FramePoolTest, ANewEpochTakesAllOwnFramesAtOnce) {
    open(0, 10);
    std::vector<Frame> some(10);
    pool_.take_runs(Holder::map, ledger_.owner(0), some);
    for (const Frame f : some) {
        pool_.own(f, 0);
    }
    EXPECT_EQ(ledger_.promised(), 0U);
    EXPECT_EQ(ledger_.unpromised(0), 10U);
    pool_.disown_all(0);
    EXPECT_EQ(ledger_.promised(), 10U);
    EXPECT_FALSE(pool_.is_own(some[3]));
    pool_.own(some[3], 0);
    EXPECT_TRUE(pool_.is_own_of(some[3], 0));
    EXPECT_EQ(ledger_.own(0), 1U);
}

TEST_F(FramePoolTest, FramesCountForTheirOwner) {
    open(0, 4, 1000);
    open(1, 2, 1001);
    open(2, 8, 1000);
    EXPECT_EQ(ledger_.charged_id(1000), 12U);
    EXPECT_EQ(ledger_.charged_id(1001), 2U);
    EXPECT_EQ(ledger_.charged_id(5), 0U);
    const Frame f = pool_.take(Holder::map, ledger_.owner(1));
    EXPECT_EQ(ledger_.charged_id(1001), 3U);
    pool_.own(f, 1);
    EXPECT_EQ(ledger_.charged_id(1001), 2U);
    pool_.add(f, Holder::guest);
    pool_.drop(f, Holder::map);
    EXPECT_EQ(ledger_.charged_id(1001), 3U) << "a frame and two holes";
    pool_.drop(f, Holder::guest);
    EXPECT_EQ(ledger_.charged_id(1001), 2U);
}

TEST_F(FramePoolTest, OwnersAreForgottenAndUsedAgain) {
    for (std::uint32_t id = 0; id < 200000; ++id) {
        ASSERT_EQ(ledger_.find_owner(id), 1);
    }
    open(0, 1, 3);
    EXPECT_EQ(ledger_.find_owner(3), ledger_.owner(0));
    EXPECT_NE(ledger_.find_owner(4), ledger_.owner(0));
}

TEST_F(FramePoolTest, ZerosAreOneFrameWhileSomebodyHoldsIt) {
    const Frame used = pool_.take(Holder::device);
    std::fill_n(pool_.data(used), page_bytes, 0xaa);
    pool_.drop(used, Holder::device);
    EXPECT_FALSE(pool_.has_zero());
    const Frame z = pool_.take_zero(Holder::guest);
    EXPECT_EQ(pool_.data(z)[17], 0);
    EXPECT_EQ(pool_.take_zero(Holder::guest), z);
    EXPECT_EQ(pool_.guest_holds(z), 2U);
    pool_.drop(z, Holder::guest);
    EXPECT_TRUE(pool_.has_zero());
    pool_.drop(z, Holder::guest);
    EXPECT_FALSE(pool_.has_zero());
    EXPECT_EQ(pool_.free(), frames);
}

TEST_F(FramePoolTest, TakesOneRunFromTheTop) {
    constexpr std::uint32_t n = 72; // a border of groups
    std::vector<Frame> out(n);
    pool_.take_runs(Holder::map, 0, out);
    for (std::uint32_t i = 0; i < n; ++i) {
        EXPECT_EQ(out[i], frames - n + i);
    }
    EXPECT_EQ(pool_.take(Holder::guest), 0U);
}

TEST_F(FramePoolTest, TakesFewInARowOfOneGroup) {
    EXPECT_EQ(pool_.take(Holder::guest), 0U);
    std::vector<Frame> out(16);
    pool_.take_few(Holder::map, 0, out);
    for (std::uint32_t i = 0; i < 16; ++i) {
        EXPECT_EQ(out[i], 16 + i);
    }
    EXPECT_EQ(pool_.take(Holder::guest), 1U);
}

TEST_F(FramePoolTest, TakesFewOneByOneWhenNoGroupHasThem) {
    std::vector<Frame> all(frames);
    pool_.take_runs(Holder::guest, 0, all);
    for (Frame f = 1; f < frames; f += 2) {
        pool_.drop(f, Holder::guest);
    }
    const std::uint64_t before = pool_.searched();
    std::vector<Frame> out(16);
    pool_.take_few(Holder::map, 0, out);
    EXPECT_EQ(pool_.searched(), before);
    EXPECT_EQ(pool_.mapped(), 16U);
}

TEST_F(FramePoolTest, TakesScatteredFramesWhenThereIsNoRun) {
    std::vector<Frame> all(frames);
    pool_.take_runs(Holder::guest, 0, all);
    EXPECT_EQ(pool_.free(), 0U);
    for (Frame f = 0; f < frames; f += 2) {
        pool_.drop(f, Holder::guest);
    }
    std::vector<Frame> out(frames / 2);
    pool_.take_runs(Holder::map, 0, out);
    EXPECT_EQ(pool_.free(), 0U);
    EXPECT_EQ(pool_.mapped(), frames / 2);
}

TEST_F(FramePoolTest, DropsAllGuestHolds) {
    const Frame a = pool_.take(Holder::guest);
    pool_.add(a, Holder::guest);
    const Frame b = pool_.take(Holder::guest);
    pool_.add(b, Holder::device);
    pool_.drop_all_guest_holds();
    EXPECT_EQ(pool_.guest(), 0U);
    EXPECT_EQ(pool_.free(), frames - 1);
    EXPECT_TRUE(pool_.held(b));
}

} // namespace
} // namespace snapmem_impl
