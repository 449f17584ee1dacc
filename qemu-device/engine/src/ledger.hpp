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
// A store may also need mappings of the host, for fewer pages: where nobody but
// maps has the frame, the page goes on showing it. Those are counted here, and
// the budget is elsewhere.
//
// Nodes of page maps count for owners as well. What a region needs for a tree
// of its own is in the price of its pages, so nodes that are known to be its
// alone cost nothing. A snapshot makes all of them shared: they are charged
// then, a frame for every nodes_per_frame, and stores, which copy them, change
// no charge. The frames for the shared nodes of all owners stay free, as if
// they were promised: so who sees what is free sees the nodes, too, and there
// are no more of them than the pool has frames for.
//
// Not thread-safe (the engine's lock).
class Ledger {
  public:
    explicit Ledger(std::uint32_t slots);

    // ---- Accounts of regions

    static constexpr std::uint32_t nodes_per_frame = 4;

    // The account begins without own frames and nodes and ends so. npages at
    // least 1.
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
    // Frames set aside for the shared nodes of all, were there so many more.
    [[nodiscard]] std::uint32_t node_frames(std::uint32_t more = 0) const {
        return (shared_nodes_ + more) / nodes_per_frame;
    }
    // Free frames that nobody may take but stores.
    [[nodiscard]] std::uint32_t kept() const {
        return promised_ + node_frames();
    }

    // For the pool: one more or less (`by`: 1 or the modular -1).
    void count_own(Slot slot, bool held, std::uint32_t by);
    // The same of own frames that came to be held, or are no longer.
    void count_own_held(Slot slot, std::uint32_t by);

    // For pool and window: the same of the window pages that a store would show
    // another frame, and so may give a mapping of their own: holes, and pages
    // whose frame the guest or the device holds, or another page shows.
    void count_rebind(Slot slot, std::uint32_t by) {
        accounts_[slot].rebinds += by;
        rebinds_ += by;
    }
    [[nodiscard]] std::uint32_t rebinds(Slot slot) const {
        return accounts_[slot].rebinds;
    }
    // Those of all.
    [[nodiscard]] std::uint32_t rebinds() const { return rebinds_; }

    // For the maps: a node comes or goes, that of a region or of a snapshot
    // (no_slot). The one that comes is the region's alone.
    void count_node(Owner o, Slot slot, bool comes) noexcept;
    // No node is the region's alone any more.
    void share_nodes(Slot slot) { set_exclusive_nodes(slot, 0); }
    // So many have been found to be.
    void set_exclusive_nodes(Slot slot, std::uint32_t nodes);
    // At most as many as there are.
    [[nodiscard]] std::uint32_t exclusive_nodes(Slot slot) const {
        return accounts_[slot].nodes;
    }

    // ---- Owners

    // The owner with that number, made if need be. Throws std::bad_alloc; 0
    // when there are too many.
    Owner find_owner(std::uint32_t id);
    [[nodiscard]] std::uint32_t owner_id(Owner o) const {
        return owners_[o].id;
    }
    void count_frame(Owner o, std::uint32_t by) { owners_[o].frames += by; }
    // Frames, promises, and frames for shared nodes, were there so many more.
    [[nodiscard]] std::uint64_t charged(Owner o,
                                        std::uint32_t more_nodes = 0) const {
        const OwnerEntry &e = owners_[o];
        return std::uint64_t{e.frames} + e.promised +
               (e.shared() + more_nodes) / nodes_per_frame;
    }
    // O(owners).
    [[nodiscard]] std::uint64_t charged_id(std::uint32_t id) const;
    // Of maps of regions and snapshots.
    [[nodiscard]] std::uint32_t nodes(Owner o) const {
        return owners_[o].nodes;
    }
    [[nodiscard]] std::size_t owners() const { return owners_.size(); }

    // Recount promises and nodes: a message, or nullptr.
    [[nodiscard]] const char *check() const;

  private:
    struct Account {
        std::uint32_t epoch = 1; // 0 is no frame's
        std::uint32_t npages = 0;
        std::uint32_t own = 0;
        std::uint32_t own_held = 0;
        std::uint32_t nodes = 0; // known to be the region's alone
        std::uint32_t rebinds = 0;
        Owner owner = 0;

        [[nodiscard]] std::uint32_t promise() const {
            return npages - own + own_held;
        }
    };
    // Unused without frames, regions and nodes.
    struct OwnerEntry {
        std::uint32_t id = 0;
        std::uint32_t frames = 0;
        std::uint32_t regions = 0;
        std::uint32_t promised = 0;  // to the regions
        std::uint32_t nodes = 0;     // of regions and snapshots
        std::uint32_t exclusive = 0; // of them, each known to be a region's

        [[nodiscard]] std::uint32_t shared() const { return nodes - exclusive; }
        [[nodiscard]] bool used() const {
            return frames != 0 || regions != 0 || nodes != 0;
        }
    };

    // Modular, as everywhere.
    void promise(const Account &a, std::uint32_t by) {
        promised_ += by;
        owners_[a.owner].promised += by;
    }

    std::vector<Account> accounts_;
    std::vector<OwnerEntry> owners_;
    std::uint32_t promised_ = 0;
    std::uint32_t rebinds_ = 0;
    std::uint32_t shared_nodes_ = 0; // of all owners
};

} // namespace snapmem_impl
