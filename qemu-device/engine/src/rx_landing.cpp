// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rx_landing.hpp"

#include <algorithm>
#include <cstring>
#include <sys/uio.h>

namespace snapmem_impl {

RxLanding::RxLanding(snapmem *mem, bool vnet_hdr)
    : mem_(mem), offload_bytes_(vnet_hdr ? sizeof(snap_offload) : 0),
      buffer_(buffer_bytes) {
    static_assert(SNAP_RX_HEADER_MAX + SNAP_RX_FRAMES_MAX * page_bytes <
                  buffer_bytes);
    frames_.reserve(SNAP_RX_FRAMES_MAX);
}

void RxLanding::prepare() {
    const bool large = large_wanted_ && large_allowed_;
    lacks_large_ = large && !is_large() && !take_large();
    if (is_large()) {
        if (large) {
            return;
        }
        go_home();
    }
    const std::size_t have = frames_.size();
    if (have >= wanted_) {
        return;
    }
    frames_.resize(wanted_);
    if (snapmem_receive(mem_, frames_.data() + have, wanted_ - have) !=
        SNAPMEM_OK) {
        frames_.resize(have);
    }
}

bool RxLanding::take_large() {
    Frame large = no_frame;
    if (snapmem_receive_large(mem_, &large) != SNAPMEM_OK) {
        return false;
    }
    go_home();
    frames_.push_back(large);
    return true;
}

void RxLanding::go_home() {
    if (frames_.empty()) {
        return;
    }
    // The one that was freed last is taken first.
    std::reverse(frames_.begin(), frames_.end());
    snapmem_drop(mem_, frames_.data(), frames_.size());
    frames_.clear();
}

ssize_t RxLanding::read(int fd) {
    std::array<iovec, 3 + SNAP_RX_FRAMES_MAX> to;
    std::size_t n = 0;
    used_ = frames_.size();
    if (offload_bytes_ != 0) {
        to[n++] = {&offload_, offload_bytes_};
    }
    if (used_ != 0) {
        to[n++] = {buffer_.data(), header_};
        for (const Frame f : frames_) {
            to[n++] = {data(f), frame_bytes()};
        }
    }
    const std::size_t rest = used_ != 0 ? header_ + gap() : 0;
    to[n++] = {buffer_.data() + rest, buffer_.size() - rest};
    const ssize_t got = readv(fd, to.data(), static_cast<int>(n));
    if (got > 0) {
        bytes_ = static_cast<std::size_t>(got);
        if (has_offload()) {
            fill_gap(SNAP_RX_INLINE_MAX);
        }
    }
    return got;
}

void RxLanding::fill_gap(std::size_t bytes) {
    std::size_t at = header_;
    const std::size_t end = std::min({bytes, packet().size(), at + gap()});
    for (std::size_t i = 0; at < end; ++i) {
        const std::size_t part = std::min(end - at, frame_bytes());
        std::memcpy(buffer_.data() + at, data(frames_[i]), part);
        at += part;
    }
}

bool RxLanding::in_place(std::size_t header) const {
    const std::size_t length = packet().size();
    return used_ != 0 && length > SNAP_RX_INLINE_MAX && header == header_ &&
           length - header <= gap() &&
           (!is_large() || length - header > SNAP_RX_LARGE_MIN);
}

void RxLanding::make_linear() {
    fill_gap(packet().size());
    used_ = 0;
}

std::span<const Frame> RxLanding::payload(std::size_t header) {
    const std::size_t bytes = packet().size() - header;
    const std::size_t n = (bytes + frame_bytes() - 1) / frame_bytes();
    const std::size_t tail = n * frame_bytes() - bytes;
    std::memset(data(frames_[n - 1]) + frame_bytes() - tail, 0, tail);
    return {frames_.data(), n};
}

void RxLanding::forget_frames(std::size_t n) {
    frames_.erase(frames_.begin(),
                  frames_.begin() + static_cast<std::ptrdiff_t>(n));
}

void RxLanding::learn(std::size_t header, std::size_t payload) {
    const std::size_t nframes = (payload + page_bytes - 1) / page_bytes;
    if (nframes != 0) {
        header_ = header;
        most_ = std::max(most_, nframes);
        wanted_ = std::max(wanted_, nframes);
    }
    framed_ += header + payload > SNAP_RX_INLINE_MAX;
    bulk_ += payload > SNAP_RX_LARGE_MIN;
    if (++seen_ == window) {
        wanted_ = most_;
        large_wanted_ = bulk_ > framed_ / 2;
        most_ = 0;
        framed_ = 0;
        bulk_ = 0;
        seen_ = 0;
    }
}

} // namespace snapmem_impl
