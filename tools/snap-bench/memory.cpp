// SPDX-License-Identifier: LGPL-2.1-or-later
#include "memory.h"

#include "socket.h"

#include <cstdint>
#include <cstring>
#include <sys/mman.h>

namespace snapbench {

namespace {

constexpr std::size_t page = SNAP_FRAME_SIZE;
constexpr std::size_t cache_line = 64;

std::size_t whole_pages(std::size_t bytes) {
    return (bytes + page - 1) / page * page;
}

std::byte *map(std::size_t length) {
    void *start = mmap(nullptr, length, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (start == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "mmap");
    return static_cast<std::byte *>(start);
}

} // namespace

void Pages::Unmap::operator()(std::byte *start) const {
    munmap(start, length);
}

Pages::Pages(std::size_t bytes)
    : length_(whole_pages(bytes)), start_(map(length_), Unmap{length_}) {}

std::span<std::byte> Buffers::allocate(Family family, std::size_t bytes) {
    if (family == Family::snap)
        return regions_.emplace_back(snap::Device(), bytes).bytes();
    return plain_.emplace(bytes).bytes();
}

Buffers::Buffers(const Side &side, std::size_t bytes)
    : rewritten_(side.memory != Memory::unchanged) {
    const std::size_t stride = whole_pages(bytes);
    const std::size_t count = side.regions > 0              ? side.regions
                              : side.memory == Memory::ring ? ring_buffers
                                                            : 1;
    if (side.regions > 0 && side.family == Family::snap) {
        for (std::size_t i = 0; i < count; ++i)
            buffers_.push_back(allocate(side.family, stride).first(bytes));
    } else {
        all_ = allocate(side.family, stride * count);
        for (std::size_t i = 0; i < count; ++i)
            buffers_.push_back(all_.subspan(i * stride, bytes));
    }
    for (const auto buffer : buffers_)
        rewrite(buffer);
}

std::span<std::byte> Buffers::next() {
    const auto buffer = buffers_[at_];
    at_ = (at_ + 1) % buffers_.size();
    return buffer;
}

void rewrite(std::span<std::byte> buffer) {
    thread_local unsigned char value = 0; // small ones: tests look for others
    value = value % 100 + 1;
    std::memset(buffer.data(), value, buffer.size());
}

void look_at(std::span<const std::byte> data) {
    std::uint64_t sum = 0;
    std::uint64_t word = 0;
    for (std::size_t at = 0; at + sizeof(word) <= data.size();
         at += cache_line) {
        std::memcpy(&word, data.data() + at, sizeof(word));
        sum += word;
    }
    // Somebody wants it: else the loads are left out.
    asm volatile("" : : "r"(sum));
}

} // namespace snapbench
