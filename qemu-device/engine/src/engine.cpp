// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Regions come and go.
#include "engine.hpp"

#include <array>
#include <system_error>

namespace snapmem_impl {

namespace {

constexpr std::array<std::uint8_t, page_bytes> zeros{};

} // namespace

Engine::Engine(const snapmem_config &config, std::unique_ptr<WriteTrap> trap,
               const Tuning &tuning)
    : mode_(config.mode), rx_reserve_(config.rx_reserve),
      map_budget_(tuning.map_budget), lock_(std::max(config.queues, 1U)),
      tallies_(lock_.lanes()),
      file_(make_memory_file(
          "snapmem",
          (std::uint64_t{config.frames} + config.window_pages) * page_bytes)),
      ledger_(SNAPMEM_REGIONS_MAX), pool_(file_, config.frames, ledger_,
                                          {.lanes = lock_.lanes(),
                                           .frames = tuning.cache_frames,
                                           .reserve = config.rx_reserve}),
      maps_(pool_, ledger_, tuning.fanout_bits),
      window_(file_, pool_, ledger_, config.window_pages, SNAPMEM_REGIONS_MAX),
      regions_(SNAPMEM_REGIONS_MAX, 0),
      snapshots_(SNAPMEM_SNAPSHOTS_MAX, snapshot_tag),
      dedup_(config.dedup ? config.frames : 0), trap_(std::move(trap)) {
    if (!trap_) {
        return;
    }
    try {
        trap_->start(window_.base(), window_.pages(), *this);
    } catch (const std::system_error &e) {
        if (mode_ == SNAPMEM_SHARE) {
            throw TrapError(e.code(), "write trap");
        }
        trap_.reset();
    }
}

Engine::~Engine() {
    if (trap_) {
        trap_->stop();
    }
}

const std::uint8_t *Engine::bytes(Frame f) const {
    return f == no_frame ? zeros.data() : pool_.data(f);
}

bool Engine::maps_allow(const Mapper &m, std::uint64_t segments,
                        const MoreRebinds &more) const {
    const std::uint64_t most =
        window_.segments() + segments +
        (ledger_.rebinds() + more.total()) * Window::rebind_cost;
    // Nobody has more than all together.
    if (most <= (m.limited ? map_budget_ / 2 : map_budget_)) {
        return true;
    }
    // No region needs more segments than it has pages. What lies between
    // regions stays as it is.
    std::uint64_t sum = window_.segments();
    std::uint64_t had = 0; // by the owner
    std::uint64_t gets = 0;
    const auto bound = [](const Region &r, std::uint64_t now) {
        return std::min<std::uint64_t>(r.npages, now);
    };
    for (const Region &r : regions_) {
        if (!r.used) {
            continue;
        }
        const std::uint32_t now = window_.segments_of(owner(r));
        // No store comes to a region of frames before it has them all.
        const bool alone = &r == growth_.region && growth_.snapshot == 0;
        const std::uint64_t rebinds = alone ? 0 : ledger_.rebinds(slot(r));
        const std::uint64_t before = now + rebinds * Window::rebind_cost;
        const std::uint64_t after =
            before + (&r == m.region ? segments : 0) +
            std::uint64_t{more.of(slot(r))} * Window::rebind_cost;
        sum += bound(r, after) - now;
        if (ledger_.owner(slot(r)) == m.owner) {
            had += bound(r, before);
            gets += bound(r, after);
        }
    }
    if (m.region == nullptr) {
        sum += segments;
        gets += segments;
    }
    return sum <= map_budget_ &&
           (!m.limited || gets == had || gets <= map_budget_ - sum);
}

void Engine::own_if_alone(const Region &r, Frame f) noexcept {
    if (pool_.map_holds(f) == 1 && !pool_.is_own(f)) {
        pool_.own(f, slot(r));
    }
}

void Engine::reclaim(Look look) noexcept {
    if (look == Look::all) {
        reclaim_all();
    } else {
        reclaim_step();
    }
}

void Engine::reclaim_all() noexcept {
    if (reclaim_left_ == 0) {
        return;
    }
    reclaim_left_ = 0;
    for (const Region &r : regions_) {
        if (r.used) {
            ledger_.set_exclusive_nodes(
                slot(r), maps_.each_exclusive(r.map, [&](Page, Frame f) {
                    own_if_alone(r, f);
                }));
        }
    }
    pool_.update_available(); // nodes are the regions' alone
}

// Wherever the hand is: who drops snapshots all the time cannot keep it in
// one place.
void Engine::reclaim_step() noexcept {
    constexpr std::uint64_t region_work = 4; // to find that it has nothing
    std::uint64_t work = reclaim_slots;
    while (reclaim_left_ > 0 && work >= region_work) {
        work -= region_work;
        work_.reclaimed += region_work;
        const Region &r = regions_.at(reclaim_slot_);
        PageMaps::Walk w{.work = work, .next = reclaim_page_};
        const bool done =
            !r.used || maps_.some_exclusive(r.map, w, [&](Page, Frame f) {
                own_if_alone(r, f);
            });
        work_.reclaimed += work - w.work;
        work = w.work;
        if (!done) {
            reclaim_page_ = static_cast<Page>(w.next);
            return;
        }
        reclaim_slot_ =
            static_cast<Slot>((reclaim_slot_ + 1) % SNAPMEM_REGIONS_MAX);
        reclaim_page_ = 0;
        --reclaim_left_;
    }
}

snapmem_status Engine::prepare_birth(const snapmem_region_spec &spec,
                                     Birth &birth) {
    if (spec.npages == 0) {
        return SNAPMEM_BAD_LENGTH;
    }
    if (spec.npages > window_.pages()) {
        return SNAPMEM_NO_WINDOW;
    }
    birth.region = regions_.find_unused();
    if (birth.region == nullptr) {
        return SNAPMEM_NO_REGIONS;
    }
    const auto gap = window_.find_gap(spec.npages);
    if (!gap) {
        return SNAPMEM_NO_WINDOW;
    }
    birth.gap = *gap;
    birth.owner = ledger_.find_owner(spec.owner);
    if (birth.owner == 0) {
        return SNAPMEM_NO_REGIONS;
    }
    const snapmem_status status = afford(birth.owner, spec.quota, [&] {
        return Need{spec.npages, spec.npages};
    });
    if (status == SNAPMEM_OK) {
        reserve_nodes(maps_.nodes_for(spec.npages));
    }
    return status;
}

void Engine::open_region(const Birth &birth, const snapmem_region_spec &spec) {
    Region &r = *birth.region;
    r.writable = WriteSet(spec.npages); // the last thing that may throw
    r.first = birth.gap;
    r.npages = spec.npages;
    r.map = maps_.empty(spec.npages, birth.owner, slot(r));
    r.version = 1;
    r.dirty = false;
    r.limited = limited(spec);
    r.policy = SharePolicy(spec.hint);
    r.ahead = StoreAhead();
    r.shared_pages = 0;
    r.copied_pages = 0;
    r.write_faults = 0;
    regions_.name(r);
    ledger_.open(slot(r), spec.npages, birth.owner);
    node_debt_ += maps_.nodes_for(spec.npages);
    pool_.update_available();
}

snapmem_status Engine::arm_new(Region &r, bool armed) {
    if (trap_ && (!trap_->rebound(r.first, r.npages) ||
                  (armed && !arm(r.first, r.npages)))) {
        destroy(r);
        return SNAPMEM_NO_MEMORY;
    }
    if (armed) {
        // Holes are zero, also those that the guest stored to a moment ago.
        window_.clear_scratch(r.first, r.npages);
    }
    return SNAPMEM_OK;
}

bool Engine::grows(const snapmem_region_spec &spec,
                   std::uint32_t snapshot) const {
    const snapmem_region_spec &s = growth_.spec;
    return growth_.region != nullptr && growth_.snapshot == snapshot &&
           s.npages == spec.npages && s.hint == spec.hint &&
           s.owner == spec.owner && s.quota == spec.quota;
}

void Engine::abandon_growth() noexcept {
    if (Region *r = growth_.region) {
        growth_ = {};
        destroy(*r);
    }
}

void Engine::abandon() noexcept {
    const Lock lock(*this);
    abandon_growth();
}

// Nobody knows of the region before it is whole. Pages without frames show
// scratch pages meanwhile, as those of no region do, and are not watched.
snapmem_status Engine::begin_growth(const Birth &birth,
                                    const snapmem_region_spec &spec,
                                    std::uint32_t snapshot) {
    open_region(birth, spec);
    Region &r = *birth.region;
    r.named = false;
    growth_ = {
        .region = &r, .left = r.npages, .snapshot = snapshot, .spec = spec};
    // A clone has been allowed one for each page.
    const bool allowed = snapshot != 0 || maps_allow({birth.owner, r.limited},
                                                     Window::rebind_cost);
    if (r.npages > step_pages &&
        (!allowed || !window_.show_scratch(r.first, r.npages, owner(r)))) {
        abandon_growth();
        return SNAPMEM_NO_MEMORY;
    }
    return SNAPMEM_OK;
}

// From the end on, because runs of frames are taken from the top of the pool
// on: so those of all steps ascend, and their mappings merge.
bool Engine::grow() noexcept {
    Region &r = *growth_.region;
    const PageMap *from = growth_.snapshot != 0
                              ? &snapshots_.find(growth_.snapshot)->map
                              : nullptr;
    const std::uint32_t n = std::min(growth_.left, step_pages);
    const Page first = growth_.left - n;
    std::array<Backing, step_pages> pages;
    std::array<Frame, step_pages> fresh;
    std::uint32_t count = n;
    if (from != nullptr) {
        count = 0;
        maps_.each(*from, first, n,
                   [&](Page, Frame f) { count += f != no_frame; });
    }
    const std::span<Frame> frames(fresh.data(), count);
    pool_.take_runs(Holder::map, ledger_.owner(slot(r)), frames);
    std::uint32_t next = 0;
    const auto give = [&](Page p) {
        const Frame f = frames[next++];
        maps_.set(r.map, p, f);
        pool_.own(f, slot(r));
        pages[p - first] = f;
    };
    if (from != nullptr) {
        std::array<const std::uint8_t *, step_pages> copied;
        maps_.each(*from, first, n, [&](Page p, Frame f) {
            if (f == no_frame) {
                pages[p - first] = window_.scratch(r.first + p);
            } else {
                copied[next] = pool_.data(f);
                give(p);
            }
        });
        pool_.fill(frames, {copied.data(), count});
    } else {
        pool_.clear(frames);
        for (Page p = first; p < growth_.left; ++p) {
            give(p);
            r.writable.add(p);
        }
        r.dirty = true;
    }
    work_.given += count;
    growth_.left = first;
    const std::span<const Backing> shown(pages.data(), n);
    return (from != nullptr || maps_allow({ledger_.owner(slot(r)), r.limited},
                                          window_.bind_cost(shown))) &&
           window_.show(r.first + first, shown, owner(r),
                        r.npages <= populate_max) == n;
}

snapmem_status Engine::go_on(bool step, std::uint32_t &region,
                             std::uint32_t &page) {
    Region &r = *growth_.region;
    do {
        if (!grow()) {
            abandon_growth();
            return SNAPMEM_NO_MEMORY;
        }
    } while (growth_.left != 0 && !step);
    if (growth_.left != 0) {
        return SNAPMEM_AGAIN;
    }
    const bool armed = growth_.snapshot != 0;
    growth_ = {};
    r.named = true;
    return give_birth(r, armed, region, page);
}

snapmem_status Engine::give_birth(Region &r, bool armed, std::uint32_t &region,
                                  std::uint32_t &page) {
    const snapmem_status status = arm_new(r, armed);
    if (status == SNAPMEM_OK) {
        region = regions_.handle(r);
        page = r.first;
    }
    return status;
}

snapmem_status Engine::region_create(const snapmem_region_spec &spec,
                                     std::uint32_t &region, std::uint32_t &page,
                                     bool step) {
    const Lock lock(*this);
    const bool sparse = spec.sparse && trap_;
    if (step && !sparse && grows(spec, 0)) {
        return go_on(step, region, page);
    }
    abandon_growth();
    Birth birth;
    const snapmem_status status = prepare_birth(spec, birth);
    if (status != SNAPMEM_OK) {
        return status;
    }
    if (!sparse) {
        const snapmem_status begun = begin_growth(birth, spec, 0);
        return begun == SNAPMEM_OK ? go_on(step, region, page) : begun;
    }
    if (!maps_allow({birth.owner, limited(spec)},
                    std::uint64_t{spec.npages} + 1)) {
        return SNAPMEM_NO_MEMORY;
    }
    open_region(birth, spec);
    Region &r = *birth.region;
    if (!window_.show_scratch(r.first, r.npages, owner(r))) {
        destroy(r);
        return SNAPMEM_NO_MEMORY;
    }
    return give_birth(r, true, region, page);
}

bool Engine::destroy(Region &r) noexcept {
    if (r.named) {
        SlotTable<Region>::retire(r);
    }
    // The frames go once they are unbound: the guest could write them before.
    if (!window_.unbind(r.first, r.npages)) {
        return false;
    }
    if (trap_) {
        window_.clear_scratch(r.first, r.npages); // of holes that were read
    }
    maps_.drop(r.map);
    ledger_.close(slot(r));
    node_debt_ -= maps_.nodes_for(r.npages);
    pool_.update_available();
    r.writable = WriteSet();
    regions_.clear(r);
    may_reclaim();
    return true;
}

void Engine::lose(Region &r) noexcept {
    r.dirty = true;
    if (!window_.show_scratch(r.first, r.npages, owner(r))) {
        SlotTable<Region>::retire(r); // as after a destroy() that fails
        return;
    }
    window_.clear_scratch(r.first, r.npages);
    maps_.drop(r.map);
    r.writable.clear();
    may_reclaim();
    pool_.update_available();
}

snapmem_status Engine::region_destroy(std::uint32_t region) {
    const Lock lock(*this);
    Region *r = regions_.find(region);
    if (r == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    // When it fails the region is gone for the guest all the same; the host
    // is short of mappings and the frames come home at the next reset.
    destroy(*r);
    return SNAPMEM_OK;
}

void Engine::reset() noexcept {
    const Lock lock(*this);
    growth_ = {};
    for (Region &r : regions_) {
        if (r.used) {
            destroy(r);
        }
    }
    for (Snapshot &s : snapshots_) {
        if (s.used) {
            forget(s);
        }
    }
    pool_.drop_all_guest_holds();
    maps_.trim();
}

void Engine::get_counters(snapmem_counters &out) const noexcept {
    const Lock lock(*this);
    out = counters_;
    for (const Tally &t : tallies_) {
        out.captures += t.captures;
        out.copied_bytes += t.copied_bytes;
        out.shared_bytes += t.shared_bytes;
        out.released += t.released;
    }
    out.free_frames = pool_.free();
    out.guest_frames = pool_.guest();
    out.region_frames = pool_.mapped();
    out.reserved_frames = ledger_.promised();
    out.regions = regions_.used();
    out.snapshots_held = snapshots_.used();
    out.map_bytes = maps_.bytes();
}

} // namespace snapmem_impl
