// SPDX-License-Identifier: LGPL-2.1-or-later
// Structures that the module fills.
#ifndef LIBSNAP_QUERY_H
#define LIBSNAP_QUERY_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/ioctl.h>

#include "boundary.h"

namespace snap::detail {

// The caller may have been built with a shorter or longer structure than this
// library: its size field says so, and no more than that is filled.
template <typename Struct>
int query(int fd, unsigned long request, Struct *out) noexcept {
    return guard([&] {
        if (out == nullptr || out->size < sizeof(out->size))
            return -EINVAL;
        Struct answer{};
        const std::size_t room =
            std::min<std::size_t>(out->size, sizeof(answer));
        const std::uint32_t asked = out->size;
        answer.size = static_cast<std::uint32_t>(room);
        if (::ioctl(fd, request, &answer) < 0)
            return -errno;
        std::memset(out, 0, asked);
        std::memcpy(out, &answer, room);
        return 0;
    });
}

} // namespace snap::detail

#endif
