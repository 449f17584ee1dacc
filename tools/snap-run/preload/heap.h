// SPDX-License-Identifier: LGPL-2.1-or-later
// What the library that stands in front of malloc(3) knows of the heap in the
// region.  That one must load with any C library; the heap needs more, and is
// in a library of its own.
#ifndef SNAP_RUN_HEAP_H
#define SNAP_RUN_HEAP_H

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace snaprun {

class Heap {
  public:
    // Null: no room.  alignment is a power of two, at most a page.
    virtual void *allocate(std::size_t alignment,
                           std::size_t bytes) noexcept = 0;
    virtual void *allocate_zeroed(std::size_t bytes) noexcept = 0;
    // As realloc(3) for more bytes: null: no room, and the piece stays.
    virtual void *grow(void *piece, std::size_t bytes) noexcept = 0;
    virtual void release(void *piece) noexcept = 0;
    virtual std::size_t room(const void *piece) noexcept = 0;

    // The piece of which this is a byte becomes ordinary memory until it is
    // released.  No other thread may use it meanwhile; the caller may run on
    // it.
    virtual void make_ordinary(const void *memory) noexcept = 0;

    // True for every piece that allocate() has given.
    bool owns(const void *memory) const noexcept {
        const auto start = start_.load(std::memory_order_acquire);
        return start != 0 &&
               reinterpret_cast<std::uintptr_t>(memory) - start < length_;
    }

  protected:
    ~Heap() = default; // there is one, for the whole life of the process

    std::size_t length_ = 0; // constant once somebody may allocate
    std::atomic<std::uintptr_t> start_ = 0; // of the region; set last
};

// The library's entry, called once and before any thread: null if it fails.
inline constexpr const char *heap_library = "libsnap-run-region.so";
inline constexpr const char *heap_entry = "snap_run_heap";
using HeapEntry = Heap *(std::size_t length);

} // namespace snaprun

#endif
