// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The invariants of the engine, verified from scratch.
#include "engine.hpp"

namespace snapmem_impl {

const char *Engine::check() const {
    const Lock lock(mutex_);
    if (const char *message = pool_.check()) {
        return message;
    }
    if (const char *message = window_.check()) {
        return message;
    }
    if (!maps_allow(0)) {
        return "more mapping segments are promised than the budget has";
    }

    std::vector<std::uint8_t> bound(pool_.frames());
    std::uint32_t pages = 0;
    for (const Region &r : regions_) {
        for (Page p = r.first; p < r.first + r.npages; ++p) {
            if (window_.owner(p) != regions_.owner(r)) {
                return "a page of a region belongs to another one";
            }
            const Frame f = window_.frame(p);
            if (!pool_.in_region(f) || bound[f]++ != 0) {
                return "a page of a region has no frame of its own";
            }
            if (pool_.held(f) && armed_[p] == 0) {
                return "a shared page is not armed";
            }
            ++pages;
        }
    }
    if (pages != pool_.region()) {
        return "a frame of a region is not bound";
    }
    for (Page p = 0; p < window_.pages(); ++p) {
        pages -= window_.owner(p) != 0;
        if (window_.owner(p) == 0 && armed_[p] != 0) {
            return "a scratch page is armed";
        }
    }
    return pages == 0 ? nullptr : "a window page has an owner without region";
}

} // namespace snapmem_impl
