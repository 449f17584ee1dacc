// SPDX-License-Identifier: LGPL-2.1-or-later
// Owns a shared mapping of a descriptor.
#ifndef LIBSNAP_MAPPING_H
#define LIBSNAP_MAPPING_H

#include <cerrno>
#include <cstddef>
#include <sys/mman.h>

namespace snap::detail {

class Mapping {
  public:
    Mapping(int fd, std::size_t length, int protection,
            off64_t offset = 0) noexcept
        : address_(
              ::mmap64(nullptr, length, protection, MAP_SHARED, fd, offset)),
          length_(length), error_(valid() ? 0 : errno) {}
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    ~Mapping() {
        if (valid())
            ::munmap(address_, length_);
    }

    bool valid() const noexcept { return address_ != MAP_FAILED; }
    void *address() const noexcept { return address_; }
    int error() const noexcept { return error_; } // errno, if not valid

  private:
    void *address_;
    std::size_t length_;
    int error_;
};

} // namespace snap::detail

#endif
