// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packets that wait for the descriptor, with holds on their frames and copies
// of all else.
#pragma once

#include "types.hpp"

#include "snap_device.h"
#include "snapmem/snapnet.h"

#include <array>
#include <memory>
#include <span>
#include <sys/uio.h>
#include <vector>

namespace snapmem_impl {

// Not thread-safe; but what front() returned may be read without the lock by
// whoever pops, until then, while packets are pushed.
class TxFifo {
  public:
    // What may be copied of a packet: all, its offload header included.
    static constexpr std::size_t room_bytes =
        sizeof(snap_offload) + SNAP_TX_BYTES_MAX;

    TxFifo(snapmem *mem, std::uint32_t packets);
    TxFifo(const TxFifo &) = delete;
    TxFifo &operator=(const TxFifo &) = delete;

    using Parts = std::span<const iovec>;

    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] std::uint32_t packets() const { return count_; }
    // The next packet may find no room; more than half is free.
    [[nodiscard]] bool full() const {
        return count_ == ring_.size() || bytes_ + room_bytes > SNAPNET_TX_BYTES;
    }
    [[nodiscard]] bool half_empty() const {
        return count_ <= ring_.size() / 2 && bytes_ <= SNAPNET_TX_BYTES / 2;
    }

    // Where the next packet's copied bytes go, room_bytes; while not full().
    [[nodiscard]] std::uint8_t *room();
    // Parts in the pool are held from now on.
    void push(Parts parts);
    [[nodiscard]] Parts front() const {
        const Packet &p = ring_[first_];
        return {p.part.data(), p.nparts};
    }
    // The holds of the packet go to `frames`, for the caller to drop.
    void pop(std::vector<Frame> &frames);

  private:
    struct Packet {
        std::array<iovec, SNAPNET_PARTS_MAX> part;
        std::uint32_t nparts;
        std::size_t bytes;
    };

    [[nodiscard]] bool is_copied(const iovec &part) const {
        const auto *p = static_cast<const std::uint8_t *>(part.iov_base);
        return p >= arena_.get() && p < arena_.get() + arena_bytes;
    }
    // The frames that parts lie in.
    void frames_of(Parts parts, std::vector<Frame> &frames) const;

    snapmem *mem_;
    std::vector<Packet> ring_;
    std::uint32_t first_ = 0;
    std::uint32_t count_ = 0;
    std::size_t bytes_ = 0; // in all packets, copied or not

    // A ring of bytes: copies of a packet lie in one piece, so that less than
    // room_bytes is left unused at its end. What packets have of it is no more
    // than bytes_, and so it always has room where full() says that there is.
    static constexpr std::size_t arena_bytes =
        SNAPNET_TX_BYTES + 2 * room_bytes;
    std::unique_ptr<std::uint8_t[]> arena_; // of the host when it is used
    std::size_t end_ = 0;                   // of the bytes of the last packet
    std::vector<Frame> held_;               // of the packet that is pushed
};

} // namespace snapmem_impl
