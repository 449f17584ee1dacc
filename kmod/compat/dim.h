/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's rule for interrupts. */
#ifndef SNAP_COMPAT_DIM_H
#define SNAP_COMPAT_DIM_H

#include <linux/dim.h>

#include "compat/probed.h"

static inline void snap_dim(struct dim *dim, const struct dim_sample *sample)
{
#ifdef SNAP_HAVE_DIM_SAMPLE_POINTER	/* 6.14 */
	net_dim(dim, sample);
#else
	net_dim(dim, *sample);
#endif
}

#endif /* SNAP_COMPAT_DIM_H */
