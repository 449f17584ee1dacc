// SPDX-License-Identifier: LGPL-2.1-or-later
// AF_SNAP sockets are ordinary descriptors: these are short cuts only.
#include <snap/libsnap.h>

#include <sys/socket.h>

#include "query.h"

using snap::detail::fill;
using snap::detail::guard;

namespace {

// What getsockopt() said of a socket that is not of the family.
int no_such_option() {
    return errno == EOPNOTSUPP ? -ENOPROTOOPT : -errno;
}

} // namespace

extern "C" {

int snap_socket(int type, int protocol) {
    return guard([&] {
        const int fd = ::socket(AF_SNAP, type | SOCK_CLOEXEC, protocol);
        return fd < 0 ? -errno : fd;
    });
}

int snap_socket_stats(int fd, snap_sock_stats *stats) {
    return fill(stats, [&](snap_sock_stats &answer) {
        socklen_t room = answer.size;
        return ::getsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, &answer, &room) < 0
                   ? no_such_option()
                   : 0;
    });
}

int snap_set_copybreak(int fd, int bytes) {
    return guard([&] {
        return ::setsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &bytes,
                            sizeof(bytes)) < 0
                   ? -errno
                   : 0;
    });
}

int snap_get_copybreak(int fd) {
    return guard([&] {
        int bytes = 0;
        socklen_t length = sizeof(bytes);
        return ::getsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &bytes, &length) < 0
                   ? -errno
                   : bytes;
    });
}

} // extern "C"
