// SPDX-License-Identifier: LGPL-2.1-or-later
#include "frame_pool.hpp"

#include <algorithm>
#include <cstring>

namespace snapmem_impl {

namespace {

constexpr std::uint32_t one_less = ~std::uint32_t{0}; // modular

} // namespace

FramePool::FramePool(const Fd &file, std::uint32_t frames, Ledger &ledger)
    : ledger_(ledger), memory_(file, 0, frames * page_bytes), entries_(frames),
      free_bits_((frames + 63) / 64) {
    for (Frame f = frames; f-- > 0;) {
        link_free(f);
    }
    free_ = frames;
    update_available();
}

void FramePool::update_available() {
    // Below zero only in the middle of a copy-on-write, under the mutex.
    const std::uint32_t promised = ledger_.promised();
    available_.store(free_ > promised ? free_ - promised : 0,
                     std::memory_order_relaxed);
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
        link_free(f);
    }
    update_available();
}

void FramePool::link_free(Frame f) {
    entries_[f].free = {head_, no_frame};
    if (head_ != no_frame) {
        entries_[head_].free.prev = f;
    }
    head_ = f;
    free_bits_[f / 64] |= std::uint64_t{1} << (f % 64);
}

void FramePool::unlink_free(Frame f) {
    const Links links = entries_[f].free;
    if (links.prev != no_frame) {
        entries_[links.prev].free.next = links.next;
    } else {
        head_ = links.next;
    }
    if (links.next != no_frame) {
        entries_[links.next].free.prev = links.prev;
    }
    free_bits_[f / 64] &= ~(std::uint64_t{1} << (f % 64));
}

void FramePool::take_at(Frame f, Holder who, Owner owner) {
    Entry &e = entries_[f];
    unlink_free(f);
    --free_;
    e.mark = {0, 0, owner};
    e.holds(who) = 1;
    count(e, 1);
    update_available();
}

Frame FramePool::take(Holder who, Owner owner) {
    const Frame f = head_;
    take_at(f, who, owner);
    return f;
}

Frame FramePool::take_zero(Holder who) {
    if (zero_ != no_frame && takes_one_hold(zero_)) {
        add(zero_, who);
        return zero_;
    }
    const Frame f = take(who);
    std::memset(data(f), 0, page_bytes);
    zero_ = f;
    return f;
}

void FramePool::add(Frame f, Holder who) {
    reclassify(f, [who](Entry &e) { ++e.holds(who); });
}

void FramePool::drop(Frame f, Holder who) {
    reclassify(f, [who](Entry &e) { --e.holds(who); });
}

void FramePool::drop_all_guest_holds() {
    for (Frame f = 0; f < frames(); ++f) {
        if (entries_[f].guest != 0) {
            reclassify(f, [](Entry &e) { e.guest = 0; });
        }
    }
}

void FramePool::own(Frame f, Slot slot) {
    reclassify(f, [&](Entry &e) {
        e.mark.slot = slot;
        e.mark.epoch = ledger_.epoch(slot);
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

Frame FramePool::find_run(std::uint32_t n, Frame below) const {
    std::uint32_t run = 0;
    for (Frame f = below; f-- > 0;) {
        if (f % 64 == 63 && free_bits_[f / 64] == 0) {
            f -= 63;
            run = 0;
        } else if ((free_bits_[f / 64] >> (f % 64) & 1) == 0) {
            run = 0;
        } else if (++run == n) {
            return f;
        }
    }
    return no_frame;
}

// From the top of the pool, away from the frames that captures reuse.
void FramePool::take_runs(Holder who, Owner owner, std::span<Frame> out) {
    const auto total = static_cast<std::uint32_t>(out.size());
    std::uint32_t done = 0;
    std::uint32_t want = total;
    Frame below = frames();
    while (done < total) {
        want = std::min(want, total - done);
        const Frame first = find_run(want, below);
        if (first == no_frame) {
            // All runs this long are used up: look for shorter ones.
            want = (want + 1) / 2;
            below = frames();
            continue;
        }
        for (Frame f = first; f < first + want; ++f) {
            take_at(f, who, owner);
            out[done++] = f;
        }
        below = first;
    }
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
        if ((free_bits_[f / 64] >> (f % 64) & 1) != e.is_free()) {
            return "a free bit is wrong";
        }
        if (!e.is_free() && is_own(e) && e.maps != 1) {
            return "an own frame is in several maps";
        }
    }
    if (free != free_ || guest != guest_ || mapped != mapped_) {
        return "a level of the pool is wrong";
    }
    if (free < ledger_.promised()) {
        return "fewer free frames than promised to stores";
    }
    if (available() != free - ledger_.promised()) {
        return "the mirror of the available frames is wrong";
    }
    if (zero_ != no_frame) {
        const std::uint8_t *p = data(zero_);
        if (entries_[zero_].is_free() ||
            std::any_of(p, p + page_bytes, [](auto b) { return b != 0; })) {
            return "the frame of zeros is none";
        }
    }
    std::uint32_t listed = 0;
    Frame prev = no_frame;
    for (Frame f = head_; f != no_frame; f = entries_[f].free.next) {
        if (!entries_[f].is_free() || entries_[f].free.prev != prev ||
            ++listed > free) {
            return "the free list is damaged";
        }
        prev = f;
    }
    return listed == free ? nullptr : "the free list lost a frame";
}

} // namespace snapmem_impl
