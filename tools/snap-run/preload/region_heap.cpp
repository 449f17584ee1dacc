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
        snap_heap_create(region_, &heap_) < 0) {
        snap_region_free(region_);
        return false;
    }
    in_region_ = true;
    start_.store(reinterpret_cast<std::uintptr_t>(region_->address),
                 std::memory_order_release);
    return true;
}

void *RegionHeap::allocate(std::size_t alignment, std::size_t bytes) noexcept {
    const int saved = errno;
    void *piece = nullptr;
    const Turn turn(*this);
    if (turn && (heap_ != nullptr || (!tried_ && create())))
        piece = snap_heap_aligned_alloc(heap_, alignment, bytes);
    if (piece != nullptr) {
        const auto place = reinterpret_cast<std::uintptr_t>(piece) -
                           reinterpret_cast<std::uintptr_t>(start());
        used_ = std::max(used_, place + bytes);
    }
    errno = saved;
    return piece;
}

void RegionHeap::release(void *piece) noexcept {
    const Turn turn(*this);
    if (snap_heap_free(heap_, piece) < 0) {
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
    const bool mapped =
        ::mmap(start(), length_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
               fd, 0) == start() &&
        ::madvise(start(), length_, MADV_DONTFORK) == 0 &&
        ::dup3(fd, region_->fd, O_CLOEXEC) >= 0; // in place of the parent's
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
        ::mremap(copy_, length_, length_, MREMAP_MAYMOVE | MREMAP_FIXED,
                 start());
        copy_ = nullptr;
        return;
    }
    if (snapshot_ < 0)
        return; // told before fork(2): a program that only runs another goes on
    bool good =
        ::mmap(start(), length_, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == start();
    for (std::size_t done = 0; good && done < used_;) {
        const ssize_t got =
            ::pread(snapshot_, static_cast<char *>(start()) + done,
                    used_ - done, static_cast<off_t>(done));
        good = got > 0;
        done += good ? static_cast<std::size_t>(got) : 0;
    }
    if (!good) {
        warn("snap-run: a child process cannot have the heap\n");
        ::abort();
    }
}

} // namespace snaprun
