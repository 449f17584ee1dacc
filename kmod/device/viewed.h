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
 *
 * The views have a reference of their own on each page then.
 *
 * Context: any.
 * Return: false, and nothing has changed, if @user has its share already, a device
 * is gone, or there is no memory.
 */
bool snap_frames_view(struct page *const *page, u32 n, struct snap_user *user, bool force);
/* The views' references go as well; not all that came together need go together. */
void snap_frames_unview(struct page *const *own, u32 n, struct snap_user *user);

/**
 * snap_frames_part() - pages in views that somebody may pin
 * @own: the views' pages; those of a large frame are replaced by PARTs, which are of
 *	one frame each, have the same bytes and keep it
 * @n: how many
 *
 * Context: any.
 * Return: 0; or not all are: -EBUSY if a PART is on its way back just now; -EIO if there
 * cannot be one.
 */
int snap_frames_part(struct page **own, u32 n);

#endif /* SNAP_VIEWED_H */
