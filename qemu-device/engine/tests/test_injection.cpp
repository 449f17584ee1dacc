// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Memory runs out at each point where the engine asks for some. The operation
// must say so and leave everything as it was; tried again it must succeed.
// Stores must not need any. In a program of its own: it replaces operator new.
#include "engine.hpp"
#include "fake_trap.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <new>
#include <optional>
#include <string>
#include <vector>

namespace snapmem_test {

namespace {

// Allocations of this thread that still succeed, if any are counted.
thread_local std::optional<std::uint32_t> allocations_left;
thread_local bool allocation_failed = false;
// No thread gets any.
std::atomic<bool> out_of_memory{false};

bool allocation_fails() {
    if (out_of_memory) {
        return true;
    }
    if (!allocations_left) {
        return false;
    }
    if (*allocations_left == 0) {
        allocation_failed = true;
        return true;
    }
    --*allocations_left;
    return false;
}

// NOLINTBEGIN(cppcoreguidelines-no-malloc): this is the heap
void *allocate(std::size_t n, std::size_t alignment) {
    n = (std::max<std::size_t>(n, 1) + alignment - 1) / alignment * alignment;
    void *p = allocation_fails() ? nullptr : std::aligned_alloc(alignment, n);
    if (p == nullptr) {
        throw std::bad_alloc();
    }
    return p;
}
// NOLINTEND(cppcoreguidelines-no-malloc)

} // namespace

} // namespace snapmem_test

// The forms for arrays, and those that do not throw, come here too.
// NOLINTBEGIN(cppcoreguidelines-no-malloc): this is the heap
[[gnu::noinline]] void *operator new(std::size_t n) {
    return snapmem_test::allocate(n, alignof(std::max_align_t));
}
[[gnu::noinline]] void *operator new(std::size_t n,
                                     std::align_val_t alignment) {
    return snapmem_test::allocate(n, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void *p) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void *p, std::size_t /*n*/) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void *p, std::align_val_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void *p, std::size_t /*n*/,
                                       std::align_val_t) noexcept {
    std::free(p);
}
// NOLINTEND(cppcoreguidelines-no-malloc)

namespace snapmem_test {
namespace {

using snapmem_impl::Engine;
using snapmem_impl::Frame;
using snapmem_impl::page_bytes;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t allocations_max = 1000;

// f() with the allocation after `left` others failing. Did one fail?
template <typename F>
bool with_failure(std::uint32_t left, F f) {
    allocations_left = left;
    allocation_failed = false;
    f();
    allocations_left.reset();
    return allocation_failed;
}

// As the C boundary does.
template <typename F>
snapmem_status guarded(F f) {
    try {
        return f();
    } catch (...) {
        return SNAPMEM_NO_MEMORY;
    }
}

// A region or a snapshot, and what it must hold: nothing once it is gone.
struct Mapped {
    std::uint32_t handle = 0;
    Page page = 0; // of a region
    Bytes bytes;
};

struct Variant {
    snapmem_mode mode;
    std::uint32_t fanout_bits;
    bool dedup;
};

// Regions with holes, own pages, shared pages and captured ones; snapshots
// that differ from them and from each other.
class World {
  public:
    explicit World(const Variant &v)
        : trap_(new FakeTrap),
          engine_({.frames = 256,
                   .window_pages = 128,
                   .rx_reserve = 4,
                   .mode = v.mode,
                   .dedup = v.dedup,
                   .queues = 1},
                  std::unique_ptr<snapmem_impl::WriteTrap>(trap_),
                  {.map_budget = 10000, .fanout_bits = v.fanout_bits}) {
        region = create(npages, true);
        other = create(3, false);
        for (std::uint32_t p = 1; p < npages; p += 3) {
            store(region, p, 0, static_cast<std::uint8_t>(p));
        }
        base = snapshot(region);
        branch = clone(base);
        store(branch, 1, 8, 0xb1);
        store(branch, 2, 8, 0xb2);
        store(branch, npages - 1, 8, 0xb3);
        from = snapshot(branch);
        store(branch, 4, 16, 0xb4);
        snapmem_object o{};
        EXPECT_EQ(engine_.get_object(region.handle, o), SNAPMEM_OK);
        version = o.version;
    }

    // The region goes on: what merge() brings in is no longer all there is.
    void change_region() {
        store(region, 1, 16, 0xa1);
        store(region, 5, 0, 0xa5);
    }

    Engine &engine() { return engine_; }
    std::uint8_t *frame(Frame f) {
        return engine_.pool_base() + f * page_bytes;
    }

    void store(Mapped &r, std::uint32_t page, std::size_t offset,
               std::uint8_t value) {
        const std::size_t at = page * page_bytes + offset;
        trap_->store(r.page + page, [&] {
            engine_.window_base()[r.page * page_bytes + at] = value;
        });
        r.bytes[at] = value;
    }

    static snapmem_region_spec spec(std::uint32_t pages, bool sparse) {
        return {.npages = pages,
                .hint = SNAPMEM_HINT_NONE,
                .sparse = sparse,
                .owner = 7,
                .quota = SNAPMEM_QUOTA_NONE};
    }

    void expect_content(const char *when) {
        ASSERT_STREQ(engine_.check(), nullptr) << when;
        for (const Mapped *r : {&region, &other, &branch}) {
            ASSERT_EQ(std::memcmp(engine_.window_base() + r->page * page_bytes,
                                  r->bytes.data(), r->bytes.size()),
                      0)
                << when << ": a region has changed";
        }
        for (const Mapped *s : {&base, &from}) {
            if (!s->bytes.empty()) {
                expect_captured(s->handle, s->bytes, when);
            }
        }
        for (const Hold &h : held) {
            ASSERT_EQ(std::memcmp(frame(h.frame), h.bytes.data(), page_bytes),
                      0)
                << when << ": a captured frame has changed";
        }
    }

    static constexpr std::uint32_t npages = 13;
    Mapped region, other, branch; // branch: a clone of base
    Mapped base, from;            // snapshots of region and branch
    std::uint64_t version = 0;    // of region
    struct Hold {
        Frame frame;
        Bytes bytes;
    };
    std::vector<Hold> held;

  private:
    Mapped create(std::uint32_t pages, bool sparse) {
        Mapped r{.bytes = Bytes(pages * page_bytes)};
        EXPECT_EQ(engine_.region_create(spec(pages, sparse), r.handle, r.page),
                  SNAPMEM_OK);
        return r;
    }
    Mapped snapshot(const Mapped &r) {
        Mapped s{.bytes = r.bytes};
        std::uint64_t v = 0;
        EXPECT_EQ(engine_.snapshot(r.handle, SNAPMEM_QUOTA_NONE, s.handle, v),
                  SNAPMEM_OK);
        return s;
    }
    Mapped clone(const Mapped &s) {
        Mapped r{.bytes = s.bytes};
        EXPECT_EQ(
            engine_.clone(s.handle, spec(npages, false), r.handle, r.page),
            SNAPMEM_OK);
        return r;
    }
    void expect_captured(std::uint32_t handle, const Bytes &bytes,
                         const char *when) {
        std::array<Frame, npages> frames{};
        std::uint32_t n = 0;
        ASSERT_EQ(engine_.capture(handle, 0,
                                  static_cast<std::uint32_t>(bytes.size()),
                                  frames, n),
                  SNAPMEM_OK);
        for (std::uint32_t i = 0; i < n; ++i) {
            ASSERT_EQ(std::memcmp(frame(frames[i]),
                                  bytes.data() + i * page_bytes, page_bytes),
                      0)
                << when << ": a snapshot has changed in page " << i;
        }
        std::size_t done = 0;
        ASSERT_EQ(engine_.release({frames.data(), n}, done), SNAPMEM_OK);
    }

    FakeTrap *trap_; // the engine's
    Engine engine_;
};

// Levels that a call which failed must leave alone.
std::array<std::uint64_t, 7> levels(World &w) {
    snapmem_counters c{};
    w.engine().get_counters(c);
    return {c.free_frames,        c.guest_frames, c.region_frames,
            c.reserved_frames,    c.regions,      c.snapshots_held,
            w.engine().charged(7)};
}

struct Operation {
    std::string name;
    // What the failures are injected into, and then what it must have done
    // to the model.
    std::function<snapmem_status(World &)> run;
    std::function<void(World &)> succeeded = [](World &) {};
    std::function<void(World &)> prepare = [](World &) {};
};

snapmem_status capture(World &w, std::uint32_t handle, const Bytes &bytes) {
    std::array<Frame, World::npages> frames{};
    std::uint32_t n = 0;
    const snapmem_status status = w.engine().capture(
        handle, 0, static_cast<std::uint32_t>(bytes.size()), frames, n);
    if (status != SNAPMEM_OK) {
        return status;
    }
    // The test's own memory is not what is tested.
    const auto left = std::exchange(allocations_left, std::nullopt);
    for (std::uint32_t i = 0; i < n; ++i) {
        const std::uint8_t *page = bytes.data() + i * page_bytes;
        w.held.push_back({frames[i], Bytes(page, page + page_bytes)});
    }
    allocations_left = left;
    return status;
}

// The guest holds a large frame, its first frame the last of w.held.
void hold_large(World &w) {
    Frame number = 0;
    ASSERT_EQ(w.engine().receive_large(number), SNAPMEM_OK);
    w.engine().give({&number, 1});
    const Frame first = number & ~SNAPMEM_LARGE;
    for (std::uint32_t i = SNAPMEM_LARGE_FRAMES; i-- > 0;) {
        const auto value = static_cast<std::uint8_t>(0xc0 + i);
        std::memset(w.frame(first + i), value, page_bytes);
        w.held.push_back({first + i, Bytes(page_bytes, value)});
    }
}

snapmem_status create(World &w, const snapmem_region_spec &spec) {
    std::uint32_t handle = 0;
    Page page = 0;
    return w.engine().region_create(spec, handle, page);
}

snapmem_status merge(World &w) {
    std::array<std::uint64_t, 4> conflicts{};
    std::size_t n = 0;
    return w.engine().merge(w.region.handle, w.base.handle, w.from.handle,
                            SNAPMEM_QUOTA_NONE, conflicts, n, w.version);
}

void merged(World &w) {
    w.region.bytes[1 * page_bytes + 8] = 0xb1;
    w.region.bytes[2 * page_bytes + 8] = 0xb2;
    w.region.bytes[(World::npages - 1) * page_bytes + 8] = 0xb3;
}

std::vector<Operation> operations() {
    std::vector<Operation> list;
    list.push_back(
        {"create", [](World &w) { return create(w, World::spec(9, false)); }});
    list.push_back({"create_sparse",
                    [](World &w) { return create(w, World::spec(9, true)); }});
    list.push_back({"create_for_a_new_owner", [](World &w) {
                        snapmem_region_spec s = World::spec(1, false);
                        s.owner = 99;
                        return create(w, s);
                    }});
    list.push_back(
        {"destroy",
         [](World &w) { return w.engine().region_destroy(w.other.handle); },
         [](World &w) { w.other.bytes.clear(); }});
    list.push_back({"capture", [](World &w) {
                        return capture(w, w.region.handle, w.region.bytes);
                    }});
    list.push_back({"capture_of_a_snapshot", [](World &w) {
                        return capture(w, w.base.handle, w.base.bytes);
                    }});
    list.push_back(
        {"release",
         [](World &w) {
             std::size_t done = 0;
             return w.engine().release({&w.held.back().frame, 1}, done);
         },
         [](World &w) { w.held.pop_back(); },
         [](World &w) { capture(w, w.other.handle, w.other.bytes); }});
    list.push_back({"receive", [](World &w) {
                        std::array<Frame, 5> frames{};
                        return w.engine().receive(frames);
                    }});
    list.push_back({"receive_large", [](World &w) {
                        Frame number = 0;
                        return w.engine().receive_large(number);
                    }});
    list.push_back(
        {"release_large",
         [](World &w) {
             const Frame number = w.held.back().frame | SNAPMEM_LARGE;
             std::size_t done = 0;
             return w.engine().release({&number, 1}, done);
         },
         [](World &w) { w.held.resize(w.held.size() - SNAPMEM_LARGE_FRAMES); },
         hold_large});
    const auto snapshot = [](World &w) {
        std::uint32_t handle = 0;
        std::uint64_t version = 0;
        return w.engine().snapshot(w.branch.handle, SNAPMEM_QUOTA_NONE, handle,
                                   version);
    };
    list.push_back({"snapshot", snapshot});
    // The nodes that later stores need are asked for now, by chunks: one of
    // these finds too few.
    for (int k = 1; k < 11; ++k) {
        list.push_back(
            {"snapshot_after_" + std::to_string(k), snapshot, [](World &) {},
             [k, snapshot](World &w) {
                 for (int i = 0; i < k; ++i) {
                     snapshot(w);
                     for (std::uint32_t p = 0; p < World::npages; ++p) {
                         w.store(w.branch, p, 32, 7);
                     }
                 }
             }});
    }
    list.push_back(
        {"drop",
         [](World &w) { return w.engine().snapshot_drop(w.from.handle); },
         [](World &w) {
             w.from = w.base; // which can be compared twice
         }});
    list.push_back({"clone", [](World &w) {
                        std::uint32_t handle = 0;
                        Page page = 0;
                        return w.engine().clone(
                            w.from.handle, World::spec(1, false), handle, page);
                    }});
    list.push_back({"commit",
                    [](World &w) {
                        return w.engine().commit(w.region.handle, w.from.handle,
                                                 SNAPMEM_QUOTA_NONE, w.version);
                    },
                    [](World &w) { w.region.bytes = w.from.bytes; }});
    list.push_back({"merge_whole_pages", merge, merged});
    list.push_back(
        {"merge_words", merge, merged, [](World &w) { w.change_region(); }});
    list.push_back({"diff", [](World &w) {
                        std::array<Page, 4> pages{};
                        std::size_t n = 0;
                        Page next = 0;
                        return w.engine().diff(w.base.handle, w.from.handle, 0,
                                               pages, n, next);
                    }});
    list.push_back(
        {"discard",
         [](World &w) { return w.engine().discard(w.region.handle, 0, 5); },
         [](World &w) {
             std::fill_n(w.region.bytes.begin(), 5 * page_bytes,
                         std::uint8_t{0});
         }});
    list.push_back({"reset",
                    [](World &w) {
                        w.engine().reset();
                        return SNAPMEM_OK;
                    },
                    [](World &w) {
                        w.region.bytes.clear();
                        w.other.bytes.clear();
                        w.branch.bytes.clear();
                        w.base.bytes.clear();
                        w.from.bytes.clear();
                        w.held.clear();
                    }});
    return list;
}

class InjectionTest
    : public testing::TestWithParam<std::tuple<Operation, Variant>> {};

TEST_P(InjectionTest, AllOrNothing) {
    const Operation &operation = std::get<0>(GetParam());
    const Variant &variant = std::get<1>(GetParam());
    std::uint32_t failures = 0;
    for (bool failed = true; failed; ++failures) {
        ASSERT_LT(failures, allocations_max);
        World w(variant); // anew: what was reserved before would stay
        operation.prepare(w);
        w.expect_content("before");
        const auto before = levels(w);
        snapmem_status status = SNAPMEM_OK;
        failed = with_failure(failures, [&] {
            status = guarded([&] { return operation.run(w); });
        });
        if (failed) {
            ASSERT_EQ(status, SNAPMEM_NO_MEMORY) << "allocation " << failures;
            ASSERT_EQ(levels(w), before) << "allocation " << failures;
            w.expect_content("after a failure");
            status = operation.run(w);
        }
        ASSERT_EQ(status, SNAPMEM_OK) << "allocation " << failures;
        operation.succeeded(w);
        w.expect_content("after success");
        // Stores still land.
        if (!w.branch.bytes.empty()) {
            w.store(w.branch, 3, 0, 0x33);
            w.store(w.region, 6, 0, 0x66);
            w.expect_content("after stores");
        }
        w.engine().reset();
        ASSERT_STREQ(w.engine().check(), nullptr);
    }
    RecordProperty("allocations", static_cast<int>(failures) - 1);
}

constexpr std::array variants{
    Variant{SNAPMEM_SHARE, 1, false}, Variant{SNAPMEM_SHARE, 6, false},
    Variant{SNAPMEM_SHARE, 2, true}, Variant{SNAPMEM_COPY, 2, false}};

INSTANTIATE_TEST_SUITE_P(Operations, InjectionTest,
                         testing::Combine(testing::ValuesIn(operations()),
                                          testing::ValuesIn(variants)),
                         [](const auto &info) {
                             const Operation &operation =
                                 std::get<0>(info.param);
                             const Variant &v = std::get<1>(info.param);
                             return operation.name +
                                    (v.mode == SNAPMEM_COPY ? "_copy_"
                                                            : "_share_") +
                                    std::to_string(v.fanout_bits) +
                                    (v.dedup ? "_dedup" : "");
                         });

TEST(Injection, EngineThatCannotBeMade) {
    for (std::uint32_t n = 0;; ++n) {
        ASSERT_LT(n, allocations_max);
        snapmem *m = nullptr;
        const char *error = nullptr;
        const snapmem_config config{.frames = 8,
                                    .window_pages = 8,
                                    .rx_reserve = 0,
                                    .mode = SNAPMEM_AUTO,
                                    .dedup = true,
                                    .queues = 1};
        const bool failed =
            with_failure(n, [&] { m = snapmem_new(&config, false, &error); });
        snapmem_free(m);
        if (!failed) {
            ASSERT_NE(m, nullptr) << error;
            break;
        }
        ASSERT_EQ(m, nullptr);
        ASSERT_NE(error, nullptr);
    }
}

// What a snapshot was promised lasts for a store to each page, in whichever
// thread it is served.
TEST(Injection, StoresNeedNoMemory) {
    constexpr std::uint32_t npages = 100;
    const snapmem_config config{.frames = 512,
                                .window_pages = npages,
                                .rx_reserve = 0,
                                .mode = SNAPMEM_AUTO,
                                .dedup = false,
                                .queues = 1};
    const char *error = nullptr;
    snapmem *m = snapmem_new(&config, false, &error);
    ASSERT_NE(m, nullptr) << error;
    if (!snapmem_can_share(m)) {
        snapmem_free(m);
        GTEST_SKIP() << "no userfaultfd write protection";
    }
    const snapmem_region_spec spec = World::spec(npages, true);
    std::uint32_t region = 0;
    std::uint32_t page = 0;
    ASSERT_EQ(snapmem_region_create(m, &spec, &region, &page), SNAPMEM_OK);
    for (std::uint32_t round = 1; round < 4; ++round) {
        std::uint8_t *window = snapmem_window(m) + page * page_bytes;
        out_of_memory = true;
        for (std::uint32_t p = 0; p < npages; ++p) {
            window[p * 37 % npages * page_bytes] =
                static_cast<std::uint8_t>(round);
        }
        out_of_memory = false;
        for (std::uint32_t p = 0; p < npages; ++p) {
            ASSERT_EQ(window[p * page_bytes], round);
        }
        ASSERT_STREQ(snapmem_check(m), nullptr);
        std::uint32_t snapshot = 0;
        std::uint64_t version = 0;
        ASSERT_EQ(snapmem_snapshot(m, region, SNAPMEM_QUOTA_NONE, &snapshot,
                                   &version),
                  SNAPMEM_OK);
    }
    snapmem_free(m);
}

} // namespace
} // namespace snapmem_test
