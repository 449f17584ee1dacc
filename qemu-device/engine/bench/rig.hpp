// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An engine to measure, with the trap of the host or with none to speak of.
#pragma once

#include "engine.hpp"

#include <chrono>
#include <memory>
#include <span>
#include <vector>

namespace snapmem_bench {

using snapmem_impl::Engine;
using snapmem_impl::Frame;
using snapmem_impl::Page;
using snapmem_impl::page_bytes;

inline constexpr std::size_t words_per_page = page_bytes / 8;

// 1 MiB, 64 MiB, 1 GiB, 4 GiB in pages.
inline constexpr std::uint32_t small_pages = 256;
inline constexpr std::uint32_t middle_pages = 16384;
inline constexpr std::uint32_t large_pages = 262144;
inline constexpr std::uint32_t huge_pages = 1048576;

// Does nothing, so that what remains is the engine's own work. It has no
// threads: stores are told to the engine by touch().
class NullTrap final : public snapmem_impl::WriteTrap {
  public:
    void start(std::uint8_t * /*window*/, std::uint32_t /*pages*/,
               snapmem_impl::StoreSink &sink) override {
        sink_ = &sink;
    }
    void stop() noexcept override {}
    bool arm(Page /*p*/, std::uint32_t /*n*/) noexcept override { return true; }
    bool disarm(Page /*p*/, std::uint32_t /*n*/) noexcept override {
        return true;
    }
    bool rebound(Page /*p*/, std::uint32_t /*n*/) noexcept override {
        return true;
    }
    void touch(Page p) { sink_->resolve_store(p); }

  private:
    snapmem_impl::StoreSink *sink_ = nullptr;
};

struct RegionName {
    std::uint32_t handle = 0;
    Page page = 0; // of the window
    std::uint32_t npages = 0;
};

enum class Trap { null, host };

// What fails ends the program: no number is better than a wrong one.
class Rig {
  public:
    struct Size {
        std::uint32_t frames;
        std::uint32_t window_pages;
    };
    // Room for one region of that many pages and everything stored to it
    // after a snapshot, `regions` times.
    static Size size_for(std::uint32_t npages, std::uint32_t regions = 1);

    // As many as threads in the largest row.
    static constexpr std::uint32_t queues = 4;

    // With the null trap, so many mappings; the host's are what they are.
    explicit Rig(Trap kind, Size size, snapmem_mode mode = SNAPMEM_AUTO,
                 std::uint32_t budget = UINT32_MAX);

    Engine *operator->() { return engine_.get(); }

    // Every page has a frame, if not sparse.
    RegionName create(std::uint32_t npages, bool sparse = false,
                      snapmem_hint hint = SNAPMEM_HINT_NONE);
    RegionName clone(std::uint32_t snapshot, std::uint32_t npages,
                     std::uint32_t owner = 0);
    // One step of the same; is there more to come?
    bool create_step(std::uint32_t npages);
    bool clone_step(std::uint32_t snapshot, std::uint32_t owner);
    void destroy(const RegionName &r);
    std::uint32_t snapshot(const RegionName &r);
    void drop(std::uint32_t snapshot);
    // Returns the new version.
    std::uint64_t commit(const RegionName &r, std::uint32_t from,
                         std::uint64_t version);
    std::uint64_t merge(const RegionName &r, std::uint32_t base,
                        std::uint32_t from);
    // The region has what the snapshot has, whatever was stored to it: the new
    // version.
    std::uint64_t restore(const RegionName &r, std::uint32_t snapshot);
    // One command: how many pages, of which the first fill the span.
    std::uint32_t diff(std::uint32_t a, std::uint32_t b, std::span<Page> pages);
    // As many commands as it takes; the span has room for all.
    std::uint32_t diff_all(std::uint32_t a, std::uint32_t b,
                           std::span<Page> pages);

    // A store to a page of the region.
    void store(const RegionName &r, std::uint32_t page, std::size_t word,
               std::uint64_t value) {
        if (null_ != nullptr) {
            null_->touch(r.page + page);
        }
        words(r)[page * words_per_page + word] = value;
    }
    // A store to each of its pages.
    void store_all(const RegionName &r) {
        for (std::uint32_t p = 0; p < r.npages; ++p) {
            store(r, p, 0, 1);
        }
    }
    // No frame stays available.
    std::vector<Frame> receive_all();
    // No two free frames are neighbours, but those of so many large ones.
    void fragment(std::uint32_t large = 0);
    // The region as its user sees it.
    [[nodiscard]] volatile std::uint64_t *words(const RegionName &r) const {
        return reinterpret_cast<std::uint64_t *>(engine_->window_base() +
                                                 r.page * page_bytes);
    }

  private:
    NullTrap *null_ = nullptr; // the engine's
    std::unique_ptr<Engine> engine_;
};

// Ends the program unless the call succeeded.
void must(snapmem_status status, const char *what);

// Seconds that f() takes.
template <typename F>
double seconds(F f) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    f();
    return std::chrono::duration<double>(Clock::now() - start).count();
}

} // namespace snapmem_bench
