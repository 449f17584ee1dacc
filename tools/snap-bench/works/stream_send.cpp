// SPDX-License-Identifier: LGPL-2.1-or-later
// A stream of messages to the other end, which drops its bytes unread: it is to
// cost little, beside the machine that is measured.  Where it is in that one,
// or not of TCP, which alone can drop, it reads them.
#include "../memory.h"
#include "../sender.h"
#include "../session.h"
#include "../workload.h"

#include <algorithm>
#include <future>
#include <sys/socket.h>
#include <vector>

namespace snapbench {

namespace {

struct Stream {
    Stream(const Side &side, std::size_t bytes, const Workload &workload,
           const std::shared_ptr<Buffers> &buffers)
        : peer(side, workload.name, bytes), data(peer.connect_stream()),
          sender(make_sender(data.fd(), side, bytes, buffers)) {}

    Peer peer;
    snap::Socket data;
    std::unique_ptr<Sender> sender;
};

class StreamSend final : public Work {
  public:
    StreamSend(const Side &side, std::size_t bytes, const Workload &workload)
        : at_once_(side.at_once) {
        auto buffers = std::make_shared<Buffers>(side, bytes);
        for (unsigned i = 0; i < side.sockets; ++i) {
            if (at_once_ && i > 0)
                buffers = std::make_shared<Buffers>(side, bytes);
            streams_.push_back(
                std::make_unique<Stream>(side, bytes, workload, buffers));
        }
    }

    std::uint64_t run(std::uint64_t messages) override {
        // There is one at least.
        const auto count = std::max<std::uint64_t>(1, streams_.size());
        // The first ones send one more, if it does not come out even.
        const auto share = [&](std::uint64_t i) {
            return (messages + count - 1 - i) / count;
        };
        for (std::uint64_t i = 0; i < count; ++i)
            streams_[i]->peer.order(share(i));
        if (at_once_) {
            std::vector<std::future<void>> threads;
            for (std::uint64_t i = 0; i < count; ++i)
                threads.push_back(std::async(
                    std::launch::async,
                    [sender = streams_[i]->sender.get(), left = share(i)] {
                        for (std::uint64_t j = 0; j < left; ++j)
                            sender->send();
                        sender->flush();
                    }));
            for (auto &thread : threads)
                thread.get();
        } else {
            for (std::uint64_t i = 0; i < messages; ++i)
                streams_[i % count]->sender->send();
            for (const auto &stream : streams_)
                stream->sender->flush();
        }
        std::uint64_t arrived = 0;
        for (const auto &stream : streams_)
            arrived += stream->peer.answer();
        return arrived;
    }

    // Each stream has an order and an answer.
    std::uint64_t least() const override { return 8 * streams_.size(); }

  private:
    bool at_once_;
    std::vector<std::unique_ptr<Stream>> streams_;
};

template <const Workload &workload>
std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<StreamSend>(side, bytes, workload);
}

// Until the other end goes.  receive(most) is a call of recv(2).
template <typename Receive>
void take(Session &session, std::size_t bytes, Receive receive) {
    while (const auto messages = session.order()) {
        for (std::uint64_t left = *messages * bytes; left > 0;) {
            const auto length = checked(receive(left), "recv");
            if (length == 0)
                return;
            left -= static_cast<std::uint64_t>(length);
        }
        session.answer(*messages);
    }
}

void serve_unread(Session &session, std::size_t bytes) {
    const snap::Socket data = session.accept_stream();
    take(session, bytes, [&](std::uint64_t most) {
        return recv(data.fd(), nullptr, std::min<std::uint64_t>(most, 1 << 20),
                    MSG_TRUNC);
    });
}

void serve_read(Session &session, std::size_t bytes) {
    const Pages buffer(bytes);
    const snap::Socket data = session.accept_stream();
    take(session, bytes, [&](std::uint64_t most) {
        const auto length = recv(data.fd(), buffer.bytes().data(),
                                 std::min<std::uint64_t>(most, bytes), 0);
        if (length > 0)
            look_at(buffer.bytes().first(static_cast<std::size_t>(length)));
        return length;
    });
}

} // namespace

const Workload stream_send{"stream-send", begin<stream_send>, serve_unread};
const Workload stream_send_read{"stream-send-read", begin<stream_send_read>,
                                serve_read};

} // namespace snapbench
