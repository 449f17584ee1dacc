/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that are spliced into packets (MSG_SPLICE_PAGES).
 *
 * Where no device does, the kernel sums them as they are added.  Kernels have summed
 * every page of a call as if the packet had been as long as before the call: wrong is
 * then what begins after an odd number of bytes.  Neither a header nor a version tells
 * which kernels do: it is tried.
 */
#ifndef SNAP_COMPAT_SPLICE_H
#define SNAP_COMPAT_SPLICE_H

#include <linux/types.h>

/* Does this kernel sum right what begins at an odd byte of a packet? */
bool snap_splice_sums_odd(void);

/* Before it is asked: tries it.  One line in the log if it does not. */
int snap_splice_init(void);

#endif /* SNAP_COMPAT_SPLICE_H */
