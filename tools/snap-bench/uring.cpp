// SPDX-License-Identifier: LGPL-2.1-or-later
#include "uring.h"

#include "socket.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace snapbench {

namespace {

int set_up(unsigned entries, io_uring_params *params) {
    // Nothing is completed but in completion(): it would interrupt what else
    // the thread waits for.
    params->flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    return checked(
        static_cast<int>(syscall(__NR_io_uring_setup, entries, params)),
        "io_uring_setup");
}

} // namespace

void Uring::Unmap::operator()(std::byte *start) const {
    munmap(start, length);
}

Uring::Mapping Uring::map(std::size_t length, std::uint64_t offset) const {
    void *start =
        mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
             fd_.fd(), static_cast<off_t>(offset));
    if (start == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(),
                                "mmap of io_uring");
    return {static_cast<std::byte *>(start), Unmap{length}};
}

// Both rings are one mapping since Linux 5.4.
Uring::Uring()
    : fd_(set_up(entries, &params_)),
      rings_(map(
          std::max<std::size_t>(
              params_.sq_off.array + params_.sq_entries * sizeof(unsigned),
              params_.cq_off.cqes + params_.cq_entries * sizeof(io_uring_cqe)),
          IORING_OFF_SQ_RING)),
      entries_(
          map(params_.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES)) {}

void Uring::register_buffer(std::span<std::byte> buffer) const {
    const iovec all{buffer.data(), buffer.size()};
    checked(syscall(__NR_io_uring_register, fd_.fd(), IORING_REGISTER_BUFFERS,
                    &all, 1),
            "IORING_REGISTER_BUFFERS");
}

unsigned &Uring::word(unsigned offset) const {
    return *reinterpret_cast<unsigned *>(rings_.get() + offset);
}

unsigned Uring::enter(unsigned submitted, unsigned wanted) const {
    return static_cast<unsigned>(
        checked(syscall(__NR_io_uring_enter, fd_.fd(), submitted, wanted,
                        wanted > 0 ? IORING_ENTER_GETEVENTS : 0, nullptr, 0),
                "io_uring_enter"));
}

io_uring_sqe &Uring::entry() {
    const unsigned at =
        word(params_.sq_off.tail) & word(params_.sq_off.ring_mask);
    auto &made = reinterpret_cast<io_uring_sqe *>(entries_.get())[at];
    made = {};
    reinterpret_cast<unsigned *>(rings_.get() + params_.sq_off.array)[at] = at;
    return made;
}

void Uring::submit() {
    // The kernel reads the entry after the tail.
    std::atomic_ref tail(word(params_.sq_off.tail));
    tail.store(tail.load(std::memory_order_relaxed) + 1,
               std::memory_order_release);
    enter(1, 0);
}

io_uring_cqe Uring::completion() {
    std::atomic_ref head(word(params_.cq_off.head));
    const std::atomic_ref tail(word(params_.cq_off.tail));
    const unsigned at = head.load(std::memory_order_relaxed);
    while (tail.load(std::memory_order_acquire) == at)
        enter(0, 1);
    const auto found = reinterpret_cast<const io_uring_cqe *>(
        rings_.get() +
        params_.cq_off.cqes)[at & word(params_.cq_off.ring_mask)];
    // It may be overwritten once the head is past it.
    head.store(at + 1, std::memory_order_release);
    return found;
}

} // namespace snapbench
