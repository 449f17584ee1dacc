// SPDX-License-Identifier: GPL-2.0-only
/* Frames in views; see viewed.h. */

#include <linux/slab.h>

#include "device/dev.h"
#include "device/pool.h"
#include "device/row.h"
#include "device/user.h"
#include "device/viewed.h"

/* ---- Who has a large frame ---------------------------------------------------- */

static struct snap_viewer *snap_viewers_of(const struct snap_row *row)
{
	return &row->sf->viewers[snap_frame_row(row->first)];
}

static struct snap_viewer *snap_viewer_find(const struct snap_row *row,
					    const struct snap_user *user)
{
	struct snap_viewer *v = snap_viewers_of(row);

	while (v && v->user != user)
		v = v->next;
	return v;
}

/* NULL: there is no memory for one more. */
static struct snap_viewer *snap_viewer_add(const struct snap_row *row,
					   struct snap_user *user)
{
	struct snap_viewer *first = snap_viewers_of(row), *v = first;

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

static void snap_viewer_remove(const struct snap_row *row, struct snap_viewer *v)
{
	struct snap_viewer *first = snap_viewers_of(row), **at = &first->next;

	if (v == first) {
		v->user = NULL;
		return;
	}
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	kfree(v);
}

/* ---- More views --------------------------------------------------------------- */

static bool snap_view_pay(const struct snap_row *row, struct snap_user *user, u32 frames,
			  bool force)
{
	if (!force)
		return snap_user_try(user, row->sf->sd, frames);
	snap_user_add(user, frames);
	return true;
}

/* One page keeps all of a large frame, and is paid for as that. */
static struct snap_viewer *snap_viewer_pay(const struct snap_row *row,
					   struct snap_user *user, bool force)
{
	struct snap_viewer *v;

	if (!snap_view_pay(row, user, SNAP_LARGE_FRAMES, force))
		return NULL;
	v = snap_viewer_add(row, user);
	if (!v)
		snap_user_uncharge(user, SNAP_LARGE_FRAMES);
	return v;
}

static bool snap_large_view(const struct snap_row *row, struct snap_user *user, bool force)
{
	struct snap_viewer *v = snap_viewer_find(row, user) ?:
				snap_viewer_pay(row, user, force);

	if (!v)
		return false;
	v->pages += row->n;
	if (!row->large->views)
		snap_frames_uncharge(row->sf, row->large, SNAP_LARGE_FRAMES);
	row->large->views += row->n;
	return true;
}

static bool snap_small_view(const struct snap_row *row, struct snap_user *user, bool force)
{
	struct snap_frame *fr = snap_row_frames(row), *end = fr + row->n;

	if (!snap_view_pay(row, user, row->n, force))
		return false;
	for (; fr < end; fr++)
		if (!fr->views++)
			snap_frames_uncharge(row->sf, fr, 1);
	return true;
}

static bool snap_row_view(const struct snap_row *row, struct snap_user *user, bool force)
{
	if (!row->sf->sd || READ_ONCE(row->sf->sd->gone))
		return false;
	if (row->large ? !snap_large_view(row, user, force) :
			 !snap_small_view(row, user, force))
		return false;
	snap_row_get(row);
	return true;
}

bool snap_frames_view(struct page *const *page, u32 n, struct snap_user *user, bool force)
{
	struct snap_row row;
	u32 i;

	for (i = 0; i < n; i += row.n) {
		bool ok;

		snap_row_begin(&row, page + i, n - i);
		ok = snap_row_view(&row, user, force);
		snap_row_end(&row);
		if (!ok) {
			snap_frames_unview(page, i, user);
			return false;
		}
	}
	return true;
}

int snap_frames_part(struct page **own, u32 n)
{
	struct snap_row row;
	int err = 0;
	u32 i;

	for (i = 0; !err && i < n; i += row.n) {
		snap_row_begin(&row, own + i, n - i);
		err = row.whole ? snap_row_part(&row, own + i) : 0;
		snap_row_end(&row);
	}
	return err;
}

/* ---- Fewer views -------------------------------------------------------------- */

/* Each returns how many frames the user pays for no longer. */
static u32 snap_large_unview(const struct snap_row *row, const struct snap_user *user)
{
	struct snap_viewer *v = snap_viewer_find(row, user);

	row->large->views -= row->n;
	if (!row->large->views)
		snap_frames_charge(row->sf, row->large, SNAP_LARGE_FRAMES);
	v->pages -= row->n;
	if (v->pages)
		return 0;
	snap_viewer_remove(row, v);
	return SNAP_LARGE_FRAMES;
}

static u32 snap_small_unview(const struct snap_row *row)
{
	struct snap_frame *fr = snap_row_frames(row), *end = fr + row->n;

	for (; fr < end; fr++)
		if (!--fr->views)
			snap_frames_charge(row->sf, fr, 1);
	return row->n;
}

void snap_frames_unview(struct page *const *own, u32 n, struct snap_user *user)
{
	struct snap_row row;
	u32 i, frames = 0;

	for (i = 0; i < n; i += row.n) {
		snap_row_begin(&row, own + i, n - i);
		frames += row.large ? snap_large_unview(&row, user) :
				      snap_small_unview(&row);
		snap_row_put(&row, row.n);
		snap_row_end(&row);
	}
	snap_user_uncharge(user, frames);
}
