// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Batches of received packets, until TAKE hands them to the guest.
#pragma once

#include "types.hpp"

#include "snap_device.h"
#include "snapmem/snapmem.h"

#include <array>
#include <span>
#include <vector>

namespace snapmem_impl {

// One batch is open, others are sealed and wait for TAKE. The device has one
// hold on each of their frames. Not thread-safe.
class RxBatches {
  public:
    // Sealed ones, at most.
    static constexpr std::uint32_t sealed_max = 64;

    explicit RxBatches(snapmem *mem);
    RxBatches(const RxBatches &) = delete;
    RxBatches &operator=(const RxBatches &) = delete;

    [[nodiscard]] bool full() const { return sealed_ == sealed_max; }
    // There is more than one batch.
    [[nodiscard]] bool several() const { return sealed_ != 0; }
    // Nothing to take.
    [[nodiscard]] bool empty() const { return sealed_ == 0 && !open().begun(); }

    // Add a packet, while not full(): its headers, and frames that hold its
    // payload and are the batch's from now on. The entry's size, hdr_len and
    // nframes are filled in. False if the batch gets no frame of its own;
    // nothing has happened then.
    bool add(snap_rx entry, std::span<const std::uint8_t> headers,
             std::span<const Frame> frames);
    // The oldest batch is the guest's: the value of TAKE. Adds the number of
    // its payload frames to nframes.
    std::uint64_t take(std::uint64_t &nframes);
    // Drop all of them.
    void clear();

  private:
    struct Batch {
        std::size_t used = 0; // bytes of entries in frame[0]
        std::uint32_t packets = 0;
        std::uint32_t nframes = 0; // 0: not begun
        // frame[0] holds the entries, the others are payload.
        std::array<Frame, 1 + SNAP_FRAME_SIZE / sizeof(Frame)> frame{};

        [[nodiscard]] bool begun() const { return nframes != 0; }
    };

    [[nodiscard]] Batch &at(std::uint32_t i) {
        return ring_[(first_ + i) % ring_.size()];
    }
    [[nodiscard]] const Batch &open() const {
        return ring_[(first_ + sealed_) % ring_.size()];
    }
    [[nodiscard]] std::uint8_t *entries(const Batch &b) const;
    void seal();

    snapmem *mem_;
    std::vector<Batch> ring_;
    std::uint32_t first_ = 0; // the oldest sealed one
    std::uint32_t sealed_ = 0;
};

} // namespace snapmem_impl
