// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Other bytes for pages of a region: commit, merge and discard.
//
// Between the call that shows another page in a window and the one that arms
// it a store may land. So a page never shows a frame that somebody else has:
// commit and merge give the region frames of its own, filled before they are
// shown.
#include "engine.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace snapmem_impl {

struct Engine::Change {
    Page page; // of the region
    bool hole; // or a frame
};

namespace {

constexpr std::size_t page_words = page_bytes / SNAPMEM_MERGE_WORD;

using Words = std::array<std::uint64_t, page_words>;

Words words_of(const std::uint8_t *bytes) {
    Words w{};
    std::memcpy(w.data(), bytes, page_bytes);
    return w;
}

// The three of a merge. Words that both sides changed alike are no conflict.
class WordMerge {
  public:
    WordMerge(const std::uint8_t *base, const std::uint8_t *from,
              const std::uint8_t *current)
        : base_(words_of(base)), from_(words_of(from)),
          current_(words_of(current)) {}

    [[nodiscard]] bool conflict(std::size_t i) const {
        return from_[i] != base_[i] && current_[i] != base_[i] &&
               current_[i] != from_[i];
    }
    // Differs from what the region has.
    [[nodiscard]] bool changes(std::size_t i) const {
        return from_[i] != base_[i] && current_[i] != from_[i];
    }
    [[nodiscard]] std::uint64_t result(std::size_t i) const {
        return changes(i) ? from_[i] : current_[i];
    }

  private:
    Words base_, from_, current_;
};

} // namespace

// Show pages, arm them, and make sure that holes are zero. On false some may
// show what they did before, and not be armed.
bool Engine::show(Region &r, std::span<const Change> changes,
                  std::span<const Backing> pages) noexcept {
    for (std::size_t i = 0; i < changes.size();) {
        std::size_t end = i + 1;
        while (end < changes.size() &&
               changes[end].page == changes[end - 1].page + 1) {
            ++end;
        }
        const auto n = static_cast<std::uint32_t>(end - i);
        const Page p = r.first + changes[i].page;
        if (window_.show(p, pages.subspan(i, n), owner(r)) != n ||
            (trap_ && (!trap_->rebound(p, n) || !arm(p, n)))) {
            return false;
        }
        i = end;
    }
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const Page p = r.first + changes[i].page;
        if (pages[i] == window_.scratch(p)) {
            window_.clear_scratch(p, 1);
        }
    }
    return true;
}

// Give the map the frames that the window shows, and drop the others: after
// show(), whatever has become of it.
void Engine::follow_window(Region &r, std::span<const Change> changes,
                           std::span<const Backing> pages) noexcept {
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const Page p = changes[i].page;
        const bool shown = window_.backing(r.first + p) == pages[i];
        r.writable.remove(p);
        if (changes[i].hole) {
            if (shown) {
                maps_.clear(r.map, p, 1);
            }
        } else if (shown) {
            maps_.set(r.map, p, pages[i]);
            pool_.own(pages[i], slot(r));
        } else {
            pool_.drop(pages[i], Holder::map);
        }
    }
    may_reclaim(); // what was replaced may be another region's alone now
    pool_.update_available();
}

// Changes in ascending order; fill(page, to) writes the bytes of each that is
// no hole. All pages of the region are armed. All or nothing; if not even
// nothing can be had, the content of the region is lost.
template <typename Fill>
snapmem_status Engine::apply(Region &r, std::span<const Change> changes,
                             std::uint32_t quota, Fill fill) {
    std::uint32_t fresh = 0;
    const snapmem_status status = afford(ledger_.owner(slot(r)), quota, [&] {
        std::uint32_t promised = 0;
        fresh = 0;
        for (const Change &c : changes) {
            const Frame f = maps_.frame(r.map, c.page);
            fresh += !c.hole;
            promised +=
                !c.hole && (f == no_frame || !pool_.is_own(f) || pool_.held(f));
        }
        return Need{fresh - promised, fresh - promised};
    });
    if (status != SNAPMEM_OK) {
        return status;
    }
    more_.clear();
    more_.add(slot(r), static_cast<std::uint32_t>(changes.size()) - fresh);
    if (!maps_allow(mapper(r), changes.size() * Window::rebind_cost, more_)) {
        return SNAPMEM_NO_MEMORY;
    }
    reserve_nodes();
    std::vector<Frame> frames(fresh);
    std::vector<Backing> after(changes.size());
    std::vector<Backing> before(changes.size()); // the last to throw

    pool_.take_runs(Holder::map, ledger_.owner(slot(r)), frames);
    for (std::size_t i = 0, next = 0; i < changes.size(); ++i) {
        const Page p = changes[i].page;
        before[i] = window_.backing(r.first + p);
        after[i] =
            changes[i].hole ? window_.scratch(r.first + p) : frames[next++];
        if (!changes[i].hole) {
            fill(p, pool_.data(after[i]));
        }
    }
    const bool ok = show(r, changes, after);
    const bool restored = ok || show(r, changes, before);
    follow_window(r, changes, after);
    if (!restored) {
        lose(r);
    }
    return ok ? SNAPMEM_OK : SNAPMEM_NO_MEMORY;
}

snapmem_status Engine::commit(std::uint32_t region, std::uint32_t from,
                              std::uint32_t quota, std::uint64_t &version) {
    const Lock lock(*this);
    Region *r = regions_.find(region);
    const Snapshot *s = snapshots_.find(from);
    if (r == nullptr || s == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    if (r->npages != s->map.npages) {
        return SNAPMEM_BAD_LENGTH;
    }
    // Not dirty: then every page is armed.
    if (r->dirty || r->version != version) {
        ++counters_.conflicts;
        return SNAPMEM_CONFLICT;
    }
    std::vector<Change> changes;
    maps_.diff(r->map, s->map, 0, [&](Page p, Frame, Frame f) {
        changes.push_back({p, f == no_frame});
        return true;
    });
    const snapmem_status status =
        apply(*r, changes, quota, [&](Page p, std::uint8_t *to) {
            std::memcpy(to, bytes(maps_.frame(s->map, p)), page_bytes);
        });
    if (status == SNAPMEM_OK) {
        version = ++r->version;
        ++counters_.commits;
    }
    return status;
}

snapmem_status Engine::merge(std::uint32_t region, std::uint32_t base,
                             std::uint32_t from, std::uint32_t quota,
                             std::span<std::uint64_t> conflicts,
                             std::size_t &nconflicts, std::uint64_t &version) {
    const Lock lock(*this);
    Region *r = regions_.find(region);
    const Snapshot *sb = snapshots_.find(base);
    const Snapshot *sf = snapshots_.find(from);
    nconflicts = 0;
    if (r == nullptr || sb == nullptr || sf == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    if (r->npages != sb->map.npages || r->npages != sf->map.npages) {
        return SNAPMEM_BAD_LENGTH;
    }
    if (!arm_written(*r)) {
        return SNAPMEM_NO_MEMORY;
    }
    std::vector<Change> changes;
    bool conflict = false;
    maps_.diff(sb->map, sf->map, 0, [&](Page p, Frame fb, Frame ff) {
        const Frame current = maps_.frame(r->map, p);
        if (current == ff) {
            return true;
        }
        const WordMerge merge(bytes(fb), bytes(ff), bytes(current));
        bool changed = false;
        for (std::size_t i = 0; i < page_words; ++i) {
            changed = changed || merge.changes(i);
            if (merge.conflict(i)) {
                conflict = true;
                if (nconflicts < conflicts.size()) {
                    conflicts[nconflicts++] =
                        p * page_bytes + i * SNAPMEM_MERGE_WORD;
                }
            }
        }
        if (changed) {
            changes.push_back({p, false});
        }
        return true;
    });
    if (conflict) {
        ++counters_.conflicts;
        return SNAPMEM_CONFLICT;
    }
    // From here on it is as after a snapshot.
    r->writable.clear();
    const snapmem_status status =
        apply(*r, changes, quota, [&](Page p, std::uint8_t *to) {
            const WordMerge merge(bytes(maps_.frame(sb->map, p)),
                                  bytes(maps_.frame(sf->map, p)),
                                  bytes(maps_.frame(r->map, p)));
            for (std::size_t i = 0; i < page_words; ++i) {
                const std::uint64_t word = merge.result(i);
                std::memcpy(to + i * sizeof(word), &word, sizeof(word));
            }
        });
    if (status == SNAPMEM_OK) {
        version = ++r->version;
        r->dirty = false;
        ++counters_.merges;
    }
    return status;
}

snapmem_status Engine::discard(std::uint32_t region, Page first,
                               std::uint32_t n) {
    const Lock lock(*this);
    Region *r = regions_.find(region);
    if (r == nullptr) {
        return SNAPMEM_BAD_REGION;
    }
    if (n == 0) {
        return SNAPMEM_BAD_LENGTH;
    }
    if (first >= r->npages || n > r->npages - first) {
        return SNAPMEM_BAD_OFFSET;
    }
    if (!trap_) {
        maps_.each(r->map, first, n, [&](Page, Frame f) {
            std::memset(pool_.data(f), 0, page_bytes);
        });
        r->dirty = true;
        return SNAPMEM_OK;
    }
    more_.clear();
    more_.add(slot(*r), n);
    if (!maps_allow(mapper(*r), Window::rebind_cost, more_)) {
        return SNAPMEM_NO_MEMORY;
    }
    reserve_nodes();
    const Page p = r->first + first;
    if (!window_.show_scratch(p, n, owner(*r))) {
        return SNAPMEM_NO_MEMORY;
    }
    const bool armed = trap_->rebound(p, n) && arm(p, n);
    window_.clear_scratch(p, n);
    maps_.clear(r->map, first, n);
    for (Page q = first; q < first + n; ++q) {
        r->writable.remove(q);
    }
    r->dirty = true;
    pool_.update_available();
    may_reclaim();
    if (!armed) {
        lose(*r);
        return SNAPMEM_NO_MEMORY;
    }
    return SNAPMEM_OK;
}

} // namespace snapmem_impl
