// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rig.hpp"

#include "os.hpp"
#include "userfault_trap.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <functional>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

namespace snapmem_test {
namespace {

using snapmem_impl::Resolved;

// Disarms what is stored to, and counts; says no the first `refuse` times, and
// for the page `stuck`.
class CountingSink : public snapmem_impl::StoreSink {
  public:
    snapmem_impl::WriteTrap *trap = nullptr;
    std::atomic<int> stores = 0;
    std::atomic<int> refuse = 0;
    std::atomic<Page> last = ~Page{0};
    std::atomic<Page> stuck = ~Page{0};
    std::atomic<int> stuck_tries = 0;
    // Does something else, if there is something: what it returns is the
    // answer.
    std::function<Resolved(Page)> instead;

    Resolved resolve_store(Page p) noexcept override {
        if (p == stuck) {
            ++stuck_tries;
            return Resolved::no;
        }
        ++stores;
        last = p;
        if (refuse > 0) {
            --refuse;
            return Resolved::no;
        }
        if (instead) {
            return instead(p);
        }
        return trap->disarm(p, 1) ? Resolved::woken : Resolved::yes;
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

// Each try is followed by a pause, which is that page's alone: many others are
// stored to in it.
TEST_F(UserfaultTrapTest, APageThatCannotWaitsAlone) {
    constexpr int stores = 400;
    sink_.stuck = 0;
    ASSERT_TRUE(trap_.arm(0, pages));
    std::thread waits([this] { store(0, 1); });
    while (sink_.stuck_tries == 0) {
        std::this_thread::yield();
    }
    const int before = sink_.stuck_tries;
    for (int i = 0; i < stores; ++i) {
        const Page p = 1 + static_cast<Page>(i) % (pages - 1);
        store(p, 2);
        ASSERT_TRUE(trap_.arm(p, 1));
    }
    EXPECT_LT(sink_.stuck_tries - before, stores / 4);
    sink_.stuck = ~Page{0};
    waits.join();
    EXPECT_EQ(memory_.data()[0], 1);
}

// The page has another mapping, so nothing is to be disarmed.
TEST_F(UserfaultTrapTest, WhoWaitsForAPageThatHasGoneIsWoken) {
    ASSERT_TRUE(trap_.arm(4, 1));
    sink_.instead = [this](Page p) {
        EXPECT_NE(mmap(memory_.data() + p * page_bytes, page_bytes,
                       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                       file_.get(), static_cast<off_t>(p * page_bytes)),
                  MAP_FAILED);
        return Resolved::yes;
    };
    store(4, 9);
    EXPECT_EQ(sink_.stores, 1);
    EXPECT_EQ(memory_.data()[4 * page_bytes], 9);
}

// The sink lies: who is woken for nothing comes again and again.
TEST_F(UserfaultTrapTest, WhoHasBeenWokenIsNotWokenAgain) {
    ASSERT_TRUE(trap_.arm(2, 1));
    sink_.instead = [](Page) { return Resolved::woken; };
    std::thread waits([this] { store(2, 6); });
    while (sink_.stores == 0) {
        std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(sink_.stores, 1);
    EXPECT_TRUE(trap_.disarm(2, 1));
    waits.join();
    EXPECT_EQ(memory_.data()[2 * page_bytes], 6);
}

// Whenever it looks, somebody stores to an armed page.
TEST_F(UserfaultTrapTest, ATrapThatIsBusyStops) {
    sink_.instead = [](Page) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        return Resolved::yes; // which is not true
    };
    ASSERT_TRUE(trap_.arm(0, pages));
    std::vector<std::thread> threads;
    for (Page p = 0; p < 4; ++p) {
        threads.emplace_back([this, p] { store(p, 1); });
    }
    while (sink_.stores < 100) {
        std::this_thread::yield();
    }
    const int before = sink_.stores;
    trap_.stop();
    EXPECT_LT(sink_.stores - before, 200);
    EXPECT_TRUE(trap_.disarm(0, pages));
    for (std::thread &t : threads) {
        t.join();
    }
}

// What a process without privileges gets: no /dev/userfaultfd, and of the
// system call only the kind that does not see the kernel's stores.
bool drop_kernel_trap() {
    std::array<sock_filter, 9> steps{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, _IO(0xAA, 0), 4, 3),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    }};
    const sock_fprog program{steps.size(), steps.data()};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// In a process of its own, which keeps the filter: 0 if the trap starts.
int start_without_privileges(bool kernel_stores) {
    const pid_t child = fork();
    if (child == 0) {
        if (!drop_kernel_trap()) {
            _exit(2);
        }
        CountingSink sink;
        const auto file = snapmem_impl::make_memory_file("test", page_bytes);
        const snapmem_impl::Mapping memory(file, 0, page_bytes);
        snapmem_impl::UserfaultTrap trap(kernel_stores);
        try {
            trap.start(memory.data(), 1, sink);
        } catch (const std::system_error &) {
            _exit(1);
        }
        trap.stop();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(UserfaultTrapTest, WithoutPrivilegesOnlyOwnStoresCanBeTrapped) {
    EXPECT_EQ(start_without_privileges(false), 0);
    EXPECT_EQ(start_without_privileges(true), 1);
}

} // namespace
} // namespace snapmem_test
