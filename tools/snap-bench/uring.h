// SPDX-License-Identifier: LGPL-2.1-or-later
// io_uring by its system calls: what sending without a copy takes of it.
#ifndef SNAP_BENCH_URING_H
#define SNAP_BENCH_URING_H

#include <snap/socket.hpp>

#include <cstddef>
#include <cstdint>
#include <linux/io_uring.h>
#include <memory>
#include <span>

namespace snapbench {

// Of one thread.
class Uring {
  public:
    Uring();

    // Pins it: sends need not do so then.  The buffer 0 of sends.
    void register_buffer(std::span<std::byte> buffer) const;

    // The next entry, empty, for submit().  One at a time.
    io_uring_sqe &entry();
    void submit();
    // Waits for it.
    io_uring_cqe completion();

  private:
    struct Unmap {
        std::size_t length = 0;
        void operator()(std::byte *start) const;
    };
    using Mapping = std::unique_ptr<std::byte, Unmap>;

    static constexpr unsigned entries = 64;

    Mapping map(std::size_t length, std::uint64_t offset) const;
    unsigned &word(unsigned offset) const;
    unsigned enter(unsigned submitted, unsigned wanted) const;

    io_uring_params params_{};
    snap::Socket fd_;
    Mapping rings_;
    Mapping entries_;
};

} // namespace snapbench

#endif
