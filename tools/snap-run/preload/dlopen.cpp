// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded with --heap: a library that is opened with RTLD_DEEPBIND would find
// the C library's free(3) and realloc(3) before ours, which cannot give back
// what lies in a region.  It is opened without.
#include "next.h"

SNAP_RUN_NEXT(dlopen, void *(const char *, int))

// A jump to the next one, and no call, in every kind of build: the C library
// looks from where it was called whose RUNPATH counts.
extern "C" __attribute__((visibility("default"), optimize("O2"),
                          no_sanitize("address", "undefined"))) void *
dlopen(const char *file, int mode) noexcept {
    return next_dlopen.get()(file, mode & ~RTLD_DEEPBIND);
}
