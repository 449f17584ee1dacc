// SPDX-License-Identifier: LGPL-2.1-or-later
// Handles on /dev/snap and the questions that the module answers.
#include <snap/libsnap.h>

#include <cstdlib>
#include <fcntl.h>
#include <memory>

#include "handle.h"
#include "query.h"

using snap::detail::guard;
using snap::detail::query;
using snap::detail::UniqueFd;

namespace {

// What this library needs has been there since then, and stays: receiving by
// view as it is now.
constexpr uint32_t oldest_abi = 3;
static_assert(oldest_abi <= SNAP_ABI_VERSION);

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
        if (error == 0 && info.abi_version < oldest_abi)
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
    return handle == nullptr ? -EINVAL
                             : query(handle->fd.get(), SNAP_IOC_INFO, info);
}

int snap_get_stats(snap_handle *handle, snap_stats *stats) {
    return handle == nullptr ? -EINVAL
                             : query(handle->fd.get(), SNAP_IOC_STATS, stats);
}

} // extern "C"
