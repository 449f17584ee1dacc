// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Owners of descriptors and mappings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/types.h>
#include <utility>

namespace snapmem_impl {

// Throws std::system_error of errno.
[[noreturn]] void throw_errno(const char *what);

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd &operator=(Fd &&other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd &) = delete;
    Fd &operator=(const Fd &) = delete;
    ~Fd();

    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// A file in memory of that many bytes, all zero and none allocated yet. It
// cannot be made executable, where the kernel knows how (Linux 6.3).
Fd make_memory_file(const char *name, std::uint64_t bytes);

// A shared read-write mapping of a file, for the life of the object.
class Mapping {
  public:
    Mapping(const Fd &file, std::uint64_t offset, std::size_t bytes);
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    ~Mapping();

    [[nodiscard]] std::uint8_t *data() const { return data_; }

  private:
    std::uint8_t *data_;
    std::size_t bytes_;
};

// vm.max_map_count, or its default if it cannot be read.
std::uint32_t mappings_max();

} // namespace snapmem_impl
