// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace snapbench {

void allow_sockets(unsigned count) {
    rlimit limit{};
    checked(getrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, count);
    limit.rlim_max = std::max(limit.rlim_max, limit.rlim_cur);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        // Only root goes beyond the maximum.
        checked(getrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
        limit.rlim_cur = limit.rlim_max;
        checked(setrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
    }
}

void set_option(int fd, int level, int name, int value, const char *what) {
    checked(setsockopt(fd, level, name, &value, sizeof(value)), what);
}

void set_patience(int fd, const timeval &time) {
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
        checked(setsockopt(fd, SOL_SOCKET, option, &time, sizeof(time)),
                "SO_RCVTIMEO");
}

void set_receive_room(int fd, int bytes) {
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
        set_option(fd, SOL_SOCKET, SO_RCVBUF, bytes, "SO_RCVBUF");
}

snap::Socket connected(Family family, int type, const sockaddr_in &to) {
    snap::Socket made =
        family == Family::snap
            ? snap::Socket(type, SNAPPROTO_IPV4)
            : snap::Socket(
                  checked(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket"));
    set_patience(made.fd(), {patience_seconds, 0});
    checked(uninterrupted([&] {
                return connect(made.fd(),
                               reinterpret_cast<const sockaddr *>(&to),
                               sizeof(to));
            }),
            "connect");
    return made;
}

sockaddr_in address_of(std::string_view host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (inet_pton(AF_INET, std::string(host).c_str(), &address.sin_addr) != 1)
        throw std::system_error(EINVAL, std::generic_category(),
                                std::string(host));
    return address;
}

sockaddr_in own_address(int fd) {
    sockaddr_in address{};
    socklen_t length = sizeof(address);
    checked(getsockname(fd, reinterpret_cast<sockaddr *>(&address), &length),
            "getsockname");
    return address;
}

void send_all(int fd, std::span<const std::byte> bytes, int flags) {
    while (!bytes.empty()) {
        const auto sent =
            checked(uninterrupted([&] {
                        return send(fd, bytes.data(), bytes.size(),
                                    flags | MSG_NOSIGNAL);
                    }),
                    "send");
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
}

void Line::put(const std::string &text) const {
    const std::string line = text + '\n';
    send_all(socket_.fd(), std::as_bytes(std::span(line)));
}

std::optional<std::string> Line::get() {
    for (;;) {
        const auto end = ahead_.find('\n');
        if (end != std::string::npos) {
            std::string line = ahead_.substr(0, end);
            ahead_.erase(0, end + 1);
            return line;
        }
        std::array<char, 512> part{};
        const auto length = uninterrupted(
            [&] { return recv(socket_.fd(), part.data(), part.size(), 0); });
        if (length == 0)
            return std::nullopt;
        checked(length, "the other end");
        ahead_.append(part.data(), static_cast<std::size_t>(length));
    }
}

std::uint64_t Line::number() {
    const auto line = get();
    if (!line)
        throw std::runtime_error("the other end is gone");
    std::uint64_t value = 0;
    const char *end = line->data() + line->size();
    const auto result = std::from_chars(line->data(), end, value);
    if (result.ec != std::errc() || result.ptr != end)
        throw std::runtime_error("the other end says: " + *line);
    return value;
}

bool Line::waits(int milliseconds) const {
    if (ahead_.find('\n') != std::string::npos)
        return true;
    pollfd wanted{socket_.fd(), POLLIN, 0};
    return checked(
               uninterrupted([&] { return poll(&wanted, 1, milliseconds); }),
               "poll") > 0;
}

} // namespace snapbench
