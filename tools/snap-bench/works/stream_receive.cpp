// SPDX-License-Identifier: LGPL-2.1-or-later
// A stream from the other end, as fast as this one reads.
#include "../memory.h"
#include "../receiver.h"
#include "../session.h"
#include "../workload.h"

#include <sys/socket.h>

namespace snapbench {

namespace {

class StreamReceive final : public Work {
  public:
    StreamReceive(const Side &side, std::size_t bytes)
        : bytes_(bytes), peer_(side, stream_receive.name, bytes),
          data_(peer_.connect_stream()),
          receiver_(make_receiver(data_, side, bytes)) {}

    std::uint64_t run(std::uint64_t messages) override {
        peer_.order(messages);
        for (std::uint64_t left = messages * bytes_; left > 0;)
            left -= receiver_->receive({});
        return peer_.answer();
    }

  private:
    std::size_t bytes_;
    Peer peer_;
    snap::Socket data_;
    std::unique_ptr<Receiver> receiver_;
};

std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<StreamReceive>(side, bytes);
}

void serve(Session &session, std::size_t bytes) {
    const Pages message(bytes);
    const snap::Socket data = session.accept_stream();
    while (const auto messages = session.order()) {
        for (std::uint64_t i = 0; i < *messages; ++i)
            send_all(data.fd(), message.bytes().first(bytes));
        session.answer(*messages);
    }
}

} // namespace

const Workload stream_receive{"stream-receive", begin, serve};

} // namespace snapbench
