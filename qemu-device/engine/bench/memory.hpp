// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "rig.hpp"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>

namespace snapmem_bench {

// A mapping.
class Memory {
  public:
    // Anonymous, of small pages, written, as the engine's regions are.
    explicit Memory(std::uint32_t npages)
        : Memory(npages, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1) {
        madvise(data_, bytes_, MADV_NOHUGEPAGE);
        write_all();
    }
    Memory(std::uint32_t npages, int flags, int fd)
        : bytes_(npages * page_bytes),
          data_(static_cast<std::uint8_t *>(
              mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags, fd, 0))) {
        if (data_ == MAP_FAILED) {
            std::perror("mmap");
            std::exit(1);
        }
    }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory() { munmap(data_, bytes_); }

    [[nodiscard]] std::uint8_t *data() const { return data_; }
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    // One word in each page.
    void write_all() { write(0, bytes_); }
    void write(std::size_t at, std::size_t end, std::size_t stride = 1) {
        for (; at < end; at += stride * page_bytes) {
            *reinterpret_cast<volatile std::uint64_t *>(data_ + at) = at;
        }
    }

  private:
    std::size_t bytes_;
    std::uint8_t *data_;
};

} // namespace snapmem_bench
