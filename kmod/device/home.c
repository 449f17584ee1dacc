// SPDX-License-Identifier: GPL-2.0-only
/* Frames go back to the device; see home.h. */

#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "device/cmd.h"
#include "device/dev.h"
#include "device/home.h"
#include "device/pool.h"
#include "device/queue.h"
#include "observe/trace.h"

/*
 * One doorbell for that many frames, if that is no more than its part of the pool; an
 * exit each would cost more than all else.  They are cold until they are used again: 1
 * MiB of them fits into caches.
 */
#define SNAP_RELEASE_BATCH	256u
#define SNAP_RELEASE_PART	32u
/* Doorbells in one go; what is left waits for the next one. */
#define SNAP_RELEASE_RINGS	8
/* Frames never wait longer than this for their batch to fill. */
#define SNAP_RELEASE_DELAY	msecs_to_jiffies(10)

#define SNAP_FRAME_NONE		U32_MAX

/**
 * struct snap_home - frames that go home by one data queue: by those processors that
 *	use its slots
 * @sf: the pool
 * @batch: frames that are worth a doorbell
 * @release_lock: owns the queue's slot RELEASE
 * @lock: guards the list
 * @first: head of the list
 * @n: its length
 * @flush: returns what no batch took
 */
struct snap_home {
	struct snap_frames *sf;
	u32 batch;
	spinlock_t release_lock;	/* owns the slot RELEASE */
	spinlock_t lock;		/* guards the list */
	u32 first;
	u32 n;
	struct delayed_work flush;
} ____cacheline_aligned_in_smp;

/* The way home of this processor; any other would do. */
static struct snap_home *snap_home_here(struct snap_frames *sf)
{
	return &sf->home[raw_smp_processor_id() % sf->nhomes];
}

struct snap_home *snap_home_list(struct snap_frames *sf, u32 f)
{
	struct snap_home *home = snap_home_here(sf);
	struct snap_frame *fr = snap_frame_at(sf, f);
	bool enough;

	lockdep_assert_held(snap_frame_lock_of(sf, f));
	if (fr->listed)
		return NULL;
	fr->listed = 1;
	spin_lock(&home->lock);
	fr->next = home->first;
	home->first = f;
	if (!home->n)
		queue_delayed_work(snap_frames_wq, &home->flush, SNAP_RELEASE_DELAY);
	home->n += snap_frame_weight(f);
	enough = home->n >= home->batch;
	spin_unlock(&home->lock);
	return enough ? home : NULL;
}

/**
 * struct snap_home_batch - holds that go home with one doorbell
 * @entry: numbers, in the slot
 * @n: how many
 * @frames: how many frames that is
 */
struct snap_home_batch {
	__le32 *entry;
	u32 n;
	u32 frames;
};

/* Up to SNAP_RELEASE_MAX frames off the list, which are still marked as listed. */
static u32 snap_home_unlist(struct snap_home *home)
{
	struct snap_frames *sf = home->sf;
	u32 first, last, next, weight;
	unsigned long flags;

	spin_lock_irqsave(&home->lock, flags);
	first = home->first;
	if (first != SNAP_FRAME_NONE) {
		last = first;
		weight = snap_frame_weight(last);
		while ((next = snap_frame_at(sf, last)->next) != SNAP_FRAME_NONE &&
		       weight + snap_frame_weight(next) <= SNAP_RELEASE_MAX) {
			last = next;
			weight += snap_frame_weight(last);
		}
		home->first = next;
		home->n -= weight;
		snap_frame_at(sf, last)->next = SNAP_FRAME_NONE;
	}
	spin_unlock_irqrestore(&home->lock, flags);
	return first;
}

static bool snap_home_add(struct snap_home_batch *b, u32 f)
{
	u32 weight = snap_frame_weight(f);

	if (b->frames + weight > SNAP_RELEASE_MAX)
		return false;
	b->frames += weight;
	b->entry[b->n++] = cpu_to_le32(f);
	return true;
}

/*
 * Move holds of a listed frame into the batch: all but one of a frame that is OUT, all
 * of any other.  A frame with more holds than there is room keeps the rest and stays
 * listed.
 */
static void snap_home_collect_one(struct snap_frames *sf, u32 f,
				  struct snap_home_batch *b)
{
	struct snap_frame *fr = snap_frame_at(sf, f);
	u32 keep = fr->state == SNAP_FRAME_OUT;

	lockdep_assert_held(snap_frame_lock_of(sf, f));
	fr->listed = 0;
	while (fr->holds > keep && snap_home_add(b, f))
		fr->holds--;
	if (fr->holds > keep)
		snap_home_list(sf, f);
	else if (fr->state == SNAP_FRAME_FREE)
		fr->state = SNAP_FRAME_IDLE;
}

/* Of as many frames as were taken off the list. */
static void snap_home_collect(struct snap_home *home, struct snap_home_batch *b)
{
	struct snap_frames *sf = home->sf;
	u32 f = snap_home_unlist(home);
	unsigned long flags;

	while (f != SNAP_FRAME_NONE) {
		u32 row = snap_frame_row(f);
		spinlock_t *lock = snap_frame_lock_of(sf, f);

		spin_lock_irqsave(lock, flags);
		do {
			u32 next = snap_frame_at(sf, f)->next;

			snap_home_collect_one(sf, f, b);
			f = next;
		} while (f != SNAP_FRAME_NONE && snap_frame_row(f) == row);
		spin_unlock_irqrestore(lock, flags);
	}
}

/* Fill the slot RELEASE: how many frames it gives back, and whose it is. */
static u32 snap_home_fill(struct snap_home *home, struct snap_queue **q)
{
	struct snap_frames *sf = home->sf;
	struct snap_dev *sd = READ_ONCE(sf->sd);
	struct snap_home_batch b = { };
	struct snap_release *r;

	lockdep_assert_held(&home->release_lock);
	if (!sd || !READ_ONCE(home->n))
		return 0;
	*q = &sd->queue[SNAP_QUEUE_DATA + (home - sf->home)];
	r = snap_queue_slot(*q, SNAP_SLOT_RELEASE);
	b.entry = r->frame;
	snap_home_collect(home, &b);
	if (!b.n)
		return 0;
	r->e.op = cpu_to_le16(SNAP_OP_RELEASE);
	r->e.flags = 0;
	r->count = cpu_to_le32(b.n);
	r->done = 0;
	snap_queue_pending(*q, SNAP_SLOT_RELEASE);
	return b.frames;
}

/* Ring for the slot, and for @packets behind it.  Returns what has become of it. */
static int snap_home_ring_for(struct snap_queue *q, u32 n, u32 packets)
{
	int status;

	snap_queue_ring(q, SNAP_SLOT_RELEASE, 1 + packets);
	status = snap_queue_wait(q, SNAP_SLOT_RELEASE);
	snap_cmd_errno(q->sd, SNAP_OP_RELEASE, status);
	trace_snap_release(n);
	return status;
}

/* One doorbell; true if there may be more to return. */
static bool snap_home_release(struct snap_home *home)
{
	struct snap_queue *q;
	u32 n = snap_home_fill(home, &q);

	if (n)
		snap_home_ring_for(q, n, 0);
	/* else there was room for any other */
	return n > SNAP_RELEASE_MAX - SNAP_LARGE_FRAMES;
}

static void snap_home_flush(struct snap_home *home)
{
	unsigned int rings = SNAP_RELEASE_RINGS;
	bool more;

	/* Softirqs may run between doorbells, each of which can take long. */
	do {
		spin_lock_bh(&home->release_lock);
		more = snap_home_release(home);
		spin_unlock_bh(&home->release_lock);
	} while (more && --rings);
}

void snap_home_ring(struct snap_home *home)
{
	/*
	 * Whoever has the slot now takes these frames along, or the next one.  With
	 * interrupts off nobody waits for the device: the timer does it.
	 */
	if (READ_ONCE(home->n) >= home->batch && !irqs_disabled() &&
	    spin_trylock_bh(&home->release_lock)) {
		snap_home_release(home);
		spin_unlock_bh(&home->release_lock);
	}
}

bool snap_home_ring_with(struct snap_queue *q, u32 packets)
{
	struct snap_home *home = &q->sd->frames->home[q->number - SNAP_QUEUE_DATA];
	bool rung = false;
	u32 n;

	if (READ_ONCE(home->n) < home->batch / 2 || irqs_disabled() ||
	    !spin_trylock(&home->release_lock))
		return false;
	n = snap_home_fill(home, &q);
	if (n)
		rung = !snap_queue_stops(snap_home_ring_for(q, n, packets));
	spin_unlock(&home->release_lock);
	return rung;
}

void snap_homes_flush(struct snap_frames *sf)
{
	u32 i;

	/* also waits for those that others are returning */
	for (i = 0; i < sf->nhomes; i++)
		snap_home_flush(&sf->home[i]);
}

static void snap_home_flush_work(struct work_struct *work)
{
	struct snap_home *home = container_of(to_delayed_work(work),
					      struct snap_home, flush);

	snap_home_flush(home);
	/* what did not fit into so many doorbells */
	if (READ_ONCE(home->n))
		queue_delayed_work(snap_frames_wq, &home->flush, SNAP_RELEASE_DELAY);
}

int snap_homes_create(struct snap_frames *sf, u32 n)
{
	u32 i;

	sf->home = kvcalloc(n, sizeof(*sf->home), GFP_KERNEL);
	if (!sf->home)
		return -ENOMEM;
	sf->nhomes = n;
	for (i = 0; i < n; i++) {
		struct snap_home *home = &sf->home[i];

		home->sf = sf;
		home->batch = clamp(sf->count / n / SNAP_RELEASE_PART, 1u,
				    SNAP_RELEASE_BATCH);
		home->first = SNAP_FRAME_NONE;
		spin_lock_init(&home->release_lock);
		spin_lock_init(&home->lock);
		INIT_DELAYED_WORK(&home->flush, snap_home_flush_work);
	}
	return 0;
}

void snap_homes_close(struct snap_frames *sf)
{
	u32 i;

	for (i = 0; i < sf->nhomes; i++) {
		spin_lock_bh(&sf->home[i].release_lock);
		spin_unlock_bh(&sf->home[i].release_lock);
	}
}

void snap_homes_stop(struct snap_frames *sf)
{
	u32 i;

	for (i = 0; i < sf->nhomes; i++)
		cancel_delayed_work_sync(&sf->home[i].flush);
}

void snap_homes_free(struct snap_frames *sf)
{
	kvfree(sf->home);
}
