/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands of the control mailbox on regions and snapshots.
 *
 * Quotas are of the owner of the region, in frames.  All of these are called as
 * snap_cmd_mail() is, and errors are as in cmd.h.
 */
#ifndef SNAP_CMD_MEMORY_H
#define SNAP_CMD_MEMORY_H

#include <linux/types.h>

#include "snap_device.h"

struct snap_dev;

/**
 * struct snap_region_spec - what a new region is to be
 * @npages: length; unused for a clone
 * @flags: SNAP_REGION_*; unused for a clone
 * @hint: enum snap_hint
 * @owner: user id in the initial user namespace
 * @quota: frames, or SNAP_QUOTA_NONE
 */
struct snap_region_spec {
	u32 npages;
	u16 flags;
	u32 hint;
	u32 owner;
	u32 quota;
};

int snap_cmd_region_create(struct snap_dev *sd,
			   const struct snap_region_spec *spec,
			   u32 *region, u32 *window_page);
int snap_cmd_region_destroy(struct snap_dev *sd, u32 region);

int snap_cmd_snapshot(struct snap_dev *sd, u32 region, u32 quota,
		      u32 *snapshot, u64 *version);
int snap_cmd_snapshot_drop(struct snap_dev *sd, u32 snapshot);
int snap_cmd_clone(struct snap_dev *sd, u32 snapshot,
		   const struct snap_region_spec *spec,
		   u32 *region, u32 *window_page);

/* ESTALE: the region is not at *version, which is the new one afterwards. */
int snap_cmd_commit(struct snap_dev *sd, u32 region, u32 from, u32 quota,
		    u64 *version);

/* m: filled by the caller but for the op.  ESTALE: see m->nconflicts. */
int snap_cmd_merge(struct snap_dev *sd, struct snap_merge *m);

/* d: filled by the caller but for the op. */
int snap_cmd_diff(struct snap_dev *sd, struct snap_diff *d);

int snap_cmd_discard(struct snap_dev *sd, u32 region, u32 first, u32 npages);

/* handle 0: only o->charged, of the owner. */
int snap_cmd_info(struct snap_dev *sd, u32 handle, u32 owner,
		  struct snap_object *o);

#endif /* SNAP_CMD_MEMORY_H */
