/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of a pool and of each frame, for frame.c, which takes frames and gives
 * them away as pages, and home.c, by which they go back to the device.
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
 * @user: whose capture it is while OUT, or NULL; of a large one that is in views whoever
 *	had the first; holds a reference
 * @views: how many pages of views it is, or its frames are
 * @next: while @listed: in the list of frames to return, whose it is
 * @holds: how often the guest holds it
 * @state: enum snap_frame_state
 * @listed: in the list: FREE, OUT with more than the one hold it needs, or given by
 *	mistake while it was PART
 * @received: OUT, and came in a packet
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

static inline spinlock_t *snap_frame_lock_of(struct snap_frames *sf, u32 f)
{
	return &sf->lock[snap_frame_row(f) % SNAP_FRAME_LOCKS].lock;
}

#endif /* SNAP_POOL_H */
