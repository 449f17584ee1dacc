// SPDX-License-Identifier: LGPL-2.1-or-later
// The application's memory: what it sends from, and how it looks at what it
// got.
#ifndef SNAP_BENCH_MEMORY_H
#define SNAP_BENCH_MEMORY_H

#include "row.h"

#include <snap/libsnap.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace snapbench {

constexpr std::size_t ring_buffers = 16;

// Pages of this process, there from the start.
class Pages {
  public:
    explicit Pages(std::size_t bytes);

    std::span<std::byte> bytes() const { return {start_.get(), length_}; }

  private:
    struct Unmap {
        std::size_t length = 0;
        void operator()(std::byte *start) const;
    };
    std::size_t length_;
    std::unique_ptr<std::byte, Unmap> start_;
};

// Buffers of one message each, whole pages: in regions for AF_SNAP sockets.
class Buffers {
  public:
    Buffers(const Side &side, std::size_t bytes);

    // The buffer of the next message, before it is written.
    std::span<std::byte> next();
    std::size_t count() const { return buffers_.size(); }
    // All of them, of a side without regions of their own.
    std::span<std::byte> all() const { return all_; }
    bool rewritten() const { return rewritten_; }

  private:
    std::span<std::byte> allocate(Family family, std::size_t bytes);

    bool rewritten_;
    std::size_t at_ = 0;
    std::vector<snap::Region> regions_;
    std::optional<Pages> plain_;
    std::span<std::byte> all_;
    std::vector<std::span<std::byte>> buffers_;
};

// Another value each time, into every byte.
void rewrite(std::span<std::byte> buffer);

// Loads 8 bytes of each cache line, as whoever uses data has to.
void look_at(std::span<const std::byte> data);

} // namespace snapbench

#endif
