// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded with --heap: stacks that the program has allocated itself become
// ordinary memory.  The kernel writes to the stack of a thread that ends, by a
// shared futex, and a child of clone(2) starts on one that it must have.
#include "next.h"
#include "own_heap.h"

#include <pthread.h>
#include <sched.h>

using Start = void *(void *);

SNAP_RUN_NEXT(pthread_create,
              int(pthread_t *, const pthread_attr_t *, Start *, void *))
SNAP_RUN_NEXT(clone,
              int(int (*)(void *), void *, int, void *, void *, void *, void *))

namespace {

void prepare(const void *stack) noexcept {
    if (snaprun::in_region(stack))
        snaprun::heap->make_ordinary(stack);
}

} // namespace

#define SNAP_RUN_EXPORT extern "C" __attribute__((visibility("default")))

SNAP_RUN_EXPORT int pthread_create(pthread_t *thread,
                                   const pthread_attr_t *attributes,
                                   Start *start, void *argument) noexcept {
    void *stack = nullptr;
    std::size_t length = 0;
    if (attributes != nullptr &&
        ::pthread_attr_getstack(attributes, &stack, &length) == 0)
        prepare(stack);
    return next_pthread_create.get()(thread, attributes, start, argument);
}

// Headers know it by "...": as registers hold them, however many there are.
SNAP_RUN_EXPORT int seen_clone(int (*)(void *), void *, int, void *, void *,
                               void *, void *) __asm__("clone");

SNAP_RUN_EXPORT int seen_clone(int (*start)(void *), void *stack, int flags,
                               void *argument, void *parent, void *tls,
                               void *child) {
    if (stack != nullptr)
        prepare(static_cast<const char *>(stack) - 1); // it grows down
    return next_clone.get()(start, stack, flags, argument, parent, tls, child);
}
