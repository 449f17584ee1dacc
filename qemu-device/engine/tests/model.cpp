// SPDX-License-Identifier: LGPL-2.1-or-later
#include "model.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <set>

namespace snapmem_test {

namespace {

constexpr std::uint32_t no_quota = SNAPMEM_QUOTA_NONE;
constexpr std::size_t snapshots_kept = 12;
constexpr std::uint32_t owners = 3; // from 1

// Short of frames, window, handles or mappings: none is a mistake, and what
// was asked for has not happened.
bool is_short(snapmem_status status) {
    return status == SNAPMEM_NO_FRAMES || status == SNAPMEM_NO_WINDOW ||
           status == SNAPMEM_NO_REGIONS || status == SNAPMEM_NO_MEMORY;
}

} // namespace

Bytes ModelGuest::noise(std::size_t n) {
    Bytes b(n);
    const std::uint64_t first = random_();
    for (std::size_t i = 0; i < n; ++i) {
        b[i] = static_cast<std::uint8_t>(first + i * 7 + i / 256) | 1;
    }
    return b;
}

void ModelGuest::expect_frame(const Hold &h) const {
    ASSERT_EQ(std::memcmp(rig_.frame(h.frame), h.bytes.data(), page_bytes), 0)
        << "frame " << h.frame << " is not what was captured";
}

void ModelGuest::create() {
    ModelRegion r;
    snapmem_region_spec spec =
        spec_for(pick(1, limits_.region_pages), chance(2));
    spec.hint = static_cast<snapmem_hint>(pick(0, 2));
    spec.owner = r.owner = pick(1, owners);
    const std::uint32_t available = rig_->available();
    const snapmem_status status = rig_.try_create(spec, r.name);
    if (status == SNAPMEM_NO_FRAMES && limits_.alone) {
        ASSERT_LT(available, spec.npages + limits_.rx_reserve);
    }
    if (is_short(status)) {
        return;
    }
    ASSERT_EQ(status, SNAPMEM_OK);
    r.dirty = !spec.sparse || !limits_.snapshots;
    r.bytes.resize(spec.npages * page_bytes);
    regions_.push_back(std::move(r));
}

void ModelGuest::destroy() {
    if (!regions_.empty()) {
        const ModelRegion r = cut(regions_);
        ASSERT_EQ(rig_.destroy(r.name), SNAPMEM_OK);
        ASSERT_EQ(rig_.destroy(r.name), SNAPMEM_BAD_REGION);
    }
}

void ModelGuest::store() {
    if (regions_.empty()) {
        return;
    }
    ModelRegion &r = any(regions_);
    const auto size = static_cast<std::uint32_t>(r.bytes.size());
    const std::uint32_t offset = pick(0, size - 1);
    const std::uint32_t most = chance(8) ? size : 5000;
    Bytes data = noise(pick(1, std::min(size - offset, most)));
    if (chance(4)) { // what is there already: two frames with the same bytes
        std::copy_n(r.bytes.begin() + offset, data.size(), data.begin());
    }
    rig_.store(r.name.page, offset, data.data(), data.size());
    std::copy(data.begin(), data.end(), r.bytes.begin() + offset);
    r.dirty = true;
}

// The only one is large: the numbers of all its frames.
void ModelGuest::name_each(std::vector<Frame> &frames) {
    const Frame first = frames[0] & ~SNAPMEM_LARGE;
    ASSERT_NE(first, frames[0]);
    ASSERT_EQ(first % large_frames, 0U);
    frames.resize(large_frames);
    std::iota(frames.begin(), frames.end(), first);
}

void ModelGuest::capture(std::uint32_t handle, const Bytes &bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    std::uint32_t offset = pick(0, size - 1);
    std::uint32_t length = pick(1, size - offset);
    if (chance(2)) { // whole pages
        offset -= offset % page_bytes;
        length = pick(1, (size - offset) / page_bytes) * page_bytes;
    }
    const std::uint32_t first = offset / page_bytes;
    const std::uint32_t pages = (offset + length - 1) / page_bytes - first + 1;
    const std::uint32_t available = rig_->available();
    const bool large = chance(2);
    Captured c = rig_.capture(handle, offset, length, pick(0, 3), large);
    if (c.status == SNAPMEM_NO_FRAMES) {
        if (limits_.alone) {
            ASSERT_LT(available, pages + limits_.rx_reserve);
        }
        return;
    }
    ASSERT_EQ(c.status, SNAPMEM_OK);
    if (large && c.frames.size() == 1 && pages > 1) {
        ASSERT_GT(pages, large_frames / 2);
        ASSERT_LE(pages, large_frames);
        name_each(c.frames);
        ++large_.captured;
    } else {
        ASSERT_EQ(c.frames.size(), pages);
    }
    for (std::uint32_t i = 0; i < c.frames.size(); ++i) {
        Bytes page(page_bytes);
        const std::size_t end = offset + length;
        const std::size_t at = (first + i) * page_bytes;
        const std::size_t from = std::max<std::size_t>(at, offset);
        const std::size_t to = std::min<std::size_t>(at + page_bytes, end);
        if (from < to) {
            std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                      bytes.begin() + static_cast<std::ptrdiff_t>(to),
                      page.begin() + static_cast<std::ptrdiff_t>(from - at));
        }
        guest_.push_back({c.frames[i], std::move(page)});
        expect_frame(guest_.back());
    }
}

std::vector<std::size_t> ModelGuest::find_large(const Holds &holds,
                                                Frame &number) {
    const Frame first =
        holds[random_() % holds.size()].frame & ~(large_frames - 1);
    number = first | SNAPMEM_LARGE;
    std::vector<std::size_t> places(large_frames, holds.size());
    for (std::size_t i = 0; i < holds.size(); ++i) {
        if (holds[i].frame - first < large_frames) {
            places[holds[i].frame - first] = i;
        }
    }
    if (std::count(places.begin(), places.end(), holds.size()) != 0) {
        places.clear();
    }
    return places;
}

ModelGuest::Holds ModelGuest::cut_all(Holds &holds,
                                      std::vector<std::size_t> places) {
    Holds out;
    std::sort(places.rbegin(), places.rend());
    for (const std::size_t place : places) {
        out.push_back(std::move(holds[place]));
        std::swap(holds[place], holds.back());
        holds.pop_back();
    }
    return out;
}

Frame ModelGuest::cut_any(Holds &holds) {
    Frame number = 0;
    std::vector<std::size_t> places;
    if (chance(3)) {
        places = find_large(holds, number);
    }
    if (places.empty()) {
        const Hold h = cut(holds);
        expect_frame(h);
        return h.frame;
    }
    for (const Hold &h : cut_all(holds, places)) {
        expect_frame(h);
    }
    return number;
}

void ModelGuest::release() {
    std::vector<Frame> numbers;
    for (std::uint32_t n = pick(1, 60); n > 0 && !guest_.empty(); --n) {
        numbers.push_back(cut_any(guest_));
        large_.released += (numbers.back() & SNAPMEM_LARGE) != 0;
    }
    rig_.release(numbers, pick(0, 3));
}

// Of a large frame that is none, or not all of which is held, no frame is let
// go of; nor is what comes behind it.
void ModelGuest::release_badly() {
    if (guest_.empty()) {
        return;
    }
    const std::array<Frame, 3> none{any(guest_).frame | 1, Frame{1} << 24,
                                    ~Frame{0}};
    std::vector<Frame> numbers{cut_any(guest_)};
    Frame bad = none[pick(0, 2)] | SNAPMEM_LARGE;
    if (limits_.alone && !guest_.empty()) {
        Frame number = 0;
        if (find_large(guest_, number).empty()) {
            bad = number;
            ++large_.refused;
        }
    }
    numbers.push_back(bad);
    if (!guest_.empty()) {
        numbers.push_back(any(guest_).frame);
    }
    std::size_t done = 0;
    ASSERT_EQ(rig_->release(numbers, done, pick(0, 3)), SNAPMEM_BAD_FRAME);
    ASSERT_EQ(done, 1U);
}

void ModelGuest::receive() {
    std::vector<Frame> frames(pick(1, 20));
    const std::uint32_t available = rig_->available();
    if (rig_->receive(frames) != SNAPMEM_OK) {
        if (limits_.alone) {
            ASSERT_LT(available, frames.size());
        }
        return;
    }
    for (const Frame f : frames) {
        Bytes data = noise(page_bytes);
        std::copy(data.begin(), data.end(), rig_.frame(f));
        device_.push_back({f, std::move(data)});
    }
    if (!chance(4)) { // give most of them at once
        rig_->give(frames);
        for (std::size_t i = 0; i < frames.size(); ++i) {
            guest_.push_back(std::move(device_.back()));
            device_.pop_back();
        }
    }
}

void ModelGuest::receive_large() {
    Frame number = 0;
    const snapmem_status status = rig_->receive_large(number);
    if (status != SNAPMEM_OK) {
        ASSERT_EQ(status, SNAPMEM_NO_FRAMES);
        return;
    }
    ++large_.received;
    const Frame first = number & ~SNAPMEM_LARGE;
    ASSERT_NE(first, number);
    ASSERT_EQ(first % large_frames, 0U);
    for (Frame f = first; f < first + large_frames; ++f) {
        Bytes data = noise(page_bytes);
        std::copy(data.begin(), data.end(), rig_.frame(f));
        device_.push_back({f, std::move(data)});
    }
    if (!chance(4)) {
        rig_->give({&number, 1});
        std::move(device_.end() - large_frames, device_.end(),
                  std::back_inserter(guest_));
        device_.resize(device_.size() - large_frames);
    }
}

void ModelGuest::give_large() {
    Frame number = 0;
    if (device_.empty()) {
        return;
    }
    const std::vector<std::size_t> places = find_large(device_, number);
    if (!places.empty()) {
        Holds holds = cut_all(device_, places);
        rig_->give({&number, 1});
        std::move(holds.begin(), holds.end(), std::back_inserter(guest_));
    }
}

void ModelGuest::hold() {
    if (guest_.empty()) {
        return;
    }
    Frame number = 0;
    std::vector<std::size_t> places;
    if (chance(2)) {
        places = find_large(guest_, number);
    }
    for (const std::size_t place : places) {
        device_.push_back(guest_[place]);
    }
    if (places.empty()) {
        device_.push_back(any(guest_));
        number = device_.back().frame;
    }
    rig_->hold({&number, 1});
}

void ModelGuest::drop() {
    for (std::uint32_t n = pick(1, 20); n > 0 && !device_.empty(); --n) {
        const Frame number = cut_any(device_);
        rig_->drop({&number, 1});
    }
}

void ModelGuest::snapshot() {
    if (regions_.empty() || snapshots_.size() >= snapshots_kept) {
        return;
    }
    ModelRegion &r = any(regions_);
    ModelSnapshot s{0, r.bytes, 0, r.owner};
    const snapmem_status status =
        rig_->snapshot(r.name.handle, no_quota, s.handle, s.version);
    if (is_short(status)) {
        return;
    }
    ASSERT_EQ(status, SNAPMEM_OK);
    ASSERT_EQ(s.version, r.version + (r.dirty ? 1 : 0));
    r.version = s.version;
    r.dirty = false;
    snapshots_.push_back(std::move(s));
}

void ModelGuest::snapshot_drop() {
    if (!snapshots_.empty()) {
        const ModelSnapshot s = cut(snapshots_);
        ASSERT_EQ(rig_->snapshot_drop(s.handle), SNAPMEM_OK);
        ASSERT_EQ(rig_->snapshot_drop(s.handle), SNAPMEM_BAD_REGION);
    }
}

void ModelGuest::clone() {
    if (snapshots_.empty()) {
        return;
    }
    const ModelSnapshot &s = any(snapshots_);
    ModelRegion r;
    r.bytes = s.bytes;
    r.dirty = false;
    snapmem_region_spec spec = spec_for(0);
    spec.owner = r.owner = pick(1, owners);
    const snapmem_status status =
        rig_->clone(s.handle, spec, r.name.handle, r.name.page);
    if (!is_short(status)) {
        ASSERT_EQ(status, SNAPMEM_OK);
        regions_.push_back(std::move(r));
    }
}

ModelGuest::ModelSnapshot *ModelGuest::any_like(const Bytes &bytes) {
    std::vector<ModelSnapshot *> like;
    for (ModelSnapshot &s : snapshots_) {
        if (s.bytes.size() == bytes.size()) {
            like.push_back(&s);
        }
    }
    return like.empty() ? nullptr : any(like);
}

void ModelGuest::commit() {
    if (regions_.empty()) {
        return;
    }
    ModelRegion &r = any(regions_);
    const ModelSnapshot *s = any_like(r.bytes);
    if (s == nullptr) {
        return;
    }
    std::uint64_t version = chance(4) ? r.version + 1 : r.version;
    const bool fits = !r.dirty && version == r.version;
    const snapmem_status status =
        rig_->commit(r.name.handle, s->handle, no_quota, version);
    if (!fits) {
        ASSERT_EQ(status, SNAPMEM_CONFLICT);
        return;
    }
    if (is_short(status)) {
        return;
    }
    ASSERT_EQ(status, SNAPMEM_OK);
    ASSERT_EQ(version, r.version + 1);
    r.version = version;
    r.bytes = s->bytes;
}

void ModelGuest::merge() {
    if (regions_.empty()) {
        return;
    }
    ModelRegion &r = any(regions_);
    const ModelSnapshot *base = any_like(r.bytes);
    const ModelSnapshot *from = any_like(r.bytes);
    if (base == nullptr) {
        return;
    }
    Bytes merged = r.bytes;
    std::vector<std::uint64_t> wanted;
    for (std::size_t i = 0; i < merged.size(); i += SNAPMEM_MERGE_WORD) {
        const auto same = [i](const Bytes &a, const Bytes &b) {
            return std::memcmp(&a[i], &b[i], SNAPMEM_MERGE_WORD) == 0;
        };
        if (same(base->bytes, from->bytes) || same(r.bytes, from->bytes)) {
            continue;
        }
        if (!same(r.bytes, base->bytes)) {
            wanted.push_back(i);
        }
        std::copy_n(&from->bytes[i], SNAPMEM_MERGE_WORD, &merged[i]);
    }
    std::vector<std::uint64_t> conflicts(pick(1, 20));
    std::size_t n = 0;
    std::uint64_t version = 0;
    const snapmem_status status =
        rig_->merge(r.name.handle, base->handle, from->handle, no_quota,
                    conflicts, n, version);
    if (!wanted.empty()) {
        ASSERT_EQ(status, SNAPMEM_CONFLICT);
        wanted.resize(std::min(wanted.size(), conflicts.size()));
        conflicts.resize(n);
        ASSERT_EQ(conflicts, wanted);
        return;
    }
    if (is_short(status)) {
        return;
    }
    ASSERT_EQ(status, SNAPMEM_OK);
    ASSERT_EQ(version, r.version + 1);
    r.bytes = std::move(merged);
    r.version = version;
    r.dirty = false;
}

void ModelGuest::diff() {
    if (snapshots_.empty()) {
        return;
    }
    const ModelSnapshot &a = any(snapshots_);
    const ModelSnapshot &b = *any_like(a.bytes);
    const auto npages = static_cast<Page>(a.bytes.size() / page_bytes);
    std::vector<Page> seen;
    std::vector<Page> room(pick(1, 5));
    for (Page next = 0; next != SNAPMEM_DIFF_END;) {
        std::size_t n = 0;
        ASSERT_EQ(rig_->diff(a.handle, b.handle, next, room, n, next),
                  SNAPMEM_OK);
        seen.insert(seen.end(), room.begin(),
                    room.begin() + static_cast<std::ptrdiff_t>(n));
    }
    std::vector<Page> wanted;
    for (Page p = 0; p < npages; ++p) {
        if (std::memcmp(&a.bytes[p * page_bytes], &b.bytes[p * page_bytes],
                        page_bytes) != 0) {
            wanted.push_back(p);
        }
    }
    ASSERT_EQ(seen, wanted);
}

void ModelGuest::discard() {
    if (regions_.empty()) {
        return;
    }
    ModelRegion &r = any(regions_);
    const auto npages = static_cast<Page>(r.bytes.size() / page_bytes);
    const Page first = pick(0, npages - 1);
    const std::uint32_t n = pick(1, chance(2) ? npages - first : 1);
    const snapmem_status status = rig_->discard(r.name.handle, first, n);
    if (is_short(status)) {
        return;
    }
    ASSERT_EQ(status, SNAPMEM_OK);
    std::fill_n(&r.bytes[first * page_bytes], n * page_bytes, 0);
    r.dirty = true;
}

std::vector<Frame> ModelGuest::held() const {
    std::set<Frame> frames;
    for (const Hold &h : guest_) {
        frames.insert(h.frame);
    }
    return {frames.begin(), frames.end()};
}

void ModelGuest::compare() {
    for (const ModelRegion &r : regions_) {
        ASSERT_EQ(
            std::memcmp(rig_.page(r.name.page), r.bytes.data(), r.bytes.size()),
            0)
            << "a region is not what was stored";
    }
    for (const ModelSnapshot &s : snapshots_) {
        const auto pages =
            static_cast<std::uint32_t>(s.bytes.size() / page_bytes);
        const Captured c = rig_.capture_all(s.handle, pages);
        ASSERT_EQ(c.status, SNAPMEM_OK);
        for (std::size_t i = 0; i < pages; ++i) {
            ASSERT_EQ(std::memcmp(rig_.frame(c.frames[i]),
                                  &s.bytes[i * page_bytes], page_bytes),
                      0)
                << "page " << i << " of a snapshot has changed";
        }
        rig_.release(c.frames);
    }
    for (const std::vector<Hold> *holds : {&guest_, &device_}) {
        for (const Hold &h : *holds) {
            expect_frame(h);
        }
    }
}

void ModelGuest::finish() {
    while (!regions_.empty()) {
        destroy();
    }
    while (!snapshots_.empty()) {
        snapshot_drop();
    }
    while (!guest_.empty()) {
        release();
    }
    while (!device_.empty()) {
        drop();
    }
}

void ModelGuest::expect_charges() const {
    struct Bounds {
        std::size_t low = 0;
        std::size_t high = 0;
    };
    std::array<Bounds, owners + 1> bounds{};
    const auto node_frames = [](std::size_t pages) { return (pages + 8) / 4; };
    for (const ModelRegion &r : regions_) {
        const std::size_t pages = r.bytes.size() / page_bytes;
        // A page has a frame, the promise of one, or both.
        bounds[r.owner].low += pages;
        bounds[r.owner].high += 2 * pages + node_frames(pages);
    }
    for (const ModelSnapshot &s : snapshots_) {
        const std::size_t pages = s.bytes.size() / page_bytes;
        bounds[s.owner].high += pages + node_frames(pages);
    }
    for (std::uint32_t o = 1; o <= owners; ++o) {
        const std::uint64_t charged = rig_->charged(o);
        ASSERT_GE(charged, bounds[o].low)
            << "owner " << o << " pays too little";
        ASSERT_LE(charged, bounds[o].high + guest_.size() + device_.size())
            << "owner " << o << " pays for others";
    }
}

void ModelGuest::operate() {
    using Step = void (ModelGuest::*)();
    struct Kind {
        std::uint32_t weight;
        Step run;
        bool snapshots; // needs them
    };
    static constexpr std::array kinds{
        Kind{3, &ModelGuest::create, false},
        Kind{2, &ModelGuest::destroy, false},
        Kind{30, &ModelGuest::store, false},
        Kind{15, &ModelGuest::release, false},
        Kind{2, &ModelGuest::release_badly, false},
        Kind{7, &ModelGuest::receive, false},
        Kind{5, &ModelGuest::receive_large, false},
        Kind{2, &ModelGuest::give_large, false},
        Kind{3, &ModelGuest::hold, false},
        Kind{5, &ModelGuest::drop, false},
        Kind{2, &ModelGuest::discard, false},
        Kind{6, &ModelGuest::snapshot, true},
        Kind{5, &ModelGuest::snapshot_drop, true},
        Kind{2, &ModelGuest::clone, true},
        Kind{5, &ModelGuest::commit, true},
        Kind{5, &ModelGuest::merge, true},
        Kind{3, &ModelGuest::diff, true},
    };
    std::uint32_t what = pick(0, 128);
    for (const Kind &kind : kinds) {
        if (what < kind.weight) {
            if (!kind.snapshots || limits_.snapshots) {
                (this->*kind.run)();
            }
            return;
        }
        what -= kind.weight;
    }
    if (!snapshots_.empty() && chance(4)) {
        const ModelSnapshot &s = any(snapshots_);
        capture(s.handle, s.bytes);
    } else if (!regions_.empty()) {
        const ModelRegion &r = any(regions_);
        capture(r.name.handle, r.bytes);
    }
}

} // namespace snapmem_test
