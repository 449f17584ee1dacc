// SPDX-License-Identifier: LGPL-2.1-or-later
#include "packet_header.hpp"

#include <algorithm>
#include <linux/if_ether.h>
#include <netinet/in.h>

namespace snapmem_impl {
namespace {

// A packet, as far as headers are looked for.
using Head = std::span<const std::uint8_t>;

// Of struct virtio_net_hdr_v1, whose header is none of C++.
constexpr std::uint8_t needs_csum = 1;
constexpr std::uint8_t data_valid = 2;
constexpr std::uint8_t gso_none = 0;
constexpr std::uint8_t gso_tcp4 = 1;
constexpr std::uint8_t gso_tcp6 = 4;
constexpr std::uint8_t gso_ecn = 0x80;

constexpr std::size_t ip4_bytes = 20;
constexpr std::size_t ip6_bytes = 40;
constexpr std::size_t udp_bytes = 8;
constexpr std::size_t tcp_bytes = 20;
constexpr std::size_t tag_bytes = 4;

unsigned be16(Head p, std::size_t at) {
    return static_cast<unsigned>(p[at]) << 8 | p[at + 1];
}

// Where the payload of UDP or TCP begins in an IP packet's payload at `at`.
std::size_t transport_end(Head p, std::size_t at, unsigned protocol) {
    if (protocol == IPPROTO_UDP && at + udp_bytes <= p.size()) {
        return at + udp_bytes;
    }
    if (protocol == IPPROTO_TCP && at + tcp_bytes <= p.size()) {
        const std::size_t bytes = (p[at + 12] >> 4) * std::size_t{4};
        if (bytes >= tcp_bytes && at + bytes <= p.size()) {
            return at + bytes;
        }
    }
    return at;
}

std::size_t ip4_end(Head p, std::size_t at) {
    if (at + ip4_bytes > p.size()) {
        return at;
    }
    const std::size_t bytes = (p[at] & 0xf) * std::size_t{4};
    if (bytes < ip4_bytes || at + bytes > p.size()) {
        return at;
    }
    if ((be16(p, at + 6) & 0x3fff) != 0) { // a fragment
        return at + bytes;
    }
    return transport_end(p, at + bytes, p[at + 9]);
}

std::size_t ip6_end(Head p, std::size_t at) {
    if (at + ip6_bytes > p.size()) {
        return at;
    }
    unsigned next = p[at + 6];
    at += ip6_bytes;
    while (at + 8 <= p.size()) {
        if (next == IPPROTO_FRAGMENT) {
            return at + 8;
        }
        if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
            next != IPPROTO_DSTOPTS) {
            break;
        }
        const std::size_t bytes = (p[at + 1] + std::size_t{1}) * 8;
        if (at + bytes > p.size()) {
            return at;
        }
        next = p[at];
        at += bytes;
    }
    return transport_end(p, at, next);
}

} // namespace

std::size_t header_bytes(std::span<const std::uint8_t> packet) noexcept {
    const Head p =
        packet.first(std::min(packet.size(), std::size_t{SNAP_RX_HEADER_MAX}));
    std::size_t at = ETH_HLEN;
    unsigned type = be16(p, at - 2);
    for (int tags = 0; tags < 2 && at + tag_bytes <= p.size() &&
                       (type == ETH_P_8021Q || type == ETH_P_8021AD);
         ++tags) {
        type = be16(p, at + 2);
        at += tag_bytes;
    }
    switch (type) {
    case ETH_P_IP:
        return ip4_end(p, at);
    case ETH_P_IPV6:
        return ip6_end(p, at);
    default:
        return at;
    }
}

bool admit_offload(snap_offload &offload, std::uint64_t features,
                   std::size_t length) noexcept {
    const bool csum = (features & SNAP_F_RX_CSUM) != 0;
    offload.num_buffers = 0;
    offload.flags &= needs_csum | data_valid;
    switch (offload.gso_type & ~gso_ecn) {
    case gso_none:
        break;
    case gso_tcp4:
    case gso_tcp6:
        if (!csum || (features & SNAP_F_RX_LRO) == 0 || offload.gso_size == 0) {
            return false;
        }
        break;
    default:
        return false;
    }
    if ((offload.flags & needs_csum) != 0) {
        return csum &&
               std::size_t{offload.csum_start} + offload.csum_offset + 2 <=
                   length;
    }
    if (!csum) {
        offload = {};
    }
    return true;
}

} // namespace snapmem_impl
