// SPDX-License-Identifier: LGPL-2.1-or-later
#include "receiver.h"

#include "kept.h"
#include "memory.h"
#include "socket.h"

#include <snap/view.hpp>

#include <algorithm>
#include <cerrno>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/socket.h>

namespace snapbench {

namespace {

std::size_t some(std::size_t bytes) {
    if (bytes == 0)
        throw std::runtime_error("the other end has closed");
    return bytes;
}

// Returns what there is no byte for yet.
std::span<std::byte> copy_head(std::span<const std::byte> piece,
                               std::span<std::byte> head) {
    const auto length = std::min(piece.size(), head.size());
    std::copy_n(piece.begin(), length, head.begin());
    return head.subspan(length);
}

// recv(2) into a buffer, of which there is one for each message that is kept.
class PlainReceiver final : public Receiver {
  public:
    PlainReceiver(int fd, std::size_t bytes, unsigned kept)
        : fd_(fd), bytes_(bytes), buffers_(kept + 1),
          memory_(bytes * buffers_) {}

    std::size_t receive(std::span<std::byte> head) override {
        const auto buffer = memory_.bytes().subspan(turn_ * bytes_, bytes_);
        const auto length = some(static_cast<std::size_t>(checked(
            uninterrupted([&] { return recv(fd_, buffer.data(), bytes_, 0); }),
            "recv")));
        turn_ = (turn_ + 1) % buffers_;
        look_at(buffer.first(length));
        copy_head(buffer.first(length), head);
        return length;
    }

  private:
    int fd_;
    std::size_t bytes_;
    std::size_t buffers_;
    std::size_t turn_ = 0;
    Pages memory_;
};

// MSG_SNAP_VIEW: bytes stay where they arrived.
class ViewReceiver final : public Receiver {
  public:
    ViewReceiver(const snap::Socket &socket, std::size_t bytes, unsigned kept)
        : view_(socket,
                std::clamp<std::size_t>(2 * (kept + Kept::batch) * bytes,
                                        window_bytes, SNAP_VIEW_LENGTH_MAX)),
          bytes_(bytes), buffer_(bytes), kept_(kept) {}

    std::size_t receive(std::span<std::byte> head) override {
        auto message = view_.receive(buffer_.bytes().first(bytes_));
        message.for_each_piece([&](std::span<const std::byte> piece) {
            look_at(piece);
            head = copy_head(piece, head);
        });
        const auto length = some(message.size());
        kept_.keep(std::move(message));
        return length;
    }

  private:
    static constexpr std::size_t window_bytes = 4 << 20;

    snap::ReceiveView view_;
    std::size_t bytes_;
    Pages buffer_;
    Kept kept_;
};

// TCP_ZEROCOPY_RECEIVE: maps whole pages that arrived, and copies the rest with
// the same call.  There is room for a whole message, since over virtio-net no
// page can be mapped.
class MappingReceiver final : public Receiver {
  public:
    MappingReceiver(int fd, std::size_t bytes)
        : fd_(fd), bytes_(bytes), window_(fd, bytes), rest_(bytes) {}

    std::size_t receive(std::span<std::byte> /*head*/) override {
        for (;;) {
            tcp_zerocopy_receive call{};
            call.address =
                reinterpret_cast<std::uintptr_t>(window_.bytes().data());
            call.length = static_cast<__u32>(window_.bytes().size());
            call.copybuf_address =
                reinterpret_cast<std::uintptr_t>(rest_.bytes().data());
            call.copybuf_len = static_cast<__s32>(bytes_);
            socklen_t length = sizeof(call);
            checked(getsockopt(fd_, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &call,
                               &length),
                    "TCP_ZEROCOPY_RECEIVE");
            const auto copied = static_cast<std::size_t>(call.copybuf_len);
            if (call.copybuf_len < 0)
                throw std::system_error(-call.copybuf_len,
                                        std::generic_category(),
                                        "TCP_ZEROCOPY_RECEIVE");
            look_at(window_.bytes().first(call.length));
            look_at(rest_.bytes().first(copied));
            if (call.length + copied > 0)
                return call.length + copied;
            await();
        }
    }

  private:
    // The call does not wait.
    void await() const {
        pollfd wanted{fd_, POLLIN, 0};
        if (checked(poll(&wanted, 1, patience_seconds * 1000), "poll") == 0)
            throw std::system_error(EAGAIN, std::generic_category(), "poll");
    }

    // Pages of the socket, whichever it maps.
    class Window {
      public:
        Window(int fd, std::size_t bytes)
            : length_(bytes / SNAP_FRAME_SIZE * SNAP_FRAME_SIZE),
              start_(mmap(nullptr, length_, PROT_READ, MAP_SHARED, fd, 0)) {
            if (start_ == MAP_FAILED)
                throw std::system_error(errno, std::generic_category(),
                                        "mmap of a socket");
        }
        Window(const Window &) = delete;
        Window &operator=(const Window &) = delete;
        ~Window() { munmap(start_, length_); }

        std::span<const std::byte> bytes() const {
            return {static_cast<const std::byte *>(start_), length_};
        }

      private:
        std::size_t length_;
        void *start_;
    };

    int fd_;
    std::size_t bytes_;
    Window window_;
    Pages rest_;
};

} // namespace

std::unique_ptr<Receiver> make_receiver(const snap::Socket &socket,
                                        const Side &side, std::size_t bytes) {
    switch (side.method) {
    case Method::plain:
        return std::make_unique<PlainReceiver>(socket.fd(), bytes, side.unread);
    case Method::zerocopy:
        return std::make_unique<MappingReceiver>(socket.fd(), bytes);
    case Method::view:
        return std::make_unique<ViewReceiver>(socket, bytes, side.unread);
    default:
        throw std::logic_error("this is no way to receive");
    }
}

} // namespace snapbench
