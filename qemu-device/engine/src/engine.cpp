// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <system_error>

namespace snapmem_impl {

namespace {

constexpr std::uint32_t guest_holds_max =
    std::numeric_limits<std::uint32_t>::max();
// Pages that one store makes writable again, if nobody holds their frames.
constexpr std::uint32_t disarm_pages_max = 16;

} // namespace

Engine::Engine(const snapmem_config &config, std::unique_ptr<WriteTrap> trap,
               std::uint32_t map_budget)
    : mode_(config.mode), rx_reserve_(config.rx_reserve),
      map_budget_(map_budget),
      file_(make_memory_file(
          "snapmem",
          (std::uint64_t{config.frames} + config.window_pages) * page_bytes)),
      pool_(file_, config.frames),
      window_(file_, config.frames, config.window_pages),
      armed_(config.window_pages), trap_(std::move(trap)) {
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

bool Engine::maps_allow(std::uint64_t more) const {
    const std::uint64_t promised =
        std::uint64_t{pool_.reserved()} * Window::rebind_cost;
    return window_.segments() + promised + more <= map_budget_;
}

snapmem_status Engine::region_create(std::uint32_t npages, snapmem_hint hint,
                                     std::uint32_t &region,
                                     std::uint32_t &page) {
    const Lock lock(mutex_);
    if (npages == 0) {
        return SNAPMEM_BAD_LENGTH;
    }
    if (npages > window_.pages()) {
        return SNAPMEM_NO_WINDOW;
    }
    Region *r = regions_.find_unused();
    if (r == nullptr) {
        return SNAPMEM_NO_REGIONS;
    }
    const auto gap = window_.find_gap(npages);
    if (!gap) {
        return SNAPMEM_NO_WINDOW;
    }
    if (pool_.available() < std::uint64_t{npages} + rx_reserve_) {
        return SNAPMEM_NO_FRAMES;
    }

    std::vector<Frame> frames(npages); // the last thing that may throw
    pool_.take_runs(Holder::region, frames);
    if (!maps_allow(Window::bind_cost(frames))) {
        for (const Frame f : frames) {
            pool_.drop(f, Holder::region);
        }
        return SNAPMEM_NO_MEMORY;
    }
    for (const Frame f : frames) {
        std::memset(pool_.data(f), 0, page_bytes);
    }
    r->first = *gap;
    r->npages = npages;
    r->named = true;
    r->policy = SharePolicy(hint);
    if (!window_.bind(*gap, frames, regions_.owner(*r)) ||
        (trap_ && !trap_->rebound(*gap, npages))) {
        destroy(*r);
        return SNAPMEM_NO_MEMORY;
    }
    region = regions_.handle(*r);
    page = *gap;
    return SNAPMEM_OK;
}

bool Engine::destroy(Region &r) noexcept {
    if (r.named) {
        RegionTable::retire(r);
    }
    // The frames go once they are unbound: the guest could write them before.
    if (!window_.unbind(r.first, r.npages,
                        [this](Frame f) { pool_.drop(f, Holder::region); })) {
        return false;
    }
    std::fill_n(armed_.begin() + r.first, r.npages, std::uint8_t{0});
    RegionTable::clear(r);
    return true;
}

snapmem_status Engine::region_destroy(std::uint32_t region) {
    const Lock lock(mutex_);
    Region *r = regions_.find(region);
    if (r == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    // When it fails the region is gone for the guest all the same; the host
    // is short of mappings and the frames come home at the next reset.
    destroy(*r);
    return SNAPMEM_OK;
}

Engine::Cut Engine::cut(const Region &r, std::uint64_t offset,
                        std::uint32_t length) {
    const std::uint64_t stop = offset + length;
    Cut c{};
    c.first = r.first + static_cast<Page>(offset / page_bytes);
    c.end = r.first + static_cast<Page>((stop + page_bytes - 1) / page_bytes);
    c.head = offset % page_bytes;
    c.tail = (page_bytes - stop % page_bytes) % page_bytes;
    c.whole_first = c.first + (c.head != 0 ? 1 : 0);
    c.whole_end = std::max(c.end - (c.tail != 0 ? 1 : 0), c.whole_first);
    return c;
}

bool Engine::wants_share(Region &r, const Cut &c) const {
    if (!trap_ || mode_ == SNAPMEM_COPY || c.wholes() == 0) {
        return false;
    }
    return mode_ == SNAPMEM_SHARE || r.policy.share(c.wholes());
}

// A page shared for the first time needs a frame for the store that may come,
// so a copy never gets by with fewer frames than a share.
std::uint32_t Engine::frames_needed(const Cut &c, bool share) const {
    std::uint32_t n = c.pages();
    for (Page p = c.whole_first; share && p < c.whole_end; ++p) {
        n -= pool_.held(window_.frame(p));
    }
    return n;
}

bool Engine::prepare_share(const Cut &c) {
    std::uint32_t unshared = 0;
    Page first = c.whole_end; // of the pages to arm
    Page last = 0;
    for (Page p = c.whole_first; p < c.whole_end; ++p) {
        const Frame f = window_.frame(p);
        if (pool_.guest_holds(f) == guest_holds_max) {
            return false;
        }
        unshared += !pool_.held(f);
        if (armed_[p] == 0) {
            first = std::min(first, p);
            last = p;
        }
    }
    if (!maps_allow(std::uint64_t{unshared} * Window::rebind_cost)) {
        return false;
    }
    if (first < c.whole_end) {
        // When it fails, pages may be armed that are not marked so. A store
        // to them disarms them, as any page that need not be armed.
        if (!trap_->arm(first, last - first + 1)) {
            return false;
        }
        std::fill(armed_.begin() + first, armed_.begin() + last + 1,
                  std::uint8_t{1});
    }
    return true;
}

// The range without the first `head` and the last `tail` bytes of the page.
Frame Engine::copy_page(Page p, std::size_t head, std::size_t tail) {
    const Frame f = pool_.take(Holder::guest);
    std::uint8_t *to = pool_.data(f);
    std::memset(to, 0, head);
    std::memcpy(to + head, pool_.data(window_.frame(p)) + head,
                page_bytes - head - tail);
    std::memset(to + page_bytes - tail, 0, tail);
    return f;
}

snapmem_status Engine::capture(std::uint32_t region, std::uint64_t offset,
                               std::uint32_t length, std::span<Frame> frames,
                               std::uint32_t &nframes) {
    const Lock lock(mutex_);
    Region *r = regions_.find(region);
    if (r == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    if (length == 0 || length > SNAPMEM_CAPTURE_BYTES_MAX) {
        return SNAPMEM_BAD_LENGTH;
    }
    const std::uint64_t size = std::uint64_t{r->npages} * page_bytes;
    if (offset > size || length > size - offset) {
        return SNAPMEM_BAD_OFFSET;
    }
    const Cut c = cut(*r, offset, length);
    if (frames.size() < c.pages()) {
        return SNAPMEM_BAD_LENGTH;
    }

    const auto lacks_frames = [&](bool share) {
        return pool_.available() <
               std::uint64_t{frames_needed(c, share)} + rx_reserve_;
    };
    bool share = wants_share(*r, c);
    if (lacks_frames(share)) {
        return SNAPMEM_NO_FRAMES;
    }
    if (share && !prepare_share(c)) {
        share = false;
        if (lacks_frames(share)) {
            return SNAPMEM_NO_FRAMES;
        }
    }

    // Nothing fails from here on. Shared pages are armed by now: a store
    // that raced has landed wholly before, or waits for the mutex.
    std::uint32_t n = 0;
    for (Page p = c.first; p < c.end; ++p) {
        if (share && c.is_whole(p)) {
            frames[n] = window_.frame(p);
            pool_.add(frames[n], Holder::guest);
        } else {
            frames[n] = copy_page(p, p == c.first ? c.head : 0,
                                  p == c.end - 1 ? c.tail : 0);
        }
        ++n;
    }
    nframes = n;
    std::uint64_t shared_bytes = 0;
    if (share) {
        shared_bytes = std::uint64_t{c.wholes()} * page_bytes;
        r->policy.shared(c.wholes());
    }
    ++counters_.captures;
    counters_.shared_bytes += shared_bytes;
    counters_.copied_bytes += length - shared_bytes;
    return SNAPMEM_OK;
}

void Engine::disarm_unshared(Region &r, Page p) {
    const Page end = std::min(r.first + r.npages, p + disarm_pages_max);
    Page last = p;
    do {
        armed_[last++] = 0;
    } while (last < end && armed_[last] != 0 &&
             !pool_.held(window_.frame(last)));
    trap_->disarm(p, last - p);
}

bool Engine::resolve_store(Page p) noexcept {
    const Lock lock(mutex_);
    if (p >= window_.pages()) {
        return true;
    }
    ++counters_.write_faults;
    const std::uint32_t owner = window_.owner(p);
    if (owner == 0) {
        return true; // the region went while the store waited
    }
    Region &r = regions_.of_owner(owner);
    if (armed_[p] == 0) {
        trap_->disarm(p, 1); // if arm() failed half-way
        return true;
    }
    r.policy.faulted();
    const Frame old = window_.frame(p);
    if (!pool_.held(old)) {
        disarm_unshared(r, p);
        return true;
    }

    // Copy on write, into the frame that the capture reserved.
    const Frame fresh = pool_.next_free();
    std::memcpy(pool_.data(fresh), pool_.data(old), page_bytes);
    if (!window_.rebind(p, fresh)) {
        return false;
    }
    pool_.take(Holder::region);
    pool_.drop(old, Holder::region);
    armed_[p] = 0;
    ++counters_.cow_copies;
    // If it fails the page can only be copied from now on.
    trap_->rebound(p, 1);
    return true;
}

snapmem_status Engine::release(std::span<const Frame> frames,
                               std::size_t &done) {
    const Lock lock(mutex_);
    done = 0;
    for (const Frame f : frames) {
        if (f >= pool_.frames() || pool_.guest_holds(f) == 0) {
            return SNAPMEM_BAD_FRAME;
        }
        pool_.drop(f, Holder::guest);
        ++counters_.released;
        ++done;
    }
    return SNAPMEM_OK;
}

bool Engine::guest_holds(Frame first, std::uint32_t count) const noexcept {
    const Lock lock(mutex_);
    if (first > pool_.frames() || count > pool_.frames() - first) {
        return false;
    }
    for (Frame f = first; f < first + count; ++f) {
        if (pool_.guest_holds(f) == 0) {
            return false;
        }
    }
    return true;
}

snapmem_status Engine::receive(std::span<Frame> frames) {
    const Lock lock(mutex_);
    if (pool_.available() < frames.size()) {
        return SNAPMEM_NO_FRAMES;
    }
    for (Frame &f : frames) {
        f = pool_.take(Holder::device);
    }
    return SNAPMEM_OK;
}

// The three below ignore frames that break their contract: the glue has
// checked what the guest named, and a mistake must not damage the pool.

void Engine::give(std::span<const Frame> frames) noexcept {
    const Lock lock(mutex_);
    for (const Frame f : frames) {
        if (f < pool_.frames() && pool_.device_holds(f) != 0) {
            pool_.add(f, Holder::guest);
            pool_.drop(f, Holder::device);
        }
    }
}

void Engine::hold(std::span<const Frame> frames) noexcept {
    const Lock lock(mutex_);
    for (const Frame f : frames) {
        if (f < pool_.frames() && pool_.held(f)) {
            pool_.add(f, Holder::device);
        }
    }
}

void Engine::drop(std::span<const Frame> frames) noexcept {
    const Lock lock(mutex_);
    for (const Frame f : frames) {
        if (f < pool_.frames() && pool_.device_holds(f) != 0) {
            pool_.drop(f, Holder::device);
        }
    }
}

void Engine::reset() noexcept {
    const Lock lock(mutex_);
    for (Region &r : regions_) {
        if (r.npages != 0) {
            destroy(r);
        }
    }
    pool_.drop_all_guest_holds();
}

void Engine::get_counters(snapmem_counters &out) const noexcept {
    const Lock lock(mutex_);
    out = counters_;
    out.free_frames = pool_.free();
    out.guest_frames = pool_.guest();
    out.region_frames = pool_.region();
    out.reserved_frames = pool_.reserved();
}

} // namespace snapmem_impl
