// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Stores race with captures, releases, reception and the fault thread.
#include "rig.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>

namespace snapmem_test {
namespace {

constexpr std::uint32_t writer_pages = 20; // per writer
constexpr std::size_t second = 2048;       // offset of the second counter

using Word = std::uint64_t;

std::atomic_ref<Word> word(std::uint8_t *p) {
    return std::atomic_ref<Word>(*reinterpret_cast<Word *>(p));
}

class ThreadsTest : public testing::TestWithParam<Trap> {
  protected:
    void SetUp() override { SKIP_WITHOUT(GetParam()); }

    // Round n stores n to both words of each page, in order. So at any
    // instant the words fall from n to n - 1 at one place at most.
    static void write(Rig &rig, Trap trap, Page first,
                      const std::atomic<bool> &stop) {
        for (Word n = 1; !stop; ++n) {
            for (Page p = first; p < first + writer_pages; ++p) {
                for (const std::size_t at : {std::size_t{0}, second}) {
                    const auto land = [&] { word(rig.page(p) + at) = n; };
                    if (trap == Trap::fake) {
                        rig.fake().store(p, land);
                    } else {
                        land();
                    }
                }
            }
        }
    }

    static std::vector<Word> read(Rig &rig, const std::vector<Frame> &frames) {
        std::vector<Word> words;
        for (const Frame f : frames) {
            words.push_back(word(rig.frame(f)));
            words.push_back(word(rig.frame(f) + second));
        }
        return words;
    }

    static void expect_instant(const std::vector<Word> &words) {
        for (std::size_t i = 1; i < words.size(); ++i) {
            ASSERT_LE(words[i], words[i - 1]) << "word " << i;
        }
        ASSERT_LE(words.front() - words.back(), 1U);
    }
};

INSTANTIATE_TEST_SUITE_P(Traps, ThreadsTest,
                         testing::Values(Trap::fake, Trap::real),
                         [](const auto &info) {
                             return trap_name(info.param);
                         });

TEST_P(ThreadsTest, CapturesAreInstantsAndStay) {
    Rig rig(GetParam(), {.frames = 400,
                         .window_pages = 64,
                         .rx_reserve = 8,
                         .mode = SNAPMEM_SHARE,
                         .dedup = false,
                         .queues = 1});
    const std::array<RegionName, 2> regions{rig.create(writer_pages),
                                            rig.create(writer_pages)};
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    threads.reserve(3);
    for (const RegionName &r : regions) {
        threads.emplace_back([&rig, &stop, page = r.page] {
            write(rig, GetParam(), page, stop);
        });
    }
    threads.emplace_back([&rig, &stop] {
        std::vector<Frame> frames(5);
        while (!stop) {
            if (rig->receive(frames) == SNAPMEM_OK) {
                rig->give(frames);
                rig.release(frames);
            }
        }
    });

    struct Kept {
        std::vector<Frame> frames;
        std::vector<Word> words;
    };
    std::vector<Kept> kept;
    int captures = 0;
    int refused = 0;
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
    while (std::chrono::steady_clock::now() < end && !HasFailure()) {
        const RegionName &r = regions[static_cast<std::size_t>(captures % 2)];
        Captured c = rig.capture(r.handle, 0, writer_pages * page_bytes);
        if (c.status == SNAPMEM_OK) {
            std::vector<Word> words = read(rig, c.frames);
            expect_instant(words);
            kept.push_back({std::move(c.frames), std::move(words)});
            ++captures;
        } else {
            EXPECT_EQ(c.status, SNAPMEM_NO_FRAMES);
            ++refused;
        }
        if (kept.size() > 8 || c.status != SNAPMEM_OK) {
            for (const Kept &k : kept) {
                EXPECT_EQ(read(rig, k.frames), k.words) << "a frame changed";
                rig.release(k.frames);
            }
            kept.clear();
        }
        if (captures % 16 == 0) {
            EXPECT_STREQ(rig->check(), nullptr);
        }
        std::this_thread::yield();
    }
    stop = true;
    for (std::thread &t : threads) {
        t.join();
    }
    for (const Kept &k : kept) {
        EXPECT_EQ(read(rig, k.frames), k.words);
    }
    EXPECT_STREQ(rig->check(), nullptr);
    const snapmem_counters n = rig.counters();
    EXPECT_GT(n.cow_copies, 0U);
    std::printf("  %d captures, %d refused, %llu faults, %llu copies\n",
                captures, refused,
                static_cast<unsigned long long>(n.write_faults),
                static_cast<unsigned long long>(n.cow_copies));
}

// The same with whole regions, while stores, faults with pages ahead, commits
// and clones go on.
TEST_P(ThreadsTest, SnapshotsAreInstantsAndStay) {
    Rig rig(GetParam(), {.frames = 1000,
                         .window_pages = 256,
                         .rx_reserve = 8,
                         .mode = SNAPMEM_COPY,
                         .dedup = false,
                         .queues = 1});
    const std::array<RegionName, 2> regions{rig.create(writer_pages),
                                            rig.create(writer_pages, true)};
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    threads.reserve(2);
    for (const RegionName &r : regions) {
        threads.emplace_back([&rig, &stop, page = r.page] {
            write(rig, GetParam(), page, stop);
        });
    }
    struct Kept {
        std::uint32_t handle;
        std::vector<Word> words;
    };
    const auto look = [&](std::uint32_t handle) {
        const Captured c = rig.capture_all(handle, writer_pages);
        EXPECT_EQ(c.status, SNAPMEM_OK);
        std::vector<Word> words = read(rig, c.frames);
        rig.release(c.frames);
        return words;
    };
    std::vector<Kept> kept;
    std::uint64_t taken = 0;
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
    while (std::chrono::steady_clock::now() < end && !HasFailure()) {
        const RegionName &r = regions[taken++ % 2];
        Kept k{rig.snapshot(r), {}};
        const RegionName clone = rig.clone(k.handle);
        k.words = look(k.handle);
        expect_instant(k.words);
        EXPECT_EQ(look(clone.handle), k.words);
        EXPECT_EQ(rig.destroy(clone), SNAPMEM_OK);
        kept.push_back(std::move(k));
        if (kept.size() > 8) {
            for (const Kept &old : kept) {
                EXPECT_EQ(look(old.handle), old.words) << "a page changed";
                EXPECT_EQ(rig->snapshot_drop(old.handle), SNAPMEM_OK);
            }
            kept.clear();
            EXPECT_STREQ(rig->check(), nullptr);
        }
        std::this_thread::yield();
    }
    stop = true;
    for (std::thread &t : threads) {
        t.join();
    }
    EXPECT_STREQ(rig->check(), nullptr);
    EXPECT_GT(rig.counters().cow_copies, 0U);
    std::printf("  %llu snapshots, %llu faults, %llu copies, %llu ahead\n",
                static_cast<unsigned long long>(taken),
                static_cast<unsigned long long>(rig.counters().write_faults),
                static_cast<unsigned long long>(rig.counters().cow_copies),
                static_cast<unsigned long long>(rig.counters().ahead_pages));
}

// Regions come and go under stores to them: the window is mapped always and
// no thread is left waiting. Stray stores pass the fake trap by.
TEST(Threads, RegionsGoWhileStoresWait) {
    SKIP_WITHOUT(Trap::real);
    Rig rig(Trap::real, {.frames = 128,
                         .window_pages = 16,
                         .rx_reserve = 0,
                         .mode = SNAPMEM_SHARE,
                         .dedup = false,
                         .queues = 1});
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> stores = 0;
    std::thread writer([&] {
        while (!stop) {
            for (Page p = 0; p < 16; ++p) {
                word(rig.page(p)) = 1;
                ++stores;
            }
        }
    });
    for (int i = 0; i < 1000; ++i) {
        const RegionName r = rig.create(16);
        const Captured c = rig.capture(r.handle, 0, 16 * page_bytes);
        ASSERT_EQ(c.status, SNAPMEM_OK);
        if (i % 2 == 0) {
            rig.release(c.frames);
            EXPECT_EQ(rig->region_destroy(r.handle), SNAPMEM_OK);
        } else {
            rig->reset();
        }
        ASSERT_EQ(rig->available(), 128U);
    }
    const std::uint64_t before = stores;
    while (stores == before) {
        std::this_thread::yield();
    }
    stop = true;
    writer.join();
    EXPECT_STREQ(rig->check(), nullptr);
}

} // namespace
} // namespace snapmem_test
