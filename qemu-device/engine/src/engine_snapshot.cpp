// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Snapshots: taking, cloning, comparing and dropping them.
#include "engine.hpp"

#include <cstring>

namespace snapmem_impl {

bool Engine::arm(Page p, std::uint32_t n) noexcept {
    ++counters_.trap_arms;
    counters_.trap_pages += n;
    return trap_->arm(p, n);
}

bool Engine::arm_written(Region &r) noexcept {
    return r.writable.runs(
        [&](Page p, std::uint32_t n) { return arm(r.first + p, n); });
}

// Pages written since the last snapshot, whose bytes a frame of the same owner
// has already: the new snapshot refers to that one, and the region keeps its
// own. Never across owners: who could tell by the time of a store, or by the
// count of free frames, that somebody has the same page would learn its
// content.
void Engine::share_duplicates(Region &r, PageMap &snapshot) noexcept {
    const std::uint32_t id = ledger_.owner_id(ledger_.owner(slot(r)));
    r.writable.runs([&](Page first, std::uint32_t n) {
        for (Page p = first; p < first + n; ++p) {
            const Frame f = maps_.frame(r.map, p);
            if (f == no_frame || !r.writable.has(p)) {
                continue;
            }
            Version &found = dedup_.slot(pool_.data(f));
            const Frame known =
                found == no_version ? no_frame : maps_.frame_of(found);
            if (known == no_frame || known == f ||
                pool_.map_holds(known) == 0 || pool_.is_own(known) ||
                ledger_.owner_id(pool_.owner(known)) != id ||
                std::memcmp(pool_.data(known), pool_.data(f), page_bytes) !=
                    0) {
                found = maps_.version(r.map, p);
                continue;
            }
            // The snapshot has it elsewhere than the page that shows it is:
            // prepare_share() would not find that.
            if (pool_.shown_once(known)) {
                more_.clear();
                add_rebind(known);
                if (!maps_allow(mapper(regions_.at(pool_.shower(known))), 0,
                                more_)) {
                    continue;
                }
                pool_.forget_shower(known);
            }
            may_reclaim(); // the region's frame may be its own alone
            maps_.set_version(snapshot, p, found);
            ++counters_.dedup_pages;
        }
        return true;
    });
}

snapmem_status Engine::snapshot(std::uint32_t region, std::uint32_t quota,
                                std::uint32_t &snapshot,
                                std::uint64_t &version) {
    const Lock lock(*this);
    Region *r = regions_.find(region);
    if (r == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    if (!trap_) {
        return SNAPMEM_NO_TRAP;
    }
    Snapshot *s = snapshots_.find_unused();
    if (s == nullptr) {
        return SNAPMEM_NO_REGIONS;
    }
    const Owner o = ledger_.owner(slot(*r));
    const bool holes = r->map.populated != r->npages;
    const std::size_t copies =
        dedup_.enabled() ? maps_.nodes_for(r->npages) : 0;
    const snapmem_status status = afford(o, quota, [&] {
        const std::uint64_t promise = ledger_.unpromised(slot(*r));
        const bool zero = holes && !pool_.has_zero();
        return Need{promise + (zero ? 1 : 0), promise,
                    ledger_.exclusive_nodes(slot(*r)) +
                        static_cast<std::uint32_t>(copies)};
    });
    if (status != SNAPMEM_OK) {
        return status;
    }
    reserve_nodes(copies);
    if (!arm_written(*r)) {
        return SNAPMEM_NO_MEMORY;
    }

    // Nothing fails from here on, and all pages are armed: a store that raced
    // has landed before, or waits for the lock.
    s->map = maps_.share(r->map);
    ledger_.share_nodes(slot(*r));
    s->owner_id = ledger_.owner_id(o);
    s->zero = holes ? pool_.take_zero(Holder::device) : no_frame;
    pool_.disown_all(slot(*r));
    if (dedup_.enabled()) {
        share_duplicates(*r, s->map);
    }
    pool_.update_available();
    r->writable.clear();
    r->version += r->dirty ? 1 : 0;
    r->dirty = false;
    s->version = r->version;
    snapshots_.name(*s);
    ++counters_.snapshots;
    snapshot = snapshots_.handle(*s);
    version = s->version;
    return SNAPMEM_OK;
}

void Engine::forget(Snapshot &s) noexcept {
    SlotTable<Snapshot>::retire(s);
    maps_.drop(s.map);
    if (s.zero != no_frame) {
        pool_.drop(s.zero, Holder::device);
    }
    snapshots_.clear(s);
    pool_.update_available();
    may_reclaim();
}

snapmem_status Engine::snapshot_drop(std::uint32_t snapshot) {
    const Lock lock(*this);
    Snapshot *s = snapshots_.find(snapshot);
    if (s == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    if (growth_.snapshot == snapshot) {
        abandon_growth();
    }
    forget(*s);
    return SNAPMEM_OK;
}

snapmem_status Engine::clone(std::uint32_t snapshot,
                             const snapmem_region_spec &spec,
                             std::uint32_t &region, std::uint32_t &page,
                             bool step) {
    const Lock lock(*this);
    if (!trap_) {
        return SNAPMEM_NO_TRAP;
    }
    const Snapshot *s = snapshots_.find(snapshot);
    if (s == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    snapmem_region_spec whole = spec;
    whole.npages = s->map.npages;
    // Another owner pays for what it has: it gets copies.
    const bool copies = s->owner_id != whole.owner;
    snapmem_status status = SNAPMEM_OK;
    if (!step || !copies || !grows(whole, snapshot)) {
        abandon_growth();
        Birth birth;
        status = prepare_birth(whole, birth);
        if (status != SNAPMEM_OK) {
            return status;
        }
        // All pages of the region may come to be segments of their own, and a
        // store to one that another region shows as well may rebind either.
        more_.clear();
        if (!copies) {
            maps_.each(s->map, 0, whole.npages, [&](Page, Frame f) {
                if (f != no_frame) {
                    add_rebind(f);
                }
            });
        }
        if (!maps_allow({birth.owner, limited(whole)},
                        std::uint64_t{whole.npages} + 1, more_)) {
            return SNAPMEM_NO_MEMORY;
        }
        if (!copies) {
            status = clone_shared(*s, birth, whole, region, page);
        } else {
            status = begin_growth(birth, whole, snapshot);
        }
    }
    if (status == SNAPMEM_OK && copies) {
        status = go_on(step, region, page);
    }
    if (status == SNAPMEM_OK) {
        ++counters_.clones;
    }
    return status;
}

snapmem_status Engine::clone_shared(const Snapshot &s, const Birth &birth,
                                    const snapmem_region_spec &spec,
                                    std::uint32_t &region,
                                    std::uint32_t &page) {
    std::vector<Backing> pages;
    pages.reserve(spec.npages);
    maps_.each(s.map, 0, spec.npages, [&](Page p, Frame f) {
        pages.push_back(f == no_frame ? window_.scratch(birth.gap + p) : f);
    });
    open_region(birth, spec);
    Region &r = *birth.region;
    r.map = maps_.share(s.map);
    r.map.owner = birth.owner; // that of an empty map may be stale
    r.map.account = slot(r);
    if (window_.show(r.first, pages, owner(r), r.npages <= populate_max) !=
        r.npages) {
        destroy(r);
        return SNAPMEM_NO_MEMORY;
    }
    return give_birth(r, true, region, page);
}

snapmem_status Engine::diff(std::uint32_t a, std::uint32_t b, Page first,
                            std::span<Page> pages, std::size_t &npages,
                            Page &next) const {
    const Lock lock(*this);
    const Snapshot *sa = snapshots_.find(a);
    const Snapshot *sb = snapshots_.find(b);
    if (sa == nullptr || sb == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    if (sa->map.npages != sb->map.npages || pages.empty()) {
        return SNAPMEM_BAD_LENGTH;
    }
    if (first >= sa->map.npages) {
        return SNAPMEM_BAD_OFFSET;
    }
    std::size_t n = 0;
    Page more = SNAPMEM_DIFF_END;
    std::uint32_t work = diff_work;
    const auto may = [&](Page p, std::uint32_t cost) {
        if (work < cost) {
            more = p;
            return false;
        }
        work -= cost;
        return true;
    };
    maps_.diff(
        sa->map, sb->map, first,
        [&](Page p, Frame fa, Frame fb) {
            if (!may(p, diff_page_work)) {
                return false;
            }
            ++work_.compared;
            if (std::memcmp(bytes(fa), bytes(fb), page_bytes) == 0) {
                return true;
            }
            if (n == pages.size()) {
                more = p;
                return false;
            }
            pages[n++] = p;
            return true;
        },
        [&](Page p) { return may(p, 1); });
    npages = n;
    next = more;
    return SNAPMEM_OK;
}

snapmem_status Engine::get_object(std::uint32_t handle,
                                  snapmem_object &out) const {
    const Lock lock(*this);
    out = {};
    if (const Snapshot *s = snapshots_.find(handle)) {
        out.npages = s->map.npages;
        out.populated = s->map.populated;
        out.owner = s->owner_id;
        out.version = s->version;
        return SNAPMEM_OK;
    }
    const Region *r = regions_.find(handle);
    if (r == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    out.npages = r->npages;
    out.populated = r->map.populated;
    out.owner = ledger_.owner_id(ledger_.owner(slot(*r)));
    out.version = r->version;
    out.dirty = r->dirty;
    out.sharing = trap_ && (mode_ == SNAPMEM_SHARE ||
                            (mode_ == SNAPMEM_AUTO && r->policy.sharing()));
    out.promised = ledger_.promise(slot(*r));
    out.shared_pages = r->shared_pages;
    out.copied_pages = r->copied_pages;
    out.write_faults = r->write_faults;
    return SNAPMEM_OK;
}

std::uint64_t Engine::charged(std::uint32_t owner) const {
    const Lock lock(*this);
    return ledger_.charged_id(owner);
}

} // namespace snapmem_impl
