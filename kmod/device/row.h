/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of a row of the pool: looked at, referenced and dropped below their one lock,
 * with one look at what answers for them.
 */
#ifndef SNAP_ROW_H
#define SNAP_ROW_H

#include <linux/types.h>

struct page;
struct snap_frame;
struct snap_frames;
struct snap_home;

/**
 * struct snap_row - pages behind each other, with one lock, that are alike
 * @sf: their pool, or one that is an orphan
 * @first: number of the first one's frame
 * @n: how many they are
 * @large: what answers for all of them: the large frame that they are of; NULL: each
 *	for itself
 * @whole: the pages are those of the large frame itself, no PARTs
 * @dropped: references on the large frame that are to go
 * @parts: PARTs that went home
 * @frames: frames that did
 * @home: whose way, if that has enough for a doorbell now, or NULL
 * @flags: of the lock
 */
struct snap_row {
	struct snap_frames *sf;
	u32 first;
	u32 n;
	struct snap_frame *large;
	bool whole;
	u32 dropped;
	u32 parts;
	u32 frames;
	struct snap_home *home;
	unsigned long flags;
};

/**
 * snap_row_begin() - the first pages of many that one row has; takes its lock
 * @row: filled
 * @page: pages with a reference, of whatever pools
 * @n: how many
 */
void snap_row_begin(struct snap_row *row, struct page *const *page, u32 n)
	__acquires(row);
/* Drops the lock, and what the row's pages have kept. */
void snap_row_end(struct snap_row *row) __releases(row);

/* What is known of them, of one after the other. */
struct snap_frame *snap_row_frames(const struct snap_row *row);

/* One reference more on each. */
void snap_row_get(const struct snap_row *row);
/**
 * snap_row_part() - PARTs instead of the pages of a large frame itself
 * @row: whose pages are that: the references on them go, and those on PARTs come
 * @page: replaced by PARTs with the same bytes, which keep the large frame
 *
 * Return: 0; or nothing has changed: -EBUSY if a PART is on its way back just now; -EIO
 * if there cannot be one.
 */
int snap_row_part(struct snap_row *row, struct page **page);
/*
 * Of the first @n pages, one reference each.  Those of one frame that have no other go
 * home, without the core.
 */
void snap_row_put(struct snap_row *row, u32 n);

#endif /* SNAP_ROW_H */
