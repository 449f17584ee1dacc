// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_dump.h"

#include <array>
#include <cerrno>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <memory>
#include <system_error>

namespace snapctl {

namespace {

struct Close {
    void operator()(mnl_socket *socket) const { mnl_socket_close(socket); }
};
using Netlink = std::unique_ptr<mnl_socket, Close>;

Netlink connect() {
    Netlink netlink(mnl_socket_open(NETLINK_SOCK_DIAG));
    if (!netlink || mnl_socket_bind(netlink.get(), 0, MNL_SOCKET_AUTOPID) < 0)
        throw std::system_error(errno, std::generic_category(), "netlink");
    return netlink;
}

int add(const nlmsghdr *header, void *sockets) {
    const auto *payload =
        static_cast<const std::byte *>(mnl_nlmsg_get_payload(header));
    auto socket = parse_diag({payload, mnl_nlmsg_get_payload_len(header)});
    if (socket)
        static_cast<std::vector<Socket> *>(sockets)->push_back(
            std::move(*socket));
    return MNL_CB_OK;
}

} // namespace

std::optional<std::vector<Socket>> dump_sockets(std::uint32_t types,
                                                std::uint32_t states) {
    constexpr unsigned sequence = 1;
    std::array<char, 32768> buffer{};
    std::vector<Socket> sockets;
    const Netlink netlink = connect();

    auto *header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = sequence;
    auto *ask = static_cast<snap_diag_req *>(
        mnl_nlmsg_put_extra_header(header, sizeof(snap_diag_req)));
    ask->family = AF_SNAP;
    ask->types = types;
    ask->states = states;
    ask->show = SNAP_DIAG_SHOW_STATS;
    if (mnl_socket_sendto(netlink.get(), header, header->nlmsg_len) < 0)
        throw std::system_error(errno, std::generic_category(), "netlink");
    for (;;) {
        const auto got =
            mnl_socket_recvfrom(netlink.get(), buffer.data(), buffer.size());
        const int more =
            got < 0 ? -1
                    : mnl_cb_run(buffer.data(), static_cast<std::size_t>(got),
                                 sequence, mnl_socket_get_portid(netlink.get()),
                                 add, &sockets);
        if (more < 0 && errno == ENOENT)
            return std::nullopt;
        if (more < 0)
            throw std::system_error(errno, std::generic_category(),
                                    "asking for sockets");
        if (more == MNL_CB_STOP)
            return sockets;
    }
}

} // namespace snapctl
