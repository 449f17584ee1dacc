// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tx_fifo.hpp"

#include <algorithm>

namespace snapmem_impl {

TxFifo::TxFifo(snapmem *mem, std::uint32_t packets)
    : mem_(mem), ring_(packets),
      arena_(std::make_unique_for_overwrite<std::uint8_t[]>(arena_bytes)) {}

std::uint8_t *TxFifo::room() {
    if (arena_bytes - end_ < room_bytes) {
        end_ = 0;
    }
    return arena_.get() + end_;
}

void TxFifo::frames_of(Parts parts, std::vector<Frame> &frames) const {
    const std::uint8_t *const pool = snapmem_pool(mem_);
    for (const iovec &part : parts) {
        if (is_copied(part)) {
            continue;
        }
        const auto at = static_cast<std::size_t>(
            static_cast<const std::uint8_t *>(part.iov_base) - pool);
        const std::size_t last = (at + part.iov_len - 1) / page_bytes;
        for (std::size_t f = at / page_bytes; f <= last; ++f) {
            frames.push_back(static_cast<Frame>(f));
        }
    }
}

void TxFifo::push(Parts parts) {
    held_.clear();
    frames_of(parts, held_);
    snapmem_hold(mem_, held_.data(), held_.size());
    Packet &p = ring_[(first_ + count_) % ring_.size()];
    std::copy(parts.begin(), parts.end(), p.part.begin());
    p.nparts = static_cast<std::uint32_t>(parts.size());
    p.bytes = 0;
    for (const iovec &part : parts) {
        p.bytes += part.iov_len;
        if (is_copied(part)) {
            end_ += part.iov_len;
        }
    }
    bytes_ += p.bytes;
    ++count_;
}

void TxFifo::pop(std::vector<Frame> &frames) {
    const Packet &p = ring_[first_];
    frames_of({p.part.data(), p.nparts}, frames);
    bytes_ -= p.bytes;
    first_ = (first_ + 1) % static_cast<std::uint32_t>(ring_.size());
    --count_;
}

} // namespace snapmem_impl
