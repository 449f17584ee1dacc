// SPDX-License-Identifier: LGPL-2.1-or-later
#include "endpoint.h"

#include <cerrno>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>

namespace snapcat {

namespace {

struct FreeAddresses {
    void operator()(addrinfo *list) const noexcept { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

[[noreturn]] void fail(const std::string &what) {
    throw std::system_error(errno, std::generic_category(), what);
}

Addresses resolve(const std::string &host, const std::string &port, int family,
                  bool local) {
    addrinfo hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = local ? AI_PASSIVE : 0;
    addrinfo *list = nullptr;
    const int error =
        ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                      port.empty() ? "0" : port.c_str(), &hints, &list);
    if (error == EAI_SYSTEM)
        fail(host);
    if (error != 0)
        throw std::runtime_error(host + " port " + port + ": " +
                                 ::gai_strerror(error));
    return Addresses(list);
}

snap::Socket make_socket(int family, bool inet) {
    if (inet) {
        const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            fail("socket");
        return snap::Socket(fd);
    }
    try {
        return {SOCK_DGRAM,
                family == AF_INET6 ? SNAPPROTO_IPV6 : SNAPPROTO_IPV4};
    } catch (const std::system_error &error) {
        if (error.code().value() == EAFNOSUPPORT)
            throw std::runtime_error("no AF_SNAP sockets: load the snap "
                                     "module (modprobe snap), or use --inet");
        throw;
    }
}

void set_receive_buffer(int fd, int bytes) {
    // Over the system's limit for root, up to it for all others.
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) <
            0 &&
        ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0)
        fail("receive buffer");
}

} // namespace

snap::Socket open_socket(const Options &options) {
    Addresses remote;
    int family = options.family;
    if (!options.listen) {
        remote = resolve(options.host, options.port, family, false);
        family = remote->ai_family;
    } else if (family == AF_UNSPEC && options.host.empty()) {
        family = AF_INET;
    }

    Addresses local;
    if (options.listen)
        local = resolve(options.host, options.port, family, true);
    else if (!options.source.empty() || !options.source_port.empty())
        local = resolve(options.source, options.source_port, family, true);
    if (local)
        family = local->ai_family;

    snap::Socket socket = make_socket(family, options.inet);
    if (options.receive_buffer > 0)
        set_receive_buffer(socket.fd(), options.receive_buffer);
    if (options.copybreak >= 0)
        socket.set_copybreak(options.copybreak);
    if (local && ::bind(socket.fd(), local->ai_addr, local->ai_addrlen) < 0)
        fail("bind");
    if (remote &&
        ::connect(socket.fd(), remote->ai_addr, remote->ai_addrlen) < 0)
        fail("connect to " + options.host);
    return socket;
}

SendMemory::SendMemory(const Options &options) {
    const bool wanted = options.memory == Memory::region ||
                        (options.memory == Memory::automatic && !options.inet);
    if (wanted) {
        try {
            const snap::Device device;
            // Each send is followed by the next read into the same pages.
            region_.emplace(device, options.bytes, SNAP_HINT_REWRITE);
            buffer_.emplace(*region_, options.bytes);
            return;
        } catch (const std::system_error &) {
            if (options.memory == Memory::region)
                throw;
        }
    }
    plain_.resize(options.bytes);
}

} // namespace snapcat
