// SPDX-License-Identifier: LGPL-2.1-or-later
// Also part of the library in every process of a run: the C library only.
#include "ledger.h"

#include <cerrno>

namespace snaprun {

namespace {

// Every counter grows; `size` and `reserved` are none.
template <typename Each>
void for_counters(Each each) noexcept {
    each(&snap_sock_stats::tx_ref_msgs);
    each(&snap_sock_stats::tx_ref_bytes);
    each(&snap_sock_stats::tx_copied_msgs);
    each(&snap_sock_stats::tx_copied_bytes);
    each(&snap_sock_stats::rx_msgs);
    each(&snap_sock_stats::rx_copied_bytes);
    each(&snap_sock_stats::rx_viewed_msgs);
    each(&snap_sock_stats::rx_viewed_bytes);
}

void add(snap_sock_stats &to, const snap_sock_stats &now,
         const snap_sock_stats &before) noexcept {
    for_counters(
        [&](auto counter) { to.*counter += now.*counter - before.*counter; });
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++) {
        to.copied_msgs[i] += now.copied_msgs[i] - before.copied_msgs[i];
        to.copied_bytes[i] += now.copied_bytes[i] - before.copied_bytes[i];
    }
}

} // namespace

void Ledger::create() noexcept {
    pthread_mutexattr_t kind;
    ::pthread_mutexattr_init(&kind);
    ::pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    ::pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    ::pthread_mutex_init(&lock, &kind);
    ::pthread_mutexattr_destroy(&kind);
}

// One that was killed here has left the counters of one socket half told.
void Ledger::acquire() noexcept {
    if (::pthread_mutex_lock(&lock) == EOWNERDEAD)
        ::pthread_mutex_consistent(&lock);
}

// Cookies are not zero.
std::size_t Ledger::entry(std::uint64_t cookie) noexcept {
    for (std::size_t i = 0; i < remembered; i++)
        if (cookies[i] == cookie)
            return i;
    const std::size_t oldest = next;
    next = (next + 1) % remembered;
    cookies[oldest] = cookie;
    told[oldest] = {};
    return oldest;
}

void Ledger::tell(std::uint64_t cookie, const snap_sock_stats &stats) noexcept {
    acquire();
    snap_sock_stats &before = told[entry(cookie)];
    // two who tell the same socket may come in the other order
    if (stats.tx_ref_msgs + stats.tx_copied_msgs + stats.rx_msgs >=
        before.tx_ref_msgs + before.tx_copied_msgs + before.rx_msgs) {
        add(total, stats, before);
        before = stats;
    }
    ::pthread_mutex_unlock(&lock);
}

snap_sock_stats Ledger::read() noexcept {
    acquire();
    const snap_sock_stats all = total;
    ::pthread_mutex_unlock(&lock);
    return all;
}

} // namespace snaprun
