// SPDX-License-Identifier: LGPL-2.1-or-later
// What the library of the sockets tells the one of the heap.
#ifndef SNAP_RUN_MAPPED_H
#define SNAP_RUN_MAPPED_H

#include <atomic>

extern "C" {

// This process, or one that it was forked from, has made an AF_SNAP socket.
// Weak, in place of a dependency that not every loader would find.
__attribute__((weak)) extern std::atomic<bool> snap_run_mapped;
}

#endif
