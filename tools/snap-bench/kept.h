// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages in a view, let go of some at a time: that costs less.
#ifndef SNAP_BENCH_KEPT_H
#define SNAP_BENCH_KEPT_H

#include <snap/view.hpp>

#include <cstddef>
#include <deque>
#include <utility>

namespace snapbench {

// Ends before the view.
class Kept {
  public:
    static constexpr std::size_t batch = 8;

    // The newest so many are kept in any case, and less than a batch more.
    explicit Kept(std::size_t least) : least_(least) {}

    void keep(snap::Message message) {
        // Where most was copied it may be that the others have all the room.
        const bool full = message.viewed() < message.size() / 2;
        messages_.push_back(std::move(message));
        if (messages_.size() == least_ + batch ||
            (full && messages_.size() > least_))
            let_go();
    }

  private:
    void let_go() {
        const auto first = messages_.begin();
        const auto last = messages_.end() - static_cast<std::ptrdiff_t>(least_);
        snap::release(first, last);
        messages_.erase(first, last);
    }

    std::size_t least_;
    std::deque<snap::Message> messages_;
};

} // namespace snapbench

#endif
