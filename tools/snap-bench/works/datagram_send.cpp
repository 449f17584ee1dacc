// SPDX-License-Identifier: LGPL-2.1-or-later
// Datagrams to the other end, which drops their bytes unread.  Behind the last
// one goes a mark, and the work ends when that has arrived: packets keep their
// order, so that the others have arrived as well, or are lost.
#include "../sender.h"
#include "../session.h"
#include "../workload.h"

#include <array>
#include <cstring>
#include <sys/socket.h>

namespace snapbench {

namespace {

// Shorter than any message.
struct Mark {
    std::uint64_t word = 0x6d61726b736e6170;
    std::uint64_t run = 0; // marks of earlier runs may be late
};
constexpr int mark_again_milliseconds = 100;

class DatagramSend final : public Work {
  public:
    DatagramSend(const Side &side, std::size_t bytes)
        : peer_(side, datagram_send.name, bytes),
          data_(peer_.connect_datagrams()),
          sender_(make_sender(data_.fd(), side, bytes,
                              std::make_shared<Buffers>(side, bytes))) {}

    std::uint64_t run(std::uint64_t messages) override {
        ++mark_.run;
        peer_.order(mark_.run);
        for (std::uint64_t i = 0; i < messages; ++i)
            sender_->send();
        sender_->flush();
        do {
            send_all(data_.fd(), std::as_bytes(std::span(&mark_, 1)));
        } while (!peer_.answered(mark_again_milliseconds));
        return peer_.answer();
    }

  private:
    Peer peer_;
    snap::Socket data_;
    std::unique_ptr<Sender> sender_;
    Mark mark_;
};

std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<DatagramSend>(side, bytes);
}

// Receives many at a time, of each as much as a mark has.
class Sink {
  public:
    explicit Sink(int fd) : fd_(fd) {
        for (std::size_t i = 0; i < batch; ++i) {
            parts_[i] = {&heads_[i], sizeof(Mark)};
            messages_[i].msg_hdr.msg_iov = &parts_[i];
            messages_[i].msg_hdr.msg_iovlen = 1;
        }
    }

    // How many messages came before the mark of this run.
    std::uint64_t until_mark(std::uint64_t run) {
        std::uint64_t count = 0;
        for (;;) {
            const int got =
                checked(recvmmsg(fd_, messages_.data(), batch,
                                 MSG_TRUNC | MSG_WAITFORONE, nullptr),
                        "recvmmsg");
            for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
                if (messages_[i].msg_len != sizeof(Mark))
                    ++count;
                else if (heads_[i].run == run)
                    return count;
            }
        }
    }

  private:
    static constexpr std::size_t batch = 64;
    int fd_;
    std::array<Mark, batch> heads_{};
    std::array<iovec, batch> parts_{};
    std::array<mmsghdr, batch> messages_{};
};

void serve(Session &session, std::size_t /*bytes*/) {
    const snap::Socket data = session.accept_datagrams();
    Sink sink(data.fd());
    while (const auto run = session.order())
        session.answer(sink.until_mark(*run));
}

} // namespace

const Workload datagram_send{"datagram-send", begin, serve};

} // namespace snapbench
