// SPDX-License-Identifier: LGPL-2.1-or-later
#include "region.hpp"

#include <algorithm>

namespace snapmem_impl {

bool SharePolicy::share(std::uint32_t whole_pages) {
    if (hint_ == SNAPMEM_HINT_KEEP) {
        return true;
    }
    if (hint_ == SNAPMEM_HINT_REWRITE || whole_pages < share_pages_min) {
        return false;
    }
    if (!sharing_) {
        if (wait_ > 0) {
            --wait_;
            return false;
        }
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
