/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the core keeps for later, and with it frames.
 *
 * A packet that is read on another processor than the one that made it is put
 * on a list of the latter, which frees it when it next receives something.
 * One that is quiet never does, nor does one that went offline.
 */
#ifndef SNAP_DEFERRED_H
#define SNAP_DEFERRED_H

/* Free what is on these lists, of all processors.  Process or softirq. */
void snap_skbs_free_deferred(void);

#endif /* SNAP_DEFERRED_H */
