// SPDX-License-Identifier: LGPL-2.1-or-later
// A message there and back, one after another, each with its time.
#include "../memory.h"
#include "../session.h"
#include "../workload.h"

#include <cerrno>
#include <chrono>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <vector>

namespace snapbench {

namespace {

bool is_stream(int fd) {
    int type = 0;
    socklen_t length = sizeof(type);
    checked(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length), "SO_TYPE");
    return type == SOCK_STREAM;
}

class Echo final : public Work {
  public:
    Echo(const Side &side, std::size_t bytes, const Workload &workload)
        : bytes_(bytes), peer_(side, workload.name, bytes),
          data_(&workload == &stream_echo ? peer_.connect_stream()
                                          : peer_.connect_datagrams()),
          buffers_(side, bytes), answer_(bytes) {
        if (is_stream(data_.fd()))
            set_option(data_.fd(), IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    }

    std::uint64_t run(std::uint64_t messages) override {
        using Clock = std::chrono::steady_clock;
        latencies_.clear();
        latencies_.reserve(messages);
        peer_.order(messages);
        for (std::uint64_t i = 0; i < messages; ++i) {
            const auto start = Clock::now();
            const auto buffer = buffers_.next();
            if (buffers_.rewritten())
                rewrite(buffer);
            send_all(data_.fd(), buffer);
            receive();
            latencies_.push_back(static_cast<double>(
                std::chrono::nanoseconds(Clock::now() - start).count()));
        }
        return peer_.answer();
    }

    std::span<const double> latencies() const override { return latencies_; }

  private:
    void receive() {
        std::size_t length = 0;
        while (length < bytes_) {
            const auto part =
                checked(recv(data_.fd(), answer_.bytes().data() + length,
                             bytes_ - length, 0),
                        "recv");
            if (part == 0)
                throw std::runtime_error("the other end has closed");
            length += static_cast<std::size_t>(part);
        }
        look_at(answer_.bytes().first(bytes_));
    }

    std::size_t bytes_;
    Peer peer_;
    snap::Socket data_;
    Buffers buffers_;
    Pages answer_;
    std::vector<double> latencies_;
};

template <const Workload &workload>
std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<Echo>(side, bytes, workload);
}

void send_back(Session &session, std::size_t bytes, int fd) {
    const Pages message(bytes);
    while (const auto messages = session.order()) {
        for (std::uint64_t left = *messages * bytes; left > 0;) {
            const auto length =
                checked(recv(fd, message.bytes().data(), bytes, 0), "recv");
            if (length == 0)
                return;
            send_all(fd,
                     message.bytes().first(static_cast<std::size_t>(length)));
            left -= static_cast<std::uint64_t>(length);
        }
        session.answer(*messages);
    }
}

void serve_stream(Session &session, std::size_t bytes) {
    const snap::Socket data = session.accept_stream();
    set_option(data.fd(), IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    send_back(session, bytes, data.fd());
}

void serve_datagrams(Session &session, std::size_t bytes) {
    const snap::Socket data = session.accept_datagrams();
    send_back(session, bytes, data.fd());
}

} // namespace

const Workload stream_echo{"stream-echo", begin<stream_echo>, serve_stream};
const Workload datagram_echo{"datagram-echo", begin<datagram_echo>,
                             serve_datagrams};

} // namespace snapbench
