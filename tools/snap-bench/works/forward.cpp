// SPDX-License-Identifier: LGPL-2.1-or-later
// A stream from the other end and back to it, by splice(2): a proxy's work.
#include "../session.h"
#include "../workload.h"

#include <array>
#include <fcntl.h>
#include <stdexcept>
#include <unistd.h>

namespace snapbench {

namespace {

class Forward final : public Work {
  public:
    Forward(const Side &side, std::size_t bytes)
        : bytes_(bytes), source_(side, stream_receive.name, bytes),
          from_(source_.connect_stream()), sink_(side, stream_send.name, bytes),
          to_(sink_.connect_stream()) {
        std::array<int, 2> ends{};
        checked(pipe2(ends.data(), O_CLOEXEC), "pipe");
        out_ = snap::Socket(ends[0]);
        in_ = snap::Socket(ends[1]);
    }

    std::uint64_t run(std::uint64_t messages) override {
        sink_.order(messages);
        source_.order(messages);
        for (std::uint64_t left = messages * bytes_; left > 0;) {
            auto piece = splice_some(from_, in_, std::min(left, bytes_));
            left -= piece;
            while (piece > 0)
                piece -= splice_some(out_, to_, piece);
        }
        source_.answer();
        return sink_.answer();
    }

  private:
    static std::uint64_t splice_some(const snap::Socket &from,
                                     const snap::Socket &to,
                                     std::uint64_t bytes) {
        const auto length = checked(
            splice(from.fd(), nullptr, to.fd(), nullptr, bytes, SPLICE_F_MOVE),
            "splice");
        if (length == 0)
            throw std::runtime_error("the other end has closed");
        return static_cast<std::uint64_t>(length);
    }

    std::uint64_t bytes_;
    Peer source_;
    snap::Socket from_;
    Peer sink_;
    snap::Socket to_;
    snap::Socket out_{-1};
    snap::Socket in_{-1};
};

std::unique_ptr<Work> begin(const Side &side, std::size_t bytes) {
    return std::make_unique<Forward>(side, bytes);
}

} // namespace

const Workload forward{"forward", begin, nullptr};

} // namespace snapbench
