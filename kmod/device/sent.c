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

static int snap_frames_send_one(struct snap_frames *sf, const struct page *page,
				struct snap_user *user, const struct net_device *netdev)
{
	struct snap_frame *fr;
	u32 weight;

	if (!sf->sd || READ_ONCE(sf->sd->gone))
		return -1 - SNAP_COPY_DEVICE;
	if (netdev && netdev != sf->sd->netdev)
		return -1 - SNAP_COPY_ROUTE;
	fr = snap_frames_answering(sf, page, &weight);
	snap_frame_own(fr, user);
	return 0;
}

int snap_frames_send(struct page *const *page, u32 n, struct snap_user *user,
		     const struct net_device *netdev)
{
	u32 i, end;
	int why = 0;

	for (i = 0; !why && i < n; i = end) {
		struct snap_frames *sf = snap_frames_of(page[i]);
		spinlock_t *lock = snap_frame_lock_of(sf, snap_frames_number(page[i]));
		unsigned long flags;

		end = i + snap_frames_same_row(sf, page + i, n - i);
		spin_lock_irqsave(lock, flags);
		for (; !why && i < end; i++)
			why = snap_frames_send_one(sf, page[i], user, netdev);
		spin_unlock_irqrestore(lock, flags);
	}
	return why;
}
