// SPDX-License-Identifier: LGPL-2.1-or-later
// What the sockets of a run have sent and received, in memory that its
// processes share.
#ifndef SNAP_RUN_LEDGER_H
#define SNAP_RUN_LEDGER_H

#include <array>
#include <cstdint>
#include <pthread.h>
#include <snap.h>

namespace snaprun {

// A socket is told of each time that somebody closes it, with what it has
// counted until then.  Processes share sockets: the ledger adds what is new
// since the last time.  It remembers so many sockets, the last that were told;
// one that was forgotten is taken for a new one.
struct Ledger {
    static constexpr std::size_t remembered = 1024;

    pthread_mutex_t lock; // survives its holder; guards what follows
    snap_sock_stats total;
    std::size_t next; // entry that is forgotten next
    std::array<std::uint64_t, remembered> cookies;
    std::array<snap_sock_stats, remembered> told;

    void create() noexcept; // by snap-run; the memory is zero
    void tell(std::uint64_t cookie, const snap_sock_stats &stats) noexcept;
    snap_sock_stats read() noexcept;

  private:
    void acquire() noexcept;
    std::size_t entry(std::uint64_t cookie) noexcept;
};

} // namespace snaprun

#endif
