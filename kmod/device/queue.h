/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A queue of the device: a slab in which entries are filled, and a doorbell that
 * has them executed.  Queue SNAP_QUEUE_CONTROL is the mailbox, the others carry data.
 *
 * The slab of a data queue is cut into slots.  Each has one lock, and the device
 * executes doorbells of different slots independently:
 *
 *   TX		the lock of the netdev's transmit queue
 *   CAPTURE	queue->capture_lock
 *   RELEASE	home->release_lock (home.c)
 */
#ifndef SNAP_QUEUE_H
#define SNAP_QUEUE_H

#include <linux/cache.h>
#include <linux/io.h>
#include <linux/smp.h>
#include <linux/spinlock.h>

#include "device/dev.h"

/* Packets that one doorbell may send; their entries lie one behind the other. */
#define SNAP_TX_SLOTS		16u
#define SNAP_TX_SLOT_BYTES	ALIGN(sizeof(struct snap_tx), SNAP_ENTRY_ALIGN)
/* Bytes that each may have inline. */
#define SNAP_TX_INLINE_MAX	512u

/* The slots TX are right behind RELEASE, so that a doorbell may be for it and them. */
#define SNAP_SLOT_RELEASE	0u
#define SNAP_SLOT_TX(i)		((u32)(ALIGN(sizeof(struct snap_release), \
					     SNAP_ENTRY_ALIGN) + \
				       (i) * SNAP_TX_SLOT_BYTES))
#define SNAP_SLOT_TX_INLINE(i)	(0x3000u + (i) * SNAP_TX_INLINE_MAX)
#define SNAP_SLOT_CAPTURE	0x5000u
#define SNAP_SLOTS_END		0x6000u

static_assert(1 + SNAP_TX_SLOTS <= SNAP_DOORBELL_ENTRIES_MAX);
static_assert(SNAP_SLOT_TX(SNAP_TX_SLOTS) <= SNAP_SLOT_TX_INLINE(0));
static_assert(SNAP_SLOT_TX_INLINE(SNAP_TX_SLOTS) <= SNAP_SLOT_CAPTURE);
static_assert(SNAP_SLOT_CAPTURE + sizeof(struct snap_capture) <= SNAP_SLOTS_END);

/**
 * struct snap_queue - a queue of the device
 * @sd: the device, which it is a part of
 * @number: SNAP_QUEUE_CONTROL, or from SNAP_QUEUE_DATA on
 * @slab: where its slots lie
 * @status: its line of the status area, written by the device; the mailbox has none
 * @capture_lock: guards slot CAPTURE
 */
struct snap_queue {
	struct snap_dev *sd;
	u32 number;
	u8 *slab;
	const struct snap_queue_status *status;
	/* away from what who sends and receives reads */
	spinlock_t capture_lock ____cacheline_aligned_in_smp;
} ____cacheline_aligned_in_smp;

/**
 * snap_queues_create() - the mailbox and the data queues
 * @sd: device whose slabs and status area are mapped
 *
 * Return: 0 or ENOMEM; sd->queue is there until snap_queues_destroy().
 */
int snap_queues_create(struct snap_dev *sd);
void snap_queues_destroy(struct snap_dev *sd);

static inline void *snap_queue_slot(const struct snap_queue *q, u32 slot)
{
	return q->slab + slot;
}

/* Before an entry is rung for, and before it is rung for again. */
static inline void snap_queue_pending(struct snap_queue *q, u32 slot)
{
	struct snap_entry *e = snap_queue_slot(q, slot);

	WRITE_ONCE(e->status, cpu_to_le32(SNAP_ST_PENDING));
}

/**
 * snap_queue_ring() - the device executes entries, in order
 * @q: queue
 * @slot: byte offset of the first; all are filled, with status PENDING
 * @n: how many
 *
 * Context: any; the caller holds the slot's lock.
 */
void snap_queue_ring(struct snap_queue *q, u32 slot, u32 n);

/**
 * snap_queue_wait() - what has become of an entry
 * @q: queue
 * @slot: byte offset of an entry that the doorbell was rung for, and that the device
 *	did not stop before
 *
 * Context: any; the caller holds the slot's lock.
 * Return: enum snap_status; SNAP_ST_GONE if the device does not answer.
 */
int snap_queue_wait(struct snap_queue *q, u32 slot);

/* Does the device leave what is behind an entry that ends so?  It is rung for again. */
static inline bool snap_queue_stops(int status)
{
	return status == SNAP_ST_BUSY || status == SNAP_ST_BAD_STATE ||
	       status == SNAP_ST_BAD_OP;
}

/* One entry, of which all but the status is filled: its status, as above. */
int snap_queue_execute(struct snap_queue *q, u32 slot);

static inline u64 snap_queue_read(const struct snap_queue *q, u32 reg)
{
	return snap_read(q->sd, SNAP_QUEUE_PAGE(q->number) + reg);
}

static inline void snap_queue_write(const struct snap_queue *q, u32 reg, u64 value)
{
	snap_write(q->sd, SNAP_QUEUE_PAGE(q->number) + reg, value);
}

/* 0 of a device that is gone. */
static inline u64 snap_queue_counter(const struct snap_queue *q,
				     enum snap_queue_counter c)
{
	return READ_ONCE(q->sd->gone) ? 0 :
	       snap_queue_read(q, SNAP_QREG_COUNTERS + 8 * c);
}

/* Does TX answer BUSY? */
static inline bool snap_queue_paused(const struct snap_queue *q)
{
	return READ_ONCE(q->status->tx_paused);
}

/*
 * A data queue for what this processor captures or releases: few others use its slots.
 */
static inline struct snap_queue *snap_queue_here(struct snap_dev *sd)
{
	return &sd->queue[SNAP_QUEUE_DATA + raw_smp_processor_id() % sd->nqueues];
}

#endif /* SNAP_QUEUE_H */
