// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded behind snap-run's library: a kernel that has AF_SNAP, as far as
// making sockets goes.  SNAP_FAMILY=streams: it has no datagrams; none: it has
// no such family, whatever the kernel that runs this has.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <snap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int socket(int family, int type, int protocol) {
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    const char *const setting = getenv("SNAP_FAMILY");
    const char *const has = setting ? setting : "all";

    if (family != AF_SNAP)
        return (int)syscall(SYS_socket, family, type, protocol);
    if (strcmp(has, "none") == 0) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    if (kind != SOCK_STREAM && strcmp(has, "streams") == 0) {
        errno = ESOCKTNOSUPPORT;
        return -1;
    }
    return (int)syscall(SYS_socket,
                        protocol == SNAPPROTO_IPV6 ? AF_INET6 : AF_INET, type,
                        kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
}
