// SPDX-License-Identifier: GPL-2.0-only
/* Commands to the device; see cmd.h. */

#include <linux/rwsem.h>
#include <linux/sched/signal.h>

#include "device/cmd.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/queue.h"

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

int snap_cmd_capture(struct snap_dev *sd, u32 handle, u64 offset, u32 length, bool large,
		     u32 *frame, u32 npages)
{
	struct snap_queue *q = snap_queue_here(sd);
	struct snap_capture *c = snap_queue_slot(q, SNAP_SLOT_CAPTURE);
	u32 i, n = 0;
	int err;

	spin_lock(&q->capture_lock);
	/* frame[] is out only: not worth clearing */
	memset(c, 0, offsetof(struct snap_capture, frame));
	c->reserved2 = 0;
	c->e.op = cpu_to_le16(SNAP_OP_CAPTURE);
	c->e.flags = cpu_to_le16(large ? SNAP_CAPTURE_LARGE : 0);
	c->region = cpu_to_le32(handle);
	c->length = cpu_to_le32(length);
	c->offset = cpu_to_le64(offset);
	err = snap_cmd_errno(sd, SNAP_OP_CAPTURE,
			     snap_queue_execute(q, SNAP_SLOT_CAPTURE));
	if (!err) {
		n = le32_to_cpu(READ_ONCE(c->nframes));
		for (i = 0; i < n && i < npages; i++)
			frame[i] = le32_to_cpu(READ_ONCE(c->frame[i]));
		if (n != npages && !(large && n == 1 && frame[0] & SNAP_FRAME_LARGE)) {
			dev_err_ratelimited(&sd->pdev->dev,
					    "capture of %u pages gave %u frames\n",
					    npages, n);
			err = -EIO;
		}
	}
	spin_unlock(&q->capture_lock);
	return err ?: n;
}

/* Any other command undoes what has been done of one: this one finds nothing. */
static void snap_cmd_mail_undo(struct snap_dev *sd)
{
	struct snap_queue *mailbox = &sd->queue[SNAP_QUEUE_CONTROL];
	struct snap_entry *slot = snap_queue_slot(mailbox, 0);

	*slot = (struct snap_entry){ .op = cpu_to_le16(SNAP_OP_INFO) };
	snap_queue_execute(mailbox, 0);
}

static int snap_cmd_mail_once(struct snap_dev *sd, struct snap_entry *e,
			      size_t size)
{
	struct snap_queue *mailbox = &sd->queue[SNAP_QUEUE_CONTROL];
	void *slot = snap_queue_slot(mailbox, 0);
	int status;

	mutex_lock(&sd->control_lock);
	memcpy(slot, e, size);
	while ((status = snap_queue_execute(mailbox, 0)) == SNAP_ST_AGAIN) {
		/* neither who was killed nor a removal waits for all steps */
		if (fatal_signal_pending(current) ||
		    rwsem_is_contended(&sd->life)) {
			snap_cmd_mail_undo(sd);
			break;
		}
		cond_resched();
	}
	memcpy(e, slot, size);
	mutex_unlock(&sd->control_lock);
	return status;
}

int snap_cmd_mail(struct snap_dev *sd, struct snap_entry *e, size_t size, enum snap_op op)
{
	int status;

	e->op = cpu_to_le16(op);
	status = snap_cmd_mail_once(sd, e, size);
	if (status == SNAP_ST_NO_FRAMES) {
		/* what nobody needs may be enough */
		snap_frames_reclaim(sd->frames);
		status = snap_cmd_mail_once(sd, e, size);
	}
	return snap_cmd_errno(sd, op, status);
}
