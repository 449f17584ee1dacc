// SPDX-License-Identifier: LGPL-2.1-or-later
// The heap of this process, as its preloaded library has it.
#ifndef SNAP_RUN_OWN_HEAP_H
#define SNAP_RUN_OWN_HEAP_H

#include "heap.h"

namespace snaprun {

// Set once, before main(), and null if there is none.
extern Heap *heap;

inline bool in_region(const void *memory) noexcept {
    return heap != nullptr && heap->owns(memory);
}

} // namespace snaprun

#endif
