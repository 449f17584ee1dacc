// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Holds of the guest and of the device on frames.
#include "engine.hpp"

namespace snapmem_impl {

std::size_t Engine::release_in_lane(std::uint32_t lane,
                                    std::span<const Frame> frames) {
    std::size_t n = 0;
    while (n < frames.size() && pool_.take_back(lane, frames[n])) {
        ++n;
    }
    pool_.sort_cache(lane);
    tallies_[lane].released += n;
    return n;
}

snapmem_status Engine::release(std::span<const Frame> frames, std::size_t &done,
                               std::uint32_t queue) {
    const std::uint32_t lane = lane_of(queue);
    done = 0;
    if (enter_lane(lane)) {
        done = release_in_lane(lane, frames);
        lock_.unlock_lane(lane);
        if (done == frames.size()) {
            return SNAPMEM_OK;
        }
    }
    const Lock lock(lock_);
    pool_.spill(lane);
    for (const Frame f : frames.subspan(done)) {
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
    const Lock lock(lock_);
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
    const Lock lock(lock_);
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
    const Lock lock(lock_);
    for (const Frame f : frames) {
        if (f < pool_.frames() && pool_.device_holds(f) != 0) {
            pool_.add(f, Holder::guest);
            pool_.drop(f, Holder::device);
        }
    }
}

void Engine::hold(std::span<const Frame> frames) noexcept {
    const Lock lock(lock_);
    for (const Frame f : frames) {
        if (f < pool_.frames() && pool_.held(f)) {
            pool_.add(f, Holder::device);
        }
    }
}

void Engine::drop(std::span<const Frame> frames) noexcept {
    const Lock lock(lock_);
    for (const Frame f : frames) {
        if (f < pool_.frames() && pool_.device_holds(f) != 0) {
            pool_.drop(f, Holder::device);
        }
    }
}

} // namespace snapmem_impl
