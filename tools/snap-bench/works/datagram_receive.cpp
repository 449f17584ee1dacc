// SPDX-License-Identifier: LGPL-2.1-or-later
// Datagrams from the other end, which keeps a window of them on the way: it
// would send faster than a machine that is emulated can even drop them.  Each
// has its place in the run, and what arrives credits all before it, that are
// there as well or lost: packets keep their order.  So a loss costs no wait,
// unless nothing follows: then a mark does.
#include "../memory.h"
#include "../receiver.h"
#include "../session.h"
#include "../workload.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <sys/socket.h>

namespace snapbench {

namespace {

// Messages on the way: what a tap's queue and a socket's room hold of the large
// ones, in fragments, and at most 64.
std::uint64_t window_of(std::size_t bytes) {
    constexpr std::size_t on_the_way = 512 << 10;
    return std::clamp<std::uint64_t>(on_the_way / bytes, 4, 64);
}

// In front of each message; alone it is a mark, or a credit on the way back.
struct Place {
    std::uint64_t run; // what is of earlier runs may be late
    std::uint64_t at;  // messages of the run up to here
};
constexpr int again_milliseconds = 50;

class DatagramReceive final : public Work {
  public:
    DatagramReceive(const Side &side, std::size_t bytes)
        : credit_every_(window_of(bytes) / 2),
          peer_(side, datagram_receive.name, bytes),
          data_(peer_.connect_datagrams()),
          receiver_(make_receiver(data_, side, bytes)) {}

    std::uint64_t run(std::uint64_t messages) override {
        ++run_;
        peer_.order(messages);
        std::uint64_t arrived = 0;
        std::uint64_t at = 0;
        for (std::uint64_t credited = 0; at < messages;) {
            Place place{};
            const auto length = receiver_->receive(
                std::as_writable_bytes(std::span(&place, 1)));
            if (place.run != run_)
                continue;
            const bool mark = length == sizeof(place);
            arrived += mark ? 0 : 1;
            at = std::max(at, place.at);
            if (mark || at - credited >= credit_every_) {
                credit(at);
                credited = at;
            }
        }
        do {
            credit(messages);
        } while (!peer_.answered(again_milliseconds));
        peer_.answer();
        return arrived;
    }

  private:
    void credit(std::uint64_t at) const {
        const Place place{run_, at};
        send_all(data_.fd(), std::as_bytes(std::span(&place, 1)));
    }

    std::uint64_t credit_every_;
    Peer peer_;
    snap::Socket data_;
    std::unique_ptr<Receiver> receiver_;
    std::uint64_t run_ = 0;
};

std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<DatagramReceive>(side, bytes);
}

// One run of the other end.
class Window {
  public:
    Window(int fd, std::uint64_t run) : fd_(fd), run_(run) {}

    void send(std::span<std::byte> message) {
        const Place place{run_, ++sent_};
        std::memcpy(message.data(), &place, sizeof(place));
        send_all(fd_, message);
    }

    // Until no more than so many are on the way.
    void await(std::uint64_t most) {
        for (unsigned tries = 0; sent_ - credited_ > most;) {
            Place place{};
            const auto length = uninterrupted(
                [&] { return recv(fd_, &place, sizeof(place), 0); });
            if (length < 0 && errno == EAGAIN) {
                if (++tries > patience_seconds * 1000 / again_milliseconds)
                    throw std::runtime_error("no credit comes");
                place = {run_, sent_};
                send_all(fd_, std::as_bytes(std::span(&place, 1)));
                continue;
            }
            checked(length, "recv");
            if (length == sizeof(place) && place.run == run_)
                credited_ = std::clamp(place.at, credited_, sent_);
        }
    }

  private:
    int fd_;
    std::uint64_t run_;
    std::uint64_t sent_ = 0;
    std::uint64_t credited_ = 0;
};

void serve(Session &session, std::size_t bytes) {
    if (bytes <= sizeof(Place))
        throw std::runtime_error("too short for a place in the run");
    const Pages message(bytes);
    const snap::Socket data = session.accept_datagrams();
    set_patience(data.fd(), {0, again_milliseconds * 1000});
    std::uint64_t run = 0;
    while (const auto messages = session.order()) {
        Window window(data.fd(), ++run);
        for (std::uint64_t i = 0; i < *messages; ++i) {
            window.await(window_of(bytes) - 1);
            window.send(message.bytes().first(bytes));
        }
        window.await(0);
        session.answer(*messages);
    }
}

} // namespace

const Workload datagram_receive{"datagram-receive", begin, serve};

} // namespace snapbench
