// SPDX-License-Identifier: GPL-2.0-only
/* Frames in views; see viewed.h. */

#include <linux/mm.h>
#include <linux/percpu-refcount.h>
#include <linux/spinlock.h>

#include "device/dev.h"
#include "device/frame.h"
#include "device/pool.h"
#include "device/user.h"
#include "device/viewed.h"

u32 snap_frames_same_row(struct snap_frames *sf, struct page *const *page, u32 n)
{
	u32 i, row = snap_frame_row(snap_frames_number(page[0]));

	for (i = 1; i < n; i++)
		if (!snap_frames_owns(sf, page[i]) ||
		    snap_frame_row(snap_frames_number(page[i])) != row)
			break;
	return i;
}

struct snap_frame *snap_frames_answering(struct snap_frames *sf, const struct page *page,
					 u32 *weight)
{
	u32 f = snap_frames_number(page);

	if (snap_frame_at(sf, f)->state == SNAP_FRAME_PART)
		f = snap_frame_large(f);
	*weight = snap_frame_weight(f);
	return snap_frame_at(sf, f);
}

/*
 * What those of a row, in which there is one large frame at most, cost whoever is to
 * have them in a view: one page keeps all of a large frame, and is paid for as that.
 */
static u32 snap_frames_price(struct snap_frames *sf, struct page *const *page, u32 n)
{
	u32 i, weight, small = 0, large = 0;

	for (i = 0; i < n; i++) {
		struct snap_frame *fr = snap_frames_answering(sf, page[i], &weight);

		if (weight == 1)
			small++;
		else if (!fr->views)
			large = weight;
	}
	return small + large;
}

/* Whoever had the first view of the large frame. */
static struct snap_user **snap_frames_viewer(struct snap_frames *sf,
					     const struct page *page)
{
	return &sf->viewer[snap_frame_row(snap_frames_number(page))];
}

/* Of a large frame the first view is remembered, until the last is gone. */
static void snap_frames_view_one(struct snap_frames *sf, const struct page *page,
				 struct snap_user *user)
{
	u32 weight;
	struct snap_frame *fr = snap_frames_answering(sf, page, &weight);

	if (fr->views++)
		return;
	snap_frames_uncharge(sf, fr, weight);
	if (weight > 1) {
		snap_user_hold(user, 1);
		*snap_frames_viewer(sf, page) = user;
	}
}

/* Those of a row: all, or none. */
static bool snap_frames_view_row(struct snap_frames *sf, struct page *const *page, u32 n,
				 struct snap_user *user, bool force)
{
	u32 i, price, f = snap_frames_number(page[0]);
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(snap_frame_lock_of(sf, f), flags);
	ok = sf->sd && !READ_ONCE(sf->sd->gone);
	price = snap_frames_price(sf, page, n);
	if (ok && force)
		snap_user_add(user, price);
	else if (ok)
		ok = snap_user_try(user, sf->sd, price);
	for (i = 0; ok && i < n; i++)
		snap_frames_view_one(sf, page[i], user);
	spin_unlock_irqrestore(snap_frame_lock_of(sf, f), flags);
	return ok;
}

bool snap_frames_view(struct page *const *page, u32 n, struct snap_user *user, bool force)
{
	u32 i, row;

	for (i = 0; i < n; i += row) {
		struct snap_frames *sf = snap_frames_of(page[i]);

		row = snap_frames_same_row(sf, page + i, n - i);
		if (!snap_frames_view_row(sf, page + i, row, user, force)) {
			snap_frames_unview(page, i, user);
			return false;
		}
	}
	return true;
}

/* One view less; returns the frames that its user paid for that alone. */
static u32 snap_frames_unview_one(struct snap_frames *sf, const struct page *page)
{
	u32 weight;
	struct snap_frame *fr = snap_frames_answering(sf, page, &weight);
	bool last = !--fr->views;

	if (last && weight > 1) {
		struct snap_user **viewer = snap_frames_viewer(sf, page);

		snap_user_uncharge(*viewer, weight);
		snap_user_put(*viewer, 1);
		*viewer = NULL;
	}
	if (last)
		snap_frames_charge(sf, fr, weight);
	return weight == 1;
}

static u32 snap_frames_unview_row(struct snap_frames *sf, struct page *const *page,
				  u32 n)
{
	u32 i, small = 0, f = snap_frames_number(page[0]);
	unsigned long flags;

	spin_lock_irqsave(snap_frame_lock_of(sf, f), flags);
	for (i = 0; i < n; i++)
		small += snap_frames_unview_one(sf, page[i]);
	spin_unlock_irqrestore(snap_frame_lock_of(sf, f), flags);
	return small;
}

void snap_frames_unview(struct page *const *page, u32 n, struct snap_user *user)
{
	u32 i, row, small = 0;

	for (i = 0; i < n; i += row) {
		struct snap_frames *sf = snap_frames_of(page[i]);

		row = snap_frames_same_row(sf, page + i, n - i);
		small += snap_frames_unview_row(sf, page + i, row);
	}
	snap_user_uncharge(user, small);
}

struct page *snap_frames_get_small(struct page *page)
{
	struct snap_frames *sf = snap_frames_of(page);
	u32 f = page_to_pfn(page) - snap_pages_of(page)->first_pfn;
	struct page *small = snap_frames_page(sf, f);
	struct snap_frame *fr = &sf->frame[f];
	unsigned long flags;
	bool ok = false;

	if (small == page) {
		get_page(page);
		return page;
	}
	spin_lock_irqsave(snap_frame_lock_of(sf, f), flags);
	if (fr->state == SNAP_FRAME_PART) {
		ok = get_page_unless_zero(small);
	} else if (fr->state == SNAP_FRAME_IDLE && snap_frames_wake(small)) {
		/* the pool stays: the large frame is OUT */
		percpu_ref_get(&sf->small.pgmap.ref);
		fr->state = SNAP_FRAME_PART;
		get_page(page);
		ok = true;
	}
	spin_unlock_irqrestore(snap_frame_lock_of(sf, f), flags);
	return ok ? small : NULL;
}
