// SPDX-License-Identifier: LGPL-2.1-or-later
// How the C++ headers fail.
#ifndef SNAP_CHECK_HPP
#define SNAP_CHECK_HPP

#include <system_error>

namespace snap {

// A result of the C interface: the value, or the errno thrown.
inline int check(int result, const char *what) {
    if (result < 0)
        throw std::system_error(-result, std::generic_category(), what);
    return result;
}

// A structure that says its size, as the C interface wants it: else zero.
template <typename Struct>
Struct sized() noexcept {
    Struct made{};
    made.size = sizeof(made);
    return made;
}

} // namespace snap

#endif
