// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap for C++20: objects that own what libsnap.h hands out.  Failures are
// thrown as std::system_error with the errno of the C function.
#ifndef SNAP_LIBSNAP_HPP
#define SNAP_LIBSNAP_HPP

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "libsnap.h"

namespace snap {

// A result of the C interface: the value, or the errno thrown.
inline int check(int result, const char *what) {
    if (result < 0)
        throw std::system_error(-result, std::generic_category(), what);
    return result;
}

class Region;

// /dev/snap, open.
class Device {
  public:
    Device() {
        snap_handle *handle = nullptr;
        check(snap_open(&handle), SNAP_DEVICE_PATH);
        handle_.reset(handle);
    }

    snap_info info() const {
        snap_info info{};
        info.size = sizeof(info);
        check(snap_get_info(handle_.get(), &info), "snap_get_info");
        return info;
    }

    snap_stats stats() const {
        snap_stats stats{};
        stats.size = sizeof(stats);
        check(snap_get_stats(handle_.get(), &stats), "snap_get_stats");
        return stats;
    }

    snap_handle *get() const noexcept { return handle_.get(); }

  private:
    struct Close {
        void operator()(snap_handle *handle) const noexcept {
            snap_close(handle);
        }
    };
    std::unique_ptr<snap_handle, Close> handle_;
};

// A region, mapped.  It must outlive its buffers, not its device.
class Region {
  public:
    Region(const Device &device, std::size_t length,
           snap_hint hint = SNAP_HINT_NONE) {
        snap_region *region = nullptr;
        check(snap_region_create(device.get(), length, hint, &region),
              "snap_region_create");
        region_.reset(region);
    }

    // Takes the descriptor over, unless it throws.
    static Region from_fd(int fd, std::size_t length) {
        snap_region *region = nullptr;
        check(snap_region_from_fd(fd, length, &region), "snap_region_from_fd");
        return Region(region);
    }

    std::span<std::byte> bytes() const noexcept {
        return {static_cast<std::byte *>(region_->address), region_->length};
    }
    int fd() const noexcept { return region_->fd; }
    snap_region *get() const noexcept { return region_.get(); }

  private:
    struct Free {
        void operator()(snap_region *region) const noexcept {
            snap_region_free(region);
        }
    };
    explicit Region(snap_region *region) noexcept : region_(region) {}

    std::unique_ptr<snap_region, Free> region_;
};

// Whole pages of a region.
class Buffer {
  public:
    Buffer(const Region &region, std::size_t length)
        : start_(allocate(region, length), Free{region.get()}),
          length_(length) {}

    std::span<std::byte> bytes() const noexcept {
        return {start_.get(), length_};
    }

  private:
    struct Free {
        snap_region *region;
        void operator()(std::byte *start) const noexcept {
            snap_buffer_free(region, start);
        }
    };
    static std::byte *allocate(const Region &region, std::size_t length) {
        void *start = nullptr;
        check(snap_buffer_alloc(region.get(), length, &start),
              "snap_buffer_alloc");
        return static_cast<std::byte *>(start);
    }

    std::unique_ptr<std::byte, Free> start_;
    std::size_t length_;
};

// An owned socket, AF_SNAP or any other.
class Socket {
  public:
    Socket(int type, int protocol)
        : fd_(check(snap_socket(type, protocol), "socket(AF_SNAP)")) {}
    explicit Socket(int fd) noexcept : fd_(fd) {}
    Socket(Socket &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Socket &operator=(Socket &&other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;
    ~Socket() {
        if (fd_ >= 0)
            ::close(fd_);
    }

    int fd() const noexcept { return fd_; }

    snap_sock_stats stats() const {
        snap_sock_stats stats{};
        stats.size = sizeof(stats);
        check(snap_socket_stats(fd_, &stats), "snap_socket_stats");
        return stats;
    }

    void set_copybreak(int bytes) const {
        check(snap_set_copybreak(fd_, bytes), "snap_set_copybreak");
    }

  private:
    int fd_ = -1;
};

} // namespace snap

#endif
