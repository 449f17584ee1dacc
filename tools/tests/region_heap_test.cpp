// SPDX-License-Identifier: LGPL-2.1-or-later
// The heap of snap-run over the fake module, around fork(2).
#include "fake_module.h"
#include "snap-run/preload/region_heap.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

namespace {

using snaprun::RegionHeap;

constexpr std::size_t length = 1 << 20;
constexpr std::size_t large = 64 << 10;

class RegionHeapTest : public testing::Test {
  public:
    RegionHeapTest() { heap_.set_length(length); }

    char *allocate(char fill) {
        auto *piece = static_cast<char *>(heap_.allocate(16, large));
        if (piece != nullptr)
            std::memset(piece, fill, large);
        return piece;
    }

    static bool all(const char *piece, char value) {
        return std::string(piece, large) == std::string(large, value);
    }

    // True if it is memory of a region, which MAP_SHARED says.
    static bool shared(const char *memory) {
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            std::uintptr_t low = 0;
            std::uintptr_t high = 0;
            std::array<char, 5> mode{};
            if (std::sscanf(line.c_str(), "%lx-%lx %4s", &low, &high,
                            mode.data()) == 3 &&
                reinterpret_cast<std::uintptr_t>(memory) - low < high - low)
                return mode[3] == 's';
        }
        return false;
    }

    // Exit code of a child process that does this.
    int forked(
        const std::function<int()> &child,
        const std::function<void()> &meanwhile = [] {}) {
        heap_.before_fork();
        const pid_t pid = ::fork();
        if (pid == 0) {
            heap_.after_fork_in_child();
            ::_exit(child());
        }
        heap_.after_fork_in_parent();
        meanwhile();
        int status = -1;
        ::waitpid(pid, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    snaptest::FakeModule module_;
    RegionHeap heap_;
};

TEST_F(RegionHeapTest, OwnsWhatItGives) {
    int other = 0;
    EXPECT_FALSE(heap_.owns(&other));
    char *const piece = allocate('x');
    ASSERT_NE(piece, nullptr);
    EXPECT_TRUE(heap_.owns(piece));
    EXPECT_TRUE(heap_.owns(piece + large - 1));
    EXPECT_FALSE(heap_.owns(&other));
    EXPECT_GE(heap_.room(piece), large);
    heap_.release(piece);
}

TEST_F(RegionHeapTest, GivesNothingThatDoesNotFitAndKeepsErrno) {
    errno = EDOM;
    EXPECT_EQ(heap_.allocate(16, length + 1), nullptr);
    EXPECT_EQ(heap_.allocate(16, SIZE_MAX), nullptr);
    EXPECT_EQ(errno, EDOM);
}

TEST_F(RegionHeapTest, ZeroedPiecesAreZero) {
    char *const piece = allocate('a');
    heap_.release(piece);
    for (const std::size_t bytes : {large, std::size_t{300000}}) {
        auto *const zeroed = static_cast<char *>(heap_.allocate_zeroed(bytes));
        ASSERT_NE(zeroed, nullptr);
        EXPECT_EQ(std::string(zeroed, bytes), std::string(bytes, '\0'));
        std::memset(zeroed, 'b', heap_.room(zeroed));
        heap_.release(zeroed);
    }
}

// By steps, it stays where it is as long as there is room behind it.
TEST_F(RegionHeapTest, GrowsInPlace) {
    char *const piece = allocate('a');
    EXPECT_EQ(heap_.grow(piece, 2 * large), piece);
    EXPECT_GE(heap_.room(piece), 2 * large);
    char *const wall = allocate('b');
    auto *const moved = static_cast<char *>(heap_.grow(piece, 3 * large));
    ASSERT_NE(moved, nullptr);
    EXPECT_NE(moved, piece);
    EXPECT_TRUE(all(moved, 'a'));
    EXPECT_TRUE(all(wall, 'b'));
    EXPECT_GE(heap_.room(moved), 4 * large) << "room for the next steps";
    EXPECT_EQ(heap_.grow(moved, length), nullptr);
    EXPECT_TRUE(all(moved, 'a'));
}

// All of what malloc_usable_size(3) says is the program's, also in a child.
TEST_F(RegionHeapTest, TheRoomOfAPieceIsKept) {
    auto *const piece = static_cast<char *>(heap_.allocate(16, large + 1));
    const std::size_t room = heap_.room(piece);
    std::memset(piece, 'a', room);
    module_.fail_with = ENOSPC; // a copy
    EXPECT_EQ(forked([&] { return piece[room - 1] == 'a' ? 0 : 1; }), 0);
    module_.fail_with = 0;
}

TEST_F(RegionHeapTest, OrdinaryPiecesArePrivate) {
    allocate('x');
    char *const piece = allocate('a');
    char *const other = allocate('b');
    heap_.make_ordinary(piece + large / 2);
    EXPECT_TRUE(all(piece, 'a'));
    EXPECT_TRUE(shared(other));
    EXPECT_FALSE(shared(piece));
    EXPECT_TRUE(heap_.owns(piece));
    const auto child = [&] {
        const bool before = all(piece, 'a') && all(other, 'b');
        std::memset(piece, 'c', large);
        std::memset(other, 'c', large);
        return before ? 0 : 1;
    };
    EXPECT_EQ(forked(child), 0);
    module_.fail_with = ENOSPC;
    EXPECT_EQ(forked(child), 0) << "with a copy";
    module_.fail_with = 0;
    EXPECT_TRUE(all(piece, 'a'));
    EXPECT_TRUE(all(other, 'b'));
    EXPECT_EQ(heap_.grow(piece, 2 * large), nullptr);
    heap_.release(piece);
    EXPECT_EQ(allocate('d'), piece);
    EXPECT_TRUE(shared(piece)) << "it is a region's again";
}

// A child runs on the stack of its parent before it has the region.
TEST_F(RegionHeapTest, AStackInTheRegionMayFork) {
    static RegionHeapTest *test;
    static ucontext_t back;
    static ucontext_t there;
    static int result;
    test = this;
    allocate('x');
    char *const stack = allocate('a');
    char *const other = allocate('b');
    ASSERT_EQ(::getcontext(&there), 0);
    there.uc_stack = {stack, 0, large};
    there.uc_link = &back;
    ::makecontext(
        &there,
        [] {
            std::array<char, 1000> local;
            local.fill('l');
            result = test->forked([&] {
                return std::count(local.begin(), local.end(), 'l') == 1000 ? 0
                                                                           : 1;
            });
            result +=
                std::count(local.begin(), local.end(), 'l') == 1000 ? 0 : 100;
        },
        0);
    ASSERT_EQ(::swapcontext(&back, &there), 0);
    EXPECT_EQ(result, 0);
    EXPECT_FALSE(shared(stack));
    EXPECT_TRUE(all(other, 'b'));
}

TEST_F(RegionHeapTest, WithoutADeviceGivesNothing) {
    ::setenv("SNAP_DEVICE", "/nonexistent/snap", 1);
    EXPECT_EQ(allocate('x'), nullptr);
    EXPECT_EQ(forked([] { return 5; }), 5);
}

TEST_F(RegionHeapTest, ChildHasItsOwn) {
    char *const piece = allocate('a');
    const auto child = [&] {
        const bool before = all(piece, 'a');
        std::memset(piece, 'b', large);
        char *const another = allocate('c');
        heap_.release(piece);
        return before && another != nullptr && all(another, 'c') ? 0 : 1;
    };
    EXPECT_EQ(forked(child), 0);
    EXPECT_TRUE(all(piece, 'a'));
    EXPECT_NE(allocate('d'), nullptr);
}

// Those that others have for pthread_atfork(3) may come between ours.
TEST_F(RegionHeapTest, HandlersDuringForkMayUseIt) {
    char *const piece = allocate('a');
    while (allocate('b') != nullptr) {
    }
    heap_.before_fork();
    EXPECT_EQ(allocate('c'), nullptr);
    EXPECT_GE(heap_.room(piece), large);
    heap_.release(piece);
    heap_.after_fork_in_parent();
    EXPECT_NE(allocate('d'), nullptr);
}

// Neither handlers of others, which run in the child before ours, nor children
// made without any handler may end by what they give back: it is lost there.
TEST_F(RegionHeapTest, ChildrenThatHaveNotAdoptedItMayRelease) {
    char *const piece = allocate('a');
    const auto ends_well = [](pid_t pid) {
        int status = -1;
        return ::waitpid(pid, &status, 0) == pid && status == 0;
    };
    heap_.before_fork();
    pid_t pid = ::fork();
    if (pid == 0) {
        heap_.release(piece);
        heap_.after_fork_in_child();
        ::_exit(all(piece, 'a') && allocate('b') != nullptr ? 0 : 1);
    }
    heap_.after_fork_in_parent();
    EXPECT_TRUE(ends_well(pid)) << "in a handler";
    pid = ::fork();
    if (pid == 0) {
        heap_.release(piece);
        ::_exit(heap_.room(piece) == 0 && heap_.grow(piece, length) == nullptr
                    ? 0
                    : 1);
    }
    EXPECT_TRUE(ends_well(pid)) << "without handlers";
    EXPECT_TRUE(all(piece, 'a'));
    heap_.release(piece);
    // In one that has adopted it, once is enough.
    heap_.before_fork();
    EXPECT_DEATH((heap_.after_fork_in_child(), heap_.release(piece)),
                 "not the start of an allocation");
    heap_.after_fork_in_parent();
}

TEST_F(RegionHeapTest, SoHasTheChildsChild) {
    char *const piece = allocate('a');
    const auto grandchild = [&] {
        const bool before = all(piece, 'b');
        std::memset(piece, 'c', large);
        return before ? 0 : 1;
    };
    const auto child = [&] {
        std::memset(piece, 'b', large);
        return forked(grandchild) == 0 && all(piece, 'b') ? 0 : 1;
    };
    EXPECT_EQ(forked(child), 0);
    EXPECT_TRUE(all(piece, 'a'));
}

TEST_F(RegionHeapTest, WithoutASnapshotTheChildGetsACopy) {
    char *const piece = allocate('a');
    module_.fail_with = ENOSPC;
    const auto child = [&] {
        const bool before = all(piece, 'a');
        std::memset(piece, 'b', large);
        return before ? 0 : 1;
    };
    EXPECT_EQ(forked(child), 0);
    EXPECT_TRUE(all(piece, 'a'));
    module_.fail_with = 0;
    EXPECT_EQ(forked(child), 0);
}

TEST_F(RegionHeapTest, WithoutACloneTheChildReadsTheSnapshot) {
    char *const piece = allocate('a');
    heap_.before_fork();
    const pid_t pid = ::fork();
    if (pid == 0) {
        module_.fail_with = ENOSPC;
        heap_.after_fork_in_child();
        const bool before = all(piece, 'a');
        std::memset(piece, 'b', large);
        // now it is ordinary memory, which needs no more help
        const int grandchild = forked([&] { return all(piece, 'b') ? 0 : 1; });
        ::_exit(before && grandchild == 0 ? 0 : 1);
    }
    heap_.after_fork_in_parent();
    std::memset(piece, 'c', large);
    int status = -1;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(all(piece, 'c'));
}

// What the program opened by the number that it closed stays.
TEST_F(RegionHeapTest, WithoutItsDescriptorTheChildGetsACopy) {
    char *const piece = allocate('a');
    std::vector<int> regions; // those of other tests, too
    for (int fd = 3; fd < 64; fd++) {
        snap_object_info info{};
        info.size = sizeof(info);
        if (snap_get_object_info(fd, &info) == 0)
            regions.push_back(fd);
    }
    ASSERT_FALSE(regions.empty());
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    for (const int fd : regions)
        ASSERT_EQ(::dup2(ends[1], fd), fd);
    const auto child = [&] {
        const bool before = all(piece, 'a');
        std::memset(piece, 'b', large);
        for (const int fd : regions)
            if (::write(fd, "x", 1) != 1)
                return 2;
        return before ? 0 : 1;
    };
    EXPECT_EQ(forked(child), 0);
    EXPECT_TRUE(all(piece, 'a'));
    for (const int fd : regions)
        EXPECT_EQ(::write(fd, "x", 1), 1);
    for (const int fd : regions)
        ::close(fd);
    ::close(ends[0]);
    ::close(ends[1]);
}

} // namespace
