// SPDX-License-Identifier: LGPL-2.1-or-later
// Which process an object belongs to.  A child of fork(2) has a copy of what
// is noted of buffers, heaps and views, but shares what these are notes of: if
// both went on, both would hand out the same pages, and either would release
// what the other reads.
#ifndef LIBSNAP_OWNER_H
#define LIBSNAP_OWNER_H

#include <atomic>

namespace snap::detail {

class Owner {
  public:
    Owner() noexcept : process_(current()) {} // who makes it
    bool is_here() const noexcept {
        return process_.load(std::memory_order_relaxed) == current();
    }
    void move_here() noexcept {
        process_.store(current(), std::memory_order_relaxed);
    }

  private:
    static unsigned int current() noexcept; // another one in each process

    std::atomic<unsigned int> process_;
};

} // namespace snap::detail

#endif
