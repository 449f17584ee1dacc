// SPDX-License-Identifier: LGPL-2.1-or-later
// Sockets that own their descriptor.
#ifndef SNAP_SOCKET_HPP
#define SNAP_SOCKET_HPP

#include <unistd.h>
#include <utility>

#include "check.hpp"
#include "libsnap.h"

namespace snap {

// An owned socket, AF_SNAP or any other.
class Socket {
  public:
    Socket(int type, int protocol)
        : fd_(check(snap_socket(type, protocol), "socket(AF_SNAP)")) {}
    explicit Socket(int fd) noexcept : fd_(fd) {}
    Socket(Socket &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Socket &operator=(Socket &&other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;
    ~Socket() {
        if (fd_ >= 0)
            ::close(fd_);
    }

    int fd() const noexcept { return fd_; }

    snap_sock_stats stats() const {
        auto stats = sized<snap_sock_stats>();
        check(snap_socket_stats(fd_, &stats), "snap_socket_stats");
        return stats;
    }

    void set_copybreak(int bytes) const {
        check(snap_set_copybreak(fd_, bytes), "snap_set_copybreak");
    }

  private:
    int fd_ = -1;
};

} // namespace snap

#endif
