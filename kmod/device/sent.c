// SPDX-License-Identifier: GPL-2.0-only
/* Frames in views that are sent; see sent.h. */

#include <linux/mm.h>

#include "device/dev.h"
#include "device/frame.h"
#include "device/pool.h"
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

static int snap_frames_send_row(struct snap_frames *sf, struct page *const *page, u32 n,
				struct snap_user *user, const struct net_device *netdev)
{
	spinlock_t *lock = snap_frame_lock_of(sf, snap_frames_number(page[0]));
	unsigned long flags;
	u32 i, weight;
	int why;

	spin_lock_irqsave(lock, flags);
	why = snap_frames_may_leave(sf, netdev);
	for (i = 0; !why && i < n; i++)
		snap_frame_own(snap_frames_answering(sf, page[i], &weight), user);
	spin_unlock_irqrestore(lock, flags);
	return why;
}

int snap_frames_send(struct page *const *page, u32 n, struct snap_user *user,
		     const struct net_device *netdev)
{
	u32 i, row;
	int why = 0;

	for (i = 0; !why && i < n; i += row) {
		struct snap_frames *sf = snap_frames_of(page[i]);

		row = snap_frames_same_row(sf, page + i, n - i);
		why = snap_frames_send_row(sf, page + i, row, user, netdev);
	}
	return why;
}
