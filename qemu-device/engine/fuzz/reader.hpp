// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The bytes of the fuzzer, read as choices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace snapmem_fuzz {

// Behind the end everything is 0.
class Reader {
  public:
    explicit Reader(std::span<const std::uint8_t> data) : data_(data) {}

    [[nodiscard]] bool empty() const { return data_.empty(); }
    std::uint8_t byte() {
        if (data_.empty()) {
            return 0;
        }
        const std::uint8_t b = data_.front();
        data_ = data_.subspan(1);
        return b;
    }
    // In [0, n); n is at least 1.
    std::uint32_t below(std::uint64_t n) {
        std::uint32_t value = byte();
        for (std::uint64_t most = 256; most < n; most *= 256) {
            value = value << 8 | byte();
        }
        return static_cast<std::uint32_t>(value % n);
    }
    // In [low, high].
    std::uint32_t pick(std::uint32_t low, std::uint32_t high) {
        return low + below(std::uint64_t{high} - low + 1);
    }

  private:
    std::span<const std::uint8_t> data_;
};

} // namespace snapmem_fuzz
