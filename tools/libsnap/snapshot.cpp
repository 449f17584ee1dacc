// SPDX-License-Identifier: LGPL-2.1-or-later
// Snapshots: a descriptor, and its mapping once somebody asks for it.
#include <snap/libsnap.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>

#include "mapping.h"
#include "query.h"

using snap::detail::guard;
using snap::detail::Mapping;
using snap::detail::query;
using snap::detail::UniqueFd;

namespace {

// The public part comes first, so that a pointer to it is one to the whole.
struct Snapshot : snap_snapshot {
    Snapshot(int owned_fd, std::size_t bytes, std::uint64_t number)
        : snap_snapshot{owned_fd, nullptr, bytes, number} {}

    UniqueFd owner;  // set when the descriptor has become ours
    std::mutex lock; // guards mapping and address until address is set
    std::optional<Mapping> mapping;
};

Snapshot *whole(snap_snapshot *snapshot) {
    return static_cast<Snapshot *>(snapshot);
}

} // namespace

extern "C" {

int snap_snapshot_from_fd(int fd, snap_snapshot **snapshot) {
    return guard([&] {
        snap_object_info info{};
        info.size = sizeof(info);
        if (snapshot == nullptr)
            return -EINVAL;
        const int error = snap_get_object_info(fd, &info);
        if (error < 0)
            return error;
        if (info.kind != SNAP_OBJECT_SNAPSHOT)
            return -EINVAL;
        auto made = std::make_unique<Snapshot>(fd, info.length, info.version);
        made->owner.reset(fd);
        *snapshot = made.release();
        return 0;
    });
}

int snap_snapshot_take(snap_region *region, snap_snapshot **snapshot) {
    return guard([&] {
        if (region == nullptr || snapshot == nullptr)
            return -EINVAL;
        snap_snapshot_args args{};
        args.size = sizeof(args);
        UniqueFd fd(::ioctl(region->fd, SNAP_IOC_SNAPSHOT, &args));
        if (fd.get() < 0)
            return -errno;
        const int error = snap_snapshot_from_fd(fd.get(), snapshot);
        if (error == 0)
            fd.release();
        return error;
    });
}

int snap_snapshot_map(snap_snapshot *snapshot) {
    return guard([&] {
        if (snapshot == nullptr)
            return -EINVAL;
        Snapshot *const self = whole(snapshot);
        const std::lock_guard hold(self->lock);
        if (self->mapping)
            return 0;
        self->mapping.emplace(self->fd, self->length, PROT_READ);
        if (!self->mapping->valid()) {
            const int error = self->mapping->error();
            self->mapping.reset();
            return -error;
        }
        self->address = self->mapping->address();
        return 0;
    });
}

void snap_snapshot_free(snap_snapshot *snapshot) {
    const std::unique_ptr<Snapshot> owned(whole(snapshot));
}

int snap_snapshot_clone(const snap_snapshot *snapshot, snap_hint hint,
                        snap_region **clone) {
    return guard([&] {
        if (snapshot == nullptr || clone == nullptr)
            return -EINVAL;
        snap_region_args args{};
        args.size = sizeof(args);
        args.hint = hint;
        UniqueFd fd(::ioctl(snapshot->fd, SNAP_IOC_CLONE, &args));
        if (fd.get() < 0)
            return -errno;
        const int error =
            snap_region_from_fd(fd.get(), snapshot->length, clone);
        if (error == 0)
            fd.release();
        return error;
    });
}

int snap_snapshot_diff(const snap_snapshot *a, const snap_snapshot *b,
                       uint64_t *offset, uint64_t *pages, size_t room) {
    return guard([&] {
        constexpr size_t most = std::numeric_limits<int>::max();
        if (a == nullptr || b == nullptr || offset == nullptr ||
            pages == nullptr || room == 0)
            return -EINVAL;
        snap_diff_args args{};
        args.size = sizeof(args);
        args.other = b->fd;
        args.offset = *offset;
        args.pages = reinterpret_cast<uintptr_t>(pages);
        args.npages = static_cast<uint32_t>(std::min(room, most));
        if (::ioctl(a->fd, SNAP_IOC_DIFF, &args) < 0)
            return -errno;
        *offset = args.done != 0 ? a->length : args.offset;
        return static_cast<int>(args.npages);
    });
}

int snap_get_object_info(int fd, struct snap_object_info *info) {
    return query(fd, SNAP_IOC_OBJECT_INFO, info);
}

} // extern "C"
