/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames in views.
 *
 * As long as a frame is in views, those who have the views answer for it, each for each
 * page, and not the account that it came from.  On that it is again from the last view
 * on; or if it was received and they have sent it, on that of who did.  A page of a large
 * frame keeps all of it: each user who has one answers for all of it, once.
 */
#ifndef SNAP_VIEWED_H
#define SNAP_VIEWED_H

#include <linux/types.h>

struct page;
struct snap_user;

/**
 * snap_frames_view() - a view is to have frames, all of them or none
 * @page: frames, of whatever pools; the caller has a reference on each
 * @n: how many; those in a row in the pool and here cost little more than one
 * @user: charged for them, until snap_frames_unview(); for a large frame once.  Whoever
 *	has the views keeps a reference on it
 * @force: whatever its quota
 * @own: filled, if all goes well: pages of one frame each with the same bytes, and a
 *	reference on each, which is the view's; of a large frame the PARTs, which keep it
 *
 * Context: any.
 * Return: false, and nothing has changed, if @user has its share already, a device
 * is gone, there is no memory, or a PART is on its way back just now.
 */
bool snap_frames_view(struct page *const *page, u32 n, struct snap_user *user, bool force,
		      struct page **own);
/* The views' references go as well; not all that came together need go together. */
void snap_frames_unview(struct page *const *own, u32 n, struct snap_user *user);

#endif /* SNAP_VIEWED_H */
