// SPDX-License-Identifier: LGPL-2.1-or-later
// A work has a connection of its own between `run` and `serve`: it names the
// workload, the bytes of a message, and "vsock" if they come that way, is told
// a port, then gives orders of so many messages and is answered when these are
// through.  Works of one interface
// use it for these as well; between orders it is silent.
#ifndef SNAP_BENCH_SESSION_H
#define SNAP_BENCH_SESSION_H

#include "socket.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace snapbench {

constexpr std::uint16_t default_port = 7100;

// The end of `serve`.
class Session {
  public:
    Session(Line line, const sockaddr_in &address, bool vsock)
        : line_(std::move(line)), address_(address), vsock_(vsock) {}

    // Says where, and waits for the other end.
    snap::Socket accept_stream();
    // Connected to whoever sends the first datagram, which is dropped.
    snap::Socket accept_datagrams();

    // The next order; nothing when the other end is gone.
    std::optional<std::uint64_t> order();
    void answer(std::uint64_t arrived) { line_.put(std::to_string(arrived)); }

  private:
    snap::Socket bound(int type);

    Line line_;
    sockaddr_in address_; // of this end, any port
    bool vsock_;
};

// The end of `run`.
class Peer {
  public:
    Peer(const Side &side, std::string_view workload, std::size_t bytes);

    // To where it said.
    snap::Socket connect_stream() const;
    snap::Socket connect_datagrams();

    void order(std::uint64_t messages) { line_.put(std::to_string(messages)); }
    std::uint64_t answer() { return line_.number(); }
    bool answered(int milliseconds) const { return line_.waits(milliseconds); }

  private:
    sockaddr_in data() const {
        return address_of(host_, static_cast<std::uint16_t>(port_));
    }

    Family family_;
    std::string_view host_;
    Line line_;
    std::uint32_t port_; // of messages
};

// Where `serve` listens, for the whole run.
void use_port(std::uint16_t port);
// A connection for anything.
Line reach(const Nic &nic);

} // namespace snapbench

#endif
