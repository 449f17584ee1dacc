// SPDX-License-Identifier: LGPL-2.1-or-later
#include "frame_pool.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <sys/mman.h>
#include <sys/uio.h>

// Since Linux 5.14: older headers lack it.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace snapmem_impl {

namespace {

constexpr std::uint32_t one_less = ~std::uint32_t{0}; // modular
constexpr std::size_t populate_min = 8;               // frames
constexpr std::uint32_t never = 1U << 31;             // so many are free

} // namespace

FramePool::FramePool(const Fd &file, std::uint32_t frames, Ledger &ledger,
                     const FrameCaches &caches)
    : ledger_(ledger), file_(file), memory_(file, 0, frames * page_bytes),
      entries_(frames), listed_(frames), used_bits_((frames + 63) / 64),
      free_(frames), cache_frames_(caches.frames),
      cache_above_(caches.frames != 0 ? caches.reserve + caches.frames : never),
      caches_(caches.lanes) {
    for (Cache &c : caches_) {
        c.frames.reserve(cache_frames_);
    }
    update_available();
}

void FramePool::update_available() {
    // What is settled is among what is kept, and counted by lanes.
    available_.store(free_ - ledger_.kept() + settled_,
                     std::memory_order_relaxed);
    if (plenty() != caching_) {
        caching_ = !caching_;
        empty_caches();
    }
}

// by: 1, or the modular -1. A free frame counts for nobody but as free.
void FramePool::count(const Entry &e, std::uint32_t by) {
    if (e.is_free()) {
        free_ += by;
        return;
    }
    ledger_.count_frame(e.mark.owner, by);
    if (e.guest != 0) {
        guest_ += by;
    }
    if (e.maps != 0) {
        mapped_ += by;
    }
    if (is_own(e)) {
        ledger_.count_own(e.mark.slot, e.held(), by);
    }
    if (e.mark.shown == Shown::once && e.held()) {
        ledger_.count_rebind(e.mark.slot, by);
    }
}

// Every change of holds goes through here, so the levels, the free list and
// the ledger cannot drift from the entries. The frame is not free before.
template <typename Change>
void FramePool::reclassify(Frame f, Change change) {
    Entry &e = entries_[f];
    count(e, one_less);
    change(e);
    count(e, 1);
    if (e.is_free()) {
        if (f == zero_) {
            zero_ = no_frame;
        }
        list(f);
    }
    update_available();
}

void FramePool::list(Frame f) {
    used_bits_[f / 64] |= std::uint64_t{1} << (f % 64);
    listed_.add(f);
}

// ---- Caches -----------------------------------------------------------------

std::span<const Frame> FramePool::cached(std::uint32_t lane,
                                         std::uint32_t n) const {
    const std::span<const Frame> all(caches_[lane].frames);
    return n <= all.size() ? all.last(n) : std::span<const Frame>();
}

// In a cache that is sorted they follow each other, and while it is not, those
// that came back together do.
std::span<const Frame> FramePool::cached_large(std::uint32_t lane) {
    std::vector<Frame> &frames = caches_[lane].frames;
    for (auto end = frames.end(); end - frames.begin() >= large_frames; --end) {
        const auto first = end - large_frames;
        if (*first % large_frames == 0 &&
            std::adjacent_find(first, end, [](Frame a, Frame b) {
                return b != a + 1;
            }) == end) {
            std::rotate(first, end, frames.end());
            return cached(lane, large_frames);
        }
    }
    return {};
}

// Only now may the guest give them back, to any lane: they have been filled.
void FramePool::hand_out(std::uint32_t lane, std::uint32_t n) {
    Cache &c = caches_[lane];
    for (const Frame f : cached(lane, n)) {
        std::atomic_ref(entries_[f].guest).store(1, std::memory_order_release);
    }
    c.frames.resize(c.frames.size() - n);
    c.out.add(n);
}

// What others than the guest have of a frame, and its mark, is written by
// nobody who has no more than a lane.
bool FramePool::drop_last(Frame f) {
    Entry &e = entries_[f];
    std::uint32_t last = 1;
    return std::atomic_ref(e.guest).load(std::memory_order_relaxed) == last &&
           e.device == 0 && e.maps == 0 && e.mark.owner == 0 && f != zero_ &&
           std::atomic_ref(e.guest).compare_exchange_strong(
               last, 0, std::memory_order_acquire, std::memory_order_relaxed);
}

bool FramePool::take_back(std::uint32_t lane, Frame first, std::uint32_t n) {
    Cache &c = caches_[lane];
    if (!caching_ || cache_frames_ - c.frames.size() < n || first >= frames() ||
        frames() - first < n) {
        return false;
    }
    std::uint32_t dropped = 0;
    while (dropped < n && drop_last(first + dropped)) {
        ++dropped;
    }
    if (dropped < n) {
        // Who looks meanwhile finds no hold, and then asks with the lock.
        while (dropped-- > 0) {
            std::atomic_ref(entries_[first + dropped].guest)
                .store(1, std::memory_order_release);
        }
        return false;
    }
    for (Frame f = first; f < first + n; ++f) {
        c.frames.push_back(f);
    }
    c.out.add(0 - n);
    c.unsorted += n;
    return true;
}

void FramePool::sort_cache(std::uint32_t lane) {
    Cache &c = caches_[lane];
    if (c.unsorted >= cache_frames_ / 2) {
        std::sort(c.frames.begin(), c.frames.end());
        c.unsorted = 0;
    }
}

void FramePool::refill(std::uint32_t lane) {
    std::vector<Frame> &frames = caches_[lane].frames;
    const std::uint32_t half = cache_frames_ / 2;
    if (caching_ && frames.size() < half && plenty(half)) {
        while (frames.size() < half) {
            const Frame f = listed_.next();
            listed_.remove(f);
            entries_[f].mark = Mark{};
            frames.push_back(f);
        }
    }
}

void FramePool::spill(std::uint32_t lane) {
    std::vector<Frame> &frames = caches_[lane].frames;
    if (frames.size() + large_frames <= cache_frames_ ||
        frames.size() < cache_frames_ / 2) {
        return;
    }
    const auto half = frames.begin() + cache_frames_ / 2;
    std::for_each(frames.begin(), half, [this](Frame f) { list(f); });
    frames.erase(frames.begin(), half);
}

void FramePool::empty_caches() {
    for (Cache &c : caches_) {
        for (const Frame f : c.frames) {
            list(f);
        }
        c.frames.clear();
    }
}

// ---- Holds on frames of regions, by lanes ----------------------------------

FramePool::Promises *FramePool::Cache::promises_of(Slot slot) {
    const auto end = unsettled.begin() + regions;
    const auto at = std::find_if(unsettled.begin(), end,
                                 [&](Promises p) { return p.slot == slot; });
    if (at == end) {
        if (end == unsettled.end()) {
            return nullptr;
        }
        *at = {slot, 0};
        ++regions;
    }
    return &*at;
}

bool FramePool::share(std::uint32_t lane, Slot slot,
                      std::span<const Frame> frames) {
    Cache &c = caches_[lane];
    Promises *promises = c.promises_of(slot);
    std::uint32_t before = 0; // since settle()
    for (std::uint32_t i = 0; i < c.regions; ++i) {
        before += c.unsettled[i].n;
    }
    if (promises == nullptr ||
        static_cast<std::int32_t>(before + frames.size()) >
            static_cast<std::int32_t>(cache_frames_)) {
        return false;
    }
    std::uint32_t first = 0;
    for (const Frame f : frames) {
        Entry &e = entries_[f];
        const std::uint32_t holds =
            std::atomic_ref(e.guest).fetch_add(1, std::memory_order_relaxed);
        first += holds == 0;
    }
    promises->n += first;
    c.promised.add(first);
    return true;
}

bool FramePool::unshare(std::uint32_t lane, Frame f) {
    Entry &e = entries_[f];
    if (!promises(e)) {
        return false;
    }
    Cache &c = caches_[lane];
    Promises *promises = c.promises_of(e.mark.slot);
    if (promises == nullptr) {
        return false;
    }
    const std::atomic_ref guest(e.guest);
    std::uint32_t holds = guest.load(std::memory_order_relaxed);
    do {
        if (holds == 0) {
            return false;
        }
    } while (!guest.compare_exchange_weak(holds, holds - 1,
                                          std::memory_order_relaxed));
    if (holds == 1) {
        --promises->n;
        c.promised.add(one_less);
    }
    return true;
}

void FramePool::settle() {
    bool changed = false;
    for (Cache &c : caches_) {
        for (; c.regions != 0; --c.regions) {
            const Promises &p = c.unsettled[c.regions - 1];
            ledger_.count_own_held(p.slot, p.n);
            ledger_.count_rebind(p.slot, p.n);
            guest_ += p.n;
            settled_ += p.n;
            changed = true;
        }
    }
    if (changed) {
        update_available();
    }
}

// ---- All frames -------------------------------------------------------------

void FramePool::take_at(Frame f, Holder who, Owner owner) {
    Entry &e = entries_[f];
    listed_.remove(f);
    --free_;
    e.mark = Mark{};
    e.mark.owner = owner;
    e.holds(who) = 1;
    count(e, 1);
    update_available();
}

Frame FramePool::take(Holder who, Owner owner) {
    const Frame f = listed_.next();
    take_at(f, who, owner);
    return f;
}

Frame FramePool::take_zero(Holder who) {
    if (zero_ != no_frame && takes_one_hold(zero_)) {
        add(zero_, who);
        return zero_;
    }
    const Frame f = take(who);
    clear({&f, 1});
    zero_ = f;
    return f;
}

void FramePool::clear(std::span<const Frame> frames) {
    while (!frames.empty()) {
        const Frame first = frames.front();
        std::size_t n = 0;
        while (n < frames.size() && frames[n] == first + n &&
               was_used(frames[n])) {
            ++n;
        }
        // To map many at once is much cheaper than a fault for each; it is no
        // more than a hint.
        if (n >= populate_min) {
            madvise(data(first), n * page_bytes, MADV_POPULATE_WRITE);
        }
        std::memset(data(first), 0, n * page_bytes);
        cleared_ += n;
        frames = frames.subspan(std::max<std::size_t>(n, 1));
    }
}

// Frames that were never freed have no memory of the host, as a rule. Where it
// comes with a write to the file, the kernel neither clears it nor takes a
// fault for each page, which is most of what a copy takes then. The pool's
// mapping does not have the page for that, so the next copy to the frame looks
// at it first: a read maps what the file has around the page as well, to be
// written, too; a write would map that page alone.
void FramePool::fill(std::span<const Frame> frames,
                     std::span<const std::uint8_t *const> pages) {
    while (!frames.empty()) {
        std::array<iovec, 16> parts{};
        std::size_t n = 0;
        while (n < std::min(frames.size(), parts.size()) &&
               frames[n] == frames.front() + n && !was_used(frames[n])) {
            // Only read; iovec has one type for both ways.
            // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
            parts[n] = {const_cast<std::uint8_t *>(pages[n]), page_bytes};
            ++n;
        }
        const bool written =
            n != 0 &&
            pwritev(file_.get(), parts.data(), static_cast<int>(n),
                    static_cast<off_t>(frames.front() * page_bytes)) ==
                static_cast<ssize_t>(n * page_bytes);
        n = std::max<std::size_t>(n, 1);
        for (std::size_t i = 0; !written && i < n; ++i) {
            (void)*static_cast<const volatile std::uint8_t *>(data(frames[i]));
            std::memcpy(data(frames[i]), pages[i], page_bytes);
        }
        frames = frames.subspan(n);
        pages = pages.subspan(n);
    }
}

void FramePool::add(Frame f, Holder who) {
    reclassify(f, [who](Entry &e) { ++e.holds(who); });
}

void FramePool::drop(Frame f, Holder who) {
    reclassify(f, [who](Entry &e) { --e.holds(who); });
}

void FramePool::drop_all_guest_holds() {
    empty_caches();
    for (Frame f = 0; f < frames(); ++f) {
        if (entries_[f].guest != 0) {
            reclassify(f, [](Entry &e) { e.guest = 0; });
        }
    }
}

// No level and no account changes: both frames have map holds and no others.
// What windows show stays, and an epoch is worth nothing beside another slot.
void FramePool::exchange(Frame a, Frame b) {
    Entry &ea = entries_[a];
    Entry &eb = entries_[b];
    std::swap(ea.maps, eb.maps);
    std::swap(ea.mark.owner, eb.mark.owner);
    ea.mark.epoch = 0;
    eb.mark.epoch = 0;
}

// A mark of the slot's does not become another's.
void FramePool::show(Frame f, Slot slot) {
    Entry &e = entries_[f];
    Mark &m = e.mark;
    if (m.shown == Shown::once) {
        forget_shower(f);
    }
    if (m.shown == Shown::often || e.held()) {
        ledger_.count_rebind(slot, 1);
    }
    if (m.shown == Shown::never) {
        m.shown = Shown::once;
        if (m.slot != slot) {
            m.slot = slot;
            m.epoch = 0;
        }
    }
}

void FramePool::forget_shower(Frame f) {
    Entry &e = entries_[f];
    if (!e.held()) {
        ledger_.count_rebind(e.mark.slot, 1);
    }
    e.mark.shown = Shown::often;
}

void FramePool::hide(Frame f, Slot slot) {
    Entry &e = entries_[f];
    if (e.mark.shown == Shown::often || e.held()) {
        ledger_.count_rebind(slot, one_less);
    }
    if (e.mark.shown == Shown::once) {
        e.mark.shown = Shown::never;
    }
}

// It is in one map, so one page shows it, or will.
void FramePool::own(Frame f, Slot slot) {
    reclassify(f, [&](Entry &e) {
        e.mark.slot = slot;
        e.mark.epoch = ledger_.epoch(slot);
        if (e.mark.shown == Shown::often) {
            ledger_.count_rebind(slot, one_less);
            e.mark.shown = Shown::once;
        }
    });
}

void FramePool::disown_all(Slot slot) {
    if (ledger_.disown_all(slot)) {
        for (Entry &e : entries_) {
            if (!e.is_free() && e.mark.slot == slot) {
                e.mark.epoch = 0;
            }
        }
    }
    update_available();
}

std::size_t FramePool::take_run(Frame first, std::uint32_t n, Holder who,
                                Owner owner, std::span<Frame> out) {
    while (n < out.size() && first > 0 && listed_.has(first - 1)) {
        --first;
        ++n;
    }
    for (std::uint32_t i = 0; i < n; ++i) {
        take_at(first + i, who, owner);
        out[i] = first + i;
    }
    return n;
}

// From the top of the pool, away from the frames that captures reuse.
void FramePool::take_runs(Holder who, Owner owner, std::span<Frame> out) {
    auto want = static_cast<std::uint32_t>(out.size());
    Frame below = frames();
    while (!out.empty()) {
        want = std::min(want, static_cast<std::uint32_t>(out.size()));
        const Frame first = listed_.find_run(want, below);
        if (first == no_frame) {
            // All runs this long are used up: look for shorter ones.
            want = (want + 7) / 8;
            below = frames();
            continue;
        }
        const std::size_t n = take_run(first, want, who, owner, out);
        below = out[0];
        out = out.subspan(n);
    }
}

void FramePool::take_few(Holder who, Owner owner, std::span<Frame> out) {
    Frame first = listed_.find_few(static_cast<std::uint32_t>(out.size()));
    for (Frame &f : out) {
        f = first != no_frame ? first++ : listed_.next();
        take_at(f, who, owner);
    }
}

// Nobody lacks one because a cache has it.
void FramePool::list_large() {
    for (std::uint32_t lane = 0; lane < caches_.size(); ++lane) {
        const std::span<const Frame> cached = cached_large(lane);
        if (!cached.empty()) {
            std::for_each(cached.begin(), cached.end(),
                          [this](Frame f) { list(f); });
            std::vector<Frame> &frames = caches_[lane].frames;
            frames.resize(frames.size() - large_frames);
            return;
        }
    }
}

Frame FramePool::take_large(Holder who) {
    if (!has_large()) {
        list_large();
    }
    const Frame first = listed_.find_few(large_frames);
    if (first != no_frame) {
        for (Frame f = first; f < first + large_frames; ++f) {
            take_at(f, who, 0);
        }
    }
    return first;
}

const char *FramePool::check() const {
    std::uint32_t free = 0;
    std::uint32_t guest = 0;
    std::uint32_t mapped = 0;
    for (Frame f = 0; f < frames(); ++f) {
        const Entry &e = entries_[f];
        free += e.is_free();
        guest += e.guest != 0;
        mapped += e.maps != 0;
        if (listed_.has(f) && !e.is_free()) {
            return "a free bit is wrong";
        }
        if (!e.is_free() && is_own(e) && e.maps != 1) {
            return "an own frame is in several maps";
        }
        if (!e.is_free() && e.maps == 0 && e.mark.shown == Shown::once) {
            return "a window shows a frame of no map";
        }
    }
    if (free != this->free() || guest != this->guest() || mapped != mapped_) {
        return "a level of the pool is wrong";
    }
    if (free < ledger_.kept()) {
        return "fewer free frames than are kept for stores and nodes";
    }
    if (available() != free - ledger_.kept()) {
        return "the mirror of the available frames is wrong";
    }
    if (zero_ != no_frame) {
        const std::uint8_t *p = data(zero_);
        if (entries_[zero_].is_free() ||
            std::any_of(p, p + page_bytes, [](auto b) { return b != 0; })) {
            return "the frame of zeros is none";
        }
    }
    return check_lists();
}

// Each free frame is listed, or in one cache.
const char *FramePool::check_lists() const {
    if (const char *message = listed_.check()) {
        return message;
    }
    std::uint32_t listed = listed_.count();
    std::vector<bool> seen(frames());
    for (const Cache &c : caches_) {
        for (const Frame f : c.frames) {
            if (seen[f] || listed_.has(f) || !entries_[f].is_free()) {
                return "a cache has a frame that is not free";
            }
            seen[f] = true;
            ++listed;
        }
    }
    if (listed != listed_.count() && !plenty()) {
        return "caches have frames that are kept for others";
    }
    return listed == free() ? nullptr : "a free frame is nowhere";
}

} // namespace snapmem_impl
