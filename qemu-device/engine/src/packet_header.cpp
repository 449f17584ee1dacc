// SPDX-License-Identifier: LGPL-2.1-or-later
#include "packet_header.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
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
constexpr std::size_t ports_bytes = 4;

unsigned be16(Head p, std::size_t at) {
    return static_cast<unsigned>(p[at]) << 8 | p[at + 1];
}

// `at` is where the IP packet's payload is.
void parse_transport(Head p, std::size_t at, unsigned protocol,
                     PacketHeader &h) {
    std::size_t least = 0;
    std::size_t bytes = 0;
    if (protocol == IPPROTO_UDP) {
        least = bytes = udp_bytes;
    } else if (protocol == IPPROTO_TCP && at + tcp_bytes <= p.size()) {
        least = tcp_bytes;
        bytes = (p[at + 12] >> 4) * std::size_t{4};
    }
    if (bytes != 0 && bytes >= least && at + bytes <= p.size()) {
        h.bytes = at + bytes;
        h.ports = p.subspan(at, ports_bytes);
    }
}

void parse_ip4(Head p, std::size_t at, PacketHeader &h) {
    if (at + ip4_bytes > p.size()) {
        return;
    }
    const std::size_t bytes = (p[at] & 0xf) * std::size_t{4};
    if (bytes < ip4_bytes || at + bytes > p.size()) {
        return;
    }
    h.bytes = at + bytes;
    h.addresses = p.subspan(at + 12, 8);
    const bool fragment = (be16(p, at + 6) & 0x3fff) != 0;
    if (!fragment) {
        parse_transport(p, h.bytes, p[at + 9], h);
    }
}

void parse_ip6(Head p, std::size_t at, PacketHeader &h) {
    if (at + ip6_bytes > p.size()) {
        return;
    }
    unsigned next = p[at + 6];
    h.addresses = p.subspan(at + 8, 32);
    at += ip6_bytes;
    h.bytes = at;
    while (at + 8 <= p.size()) {
        if (next == IPPROTO_FRAGMENT) {
            h.bytes = at + 8;
            return;
        }
        if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
            next != IPPROTO_DSTOPTS) {
            break;
        }
        const std::size_t bytes = (p[at + 1] + std::size_t{1}) * 8;
        if (at + bytes > p.size()) {
            return;
        }
        next = p[at];
        at += bytes;
        h.bytes = at;
    }
    parse_transport(p, at, next, h);
}

// SipHash with one round for each word and three at the end, as kernels and
// languages use it for their tables.
class SipHash {
  public:
    explicit SipHash(const FlowKey &key)
        : v0_(key[0] ^ 0x736f6d6570736575), v1_(key[1] ^ 0x646f72616e646f6d),
          v2_(key[0] ^ 0x6c7967656e657261), v3_(key[1] ^ 0x7465646279746573) {}

    void mix(std::uint64_t word) {
        v3_ ^= word;
        round();
        v0_ ^= word;
    }
    std::uint64_t finish() {
        v2_ ^= 0xff;
        round();
        round();
        round();
        return v0_ ^ v1_ ^ v2_ ^ v3_;
    }

  private:
    void round() {
        v0_ += v1_;
        v2_ += v3_;
        v1_ = std::rotl(v1_, 13) ^ v0_;
        v3_ = std::rotl(v3_, 16) ^ v2_;
        v0_ = std::rotl(v0_, 32);
        v2_ += v1_;
        v0_ += v3_;
        v1_ = std::rotl(v1_, 17) ^ v2_;
        v3_ = std::rotl(v3_, 21) ^ v0_;
        v2_ = std::rotl(v2_, 32);
    }

    std::uint64_t v0_, v1_, v2_, v3_;
};

} // namespace

PacketHeader parse_header(std::span<const std::uint8_t> packet) noexcept {
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
    PacketHeader h{.bytes = at, .addresses = {}, .ports = {}};
    if (type == ETH_P_IP) {
        parse_ip4(p, at, h);
    } else if (type == ETH_P_IPV6) {
        parse_ip6(p, at, h);
    }
    return h;
}

void hash_flow(const PacketHeader &header, const FlowKey &key,
               snap_rx &entry) noexcept {
    if (header.addresses.empty()) {
        entry.hash_type = SNAP_HASH_NONE;
        entry.hash = 0;
        return;
    }
    SipHash hash(key);
    std::uint64_t word = 0;
    for (Head a = header.addresses; !a.empty(); a = a.subspan(sizeof(word))) {
        std::memcpy(&word, a.data(), sizeof(word));
        hash.mix(word);
    }
    word = std::uint64_t{header.addresses.size() + header.ports.size()} << 56;
    if (!header.ports.empty()) {
        std::memcpy(&word, header.ports.data(), ports_bytes);
    }
    hash.mix(word);
    entry.hash_type = header.ports.empty() ? SNAP_HASH_L3 : SNAP_HASH_L4;
    entry.hash = static_cast<std::uint32_t>(hash.finish());
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
