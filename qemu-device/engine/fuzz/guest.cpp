// SPDX-License-Identifier: LGPL-2.1-or-later
#include "guest.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <numeric>

namespace snapmem_fuzz {

namespace {

constexpr std::uint32_t region_pages_max = 24;
constexpr std::uint32_t owners = 3;
constexpr std::size_t snapshots_max = 16; // the model copies each

std::uint64_t word(const Bytes &b, std::size_t at) {
    std::uint64_t w = 0;
    std::memcpy(&w, b.data() + at, sizeof(w));
    return w;
}

bool same_page(const Bytes &a, const Bytes &b, std::uint32_t page) {
    return std::memcmp(a.data() + page * page_bytes,
                       b.data() + page * page_bytes, page_bytes) == 0;
}

} // namespace

void require(bool ok, const char *what) {
    if (!ok) {
        std::fprintf(stderr, "snapmem fuzz: %s\n", what);
        std::abort();
    }
}

Guest::Guest(Reader &choices) : choices_(choices), config_{} {
    config_.frames = choices.pick(1, 160);
    config_.window_pages = choices.pick(1, 96);
    config_.rx_reserve = choices.below(std::min(config_.frames, 16U));
    const std::uint8_t flags = choices.byte();
    config_.mode = static_cast<snapmem_mode>(flags % 3);
    config_.dedup = (flags & 0x80) != 0;
    config_.queues = queues;
    const char *error = nullptr;
    engine_.reset(snapmem_new(&config_, false, &error));
    if (!engine_) { // a host without userfaultfd
        config_.mode = SNAPMEM_COPY;
        engine_.reset(snapmem_new(&config_, false, &error));
    }
    require(engine_ != nullptr, error);
    // Free frames are not zero.
    std::vector<std::uint32_t> all(config_.frames);
    require(snapmem_receive(engine_.get(), all.data(), all.size()) ==
                SNAPMEM_OK,
            "the frames of a new pool are not free");
    std::memset(snapmem_pool(engine_.get()), 0xaa, config_.frames * page_bytes);
    std::reverse(all.begin(), all.end());
    snapmem_drop(engine_.get(), all.data(), all.size());
}

Guest::~Guest() = default;

Region *Guest::any_region() {
    return regions_.empty() ? nullptr
                            : &regions_[choices_.below(regions_.size())];
}

Snapshot *Guest::any_snapshot() {
    return snapshots_.empty() ? nullptr
                              : &snapshots_[choices_.below(snapshots_.size())];
}

Snapshot *Guest::any_snapshot(std::size_t bytes) {
    const std::size_t start = choices_.byte();
    for (std::size_t i = 0; i < snapshots_.size(); ++i) {
        Snapshot &s = snapshots_[(start + i) % snapshots_.size()];
        if (s.bytes.size() == bytes) {
            return &s;
        }
    }
    return nullptr;
}

std::uint32_t Guest::bad_handle() {
    const std::uint8_t how = choices_.byte();
    if (how % 4 != 0 && !old_handles_.empty()) {
        return old_handles_[how % old_handles_.size()];
    }
    std::uint32_t h = 0;
    for (int i = 0; i < 4; ++i) {
        h = h << 8 | choices_.byte();
    }
    const auto is_h = [h](const auto &x) { return x.handle == h; };
    const bool good = std::any_of(regions_.begin(), regions_.end(), is_h) ||
                      std::any_of(snapshots_.begin(), snapshots_.end(), is_h);
    return good ? 0 : h;
}

std::uint32_t Guest::quota() {
    const std::uint8_t q = choices_.byte();
    return q < 0xa0 ? SNAPMEM_QUOTA_NONE : q;
}

snapmem_region_spec Guest::spec(std::uint32_t npages) {
    const std::uint8_t flags = choices_.byte();
    snapmem_region_spec s{};
    s.npages = npages;
    s.hint = static_cast<snapmem_hint>(flags % 3);
    s.sparse = (flags & 0x80) != 0;
    s.owner = (flags >> 3) % owners;
    s.quota = quota();
    return s;
}

Guest::Levels Guest::levels() const {
    Levels l;
    l.free = snapmem_free_frames(engine_.get());
    for (std::uint32_t o = 0; o < owners; ++o) {
        l.charged[o] = snapmem_charged(engine_.get(), o);
    }
    return l;
}

void Guest::expect_failure(snapmem_status status, const Levels &before,
                           std::initializer_list<snapmem_status> allowed) {
    require(std::find(allowed.begin(), allowed.end(), status) != allowed.end(),
            "a status that the contract does not name");
    // What the engine found to be nobody else's any more is a gain.
    const Levels now = levels();
    require(now.free >= before.free &&
                std::equal(now.charged.begin(), now.charged.end(),
                           before.charged.begin(), std::less_equal<>()),
            "a call that failed has taken something");
}

void Guest::expect_quota(std::uint32_t owner, std::uint32_t quota,
                         const Levels &before) {
    require(snapmem_charged(engine_.get(), owner) <=
                std::max(quota, before.charged[owner]),
            "an owner has passed its quota");
}

void Guest::expect_frame(const Hold &h) const {
    require(std::memcmp(frame(h.frame), h.bytes.data(), page_bytes) == 0,
            "a frame is not what was captured");
}

void Guest::expect_region(const Region &r) const {
    require(std::memcmp(window(r.page), r.bytes.data(), r.bytes.size()) == 0,
            "a region is not what was stored");
}

void Guest::expect_snapshot(const Snapshot &s) {
    std::array<std::uint32_t, region_pages_max> frames{};
    std::uint32_t n = 0;
    const snapmem_status status =
        snapmem_capture(engine_.get(), queue(), s.handle, 0,
                        static_cast<std::uint32_t>(s.bytes.size()),
                        frames.data(), frames.size(), &n);
    if (status == SNAPMEM_NO_FRAMES) { // for the frame of zeros
        return;
    }
    require(status == SNAPMEM_OK && n == s.bytes.size() / page_bytes,
            "a snapshot cannot be captured");
    for (std::uint32_t i = 0; i < n; ++i) {
        require(std::memcmp(frame(frames[i]), s.bytes.data() + i * page_bytes,
                            page_bytes) == 0,
                "a snapshot is not what the region was");
    }
    std::size_t done = 0;
    require(snapmem_release(engine_.get(), queue(), frames.data(), n, &done) ==
                SNAPMEM_OK,
            "what was captured cannot be released");
}

void Guest::create() {
    const auto s = spec(choices_.below(region_pages_max + 1));
    Region r;
    const Levels before = levels();
    const snapmem_status status =
        snapmem_region_create(engine_.get(), &s, &r.handle, &r.page);
    if (s.npages == 0) {
        expect_failure(status, before, {SNAPMEM_BAD_LENGTH});
        return;
    }
    if (status != SNAPMEM_OK) {
        expect_failure(status, before,
                       {SNAPMEM_NO_WINDOW, SNAPMEM_NO_FRAMES, SNAPMEM_QUOTA});
        return;
    }
    expect_quota(s.owner, s.quota, before);
    r.owner = s.owner;
    r.bytes.resize(s.npages * page_bytes);
    snapmem_object o{};
    require(r.handle != 0 &&
                snapmem_get_object(engine_.get(), r.handle, &o) == SNAPMEM_OK,
            "a new region has no name");
    r.version = o.version;
    regions_.push_back(std::move(r));
}

void Guest::clone() {
    Snapshot *from = any_snapshot();
    const auto s = spec(choices_.byte()); // npages is not read
    Region r;
    const Levels before = levels();
    if (from == nullptr) {
        expect_failure(
            snapmem_clone(engine_.get(), bad_handle(), &s, &r.handle, &r.page),
            before, {SNAPMEM_BAD_REGION, SNAPMEM_NO_TRAP});
        return;
    }
    const snapmem_status status =
        snapmem_clone(engine_.get(), from->handle, &s, &r.handle, &r.page);
    if (status != SNAPMEM_OK) {
        expect_failure(status, before,
                       {SNAPMEM_NO_WINDOW, SNAPMEM_NO_FRAMES, SNAPMEM_QUOTA});
        return;
    }
    expect_quota(s.owner, s.quota, before);
    r.owner = s.owner;
    r.bytes = from->bytes;
    snapmem_object o{};
    require(snapmem_get_object(engine_.get(), r.handle, &o) == SNAPMEM_OK,
            "a clone has no name");
    r.version = o.version;
    expect_region(r);
    regions_.push_back(std::move(r));
}

void Guest::destroy() {
    if (regions_.empty()) {
        require(snapmem_region_destroy(engine_.get(), bad_handle()) ==
                    SNAPMEM_BAD_REGION,
                "a region that is not there was destroyed");
        return;
    }
    const Region r = cut(regions_, choices_.below(regions_.size()));
    expect_region(r);
    require(snapmem_region_destroy(engine_.get(), r.handle) == SNAPMEM_OK,
            "a region cannot be destroyed");
    old_handles_.push_back(r.handle);
}

void Guest::store() {
    Region *r = any_region();
    if (r == nullptr) {
        return;
    }
    const std::uint32_t offset = choices_.below(r->bytes.size());
    const std::size_t room = r->bytes.size() - offset;
    // Words, and now and then pages.
    const std::uint8_t kind = choices_.byte();
    const std::size_t length = std::min<std::size_t>(
        room, kind < 0xc0 ? 1 + kind % 16 : (kind - 0xbf) * std::size_t{512});
    const std::uint8_t value = choices_.byte();
    std::memset(window(r->page) + offset, value, length);
    std::memset(r->bytes.data() + offset, value, length);
    r->dirty = true;
}

// Scratch pages show nothing and belong to nobody.
void Guest::store_astray() {
    const std::uint32_t page = choices_.below(config_.window_pages);
    const auto owns = [page](const Region &r) {
        return page >= r.page && page - r.page < r.npages();
    };
    if (std::none_of(regions_.begin(), regions_.end(), owns)) {
        std::memset(window(page), choices_.byte(), page_bytes);
    }
}

void Guest::capture() {
    std::uint32_t handle = 0;
    const Bytes *bytes = nullptr;
    if (choices_.byte() % 4 == 0) {
        if (const Snapshot *s = any_snapshot()) {
            handle = s->handle;
            bytes = &s->bytes;
        }
    } else if (const Region *r = any_region()) {
        handle = r->handle;
        bytes = &r->bytes;
    }
    std::uint64_t offset = choices_.below(region_pages_max * page_bytes);
    std::uint32_t length = choices_.below(region_pages_max * page_bytes);
    if (choices_.byte() % 2 == 0) { // whole pages
        offset -= offset % page_bytes;
        length -= length % page_bytes;
    }
    std::array<std::uint32_t, region_pages_max + 1> frames{};
    const std::size_t room = choices_.byte() % 8 == 0
                                 ? choices_.below(frames.size())
                                 : frames.size();
    std::uint32_t n = 0;
    const Levels before = levels();
    const bool large = choices_.byte() % 2 == 0;
    const snapmem_status status =
        (large ? snapmem_capture_large : snapmem_capture)(
            engine_.get(), queue(), bytes != nullptr ? handle : bad_handle(),
            offset, length, frames.data(), room, &n);
    if (bytes == nullptr) {
        expect_failure(status, before, {SNAPMEM_BAD_REGION});
        return;
    }
    if (length == 0) {
        expect_failure(status, before, {SNAPMEM_BAD_LENGTH});
        return;
    }
    if (offset + length > bytes->size()) {
        expect_failure(status, before,
                       {SNAPMEM_BAD_OFFSET, SNAPMEM_BAD_LENGTH});
        return;
    }
    const std::uint64_t first = offset / page_bytes;
    const std::uint64_t pages = (offset + length - 1) / page_bytes - first + 1;
    if (room < pages) {
        expect_failure(status, before, {SNAPMEM_BAD_LENGTH});
        return;
    }
    if (status != SNAPMEM_OK) {
        expect_failure(status, before, {SNAPMEM_NO_FRAMES});
        return;
    }
    if (large && n == 1 && pages > 1) {
        require(pages > SNAPMEM_LARGE_FRAMES / 2 &&
                    pages <= SNAPMEM_LARGE_FRAMES &&
                    (frames[0] & SNAPMEM_LARGE) != 0,
                "a capture is in a large frame that it does not fill");
        n = SNAPMEM_LARGE_FRAMES;
        std::iota(frames.begin(), frames.begin() + n,
                  frames[0] & ~SNAPMEM_LARGE);
    } else {
        require(n == pages, "a capture has another number of frames");
    }
    for (std::uint64_t i = 0; i < n; ++i) {
        Hold h{frames[i], Bytes(page_bytes)};
        for (std::size_t k = 0; k < page_bytes; ++k) {
            const std::uint64_t at = (first + i) * page_bytes + k;
            h.bytes[k] =
                at >= offset && at < offset + length ? (*bytes)[at] : 0;
        }
        expect_frame(h);
        guest_.push_back(std::move(h));
    }
}

void Guest::snapshot() {
    Region *r = any_region();
    const std::uint32_t q = quota();
    Snapshot s;
    const Levels before = levels();
    if (r == nullptr) {
        expect_failure(snapmem_snapshot(engine_.get(), bad_handle(), q,
                                        &s.handle, &s.version),
                       before, {SNAPMEM_BAD_REGION, SNAPMEM_NO_TRAP});
        return;
    }
    if (snapshots_.size() == snapshots_max) {
        return;
    }
    const snapmem_status status =
        snapmem_snapshot(engine_.get(), r->handle, q, &s.handle, &s.version);
    if (!snapmem_can_share(engine_.get())) {
        expect_failure(status, before, {SNAPMEM_NO_TRAP});
        return;
    }
    if (status != SNAPMEM_OK) {
        expect_failure(status, before, {SNAPMEM_NO_FRAMES, SNAPMEM_QUOTA});
        return;
    }
    expect_quota(r->owner, q, before);
    require(s.version == r->version + 1 ||
                (s.version == r->version && !r->dirty),
            "a snapshot has the wrong version");
    r->version = s.version;
    r->dirty = false;
    s.bytes = r->bytes;
    snapshots_.push_back(std::move(s));
}

void Guest::drop_snapshot() {
    if (snapshots_.empty()) {
        require(snapmem_snapshot_drop(engine_.get(), bad_handle()) ==
                    SNAPMEM_BAD_REGION,
                "a snapshot that is not there was dropped");
        return;
    }
    const Snapshot s = cut(snapshots_, choices_.below(snapshots_.size()));
    expect_snapshot(s);
    require(snapmem_snapshot_drop(engine_.get(), s.handle) == SNAPMEM_OK,
            "a snapshot cannot be dropped");
    old_handles_.push_back(s.handle);
}

void Guest::commit() {
    Region *r = any_region();
    Snapshot *from = any_snapshot();
    const std::uint32_t q = quota();
    const std::uint8_t how = choices_.byte();
    std::uint64_t version = 0;
    const Levels before = levels();
    if (r == nullptr || from == nullptr) {
        expect_failure(snapmem_commit(engine_.get(), bad_handle(), bad_handle(),
                                      q, &version),
                       before, {SNAPMEM_BAD_REGION});
        return;
    }
    version = r->version + (how < 0x20 ? how : 0);
    const snapmem_status status =
        snapmem_commit(engine_.get(), r->handle, from->handle, q, &version);
    if (from->bytes.size() != r->bytes.size()) {
        expect_failure(status, before, {SNAPMEM_BAD_LENGTH});
        return;
    }
    if (status != SNAPMEM_OK) {
        expect_failure(status, before,
                       {SNAPMEM_CONFLICT, SNAPMEM_NO_FRAMES, SNAPMEM_QUOTA});
        expect_region(*r);
        return;
    }
    require(!r->dirty && (how == 0 || how >= 0x20),
            "a commit to a region that has moved on");
    require(version == r->version + 1, "a commit has the wrong version");
    expect_quota(r->owner, q, before);
    r->version = version;
    r->bytes = from->bytes;
    expect_region(*r);
}

void Guest::merge() {
    Region *r = any_region();
    Snapshot *base = r != nullptr ? any_snapshot(r->bytes.size()) : nullptr;
    Snapshot *from = any_snapshot();
    const std::uint32_t q = quota();
    std::array<std::uint64_t, 8> conflicts{};
    const std::size_t room = choices_.below(conflicts.size() + 1);
    std::size_t n = 0;
    std::uint64_t version = 0;
    const Levels before = levels();
    if (base == nullptr || from == nullptr) {
        expect_failure(snapmem_merge(engine_.get(),
                                     r != nullptr ? r->handle : bad_handle(),
                                     bad_handle(), bad_handle(), q,
                                     conflicts.data(), room, &n, &version),
                       before, {SNAPMEM_BAD_REGION});
        return;
    }
    const snapmem_status status =
        snapmem_merge(engine_.get(), r->handle, base->handle, from->handle, q,
                      conflicts.data(), room, &n, &version);
    if (from->bytes.size() != r->bytes.size()) {
        expect_failure(status, before, {SNAPMEM_BAD_LENGTH});
        return;
    }
    Bytes merged = r->bytes;
    std::vector<std::uint64_t> expected;
    for (std::size_t at = 0; at < merged.size(); at += SNAPMEM_MERGE_WORD) {
        const std::uint64_t was = word(base->bytes, at);
        const std::uint64_t theirs = word(from->bytes, at);
        const std::uint64_t ours = word(r->bytes, at);
        if (theirs == was || theirs == ours) {
            continue;
        }
        if (ours != was) {
            expected.push_back(at);
        }
        std::memcpy(merged.data() + at, &theirs, sizeof(theirs));
    }
    if (status != SNAPMEM_OK) {
        expect_failure(status, before,
                       {SNAPMEM_CONFLICT, SNAPMEM_NO_FRAMES, SNAPMEM_QUOTA});
        expect_region(*r);
    }
    if (status == SNAPMEM_CONFLICT) {
        require(!expected.empty(), "a merge reports a conflict that is none");
        require(n == std::min(room, expected.size()) &&
                    std::equal(conflicts.begin(), conflicts.begin() + n,
                               expected.begin()),
                "a merge reports the wrong conflicts");
    }
    if (status == SNAPMEM_OK) {
        require(expected.empty(), "a merge has not seen a conflict");
        require(version > r->version, "a merge has the wrong version");
        expect_quota(r->owner, q, before);
        r->version = version;
        r->dirty = false;
        r->bytes = std::move(merged);
        expect_region(*r);
    }
}

void Guest::diff() {
    Snapshot *a = any_snapshot();
    Snapshot *b = any_snapshot();
    const std::uint32_t first = choices_.below(region_pages_max + 2);
    std::array<std::uint32_t, region_pages_max> pages{};
    const std::size_t room = choices_.below(pages.size() + 1);
    std::size_t n = 0;
    std::uint32_t next = 0;
    const Levels before = levels();
    const snapmem_status status =
        snapmem_diff(engine_.get(), a != nullptr ? a->handle : bad_handle(),
                     b != nullptr ? b->handle : bad_handle(), first,
                     pages.data(), room, &n, &next);
    if (a == nullptr || b == nullptr) {
        expect_failure(status, before, {SNAPMEM_BAD_REGION});
        return;
    }
    if (a->bytes.size() != b->bytes.size() || room == 0) {
        expect_failure(status, before, {SNAPMEM_BAD_LENGTH});
        return;
    }
    const auto end = static_cast<std::uint32_t>(a->bytes.size() / page_bytes);
    if (first >= end) {
        expect_failure(status, before, {SNAPMEM_BAD_OFFSET});
        return;
    }
    require(status == SNAPMEM_OK, "diff fails");
    std::vector<std::uint32_t> expected;
    for (std::uint32_t p = first; p < end; ++p) {
        if (!same_page(a->bytes, b->bytes, p)) {
            expected.push_back(p);
        }
    }
    require(n == std::min(room, expected.size()) &&
                std::equal(pages.begin(), pages.begin() + n, expected.begin()),
            "diff finds the wrong pages");
    require(next == (n == expected.size() ? SNAPMEM_DIFF_END : expected[n]),
            "diff goes on at the wrong page");
}

void Guest::discard() {
    Region *r = any_region();
    const std::uint32_t first = choices_.below(region_pages_max + 1);
    const std::uint32_t n = choices_.below(region_pages_max + 1);
    const Levels before = levels();
    if (r == nullptr) {
        expect_failure(snapmem_discard(engine_.get(), bad_handle(), first, n),
                       before, {SNAPMEM_BAD_REGION});
        return;
    }
    const snapmem_status status =
        snapmem_discard(engine_.get(), r->handle, first, n);
    if (n == 0 || first + n > r->npages()) {
        expect_failure(status, before,
                       {SNAPMEM_BAD_LENGTH, SNAPMEM_BAD_OFFSET});
        return;
    }
    require(status == SNAPMEM_OK, "pages cannot be discarded");
    std::fill_n(r->bytes.begin() +
                    static_cast<std::ptrdiff_t>(first * page_bytes),
                n * page_bytes, std::uint8_t{0});
    r->dirty = true;
    expect_region(*r);
}

void Guest::get_object() {
    snapmem_object o{};
    if (const Region *r = any_region()) {
        require(snapmem_get_object(engine_.get(), r->handle, &o) == SNAPMEM_OK,
                "a region has no name");
        require(o.npages == r->npages() && o.owner == r->owner &&
                    o.populated <= o.npages && o.version == r->version &&
                    (o.dirty || !r->dirty),
                "a region is not what get_object says");
    }
    if (const Snapshot *s = any_snapshot()) {
        require(snapmem_get_object(engine_.get(), s->handle, &o) == SNAPMEM_OK,
                "a snapshot has no name");
        require(o.npages == s->bytes.size() / page_bytes &&
                    o.version == s->version && !o.dirty && o.promised == 0,
                "a snapshot is not what get_object says");
    }
    require(snapmem_get_object(engine_.get(), bad_handle(), &o) ==
                SNAPMEM_BAD_REGION,
            "a bad handle names something");
}

void Guest::reset() {
    snapmem_reset(engine_.get());
    for (const Region &r : regions_) {
        old_handles_.push_back(r.handle);
    }
    for (const Snapshot &s : snapshots_) {
        old_handles_.push_back(s.handle);
    }
    regions_.clear();
    snapshots_.clear();
    guest_.clear();
}

void Guest::step() {
    using Op = void (Guest::*)();
    // As often as it stands here.
    static constexpr std::array<Op, 32> ops{
        &Guest::create,     &Guest::create,        &Guest::create,
        &Guest::clone,      &Guest::clone,         &Guest::destroy,
        &Guest::store,      &Guest::store,         &Guest::store,
        &Guest::store,      &Guest::store,         &Guest::store,
        &Guest::capture,    &Guest::capture,       &Guest::capture,
        &Guest::snapshot,   &Guest::snapshot,      &Guest::snapshot,
        &Guest::snapshot,   &Guest::drop_snapshot, &Guest::commit,
        &Guest::commit,     &Guest::merge,         &Guest::merge,
        &Guest::diff,       &Guest::diff,          &Guest::discard,
        &Guest::get_object, &Guest::release,       &Guest::receive,
        &Guest::hold,       &Guest::drop_holds};
    const std::uint8_t op = choices_.byte();
    switch (op) {
    case 0xff:
        reset();
        break;
    case 0xfe:
        release_badly();
        break;
    case 0xfd:
        store_astray();
        break;
    case 0xfc:
        compare();
        break;
    case 0xfb:
    case 0xfa:
        receive_large();
        break;
    case 0xf9:
        release_large();
        break;
    case 0xf8:
        move_large();
        break;
    default:
        (this->*ops[op % ops.size()])();
    }
}

void Guest::compare() {
    const char *wrong = snapmem_check(engine_.get());
    require(wrong == nullptr, wrong);
    for (const Region &r : regions_) {
        expect_region(r);
    }
    for (const Snapshot &s : snapshots_) {
        expect_snapshot(s);
    }
    for (const std::vector<Hold> *holds : {&guest_, &device_}) {
        for (const Hold &h : *holds) {
            expect_frame(h);
        }
    }
}

void Guest::finish() {
    reset();
    for (const Hold &h : device_) {
        expect_frame(h);
        snapmem_drop(engine_.get(), &h.frame, 1);
    }
    device_.clear();
    const char *wrong = snapmem_check(engine_.get());
    require(wrong == nullptr, wrong);
    require(levels() == Levels{config_.frames, {}},
            "frames have not come home");
}

} // namespace snapmem_fuzz
