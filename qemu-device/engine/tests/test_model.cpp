// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Random operations against a model that copies everything. SNAPMEM_SEED
// repeats a run, SNAPMEM_STEPS makes it longer.
#include "model.hpp"

#include <cstdlib>
#include <gtest/gtest.h>
#include <ostream>
#include <thread>

namespace snapmem_test {
namespace {

constexpr std::uint32_t pool_frames = 384;
constexpr std::uint32_t window_pages = 160;
constexpr std::uint32_t reserve = 16;
constexpr std::uint32_t region_pages = 40;
constexpr std::uint32_t queues = 3;
constexpr std::uint32_t cache_frames = 48;

std::uint64_t from_environment(const char *name, std::uint64_t otherwise) {
    const char *text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::uint64_t seed() {
    const std::uint64_t s =
        from_environment("SNAPMEM_SEED", std::random_device{}());
    std::printf("  SNAPMEM_SEED=%llu\n", static_cast<unsigned long long>(s));
    return s;
}

struct Variant {
    snapmem_mode mode = SNAPMEM_SHARE;
    Trap trap = Trap::fake;
    // Mapping segments: with few, captures copy, and regions and snapshots
    // fail for want of mappings.
    std::uint32_t budget = 10000;
    std::uint32_t fanout_bits = 6;
    bool dedup = false;

    [[nodiscard]] std::string name() const {
        return mode_name(mode) + "_" + trap_name(trap) + "_" +
               std::to_string(budget) + "_fanout" +
               std::to_string(1U << fanout_bits) + (dedup ? "_dedup" : "");
    }
    [[nodiscard]] ModelGuest::Limits limits(bool alone) const {
        return {region_pages, reserve, trap != Trap::none, alone};
    }
};

void PrintTo(const Variant &v, std::ostream *out) {
    *out << v.name();
}

class ModelTest : public testing::TestWithParam<Variant> {
  protected:
    void SetUp() override {
        const Variant &v = GetParam();
        SKIP_WITHOUT(v.trap);
        rig_ = std::make_unique<Rig>(v.trap,
                                     snapmem_config{pool_frames, window_pages,
                                                    reserve, v.mode, v.dedup,
                                                    queues},
                                     v.budget, v.fanout_bits, cache_frames);
        rig_->poison_pool(pool_frames);
    }
    Rig &rig() { return *rig_; }

    void expect_all_home() {
        EXPECT_EQ(rig()->available(), pool_frames);
        EXPECT_STREQ(rig()->check(), nullptr);
        const snapmem_counters n = rig().counters();
        EXPECT_EQ(n.regions, 0U);
        EXPECT_EQ(n.snapshots_held, 0U);
        EXPECT_EQ(n.reserved_frames, 0U);
        for (std::uint32_t owner = 0; owner < 4; ++owner) {
            EXPECT_EQ(rig()->charged(owner), 0U);
        }
        const auto print = [](const char *what, std::uint64_t value) {
            std::printf("  %llu %s", static_cast<unsigned long long>(value),
                        what);
        };
        print("captures,", n.captures);
        print("faults,", n.write_faults);
        print("copies,", n.cow_copies);
        print("snapshots,", n.snapshots);
        print("commits,", n.commits);
        print("merges,", n.merges);
        print("conflicts,", n.conflicts);
        print("duplicates\n", n.dedup_pages);
    }

  private:
    std::unique_ptr<Rig> rig_;
};

TEST_P(ModelTest, MatchesACopyOfEverything) {
    const std::uint64_t steps = from_environment("SNAPMEM_STEPS", 15000);
    std::mt19937_64 random(seed());
    ModelGuest guest(rig(), GetParam().limits(true), random());
    const auto compare = [&] {
        guest.compare();
        ASSERT_STREQ(rig()->check(), nullptr);
        const std::vector<Frame> held = guest.held();
        ASSERT_EQ(rig().counters().guest_frames, held.size());
        for (const Frame f : held) {
            ASSERT_TRUE(rig()->guest_holds(f, 1));
        }
    };
    for (std::uint64_t i = 0; i < steps && !HasFailure(); ++i) {
        SCOPED_TRACE(testing::Message() << "step " << i);
        guest.step();
        if (random() % 1000 == 0) {
            rig()->reset();
            guest.forget();
        }
        if (i % 25 == 0 && !HasFailure()) {
            compare();
        }
    }
    compare();
    guest.finish();
    expect_all_home();
    const ModelGuest::Large &large = guest.large();
    std::printf("  large frames: %llu received, %llu captured, %llu released, "
                "%llu refused\n",
                static_cast<unsigned long long>(large.received),
                static_cast<unsigned long long>(large.captured),
                static_cast<unsigned long long>(large.released),
                static_cast<unsigned long long>(large.refused));
    if (steps >= 5000) {
        EXPECT_GT(large.received, 0U);
        EXPECT_TRUE(large.captured > 0 || GetParam().mode != SNAPMEM_COPY);
        EXPECT_GT(large.released, 0U);
        EXPECT_GT(large.refused, 0U);
    }
}

// Each guest knows only what it did itself; all of it must hold whatever the
// others do.
TEST_P(ModelTest, GuestsDoNotDisturbEachOther) {
    const std::uint64_t steps = from_environment("SNAPMEM_STEPS", 15000) / 3;
    std::mt19937_64 random(seed());
    std::vector<std::thread> threads;
    threads.reserve(3);
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([this, steps, s = random()] {
            ModelGuest guest(rig(), GetParam().limits(false), s);
            for (std::uint64_t i = 0; i < steps && !HasFailure(); ++i) {
                guest.step();
                if (i % 50 == 0) {
                    guest.compare();
                }
                if (i % 200 == 0) {
                    EXPECT_STREQ(rig()->check(), nullptr);
                }
            }
            guest.finish();
        });
    }
    for (std::thread &t : threads) {
        t.join();
    }
    expect_all_home();
}

// Tiny fan-outs make trees deep with few pages.
INSTANTIATE_TEST_SUITE_P(
    Variants, ModelTest,
    testing::Values(
        Variant{.mode = SNAPMEM_COPY, .trap = Trap::none},
        Variant{.mode = SNAPMEM_COPY, .trap = Trap::fake, .fanout_bits = 2},
        Variant{}, Variant{.trap = Trap::real}, Variant{.fanout_bits = 1},
        Variant{.budget = 100, .fanout_bits = 3},
        Variant{.trap = Trap::real, .budget = 100},
        Variant{.fanout_bits = 2, .dedup = true},
        Variant{.mode = SNAPMEM_AUTO, .dedup = true},
        Variant{.mode = SNAPMEM_AUTO, .trap = Trap::real, .fanout_bits = 1}),
    [](const auto &info) { return info.param.name(); });

} // namespace
} // namespace snapmem_test
