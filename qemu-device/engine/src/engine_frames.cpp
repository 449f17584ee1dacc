// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Holds of the guest and of the device on frames.
#include "engine.hpp"

namespace snapmem_impl {

namespace {

// The frames that a number names: one, or all of a large one.
struct Named {
    explicit Named(Frame number)
        : first(number & ~large_bit),
          count((number & large_bit) != 0 ? large_frames : 1) {}

    [[nodiscard]] bool exists(std::uint32_t frames) const {
        return first % count == 0 && first < frames && count <= frames - first;
    }
    [[nodiscard]] Frame end() const { return first + count; }

    Frame first;
    std::uint32_t count;
};

} // namespace

std::size_t Engine::release_in_lane(std::uint32_t lane,
                                    std::span<const Frame> frames) {
    std::size_t n = 0;
    std::uint32_t released = 0;
    for (const Frame number : frames) {
        const Named named(number);
        if (!named.exists(pool_.frames()) ||
            !(pool_.take_back(lane, named.first, named.count) ||
              (named.count == 1 && pool_.unshare(lane, named.first)))) {
            break;
        }
        released += named.count;
        ++n;
    }
    pool_.sort_cache(lane);
    tallies_[lane].released += released;
    return n;
}

snapmem_status Engine::release(std::span<const Frame> frames, std::size_t &done,
                               std::uint32_t queue) {
    const std::uint32_t lane = lane_of(queue);
    done = 0;
    if (lock_.try_lock_lane(lane)) {
        done = release_in_lane(lane, frames);
        lock_.unlock_lane(lane);
        if (done == frames.size()) {
            return SNAPMEM_OK;
        }
    }
    const Lock lock(*this);
    pool_.spill(lane);
    for (const Frame number : frames.subspan(done)) {
        const Named named(number);
        if (!named.exists(pool_.frames()) ||
            !guest_holds_all(named.first, named.count)) {
            return SNAPMEM_BAD_FRAME;
        }
        for (Frame f = named.first; f < named.end(); ++f) {
            pool_.drop(f, Holder::guest);
        }
        counters_.released += named.count;
        ++done;
    }
    return SNAPMEM_OK;
}

// Of frames of the pool.
bool Engine::guest_holds_all(Frame first, std::uint32_t count) const {
    for (Frame f = first; f < first + count; ++f) {
        if (pool_.guest_holds(f) == 0) {
            return false;
        }
    }
    return true;
}

bool Engine::guest_holds(Frame first, std::uint32_t count) const noexcept {
    const Lock lock(*this);
    return first <= pool_.frames() && count <= pool_.frames() - first &&
           guest_holds_all(first, count);
}

// Are there so many for reception, or can they be found?
bool Engine::may_receive(std::size_t frames) {
    if (pool_.available() < frames) {
        reclaim(Look::step);
    }
    return pool_.available() >= frames;
}

snapmem_status Engine::receive(std::span<Frame> frames) {
    const Lock lock(*this);
    if (!may_receive(frames.size())) {
        return SNAPMEM_NO_FRAMES;
    }
    for (Frame &f : frames) {
        f = pool_.take(Holder::device);
    }
    return SNAPMEM_OK;
}

snapmem_status Engine::receive_large(Frame &large) {
    const Lock lock(*this);
    const Frame first =
        may_receive(large_frames) ? pool_.take_large(Holder::device) : no_frame;
    if (first == no_frame) {
        return SNAPMEM_NO_FRAMES;
    }
    large = first | large_bit;
    return SNAPMEM_OK;
}

// The three below ignore frames that break their contract: the glue has
// checked what the guest named, and a mistake must not damage the pool.

template <typename Each>
void Engine::each_frame(std::span<const Frame> numbers, Each each) {
    for (const Frame number : numbers) {
        const Named named(number);
        if (named.exists(pool_.frames())) {
            for (Frame f = named.first; f < named.end(); ++f) {
                each(f);
            }
        }
    }
}

void Engine::give(std::span<const Frame> frames) noexcept {
    const Lock lock(*this);
    each_frame(frames, [this](Frame f) {
        if (pool_.device_holds(f) != 0) {
            pool_.add(f, Holder::guest);
            pool_.drop(f, Holder::device);
        }
    });
}

void Engine::hold(std::span<const Frame> frames) noexcept {
    const Lock lock(*this);
    each_frame(frames, [this](Frame f) {
        if (pool_.held(f)) {
            pool_.add(f, Holder::device);
        }
    });
}

void Engine::drop(std::span<const Frame> frames) noexcept {
    const Lock lock(*this);
    each_frame(frames, [this](Frame f) {
        if (pool_.device_holds(f) != 0) {
            pool_.drop(f, Holder::device);
        }
    });
}

} // namespace snapmem_impl
