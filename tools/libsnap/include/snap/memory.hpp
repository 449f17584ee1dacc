// SPDX-License-Identifier: LGPL-2.1-or-later
// Regions, snapshots, and buffers in regions.
#ifndef SNAP_MEMORY_HPP
#define SNAP_MEMORY_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "check.hpp"
#include "libsnap.h"

namespace snap {

// /dev/snap, open.
class Device {
  public:
    Device() {
        snap_handle *handle = nullptr;
        check(snap_open(&handle), SNAP_DEVICE_PATH);
        handle_.reset(handle);
    }

    snap_info info() const {
        auto info = sized<snap_info>();
        check(snap_get_info(handle_.get(), &info), "snap_get_info");
        return info;
    }

    snap_stats stats() const {
        auto stats = sized<snap_stats>();
        check(snap_get_stats(handle_.get(), &stats), "snap_get_stats");
        return stats;
    }

    snap_handle *get() const noexcept { return handle_.get(); }

  private:
    struct Close {
        void operator()(snap_handle *handle) const noexcept {
            snap_close(handle);
        }
    };
    std::unique_ptr<snap_handle, Close> handle_;
};

// What a descriptor of a region or snapshot is.
inline snap_object_info object_info(int fd) {
    auto info = sized<snap_object_info>();
    check(snap_get_object_info(fd, &info), "snap_get_object_info");
    return info;
}

// The bytes of a snapshot.  A copy costs nothing, and keeps the snapshot.
class View {
  public:
    std::span<const std::byte> bytes() const noexcept {
        return {static_cast<const std::byte *>(snapshot_->address),
                snapshot_->length};
    }
    std::uint64_t version() const noexcept { return snapshot_->version; }

  private:
    friend class Snapshot;
    explicit View(std::shared_ptr<const snap_snapshot> snapshot) noexcept
        : snapshot_(std::move(snapshot)) {}

    std::shared_ptr<const snap_snapshot> snapshot_;
};

class Region;

// A region at one instant.  Copies name the same one.
class Snapshot {
  public:
    explicit Snapshot(const Region &region);

    // Takes the descriptor over, unless it throws.
    static Snapshot from_fd(int fd) {
        return Snapshot([&](snap_snapshot **snapshot) {
            check(snap_snapshot_from_fd(fd, snapshot), "snap_snapshot_from_fd");
        });
    }

    View map() const {
        check(snap_snapshot_map(snapshot_.get()), "snap_snapshot_map");
        return View(snapshot_);
    }

    // A new region that starts as this.
    Region clone(snap_hint hint = SNAP_HINT_NONE) const;

    // Offsets of all pages whose bytes differ, in bytes and in order.
    std::vector<std::uint64_t> diff(const Snapshot &other) const {
        constexpr std::size_t step = 1024;
        std::vector<std::uint64_t> pages;
        for (std::uint64_t offset = 0; offset < length();) {
            const std::size_t before = pages.size();
            pages.resize(before + step);
            const int found =
                check(snap_snapshot_diff(get(), other.get(), &offset,
                                         pages.data() + before, step),
                      "snap_snapshot_diff");
            pages.resize(before + static_cast<std::size_t>(found));
        }
        return pages;
    }

    std::size_t length() const noexcept { return snapshot_->length; }
    std::uint64_t version() const noexcept { return snapshot_->version; }
    int fd() const noexcept { return snapshot_->fd; }
    const snap_snapshot *get() const noexcept { return snapshot_.get(); }

  private:
    struct Owner {
        snap_snapshot *snapshot = nullptr;
        Owner() = default;
        Owner(const Owner &) = delete;
        Owner &operator=(const Owner &) = delete;
        ~Owner() { snap_snapshot_free(snapshot); }
    };

    // make(&snapshot) may throw.  All memory is there before: one that was
    // made is not lost, nor a descriptor closed that the caller still has.
    template <typename Make, typename = std::enable_if_t<
                                 std::is_invocable_v<Make, snap_snapshot **>>>
    explicit Snapshot(Make make) {
        const auto owner = std::make_shared<Owner>();
        make(&owner->snapshot);
        snapshot_ = {owner, owner->snapshot};
    }

    std::shared_ptr<snap_snapshot> snapshot_;
};

// A region, mapped.  It must outlive its buffers and heaps, not its device.
class Region {
  public:
    // flags: SNAP_REGION_ARGS_*
    Region(const Device &device, std::size_t length,
           snap_hint hint = SNAP_HINT_NONE, unsigned int flags = 0) {
        snap_region *region = nullptr;
        check(snap_region_create_flags(device.get(), length, hint, flags,
                                       &region),
              "snap_region_create");
        region_.reset(region);
    }

    // Takes the descriptor over, unless it throws.
    static Region from_fd(int fd, std::size_t length) {
        snap_region *region = nullptr;
        check(snap_region_from_fd(fd, length, &region), "snap_region_from_fd");
        return Region(region);
    }

    Snapshot snapshot() const { return Snapshot(*this); }

    // The new version; nothing if the region is not at `expected` any more.
    std::optional<std::uint64_t> commit(const Snapshot &from,
                                        std::uint64_t expected) const {
        const int error = snap_region_commit(get(), from.get(), &expected);
        if (error == -ESTALE)
            return std::nullopt;
        check(error, "snap_region_commit");
        return expected;
    }

    struct Merge {
        bool done;                            // if not, nothing has changed
        std::uint64_t version;                // the new one, if done
        std::vector<std::uint64_t> conflicts; // the first ones, offsets
    };
    Merge merge(const Snapshot &base, const Snapshot &from) const {
        Merge result{true, 0, {}};
        std::size_t found = SNAP_CONFLICTS_MAX;
        result.conflicts.resize(found);
        const int error =
            snap_region_merge(get(), base.get(), from.get(),
                              result.conflicts.data(), &found, &result.version);
        result.done = error != -ESTALE;
        if (result.done)
            check(error, "snap_region_merge");
        result.conflicts.resize(found);
        return result;
    }

    // Whole pages become zero and give their frames back.
    void discard(std::size_t offset, std::size_t length) const {
        check(snap_region_discard(get(), offset, length),
              "snap_region_discard");
    }

    snap_object_info info() const { return object_info(fd()); }

    std::span<std::byte> bytes() const noexcept {
        return {static_cast<std::byte *>(region_->address), region_->length};
    }
    int fd() const noexcept { return region_->fd; }
    snap_region *get() const noexcept { return region_.get(); }

  private:
    friend class Snapshot;
    struct Free {
        void operator()(snap_region *region) const noexcept {
            snap_region_free(region);
        }
    };
    explicit Region(snap_region *region) noexcept : region_(region) {}

    std::unique_ptr<snap_region, Free> region_;
};

inline Snapshot::Snapshot(const Region &region)
    : Snapshot([&](snap_snapshot **snapshot) {
          check(snap_snapshot_take(region.get(), snapshot),
                "snap_snapshot_take");
      }) {}

inline Region Snapshot::clone(snap_hint hint) const {
    snap_region *clone = nullptr;
    check(snap_snapshot_clone(get(), hint, &clone), "snap_snapshot_clone");
    return Region(clone);
}

// Whole pages of a region.
class Buffer {
  public:
    Buffer(const Region &region, std::size_t length)
        : start_(allocate(region, length), Free{region.get()}),
          length_(length) {}

    std::span<std::byte> bytes() const noexcept {
        return {start_.get(), length_};
    }

  private:
    struct Free {
        snap_region *region;
        void operator()(std::byte *start) const noexcept {
            snap_buffer_free(region, start);
        }
    };
    static std::byte *allocate(const Region &region, std::size_t length) {
        void *start = nullptr;
        check(snap_buffer_alloc(region.get(), length, &start),
              "snap_buffer_alloc");
        return static_cast<std::byte *>(start);
    }

    std::unique_ptr<std::byte, Free> start_;
    std::size_t length_;
};

} // namespace snap

#endif
