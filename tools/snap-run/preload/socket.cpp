// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded: socket(2) of TCP and UDP makes AF_SNAP sockets.  Addresses and
// options need no translation: an AF_SNAP socket is the kernel's own TCP or
// UDP socket, and says so (SO_DOMAIN, getsockname).  This is in every process
// of a run, so it uses the C library only.
#include "family.h"
#include "mapped.h"
#include "next.h"
#include "own_counts.h"
#include "sandbox.h"
#include "shared_counts.h"

#include <cerrno>

__attribute__((visibility("default"))) std::atomic<bool> snap_run_mapped =
    false;

namespace snaprun {

Counts *own_counts = nullptr;

}

SNAP_RUN_NEXT(socket, int(int, int, int))

namespace {

using snaprun::own_counts;

__attribute__((constructor)) void find_counts() noexcept {
    own_counts = snaprun::shared_counts();
}

void count_mapped() noexcept {
    snap_run_mapped.store(true, std::memory_order_relaxed);
    if (own_counts != nullptr)
        own_counts->mapped.fetch_add(1, std::memory_order_relaxed);
}

void count_fallback(int error) noexcept {
    if (own_counts == nullptr)
        return;
    own_counts->fell_back.fetch_add(1, std::memory_order_relaxed);
    own_counts->error.store(error, std::memory_order_relaxed);
}

} // namespace

extern "C" __attribute__((visibility("default"))) int
socket(int family, int type, int protocol) noexcept {
    auto *const next = next_socket.get();
    const auto snap = snaprun::snap_protocol(family, type, protocol);
    if (!snap)
        return next(family, type, protocol);

    if (snaprun::sandboxed.load() != 0) {
        const int fd = next(family, type, protocol);
        if (fd >= 0)
            count_fallback(EPERM);
        return fd;
    }
    const int before = errno;
    int fd = next(AF_SNAP, type, *snap);
    if (fd >= 0) {
        count_mapped();
        return fd;
    }
    const int error = errno;
    errno = before;
    fd = next(family, type, protocol);
    // What fails both ways, for want of descriptors say, is no fallback.
    if (fd >= 0)
        count_fallback(error);
    return fd;
}
