// SPDX-License-Identifier: LGPL-2.1-or-later
#include "free_frames.hpp"

#include <algorithm>

namespace snapmem_impl {

namespace {

// Where runs of n bits start. O(log n).
std::uint64_t run_starts(std::uint64_t bits, std::uint32_t n) {
    for (std::uint32_t len = 1; len < n && bits != 0;) {
        const std::uint32_t step = std::min(len, n - len);
        bits &= bits >> step;
        len += step;
    }
    return bits;
}

} // namespace

FreeFrames::FreeFrames(std::uint32_t frames)
    : bits_((frames + 63) / 64, ~std::uint64_t{0}),
      links_((frames + group_frames - 1) / group_frames + 2),
      last_full_(0xffffU >> (-frames % group_frames)), count_(frames) {
    if (frames % 64 != 0) {
        bits_.back() >>= 64 - frames % 64;
    }
    links_[partly()] = {partly(), partly()};
    links_[wholly()] = {wholly(), wholly()};
    for (Group g = groups(); g-- > 0;) {
        link(g);
    }
}

void FreeFrames::link(Group g) {
    const Group head = list_of(g);
    const bool short_one = head == wholly() && mask(g) != 0xffff;
    const Group prev = short_one ? links_[head].prev : head;
    const Group next = links_[prev].next;
    links_[g] = {next, prev};
    links_[prev].next = g;
    links_[next].prev = g;
}

void FreeFrames::unlink(Group g) {
    const Links links = links_[g];
    links_[links.prev].next = links.next;
    links_[links.next].prev = links.prev;
}

void FreeFrames::add(Frame f) {
    const Group g = f / group_frames;
    if (mask(g) != 0) {
        unlink(g);
    }
    bits_[f / 64] |= std::uint64_t{1} << (f % 64);
    ++count_;
    link(g);
}

void FreeFrames::remove(Frame f) {
    const Group g = f / group_frames;
    const bool whole = list_of(g) == wholly();
    bits_[f / 64] &= ~(std::uint64_t{1} << (f % 64));
    --count_;
    if (whole || mask(g) == 0) {
        unlink(g);
        if (mask(g) != 0) {
            link(g);
        }
    }
}

// Of the groups of its word that are in the list, the first one is as good as
// the one in front.
FreeFrames::Group FreeFrames::first(Group head) const {
    const Group front = links_[head].next;
    Group g = front & ~Group{3};
    while (mask(g) == 0 || list_of(g) != head) {
        ++g;
    }
    return g;
}

Frame FreeFrames::next() const {
    const Group g = first(empty(partly()) ? wholly() : partly());
    return g * group_frames + static_cast<Frame>(std::countr_zero(mask(g)));
}

Frame FreeFrames::find_few(std::uint32_t n) const {
    for (const Group head : {partly(), wholly()}) {
        if (empty(head)) {
            continue;
        }
        const Group g = first(head);
        const std::uint64_t starts = run_starts(mask(g), n);
        if (starts != 0) {
            return g * group_frames +
                   static_cast<Frame>(std::countr_zero(starts));
        }
    }
    return no_frame;
}

Frame FreeFrames::find_run(std::uint32_t n, Frame below) {
    std::uint32_t run = 0; // free frames right above word w
    Frame top = below;     // their end
    for (std::uint32_t w = (below + 63) / 64; w-- > 0;) {
        ++searched_;
        std::uint64_t bits = bits_[w];
        if (w == below / 64) {
            bits &= (std::uint64_t{1} << (below % 64)) - 1;
        }
        if (run == 0) {
            top = (w + 1) * 64;
        }
        const auto lead = static_cast<std::uint32_t>(std::countl_one(bits));
        if (run + lead >= n) {
            return top - n;
        }
        if (lead == 64) {
            run += lead;
            continue;
        }
        const std::uint64_t starts = n < 64 ? run_starts(bits, n) : 0;
        if (starts != 0) {
            return w * 64 + 63 - static_cast<Frame>(std::countl_zero(starts));
        }
        run = static_cast<std::uint32_t>(std::countr_one(bits));
        top = w * 64 + run;
    }
    return no_frame;
}

const char *FreeFrames::check() const {
    std::uint32_t count = 0;
    Group listed = 0;
    for (Group g = 0; g < groups(); ++g) {
        count += static_cast<std::uint32_t>(std::popcount(mask(g)));
        listed += mask(g) != 0;
        if ((mask(g) & ~full(g)) != 0) {
            return "a frame that does not exist is free";
        }
    }
    if (count != count_) {
        return "the count of listed frames is wrong";
    }
    for (const Group head : {partly(), wholly()}) {
        for (Group g = links_[head].next, prev = head;; g = links_[g].next) {
            if (links_[g].prev != prev) {
                return "a list of free frames is damaged";
            }
            if (g == head) {
                break;
            }
            if (mask(g) == 0 || list_of(g) != head || listed-- == 0) {
                return "a group of frames is in the wrong list";
            }
            prev = g;
        }
    }
    return listed == 0 ? nullptr : "a group of free frames is in no list";
}

} // namespace snapmem_impl
