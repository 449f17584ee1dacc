// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Versions by their bytes, to find the ones that exist already.
#pragma once

#include "types.hpp"

#include <cstring>
#include <vector>

namespace snapmem_impl {

// A hint only: a slot per frame of the pool, overwritten by whoever comes
// later. What it finds may have other bytes by now, or be nobody's.
class DedupCache {
  public:
    // 0 slots: finds nothing.
    explicit DedupCache(std::uint32_t slots) : slots_(slots, no_version) {}

    [[nodiscard]] bool enabled() const { return !slots_.empty(); }

    // The slot for that page of bytes: no_version, or one to look at.
    [[nodiscard]] Version &slot(const std::uint8_t *bytes) {
        return slots_[hash(bytes) % slots_.size()];
    }

  private:
    static std::uint64_t hash(const std::uint8_t *bytes) {
        std::uint64_t h = 0x9e3779b97f4a7c15U;
        for (std::size_t i = 0; i < page_bytes; i += sizeof(h)) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + i, sizeof(word));
            h = (h ^ word) * 0xff51afd7ed558ccdU;
            h ^= h >> 32;
        }
        return h;
    }

    std::vector<Version> slots_;
};

} // namespace snapmem_impl
