/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands: fill an entry in a slab (queue.h), ring the doorbell, read the status.
 *
 * All return 0 or a negative errno: ENODEV when the device is gone, ENOSPC
 * for no frames, no window or no handle, EDQUOT over the owner's quota, ESTALE
 * for a version that is not the region's, EIO when device and driver disagree.
 */
#ifndef SNAP_CMD_H
#define SNAP_CMD_H

#include <linux/types.h>

#include "snap_device.h"

struct snap_dev;

/* errno for a status; logs, rate-limited, those that are driver bugs. */
int snap_cmd_errno(struct snap_dev *sd, int op, int status);

/*
 * Of a region or snapshot, @npages of which the range touches: fills as many numbers, or
 * with @large, which takes that feature, perhaps one of a large frame.  Returns how many.
 * Process context.
 */
int snap_cmd_capture(struct snap_dev *sd, u32 handle, u64 offset, u32 length, bool large,
		     u32 *frame, u32 npages);

/**
 * snap_cmd_mail() - execute a command of the control mailbox
 * @sd: device that is not gone; sd->life is held for reading
 * @e: start of the entry, filled but for the op; has the results afterwards
 * @size: of the entry, bytes
 * @op: of the mailbox
 *
 * One that is done in steps goes on until it is done, or the caller is killed.  One that
 * lacks frames is tried again when those that wait for their batch are back.
 *
 * Context: process; takes sd->control_lock.
 */
int snap_cmd_mail(struct snap_dev *sd, struct snap_entry *e, size_t size, enum snap_op op);

#endif /* SNAP_CMD_H */
