// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Random operations against a model that copies everything. SNAPMEM_SEED
// repeats a run, SNAPMEM_STEPS makes it longer.
#include "rig.hpp"

#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <tuple>

namespace snapmem_test {
namespace {

constexpr std::uint32_t pool_frames = 256;
constexpr std::uint32_t window_pages = 128;
constexpr std::uint32_t reserve = 16;

std::uint64_t from_environment(const char *name, std::uint64_t otherwise) {
    const char *text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

using Bytes = std::vector<std::uint8_t>;

// One hold on a frame, and what the frame must hold as long as it exists.
struct Hold {
    Frame frame;
    Bytes bytes;
};

struct ModelRegion {
    RegionName name;
    Bytes bytes;
};

using Variant = std::tuple<snapmem_mode, Trap, std::uint32_t>;

class ModelTest : public testing::TestWithParam<Variant> {
  protected:
    void SetUp() override {
        const auto [mode, trap, budget] = GetParam();
        SKIP_WITHOUT(trap);
        rig_ = std::make_unique<Rig>(
            trap, snapmem_config{pool_frames, window_pages, reserve, mode},
            budget);
        rig_->poison_pool(pool_frames);
        seed_ = from_environment("SNAPMEM_SEED", std::random_device{}());
        random_.seed(seed_);
        std::printf("  SNAPMEM_SEED=%llu\n",
                    static_cast<unsigned long long>(seed_));
    }

    Rig &rig() { return *rig_; }
    // In [low, high].
    std::uint32_t pick(std::uint32_t low, std::uint32_t high) {
        return low + static_cast<std::uint32_t>(random_() % (high - low + 1));
    }
    Bytes noise(std::size_t n) {
        Bytes b(n);
        const std::uint64_t first = random_();
        for (std::size_t i = 0; i < n; ++i) {
            b[i] = static_cast<std::uint8_t>(first + i * 7 + i / 256) | 1;
        }
        return b;
    }
    template <typename T>
    std::size_t any(const std::vector<T> &v) {
        return random_() % v.size();
    }
    template <typename T>
    static T cut(std::vector<T> &v, std::size_t i) {
        std::swap(v[i], v.back());
        T t = std::move(v.back());
        v.pop_back();
        return t;
    }

    void create();
    void destroy();
    void store();
    void capture();
    void release();
    void receive();
    void hold();
    void drop();
    void reset();
    void step();
    void compare();
    void expect_frame(const Hold &h) {
        ASSERT_EQ(std::memcmp(rig().frame(h.frame), h.bytes.data(), page_bytes),
                  0)
            << "frame " << h.frame << " is not what was captured";
    }

    std::vector<ModelRegion> regions_;
    std::vector<Hold> guest_;
    std::vector<Hold> device_;

  private:
    std::unique_ptr<Rig> rig_;
    std::mt19937_64 random_;
    std::uint64_t seed_ = 0;
};

void ModelTest::create() {
    ModelRegion r;
    const std::uint32_t n = pick(1, 40);
    const auto hint = static_cast<snapmem_hint>(pick(0, 2));
    const std::uint32_t available = rig()->available();
    const snapmem_status status =
        rig()->region_create(n, hint, r.name.handle, r.name.page);
    if (status == SNAPMEM_NO_FRAMES) {
        ASSERT_LT(available, n + reserve);
        return;
    }
    if (status == SNAPMEM_NO_WINDOW || status == SNAPMEM_NO_MEMORY) {
        return;
    }
    ASSERT_EQ(status, SNAPMEM_OK);
    r.bytes.resize(n * page_bytes);
    regions_.push_back(std::move(r));
}

void ModelTest::destroy() {
    if (!regions_.empty()) {
        const ModelRegion r = cut(regions_, any(regions_));
        ASSERT_EQ(rig()->region_destroy(r.name.handle), SNAPMEM_OK);
        ASSERT_EQ(rig()->region_destroy(r.name.handle), SNAPMEM_BAD_REGION);
    }
}

void ModelTest::store() {
    if (regions_.empty()) {
        return;
    }
    ModelRegion &r = regions_[any(regions_)];
    const auto size = static_cast<std::uint32_t>(r.bytes.size());
    const std::uint32_t offset = pick(0, size - 1);
    const std::uint32_t most = pick(0, 3) == 0 ? size : 5000;
    const Bytes data = noise(pick(1, std::min(size - offset, most)));
    rig().store(r.name.page, offset, data.data(), data.size());
    std::copy(data.begin(), data.end(), r.bytes.begin() + offset);
}

void ModelTest::capture() {
    if (regions_.empty()) {
        return;
    }
    const ModelRegion &r = regions_[any(regions_)];
    const auto size = static_cast<std::uint32_t>(r.bytes.size());
    std::uint32_t offset = pick(0, size - 1);
    std::uint32_t length = pick(1, size - offset);
    if (pick(0, 1) != 0) { // whole pages
        offset -= offset % page_bytes;
        length = pick(1, (size - offset) / page_bytes) * page_bytes;
    }
    const std::uint32_t first = offset / page_bytes;
    const std::uint32_t pages = (offset + length - 1) / page_bytes - first + 1;
    const std::uint32_t available = rig()->available();
    const Captured c = rig().capture(r.name.handle, offset, length);
    if (c.status == SNAPMEM_NO_FRAMES) {
        ASSERT_LT(available, pages + reserve);
        ASSERT_EQ(rig()->available(), available);
        return;
    }
    ASSERT_EQ(c.status, SNAPMEM_OK);
    ASSERT_EQ(c.frames.size(), pages);
    for (std::uint32_t i = 0; i < pages; ++i) {
        Bytes page(page_bytes);
        for (std::uint32_t k = 0; k < page_bytes; ++k) {
            const std::size_t at = (first + i) * page_bytes + k;
            page[k] = at >= offset && at < offset + length ? r.bytes[at] : 0;
        }
        guest_.push_back({c.frames[i], std::move(page)});
        expect_frame(guest_.back());
    }
}

void ModelTest::release() {
    std::vector<Frame> frames;
    for (std::uint32_t n = pick(1, 60); n > 0 && !guest_.empty(); --n) {
        const Hold h = cut(guest_, any(guest_));
        expect_frame(h);
        frames.push_back(h.frame);
    }
    rig().release(frames);
}

void ModelTest::receive() {
    std::vector<Frame> frames(pick(1, 20));
    const std::uint32_t available = rig()->available();
    if (rig()->receive(frames) != SNAPMEM_OK) {
        ASSERT_LT(available, frames.size());
        return;
    }
    for (const Frame f : frames) {
        Bytes data = noise(page_bytes);
        std::copy(data.begin(), data.end(), rig().frame(f));
        device_.push_back({f, std::move(data)});
    }
    if (pick(0, 3) != 0) { // give most of them at once
        rig()->give(frames);
        for (std::size_t i = 0; i < frames.size(); ++i) {
            guest_.push_back(std::move(device_.back()));
            device_.pop_back();
        }
    }
}

void ModelTest::hold() {
    if (!guest_.empty()) {
        device_.push_back(guest_[any(guest_)]);
        rig()->hold({&device_.back().frame, 1});
    }
}

void ModelTest::drop() {
    for (std::uint32_t n = pick(1, 20); n > 0 && !device_.empty(); --n) {
        const Hold h = cut(device_, any(device_));
        expect_frame(h);
        rig()->drop({&h.frame, 1});
    }
}

void ModelTest::reset() {
    rig()->reset();
    regions_.clear();
    guest_.clear();
}

void ModelTest::compare() {
    ASSERT_STREQ(rig()->check(), nullptr);
    for (const ModelRegion &r : regions_) {
        ASSERT_EQ(std::memcmp(rig().page(r.name.page), r.bytes.data(),
                              r.bytes.size()),
                  0)
            << "a region is not what was stored";
    }
    std::map<Frame, std::uint32_t> held;
    for (const std::vector<Hold> *holds : {&guest_, &device_}) {
        for (const Hold &h : *holds) {
            expect_frame(h);
        }
    }
    for (const Hold &h : guest_) {
        ++held[h.frame];
    }
    ASSERT_EQ(rig().counters().guest_frames, held.size());
    for (Frame f = 0; f < pool_frames; ++f) {
        ASSERT_EQ(rig()->guest_holds(f, 1), held.contains(f));
    }
}

void ModelTest::step() {
    const std::uint32_t what = pick(0, 999);
    if (what < 30) {
        create();
    } else if (what < 50) {
        destroy();
    } else if (what < 400) {
        store();
    } else if (what < 700) {
        capture();
    } else if (what < 850) {
        release();
    } else if (what < 920) {
        receive();
    } else if (what < 950) {
        hold();
    } else if (what < 998) {
        drop();
    } else {
        reset();
    }
}

TEST_P(ModelTest, MatchesACopyOfEverything) {
    const std::uint64_t steps = from_environment("SNAPMEM_STEPS", 15000);
    for (std::uint64_t i = 0; i < steps && !HasFatalFailure(); ++i) {
        SCOPED_TRACE(testing::Message() << "step " << i);
        step();
        if (i % 25 == 0 && !HasFatalFailure()) {
            compare();
        }
    }
    compare();
    // All frames come home.
    reset();
    while (!device_.empty()) {
        drop();
    }
    EXPECT_EQ(rig()->available(), pool_frames);
    const snapmem_counters n = rig().counters();
    std::printf("  %llu captures, %llu MB shared, %llu MB copied, "
                "%llu faults, %llu copies on write\n",
                static_cast<unsigned long long>(n.captures),
                static_cast<unsigned long long>(n.shared_bytes >> 20),
                static_cast<unsigned long long>(n.copied_bytes >> 20),
                static_cast<unsigned long long>(n.write_faults),
                static_cast<unsigned long long>(n.cow_copies));
}

// The last number: mapping segments; the small ones make captures copy and
// regions fail for want of mappings.
INSTANTIATE_TEST_SUITE_P(
    Modes, ModelTest,
    testing::Values(Variant{SNAPMEM_COPY, Trap::none, 10000},
                    Variant{SNAPMEM_SHARE, Trap::fake, 10000},
                    Variant{SNAPMEM_SHARE, Trap::real, 10000},
                    Variant{SNAPMEM_SHARE, Trap::fake, 60},
                    Variant{SNAPMEM_SHARE, Trap::real, 60},
                    Variant{SNAPMEM_AUTO, Trap::fake, 10000},
                    Variant{SNAPMEM_AUTO, Trap::real, 10000}),
    [](const auto &info) {
        return mode_name(std::get<0>(info.param)) + "_" +
               trap_name(std::get<1>(info.param)) + "_" +
               std::to_string(std::get<2>(info.param));
    });

} // namespace
} // namespace snapmem_test
