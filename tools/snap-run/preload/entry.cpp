// SPDX-License-Identifier: LGPL-2.1-or-later
// The heap of this process, for the library that stands in front of malloc(3).
#include "region_heap.h"

#include <pthread.h>

namespace {

constinit snaprun::RegionHeap heap;

} // namespace

extern "C" __attribute__((visibility("default"))) snaprun::Heap *
snap_run_heap(std::size_t length) noexcept {
    heap.set_length(length);
    return ::pthread_atfork([] { heap.before_fork(); },
                            [] { heap.after_fork_in_parent(); },
                            [] { heap.after_fork_in_child(); }) == 0
               ? &heap
               : nullptr;
}
