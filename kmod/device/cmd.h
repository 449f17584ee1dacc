/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands: fill an entry in a slab, ring the doorbell, read the status.
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

/*
 * Slots in the slab of the data queue.  Each has one lock: TX the netdev's
 * transmit lock, CAPTURE dev->capture_lock, RELEASE frames->release_lock.
 */
#define SNAP_SLOT_TX		0x0000	/* entry, then inline bytes */
#define SNAP_SLOT_TX_INLINE	0x0400
#define SNAP_SLOT_CAPTURE	0x1000
#define SNAP_SLOT_RELEASE	0x2000
#define SNAP_SLOTS_END		0x3000

/**
 * snap_cmd_entry() - where a slot of a queue lies in memory
 * @sd: device
 * @queue: SNAP_QUEUE_*
 * @slot: byte offset in the queue's slab
 */
void *snap_cmd_entry(struct snap_dev *sd, u32 queue, u32 slot);

/**
 * snap_cmd_ring() - execute the entry in a slot
 * @sd: device
 * @queue: SNAP_QUEUE_*
 * @slot: byte offset of an entry whose fields but the status are filled
 *
 * Context: any; the caller holds the slot's lock.
 * Return: enum snap_status; SNAP_ST_GONE if the device does not answer.
 */
int snap_cmd_ring(struct snap_dev *sd, u32 queue, u32 slot);

/* errno for a status; logs, rate-limited, those that are driver bugs. */
int snap_cmd_errno(struct snap_dev *sd, int op, int status);

/* Of a region or snapshot; fills frame[] with room numbers; process context. */
int snap_cmd_capture(struct snap_dev *sd, u32 handle, u64 offset, u32 length,
		     u32 *frame, u32 room);

#endif /* SNAP_CMD_H */
