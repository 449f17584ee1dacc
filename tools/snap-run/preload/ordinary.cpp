// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ordinary.h"

#include <csignal>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace snaprun {

namespace {

constexpr std::size_t page_bytes = 4096;

void *map(std::size_t length) noexcept {
    void *const memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

// Between the copy and mremap(2), nothing may be stored: a call would leave
// where it returns to in the old memory.
bool copy_and_move(void *start, void *copy, std::size_t length) noexcept {
    register void *place __asm__("r8") = start;
    register long flags __asm__("r10") = MREMAP_MAYMOVE | MREMAP_FIXED;
    void *to = copy;
    const void *from = start;
    std::size_t count = length;
    long result = SYS_mremap;
    __asm__ volatile("rep movsb\n\t"
                     "mov %[copy], %%rdi\n\t"
                     "mov %[length], %%rsi\n\t"
                     "syscall"
                     : "+&a"(result), "+&D"(to), "+&S"(from), "+&c"(count)
                     : [copy] "r"(copy), [length] "d"(length), "r"(place),
                       "r"(flags)
                     : "r11", "cc", "memory");
    return result == reinterpret_cast<long>(start);
}

} // namespace

bool OrdinaryPages::create(std::size_t length) noexcept {
    const std::size_t words = (length / page_bytes + 63) / 64;
    bits_ = static_cast<std::uint64_t *>(map(words * sizeof(*bits_)));
    return bits_ != nullptr;
}

void OrdinaryPages::set(std::size_t offset, std::size_t length,
                        bool ordinary) noexcept {
    for (std::size_t page = offset / page_bytes;
         page < (offset + length) / page_bytes; page++)
        if (has(page) != ordinary) {
            bits_[page / 64] ^= std::uint64_t{1} << page % 64;
            ordinary ? count_++ : count_--;
        }
}

bool OrdinaryPages::any(std::size_t offset, std::size_t length) const noexcept {
    return count_ != 0 &&
           skip(offset, offset + length, false) != offset + length;
}

// To the first page that is not so.
std::size_t OrdinaryPages::skip(std::size_t at, std::size_t length,
                                bool ordinary) const noexcept {
    if (count_ == 0)
        return ordinary ? at : length;
    while (at < length && has(at / page_bytes) == ordinary)
        at += page_bytes;
    return at;
}

// A signal's handler would use the stack as well.
bool put_ordinary(void *start, std::size_t length) noexcept {
    void *const copy = map(length);
    if (copy == nullptr)
        return false;
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool done = copy_and_move(start, copy, length);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!done)
        ::munmap(copy, length);
    return done;
}

} // namespace snaprun
