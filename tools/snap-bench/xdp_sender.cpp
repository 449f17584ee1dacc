// SPDX-License-Identifier: LGPL-2.1-or-later
#include "xdp_sender.h"

#include "socket.h"
#include "xdp.h"

#include <cstring>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <vector>

namespace snapbench {

namespace {

// In front of the bytes of a message.
struct [[gnu::packed]] Headers {
    ether_header ethernet;
    iphdr ip;
    udphdr udp; // without a checksum, which IPv4 allows
};
static_assert(sizeof(Headers) == 42);

sockaddr_in peer_address(int fd) {
    sockaddr_in address{};
    socklen_t length = sizeof(address);
    checked(getpeername(fd, reinterpret_cast<sockaddr *>(&address), &length),
            "getpeername");
    return address;
}

// The sum of RFC 1071.
std::uint16_t checksum(const iphdr &header) {
    std::array<std::uint16_t, sizeof(header) / 2> words{};
    std::memcpy(words.data(), &header, sizeof(header));
    std::uint32_t sum = 0;
    for (const auto word : words)
        sum += word;
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

Headers headers_of(int fd, std::string_view nic, std::size_t bytes) {
    const sockaddr_in from = own_address(fd);
    const sockaddr_in to = peer_address(fd);
    Headers made{};

    ifreq own{};
    nic.copy(own.ifr_name, IFNAMSIZ - 1);
    checked(ioctl(fd, SIOCGIFHWADDR, &own), "SIOCGIFHWADDR");
    std::memcpy(made.ethernet.ether_shost, own.ifr_hwaddr.sa_data, ETH_ALEN);
    // There, since the other end has answered.
    arpreq neighbour{};
    nic.copy(neighbour.arp_dev, IFNAMSIZ - 1);
    std::memcpy(&neighbour.arp_pa, &to, sizeof(to));
    checked(ioctl(fd, SIOCGARP, &neighbour), "SIOCGARP");
    std::memcpy(made.ethernet.ether_dhost, neighbour.arp_ha.sa_data, ETH_ALEN);
    made.ethernet.ether_type = htons(ETHERTYPE_IP);

    made.ip.version = 4;
    made.ip.ihl = sizeof(iphdr) / 4;
    made.ip.tot_len = htons(
        static_cast<std::uint16_t>(sizeof(iphdr) + sizeof(udphdr) + bytes));
    made.ip.frag_off = htons(IP_DF);
    made.ip.ttl = 64;
    made.ip.protocol = IPPROTO_UDP;
    made.ip.saddr = from.sin_addr.s_addr;
    made.ip.daddr = to.sin_addr.s_addr;
    made.ip.check = checksum(made.ip);

    made.udp.source = from.sin_port;
    made.udp.dest = to.sin_port;
    made.udp.len = htons(static_cast<std::uint16_t>(sizeof(udphdr) + bytes));
    return made;
}

// Many at a time: a call for each would be as dear as one of UDP.
class XdpSender final : public Sender {
  public:
    XdpSender(int fd, const Side &side, std::size_t bytes)
        : xdp_(side.nic.name), bytes_(bytes),
          rewritten_(side.memory != Memory::unchanged) {
        if (sizeof(Headers) + bytes > Xdp::frame_bytes)
            throw std::logic_error("too long for a frame of AF_XDP");
        const Headers headers = headers_of(fd, side.nic.name, bytes);
        for (unsigned i = 0; i < Xdp::frames; ++i) {
            std::memcpy(xdp_.frame(i).data(), &headers, sizeof(headers));
            rewrite(xdp_.frame(i).subspan(sizeof(headers), bytes));
            free_.push_back(i);
        }
    }

    void send() override {
        while (free_.empty()) {
            flush();
            reap();
            if (free_.empty())
                sched_yield();
        }
        const unsigned frame = free_.back();
        free_.pop_back();
        if (rewritten_)
            rewrite(xdp_.frame(frame).subspan(sizeof(Headers), bytes_));
        xdp_.queue(frame, sizeof(Headers) + bytes_);
        if (++kept_ == ring_buffers)
            flush();
    }

    void flush() override {
        xdp_.send();
        kept_ = 0;
        reap();
    }

  private:
    void reap() {
        while (const auto frame = xdp_.done())
            free_.push_back(*frame);
    }

    Xdp xdp_;
    std::size_t bytes_;
    bool rewritten_;
    std::size_t kept_ = 0;
    std::vector<unsigned> free_;
};

} // namespace

std::unique_ptr<Sender> make_xdp_sender(int fd, const Side &side,
                                        std::size_t bytes) {
    return std::make_unique<XdpSender>(fd, side, bytes);
}

} // namespace snapbench
