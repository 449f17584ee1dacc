// SPDX-License-Identifier: LGPL-2.1-or-later
#include "frame_pool.hpp"

#include <algorithm>

namespace snapmem_impl {

FramePool::FramePool(const Fd &file, std::uint32_t frames)
    : memory_(file, 0, frames * page_bytes), entries_(frames),
      free_bits_((frames + 63) / 64) {
    for (Frame f = frames; f-- > 0;) {
        link_free(f);
    }
    free_ = frames;
    available_ = frames;
}

// by: 1, or the modular -1.
void FramePool::count(const Entry &e, std::uint32_t by) {
    if (e.is_free()) {
        free_ += by;
    }
    if (e.guest != 0) {
        guest_ += by;
    }
    if (e.region) {
        region_ += by;
        if (e.held()) {
            reserved_ += by;
        }
    }
}

// Every change of holds goes through here, so the levels, the free list and
// the atomic mirror cannot drift from the entries.
template <typename Change>
void FramePool::reclassify(Frame f, Change change) {
    Entry &e = entries_[f];
    const bool was_free = e.is_free();
    count(e, ~std::uint32_t{0});
    change(e);
    count(e, 1);
    if (was_free && !e.is_free()) {
        unlink_free(f);
    } else if (!was_free && e.is_free()) {
        link_free(f);
    }
    // Below zero only in the middle of a copy-on-write, under the mutex.
    available_.store(free_ > reserved_ ? free_ - reserved_ : 0,
                     std::memory_order_relaxed);
}

void FramePool::link_free(Frame f) {
    entries_[f].prev = none;
    entries_[f].next = head_;
    if (head_ != none) {
        entries_[head_].prev = f;
    }
    head_ = f;
    free_bits_[f / 64] |= std::uint64_t{1} << (f % 64);
}

void FramePool::unlink_free(Frame f) {
    Entry &e = entries_[f];
    if (e.prev != none) {
        entries_[e.prev].next = e.next;
    } else {
        head_ = e.next;
    }
    if (e.next != none) {
        entries_[e.next].prev = e.prev;
    }
    free_bits_[f / 64] &= ~(std::uint64_t{1} << (f % 64));
}

Frame FramePool::take(Holder who) {
    const Frame f = head_;
    add(f, who);
    return f;
}

void FramePool::add(Frame f, Holder who) {
    reclassify(f, [who](Entry &e) {
        switch (who) {
        case Holder::guest:
            ++e.guest;
            break;
        case Holder::device:
            ++e.device;
            break;
        case Holder::region:
            e.region = true;
            break;
        }
    });
}

void FramePool::drop(Frame f, Holder who) {
    reclassify(f, [who](Entry &e) {
        switch (who) {
        case Holder::guest:
            --e.guest;
            break;
        case Holder::device:
            --e.device;
            break;
        case Holder::region:
            e.region = false;
            break;
        }
    });
}

void FramePool::drop_all_guest_holds() {
    for (Frame f = 0; f < frames(); ++f) {
        if (entries_[f].guest != 0) {
            reclassify(f, [](Entry &e) { e.guest = 0; });
        }
    }
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
    return none;
}

// From the top of the pool, away from the frames that captures reuse.
void FramePool::take_runs(Holder who, std::vector<Frame> &out) {
    const auto total = static_cast<std::uint32_t>(out.size());
    std::uint32_t done = 0;
    std::uint32_t want = total;
    Frame below = frames();
    while (done < total) {
        want = std::min(want, total - done);
        const Frame first = find_run(want, below);
        if (first == none) {
            // All runs this long are used up: look for shorter ones.
            want = (want + 1) / 2;
            below = frames();
            continue;
        }
        for (Frame f = first; f < first + want; ++f) {
            add(f, who);
            out[done++] = f;
        }
        below = first;
    }
}

const char *FramePool::check() const {
    std::uint32_t free = 0;
    std::uint32_t guest = 0;
    std::uint32_t region = 0;
    std::uint32_t reserved = 0;
    for (Frame f = 0; f < frames(); ++f) {
        const Entry &e = entries_[f];
        free += e.is_free();
        guest += e.guest != 0;
        region += e.region;
        reserved += e.region && e.held();
        if ((free_bits_[f / 64] >> (f % 64) & 1) != e.is_free()) {
            return "a free bit is wrong";
        }
    }
    if (free != free_ || guest != guest_ || region != region_ ||
        reserved != reserved_) {
        return "a level of the pool is wrong";
    }
    if (free < reserved) {
        return "fewer free frames than promised to stores";
    }
    if (available() != free - reserved) {
        return "the mirror of the available frames is wrong";
    }
    std::uint32_t listed = 0;
    Frame prev = none;
    for (Frame f = head_; f != none; f = entries_[f].next) {
        if (!entries_[f].is_free() || entries_[f].prev != prev ||
            ++listed > free) {
            return "the free list is damaged";
        }
        prev = f;
    }
    return listed == free ? nullptr : "the free list lost a frame";
}

} // namespace snapmem_impl
