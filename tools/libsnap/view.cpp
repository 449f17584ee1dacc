// SPDX-License-Identifier: LGPL-2.1-or-later
// Views of sockets: the window, and recvmsg() with what it says of parts.
#include <snap/libsnap.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <sys/socket.h>

#include "boundary.h"
#include "mapping.h"
#include "owner.h"

using snap::detail::guard;
using snap::detail::KeepErrno;
using snap::detail::Mapping;

namespace {

// The public part comes first, so that a pointer to it is one to the whole.
struct View : snap_view {
    View(int socket, std::size_t bytes)
        : snap_view{socket, nullptr, bytes},
          mapping(socket, bytes, PROT_READ, SNAP_VIEW_OFFSET) {
        address = mapping.valid() ? mapping.address() : nullptr;
    }

    Mapping mapping;
    snap::detail::Owner owner;
};

bool is_here(const snap_view *view) {
    return static_cast<const View *>(view)->owner.is_here();
}

constexpr std::size_t page_size = 4096;

// Room for the parts. What else the socket was asked to tell takes its own from
// it, and parts that there is no room for are copied.
union Control {
    cmsghdr first;
    std::array<char, CMSG_SPACE(SNAP_VIEW_PARTS_MAX * sizeof(snap_view_part))>
        room;
};

int release(int fd, std::uint64_t offset, std::uint64_t length) {
    const snap_view_range range{offset, length};
    return ::setsockopt(fd, SOL_SNAP, SNAP_VIEW_RELEASE, &range,
                        sizeof(range)) < 0
               ? -errno
               : 0;
}

// Does a part begin in the page behind the one in which another ends?  Without
// bytes it does not: the kernel refuses it by itself.
bool begins_next_page(std::uint64_t end, const snap_view_part &part) {
    if (part.length == 0)
        return false;
    return end % page_size != 0 ? part.offset / page_size == end / page_size + 1
                                : part.offset / page_size == end / page_size;
}

std::size_t take_parts(msghdr &message, snap_view_part *parts) {
    if ((message.msg_flags & MSG_SNAP_VIEW) == 0)
        return 0;
    for (cmsghdr *c = CMSG_FIRSTHDR(&message); c != nullptr;
         c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SNAP || c->cmsg_type != SNAP_VIEW)
            continue;
        const std::size_t bytes = c->cmsg_len - CMSG_LEN(0);
        std::memcpy(parts, CMSG_DATA(c), bytes);
        return bytes / sizeof(*parts);
    }
    return 0;
}

} // namespace

extern "C" {

int snap_view_create(int fd, size_t length, unsigned int flags,
                     snap_view **view) {
    return guard([&] {
        if (view == nullptr || length == 0 || length > SNAP_VIEW_LENGTH_MAX)
            return -EINVAL;
        length = (length + page_size - 1) / page_size * page_size;
        snap_view_args args{};
        args.size = sizeof(args);
        args.flags = flags;
        args.length = length;
        if (::setsockopt(fd, SOL_SNAP, SNAP_VIEW, &args, sizeof(args)) < 0)
            return errno == EOPNOTSUPP ? -ENOPROTOOPT : -errno;
        auto made = std::make_unique<View>(fd, length);
        if (!made->mapping.valid())
            return -made->mapping.error();
        *view = made.release();
        return 0;
    });
}

void snap_view_free(snap_view *view) {
    if (view == nullptr)
        return;
    const KeepErrno keep;
    // The socket may live on, and should not keep frames that nobody sees.
    if (is_here(view))
        release(view->fd, 0, view->length);
    delete static_cast<View *>(view);
}

ssize_t snap_view_receive(snap_view *view, void *buffer, size_t length,
                          int flags, sockaddr *from, socklen_t *from_length,
                          snap_view_part *parts, size_t *nparts) {
    const KeepErrno keep;
    if (view == nullptr || (buffer == nullptr && length > 0) ||
        (from != nullptr && from_length == nullptr) || parts == nullptr ||
        nparts == nullptr || *nparts == 0)
        return -EINVAL;
    if (!is_here(view))
        return -EPERM;
    Control control{};
    std::array<snap_view_part, SNAP_VIEW_PARTS_MAX> got{};
    const std::size_t room = std::min(*nparts, got.size());
    iovec iov{buffer, length};
    msghdr message{};
    message.msg_name = from;
    message.msg_namelen = from != nullptr ? *from_length : 0;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(room * sizeof(snap_view_part));
    const ssize_t bytes = ::recvmsg(view->fd, &message, flags | MSG_SNAP_VIEW);
    if (bytes < 0)
        return -errno;
    if (from != nullptr)
        *from_length = message.msg_namelen;
    *nparts = take_parts(message, got.data());
    std::copy_n(got.begin(), *nparts, parts);
    return bytes;
}

int snap_view_release(snap_view *view, const snap_view_part *parts,
                      size_t nparts) {
    return guard([&] {
        if (view == nullptr || (parts == nullptr && nparts > 0))
            return -EINVAL;
        if (!is_here(view))
            return -EPERM;
        // Parts whose pages follow each other, as those of a message do, go
        // together.
        for (size_t i = 0; i < nparts;) {
            const auto begin = parts[i].offset;
            auto end = begin;
            do
                end = parts[i].offset + parts[i].length;
            while (++i < nparts && end != begin &&
                   begins_next_page(end, parts[i]));
            const int error = release(view->fd, begin, end - begin);
            if (error < 0)
                return error;
        }
        return 0;
    });
}

} // extern "C"
