// SPDX-License-Identifier: LGPL-2.1-or-later
#include "heap.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <malloc.h>
#include <new>

namespace {

std::atomic<std::size_t> bytes_out{0};

// NOLINTBEGIN(cppcoreguidelines-no-malloc): this is the heap
void *allocate(std::size_t n, std::size_t alignment) {
    n = (std::max<std::size_t>(n, 1) + alignment - 1) / alignment * alignment;
    void *p = std::aligned_alloc(alignment, n);
    if (p == nullptr) {
        throw std::bad_alloc();
    }
    bytes_out.fetch_add(malloc_usable_size(p), std::memory_order_relaxed);
    return p;
}

void give_back(void *p) noexcept {
    bytes_out.fetch_sub(malloc_usable_size(p), std::memory_order_relaxed);
    std::free(p);
}
// NOLINTEND(cppcoreguidelines-no-malloc)

} // namespace

// The array forms, and those with a size, come here too.
[[gnu::noinline]] void *operator new(std::size_t n) {
    return allocate(n, alignof(std::max_align_t));
}
[[gnu::noinline]] void *operator new(std::size_t n,
                                     std::align_val_t alignment) {
    return allocate(n, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void *p) noexcept {
    give_back(p);
}
[[gnu::noinline]] void operator delete(void *p, std::size_t /*n*/) noexcept {
    give_back(p);
}
[[gnu::noinline]] void operator delete(void *p, std::align_val_t) noexcept {
    give_back(p);
}
[[gnu::noinline]] void operator delete(void *p, std::size_t /*n*/,
                                       std::align_val_t) noexcept {
    give_back(p);
}

namespace snapmem_bench {

std::size_t heap_bytes() {
    return bytes_out.load(std::memory_order_relaxed);
}

} // namespace snapmem_bench
