// SPDX-License-Identifier: LGPL-2.1-or-later
// Receiving by view: messages whose bytes stay where they arrived.
#ifndef SNAP_VIEW_HPP
#define SNAP_VIEW_HPP

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "check.hpp"
#include "libsnap.h"
#include "socket.hpp"

namespace snap {

class Message;
class ReceiveView;

template <typename T>
concept MessageIterator =
    std::forward_iterator<T> && std::same_as<std::iter_value_t<T>, Message>;

// What one receive gave.  Its bytes in the view are there until it ends, and
// those in the buffer until the caller writes to that.
class Message {
  public:
    Message(Message &&other) noexcept
        : view_(std::exchange(other.view_, nullptr)), bytes_(other.bytes_),
          buffer_(other.buffer_), parts_(other.parts_),
          nparts_(std::exchange(other.nparts_, 0)) {}
    Message &operator=(Message &&other) noexcept {
        Message taken(std::move(other));
        std::swap(view_, taken.view_);
        std::swap(bytes_, taken.bytes_);
        std::swap(buffer_, taken.buffer_);
        std::swap(parts_, taken.parts_);
        std::swap(nparts_, taken.nparts_);
        return *this;
    }
    Message(const Message &) = delete;
    Message &operator=(const Message &) = delete;
    ~Message() {
        if (view_ != nullptr)
            snap_view_release(view_, parts_.data(), nparts_);
    }

    std::size_t size() const noexcept { return bytes_; }

    // Bytes that were not copied.
    std::size_t viewed() const noexcept {
        std::size_t sum = 0;
        for (const auto &part : parts())
            sum += part.length;
        return sum;
    }

    std::span<const snap_view_part> parts() const noexcept {
        return {parts_.data(), nparts_};
    }

    // Calls use(std::span<const std::byte>) for the pieces of the message, in
    // their order, wherever they are.
    template <typename Use>
    void for_each_piece(Use &&use) const {
        const auto *window = static_cast<const std::byte *>(view_->address);
        std::size_t at = 0;
        for (const auto &part : parts()) {
            if (part.at > at)
                use(buffer_.subspan(at, part.at - at));
            use(std::span(window + part.offset, part.length));
            at = part.at + part.length;
        }
        if (bytes_ > at)
            use(buffer_.subspan(at, bytes_ - at));
    }

    // Copies what is in the view to its place in the buffer: all of the
    // message is there then.
    std::span<const std::byte> gather() const {
        std::size_t at = 0;
        for_each_piece([&](std::span<const std::byte> piece) {
            if (piece.data() != buffer_.data() + at)
                std::memcpy(buffer_.data() + at, piece.data(), piece.size());
            at += piece.size();
        });
        return buffer_.first(bytes_);
    }

  private:
    friend class ReceiveView;
    template <MessageIterator Iterator>
    friend void release(Iterator first, Iterator last);
    Message() = default;

    snap_view *view_ = nullptr;
    std::size_t bytes_ = 0; // of the buffer at most
    std::span<std::byte> buffer_;
    std::array<snap_view_part, SNAP_VIEW_PARTS_MAX> parts_{};
    std::size_t nparts_ = 0;
};

// Ends messages together, which costs less than one after the other: what
// follows each other in the window, as messages of a stream mostly do, goes at
// once. std::bad_alloc: those of this view and behind have not ended.
// std::system_error: they have, and their pages stay until the view ends.
template <MessageIterator Iterator>
void release(Iterator first, Iterator last) {
    std::vector<snap_view_part> parts;
    while (first != last) {
        snap_view *const view = first->view_;
        auto end = first;
        parts.clear();
        for (; end != last && end->view_ == view; ++end)
            parts.insert(parts.end(), end->parts().begin(), end->parts().end());
        for (; first != end; ++first)
            first->nparts_ = 0;
        if (!parts.empty())
            check(snap_view_release(view, parts.data(), parts.size()),
                  "snap_view_release");
    }
}

// The view of a socket, which must outlive it.
class ReceiveView {
  public:
    ReceiveView(const Socket &socket, std::size_t length,
                unsigned int flags = 0) {
        check(snap_view_create(socket.fd(), length, flags, &view_),
              "snap_view_create");
    }
    ReceiveView(ReceiveView &&other) noexcept
        : view_(std::exchange(other.view_, nullptr)) {}
    ReceiveView &operator=(ReceiveView &&other) noexcept {
        std::swap(view_, other.view_);
        return *this;
    }
    ReceiveView(const ReceiveView &) = delete;
    ReceiveView &operator=(const ReceiveView &) = delete;
    ~ReceiveView() { snap_view_free(view_); }

    std::span<const std::byte> window() const noexcept {
        return {static_cast<const std::byte *>(view_->address), view_->length};
    }

    // As recvfrom(): at most the buffer's length in all, zero bytes at the end
    // of a stream.  Throws std::system_error.  Messages end before the view.
    Message receive(std::span<std::byte> buffer, int flags = 0,
                    sockaddr *from = nullptr,
                    socklen_t *from_length = nullptr) const {
        Message message;
        message.nparts_ = message.parts_.size();
        const ssize_t bytes = snap_view_receive(
            view_, buffer.data(), buffer.size(), flags, from, from_length,
            message.parts_.data(), &message.nparts_);
        check(static_cast<int>(std::min<ssize_t>(bytes, 0)),
              "snap_view_receive");
        message.view_ = view_;
        message.buffer_ = buffer;
        message.bytes_ =
            std::min(static_cast<std::size_t>(bytes), buffer.size());
        return message;
    }

  private:
    snap_view *view_ = nullptr;
};

} // namespace snap

#endif
