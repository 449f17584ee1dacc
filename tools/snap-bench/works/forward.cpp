// SPDX-License-Identifier: LGPL-2.1-or-later
// A stream from the other end and back to it: a proxy's work, which looks at
// nothing.
#include "../kept.h"
#include "../memory.h"
#include "../session.h"
#include "../workload.h"

#include <snap/view.hpp>

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace snapbench {

namespace {

std::uint64_t some(ssize_t bytes) {
    if (bytes == 0)
        throw std::runtime_error("the other end has closed");
    return static_cast<std::uint64_t>(bytes);
}

// From one socket to the other.
class Mover {
  public:
    Mover() = default;
    Mover(const Mover &) = delete;
    Mover &operator=(const Mover &) = delete;
    virtual ~Mover() = default;

    // Bytes that were moved, so many at most.
    virtual std::uint64_t move(std::uint64_t most) = 0;
};

// recv(2) and send(2).
class Copier final : public Mover {
  public:
    Copier(int from, int to, std::size_t bytes)
        : from_(from), to_(to), buffer_(bytes) {}

    std::uint64_t move(std::uint64_t most) override {
        const auto length = some(
            checked(uninterrupted([&] {
                        return recv(from_, buffer_.bytes().data(), most, 0);
                    }),
                    "recv"));
        send_all(to_, buffer_.bytes().first(length));
        return length;
    }

  private:
    int from_;
    int to_;
    Pages buffer_;
};

// splice(2), through a pipe.
class Splicer final : public Mover {
  public:
    Splicer(int from, int to) : from_(from), to_(to) {
        std::array<int, 2> ends{};
        checked(pipe2(ends.data(), O_CLOEXEC), "pipe");
        out_ = snap::Socket(ends[0]);
        in_ = snap::Socket(ends[1]);
    }

    std::uint64_t move(std::uint64_t most) override {
        const auto length = splice_some(from_, in_.fd(), most);
        for (auto left = length; left > 0;)
            left -= splice_some(out_.fd(), to_, left);
        return length;
    }

  private:
    static std::uint64_t splice_some(int from, int to, std::uint64_t bytes) {
        return some(
            checked(splice(from, nullptr, to, nullptr, bytes, SPLICE_F_MOVE),
                    "splice"));
    }

    int from_;
    int to_;
    snap::Socket out_{-1};
    snap::Socket in_{-1};
};

// Out of the view that it is received in.
class ViewMover final : public Mover {
  public:
    ViewMover(const snap::Socket &from, int to, std::size_t bytes)
        : to_(to), view_(from, window_bytes, SNAP_VIEW_LAZY), buffer_(bytes) {}

    std::uint64_t move(std::uint64_t most) override {
        auto message = view_.receive(buffer_.bytes().first(most));
        const auto length = some(static_cast<ssize_t>(message.size()));
        pieces_.clear();
        message.for_each_piece([&](std::span<const std::byte> piece) {
            // The kernel writes to none of them.
            pieces_.push_back(
                // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
                {const_cast<std::byte *>(piece.data()), piece.size()});
        });
        msghdr pieces{};
        pieces.msg_iov = pieces_.data();
        pieces.msg_iovlen = pieces_.size();
        const auto sent = checked(sendmsg(to_, &pieces, MSG_NOSIGNAL), "send");
        if (static_cast<std::uint64_t>(sent) != length)
            throw std::runtime_error("not all was sent");
        kept_.keep(std::move(message));
        return length;
    }

  private:
    static constexpr std::size_t window_bytes = 4 << 20;

    int to_;
    snap::ReceiveView view_;
    Pages buffer_;
    std::vector<iovec> pieces_;
    Kept kept_{0};
};

std::unique_ptr<Mover> make_mover(const Side &side, const snap::Socket &from,
                                  int to, std::size_t bytes) {
    switch (side.method) {
    case Method::plain:
        return std::make_unique<Copier>(from.fd(), to, bytes);
    case Method::splice:
        return std::make_unique<Splicer>(from.fd(), to);
    case Method::view:
        return std::make_unique<ViewMover>(from, to, bytes);
    default:
        throw std::logic_error("this is no way to forward");
    }
}

class Forward final : public Work {
  public:
    Forward(const Side &side, std::size_t bytes)
        : bytes_(bytes), source_(side, stream_receive.name, bytes),
          from_(source_.connect_stream()), sink_(side, stream_send.name, bytes),
          to_(sink_.connect_stream()),
          mover_(make_mover(side, from_, to_.fd(), bytes)) {}

    std::uint64_t run(std::uint64_t messages) override {
        sink_.order(messages);
        source_.order(messages);
        for (std::uint64_t left = messages * bytes_; left > 0;)
            left -= mover_->move(std::min<std::uint64_t>(left, bytes_));
        source_.answer();
        return sink_.answer();
    }

  private:
    std::uint64_t bytes_;
    Peer source_;
    snap::Socket from_;
    Peer sink_;
    snap::Socket to_;
    std::unique_ptr<Mover> mover_; // ends before the sockets
};

std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<Forward>(side, bytes);
}

} // namespace

const Workload forward{"forward", begin, nullptr};

} // namespace snapbench
