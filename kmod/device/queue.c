// SPDX-License-Identifier: GPL-2.0-only
/* Slabs and doorbells; see queue.h. */

#include <linux/ktime.h>
#include <linux/slab.h>

#include "device/queue.h"

/*
 * Far more than the bounded work of any command takes, and short enough for a
 * caller that has interrupts off.
 */
#define SNAP_QUEUE_TIMEOUT_NS	(200 * NSEC_PER_MSEC)

int snap_queues_create(struct snap_dev *sd)
{
	u32 i;

	sd->queue = kcalloc(SNAP_QUEUE_DATA + sd->nqueues, sizeof(*sd->queue),
			    GFP_KERNEL);
	if (!sd->queue)
		return -ENOMEM;
	for (i = 0; i < SNAP_QUEUE_DATA + sd->nqueues; i++) {
		struct snap_queue *q = &sd->queue[i];

		q->sd = sd;
		q->number = i;
		q->slab = sd->slab + (size_t)i * sd->slab_bytes;
		if (i != SNAP_QUEUE_CONTROL)
			q->status = (void *)sd->status + i * SNAP_STATUS_LINE;
		spin_lock_init(&q->capture_lock);
	}
	return 0;
}

void snap_queues_destroy(struct snap_dev *sd)
{
	kfree(sd->queue);
	sd->queue = NULL;
}

void snap_queue_ring(struct snap_queue *q, u32 slot, u32 n)
{
	/* writeq() orders the stores to the entries before the doorbell */
	if (!READ_ONCE(q->sd->gone))
		snap_queue_write(q, SNAP_QREG_DOORBELL, SNAP_DOORBELL(slot, n));
}

int snap_queue_wait(struct snap_queue *q, u32 slot)
{
	struct snap_entry *e = snap_queue_slot(q, slot);
	struct snap_dev *sd = q->sd;
	u64 deadline = 0;
	u32 status;

	for (;;) {
		if (READ_ONCE(sd->gone))
			return SNAP_ST_GONE;
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
			deadline = ktime_get_ns() + SNAP_QUEUE_TIMEOUT_NS;
		} else if (ktime_get_ns() > deadline) {
			dev_err_ratelimited(&sd->pdev->dev,
					    "command does not end\n");
			snap_dev_lose(sd);
			return SNAP_ST_GONE;
		}
		cpu_relax();
	}
}

int snap_queue_execute(struct snap_queue *q, u32 slot)
{
	snap_queue_pending(q, slot);
	snap_queue_ring(q, slot, 1);
	return snap_queue_wait(q, slot);
}
