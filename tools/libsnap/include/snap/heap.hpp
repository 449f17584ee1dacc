// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory resources in a region, for std::pmr containers.  They and the region
// must outlive what is allocated; deallocation is by this process.
#ifndef SNAP_HEAP_HPP
#define SNAP_HEAP_HPP

#include <cstddef>
#include <memory>
#include <memory_resource>
#include <new>

#include "check.hpp"
#include "libsnap.h"

namespace snap {

// Whole pages of a region; throws std::bad_alloc when there is no gap that
// large, or for an alignment over SNAP_BUFFER_ALIGN.  Thread-safe.
class RegionResource final : public std::pmr::memory_resource {
  public:
    explicit RegionResource(snap_region *region) noexcept : region_(region) {}

  private:
    void *do_allocate(std::size_t length, std::size_t alignment) override {
        void *start = nullptr;
        if (alignment > SNAP_BUFFER_ALIGN ||
            snap_buffer_alloc(region_, length == 0 ? 1 : length, &start) < 0)
            throw std::bad_alloc();
        return start;
    }
    void do_deallocate(void *start, std::size_t, std::size_t) override {
        snap_buffer_free(region_, start);
    }
    bool do_is_equal(const memory_resource &other) const noexcept override {
        const auto *same = dynamic_cast<const RegionResource *>(&other);
        return same != nullptr && same->region_ == region_;
    }

    snap_region *region_;
};

// Pieces of any size, many to a page: that of snap_heap_alloc().  Throws
// std::bad_alloc as above.  Thread-safe.
class Heap final : public std::pmr::memory_resource {
  public:
    explicit Heap(snap_region *region) {
        snap_heap *heap = nullptr;
        check(snap_heap_create(region, &heap), "snap_heap_create");
        heap_.reset(heap);
    }

    snap_heap *get() const noexcept { return heap_.get(); }

  private:
    void *do_allocate(std::size_t length, std::size_t alignment) override {
        void *piece = snap_heap_aligned_alloc(get(), alignment, length);
        if (piece == nullptr)
            throw std::bad_alloc();
        return piece;
    }
    void do_deallocate(void *piece, std::size_t, std::size_t) override {
        snap_heap_free(get(), piece);
    }
    bool do_is_equal(const memory_resource &other) const noexcept override {
        const auto *same = dynamic_cast<const Heap *>(&other);
        return same != nullptr && same->get() == get();
    }

    struct Destroy {
        void operator()(snap_heap *heap) const noexcept {
            snap_heap_destroy(heap);
        }
    };
    std::unique_ptr<snap_heap, Destroy> heap_;
};

} // namespace snap

#endif
