// SPDX-License-Identifier: LGPL-2.1-or-later
#include "session.h"

#include "vsock.h"

#include <array>
#include <charconv>
#include <stdexcept>
#include <string>
#include <sys/socket.h>

namespace snapbench {

namespace {

std::uint16_t control_port = default_port;

} // namespace

void use_port(std::uint16_t port) {
    control_port = port;
}

Line reach(const Nic &nic) {
    return Line(connected(Family::inet, SOCK_STREAM,
                          address_of(nic.host, control_port)));
}

snap::Socket Session::bound(int type) {
    snap::Socket made(
        checked(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket"));
    address_.sin_port = 0;
    checked(bind(made.fd(), reinterpret_cast<const sockaddr *>(&address_),
                 sizeof(address_)),
            "bind");
    // Of datagrams there is no end, and an other end that has broken off sends
    // none.
    set_patience(made.fd(), {patience_seconds, 0});
    return made;
}

snap::Socket Session::accept_stream() {
    const snap::Socket listener =
        vsock_ ? listening_vsock() : bound(SOCK_STREAM);
    if (vsock_) {
        set_patience(listener.fd(), {patience_seconds, 0});
        answer(own_vsock_port(listener.fd()));
    } else {
        checked(listen(listener.fd(), 1), "listen");
        answer(ntohs(own_address(listener.fd()).sin_port));
    }
    snap::Socket made(checked(
        accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
    // It ends with the other end; until then many may take turns.
    set_patience(made.fd(), {});
    return made;
}

snap::Socket Session::accept_datagrams() {
    snap::Socket made = bound(SOCK_DGRAM);
    set_receive_room(made.fd(), 8 << 20);
    answer(ntohs(own_address(made.fd()).sin_port));
    sockaddr_in from{};
    socklen_t length = sizeof(from);
    char byte = 0;
    checked(recvfrom(made.fd(), &byte, 1, 0,
                     reinterpret_cast<sockaddr *>(&from), &length),
            "recvfrom");
    checked(
        connect(made.fd(), reinterpret_cast<const sockaddr *>(&from), length),
        "connect");
    answer(0);
    return made;
}

std::optional<std::uint64_t> Session::order() {
    const auto line = line_.get();
    if (!line)
        return std::nullopt;
    std::uint64_t messages = 0;
    const auto *end = line->data() + line->size();
    const auto result = std::from_chars(line->data(), end, messages);
    if (result.ec != std::errc() || result.ptr != end)
        throw std::runtime_error("no order: " + *line);
    return messages;
}

Peer::Peer(const Side &side, std::string_view workload, std::size_t bytes)
    : family_(side.family), host_(side.nic.host), line_(reach(side.nic)) {
    std::string request = std::string(workload) + ' ' + std::to_string(bytes);
    if (family_ == Family::vsock) {
        need_vsock(host_);
        request += " vsock";
    }
    line_.put(request);
    port_ = static_cast<std::uint32_t>(line_.number());
}

snap::Socket Peer::connect_stream() const {
    return family_ == Family::vsock ? connected_vsock(host_, port_)
                                    : connected(family_, SOCK_STREAM, data());
}

snap::Socket Peer::connect_datagrams() {
    snap::Socket made = connected(family_, SOCK_DGRAM, data());
    set_receive_room(made.fd(), 8 << 20);
    // The other end has to know where to send to; the first one may be lost.
    for (int tries = 0; tries < 50; ++tries) {
        const std::array<std::byte, 1> hello{};
        send_all(made.fd(), hello);
        if (line_.waits(100)) {
            line_.number();
            return made;
        }
    }
    throw std::runtime_error("no datagram reaches the other end");
}

} // namespace snapbench
