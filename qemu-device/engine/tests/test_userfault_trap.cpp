// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rig.hpp"

#include "os.hpp"
#include "userfault_trap.hpp"

#include <atomic>
#include <gtest/gtest.h>

namespace snapmem_test {
namespace {

// Disarms what is stored to, and counts; says no the first `refuse` times.
class CountingSink : public snapmem_impl::StoreSink {
  public:
    snapmem_impl::WriteTrap *trap = nullptr;
    std::atomic<int> stores = 0;
    std::atomic<int> refuse = 0;
    std::atomic<Page> last = ~Page{0};

    bool resolve_store(Page p) noexcept override {
        ++stores;
        last = p;
        if (refuse > 0) {
            --refuse;
            return false;
        }
        trap->disarm(p, 1);
        return true;
    }
};

class UserfaultTrapTest : public testing::Test {
  protected:
    static constexpr std::uint32_t pages = 16;

    void SetUp() override {
        SKIP_WITHOUT(Trap::real);
        sink_.trap = &trap_;
        trap_.start(memory_.data(), pages, sink_);
        ASSERT_TRUE(trap_.rebound(0, pages));
    }
    void store(Page p, std::uint8_t v) {
        std::atomic_ref<std::uint8_t>(memory_.data()[p * page_bytes]) = v;
    }

    snapmem_impl::Fd file_ =
        snapmem_impl::make_memory_file("test", pages *page_bytes);
    snapmem_impl::Mapping memory_{file_, 0, pages *page_bytes};
    CountingSink sink_;
    snapmem_impl::UserfaultTrap trap_;
};

TEST_F(UserfaultTrapTest, StoresToUnarmedPagesPass) {
    for (Page p = 0; p < pages; ++p) {
        store(p, 1);
    }
    EXPECT_EQ(sink_.stores, 0);
}

TEST_F(UserfaultTrapTest, OneStoreToAnArmedPageCallsOnce) {
    ASSERT_TRUE(trap_.arm(0, pages)); // no page of memory exists yet
    store(5, 1);
    store(5, 2);
    EXPECT_EQ(sink_.stores, 1);
    EXPECT_EQ(sink_.last, 5U);
    EXPECT_EQ(memory_.data()[5 * page_bytes], 2);
    EXPECT_EQ(memory_.data()[6 * page_bytes], 0) << "loads pass";
    EXPECT_EQ(sink_.stores, 1);
}

TEST_F(UserfaultTrapTest, DisarmedPagesPass) {
    store(3, 7);
    ASSERT_TRUE(trap_.arm(2, 4));
    ASSERT_TRUE(trap_.disarm(2, 4));
    for (Page p = 0; p < pages; ++p) {
        store(p, 1);
    }
    EXPECT_EQ(sink_.stores, 0);
}

TEST_F(UserfaultTrapTest, TriesAgainWhenTheSinkCannot) {
    ASSERT_TRUE(trap_.arm(1, 1));
    sink_.refuse = 3;
    store(1, 4);
    EXPECT_EQ(memory_.data()[page_bytes], 4);
    EXPECT_EQ(sink_.stores, 4);
}

} // namespace
} // namespace snapmem_test
