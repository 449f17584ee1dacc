// SPDX-License-Identifier: LGPL-2.1-or-later
#include "region_heap.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace snaprun {

namespace {

thread_local bool busy __attribute__((tls_model("initial-exec"))) = false;

// The region behind a descriptor; -1 if there is none.
std::int64_t handle_of(int fd) noexcept {
    snap_object_info info{};
    info.size = sizeof(info);
    return ::ioctl(fd, SNAP_IOC_OBJECT_INFO, &info) == 0 &&
                   info.kind == SNAP_OBJECT_REGION
               ? std::int64_t{info.handle}
               : -1;
}

// From so many bytes on, to have them cleared by the device costs less.
constexpr std::size_t discard_bytes = 256 << 10;

// Ordinary memory with what a snapshot has there; nothing is behind used.
bool read_pages(int snapshot, char *start, std::size_t offset,
                std::size_t bytes, std::size_t used) noexcept {
    if (::mmap(start + offset, bytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
               0) != start + offset)
        return false;
    const std::size_t end = std::min(offset + bytes, used);
    for (std::size_t at = offset; at < end;) {
        const ssize_t got =
            ::pread(snapshot, start + at, end - at, static_cast<off_t>(at));
        if (got <= 0)
            return false;
        at += static_cast<std::size_t>(got);
    }
    return true;
}

void warn(const char *text) noexcept {
    if (::write(STDERR_FILENO, text, std::strlen(text)) < 0)
        return; // there is nobody else to tell
}

} // namespace

class RegionHeap::Turn {
  public:
    explicit Turn(RegionHeap &heap) noexcept : heap_(heap), mine_(!busy) {
        if (mine_) {
            busy = true;
            heap_.lock_.lock();
        }
    }
    Turn(const Turn &) = delete;
    Turn &operator=(const Turn &) = delete;
    ~Turn() {
        if (mine_) {
            heap_.lock_.unlock();
            busy = false;
        }
    }
    explicit operator bool() const noexcept { return mine_; }

  private:
    RegionHeap &heap_;
    const bool mine_;
};

// SPARSE: a program that never uses it all is not kept waiting.
bool RegionHeap::create() noexcept {
    snap_handle *device = nullptr;
    tried_ = true;
    if (snap_open(&device) < 0)
        return false;
    const int error = snap_region_create_flags(
        device, length_, SNAP_HINT_NONE, SNAP_REGION_ARGS_SPARSE, &region_);
    snap_close(device);
    if (error < 0)
        return false;
    handle_ = handle_of(region_->fd);
    if (::madvise(region_->address, length_, MADV_DONTFORK) < 0 ||
        !ordinary_.create(length_) || snap_heap_create(region_, &heap_) < 0) {
        snap_region_free(region_);
        return false;
    }
    in_region_ = true;
    start_.store(reinterpret_cast<std::uintptr_t>(region_->address),
                 std::memory_order_release);
    return true;
}

// The program may use all the room that its piece has.
void *RegionHeap::take(std::size_t alignment, std::size_t bytes) noexcept {
    void *piece = nullptr;
    if (heap_ != nullptr || (!tried_ && create()))
        piece = snap_heap_aligned_alloc(heap_, alignment, bytes);
    if (piece != nullptr)
        used_ = std::max(used_, place(piece) + snap_heap_room(heap_, piece));
    return piece;
}

void *RegionHeap::allocate(std::size_t alignment, std::size_t bytes) noexcept {
    const int saved = errno;
    const Turn turn(*this);
    void *const piece = turn ? take(alignment, bytes) : nullptr;
    errno = saved;
    return piece;
}

// Pages that the device makes zeros have no frame until they are used.
void RegionHeap::clear(char *from, std::size_t bytes) noexcept {
    const std::size_t whole = bytes / SNAP_BUFFER_ALIGN * SNAP_BUFFER_ALIGN;
    if (whole < discard_bytes || !in_region_ || !has_descriptor() ||
        snap_region_discard(region_, place(from), whole) < 0)
        std::memset(from, 0, bytes);
    else
        std::memset(from + whole, 0, bytes - whole);
}

void *RegionHeap::allocate_zeroed(std::size_t bytes) noexcept {
    const int saved = errno;
    const Turn turn(*this);
    const std::size_t used = used_;
    auto *const piece = static_cast<char *>(
        turn ? take(alignof(std::max_align_t), bytes) : nullptr);
    if (piece != nullptr && place(piece) < used)
        clear(piece, std::min(bytes, used - place(piece)));
    errno = saved;
    return piece;
}

void *RegionHeap::grow(void *piece, std::size_t bytes) noexcept {
    const int saved = errno;
    const Turn turn(*this);
    void *grown = nullptr;
    if (turn && !ordinary_.any(place(piece), snap_heap_room(heap_, piece)))
        grown = snap_heap_realloc(heap_, piece, bytes);
    if (grown != nullptr)
        used_ = std::max(used_, place(grown) + snap_heap_room(heap_, grown));
    errno = saved;
    return grown;
}

void RegionHeap::make_ordinary(const void *memory) noexcept {
    const int saved = errno;
    const Turn turn(*this);
    if (turn && in_region_)
        put_ordinary_around(memory);
    errno = saved;
}

// Pieces of the size that comes here have whole pages.
void RegionHeap::put_ordinary_around(const void *memory) noexcept {
    for (std::size_t at = place(memory) / SNAP_BUFFER_ALIGN + 1; at-- > 0;) {
        char *const piece = start() + at * SNAP_BUFFER_ALIGN;
        const std::size_t room = snap_heap_room(heap_, piece);
        if (room == 0)
            continue;
        if (place(memory) - place(piece) < room &&
            !ordinary_.any(place(piece), room) && put_ordinary(piece, room))
            ordinary_.set(place(piece), room, true);
        return;
    }
}

bool RegionHeap::map_pages(int fd, std::size_t offset,
                           std::size_t bytes) noexcept {
    char *const at = start() + offset;
    return ::mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                  static_cast<off_t>(offset)) == at &&
           ::madvise(at, bytes, MADV_DONTFORK) == 0;
}

// False: it is lost, since the program has closed the region's descriptor.
bool RegionHeap::put_back(void *piece) noexcept {
    const std::size_t room = snap_heap_room(heap_, piece);
    if (!in_region_ || !ordinary_.any(place(piece), room))
        return true;
    if (!has_descriptor() || !map_pages(region_->fd, place(piece), room))
        return false;
    ordinary_.set(place(piece), room, false);
    return true;
}

void RegionHeap::release(void *piece) noexcept {
    const int saved = errno;
    const Turn turn(*this);
    if (!put_back(piece))
        return;
    errno = saved;
    const int error = snap_heap_free(heap_, piece);
    // The parent's, in a child that has not adopted it: not ours to give back.
    if (error < 0 && error != -EPERM) {
        warn("snap-run: free(): not the start of an allocation\n");
        ::abort();
    }
}

std::size_t RegionHeap::room(const void *piece) noexcept {
    const Turn turn(*this);
    return snap_heap_room(heap_, piece);
}

// The program may have closed it, and opened something else by that number.
bool RegionHeap::has_descriptor() const noexcept {
    return handle_ >= 0 && handle_of(region_->fd) == handle_;
}

void RegionHeap::before_fork() noexcept {
    lock_.lock();
    busy = true;
    if (!in_region_)
        return;
    // The child is on this stack before it has a clone.
    if (const void *const stack = __builtin_frame_address(0); owns(stack))
        put_ordinary_around(stack);
    if (has_descriptor()) {
        snap_snapshot_args args{};
        args.size = sizeof(args);
        snapshot_ = ::ioctl(region_->fd, SNAP_IOC_SNAPSHOT, &args);
    }
    if (snapshot_ >= 0)
        return;
    copy_ = ::mmap(nullptr, length_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy_ == MAP_FAILED) {
        copy_ = nullptr;
        warn("snap-run: no memory for a child's copy of the heap\n");
    } else {
        std::memcpy(copy_, start(), used_);
    }
}

void RegionHeap::after_fork_in_parent() noexcept {
    if (snapshot_ >= 0)
        ::close(std::exchange(snapshot_, -1));
    if (copy_ != nullptr)
        ::munmap(std::exchange(copy_, nullptr), length_);
    busy = false;
    lock_.unlock();
}

void RegionHeap::after_fork_in_child() noexcept {
    if (in_region_ && !adopt_clone())
        adopt_copy();
    if (heap_ != nullptr)
        snap_region_adopt(region_);
    if (snapshot_ >= 0)
        ::close(std::exchange(snapshot_, -1));
    busy = false;
    lock_.unlock();
}

// Where the parent's region was, a region of our own with the same bytes.
bool RegionHeap::adopt_clone() noexcept {
    snap_region_args args{};
    args.size = sizeof(args);
    const int fd =
        snapshot_ < 0 ? -1 : ::ioctl(snapshot_, SNAP_IOC_CLONE, &args);
    if (fd < 0)
        return false;
    const bool mapped = ordinary_.for_others(length_, [&](std::size_t offset,
                                                          std::size_t bytes) {
        return map_pages(fd, offset, bytes);
    }) && ::dup3(fd, region_->fd, O_CLOEXEC) >= 0; // in place of the parent's
    handle_ = handle_of(fd);
    ::close(fd);
    return mapped;
}

// The same in ordinary memory: what is sent from there is copied.
void RegionHeap::adopt_copy() noexcept {
    if (has_descriptor())
        ::close(region_->fd); // the parent's, which it would keep alive
    in_region_ = false;
    handle_ = -1;
    if (copy_ != nullptr) {
        char *const copy = static_cast<char *>(std::exchange(copy_, nullptr));
        ordinary_.for_others(
            length_, [&](std::size_t offset, std::size_t bytes) {
                return ::mremap(copy + offset, bytes, bytes,
                                MREMAP_MAYMOVE | MREMAP_FIXED,
                                start() + offset) == start() + offset;
            });
        return;
    }
    if (snapshot_ < 0)
        return; // told before fork(2): a program that only runs another goes on
    if (!ordinary_.for_others(
            length_, [&](std::size_t offset, std::size_t bytes) {
                return read_pages(snapshot_, start(), offset, bytes, used_);
            })) {
        warn("snap-run: a child process cannot have the heap\n");
        ::abort();
    }
}

} // namespace snaprun
