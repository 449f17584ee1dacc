// SPDX-License-Identifier: LGPL-2.1-or-later
// Sockets of either family, and lines of text over one.
#ifndef SNAP_BENCH_SOCKET_H
#define SNAP_BENCH_SOCKET_H

#include "row.h"

#include <snap/socket.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <optional>
#include <span>
#include <string>
#include <sys/time.h>

namespace snapbench {

// How long anything is waited for: what takes longer has failed.
constexpr int patience_seconds = 20;

// The result of a system call, or std::system_error.
template <typename Result>
Result checked(Result result, const char *what) {
    if (result < 0)
        throw std::system_error(errno, std::generic_category(), what);
    return result;
}

// Calls it once more when it was interrupted: io_uring's kernel threads do
// that, without a signal, also a while after a ring is gone.
template <typename Call>
auto uninterrupted(Call call) {
    for (;;) {
        const auto result = call();
        if (result >= 0 || errno != EINTR)
            return result;
    }
}

// So many sockets may be open at once, if this user may have them.
void allow_sockets(unsigned count);

void set_option(int fd, int level, int name, int value, const char *what);

// How long calls wait, which then fail with EAGAIN; connect() with ETIMEDOUT.
void set_patience(int fd, const timeval &time);

// Room for what arrives in bursts; as much as this user gets.
void set_receive_room(int fd, int bytes);

// Whose calls wait for patience_seconds, as does its connect().
snap::Socket connected(Family family, int type, const sockaddr_in &to);

sockaddr_in address_of(std::string_view host, std::uint16_t port);

// This end's.
sockaddr_in own_address(int fd);

void send_all(int fd, std::span<const std::byte> bytes, int flags = 0);

// Reads words until the end of a line; nothing at the end of the connection.
class Line {
  public:
    explicit Line(snap::Socket socket) : socket_(std::move(socket)) {}

    void put(const std::string &text) const;
    std::optional<std::string> get();
    // The number of a line, which must be there.
    std::uint64_t number();

    // Whether something can be read within so many milliseconds.
    bool waits(int milliseconds) const;
    int fd() const { return socket_.fd(); }

  private:
    snap::Socket socket_;
    std::string ahead_;
};

} // namespace snapbench

#endif
