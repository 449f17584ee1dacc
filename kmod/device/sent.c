// SPDX-License-Identifier: GPL-2.0-only
/* Frames in views that are sent; see sent.h. */

#include <linux/mm.h>

#include "device/dev.h"
#include "device/frame.h"
#include "device/pool.h"
#include "device/row.h"
#include "device/sent.h"
#include "device/user.h"
#include "snap.h"

/*
 * Whoever has it in a view answers for it now, and nobody else: no account changes
 * before the last view is gone.
 */
static void snap_frame_own(struct snap_frame *fr, struct snap_user *user)
{
	if (!fr->received)
		return;
	fr->received = 0;
	snap_user_hold(user, 1);
	fr->user = user;
}

/* May frames of the pool leave by it, or by any? */
static int snap_frames_may_leave(const struct snap_frames *sf,
				 const struct net_device *netdev)
{
	if (!sf->sd || READ_ONCE(sf->sd->gone))
		return -1 - SNAP_COPY_DEVICE;
	if (netdev && netdev != sf->sd->netdev)
		return -1 - SNAP_COPY_ROUTE;
	return 0;
}

static int snap_row_send(const struct snap_row *row, struct snap_user *user,
			 const struct net_device *netdev)
{
	int why = snap_frames_may_leave(row->sf, netdev);
	u32 i;

	if (why)
		return why;
	if (row->large)
		snap_frame_own(row->large, user);
	else
		for (i = 0; i < row->n; i++)
			snap_frame_own(snap_row_frames(row) + i, user);
	return 0;
}

int snap_frames_send(struct page *const *page, u32 n, struct snap_user *user,
		     const struct net_device *netdev)
{
	struct snap_row row;
	int why = 0;
	u32 i;

	for (i = 0; !why && i < n; i += row.n) {
		snap_row_begin(&row, page + i, n - i);
		why = snap_row_send(&row, user, netdev);
		snap_row_end(&row);
	}
	return why;
}
