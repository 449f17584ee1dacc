// SPDX-License-Identifier: LGPL-2.1-or-later
//
// One thread that may change everything, or one in each lane that may not.
#pragma once

#include "cache_lines.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace snapmem_impl {

// A lock for readers and writers (a "big reader lock"): each lane is for one
// reader at a time and has a cache line of its own, so that readers in
// different lanes share no line that any of them writes. lock() is for
// writers, and satisfies std::lock_guard.
//
// A writer says that it is there and then looks at each lane; a reader enters
// its lane and then looks for a writer. All four are sequentially consistent,
// so one of them sees the other. The reader gives way. A writer waits for the
// readers that were there before, no others.
class LaneLock {
  public:
    explicit LaneLock(std::uint32_t lanes) : lanes_(lanes) {}

    void lock() {
        mutex_.lock();
        writer_ = true;
        for (const Lane &lane : lanes_) {
            while (lane.inside != 0) {
                lane.inside.wait(1);
            }
        }
    }
    void unlock() {
        writer_.store(false, std::memory_order_release);
        mutex_.unlock();
    }

    // Waits for writers. False: another thread is in that lane.
    [[nodiscard]] bool try_lock_lane(std::uint32_t i) {
        Lane &lane = lanes_[i];
        if (lane.inside.exchange(1) != 0) {
            return false;
        }
        if (!writer_) {
            return true;
        }
        unlock_lane(i);
        const std::lock_guard no_writer(mutex_);
        return lane.inside.exchange(1) == 0;
    }
    void unlock_lane(std::uint32_t i) {
        Lane &lane = lanes_[i];
        lane.inside = 0;
        if (writer_) {
            lane.inside.notify_one();
        }
    }

    [[nodiscard]] std::uint32_t lanes() const {
        return static_cast<std::uint32_t>(lanes_.size());
    }

  private:
    struct alignas(cache_line) Lane {
        std::atomic<int> inside = 0; // 1: a reader. int: waits in the kernel
    };

    std::mutex mutex_; // of writers
    std::atomic<bool> writer_ = false;
    std::vector<Lane> lanes_;
};

} // namespace snapmem_impl
