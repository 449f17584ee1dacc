// SPDX-License-Identifier: LGPL-2.1-or-later
// What a handle is inside the library.
#ifndef LIBSNAP_HANDLE_H
#define LIBSNAP_HANDLE_H

#include "boundary.h"

struct snap_handle {
    snap::detail::UniqueFd fd;
};

#endif
