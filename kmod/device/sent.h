/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames in views that are sent: nobody copies them, for they never change. */
#ifndef SNAP_SENT_H
#define SNAP_SENT_H

#include <linux/types.h>

struct net_device;
struct page;
struct snap_user;

/**
 * snap_frames_send() - frames in a view are to be sent
 * @page: frames, of whatever pools; a view has them and keeps them meanwhile
 * @n: how many
 * @user: of the view.  What was received is on his account from the last view on, for
 *	he decides how long it is under way: until it is home; also if in the end
 *	it is copied, for other frames of it
 * @netdev: the device that they will leave by; NULL: any will do
 *
 * Context: any.
 * Return: 0, or minus one minus an enum snap_copy_reason.
 */
int snap_frames_send(struct page *const *page, u32 n, struct snap_user *user,
		     const struct net_device *netdev);

#endif /* SNAP_SENT_H */
