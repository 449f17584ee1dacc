// SPDX-License-Identifier: LGPL-2.1-or-later
// What the heap wants of the region that it is in.
#ifndef LIBSNAP_REGION_H
#define LIBSNAP_REGION_H

#include "owner.h"

#include <cstddef>

struct snap_region;

namespace snap::detail {

// Who hands out what is in the region.
const Owner &owner_of(const snap_region &region) noexcept;

// Makes the buffer at that page longer, where it is; false: something is there.
bool extend_buffer(snap_region &region, std::size_t first, std::size_t pages);

} // namespace snap::detail

#endif
