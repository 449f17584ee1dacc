// SPDX-License-Identifier: LGPL-2.1-or-later
#include "region.hpp"

#include <algorithm>
#include <atomic>

namespace snapmem_impl {

// Of two captures at a time one may not be counted.
bool SharePolicy::copies(std::uint32_t whole_pages) {
    if (hint_ == SNAPMEM_HINT_KEEP) {
        return false;
    }
    if (hint_ == SNAPMEM_HINT_REWRITE || whole_pages < share_pages_min) {
        return true;
    }
    const std::atomic_ref wait(wait_);
    const std::uint32_t left = wait.load(std::memory_order_relaxed);
    if (sharing_ || left == 0) {
        return false;
    }
    wait.store(left - 1, std::memory_order_relaxed);
    return true;
}

bool SharePolicy::goes_on_sharing(std::uint32_t whole_pages) {
    if (hint_ != SNAPMEM_HINT_NONE || whole_pages < share_pages_min) {
        return hint_ == SNAPMEM_HINT_KEEP;
    }
    const std::uint64_t shared =
        std::atomic_ref(shared_).load(std::memory_order_relaxed);
    return sharing_ && std::uint64_t{faults_} * 8 < shared &&
           shared < trust_pages;
}

bool SharePolicy::share(std::uint32_t whole_pages) {
    if (hint_ == SNAPMEM_HINT_KEEP) {
        return true;
    }
    if (copies(whole_pages)) {
        return false;
    }
    if (!sharing_) {
        sharing_ = true;
        shared_ = 0;
        faults_ = 0;
        return true;
    }
    if (std::uint64_t{faults_} * 8 >= shared_ && shared_ != 0) {
        sharing_ = false;
        wait_ = interval_;
        interval_ = std::min(interval_ * 2, interval_max);
        return false;
    }
    if (shared_ >= trust_pages) {
        interval_ = interval_min;
        shared_ /= 2;
        faults_ /= 2;
    }
    return true;
}

} // namespace snapmem_impl
