// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The invariants of the engine, verified from scratch.
#include "engine.hpp"

#include <algorithm>

namespace snapmem_impl {

const char *Engine::check() const {
    const Lock lock(mutex_);
    if (const char *message = pool_.check()) {
        return message;
    }
    if (const char *message = ledger_.check()) {
        return message;
    }
    if (const char *message = window_.check()) {
        return message;
    }
    if (!maps_allow(0)) {
        return "more mapping segments are promised than the budget has";
    }

    const char *wrong = nullptr;
    std::uint32_t bound = 0;
    for (const Region &r : regions_) {
        if (!r.used) {
            continue;
        }
        std::uint32_t populated = 0;
        std::uint32_t own = 0;
        maps_.each(r.map, 0, r.npages, [&](Page p, Frame f) {
            const Page at = r.first + p;
            if (window_.owner(at) != owner(r)) {
                wrong = "a page of a region belongs to another one";
            } else if (f == no_frame) {
                if (window_.backing(at) != window_.scratch(at)) {
                    wrong = "a hole shows a frame";
                }
            } else if (window_.backing(at) != f) {
                wrong = "a page does not show its frame";
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
