// SPDX-License-Identifier: LGPL-2.1-or-later
// AF_XDP: Ethernet frames to the first queue of an interface, from memory that
// is shared with the kernel.  The driver takes them as they lie there, or the
// kernel copies them, as the driver allows.
#ifndef SNAP_BENCH_XDP_H
#define SNAP_BENCH_XDP_H

#include "memory.h"

#include <snap/socket.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <linux/if_xdp.h>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace snapbench {

// Shared with the kernel; indices wrap.
struct XdpRing {
    struct Unmap {
        std::size_t length;
        void operator()(std::byte *start) const;
    };

    std::unique_ptr<std::byte, Unmap> memory;
    std::uint32_t *producer = nullptr;
    std::uint32_t *consumer = nullptr;
    std::byte *entries = nullptr;
};

class Xdp {
  public:
    static constexpr std::size_t frame_bytes = 4096;
    static constexpr unsigned frames = 64;

    // Unavailable, if the kernel or the interface has no such thing.
    explicit Xdp(std::string_view nic);

    std::span<std::byte> frame(unsigned number) const {
        return memory_.bytes().subspan(number * frame_bytes, frame_bytes);
    }

    // Queues a frame, which may be written when done() has named it.
    void queue(unsigned number, std::size_t length);
    // Until the driver, or the kernel's copy, has all that is queued.
    void send();
    std::optional<unsigned> done();

  private:
    XdpRing map(const xdp_ring_offset &at, std::size_t entry_bytes,
                std::uint64_t offset) const;

    snap::Socket fd_;
    Pages memory_;
    XdpRing sent_;
    XdpRing completed_;
};

} // namespace snapbench

#endif
