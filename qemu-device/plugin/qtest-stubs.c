/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What QEMU's utilities name and the qtest never reaches, and what would bring
 * in the whole object model and its QAPI types.
 */
#include "qemu/osdep.h"
#include "qemu/thread-context.h"

void thread_context_create_thread(ThreadContext *tc, QemuThread *thread,
                                  const char *name,
                                  void *(*start_routine)(void *), void *arg,
                                  int mode)
{
    g_assert_not_reached();
}
