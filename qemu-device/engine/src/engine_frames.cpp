// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Holds of the guest and of the device on frames.
#include "engine.hpp"

namespace snapmem_impl {

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
        reclaim(Look::step);
    }
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

} // namespace snapmem_impl
