// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap/region.cpp, device.cpp, socket.cpp, as far as no module is needed:
// a memfd stands in for a region.
#include <snap/libsnap.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace {

constexpr std::size_t page = SNAP_BUFFER_ALIGN;

int memory(std::size_t bytes) {
    const int fd = ::memfd_create("region", MFD_CLOEXEC);
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(bytes)), 0);
    return fd;
}

TEST(Region, MapsADescriptor) {
    snap_region *region = nullptr;
    const int fd = memory(4 * page);
    ASSERT_EQ(snap_region_from_fd(fd, 4 * page, &region), 0);
    EXPECT_EQ(region->fd, fd);
    EXPECT_EQ(region->length, 4 * page);
    std::memset(region->address, 7, region->length);
    char byte = 0;
    EXPECT_EQ(::pread(fd, &byte, 1, 4 * page - 1), 1);
    EXPECT_EQ(byte, 7);
    snap_region_free(region);
    EXPECT_EQ(::close(fd), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST(Region, RefusesBadArguments) {
    snap_region *region = nullptr;
    const int fd = memory(page);
    EXPECT_EQ(snap_region_from_fd(fd, 0, &region), -EINVAL);
    EXPECT_EQ(snap_region_from_fd(fd, page - 1, &region), -EINVAL);
    EXPECT_EQ(snap_region_from_fd(fd, page, nullptr), -EINVAL);
    EXPECT_EQ(snap_region_from_fd(-1, page, &region), -EBADF);
    EXPECT_EQ(::close(fd), 0) << "a failure must not take the descriptor";
    EXPECT_EQ(snap_region_create(nullptr, page, SNAP_HINT_NONE, &region),
              -EINVAL);
    EXPECT_EQ(region, nullptr);
    snap_region_free(nullptr);
}

TEST(Region, LeavesErrnoAlone) {
    snap_region *region = nullptr;
    errno = ERANGE;
    EXPECT_EQ(snap_region_from_fd(-1, page, &region), -EBADF);
    EXPECT_EQ(errno, ERANGE);
}

TEST(Buffers, AreWholeAlignedPages) {
    snap_region *region = nullptr;
    ASSERT_EQ(snap_region_from_fd(memory(4 * page), 4 * page, &region), 0);
    void *one = nullptr;
    void *two = nullptr;
    void *three = nullptr;
    ASSERT_EQ(snap_buffer_alloc(region, 1, &one), 0);
    ASSERT_EQ(snap_buffer_alloc(region, page + 1, &two), 0);
    EXPECT_EQ(one, region->address);
    EXPECT_EQ(two, static_cast<char *>(one) + page);
    EXPECT_EQ(snap_buffer_alloc(region, 2 * page, &three), -ENOSPC);
    EXPECT_EQ(snap_buffer_alloc(region, SIZE_MAX, &three), -ENOSPC);
    EXPECT_EQ(snap_buffer_alloc(region, 0, &three), -EINVAL);
    EXPECT_EQ(snap_buffer_alloc(nullptr, 1, &three), -EINVAL);
    EXPECT_EQ(snap_buffer_alloc(region, 1, nullptr), -EINVAL);
    EXPECT_EQ(three, nullptr);
    EXPECT_EQ(snap_buffer_free(region, static_cast<char *>(two) + 1), -EINVAL);
    EXPECT_EQ(snap_buffer_free(region, &three), -EINVAL);
    EXPECT_EQ(snap_buffer_free(region, nullptr), 0);
    EXPECT_EQ(snap_buffer_free(nullptr, two), -EINVAL);
    EXPECT_EQ(snap_buffer_free(region, two), 0);
    EXPECT_EQ(snap_buffer_free(region, two), -EINVAL);
    EXPECT_EQ(snap_buffer_alloc(region, 3 * page, &three), 0);
    snap_region_free(region);
}

TEST(Buffers, GoBackByThemselvesInCxx) {
    const auto region = snap::Region::from_fd(memory(2 * page), 2 * page);
    EXPECT_EQ(region.bytes().size(), 2 * page);
    {
        const snap::Buffer buffer(region, page + 5);
        EXPECT_EQ(buffer.bytes().size(), page + 5);
        EXPECT_THROW(snap::Buffer(region, 1), std::system_error);
    }
    const snap::Buffer all(region, 2 * page);
    EXPECT_EQ(all.bytes().data(), region.bytes().data());
}

TEST(Device, SaysWhatIsWrong) {
    snap_handle *handle = nullptr;
    EXPECT_EQ(snap_open(nullptr), -EINVAL);
    ASSERT_EQ(::setenv("SNAP_DEVICE", "/nonexistent/snap", 1), 0);
    EXPECT_EQ(snap_open(&handle), -ENOENT);
    ASSERT_EQ(::setenv("SNAP_DEVICE", "/dev/null", 1), 0);
    EXPECT_EQ(snap_open(&handle), -ENOTTY);
    ::unsetenv("SNAP_DEVICE");
    EXPECT_EQ(handle, nullptr);
    EXPECT_EQ(snap_fd(nullptr), -EINVAL);
    EXPECT_EQ(snap_get_info(nullptr, nullptr), -EINVAL);
    EXPECT_EQ(snap_get_stats(nullptr, nullptr), -EINVAL);
    snap_close(nullptr);
}

TEST(Socket, HelpersRefuseWhatIsNoSnapSocket) {
    snap_sock_stats stats{};
    EXPECT_EQ(snap_socket_stats(-1, &stats), -EINVAL) << "size is zero";
    EXPECT_EQ(snap_socket_stats(-1, nullptr), -EINVAL);
    stats.size = sizeof(stats);
    EXPECT_EQ(snap_socket_stats(-1, &stats), -EBADF);
    EXPECT_EQ(snap_set_copybreak(-1, 1), -EBADF);
    EXPECT_EQ(snap_get_copybreak(-1), -EBADF);
    const snap::Socket plain(::socket(AF_INET, SOCK_DGRAM, 0));
    EXPECT_LT(snap_socket_stats(plain.fd(), &stats), 0);
    EXPECT_LT(snap_set_copybreak(plain.fd(), 1), 0);
}

} // namespace
