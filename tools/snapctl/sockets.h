// SPDX-License-Identifier: LGPL-2.1-or-later
// The AF_SNAP sockets of this network namespace.
#ifndef SNAPCTL_SOCKETS_H
#define SNAPCTL_SOCKETS_H

#include "objects.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <snap_diag.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace snapctl {

struct Request;

struct Socket {
    bool stream = false;
    unsigned state = 0; // TCP_*
    std::uint64_t inode = 0;
    std::uint32_t uid = 0;
    std::string local;
    std::string remote;
    std::uint32_t rx_queue = 0;             // bytes
    std::uint32_t tx_queue = 0;             // bytes
    snap_sock_stats stats{};                // by reason only from the netlink
    std::optional<std::uint64_t> cookie;    // likewise
    std::optional<std::uint32_t> copybreak; // likewise, bytes
    std::vector<Holder> holders;            // if asked for
};

// A struct snap_diag_msg and its attributes; nothing if it is too short.
std::optional<Socket> parse_diag(std::span<const std::byte> message);

// The text of /proc/net/snap; lines that make no sense are left out.
std::vector<Socket> parse_proc_net(std::string_view text);

// "ESTAB", as ss(8) has them.
std::string_view state_name(unsigned state);

std::string sockets_text(const std::vector<Socket> &sockets, bool processes);
std::string sockets_json(const std::vector<Socket> &sockets, bool processes);

int list_sockets(const Request &request);

} // namespace snapctl

#endif
