// SPDX-License-Identifier: LGPL-2.1-or-later
#include "page_allocator.h"

#include <algorithm>
#include <iterator>

namespace snap::detail {

PageAllocator::PageAllocator(std::size_t pages) {
    if (pages != 0)
        free_.emplace(0, pages);
}

std::optional<std::size_t> PageAllocator::allocate(std::size_t pages) {
    const std::lock_guard guard(lock_);
    const auto fit = std::find_if(free_.begin(), free_.end(), [&](auto &run) {
        return run.second >= pages;
    });
    if (pages == 0 || fit == free_.end())
        return std::nullopt;
    const auto [first, available] = *fit;
    used_.emplace(first, pages); // may throw: before anything has changed
    if (available == pages) {
        free_.erase(fit);
    } else {
        // The node moves to its new key: this cannot fail.
        auto node = free_.extract(fit);
        node.key() = first + pages;
        node.mapped() = available - pages;
        free_.insert(std::move(node));
    }
    return first;
}

bool PageAllocator::extend(std::size_t first, std::size_t pages) {
    const std::lock_guard guard(lock_);
    const auto used = used_.find(first);
    if (used == used_.end() || pages < used->second)
        return false;
    const std::size_t more = pages - used->second;
    auto node = free_.extract(first + used->second);
    if (node.empty())
        return more == 0;
    const bool fits = node.mapped() >= more;
    if (fits) {
        used->second = pages;
        node.key() += more;
        node.mapped() -= more;
    }
    if (node.mapped() != 0)
        free_.insert(std::move(node));
    return fits;
}

bool PageAllocator::release(std::size_t first) {
    const std::lock_guard guard(lock_);
    auto node = used_.extract(first);
    if (node.empty())
        return false;
    auto run = free_.insert(std::move(node)).position;
    const auto next = std::next(run);
    if (next != free_.end() && run->first + run->second == next->first) {
        run->second += next->second;
        free_.erase(next);
    }
    if (run != free_.begin()) {
        const auto before = std::prev(run);
        if (before->first + before->second == run->first) {
            before->second += run->second;
            free_.erase(run);
        }
    }
    return true;
}

std::size_t PageAllocator::free_pages() const {
    const std::lock_guard guard(lock_);
    std::size_t sum = 0;
    for (const auto &run : free_)
        sum += run.second;
    return sum;
}

std::size_t PageAllocator::largest_free() const {
    const std::lock_guard guard(lock_);
    std::size_t largest = 0;
    for (const auto &run : free_)
        largest = std::max(largest, run.second);
    return largest;
}

} // namespace snap::detail
