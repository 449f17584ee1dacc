// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The invariants of the engine, verified from scratch.
#include "engine.hpp"

#include <algorithm>

namespace snapmem_impl {

// Recount the nodes of all maps, by owner.
const char *Engine::check_nodes() const {
    std::vector<bool> seen;
    std::vector<std::uint32_t> nodes(ledger_.owners());
    std::size_t live = 0;
    std::size_t debt = 0; // what stores may need
    const auto count = [&](const PageMap &m) {
        const std::uint32_t n = maps_.count_nodes(m, seen);
        nodes[m.owner] += n;
        live += n;
    };
    for (const Region &r : regions_) {
        if (!r.used) {
            continue;
        }
        if (r.map.account != slot(r) || r.map.owner != ledger_.owner(slot(r))) {
            return "a map is not its region's";
        }
        count(r.map);
        const std::uint32_t exclusive =
            maps_.each_exclusive(r.map, [](Page, Frame) {});
        if (exclusive < ledger_.exclusive_nodes(slot(r))) {
            return "a region has fewer nodes alone than is known";
        }
        debt += maps_.nodes_for(r.npages) - exclusive;
    }
    for (const Snapshot &s : snapshots_) {
        if (s.used) {
            count(s.map);
        }
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (nodes[i] != ledger_.nodes(static_cast<Owner>(i))) {
            return "the nodes of an owner are not those of its maps";
        }
    }
    if (live != maps_.live()) {
        return "nodes are in no map";
    }
    return maps_.spare() < debt ? "stores lack nodes" : nullptr;
}

// Each version that a map names lies in a frame of its own, which has map
// holds.
const char *Engine::check_versions() const {
    std::vector<Version> in(pool_.frames(), no_version);
    std::uint32_t versions = 0;
    bool two = false;
    const auto look = [&](const PageMap &m) {
        maps_.each(m, 0, m.npages, [&](Page p, Frame f) {
            if (f == no_frame) {
                return;
            }
            const Version v = maps_.version(m, p);
            if (in[f] == no_version) {
                in[f] = v;
                ++versions;
            }
            two = two || in[f] != v || pool_.map_holds(f) == 0;
        });
    };
    for (const Region &r : regions_) {
        if (r.used) {
            look(r.map);
        }
    }
    for (const Snapshot &s : snapshots_) {
        if (s.used) {
            look(s.map);
        }
    }
    if (two) {
        return "a frame has several versions, or none";
    }
    return versions == maps_.versions() && versions == pool_.mapped()
               ? nullptr
               : "versions are in no map";
}

Work Engine::work() const {
    const Lock lock(*this);
    Work w = work_;
    w.searched = pool_.searched();
    w.cleared = pool_.cleared();
    w.counted = window_.counted();
    w.mapped = window_.mapped();
    return w;
}

const char *Engine::check() const {
    const Lock lock(*this);
    if (const char *message = pool_.check()) {
        return message;
    }
    if (const char *message = ledger_.check()) {
        return message;
    }
    if (const char *message = window_.check()) {
        return message;
    }
    if (!maps_allow({}, 0)) {
        return "more mapping segments are promised than the budget has";
    }

    if (const char *message = check_nodes()) {
        return message;
    }
    if (const char *message = check_versions()) {
        return message;
    }

    const char *wrong = nullptr;
    std::uint32_t bound = 0;
    for (const Region &r : regions_) {
        if (!r.used) {
            continue;
        }
        std::uint32_t populated = 0;
        std::uint32_t own = 0;
        std::uint32_t rebinds = 0;
        maps_.each(r.map, 0, r.npages, [&](Page p, Frame f) {
            const Page at = r.first + p;
            rebinds += f == no_frame || pool_.held(f) || pool_.shown_often(f);
            if (window_.owner(at) != owner(r)) {
                wrong = "a page of a region belongs to another one";
            } else if (f == no_frame) {
                if (window_.backing(at) != window_.scratch(at)) {
                    wrong = "a hole shows a frame";
                }
            } else if (window_.backing(at) != f) {
                wrong = "a page does not show its frame";
            } else if (pool_.owner(f) != r.map.owner) {
                wrong = "a frame of a region is charged to somebody else";
            } else {
                ++populated;
                own += pool_.is_own_of(f, slot(r));
            }
            if (r.writable.has(p) &&
                (f == no_frame || !pool_.is_own_of(f, slot(r)) ||
                 pool_.held(f) || !maps_.find(r.map, p).exclusive)) {
                wrong = "a page is writable, and somebody else has its frame";
            }
            if (r.writable.has(p) && !r.dirty) {
                wrong = "a region with writable pages is not dirty";
            }
        });
        if (populated != r.map.populated || own != ledger_.own(slot(r))) {
            wrong = "the pages with frames, or with own ones, are miscounted";
        }
        if (rebinds != ledger_.rebinds(slot(r))) {
            wrong = "the pages that stores may rebind are miscounted";
        }
        bound += r.npages;
    }
    for (const Snapshot &s : snapshots_) {
        if (!s.used) {
            continue;
        }
        std::uint32_t populated = 0;
        maps_.each(s.map, 0, s.map.npages, [&](Page, Frame f) {
            populated += f != no_frame;
            if (f != no_frame && pool_.is_own(f)) {
                wrong = "a frame of a snapshot is a region's own";
            }
            if (f != no_frame &&
                (pool_.owner(f) != s.map.owner ||
                 ledger_.owner_id(s.map.owner) != s.owner_id)) {
                wrong = "a frame of a snapshot is charged to somebody else";
            }
        });
        if (populated != s.map.populated) {
            wrong = "the pages of a snapshot with frames are miscounted";
        }
    }
    for (Page p = 0; p < window_.pages(); ++p) {
        bound -= window_.owner(p) != 0;
    }
    if (bound != 0) {
        wrong = "a window page has an owner without region";
    }
    return wrong;
}

} // namespace snapmem_impl
