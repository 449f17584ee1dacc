// SPDX-License-Identifier: LGPL-2.1-or-later
// Handles on /dev/snap and the questions that the module answers.
#include <snap/libsnap.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/ioctl.h>

#include "handle.h"

using snap::detail::guard;
using snap::detail::UniqueFd;

namespace {

// The number of an ioctl holds the size of its structure as it was when the
// program was built; the module looks at the size field.
template <typename Struct>
int query(const snap_handle *handle, unsigned long request,
          Struct *out) noexcept {
    return guard([&] {
        if (handle == nullptr || out == nullptr ||
            out->size < sizeof(out->size))
            return -EINVAL;
        Struct answer{};
        const size_t room = std::min<size_t>(out->size, sizeof(answer));
        const uint32_t asked = out->size;
        answer.size = static_cast<uint32_t>(room);
        if (::ioctl(handle->fd.get(), request, &answer) < 0)
            return -errno;
        std::memset(out, 0, asked);
        std::memcpy(out, &answer, room);
        return 0;
    });
}

const char *device_path() noexcept {
    const char *path = std::getenv("SNAP_DEVICE");
    return path != nullptr && *path != '\0' ? path : SNAP_DEVICE_PATH;
}

} // namespace

extern "C" {

const char *snap_version() {
    return LIBSNAP_VERSION;
}

int snap_open(snap_handle **handle) {
    return guard([&] {
        if (handle == nullptr)
            return -EINVAL;
        UniqueFd fd(::open(device_path(), O_RDWR | O_CLOEXEC));
        if (fd.get() < 0)
            return -errno;
        auto opened = std::make_unique<snap_handle>();
        opened->fd = std::move(fd);

        snap_info info{};
        info.size = sizeof(info);
        const int error = snap_get_info(opened.get(), &info);
        if (error < 0 && error != -ENODEV)
            return error;
        if (error == 0 && info.abi_version != SNAP_ABI_VERSION)
            return -EPROTONOSUPPORT;
        *handle = opened.release();
        return 0;
    });
}

void snap_close(snap_handle *handle) {
    const std::unique_ptr<snap_handle> owned(handle);
}

int snap_fd(const snap_handle *handle) {
    return handle == nullptr ? -EINVAL : handle->fd.get();
}

int snap_get_info(snap_handle *handle, snap_info *info) {
    return query(handle, SNAP_IOC_INFO, info);
}

int snap_get_stats(snap_handle *handle, snap_stats *stats) {
    return query(handle, SNAP_IOC_STATS, stats);
}

} // extern "C"
