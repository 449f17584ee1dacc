// SPDX-License-Identifier: GPL-2.0-only
/* Commands to the device; see cmd.h. */

#include <linux/delay.h>
#include <linux/ktime.h>

#include "device/cmd.h"
#include "device/dev.h"

/*
 * Far more than the bounded work of any command takes, and short enough for a
 * caller that has interrupts off.
 */
#define SNAP_CMD_TIMEOUT_NS	(200 * NSEC_PER_MSEC)

void *snap_cmd_entry(struct snap_dev *sd, u32 queue, u32 slot)
{
	return sd->slab + (size_t)queue * sd->slab_bytes + slot;
}

int snap_cmd_ring(struct snap_dev *sd, u32 queue, u32 slot)
{
	struct snap_entry *e = snap_cmd_entry(sd, queue, slot);
	u64 deadline = 0;
	u32 status;

	if (READ_ONCE(sd->gone))
		return SNAP_ST_GONE;
	WRITE_ONCE(e->status, cpu_to_le32(SNAP_ST_PENDING));
	/* writeq() orders the entry's stores before the doorbell */
	snap_write(sd, SNAP_QUEUE_PAGE(queue) + SNAP_QREG_DOORBELL, slot);
	for (;;) {
		/* pairs with the device storing the status after the results */
		status = le32_to_cpu(smp_load_acquire(&e->status));
		if (unlikely((int)status == SNAP_ST_GONE))
			snap_dev_lose(sd);
		if (likely(status != SNAP_ST_PENDING))
			return (int)status;
		if (!deadline) {
			/* memory of a removed device may read as PENDING */
			if (snap_dev_lost(sd)) {
				snap_dev_lose(sd);
				return SNAP_ST_GONE;
			}
			deadline = ktime_get_ns() + SNAP_CMD_TIMEOUT_NS;
		} else if (ktime_get_ns() > deadline) {
			dev_err_ratelimited(&sd->pdev->dev,
					    "command does not end\n");
			snap_dev_lose(sd);
			return SNAP_ST_GONE;
		}
		cpu_relax();
	}
}

int snap_cmd_errno(struct snap_dev *sd, int op, int status)
{
	switch (status) {
	case SNAP_ST_OK:
		return 0;
	case SNAP_ST_NO_FRAMES:
	case SNAP_ST_NO_WINDOW:
	case SNAP_ST_NO_REGIONS:
		return -ENOSPC;
	case SNAP_ST_QUOTA:
		return -EDQUOT;
	case SNAP_ST_CONFLICT:
		return -ESTALE;
	case SNAP_ST_BUSY:
		return -EBUSY;
	case SNAP_ST_LINK_DOWN:
		return -ENETDOWN;
	case SNAP_ST_GONE:
	case SNAP_ST_AGAIN:	/* given up half way: the device goes, or the caller */
		return -ENODEV;
	default:
		dev_err_ratelimited(&sd->pdev->dev,
				    "command %d refused with status %d\n", op, status);
		return -EIO;
	}
}

int snap_cmd_capture(struct snap_dev *sd, u32 handle, u64 offset, u32 length,
		     u32 *frame, u32 room)
{
	struct snap_capture *c = snap_cmd_entry(sd, SNAP_QUEUE_DATA,
						SNAP_SLOT_CAPTURE);
	u32 n, i;
	int err;

	spin_lock(&sd->capture_lock);
	/* frame[] is out only: not worth clearing */
	memset(c, 0, offsetof(struct snap_capture, frame));
	c->reserved2 = 0;
	c->e.op = cpu_to_le16(SNAP_OP_CAPTURE);
	c->region = cpu_to_le32(handle);
	c->length = cpu_to_le32(length);
	c->offset = cpu_to_le64(offset);
	err = snap_cmd_errno(sd, SNAP_OP_CAPTURE,
			     snap_cmd_ring(sd, SNAP_QUEUE_DATA, SNAP_SLOT_CAPTURE));
	if (!err) {
		n = le32_to_cpu(c->nframes);
		if (n != room) {
			dev_err_ratelimited(&sd->pdev->dev,
					    "capture of %u pages gave %u frames\n",
					    room, n);
			err = -EIO;
		}
		for (i = 0; !err && i < n; i++)
			frame[i] = le32_to_cpu(c->frame[i]);
	}
	spin_unlock(&sd->capture_lock);
	return err;
}
