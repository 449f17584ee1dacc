// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rx_batches.hpp"

#include <algorithm>
#include <cstring>

namespace snapmem_impl {
namespace {

constexpr std::size_t round_up(std::size_t n, std::size_t unit) {
    return (n + unit - 1) / unit * unit;
}

// What add() may be asked for fits into an empty batch.
static_assert(round_up(sizeof(snap_rx) + sizeof(Frame) * SNAP_RX_FRAMES_MAX +
                           SNAP_RX_INLINE_MAX,
                       8) <= SNAP_FRAME_SIZE);
static_assert(SNAP_RX_HEADER_MAX <= SNAP_RX_INLINE_MAX);

} // namespace

RxBatches::RxBatches(snapmem *mem) : mem_(mem), ring_(sealed_max + 1) {}

std::uint8_t *RxBatches::entries(const Batch &b) const {
    return snapmem_pool(mem_) + b.frame[0] * page_bytes;
}

// The open batch has packets and becomes the newest sealed one.
void RxBatches::seal() {
    const Batch &b = open();
    std::memset(entries(b) + b.used, 0, page_bytes - b.used);
    ++sealed_;
    at(sealed_).nframes = 0;
}

bool RxBatches::add(snap_rx entry, std::span<const std::uint8_t> headers,
                    std::span<const Frame> frames) {
    const std::size_t bytes =
        round_up(sizeof(entry) + frames.size_bytes() + headers.size(), 8);
    if (open().begun() && open().used + bytes > page_bytes) {
        seal();
    }
    Batch &b = at(sealed_);
    if (!b.begun()) {
        if (snapmem_receive(mem_, b.frame.data(), 1) != SNAPMEM_OK) {
            return false;
        }
        b.used = 0;
        b.packets = 0;
        b.nframes = 1;
    }
    entry.size = static_cast<std::uint16_t>(bytes);
    entry.hdr_len = static_cast<std::uint16_t>(headers.size());
    entry.nframes = static_cast<std::uint16_t>(frames.size());
    std::uint8_t *const begin = entries(b) + b.used;
    std::uint8_t *to = begin;
    std::memcpy(to, &entry, sizeof(entry));
    to += sizeof(entry);
    to = std::copy_n(reinterpret_cast<const std::uint8_t *>(frames.data()),
                     frames.size_bytes(), to);
    to = std::copy(headers.begin(), headers.end(), to);
    std::fill(to, begin + bytes, std::uint8_t{0});
    std::copy(frames.begin(), frames.end(), b.frame.begin() + b.nframes);
    b.nframes += static_cast<std::uint32_t>(frames.size());
    b.used += bytes;
    ++b.packets;
    return true;
}

std::uint64_t RxBatches::take(std::uint64_t &nframes) {
    if (sealed_ == 0) {
        if (!open().begun()) {
            return SNAP_TAKE_NONE;
        }
        seal();
    }
    Batch &b = at(0);
    snapmem_give(mem_, b.frame.data(), b.nframes);
    for (const Frame f : std::span(b.frame).subspan(1, b.nframes - 1)) {
        nframes += (f & large_bit) != 0 ? large_frames : 1;
    }
    const std::uint64_t value =
        b.frame[0] | static_cast<std::uint64_t>(b.packets) << 32;
    b.nframes = 0;
    first_ = (first_ + 1) % static_cast<std::uint32_t>(ring_.size());
    --sealed_;
    return value;
}

void RxBatches::clear() {
    for (std::uint32_t i = 0; i <= sealed_; ++i) {
        Batch &b = at(i);
        snapmem_drop(mem_, b.frame.data(), b.nframes);
        b.nframes = 0;
    }
    first_ = 0;
    sealed_ = 0;
}

} // namespace snapmem_impl
