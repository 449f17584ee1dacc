// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded: what a socket has sent is told when it is closed, and that of
// those which are open at its end by the process that ends.
#include "next.h"
#include "own_counts.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

SNAP_RUN_NEXT(close, int(int))

namespace {

using snaprun::own_counts;

bool read_stats(int fd, snap_sock_stats &stats) noexcept {
    socklen_t length = sizeof(stats);
    return ::getsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, &stats, &length) == 0 &&
           stats.tx_ref_msgs + stats.tx_copied_msgs + stats.rx_msgs != 0;
}

// Keeps errno.  A signal handler may close sockets, too, hence none is run
// while the ledger is locked.
void tell(int fd) noexcept {
    if (own_counts == nullptr)
        return;
    const int saved = errno;
    snap_sock_stats stats{};
    std::uint64_t cookie = 0;
    socklen_t length = sizeof(cookie);
    if (read_stats(fd, stats) &&
        ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0) {
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        own_counts->ledger.tell(cookie, stats);
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    errno = saved;
}

// Allocates nothing: a child process that ends may have no right to.
void tell_open_sockets() noexcept {
    if (own_counts == nullptr)
        return;
    const int folder = ::open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    if (folder < 0)
        return;
    alignas(dirent64) std::array<char, 4096> entries;
    ssize_t length = 0;
    while ((length = ::getdents64(folder, entries.data(), entries.size())) >
           0) {
        for (ssize_t at = 0; at < length;) {
            const auto *const entry =
                reinterpret_cast<const dirent64 *>(entries.data() + at);
            const std::string_view name(entry->d_name);
            int fd = -1;
            std::from_chars(name.data(), name.data() + name.size(), fd);
            if (fd >= 0)
                tell(fd);
            at += entry->d_reclen;
        }
    }
    next_close.get()(folder);
}

__attribute__((destructor)) void tell_at_exit() noexcept {
    tell_open_sockets();
}

[[noreturn]] void end(int status) noexcept {
    tell_open_sockets();
    for (;;)
        ::syscall(SYS_exit_group, status);
}

} // namespace

#define SNAP_RUN_EXPORT extern "C" __attribute__((visibility("default")))

SNAP_RUN_EXPORT int close(int fd) {
    tell(fd);
    return next_close.get()(fd);
}

SNAP_RUN_EXPORT void _exit(int status) {
    end(status);
}

SNAP_RUN_EXPORT void _Exit(int status) noexcept {
    end(status);
}
