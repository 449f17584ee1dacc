// SPDX-License-Identifier: LGPL-2.1-or-later
// Pages of the heap that are ordinary memory: stacks, which the kernel must be
// able to pin, and which a child of fork(2) runs on before anything else.
#ifndef SNAP_RUN_ORDINARY_H
#define SNAP_RUN_ORDINARY_H

#include <cstddef>
#include <cstdint>

namespace snaprun {

// Which pages of a range are.  Copied by fork(2); allocates by mmap(2) only.
class OrdinaryPages {
  public:
    // False: no memory.
    bool create(std::size_t length) noexcept;

    void set(std::size_t offset, std::size_t length, bool ordinary) noexcept;
    bool any(std::size_t offset, std::size_t length) const noexcept;

    // use(offset, length) for each run of pages that are not ordinary; ends
    // when one returns false, and returns that.
    template <typename Use>
    bool for_others(std::size_t length, Use use) const noexcept {
        for (std::size_t at = 0; at < length;) {
            const std::size_t start = skip(at, length, true);
            at = skip(start, length, false);
            if (at > start && !use(start, at - start))
                return false;
        }
        return true;
    }

  private:
    bool has(std::size_t page) const noexcept {
        return (bits_[page / 64] >> page % 64 & 1) != 0;
    }
    std::size_t skip(std::size_t at, std::size_t length,
                     bool ordinary) const noexcept;

    std::uint64_t *bits_ = nullptr;
    std::size_t count_ = 0; // pages that are
};

// Puts ordinary memory with the same bytes where whole pages of shared memory
// are.  They may have the stack that this runs on; no other thread may use
// them meanwhile.  False: no memory, and nothing has changed.
bool put_ordinary(void *start, std::size_t length) noexcept;

} // namespace snaprun

#endif
