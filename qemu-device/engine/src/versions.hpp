// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where each version of a page lies.
#pragma once

#include "types.hpp"

#include <vector>

namespace snapmem_impl {

// A version is a page's bytes as they were between two moments. Page maps name
// versions, and so need not change when the bytes of one go to another frame.
// Each lies in a frame of its own, so there are no more of them than frames.
//
// Not thread-safe: who has a lane of the engine's lock may only look.
class Versions {
  public:
    explicit Versions(std::uint32_t frames) : where_(frames), free_(0) {
        for (Version v = 0; v < frames; ++v) {
            where_[v] = unused | (v + 1);
        }
    }

    // A new one, which lies in f. There is one as long as no frame has two.
    Version add(Frame f) noexcept {
        const Version v = free_;
        free_ = where_[v] & ~unused;
        where_[v] = f;
        ++used_;
        return v;
    }
    // Nobody names it any more.
    void remove(Version v) noexcept {
        where_[v] = unused | free_;
        free_ = v;
        --used_;
    }
    void move(Version v, Frame to) noexcept { where_[v] = to; }

    // Of a version that somebody names.
    [[nodiscard]] Frame frame(Version v) const { return where_[v]; }
    [[nodiscard]] bool used(Version v) const {
        return (where_[v] & unused) == 0;
    }
    [[nodiscard]] std::uint32_t used() const { return used_; }

  private:
    static constexpr std::uint32_t unused = 1U << 31; // no frame's

    // The frame, or, marked as unused, the next one that is.
    std::vector<std::uint32_t> where_;
    Version free_;
    std::uint32_t used_ = 0;
};

} // namespace snapmem_impl
