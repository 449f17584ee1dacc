// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap/owner.cpp: what a child of fork(2) can do with what it inherits.
// Memory files stand for regions.
#include "fake_view.h"

#include <snap/libsnap.hpp>

#include <cerrno>
#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace {

constexpr std::size_t page = SNAP_BUFFER_ALIGN;

int memory(std::size_t bytes) {
    const int fd = ::memfd_create("memory", MFD_CLOEXEC);
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(bytes)), 0);
    return fd;
}

// True if it is so in a child process.
bool in_child(const std::function<bool()> &holds) {
    const pid_t pid = ::fork();
    if (pid == 0)
        ::_exit(holds() ? 0 : 1);
    int status = -1;
    ::waitpid(pid, &status, 0);
    return status == 0;
}

TEST(Fork, BuffersStayWithTheParent) {
    const auto region = snap::Region::from_fd(memory(4 * page), 4 * page);
    void *mine = nullptr;
    ASSERT_EQ(snap_buffer_alloc(region.get(), page, &mine), 0);
    EXPECT_TRUE(in_child([&] {
        void *other = nullptr;
        return snap_buffer_alloc(region.get(), page, &other) == -EPERM &&
               snap_buffer_free(region.get(), mine) == -EPERM && in_child([&] {
                   return snap_buffer_free(region.get(), mine) == -EPERM;
               });
    }));
    EXPECT_EQ(snap_buffer_free(region.get(), mine), 0);
}

TEST(Fork, PiecesStayWithTheParent) {
    const auto region = snap::Region::from_fd(memory(4 * page), 4 * page);
    const snap::Heap heap(region.get());
    void *const piece = snap_heap_alloc(heap.get(), 100);
    EXPECT_TRUE(in_child([&] {
        const auto fails = [](const void *result) {
            return result == nullptr && errno == EPERM;
        };
        return fails(snap_heap_alloc(heap.get(), 100)) &&
               fails(snap_heap_realloc(heap.get(), piece, 1000)) &&
               snap_heap_room(heap.get(), piece) == 0 &&
               snap_heap_free(heap.get(), piece) == -EPERM;
    }));
    EXPECT_GE(snap_heap_room(heap.get(), piece), 100U);
    EXPECT_EQ(snap_heap_free(heap.get(), piece), 0);
}

TEST(Fork, AChildMayTakeOver) {
    const auto region = snap::Region::from_fd(memory(4 * page), 4 * page);
    const snap::Heap heap(region.get());
    void *const piece = snap_heap_alloc(heap.get(), 100);
    EXPECT_TRUE(in_child([&] {
        void *buffer = nullptr;
        return snap_region_adopt(region.get()) == 0 &&
               snap_buffer_alloc(region.get(), page, &buffer) == 0 &&
               snap_buffer_free(region.get(), buffer) == 0 &&
               snap_heap_free(heap.get(), piece) == 0 && in_child([&] {
                   return snap_buffer_alloc(region.get(), page, &buffer) ==
                          -EPERM;
               });
    }));
}

// Made behind the back of the C library.
TEST(Fork, AChildOfCloneIsOneToo) {
    const auto region = snap::Region::from_fd(memory(page), page);
    void *buffer = nullptr;
    const long pid = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        ::_exit(snap_buffer_alloc(region.get(), page, &buffer) != -EPERM);
    int status = -1;
    ::waitpid(static_cast<pid_t>(pid), &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(Fork, WhatTheChildMakesIsItsOwn) {
    EXPECT_TRUE(in_child([] {
        const auto region = snap::Region::from_fd(memory(page), page);
        void *buffer = nullptr;
        return snap_buffer_alloc(region.get(), page, &buffer) == 0;
    }));
}

// As exit(3) does with an object of static storage.
TEST(Fork, AViewIsReleasedByItsMakerOnly) {
    const FakeView fake;
    const snap::Socket socket(FakeView::socket(4 * page));
    snap_view *view = nullptr;
    ASSERT_EQ(snap_view_create(socket.fd(), 4 * page, 0, &view), 0);
    EXPECT_TRUE(in_child([&] {
        snap_view_part part{0, 0, 100};
        std::size_t nparts = 1;
        char byte = 0;
        const bool refused =
            snap_view_release(view, &part, 1) == -EPERM &&
            snap_view_receive(view, &byte, 1, 0, nullptr, nullptr, &part,
                              &nparts) == -EPERM;
        snap_view_free(view);
        return refused && fake.released.empty();
    }));
    snap_view_free(view);
    EXPECT_EQ(fake.released.size(), 1U);
}

} // namespace
