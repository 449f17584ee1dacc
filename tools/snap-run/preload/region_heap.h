// SPDX-License-Identifier: LGPL-2.1-or-later
// The region of this process, and a heap in it.
#ifndef SNAP_RUN_REGION_HEAP_H
#define SNAP_RUN_REGION_HEAP_H

#include "heap.h"
#include "ordinary.h"

#include <mutex>
#include <snap/libsnap.h>

namespace snaprun {

// There is one, for the whole life of the process: its members need no
// constructor and it has no destructor, because programs allocate before and
// after those run.
//
// A region is shared memory, and a child process wants a copy.  So the parent
// takes a snapshot before fork(2), and the child maps a clone of it at the same
// address.  If the device refuses either, the child gets a copy in ordinary
// memory.  Mapped MADV_DONTFORK, a child that is made behind the back of the C
// library (clone(2) without CLONE_VM) has no memory there, rather than its
// parent's.  A stack in the region becomes ordinary memory: the child runs on
// it before there is a clone, and threads that end wait for it in the kernel.
//
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): never destroyed
class RegionHeap final : public Heap {
  public:
    // Before any other call: makes a region of that length with the first
    // allocation.
    void set_length(std::size_t bytes) noexcept { length_ = bytes; }

    void *allocate(std::size_t alignment, std::size_t bytes) noexcept override;
    void *allocate_zeroed(std::size_t bytes) noexcept override;
    void *grow(void *piece, std::size_t bytes) noexcept override;
    void release(void *piece) noexcept override;
    std::size_t room(const void *piece) noexcept override;
    void make_ordinary(const void *memory) noexcept override;

    // Around fork(2), for pthread_atfork(3).  They allocate nothing: other
    // allocators may be locked.
    void before_fork() noexcept;
    void after_fork_in_parent() noexcept;
    void after_fork_in_child() noexcept;

  private:
    // Takes the lock; false in a thread that has it: then the heap itself
    // allocates, or a handler of another library does, during fork(2).  Only
    // the latter gives pieces back; those of a child that has not adopted the
    // region are lost to it.
    class Turn;

    bool create() noexcept;
    char *start() const noexcept {
        return static_cast<char *>(region_->address);
    }
    std::size_t place(const void *memory) const noexcept {
        return static_cast<std::size_t>(static_cast<const char *>(memory) -
                                        start());
    }
    // What follows is for who has the lock.
    void *take(std::size_t alignment, std::size_t bytes) noexcept;
    void clear(char *from, std::size_t bytes) noexcept;
    void put_ordinary_around(const void *memory) noexcept;
    bool put_back(void *piece) noexcept;
    bool map_pages(int fd, std::size_t offset, std::size_t bytes) noexcept;
    bool has_descriptor() const noexcept;
    bool adopt_clone() noexcept;
    void adopt_copy() noexcept;

    std::mutex lock_;    // guards what follows
    bool tried_ = false; // to make the region: once is enough
    snap_region *region_ = nullptr;
    snap_heap *heap_ = nullptr;
    std::size_t used_ = 0;   // bytes up to which pieces ever were: zeros behind
    OrdinaryPages ordinary_; // of what is in_region_
    std::int64_t handle_ = -1; // the device's name of the region
    bool in_region_ = false;   // the memory is that of region_->fd
    int snapshot_ = -1;        // during fork(2); or else:
    void *copy_ = nullptr;
};

} // namespace snaprun

#endif
