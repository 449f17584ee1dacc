// SPDX-License-Identifier: LGPL-2.1-or-later
// The loop between standard input, the socket and standard output.
#ifndef SNAPCAT_TRANSFER_H
#define SNAPCAT_TRANSFER_H

#include "endpoint.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace snapcat {

struct Tally {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;

    void add(std::size_t length) {
        messages++;
        bytes += length;
    }
};

// Spreads bytes over time; a pause is not made up for by a burst.
class Pacer {
  public:
    using Clock = std::chrono::steady_clock;

    explicit Pacer(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}

    // How long until the next datagram may go; zero or less: now.
    Clock::duration delay(Clock::time_point now) const {
        return rate_ == 0 ? Clock::duration::zero() : next_ - now;
    }
    void sent(std::size_t bytes, Clock::time_point now);

  private:
    std::uint64_t rate_; // bytes per second; 0: no limit
    Clock::time_point next_;
};

class Transfer {
  public:
    explicit Transfer(const Options &options);

    // Until the data, the count or the patience ends, or a signal (SIGINT,
    // SIGTERM) comes; returns an exit code.
    int run();

    // What went through, and by which way.
    std::string report() const;

  private:
    using Clock = Pacer::Clock;
    enum class Step { more, done, missing };

    int carry();
    bool may_read() const;
    bool sending_is_over() const;
    Clock::duration patience(Clock::time_point now) const;
    void read_input();
    void send_pending();
    Step receive();
    void heard_from(const sockaddr_storage &peer, socklen_t length);
    // Writes a datagram on; its length.  Throws EAGAIN if there is none.
    std::size_t take_datagram();
    Step out_of_patience() const;

    const Options &options_;
    snap::Socket socket_;
    SendMemory memory_;
    std::optional<snap::ReceiveView> view_;
    std::vector<std::byte> received_;
    Pacer pacer_;
    Tally out_, in_;
    std::size_t pending_ = 0;    // bytes of the next datagram that are there
    bool pending_ready_ = false; // and it may go
    bool input_ended_ = false;
    bool peer_known_;
    Clock::time_point last_heard_;
};

} // namespace snapcat

#endif
