// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A level that changes, and a word that tells it.
#pragma once

#include <atomic>
#include <cstdint>

namespace snapmem_impl {

// Whoever changes the level calls this afterwards, at any time and at the same
// time as others: the last one leaves what is true. Of two exchanges the later
// one sees what was changed before the other.
template <typename Read>
void publish_level(std::atomic_ref<std::uint32_t> word, Read read) {
    std::uint32_t level = read();
    for (;;) {
        word.exchange(level, std::memory_order_acq_rel);
        const std::uint32_t now = read();
        if (now == level) {
            return;
        }
        level = now;
    }
}

} // namespace snapmem_impl
