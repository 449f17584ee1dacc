// SPDX-License-Identifier: LGPL-2.1-or-later
// Which sockets AF_SNAP has.
#ifndef SNAP_RUN_FAMILY_H
#define SNAP_RUN_FAMILY_H

#include <netinet/in.h>
#include <optional>
#include <snap.h>
#include <sys/socket.h>

namespace snaprun {

// The protocol that makes the same socket of AF_SNAP; nothing if none does.
constexpr std::optional<int> snap_protocol(int family, int type,
                                           int protocol) noexcept {
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    const bool stream =
        kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
    const bool datagrams =
        kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);
    if (!stream && !datagrams)
        return std::nullopt;
    switch (family) {
    case AF_INET:
        return SNAPPROTO_IPV4;
    case AF_INET6:
        return SNAPPROTO_IPV6;
    default:
        return std::nullopt;
    }
}

} // namespace snaprun

#endif
