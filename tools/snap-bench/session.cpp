// SPDX-License-Identifier: LGPL-2.1-or-later
#include "session.h"

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
    return made;
}

snap::Socket Session::accept_stream() {
    const snap::Socket listener = bound(SOCK_STREAM);
    checked(listen(listener.fd(), 1), "listen");
    answer(ntohs(own_address(listener.fd()).sin_port));
    return snap::Socket(checked(
        accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
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

Peer::Peer(const Nic &nic, std::string_view workload, std::size_t bytes)
    : line_(reach(nic)) {
    line_.put(std::string(workload) + ' ' + std::to_string(bytes));
    data_ = address_of(nic.host, static_cast<std::uint16_t>(line_.number()));
}

snap::Socket Peer::connect_stream(Family family) const {
    return connected(family, SOCK_STREAM, data_);
}

snap::Socket Peer::connect_datagrams(Family family) {
    snap::Socket made = connected(family, SOCK_DGRAM, data_);
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
