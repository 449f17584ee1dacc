// SPDX-License-Identifier: LGPL-2.1-or-later
#include "owner.h"

#include <pthread.h>

namespace snap::detail {

namespace {

std::atomic<unsigned int> forks;

// Before all other constructors: a later handler may move objects here.
__attribute__((constructor(101))) void count_forks() noexcept {
    ::pthread_atfork(nullptr, nullptr,
                     [] { forks.fetch_add(1, std::memory_order_relaxed); });
}

} // namespace

unsigned int Owner::current() noexcept {
    return forks.load(std::memory_order_relaxed);
}

} // namespace snap::detail
