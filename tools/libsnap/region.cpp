// SPDX-License-Identifier: LGPL-2.1-or-later
// Regions: a descriptor, its mapping, and the buffers handed out of it.
#include <snap/libsnap.h>

#include <limits>
#include <memory>
#include <sys/ioctl.h>

#include "handle.h"
#include "mapping.h"
#include "page_allocator.h"
#include "region.h"

using snap::detail::guard;
using snap::detail::Mapping;
using snap::detail::Owner;
using snap::detail::PageAllocator;
using snap::detail::UniqueFd;

namespace {

constexpr size_t page_bytes = SNAP_BUFFER_ALIGN;

constexpr bool aligned(size_t bytes) {
    return bytes % page_bytes == 0;
}

constexpr size_t pages_for(size_t bytes) {
    return bytes / page_bytes + (aligned(bytes) ? 0 : 1);
}

// The public part comes first, so that a pointer to it is one to the whole.
struct Region : snap_region {
    Region(int owned_fd, size_t bytes)
        : snap_region{}, mapping(owned_fd, bytes, PROT_READ | PROT_WRITE),
          buffers(bytes / page_bytes) {
        fd = owned_fd;
        address = mapping.address();
        length = bytes;
    }

    UniqueFd descriptor; // set when it has become ours
    Mapping mapping;
    PageAllocator buffers;
    Owner owner; // of the buffers
};

Region *whole(snap_region *region) {
    return static_cast<Region *>(region);
}

} // namespace

const Owner &snap::detail::owner_of(const snap_region &region) noexcept {
    return static_cast<const Region &>(region).owner;
}

bool snap::detail::extend_buffer(snap_region &region, size_t first,
                                 size_t pages) {
    return whole(&region)->buffers.extend(first, pages);
}

extern "C" {

int snap_region_from_fd(int fd, size_t length, snap_region **region) {
    return guard([&] {
        if (region == nullptr || length == 0 || !aligned(length))
            return -EINVAL;
        auto made = std::make_unique<Region>(fd, length);
        if (!made->mapping.valid())
            return -made->mapping.error();
        made->descriptor.reset(fd);
        *region = made.release();
        return 0;
    });
}

int snap_region_create(snap_handle *handle, size_t length, snap_hint hint,
                       snap_region **region) {
    return snap_region_create_flags(handle, length, hint, 0, region);
}

int snap_region_create_flags(snap_handle *handle, size_t length, snap_hint hint,
                             unsigned int flags, snap_region **region) {
    return guard([&] {
        if (handle == nullptr || region == nullptr || length == 0 ||
            length > std::numeric_limits<size_t>::max() - page_bytes)
            return -EINVAL;
        const size_t bytes = pages_for(length) * page_bytes;
        snap_region_args args{};
        args.size = sizeof(args);
        args.flags = flags;
        args.length = bytes;
        args.hint = hint;
        UniqueFd fd(::ioctl(handle->fd.get(), SNAP_IOC_REGION_CREATE, &args));
        if (fd.get() < 0)
            return -errno;
        const int error = snap_region_from_fd(fd.get(), bytes, region);
        if (error == 0)
            fd.release();
        return error;
    });
}

void snap_region_free(snap_region *region) {
    const std::unique_ptr<Region> owned(whole(region));
}

int snap_region_discard(snap_region *region, size_t offset, size_t length) {
    return guard([&] {
        if (region == nullptr)
            return -EINVAL;
        snap_discard_args args{};
        args.size = sizeof(args);
        args.offset = offset;
        args.length = length;
        return ::ioctl(region->fd, SNAP_IOC_DISCARD, &args) < 0 ? -errno : 0;
    });
}

int snap_region_adopt(snap_region *region) {
    if (region == nullptr)
        return -EINVAL;
    whole(region)->owner.move_here();
    return 0;
}

int snap_buffer_alloc(snap_region *region, size_t length, void **buffer) {
    return guard([&] {
        if (region == nullptr || buffer == nullptr || length == 0)
            return -EINVAL;
        if (!whole(region)->owner.is_here())
            return -EPERM;
        const auto page = whole(region)->buffers.allocate(pages_for(length));
        if (!page)
            return -ENOSPC;
        *buffer = static_cast<char *>(region->address) + *page * page_bytes;
        return 0;
    });
}

int snap_buffer_free(snap_region *region, void *buffer) {
    return guard([&] {
        if (buffer == nullptr)
            return 0;
        if (region == nullptr)
            return -EINVAL;
        if (!whole(region)->owner.is_here())
            return -EPERM;
        const auto start = reinterpret_cast<uintptr_t>(region->address);
        const auto where = reinterpret_cast<uintptr_t>(buffer);
        if (where < start || !aligned(where - start))
            return -EINVAL;
        return whole(region)->buffers.release((where - start) / page_bytes)
                   ? 0
                   : -EINVAL;
    });
}

} // extern "C"
