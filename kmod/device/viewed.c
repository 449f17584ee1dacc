// SPDX-License-Identifier: GPL-2.0-only
/* Frames in views; see viewed.h. */

#include <linux/mm.h>
#include <linux/percpu-refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "device/dev.h"
#include "device/frame.h"
#include "device/pool.h"
#include "device/user.h"
#include "device/viewed.h"

u32 snap_frames_same_row(struct snap_frames *sf, struct page *const *page, u32 n)
{
	u64 first, offset;
	u32 i;

	snap_frames_find(sf, page[0], &first);
	for (i = 1; i < n; i++)
		if (!snap_frames_find(sf, page[i], &offset) ||
		    offset / SNAP_LARGE_SIZE != first / SNAP_LARGE_SIZE)
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

static struct snap_viewer *snap_viewers_of(struct snap_frames *sf, const struct page *page)
{
	return &sf->viewers[snap_frame_row(snap_frames_number(page))];
}

static struct snap_viewer *snap_viewer_find(struct snap_frames *sf, const struct page *page,
					    const struct snap_user *user)
{
	struct snap_viewer *v = snap_viewers_of(sf, page);

	while (v && v->user != user)
		v = v->next;
	return v;
}

/* NULL: there is no memory for one more. */
static struct snap_viewer *snap_viewer_add(struct snap_frames *sf, const struct page *page,
					   struct snap_user *user)
{
	struct snap_viewer *first = snap_viewers_of(sf, page), *v = first;

	if (first->user) {
		v = kzalloc(sizeof(*v), GFP_NOWAIT | __GFP_NOWARN | __GFP_ACCOUNT);
		if (!v)
			return NULL;
		v->next = first->next;
		first->next = v;
	}
	v->user = user;
	return v;
}

static void snap_viewer_remove(struct snap_frames *sf, const struct page *page,
			       struct snap_viewer *v)
{
	struct snap_viewer *first = snap_viewers_of(sf, page), **at = &first->next;

	if (v == first) {
		v->user = NULL;
		return;
	}
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	kfree(v);
}

/**
 * struct snap_view_row - pages of a row that a user is to have in a view
 * @single: those that are frames
 * @parts: those of a large frame, of which there is one at most in a row
 * @part: one of them
 * @viewer: what the user has of that already, or NULL
 */
struct snap_view_row {
	u32 single;
	u32 parts;
	const struct page *part;
	struct snap_viewer *viewer;
};

static void snap_view_row_look(struct snap_view_row *row, struct snap_frames *sf,
			       struct page *const *page, u32 n, const struct snap_user *user)
{
	u32 i, weight;

	for (i = 0; i < n; i++) {
		snap_frames_answering(sf, page[i], &weight);
		if (weight == 1) {
			row->single++;
		} else {
			row->parts++;
			row->part = page[i];
		}
	}
	if (row->parts)
		row->viewer = snap_viewer_find(sf, row->part, user);
}

/* One page keeps all of a large frame, and is paid for as that. */
static u32 snap_view_row_price(const struct snap_view_row *row)
{
	return row->single + (row->parts && !row->viewer ? SNAP_LARGE_FRAMES : 0);
}

/* The user is charged, and among the viewers; or nothing has changed. */
static bool snap_view_row_charge(struct snap_view_row *row, struct snap_frames *sf,
				 struct snap_user *user, bool force)
{
	u32 price = snap_view_row_price(row);

	if (force)
		snap_user_add(user, price);
	else if (price && !snap_user_try(user, sf->sd, price))
		return false;
	if (row->parts && !row->viewer) {
		row->viewer = snap_viewer_add(sf, row->part, user);
		if (!row->viewer) {
			snap_user_uncharge(user, price);
			return false;
		}
	}
	if (row->parts)
		row->viewer->pages += row->parts;
	return true;
}

static void snap_frames_view_one(struct snap_frames *sf, const struct page *page)
{
	u32 weight;
	struct snap_frame *fr = snap_frames_answering(sf, page, &weight);

	if (!fr->views++)
		snap_frames_uncharge(sf, fr, weight);
}

/* Those of a row: all, or none. */
static bool snap_frames_view_row(struct snap_frames *sf, struct page *const *page, u32 n,
				 struct snap_user *user, bool force)
{
	u32 i, f = snap_frames_number(page[0]);
	struct snap_view_row row = { };
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(snap_frame_lock_of(sf, f), flags);
	ok = sf->sd && !READ_ONCE(sf->sd->gone);
	if (ok) {
		snap_view_row_look(&row, sf, page, n, user);
		ok = snap_view_row_charge(&row, sf, user, force);
	}
	for (i = 0; ok && i < n; i++)
		snap_frames_view_one(sf, page[i]);
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

/* @parts views less of a large frame; returns how many frames are paid for no longer. */
static u32 snap_viewer_let_go(struct snap_frames *sf, const struct page *page, u32 parts,
			      const struct snap_user *user)
{
	struct snap_viewer *v = snap_viewer_find(sf, page, user);

	v->pages -= parts;
	if (v->pages)
		return 0;
	snap_viewer_remove(sf, page, v);
	return SNAP_LARGE_FRAMES;
}

/* Returns how many frames the user pays for no longer. */
static u32 snap_frames_unview_row(struct snap_frames *sf, struct page *const *page,
				  u32 n, const struct snap_user *user)
{
	u32 i, weight, frames = 0, parts = 0, f = snap_frames_number(page[0]);
	const struct page *part = NULL;
	unsigned long flags;

	spin_lock_irqsave(snap_frame_lock_of(sf, f), flags);
	for (i = 0; i < n; i++) {
		struct snap_frame *fr = snap_frames_answering(sf, page[i], &weight);

		if (!--fr->views)
			snap_frames_charge(sf, fr, weight);
		if (weight == 1) {
			frames++;
		} else {
			parts++;
			part = page[i];
		}
	}
	if (parts)
		frames += snap_viewer_let_go(sf, part, parts, user);
	spin_unlock_irqrestore(snap_frame_lock_of(sf, f), flags);
	return frames;
}

void snap_frames_unview(struct page *const *page, u32 n, struct snap_user *user)
{
	u32 i, row, frames = 0;

	for (i = 0; i < n; i += row) {
		struct snap_frames *sf = snap_frames_of(page[i]);

		row = snap_frames_same_row(sf, page + i, n - i);
		frames += snap_frames_unview_row(sf, page + i, row, user);
	}
	snap_user_uncharge(user, frames);
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
