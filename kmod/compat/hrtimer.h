/* SPDX-License-Identifier: GPL-2.0-only */
/* Timers of high resolution. */
#ifndef SNAP_COMPAT_HRTIMER_H
#define SNAP_COMPAT_HRTIMER_H

#include <linux/hrtimer.h>

#include "compat/probed.h"

#ifndef SNAP_HAVE_HRTIMER_SETUP	/* 6.13 */
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

#endif /* SNAP_COMPAT_HRTIMER_H */
