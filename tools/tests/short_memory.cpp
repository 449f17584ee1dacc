// SPDX-License-Identifier: LGPL-2.1-or-later
#include "short_memory.h"

#include <cstdlib>
#include <new>

namespace {

thread_local int left = -1; // none is short of memory

} // namespace

namespace snaptest {

ShortMemory::ShortMemory(int allocations) noexcept {
    left = allocations;
}

ShortMemory::~ShortMemory() {
    left = -1;
}

} // namespace snaptest

// NOLINTBEGIN(cppcoreguidelines-no-malloc): these are what it is about
void *operator new(std::size_t bytes) {
    if (left == 0) {
        left = -1;
        throw std::bad_alloc();
    }
    if (left > 0)
        left--;
    void *const memory = std::malloc(bytes);
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

void operator delete(void *memory) noexcept {
    std::free(memory);
}

void operator delete(void *memory, std::size_t) noexcept {
    std::free(memory);
}
// NOLINTEND(cppcoreguidelines-no-malloc)
