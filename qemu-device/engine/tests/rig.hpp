// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An engine with one of three traps, and a guest that stores into it.
#pragma once

#include "engine.hpp"
#include "fake_trap.hpp"
#include "userfault_trap.hpp"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace snapmem_test {

using snapmem_impl::Engine;
using snapmem_impl::Frame;
using snapmem_impl::large_bit;
using snapmem_impl::large_frames;
using snapmem_impl::page_bytes;

enum class Trap { none, fake, real };

// Empty, or why userfaultfd cannot be used on this host.
inline std::string no_userfault() {
    try {
        const Engine engine({.frames = 1,
                             .window_pages = 1,
                             .rx_reserve = 0,
                             .mode = SNAPMEM_SHARE,
                             .dedup = false,
                             .queues = 1},
                            std::make_unique<snapmem_impl::UserfaultTrap>(),
                            {.map_budget = 100});
        return {};
    } catch (const std::system_error &e) {
        return std::string("no userfaultfd write protection: ") + e.what();
    }
}

#define SKIP_WITHOUT(trap)                                                     \
    if ((trap) == Trap::real && !no_userfault().empty())                       \
    GTEST_SKIP() << no_userfault()

struct RegionName {
    std::uint32_t handle = 0;
    Page page = 0;
};

inline snapmem_region_spec spec_for(std::uint32_t npages, bool sparse = false) {
    return {.npages = npages,
            .hint = SNAPMEM_HINT_NONE,
            .sparse = sparse,
            .owner = 0,
            .quota = SNAPMEM_QUOTA_NONE};
}

struct Captured {
    snapmem_status status = SNAPMEM_OK;
    std::vector<Frame> frames;
};

class Rig {
  public:
    Rig(Trap kind, const snapmem_config &config, std::uint32_t budget = 10000,
        std::uint32_t fanout_bits = 6, std::uint32_t cache_frames = 128) {
        std::unique_ptr<snapmem_impl::WriteTrap> trap;
        if (kind == Trap::fake) {
            auto fake = std::make_unique<FakeTrap>();
            fake_ = fake.get();
            trap = std::move(fake);
        } else if (kind == Trap::real) {
            trap = std::make_unique<snapmem_impl::UserfaultTrap>();
        }
        engine_ = std::make_unique<Engine>(
            config, std::move(trap),
            snapmem_impl::Tuning{.map_budget = budget,
                                 .fanout_bits = fanout_bits,
                                 .cache_frames = cache_frames});
    }

    Engine *operator->() { return engine_.get(); }
    FakeTrap &fake() { return *fake_; }

    // What a frame holds, and what the guest sees at a window page.
    [[nodiscard]] std::uint8_t *frame(Frame f) const {
        return engine_->pool_base() + f * page_bytes;
    }
    [[nodiscard]] std::uint8_t *page(Page p) const {
        return engine_->window_base() + p * page_bytes;
    }

    // A store of the guest, `offset` bytes into the window page, any length.
    void store(Page p, std::size_t offset, const void *data, std::size_t n) {
        const auto *from = static_cast<const std::uint8_t *>(data);
        p += static_cast<Page>(offset / page_bytes);
        offset %= page_bytes;
        while (n != 0) {
            const std::size_t part = std::min(n, page_bytes - offset);
            const auto land = [&] {
                std::memcpy(page(p) + offset, from, part);
            };
            if (fake_ != nullptr) {
                fake_->store(p, land);
            } else {
                land();
            }
            from += part;
            n -= part;
            offset = 0;
            ++p;
        }
    }
    void fill(Page p, std::uint8_t byte, std::uint32_t npages = 1) {
        const std::vector<std::uint8_t> data(npages * page_bytes, byte);
        store(p, 0, data.data(), data.size());
    }

    snapmem_status try_create(const snapmem_region_spec &spec, RegionName &r) {
        return engine_->region_create(spec, r.handle, r.page);
    }
    RegionName create(std::uint32_t npages, bool sparse = false) {
        RegionName r;
        EXPECT_EQ(try_create(spec_for(npages, sparse), r), SNAPMEM_OK);
        return r;
    }
    snapmem_status destroy(const RegionName &r) {
        return engine_->region_destroy(r.handle);
    }
    std::uint32_t snapshot(const RegionName &r) {
        std::uint32_t handle = 0;
        std::uint64_t version = 0;
        EXPECT_EQ(
            engine_->snapshot(r.handle, SNAPMEM_QUOTA_NONE, handle, version),
            SNAPMEM_OK);
        return handle;
    }
    RegionName clone(std::uint32_t snapshot) {
        RegionName r;
        EXPECT_EQ(engine_->clone(snapshot, spec_for(0), r.handle, r.page),
                  SNAPMEM_OK);
        return r;
    }
    // All of a region or snapshot.
    Captured capture_all(std::uint32_t handle, std::uint32_t npages) {
        return capture(handle, 0,
                       npages * static_cast<std::uint32_t>(page_bytes));
    }
    Captured capture(std::uint32_t region, std::uint64_t offset,
                     std::uint32_t length, std::uint32_t queue = 0,
                     bool large = false) {
        Captured c;
        c.frames.resize(SNAPMEM_CAPTURE_BYTES_MAX / page_bytes + 1);
        std::uint32_t n = 0;
        c.status =
            engine_->capture(region, offset, length, c.frames, n, queue, large);
        c.frames.resize(n);
        return c;
    }
    void release(const std::vector<Frame> &frames, std::uint32_t queue = 0) {
        std::size_t done = 0;
        EXPECT_EQ(engine_->release(frames, done, queue), SNAPMEM_OK);
        EXPECT_EQ(done, frames.size());
    }
    [[nodiscard]] snapmem_counters counters() const {
        snapmem_counters c;
        engine_->get_counters(c);
        return c;
    }
    // No free frame is zero any more. The order of free ones stays.
    void poison_pool(std::uint32_t n) {
        std::vector<Frame> frames(n);
        EXPECT_EQ(engine_->receive(frames), SNAPMEM_OK);
        for (const Frame f : frames) {
            std::memset(frame(f), 0xaa, page_bytes);
        }
        std::reverse(frames.begin(), frames.end());
        engine_->drop(frames);
    }

  private:
    FakeTrap *fake_ = nullptr; // the engine's
    std::unique_ptr<Engine> engine_;
};

inline bool all_bytes(const std::uint8_t *p, std::size_t n, std::uint8_t b) {
    return std::all_of(p, p + n, [b](std::uint8_t x) { return x == b; });
}

inline std::string trap_name(Trap t) {
    return t == Trap::none ? "none" : t == Trap::fake ? "fake" : "real";
}

inline std::string mode_name(snapmem_mode m) {
    return m == SNAPMEM_AUTO ? "auto" : m == SNAPMEM_SHARE ? "share" : "copy";
}

} // namespace snapmem_test
