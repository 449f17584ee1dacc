// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded with --heap: malloc(3) and its relatives take large pieces from a
// region, so that what is sent from them goes by reference.  All others, and
// those that do not fit, come from the allocator that the program would have.
#include "mapped.h"
#include "own_heap.h"
#include "shared_counts.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <snap/libsnap.h>

namespace snaprun {

Heap *heap = nullptr;

} // namespace snaprun

namespace {

using snaprun::Counts;
using snaprun::Heap;

// Smaller ones rarely reach the copybreak as a message, and a piece takes whole
// pages.
constexpr std::size_t large_bytes = 64 << 10;

// Memory so aligned may be for O_DIRECT, which cannot pin a region.
constexpr std::size_t direct_alignment = 512;
std::size_t alignment_limit = direct_alignment;

using snaprun::heap;
using snaprun::in_region;

Counts *counts = nullptr;

// The program's own allocator.
struct Next {
    void *(*malloc)(std::size_t);
    void *(*calloc)(std::size_t, std::size_t);
    void *(*realloc)(void *, std::size_t);
    void *(*memalign)(std::size_t, std::size_t);
    std::size_t (*malloc_usable_size)(void *);
    void (*free)(void *);
};

template <typename Function>
void find(Function *&function, const char *name) noexcept {
    function = reinterpret_cast<Function *>(::dlsym(RTLD_NEXT, name));
}

// The first allocation of a process comes before there are threads.  dlsym(3)
// of what is there allocates nothing.
const Next &next() noexcept {
    static constinit Next functions{};
    if (functions.free == nullptr) {
        find(functions.malloc, "malloc");
        find(functions.calloc, "calloc");
        find(functions.realloc, "realloc");
        find(functions.memalign, "memalign");
        find(functions.malloc_usable_size, "malloc_usable_size");
        find(functions.free, "free"); // last: it says that all are there
    }
    return functions;
}

// Its library is beside this one.  With another C library than GNU's it does
// not load, and all memory stays ordinary.
Heap *find_heap(std::size_t length) noexcept {
    void *const library = ::dlopen(snaprun::heap_library, RTLD_NOW);
    if (library == nullptr)
        return nullptr;
    auto *const entry = reinterpret_cast<snaprun::HeapEntry *>(
        ::dlsym(library, snaprun::heap_entry));
    return entry(length / SNAP_BUFFER_ALIGN * SNAP_BUFFER_ALIGN);
}

__attribute__((constructor)) void enable() noexcept {
    const char *const length = ::secure_getenv(snaprun::heap_variable);
    if (length == nullptr)
        return;
    if (::secure_getenv(snaprun::aligned_variable) != nullptr)
        alignment_limit = SNAP_BUFFER_ALIGN + 1;
    counts = snaprun::shared_counts();
    std::size_t bytes = 0;
    std::from_chars(length, length + std::strlen(length), bytes);
    heap = find_heap(bytes);
}

// Programs that send nothing need no regions.
bool sends() noexcept {
    return &snap_run_mapped != nullptr &&
           snap_run_mapped.load(std::memory_order_relaxed);
}

bool wanted(std::size_t alignment, std::size_t bytes) noexcept {
    return bytes >= large_bytes && alignment < alignment_limit && sends();
}

void *counted(void *piece) noexcept {
    if (counts != nullptr)
        (piece != nullptr ? counts->in_region : counts->elsewhere)
            .fetch_add(1, std::memory_order_relaxed);
    return piece;
}

// A piece of the region, or null.
void *allocate(std::size_t alignment, std::size_t bytes) noexcept {
    if (!wanted(alignment, bytes))
        return nullptr;
    return counted(heap != nullptr ? heap->allocate(alignment, bytes)
                                   : nullptr);
}

void *allocate(std::size_t bytes) noexcept {
    return allocate(alignof(std::max_align_t), bytes);
}

void *allocate_zeroed(std::size_t bytes) noexcept {
    if (!wanted(alignof(std::max_align_t), bytes))
        return nullptr;
    return counted(heap != nullptr ? heap->allocate_zeroed(bytes) : nullptr);
}

// As realloc(3), of a piece of the region.  In a child that has not adopted the
// region, nothing is there that could be copied.
void *resize(void *piece, std::size_t bytes) noexcept {
    const std::size_t room = heap->room(piece);
    if (room == 0) {
        heap->release(piece); // which does not return if it is no piece
        errno = ENOMEM;
        return nullptr;
    }
    if (bytes <= room && bytes > room / 2)
        return piece;
    void *moved = bytes > room ? heap->grow(piece, bytes) : nullptr;
    if (moved != nullptr)
        return moved;
    moved = allocate(bytes);
    if (moved == nullptr)
        moved = next().malloc(bytes);
    if (moved == nullptr)
        return bytes <= room ? piece : nullptr; // to shrink must not fail
    std::memcpy(moved, piece, std::min(bytes, room));
    heap->release(piece);
    return moved;
}

} // namespace

// NOLINTBEGIN(cppcoreguidelines-no-malloc): these are what it is about
#define SNAP_RUN_EXPORT extern "C" __attribute__((visibility("default")))

SNAP_RUN_EXPORT void *malloc(std::size_t bytes) noexcept {
    void *const piece = allocate(bytes);
    return piece != nullptr ? piece : next().malloc(bytes);
}

SNAP_RUN_EXPORT void *calloc(std::size_t count, std::size_t bytes) noexcept {
    std::size_t all = 0;
    void *const piece = __builtin_mul_overflow(count, bytes, &all)
                            ? nullptr
                            : allocate_zeroed(all);
    return piece != nullptr ? piece : next().calloc(count, bytes);
}

SNAP_RUN_EXPORT void free(void *piece) noexcept {
    if (in_region(piece))
        heap->release(piece);
    else
        next().free(piece);
}

SNAP_RUN_EXPORT void *realloc(void *piece, std::size_t bytes) noexcept {
    if (in_region(piece)) {
        if (bytes != 0)
            return resize(piece, bytes);
        heap->release(piece);
        return nullptr;
    }
    void *const moved = allocate(bytes);
    if (moved == nullptr)
        return next().realloc(piece, bytes);
    if (piece != nullptr) {
        std::memcpy(moved, piece,
                    std::min(bytes, next().malloc_usable_size(piece)));
        next().free(piece);
    }
    return moved;
}

SNAP_RUN_EXPORT void *memalign(std::size_t alignment,
                               std::size_t bytes) noexcept {
    void *const piece = allocate(alignment, bytes);
    return piece != nullptr ? piece : next().memalign(alignment, bytes);
}

SNAP_RUN_EXPORT void *aligned_alloc(std::size_t alignment,
                                    std::size_t bytes) noexcept {
    return memalign(alignment, bytes);
}

SNAP_RUN_EXPORT int posix_memalign(void **piece, std::size_t alignment,
                                   std::size_t bytes) noexcept {
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 ||
        alignment == 0)
        return EINVAL;
    const int saved = errno;
    void *const made = memalign(alignment, bytes);
    errno = saved; // it is not for this one
    if (made == nullptr)
        return ENOMEM;
    *piece = made;
    return 0;
}

SNAP_RUN_EXPORT std::size_t malloc_usable_size(void *piece) noexcept {
    return in_region(piece) ? heap->room(piece)
                            : next().malloc_usable_size(piece);
}
// NOLINTEND(cppcoreguidelines-no-malloc)
