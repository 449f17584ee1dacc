// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Captures of regions and snapshots.
#include "engine.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace snapmem_impl {

Engine::Cut Engine::cut(std::uint64_t offset, std::uint32_t length) {
    const std::uint64_t stop = offset + length;
    Cut c{};
    c.first = static_cast<Page>(offset / page_bytes);
    c.end = static_cast<Page>((stop + page_bytes - 1) / page_bytes);
    c.head = offset % page_bytes;
    c.tail = (page_bytes - stop % page_bytes) % page_bytes;
    c.whole_first = c.first + (c.head != 0 ? 1 : 0);
    c.whole_end = std::max(c.end - (c.tail != 0 ? 1 : 0), c.whole_first);
    return c;
}

bool Engine::wants_share(Region &r, const Cut &c) const {
    return !copies_always(c) &&
           (mode_ == SNAPMEM_SHARE || r.policy.share(c.wholes()));
}

// A page shared for the first time needs a frame for the store that may come,
// so a copy never gets by with fewer frames than a share.
std::uint32_t Engine::frames_needed(const PageMap &m, const Cut &c,
                                    bool share) const {
    std::uint32_t n = 0;
    bool zero = false;
    maps_.each(m, c.first, c.pages(), [&](Page p, Frame f) {
        if (f == no_frame) {
            zero = true;
        } else if (share && c.is_whole(p) && pool_.takes_holds(f)) {
            n += pool_.is_own(f) && !pool_.held(f);
        } else {
            ++n;
        }
    });
    return n + (zero && !pool_.has_zero() ? 1 : 0);
}

bool Engine::prepare_share(Region &r, const Cut &c) {
    bool full = false;
    more_.clear();
    Page first = c.whole_end; // of the pages to arm
    Page last = 0;
    maps_.each(r.map, c.whole_first, c.wholes(), [&](Page p, Frame f) {
        if (f != no_frame) {
            full = full || !pool_.takes_holds(f);
            add_rebind(f);
        }
        if (r.writable.has(p)) {
            first = std::min(first, p);
            last = p;
        }
    });
    if (full || !maps_allow(mapper(r), 0, more_)) {
        return false;
    }
    if (first < c.whole_end) {
        // When it fails, pages may be armed that are not known to be. A store
        // to them disarms them.
        if (!arm(r.first + first, last - first + 1)) {
            return false;
        }
        for (Page p = first; p <= last; ++p) {
            r.writable.remove(p);
        }
    }
    return true;
}

bool Engine::may_hold(const PageMap &snapshot, const Cut &c) {
    bool limits = false;
    more_.clear();
    maps_.each(snapshot, c.whole_first, c.wholes(), [&](Page, Frame f) {
        if (f != no_frame && pool_.shown_once(f)) {
            add_rebind(f);
            limits = limits || regions_.at(pool_.shower(f)).limited;
        }
    });
    return maps_allow({snapshot.owner, limits}, 0, more_);
}

// A region that shows a frame of the snapshot has been promised one for the
// store to come, but no mapping: the store would let it keep what it shows. If
// there is none to be had, do what the store would have done: who reads a
// snapshot lacks nothing. The region has each at the same page.
bool Engine::prepare_share(const PageMap &snapshot, const Cut &c) {
    if (may_hold(snapshot, c)) {
        return true;
    }
    maps_.each(snapshot, c.whole_first, c.wholes(), [&](Page p, Frame f) {
        if (!may_move(f)) {
            return;
        }
        Region &r = regions_.at(pool_.shower(f));
        if (p < r.npages && maps_.frame(r.map, p) == f) {
            const Frame to = pool_.take(Holder::map, ledger_.owner(slot(r)));
            std::memcpy(pool_.data(to), pool_.data(f), page_bytes);
            maps_.move(r.map, p, to);
            pool_.own(f, slot(r));
            ++counters_.cow_copies;
            ++counters_.ahead_pages;
        }
    });
    return may_hold(snapshot, c);
}

void Engine::copy_page(Frame to, Frame from, Page p, const Cut &c) const {
    const std::size_t head = p == c.first ? c.head : 0;
    const std::size_t tail = p == c.end - 1 ? c.tail : 0;
    std::uint8_t *data = pool_.data(to);
    if (head + tail == 0) { // at less cost
        std::memcpy(data, bytes(from), page_bytes);
        return;
    }
    std::memset(data, 0, head);
    std::memcpy(data + head, bytes(from) + head, page_bytes - head - tail);
    std::memset(data + page_bytes - tail, 0, tail);
}

// The number of a large frame that has the pages of a cut: the others are zero.
Frame Engine::make_large(Frame first, const Cut &c) const {
    const std::size_t rest = large_frames - c.pages();
    std::memset(pool_.data(first + c.pages()), 0, rest * page_bytes);
    return first | large_bit;
}

// The first frame of a large one, which the guest holds; or no_frame. For the
// pages alone there are frames.
Frame Engine::take_large_for(const Cut &c) {
    return c.fits_large() && pool_.available() >= large_frames + rx_reserve_
               ? pool_.take_large(Holder::guest)
               : no_frame;
}

snapmem_status Engine::find_source(std::uint32_t handle, std::uint64_t offset,
                                   std::uint32_t length, std::size_t room,
                                   Source &source) const {
    Region *r = regions_.find(handle);
    const Snapshot *s = r == nullptr ? snapshots_.find(handle) : nullptr;
    if (r == nullptr && s == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    if (length == 0 || length > SNAPMEM_CAPTURE_BYTES_MAX) {
        return SNAPMEM_BAD_LENGTH;
    }
    const PageMap &map = r != nullptr ? r->map : s->map;
    const std::uint64_t size = std::uint64_t{map.npages} * page_bytes;
    if (offset > size || length > size - offset) {
        return SNAPMEM_BAD_OFFSET;
    }
    source = {r, &map, cut(offset, length)};
    return room < source.cut.pages() ? SNAPMEM_BAD_LENGTH : SNAPMEM_OK;
}

bool Engine::capture_in_lane(std::uint32_t lane, std::uint32_t handle,
                             std::uint64_t offset, std::uint32_t length,
                             std::span<Frame> frames, std::uint32_t &nframes,
                             bool large) {
    Source source;
    if (find_source(handle, offset, length, frames.size(), source) !=
            SNAPMEM_OK ||
        source.region == nullptr) {
        return false;
    }
    const Cut &c = source.cut;
    const std::uint32_t wholes = c.wholes();
    const bool share =
        !copies_always(c) && (mode_ == SNAPMEM_SHARE ||
                              source.region->policy.goes_on_sharing(wholes));
    if (!(share ? share_in_lane(lane, source, frames, nframes)
                : copy_in_lane(lane, source, frames, nframes, large))) {
        return false;
    }
    const std::uint64_t shared = share ? wholes * page_bytes : 0;
    Tally &t = tallies_[lane];
    ++t.captures;
    t.shared_bytes += shared;
    t.copied_bytes += length - shared;
    return true;
}

bool Engine::lanes_may_promise(const Region &r) const {
    const std::uint64_t rebinds =
        std::uint64_t{ledger_.rebinds()} + pool_.lanes_promise();
    return pool_.lanes_may_promise() &&
           window_.segments() + rebinds * Window::rebind_cost <=
               (r.limited ? map_budget_ / 2 : map_budget_);
}

// Whole pages are armed, and have been captured since; so the guest gets one
// hold more on each.
bool Engine::share_in_lane(std::uint32_t lane, const Source &source,
                           std::span<Frame> frames, std::uint32_t &nframes) {
    const Cut &c = source.cut;
    Region &r = *source.region;
    const std::uint32_t copies = c.pages() - c.wholes();
    const std::span<const Frame> fresh = pool_.cached(lane, copies);
    if (!lanes_may_promise(r) || fresh.size() < copies) {
        return false;
    }
    std::uint32_t n = 0;
    bool fit = true;
    maps_.each(*source.map, c.first, c.pages(), [&](Page p, Frame f) {
        fit = fit && f != no_frame &&
              (!c.is_whole(p) || (!r.writable.has(p) && pool_.may_share(f)));
        frames[n++] = f;
    });
    if (!fit ||
        !pool_.share(lane, slot(r),
                     frames.subspan(c.whole_first - c.first, c.wholes()))) {
        return false;
    }
    std::size_t copied = 0;
    for (Page p = c.first; p < c.end; ++p) {
        if (!c.is_whole(p)) {
            Frame &f = frames[p - c.first];
            copy_page(fresh[copied], f, p, c);
            f = fresh[copied++];
        }
    }
    pool_.hand_out(lane, copies);
    nframes = n;
    if (mode_ == SNAPMEM_AUTO) {
        r.policy.shared(c.wholes());
    }
    std::atomic_ref(r.shared_pages)
        .fetch_add(c.wholes(), std::memory_order_relaxed);
    if (copies != 0) {
        std::atomic_ref(r.copied_pages)
            .fetch_add(copies, std::memory_order_relaxed);
    }
    return true;
}

bool Engine::copy_in_lane(std::uint32_t lane, const Source &source,
                          std::span<Frame> frames, std::uint32_t &nframes,
                          bool large) {
    const Cut &c = source.cut;
    std::span<const Frame> fresh;
    large = large && c.fits_large();
    if (large) {
        fresh = pool_.cached_large(lane);
        large = !fresh.empty() || pool_.has_large();
    }
    if (!large) {
        fresh = pool_.cached(lane, c.pages());
    }
    if (fresh.empty()) {
        return false;
    }
    // What is captured stands where the answer will.
    std::uint32_t n = 0;
    bool hole = false;
    maps_.each(*source.map, c.first, c.pages(), [&](Page, Frame f) {
        hole = hole || f == no_frame;
        frames[n++] = f;
    });
    Region &r = *source.region;
    if (hole || !(copies_always(c) ||
                  (mode_ == SNAPMEM_AUTO && r.policy.copies(c.wholes())))) {
        return false;
    }
    for (std::uint32_t i = 0; i < n; ++i) {
        copy_page(fresh[i], frames[i], c.first + i, c);
        frames[i] = fresh[i];
    }
    nframes = n;
    if (large) {
        nframes = 1;
        frames[0] = make_large(fresh.front(), c);
    }
    pool_.hand_out(lane, static_cast<std::uint32_t>(fresh.size()));
    std::atomic_ref(r.copied_pages).fetch_add(n, std::memory_order_relaxed);
    return true;
}

snapmem_status Engine::capture(std::uint32_t handle, std::uint64_t offset,
                               std::uint32_t length, std::span<Frame> frames,
                               std::uint32_t &nframes, std::uint32_t queue,
                               bool large) {
    const std::uint32_t lane = lane_of(queue);
    if (lock_.try_lock_lane(lane)) {
        const bool done = capture_in_lane(lane, handle, offset, length, frames,
                                          nframes, large);
        lock_.unlock_lane(lane);
        if (done) {
            return SNAPMEM_OK;
        }
    }
    const Lock lock(*this);
    Source source;
    snapmem_status status =
        find_source(handle, offset, length, frames.size(), source);
    if (status != SNAPMEM_OK) {
        return status;
    }
    Region *r = source.region;
    const PageMap &map = *source.map;
    const Cut &c = source.cut;

    bool share = r == nullptr || wants_share(*r, c);
    const auto need = [&] { return Need{frames_needed(map, c, share), 0}; };
    status = afford(0, SNAPMEM_QUOTA_NONE, need, Look::step);
    if (status == SNAPMEM_OK && share &&
        !(r != nullptr ? prepare_share(*r, c) : prepare_share(map, c))) {
        share = false;
        status = afford(0, SNAPMEM_QUOTA_NONE, need, Look::step);
    }
    if (status != SNAPMEM_OK) {
        return status;
    }

    // Nothing fails from here on. Shared pages are armed by now: a store
    // that raced has landed wholly before, or waits for the lock.
    std::uint32_t n = 0;
    const Frame first = large && !share ? take_large_for(c) : no_frame;
    maps_.each(map, c.first, c.pages(), [&](Page p, Frame f) {
        if (first != no_frame) {
            copy_page(first + n++, f, p, c);
        } else if (share && c.is_whole(p) && f != no_frame &&
                   pool_.takes_one_hold(f)) {
            pool_.add(f, Holder::guest);
            if (r != nullptr) {
                pool_.set_captured(f, true);
            }
            frames[n++] = f;
        } else {
            frames[n] = f == no_frame ? pool_.take_zero(Holder::guest)
                                      : pool_.take(Holder::guest);
            if (f != no_frame) {
                copy_page(frames[n], f, p, c);
            }
            ++n;
        }
    });
    nframes = n;
    if (first != no_frame) {
        nframes = 1;
        frames[0] = make_large(first, c);
    }
    const std::uint32_t shared = share ? c.wholes() : 0;
    if (r != nullptr) {
        r->policy.shared(shared);
        r->shared_pages += shared;
        r->copied_pages += n - shared;
    }
    ++counters_.captures;
    counters_.shared_bytes += shared * page_bytes;
    counters_.copied_bytes += length - shared * page_bytes;
    if (shared != n) {
        pool_.refill(lane);
    }
    return SNAPMEM_OK;
}

} // namespace snapmem_impl
