// SPDX-License-Identifier: LGPL-2.1-or-later
// Hands out runs of pages of a region: first fit, neighbours joined on free.
#ifndef LIBSNAP_PAGE_ALLOCATOR_H
#define LIBSNAP_PAGE_ALLOCATOR_H

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>

namespace snap::detail {

class PageAllocator {
  public:
    explicit PageAllocator(std::size_t pages);

    // First page of a free run of that many pages (at least 1), or nothing.
    std::optional<std::size_t> allocate(std::size_t pages);

    // Makes the allocation that starts at this page that long, if the pages
    // behind it are free.
    bool extend(std::size_t first, std::size_t pages);

    // False if no allocation starts at this page.
    bool release(std::size_t first);

    std::size_t free_pages() const;
    std::size_t largest_free() const;

  private:
    mutable std::mutex lock_; // guards the maps, held for their changes only
    std::map<std::size_t, std::size_t> free_; // first page -> pages
    std::map<std::size_t, std::size_t> used_; // first page -> pages
};

} // namespace snap::detail

#endif
