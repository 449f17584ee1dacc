// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the guest and the device do with frames.
#include "guest.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>

namespace snapmem_fuzz {

void Guest::release() {
    std::vector<std::uint32_t> frames;
    for (std::uint32_t n = choices_.pick(1, 32); n > 0 && !guest_.empty();
         --n) {
        const Hold h = cut(guest_, choices_.below(guest_.size()));
        expect_frame(h);
        frames.push_back(h.frame);
    }
    std::size_t done = 0;
    require(snapmem_release(engine_.get(), queue(), frames.data(),
                            frames.size(), &done) == SNAPMEM_OK &&
                done == frames.size(),
            "holds cannot be released");
}

// Some good entries, then one that the guest does not hold.
void Guest::release_badly() {
    const std::uint32_t f = choices_.below(config_.frames + 20U);
    const auto holds = [](std::uint32_t frame) {
        return [frame](const Hold &h) { return h.frame == frame; };
    };
    if (std::any_of(guest_.begin(), guest_.end(), holds(f))) {
        require(snapmem_guest_holds(engine_.get(), f, 1),
                "the guest's hold is not known");
        return;
    }
    require(!snapmem_guest_holds(engine_.get(), f, 1),
            "a hold that nobody has");
    std::vector<std::uint32_t> frames;
    if (!guest_.empty()) {
        frames.push_back(cut(guest_, choices_.below(guest_.size())).frame);
    }
    const std::size_t good = frames.size();
    frames.push_back(f);
    frames.push_back(0);
    std::size_t done = 0;
    require(snapmem_release(engine_.get(), queue(), frames.data(),
                            frames.size(), &done) == SNAPMEM_BAD_FRAME &&
                done == good,
            "a frame that is not held was released");
}

void Guest::receive() {
    std::vector<std::uint32_t> frames(choices_.pick(1, 12));
    const Levels before = levels();
    const snapmem_status status =
        snapmem_receive(engine_.get(), frames.data(), frames.size());
    if (status != SNAPMEM_OK) {
        expect_failure(status, before, {SNAPMEM_NO_FRAMES});
        require(before.free < frames.size(), "free frames are not received");
        return;
    }
    for (const std::uint32_t f : frames) {
        Hold h{f, Bytes(page_bytes, choices_.byte())};
        std::memcpy(snapmem_pool(engine_.get()) + f * page_bytes,
                    h.bytes.data(), page_bytes);
        device_.push_back(std::move(h));
    }
    if (choices_.byte() % 4 != 0) {
        snapmem_give(engine_.get(), frames.data(), frames.size());
        std::move(device_.end() - static_cast<std::ptrdiff_t>(frames.size()),
                  device_.end(), std::back_inserter(guest_));
        device_.resize(device_.size() - frames.size());
    }
}

std::uint32_t Guest::any_large() {
    const std::uint8_t how = choices_.byte();
    const std::uint32_t first =
        choices_.below(config_.frames / SNAPMEM_LARGE_FRAMES + 2) *
        SNAPMEM_LARGE_FRAMES;
    return SNAPMEM_LARGE | (first + (how % 8 == 7 ? how : 0));
}

std::vector<Hold> Guest::cut_large(std::vector<Hold> &holds,
                                   std::uint32_t number) {
    const std::uint32_t first = number & ~SNAPMEM_LARGE;
    std::vector<std::size_t> places;
    for (std::uint32_t i = 0; i < SNAPMEM_LARGE_FRAMES; ++i) {
        const auto at =
            std::find_if(holds.begin(), holds.end(),
                         [&](const Hold &h) { return h.frame == first + i; });
        if (at != holds.end()) {
            places.push_back(static_cast<std::size_t>(at - holds.begin()));
        }
    }
    std::vector<Hold> out;
    if (first % SNAPMEM_LARGE_FRAMES == 0 &&
        places.size() == SNAPMEM_LARGE_FRAMES) {
        std::sort(places.begin(), places.end(), std::greater<>());
        for (const std::size_t place : places) {
            out.push_back(cut(holds, place));
        }
    }
    return out;
}

void Guest::receive_large() {
    std::uint32_t number = 0;
    const Levels before = levels();
    const snapmem_status status = snapmem_receive_large(engine_.get(), &number);
    if (status != SNAPMEM_OK) {
        expect_failure(status, before, {SNAPMEM_NO_FRAMES});
        return;
    }
    const std::uint32_t first = number & ~SNAPMEM_LARGE;
    require(first != number && first % SNAPMEM_LARGE_FRAMES == 0 &&
                first + SNAPMEM_LARGE_FRAMES <= config_.frames,
            "a large frame is none");
    const std::uint8_t byte = choices_.byte();
    std::vector<Hold> &holds = byte % 4 != 0 ? guest_ : device_;
    for (std::uint32_t i = 0; i < SNAPMEM_LARGE_FRAMES; ++i) {
        Hold h{first + i,
               Bytes(page_bytes, static_cast<std::uint8_t>(byte + i))};
        std::memcpy(snapmem_pool(engine_.get()) + h.frame * page_bytes,
                    h.bytes.data(), page_bytes);
        holds.push_back(std::move(h));
    }
    if (&holds == &guest_) {
        snapmem_give(engine_.get(), &number, 1);
    }
}

// Behind a good entry. Where not all of it is held, none of it is released.
void Guest::release_large() {
    std::vector<std::uint32_t> numbers;
    if (!guest_.empty()) {
        numbers.push_back(cut(guest_, choices_.below(guest_.size())).frame);
    }
    numbers.push_back(any_large());
    const std::vector<Hold> holds = cut_large(guest_, numbers.back());
    for (const Hold &h : holds) {
        expect_frame(h);
    }
    const bool good = !holds.empty();
    const Levels before = levels();
    std::size_t done = 0;
    require(snapmem_release(engine_.get(), queue(), numbers.data(),
                            numbers.size(),
                            &done) == (good ? SNAPMEM_OK : SNAPMEM_BAD_FRAME),
            "a large frame is released, or is not");
    require(done == numbers.size() - (good ? 0 : 1),
            "the wrong number of entries was released");
    require(good || levels().free <= before.free + 1,
            "a part of a large frame was released");
}

// Hold what the guest has, give or drop what the device has.
void Guest::move_large() {
    const std::uint32_t number = any_large();
    const std::uint8_t how = choices_.byte();
    std::vector<Hold> &from = how % 3 == 0 ? guest_ : device_;
    std::vector<Hold> holds = cut_large(from, number);
    if (holds.empty()) {
        return;
    }
    for (const Hold &h : holds) {
        expect_frame(h);
    }
    if (how % 3 == 0) {
        snapmem_hold(engine_.get(), &number, 1);
        std::copy(holds.begin(), holds.end(), std::back_inserter(device_));
    } else if (how % 3 == 1) {
        snapmem_drop(engine_.get(), &number, 1);
        return;
    } else {
        snapmem_give(engine_.get(), &number, 1);
    }
    std::move(holds.begin(), holds.end(), std::back_inserter(guest_));
}

void Guest::hold() {
    if (!guest_.empty()) {
        device_.push_back(guest_[choices_.below(guest_.size())]);
        snapmem_hold(engine_.get(), &device_.back().frame, 1);
    }
}

void Guest::drop_holds() {
    for (std::uint32_t n = choices_.pick(1, 16); n > 0 && !device_.empty();
         --n) {
        const Hold h = cut(device_, choices_.below(device_.size()));
        expect_frame(h);
        snapmem_drop(engine_.get(), &h.frame, 1);
    }
}

} // namespace snapmem_fuzz
