// SPDX-License-Identifier: LGPL-2.1-or-later
// The edge between the C ABI and C++: no exception crosses it.
#ifndef LIBSNAP_BOUNDARY_H
#define LIBSNAP_BOUNDARY_H

#include <cerrno>
#include <new>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace snap::detail {

// Owns a descriptor; -1 means none.
class UniqueFd {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd &&other) noexcept : fd_(other.release()) {}
    UniqueFd &operator=(UniqueFd &&other) noexcept {
        if (this != &other)
            reset(other.release());
        return *this;
    }
    UniqueFd(const UniqueFd &) = delete;
    UniqueFd &operator=(const UniqueFd &) = delete;
    ~UniqueFd() { reset(-1); }

    int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd) noexcept {
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = fd;
    }

  private:
    int fd_ = -1;
};

// Keeps the caller's errno over calls whose error is returned instead.
class KeepErrno {
  public:
    KeepErrno() noexcept : saved_(errno) {}
    KeepErrno(const KeepErrno &) = delete;
    KeepErrno &operator=(const KeepErrno &) = delete;
    ~KeepErrno() { errno = saved_; }

  private:
    int saved_;
};

// Runs the body of a C function: its result, or an exception as an errno.
template <typename Body>
int guard(Body &&body) noexcept {
    const KeepErrno keep;
    try {
        return std::forward<Body>(body)();
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    } catch (const std::system_error &error) {
        return -error.code().value();
    } catch (...) {
        return -EIO;
    }
}

} // namespace snap::detail

#endif
