// SPDX-License-Identifier: LGPL-2.1-or-later
// New versions of a region: commit and merge.
#include <snap/libsnap.h>

#include <algorithm>
#include <sys/ioctl.h>

#include "boundary.h"

using snap::detail::guard;

extern "C" {

int snap_region_commit(snap_region *region, const snap_snapshot *from,
                       uint64_t *version) {
    return guard([&] {
        if (region == nullptr || from == nullptr || version == nullptr)
            return -EINVAL;
        snap_commit_args args{};
        args.size = sizeof(args);
        args.from = from->fd;
        args.version = *version;
        if (::ioctl(region->fd, SNAP_IOC_COMMIT, &args) < 0)
            return -errno;
        *version = args.version;
        return 0;
    });
}

int snap_region_merge(snap_region *region, const snap_snapshot *base,
                      const snap_snapshot *from, uint64_t *conflicts,
                      size_t *nconflicts, uint64_t *version) {
    return guard([&] {
        if (region == nullptr || base == nullptr || from == nullptr ||
            nconflicts == nullptr || (conflicts == nullptr && *nconflicts != 0))
            return -EINVAL;
        snap_merge_args args{};
        args.size = sizeof(args);
        args.base = base->fd;
        args.from = from->fd;
        args.nconflicts = static_cast<uint32_t>(
            std::min<size_t>(*nconflicts, SNAP_CONFLICTS_MAX));
        args.conflicts = reinterpret_cast<uintptr_t>(conflicts);
        const int error =
            ::ioctl(region->fd, SNAP_IOC_MERGE, &args) < 0 ? errno : 0;
        if (error == 0 && version != nullptr)
            *version = args.version;
        if (error == 0 || error == ESTALE)
            *nconflicts = error == 0 ? 0 : args.nconflicts;
        return -error;
    });
}

} // extern "C"
