/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In the plug-in with sanitizers only: a deliberate fault, which shows that
 * one of the device would be seen.  SNAP_QEMU_FAULT names it; layout.c has one
 * more.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"

static void snap_do_wrong(void)
{
    const char *fault = g_getenv("SNAP_QEMU_FAULT");
    g_autofree uint8_t *bytes = g_malloc0(16);
    volatile size_t beyond = 16; /* not known to the compiler */
    volatile int most = INT_MAX; /* nor this */

    if (g_strcmp0(fault, "address") == 0) {
        bytes[beyond] = 1;
    } else if (g_strcmp0(fault, "undefined") == 0) {
        most <<= beyond * 2;
    }
}

migration_init(snap_do_wrong);
