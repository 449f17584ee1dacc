// SPDX-License-Identifier: LGPL-2.1-or-later
#include "owner.h"

#include <sys/mman.h>

namespace snap::detail {

namespace {

using Number = std::atomic<unsigned int>;

constexpr std::size_t page_bytes = 4096;

// The number of this process: zero in each new one, however it was made, until
// it has a number.  If there is no such memory, children go for their parent.
Number &number() noexcept {
    static constinit Number of_all = 0;
    static Number *const mark = [] {
        void *const page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return page != MAP_FAILED &&
                       ::madvise(page, page_bytes, MADV_WIPEONFORK) == 0
                   ? static_cast<Number *>(page)
                   : &of_all;
    }();
    return *mark;
}

} // namespace

unsigned int Owner::current() noexcept {
    static constinit Number last = 0; // of this process and those before it
    Number &mine = number();
    unsigned int found = mine.load(std::memory_order_relaxed);
    if (found == 0) {
        const unsigned int fresh = ++last;
        if (mine.compare_exchange_strong(found, fresh))
            found = fresh;
    }
    return found;
}

} // namespace snap::detail
