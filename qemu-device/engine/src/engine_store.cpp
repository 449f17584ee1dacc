// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A store to a page that is armed: in the fault thread of the trap.
#include "engine.hpp"

#include <array>

namespace snapmem_impl {

bool Engine::needs_copy(const PageMaps::Found &found) const {
    return found.frame == no_frame || !found.exclusive ||
           pool_.map_holds(found.frame) != 1 || pool_.held(found.frame);
}

// Of a page that needs a copy: does nobody but maps have its frame, and no
// other window page show it? Then its version may lie anywhere.
bool Engine::may_move(Frame f) const {
    return f != no_frame && !pool_.held(f) && pool_.shown_once(f);
}

// A store to a page that only a capture has armed tells against sharing; one
// that a snapshot, a commit or a merge has armed does not.
void Engine::count_fault(Region &r, Frame f) noexcept {
    if (pool_.is_own(f) && pool_.captured(f)) {
        pool_.set_captured(f, false);
        r.policy.faulted();
    }
}

void Engine::make_writable(Region &r, Page p) noexcept {
    r.writable.add(p);
    r.dirty = true;
}

// p needs no copy: let stores land again on it, and on those behind it in its
// extent that need none either.
Resolved Engine::disarm_from(Region &r, Page p) noexcept {
    const Page end = std::min(r.npages, (p / WriteSet::extent_pages + 1) *
                                            WriteSet::extent_pages);
    Page last = p;
    while (last < end && !r.writable.has(last)) {
        const PageMaps::Found found = maps_.find(r.map, last);
        if (needs_copy(found)) {
            break;
        }
        count_fault(r, found.frame);
        if (!pool_.is_own(found.frame)) {
            pool_.own(found.frame, slot(r));
        }
        make_writable(r, last++);
    }
    return disarm(r.first + p, last - p);
}

// Give p a frame of its own, and as many pages behind it in its extent as the
// region's stores make likely, if they go the same way. Either a page keeps its
// frame, and the version that others have there moves to a fresh one: the page
// is armed until that is done, so its bytes stay as they are. Or the page shows
// a fresh frame, and the others keep theirs. The frames, nodes and mappings are
// promised.
Resolved Engine::copy_from(Region &r, Page p) noexcept {
    const Page end =
        std::min({p + r.ahead.pages(p), r.npages,
                  (p / WriteSet::extent_pages + 1) * WriteSet::extent_pages});
    std::array<Frame, StoreAhead::pages_max> old{};
    std::array<Frame, StoreAhead::pages_max> fresh{};
    std::array<const std::uint8_t *, StoreAhead::pages_max> from{};
    std::uint32_t n = 0;
    bool moves = false;
    for (Page q = p; q < end && !r.writable.has(q); ++q) {
        const PageMaps::Found found = maps_.find(r.map, q);
        if (!needs_copy(found) || (n != 0 && may_move(found.frame) != moves) ||
            (!moves && n == StoreAhead::rebinds_max)) {
            break;
        }
        moves = may_move(found.frame);
        from[n] = bytes(found.frame);
        old[n++] = found.frame;
    }
    const Owner owner_of_frames = ledger_.owner(slot(r));
    if (n == 1) {
        fresh[0] = pool_.take(Holder::map, owner_of_frames);
    } else {
        pool_.take_few(Holder::map, owner_of_frames, {fresh.data(), n});
    }
    pool_.fill({fresh.data(), n}, {from.data(), n});
    const std::uint32_t done =
        moves ? n : window_.show(r.first + p, {fresh.data(), n}, owner(r));
    for (std::uint32_t i = 0; i < n; ++i) {
        if (i >= done) {
            pool_.drop(fresh[i], Holder::map);
            continue;
        }
        if (old[i] != no_frame) {
            ++counters_.cow_copies;
            count_fault(r, old[i]);
        }
        if (moves) {
            maps_.move(r.map, p + i, fresh[i]);
        } else {
            maps_.set(r.map, p + i, fresh[i]);
        }
        pool_.own(moves ? old[i] : fresh[i], slot(r));
        make_writable(r, p + i);
    }
    if (done == 0) {
        return Resolved::no;
    }
    may_reclaim(); // the old frames may be another region's alone now
    r.ahead.copied(p, done);
    counters_.ahead_pages += done - 1;
    if (moves) {
        return disarm(r.first + p, done);
    }
    // If it fails the pages can only be copied from now on.
    trap_->rebound(r.first + p, done);
    return Resolved::yes;
}

Resolved Engine::resolve_store(Page p) noexcept {
    const Lock lock(lock_);
    if (p >= window_.pages()) {
        return Resolved::yes;
    }
    ++counters_.write_faults;
    if (window_.owner(p) == 0) {
        return Resolved::yes; // the region went while the store waited
    }
    Region &r = regions_.at(static_cast<Slot>(window_.owner(p) - 1));
    const Page page = p - r.first;
    if (r.writable.has(page)) {
        return disarm(p, 1); // if arm() failed half-way
    }
    ++r.write_faults;
    const PageMaps::Found found = maps_.find(r.map, page);
    return needs_copy(found) ? copy_from(r, page) : disarm_from(r, page);
}

} // namespace snapmem_impl
