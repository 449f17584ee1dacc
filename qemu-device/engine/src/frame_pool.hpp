// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The frames: their memory, who holds each, which are free.
#pragma once

#include "os.hpp"
#include "types.hpp"

#include <atomic>
#include <vector>

namespace snapmem_impl {

// Who keeps a frame from being free. Guest and device hold counts; a region
// holds a frame at most once.
enum class Holder : std::uint8_t { guest, device, region };

// Not thread-safe (the engine's mutex), but for available() and data().
//
// Levels, all kept by reclassify():
//   free      nobody holds the frame
//   guest     frames with a guest hold
//   region    frames of a region
//   reserved  frames of a region that someone else holds too: a later store
//             to that page takes a free frame, so free >= reserved always
class FramePool {
  public:
    // file: the frames are its first pages.
    FramePool(const Fd &file, std::uint32_t frames);

    [[nodiscard]] std::uint32_t frames() const {
        return static_cast<std::uint32_t>(entries_.size());
    }
    [[nodiscard]] std::uint8_t *base() const { return memory_.data(); }
    [[nodiscard]] std::uint8_t *data(Frame f) const {
        return memory_.data() + f * page_bytes;
    }

    // Frames that are free and not promised to a store. Any thread.
    [[nodiscard]] std::uint32_t available() const {
        return available_.load(std::memory_order_relaxed);
    }
    // The frame that take() would return now; one must be free.
    [[nodiscard]] Frame next_free() const { return head_; }
    // Take the most recently freed frame, which is likely to be in a cache.
    // One must be free; the caller has asked available() or has a promise.
    Frame take(Holder who);
    // Take out.size() frames in as few ascending runs as a greedy search
    // finds; that many must be free. O(size + log(size) * pool / 64).
    void take_runs(Holder who, std::vector<Frame> &out);

    // Add and drop one hold. The frame must not be free; dropping the last
    // hold frees it.
    void add(Frame f, Holder who);
    void drop(Frame f, Holder who);
    void drop_all_guest_holds();

    [[nodiscard]] std::uint32_t guest_holds(Frame f) const {
        return entries_[f].guest;
    }
    [[nodiscard]] std::uint32_t device_holds(Frame f) const {
        return entries_[f].device;
    }
    [[nodiscard]] bool in_region(Frame f) const { return entries_[f].region; }
    // Held by the guest or the device.
    [[nodiscard]] bool held(Frame f) const { return entries_[f].held(); }

    [[nodiscard]] std::uint32_t free() const { return free_; }
    [[nodiscard]] std::uint32_t guest() const { return guest_; }
    [[nodiscard]] std::uint32_t region() const { return region_; }
    [[nodiscard]] std::uint32_t reserved() const { return reserved_; }

    // Recount everything: a message, or nullptr.
    [[nodiscard]] const char *check() const;

  private:
    static constexpr Frame none = ~Frame{0};

    struct Entry {
        std::uint32_t guest = 0;  // guest holds
        std::uint32_t device = 0; // device holds
        Frame next = none;        // in the free list, if free
        Frame prev = none;
        bool region = false;

        [[nodiscard]] bool held() const { return guest != 0 || device != 0; }
        [[nodiscard]] bool is_free() const { return !held() && !region; }
    };

    template <typename Change>
    void reclassify(Frame f, Change change);
    void count(const Entry &e, std::uint32_t by);
    void link_free(Frame f);
    void unlink_free(Frame f);
    // Highest free run of n frames that ends at or below `below`, or none.
    [[nodiscard]] Frame find_run(std::uint32_t n, Frame below) const;

    Mapping memory_;
    std::vector<Entry> entries_;
    std::vector<std::uint64_t> free_bits_;
    Frame head_ = none;
    std::uint32_t free_ = 0;
    std::uint32_t guest_ = 0;
    std::uint32_t region_ = 0;
    std::uint32_t reserved_ = 0;
    std::atomic<std::uint32_t> available_ = 0;
};

} // namespace snapmem_impl
