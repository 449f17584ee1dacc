// SPDX-License-Identifier: LGPL-2.1-or-later
#include "xdp.h"

#include "socket.h"
#include "workload.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <net/if.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <thread>

namespace snapbench {

namespace {

snap::Socket open_xdp() {
    const int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EAFNOSUPPORT)
        throw Unavailable("the kernel has no AF_XDP");
    return snap::Socket(checked(fd, "socket(AF_XDP)"));
}

// A socket of before leaves the queue a while after it was closed.
void bind_queue(int fd, const sockaddr_xdp &address) {
    int error = EBUSY;
    for (int tries = 0; error == EBUSY && tries < patience_seconds * 100;
         ++tries) {
        if (tries > 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        if (bind(fd, reinterpret_cast<const sockaddr *>(&address),
                 sizeof(address)) == 0)
            return;
        error = errno;
    }
    if (error == EOPNOTSUPP)
        throw Unavailable("the interface has no AF_XDP");
    throw std::system_error(error, std::generic_category(), "bind(AF_XDP)");
}

std::uint32_t load(std::uint32_t *index) {
    return std::atomic_ref(*index).load(std::memory_order_acquire);
}

void store(std::uint32_t *index, std::uint32_t value) {
    std::atomic_ref(*index).store(value, std::memory_order_release);
}

} // namespace

void XdpRing::Unmap::operator()(std::byte *start) const {
    munmap(start, length);
}

XdpRing Xdp::map(const xdp_ring_offset &at, std::size_t entry_bytes,
                 std::uint64_t offset) const {
    const std::size_t length = at.desc + frames * entry_bytes;
    void *start =
        mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
             fd_.fd(), static_cast<off_t>(offset));
    if (start == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(),
                                "mmap of AF_XDP");
    auto *bytes = static_cast<std::byte *>(start);
    return {{bytes, XdpRing::Unmap{length}},
            reinterpret_cast<std::uint32_t *>(bytes + at.producer),
            reinterpret_cast<std::uint32_t *>(bytes + at.consumer),
            bytes + at.desc};
}

Xdp::Xdp(std::string_view nic)
    : fd_(open_xdp()), memory_(frames * frame_bytes) {
    xdp_umem_reg memory{};
    memory.addr = reinterpret_cast<std::uintptr_t>(memory_.bytes().data());
    memory.len = memory_.bytes().size();
    memory.chunk_size = frame_bytes;
    checked(
        setsockopt(fd_.fd(), SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)),
        "XDP_UMEM_REG");
    // The one for receiving has to be there.
    for (const int ring :
         {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_TX_RING})
        set_option(fd_.fd(), SOL_XDP, ring, frames, "a ring of AF_XDP");
    xdp_mmap_offsets offsets{};
    socklen_t length = sizeof(offsets);
    checked(getsockopt(fd_.fd(), SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length),
            "XDP_MMAP_OFFSETS");
    sent_ = map(offsets.tx, sizeof(xdp_desc), XDP_PGOFF_TX_RING);
    completed_ =
        map(offsets.cr, sizeof(std::uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING);
    sockaddr_xdp address{};
    address.sxdp_family = AF_XDP;
    address.sxdp_ifindex = if_nametoindex(std::string(nic).c_str());
    bind_queue(fd_.fd(), address);
}

void Xdp::queue(unsigned number, std::size_t length) {
    // There are as many entries as frames: there is room.
    const std::uint32_t at = *sent_.producer;
    auto *entries = reinterpret_cast<xdp_desc *>(sent_.entries);
    entries[at % frames] = {number * frame_bytes,
                            static_cast<std::uint32_t>(length), 0};
    store(sent_.producer, at + 1);
}

void Xdp::send() {
    while (load(sent_.consumer) != *sent_.producer)
        if (sendto(fd_.fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 &&
            errno != EAGAIN && errno != EBUSY && errno != ENOBUFS &&
            errno != EINTR)
            throw std::system_error(errno, std::generic_category(),
                                    "sendto(AF_XDP)");
}

std::optional<unsigned> Xdp::done() {
    const std::uint32_t at = *completed_.consumer;
    if (at == load(completed_.producer))
        return std::nullopt;
    const auto *entries =
        reinterpret_cast<const std::uint64_t *>(completed_.entries);
    const std::uint64_t address = entries[at % frames];
    store(completed_.consumer, at + 1);
    return static_cast<unsigned>(address / frame_bytes);
}

} // namespace snapbench
