/* SPDX-License-Identifier: GPL-2.0-only */
/* Queues of works. */
#ifndef SNAP_COMPAT_WORKQUEUE_H
#define SNAP_COMPAT_WORKQUEUE_H

#include <linux/workqueue.h>

#include "compat/probed.h"

#ifndef SNAP_HAVE_WQ_PERCPU	/* 6.17: until then, what is not unbound is */
#define WQ_PERCPU	0
#endif

#endif /* SNAP_COMPAT_WORKQUEUE_H */
