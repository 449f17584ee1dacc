// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where the thread reads a packet to: its payload into frames, if it is as long
// as the ones before, and its headers too.
#pragma once

#include "types.hpp"

#include "snap_device.h"
#include "snapmem/snapmem.h"

#include <array>
#include <span>
#include <sys/types.h>
#include <vector>

namespace snapmem_impl {

// A packet is read into [offload header][headers][frames][what is left]. Where
// headers end and how many frames there are is a guess. All but the frames lies
// in one buffer, with a gap as large as the frames, so that only they have to
// be copied where the guess was wrong.
//
// Where most of the packets lately had so much payload, the frames are a large
// one, if there is one. A packet that has less is copied: it must not keep
// that. Those that have no frames at all, acknowledgements say, do not count.
//
// Not thread-safe: it is the thread's, or whoever made that quiet.
class RxLanding {
  public:
    RxLanding(snapmem *mem, bool vnet_hdr);
    RxLanding(const RxLanding &) = delete;
    RxLanding &operator=(const RxLanding &) = delete;

    // May there be a large frame?
    void allow_large(bool allowed) { large_allowed_ = allowed; }
    // Take as many frames as are guessed, if they are free. O(1) mostly: those
    // that were not used stay.
    void prepare();
    // Give the frames back. Their content is nobody's.
    void go_home();
    // One packet, by readv(): its result and errno. Not while holds_packet().
    ssize_t read(int fd);

    // What was read, until forget().
    [[nodiscard]] bool holds_packet() const { return bytes_ != 0; }
    [[nodiscard]] bool has_offload() const { return bytes_ >= offload_bytes_; }
    [[nodiscard]] const snap_offload &offload() const { return offload_; }
    // The packet's bytes, of which the first SNAP_RX_INLINE_MAX are there, and
    // all of them after make_linear().
    [[nodiscard]] std::span<const std::uint8_t> packet() const {
        return {buffer_.data(), bytes_ - offload_bytes_};
    }
    // Its headers end there: does its payload lie in frames, from the start of
    // the first one?
    [[nodiscard]] bool in_place(std::size_t header) const;
    // It was read when there was no large frame that was wanted.
    [[nodiscard]] bool lacks_large() const { return lacks_large_; }
    // The packet is in one piece from now on.
    void make_linear();
    // Those frames, zero behind the payload. They stay ours until
    // forget_frames().
    std::span<const Frame> payload(std::size_t header);
    void forget_frames(std::size_t n);
    void forget() { bytes_ = 0; }
    // The next packets may be like one whose headers and payload were so long.
    void learn(std::size_t header, std::size_t payload);

  private:
    static constexpr std::size_t buffer_bytes = 160 * 1024;
    static constexpr std::uint32_t window = 32; // packets

    [[nodiscard]] bool is_large() const {
        return !frames_.empty() && (frames_.front() & large_bit) != 0;
    }
    [[nodiscard]] bool take_large();
    [[nodiscard]] std::size_t gap() const { return used_ * frame_bytes(); }
    // All are alike.
    [[nodiscard]] std::size_t frame_bytes() const {
        return is_large() ? large_frames * page_bytes : page_bytes;
    }
    // Copy from frames to the gap what of the packet's first bytes is there.
    void fill_gap(std::size_t bytes);
    [[nodiscard]] std::uint8_t *data(Frame f) const {
        return snapmem_pool(mem_) + (f & ~large_bit) * page_bytes;
    }

    snapmem *mem_;
    std::size_t offload_bytes_;
    std::vector<Frame> frames_;
    std::vector<std::uint8_t> buffer_;
    snap_offload offload_{};

    // Guesses: where headers end, and frames: the most in one window of
    // packets, and that in the current one.
    std::size_t header_ = SNAP_TX_BYTES_MIN;
    std::size_t wanted_ = 0;
    std::size_t most_ = 0;
    std::uint32_t seen_ = 0;
    // Is a large one wanted? Packets of the current window that have frames,
    // and those of them that want a large one.
    bool large_allowed_ = false;
    bool large_wanted_ = false;
    bool lacks_large_ = false;
    std::uint32_t framed_ = 0;
    std::uint32_t bulk_ = 0;

    // The packet that was read, 0: none; with that many frames in its gap.
    std::size_t bytes_ = 0;
    std::size_t used_ = 0;
};

} // namespace snapmem_impl
