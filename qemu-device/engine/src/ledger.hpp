// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What regions and owners have, and what they have been promised.
#pragma once

#include "types.hpp"

#include <vector>

namespace snapmem_impl {

// An account per slot of a region. A frame is *own* to a region if no other
// region and no snapshot refers to it. A store to any other page of the region
// (shared with a snapshot, or without a frame) takes a frame, and so does a
// store to an own page whose frame the guest or the device holds. Those are
// promised:
//
//   promise = npages - own + own_held
//
// Frames remember in which epoch of the account they were made own: a snapshot
// begins a new epoch, and that is all it has to do with them.
//
// Not thread-safe (the engine's mutex).
class Ledger {
  public:
    explicit Ledger(std::uint32_t slots);

    // ---- Accounts of regions

    // The account begins without own frames and ends so. npages at least 1.
    void open(Slot slot, std::uint32_t npages, Owner owner);
    void close(Slot slot);
    // No frame is own any more. O(1). True once in 2^32 times: epochs begin
    // anew, and the marks of this slot must be taken off all frames.
    [[nodiscard]] bool disown_all(Slot slot);

    [[nodiscard]] std::uint32_t epoch(Slot slot) const {
        return accounts_[slot].epoch;
    }
    [[nodiscard]] Owner owner(Slot slot) const { return accounts_[slot].owner; }
    [[nodiscard]] std::uint32_t own(Slot slot) const {
        return accounts_[slot].own;
    }
    // Promises that the region would be given if no frame was own any more.
    [[nodiscard]] std::uint32_t unpromised(Slot slot) const {
        return accounts_[slot].own - accounts_[slot].own_held;
    }
    [[nodiscard]] std::uint32_t promise(Slot slot) const {
        return accounts_[slot].promise();
    }
    // Frames promised to all.
    [[nodiscard]] std::uint32_t promised() const { return promised_; }

    // For the pool: one more or less (`by`: 1 or the modular -1).
    void count_own(Slot slot, bool held, std::uint32_t by);

    // ---- Owners

    // The owner with that number, made if need be. Throws std::bad_alloc; 0
    // when there are too many.
    Owner find_owner(std::uint32_t id);
    [[nodiscard]] std::uint32_t owner_id(Owner o) const {
        return owners_[o].id;
    }
    void count_frame(Owner o, std::uint32_t by) { owners_[o].frames += by; }
    // Frames and promises. O(slots).
    [[nodiscard]] std::uint64_t charged(std::uint32_t id) const;

    // Recount the promises: a message, or nullptr.
    [[nodiscard]] const char *check() const;

  private:
    struct Account {
        std::uint32_t epoch = 1; // 0 is no frame's
        std::uint32_t npages = 0;
        std::uint32_t own = 0;
        std::uint32_t own_held = 0;
        Owner owner = 0;

        [[nodiscard]] std::uint32_t promise() const {
            return npages - own + own_held;
        }
    };
    // Unused without frames and regions.
    struct OwnerEntry {
        std::uint32_t id = 0;
        std::uint32_t frames = 0;
        std::uint32_t regions = 0;
    };

    std::vector<Account> accounts_;
    std::vector<OwnerEntry> owners_;
    std::uint32_t promised_ = 0;
};

} // namespace snapmem_impl
