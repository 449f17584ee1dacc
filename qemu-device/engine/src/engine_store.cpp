// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A store to a page that is armed: in the fault thread of the trap.
#include "engine.hpp"

#include <algorithm>
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

// The pages to copy when a store to p traps: those behind it that the region's
// stores make likely; or those around it where its extent is dense. They lie in
// one extent, need a copy as p does, and move as it does: what changes no
// mapping may begin in front of p.
Engine::Run Engine::run_to_copy(Region &r, Page p) noexcept {
    const bool moves = may_move(maps_.find(r.map, p).frame);
    const auto alike = [&](Page q) {
        const PageMaps::Found found = maps_.find(r.map, q);
        return !r.writable.has(q) && needs_copy(found) &&
               may_move(found.frame) == moves;
    };
    const std::uint32_t ahead = r.ahead.pages(p);
    // Where mappings change, pages that are copied in vain cost more.
    const bool group =
        moves && r.writable.trapped(p) && ahead < WriteSet::group_pages;
    const Page low =
        group ? p / WriteSet::group_pages * WriteSet::group_pages : p;
    Page end =
        std::min({group ? low + WriteSet::group_pages : p + ahead, r.npages,
                  (p / WriteSet::extent_pages + 1) * WriteSet::extent_pages});
    if (!moves) {
        end = std::min(end, p + StoreAhead::rebinds_max);
    }
    Page first = p;
    while (first > low && alike(first - 1)) {
        --first;
    }
    Page last = p + 1;
    while (last < end && alike(last)) {
        ++last;
    }
    return {first, last - first, moves};
}

// Give p a frame of its own, and those of its run. Either a page keeps its
// frame, and the version that others have there moves to a fresh one: the page
// is armed until that is done, so its bytes stay as they are. Or the page shows
// a fresh frame, and the others keep theirs. The frames, nodes and mappings are
// promised.
Resolved Engine::copy_from(Region &r, Page p) noexcept {
    const auto [first, n, moves] = run_to_copy(r, p);
    std::array<Frame, StoreAhead::pages_max> old{};
    std::array<Frame, StoreAhead::pages_max> fresh{};
    std::array<const std::uint8_t *, StoreAhead::pages_max> from{};
    for (std::uint32_t i = 0; i < n; ++i) {
        old[i] = maps_.find(r.map, first + i).frame;
        from[i] = bytes(old[i]);
    }
    const Owner owner_of_frames = ledger_.owner(slot(r));
    if (n == 1) {
        fresh[0] = pool_.take(Holder::map, owner_of_frames);
    } else {
        pool_.take_few(Holder::map, owner_of_frames, {fresh.data(), n});
    }
    pool_.fill({fresh.data(), n}, {from.data(), n});
    const std::uint32_t done =
        moves ? n : window_.show(r.first + first, {fresh.data(), n}, owner(r));
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
            maps_.move(r.map, first + i, fresh[i]);
        } else {
            maps_.set(r.map, first + i, fresh[i]);
        }
        pool_.own(moves ? old[i] : fresh[i], slot(r));
        make_writable(r, first + i);
    }
    if (done == 0) {
        return Resolved::no;
    }
    may_reclaim(); // the old frames may be another region's alone now
    r.ahead.copied(first, done);
    counters_.ahead_pages += done - 1;
    if (moves) {
        return disarm(r.first + first, done);
    }
    // If it fails the pages can only be copied from now on.
    trap_->rebound(r.first + first, done);
    return Resolved::yes;
}

Resolved Engine::resolve_store(Page p) noexcept {
    const Lock lock(*this);
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
