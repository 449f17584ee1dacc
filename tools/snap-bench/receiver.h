// SPDX-License-Identifier: LGPL-2.1-or-later
// Ways of receiving.  All that arrives is looked at.
#ifndef SNAP_BENCH_RECEIVER_H
#define SNAP_BENCH_RECEIVER_H

#include "row.h"

#include <snap/socket.hpp>

#include <cstddef>
#include <memory>
#include <span>

namespace snapbench {

class Receiver {
  public:
    Receiver() = default;
    Receiver(const Receiver &) = delete;
    Receiver &operator=(const Receiver &) = delete;
    virtual ~Receiver() = default;

    // One call, of a message at most: its bytes, the first of which are copied
    // to `head` if that is of a datagram.  Throws at the end of a stream, and
    // std::system_error with EAGAIN after the time that the socket waits.
    virtual std::size_t receive(std::span<std::byte> head) = 0;
};

// Over a socket, which must outlive it.
std::unique_ptr<Receiver> make_receiver(const snap::Socket &socket,
                                        const Side &side, std::size_t bytes);

} // namespace snapbench

#endif
