// SPDX-License-Identifier: LGPL-2.1-or-later
// Opened by deepbind.c: the free() that it would call.
#include <stdlib.h>

void *plugin_free(void);

void *plugin_free(void) {
    return (void *)free;
}
