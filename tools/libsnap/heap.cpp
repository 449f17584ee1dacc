// SPDX-License-Identifier: LGPL-2.1-or-later
// malloc() and its relatives in a region.
#include <snap/libsnap.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "boundary.h"
#include "piece_allocator.h"
#include "region.h"

using snap::detail::guard;
using snap::detail::PieceAllocator;

static_assert(PieceAllocator::page_bytes == SNAP_BUFFER_ALIGN);

struct snap_heap {
    explicit snap_heap(snap_region *memory)
        : owner(snap::detail::owner_of(*memory)),
          start(static_cast<char *>(memory->address)),
          pieces({[memory](size_t count) { return pages(memory, count); },
                  [memory](size_t first, size_t count) {
                      return snap::detail::extend_buffer(*memory, first, count);
                  },
                  [memory](size_t first) {
                      snap_buffer_free(memory,
                                       static_cast<char *>(memory->address) +
                                           first * SNAP_BUFFER_ALIGN);
                  }}) {}

    static std::optional<size_t> pages(snap_region *memory, size_t count) {
        void *buffer = nullptr;
        if (snap_buffer_alloc(memory, count * SNAP_BUFFER_ALIGN, &buffer) < 0)
            return std::nullopt;
        return static_cast<size_t>(static_cast<char *>(buffer) -
                                   static_cast<char *>(memory->address)) /
               SNAP_BUFFER_ALIGN;
    }

    size_t place(const void *piece) const {
        return reinterpret_cast<uintptr_t>(piece) -
               reinterpret_cast<uintptr_t>(start);
    }

    const snap::detail::Owner &owner;
    char *start;
    PieceAllocator pieces;
};

extern "C" {

int snap_heap_create(snap_region *region, snap_heap **heap) {
    return guard([&] {
        if (region == nullptr || heap == nullptr)
            return -EINVAL;
        *heap = std::make_unique<snap_heap>(region).release();
        return 0;
    });
}

void snap_heap_destroy(snap_heap *heap) {
    const std::unique_ptr<snap_heap> owned(heap);
}

void *snap_heap_alloc(snap_heap *heap, size_t length) {
    return snap_heap_aligned_alloc(heap, alignof(std::max_align_t), length);
}

void *snap_heap_aligned_alloc(snap_heap *heap, size_t alignment,
                              size_t length) {
    void *piece = nullptr;
    const int error = guard([&] {
        if (heap == nullptr || !std::has_single_bit(alignment) ||
            alignment > SNAP_BUFFER_ALIGN)
            return -EINVAL;
        if (!heap->owner.is_here())
            return -EPERM;
        const auto place = heap->pieces.allocate(length, alignment);
        if (!place)
            return -ENOMEM;
        piece = heap->start + *place;
        return 0;
    });
    if (error < 0)
        errno = -error;
    return piece;
}

void *snap_heap_realloc(snap_heap *heap, void *piece, size_t length) {
    if (heap == nullptr || piece == nullptr)
        return snap_heap_alloc(heap, length);
    if (!heap->owner.is_here()) {
        errno = EPERM;
        return nullptr;
    }
    const auto room = heap->pieces.room(heap->place(piece));
    if (!room) {
        errno = EINVAL;
        return nullptr;
    }
    if (length <= *room && length > *room / 2)
        return piece;
    const bool grows = length > *room;
    if (grows && heap->pieces.extend(heap->place(piece), length))
        return piece;
    // One that has to move has room for more steps then, if there is any.
    void *moved = nullptr;
    if (grows && *room >= SNAP_BUFFER_ALIGN && length < PTRDIFF_MAX)
        moved = snap_heap_alloc(heap, length + length / 2);
    if (moved == nullptr)
        moved = snap_heap_alloc(heap, length);
    if (moved == nullptr && length <= *room)
        return piece; // to shrink must not fail
    if (moved != nullptr) {
        std::memcpy(moved, piece, std::min(length, *room));
        snap_heap_free(heap, piece);
    }
    return moved;
}

size_t snap_heap_room(snap_heap *heap, const void *piece) {
    return heap == nullptr || piece == nullptr || !heap->owner.is_here()
               ? 0
               : heap->pieces.room(heap->place(piece)).value_or(0);
}

int snap_heap_free(snap_heap *heap, void *piece) {
    return guard([&] {
        if (piece == nullptr)
            return 0;
        if (heap != nullptr && !heap->owner.is_here())
            return -EPERM;
        return heap != nullptr && heap->pieces.release(heap->place(piece))
                   ? 0
                   : -EINVAL;
    });
}

} // extern "C"
