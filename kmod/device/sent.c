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

static int snap_frames_send_one(const struct page *page, struct snap_user *user,
				const struct net_device *netdev)
{
	struct snap_frames *sf = snap_pages_of(page)->sf;
	spinlock_t *lock = snap_frame_lock_of(sf, page_to_pfn(page) -
					      snap_pages_of(page)->first_pfn);
	struct snap_frame *fr;
	unsigned long flags;
	int why = 0;
	u32 weight;

	spin_lock_irqsave(lock, flags);
	fr = snap_frames_answering(sf, page, &weight);
	if (!sf->sd || READ_ONCE(sf->sd->gone))
		why = -1 - SNAP_COPY_DEVICE;
	else if (netdev && netdev != sf->sd->netdev)
		why = -1 - SNAP_COPY_ROUTE;
	else
		snap_frame_own(fr, user);
	spin_unlock_irqrestore(lock, flags);
	return why;
}

int snap_frames_send(struct page *const *page, u32 n, struct snap_user *user,
		     const struct net_device *netdev)
{
	int why = 0;
	u32 i;

	for (i = 0; !why && i < n; i++)
		why = snap_frames_send_one(page[i], user, netdev);
	return why;
}
