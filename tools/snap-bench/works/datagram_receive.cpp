// SPDX-License-Identifier: LGPL-2.1-or-later
// Datagrams from the other end, which keeps a window of them on the way: it
// would send faster than a machine that is emulated can even drop them.
#include "../memory.h"
#include "../receiver.h"
#include "../session.h"
#include "../workload.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>

namespace snapbench {

namespace {

// Messages on the way: what a tap's queue and a socket's room hold of the large
// ones, in fragments, and at most 64.
std::uint64_t window_of(std::size_t bytes) {
    constexpr std::size_t on_the_way = 512 << 10;
    return std::clamp<std::uint64_t>(on_the_way / bytes, 4, 64);
}

// After such a silence what is missing is lost.
constexpr timeval silence{0, 200000};

class DatagramReceive final : public Work {
  public:
    DatagramReceive(const Side &side, std::size_t bytes)
        : credit_every_(window_of(bytes) / 2),
          peer_(side, datagram_receive.name, bytes),
          data_(peer_.connect_datagrams()),
          receiver_(make_receiver(data_, side, bytes)) {
        set_patience(data_.fd(), silence);
    }

    std::uint64_t run(std::uint64_t messages) override {
        peer_.order(messages);
        std::uint64_t arrived = 0;
        try {
            while (arrived < messages) {
                receiver_->receive();
                if (++arrived % credit_every_ == 0)
                    send_all(data_.fd(), std::as_bytes(std::span(&arrived, 1)));
            }
        } catch (const std::system_error &error) {
            if (error.code().value() != EAGAIN)
                throw;
        }
        peer_.answer();
        return arrived;
    }

  private:
    std::uint64_t credit_every_;
    Peer peer_;
    snap::Socket data_;
    std::unique_ptr<Receiver> receiver_;
};

std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<DatagramReceive>(side, bytes);
}

// What the other end has received by the last credit; all, if none comes.
std::uint64_t credit(int fd, std::uint64_t sent) {
    std::uint64_t arrived = 0;
    if (recv(fd, &arrived, sizeof(arrived), 0) ==
        static_cast<ssize_t>(sizeof(arrived)))
        return std::min(arrived, sent);
    if (errno != EAGAIN)
        throw std::system_error(errno, std::generic_category(), "recv");
    return sent;
}

void serve(Session &session, std::size_t bytes) {
    const Pages message(bytes);
    const snap::Socket data = session.accept_datagrams();
    const std::uint64_t window = window_of(bytes);
    set_patience(data.fd(), {0, silence.tv_usec / 2});
    while (const auto messages = session.order()) {
        std::uint64_t arrived = 0;
        for (std::uint64_t sent = 0; sent < *messages; ++sent) {
            while (sent - arrived >= window)
                arrived = credit(data.fd(), sent);
            send_all(data.fd(), message.bytes().first(bytes));
        }
        // Credits that are left would be taken for those of the next order.
        std::uint64_t rest = 0;
        while (arrived + window / 2 <= *messages &&
               (rest = credit(data.fd(), *messages)) < *messages)
            arrived = rest;
        session.answer(*messages);
    }
}

} // namespace

const Workload datagram_receive{"datagram-receive", begin, serve};

} // namespace snapbench
