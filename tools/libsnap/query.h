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

constexpr std::uint32_t struct_max = 4096; // as the module has it

// The caller may have been built with a shorter or longer structure than this
// library: its size field says so.  What it has beyond ours must be zero, and
// is left alone: a size that nobody has set is found before anything is
// written, and nothing is ever written behind the structure.
template <typename Struct>
int check_size(const Struct *out) noexcept {
    if (out == nullptr || out->size < sizeof(out->size))
        return -EINVAL;
    if (out->size > struct_max)
        return -E2BIG;
    const auto *const bytes = reinterpret_cast<const unsigned char *>(out);
    for (std::size_t i = sizeof(Struct); i < out->size; i++)
        if (bytes[i] != 0)
            return -E2BIG;
    return 0;
}

// ask(answer): 0, or a negative errno.  answer.size is what there is room for.
template <typename Struct, typename Ask>
int fill(Struct *out, Ask ask) noexcept {
    return guard([&] {
        if (const int error = check_size(out); error < 0)
            return error;
        Struct answer{};
        const std::size_t room =
            std::min<std::size_t>(out->size, sizeof(answer));
        answer.size = static_cast<std::uint32_t>(room);
        if (const int error = ask(answer); error < 0)
            return error;
        std::memcpy(out, &answer, room);
        return 0;
    });
}

template <typename Struct>
int query(int fd, unsigned long request, Struct *out) noexcept {
    return fill(out, [&](Struct &answer) {
        return ::ioctl(fd, request, &answer) < 0 ? -errno : 0;
    });
}

} // namespace snap::detail

#endif
