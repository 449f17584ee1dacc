/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of a pool and of each frame, for frame.c, which takes frames and gives
 * them away as pages, row.c, which gives and drops references on them, viewed.c, which
 * knows those in views, and home.c, by which they go back to the device.
 *
 * Locks: that of a frame > home->lock.  Interrupts are off below the first; of several
 * frames that have the same lock and follow each other it is taken once.
 */
#ifndef SNAP_POOL_H
#define SNAP_POOL_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "compat/page.h"
#include "device/home.h"
#include "device/user.h"
#include "snap_device.h"

struct snap_dev;
struct snap_frames;
struct snap_home;
struct snap_user;

/* Frames in a row that have a lock together, and how many locks there are. */
#define SNAP_FRAME_ROW		SNAP_LARGE_FRAMES
#define SNAP_FRAME_LOCKS	64

enum snap_frame_state {
	SNAP_FRAME_IDLE,
	SNAP_FRAME_OUT,
	SNAP_FRAME_FREE,
	SNAP_FRAME_PART,
};

/**
 * struct snap_frame - what is known of one frame
 * @user: whose it is while OUT, by capture or because he sent on what he had in a view,
 *	or NULL; holds a reference
 * @views: how many pages of views it is, or its frames are
 * @next: while @listed: in the list of frames to return, whose it is
 * @holds: how often the guest holds it
 * @state: enum snap_frame_state
 * @listed: in the list: FREE, OUT with more than the one hold it needs, or given by
 *	mistake while it was PART
 * @received: OUT, and came in a packet that no view's user has sent on
 */
struct snap_frame {
	struct snap_user *user;
	u32 views;
	u32 next;
	u32 holds;
	u8 state;
	u8 listed;
	u8 received;
};

/**
 * struct snap_viewer - a user who has pages of a large frame in views; the frame's lock
 * @user: who: the views hold a reference; NULL: nobody
 * @pages: how many
 * @next: another one
 */
struct snap_viewer {
	struct snap_user *user;
	u32 pages;
	struct snap_viewer *next;
};

/* One of the locks that guard frames. */
struct snap_frame_lock {
	spinlock_t lock;	/* guards each frame that has it, but for @next */
} ____cacheline_aligned_in_smp;

/**
 * struct snap_pages - pages of a pool that are alike
 * @pgmap: of the core
 * @sf: the pool
 * @first_pfn: page frame number of frame 0
 */
struct snap_pages {
	struct dev_pagemap pgmap;
	struct snap_frames *sf;
	unsigned long first_pfn;
};

/**
 * struct snap_frames - a pool
 * @list: in snap_pools, as long as it has pages
 * @small: its pages of a frame each
 * @large: the same memory once more, as pages of a large frame each; or none
 * @count: number of frames
 * @sd: the device; NULL once the pool is given up: looked at below a lock of a frame,
 *	or a release_lock
 * @lock: guard the frames
 * @frame: one for each, then one for each large one
 * @viewers: for each large one, one of those who have it in views; more are behind it
 * @home: the ways home, one for each data queue of the device
 * @nhomes: how many
 * @out: number of frames OUT; from 0 to 1 it takes the module, back it puts it; and
 *	SNAP_OUT_ORPHAN once whoever drops the last one frees the pool
 * @received: of them, those of received packets, without those in views; both count
 *	frames that are about to be taken already
 * @forgotten: frees what processors keep for later, while frames are OUT
 * @reap: frees an orphan
 */
struct snap_frames {
	struct list_head list;
	struct snap_pages small;
	struct snap_pages large;
	u32 count;
	struct snap_dev *sd;
	struct snap_frame_lock lock[SNAP_FRAME_LOCKS];
	struct snap_frame *frame;
	struct snap_viewer *viewers;
	struct snap_home *home;
	u32 nhomes;
	struct delayed_work forgotten;
	struct work_struct reap;
	/* all processors write these: away from what they read for each frame */
	atomic_t out ____cacheline_aligned_in_smp;
	atomic_t received;
};

/* Of all pools: takes them home, and looks after what is out. */
extern struct workqueue_struct *snap_frames_wq;

/* @f is a number as the device gives it: of a frame, or of a large one. */
static inline u32 snap_frame_row(u32 f)
{
	return (f & ~SNAP_FRAME_LARGE) / SNAP_FRAME_ROW;
}

/* How many frames it is. */
static inline u32 snap_frame_weight(u32 f)
{
	return f & SNAP_FRAME_LARGE ? SNAP_LARGE_FRAMES : 1;
}

/* The large one that a frame is in. */
static inline u32 snap_frame_large(u32 f)
{
	return round_down(f, SNAP_LARGE_FRAMES) | SNAP_FRAME_LARGE;
}

static inline struct snap_frame *snap_frame_at(struct snap_frames *sf, u32 f)
{
	return f & SNAP_FRAME_LARGE ? &sf->frame[sf->count + snap_frame_row(f)] :
				      &sf->frame[f];
}

static inline struct snap_pages *snap_pages_of(const struct page *page)
{
	return container_of(page_pgmap(page), struct snap_pages, pgmap);
}

/* Those that the frame, or the large one, is of. */
static inline struct snap_pages *snap_frames_pages(struct snap_frames *sf, u32 f)
{
	return f & SNAP_FRAME_LARGE ? &sf->large : &sf->small;
}

static inline struct page *snap_frames_page(struct snap_frames *sf, u32 f)
{
	return pfn_to_page(snap_frames_pages(sf, f)->first_pfn +
			   (f & ~SNAP_FRAME_LARGE));
}

/* The number of that which a page of these is, or is a part of. */
static inline u32 snap_pages_number(const struct snap_pages *pages, const struct page *page)
{
	u32 f = page_to_pfn(page) - pages->first_pfn;

	return pages == &pages->sf->large ? snap_frame_large(f) : f;
}

static inline spinlock_t *snap_frame_lock_of(struct snap_frames *sf, u32 f)
{
	return &sf->lock[snap_frame_row(f) % SNAP_FRAME_LOCKS].lock;
}

/*
 * Of a page at rest.  The caller has the reference on the page map that the core drops
 * with the page's last.  False, and the page still rests, if this kernel does not keep to
 * that.
 */
bool snap_frames_wake(struct page *page);
/*
 * @n frames of that, whose lock is held, are, or are no longer, on the account that it
 * came from.
 */
static inline void snap_frames_charge(struct snap_frames *sf, struct snap_frame *fr, u32 n)
{
	if (fr->user)
		snap_user_add(fr->user, n);
	if (fr->received)
		atomic_add(n, &sf->received);
}

static inline void snap_frames_uncharge(struct snap_frames *sf, struct snap_frame *fr, u32 n)
{
	if (fr->user)
		snap_user_uncharge(fr->user, n);
	if (fr->received)
		atomic_sub(n, &sf->received);
}

/* Its page has no reference any more; below the frame's lock. */
static inline void snap_frames_rest(struct folio *folio)
{
	atomic_set(snap_folio_mapcount(folio), -1);
	folio->mapping = NULL;
}

/*
 * The same for one that is OUT and goes home.  Returns as snap_home_list(): without the
 * lock, snap_home_ring() is due, and snap_frames_count_home().
 */
static inline struct snap_home *snap_frames_send_home(struct snap_frames *sf, u32 f,
						      struct snap_frame *fr,
						      struct folio *folio)
{
	snap_frames_rest(folio);
	fr->state = SNAP_FRAME_FREE;
	/* no view has it: each would have kept it OUT */
	snap_frames_uncharge(sf, fr, snap_frame_weight(f));
	if (fr->user)
		snap_user_put(fr->user, 1);
	fr->user = NULL;
	fr->received = 0;
	return sf->sd ? snap_home_list(sf, f) : NULL;
}

/* So many fewer are OUT.  Whoever counts the last of an orphan frees it. */
void snap_frames_count_home(struct snap_frames *sf, u32 n);

#endif /* SNAP_POOL_H */
