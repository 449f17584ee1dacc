/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands that put other pages under a region: COMMIT, MERGE, DISCARD.
 *
 * The device changes one page after another.  So that applications see all of
 * it or nothing, the range is taken out of all mappings first, and page faults
 * wait until the command is done.
 */
#ifndef SNAP_REBIND_H
#define SNAP_REBIND_H

struct snap_region;

/* The ioctls; ESTALE for a conflict, and EINTR while waiting for another one. */
int snap_rebind_commit(struct snap_region *r, void __user *arg);
int snap_rebind_merge(struct snap_region *r, void __user *arg);
int snap_rebind_discard(struct snap_region *r, const void __user *arg);

#endif /* SNAP_REBIND_H */
