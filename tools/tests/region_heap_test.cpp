// SPDX-License-Identifier: LGPL-2.1-or-later
// The heap of snap-run over the fake module, around fork(2).
#include "fake_module.h"
#include "snap-run/preload/region_heap.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

using snaprun::RegionHeap;

constexpr std::size_t length = 1 << 20;
constexpr std::size_t large = 64 << 10;

class RegionHeapTest : public testing::Test {
  protected:
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
