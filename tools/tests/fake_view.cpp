// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fake_view.h"

#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

FakeView *fake = nullptr;

} // namespace

FakeView::FakeView() {
    fake = this;
}

FakeView::~FakeView() {
    fake = nullptr;
}

int FakeView::socket(std::size_t window) {
    const int fd = ::memfd_create("view", MFD_CLOEXEC);
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(SNAP_VIEW_OFFSET + window)),
              0);
    return fd;
}

// Before the C library's, which only make the system calls.
extern "C" __attribute__((visibility("default"))) int
setsockopt(int fd, int level, int name, const void *value,
           socklen_t length) noexcept {
    if (fake == nullptr || level != SOL_SNAP)
        return static_cast<int>(
            ::syscall(SYS_setsockopt, fd, level, name, value, length));
    if (name == SNAP_VIEW_RELEASE) {
        snap_view_range range{};
        std::memcpy(&range, value, sizeof(range));
        fake->released.push_back(range);
    }
    return 0;
}

extern "C" __attribute__((visibility("default"))) ssize_t
recvmsg(int fd, msghdr *message, int flags) {
    if (fake == nullptr)
        return ::syscall(SYS_recvmsg, fd, message, flags);
    const snap_view_part part{.offset = fake->next_offset,
                              .at = 0,
                              .length = FakeView::message_bytes};
    cmsghdr *const header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SNAP;
    header->cmsg_type = SNAP_VIEW;
    header->cmsg_len = CMSG_LEN(sizeof(part));
    std::memcpy(CMSG_DATA(header), &part, sizeof(part));
    message->msg_controllen = CMSG_SPACE(sizeof(part));
    message->msg_flags = MSG_SNAP_VIEW;
    fake->next_offset += FakeView::stride;
    return FakeView::message_bytes;
}
