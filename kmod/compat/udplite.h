/* SPDX-License-Identifier: GPL-2.0-only */
/* UDP-Lite, which newer kernels have no more. */
#ifndef SNAP_COMPAT_UDPLITE_H
#define SNAP_COMPAT_UDPLITE_H

#include <net/udp.h>

#include "compat/probed.h"

#ifdef SNAP_HAVE_UDPLITE
#include <net/udplite.h>
#elif __has_include("net/udplite.h")
/* Nothing else would tell: what is unread in its sockets were not found. */
#error "this kernel has UDP-Lite, and compat/probe does not find its table"
#endif

/* Its sockets, of all namespaces; or NULL. */
static inline struct udp_table *snap_udplite_table(void)
{
#ifdef SNAP_HAVE_UDPLITE
	return &udplite_table;
#else
	return NULL;
#endif
}

#endif /* SNAP_COMPAT_UDPLITE_H */
