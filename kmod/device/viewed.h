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
 * @page: frames, of whatever pools; the caller has a reference on each, and keeps it
 *	for the view
 * @n: how many; those in a row in the pool and here cost little more than one
 * @user: charged for them, until snap_frames_unview(); for a large frame once.  Whoever
 *	has the views keeps a reference on it
 * @force: whatever its quota
 *
 * Context: any.
 * Return: false, and nothing has changed, if @user has its share already, a device
 * is gone, or there is no memory.
 */
bool snap_frames_view(struct page *const *page, u32 n, struct snap_user *user, bool force);
/*
 * A reference on the page of one frame that has the bytes of @page: on that, or if it is
 * of a large frame on the PART, which keeps it.  NULL: that is on its way back just now.
 */
struct page *snap_frames_get_small(struct page *page);
/* Before the views' references go; not all that came together need go together. */
void snap_frames_unview(struct page *const *page, u32 n, struct snap_user *user);

#endif /* SNAP_VIEWED_H */
