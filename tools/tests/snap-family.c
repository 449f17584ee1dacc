// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded behind snap-run's library: a kernel that has AF_SNAP, as far as
// making sockets and their statistics goes.  SNAP_FAMILY=streams: it has no
// datagrams; none: it has no such family, whatever the kernel that runs this
// has.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/tcp.h>
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

// A stream that has sent something sent one byte of it as a short message and
// the rest in another by reference, and has received three.
static int sock_stats(int fd, struct snap_sock_stats *stats, socklen_t *length) {
    struct tcp_info tcp = {0};
    socklen_t room = sizeof(tcp);

    if (*length < sizeof(*stats) ||
        syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &tcp, &room) < 0)
        return -1;
    memset(stats, 0, sizeof(*stats));
    stats->size = *length = sizeof(*stats);
    if (tcp.tcpi_bytes_sent > 0) {
        stats->tx_ref_msgs = stats->tx_copied_msgs = 1;
        stats->copied_msgs[SNAP_COPY_SHORT] = stats->rx_msgs = 1;
        stats->tx_ref_bytes = tcp.tcpi_bytes_sent - 1;
        stats->tx_copied_bytes = stats->copied_bytes[SNAP_COPY_SHORT] = 1;
        stats->rx_copied_bytes = 3;
    }
    return 0;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length) {
    if (level == SOL_SNAP && name == SNAP_SOCK_STATS)
        return sock_stats(fd, value, length);
    return (int)syscall(SYS_getsockopt, fd, level, name, value, length);
}
