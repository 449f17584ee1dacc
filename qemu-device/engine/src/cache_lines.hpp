// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Arrays that begin with a cache line, so that it is known which members share
// one.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace snapmem_impl {

inline constexpr std::size_t cache_line = 64;

template <typename T>
struct CacheLines {
    using value_type = T;

    CacheLines() = default;
    template <typename Other>
    // Allocators convert.
    // NOLINTNEXTLINE(google-explicit-constructor,hicpp-explicit-conversions)
    CacheLines(const CacheLines<Other> & /*other*/) {}

    T *allocate(std::size_t n) {
        return static_cast<T *>(
            ::operator new (n * sizeof(T), std::align_val_t{cache_line}));
    }
    void deallocate(T *p, std::size_t /*n*/) {
        ::operator delete (p, std::align_val_t{cache_line});
    }
    bool operator==(const CacheLines & /*other*/) const { return true; }
};

template <typename T>
using LineVector = std::vector<T, CacheLines<T>>;

} // namespace snapmem_impl
