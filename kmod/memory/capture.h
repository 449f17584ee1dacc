/* SPDX-License-Identifier: GPL-2.0-only */
/* Captures of regions and snapshots, as pages. */
#ifndef SNAP_CAPTURE_H
#define SNAP_CAPTURE_H

#include <linux/types.h>

struct page;
struct snap_dev;
struct snap_user;

/* At most so many pages at once. */
#define SNAP_CAPTURE_PAGES	64

/**
 * snap_capture() - the frames of a range at this instant, as pages
 * @sd: device; its life is held for reading, and it is not gone
 * @handle: of a region or snapshot
 * @offset: bytes
 * @length: bytes
 * @large: the pages may be those of a large frame, each of which keeps all of it: they
 *	must not be mapped (frame.h)
 * @user: whom to charge for frames in flight, or NULL
 * @page: filled; the caller owns a reference on each
 * @npages: how many the range touches, at most SNAP_CAPTURE_PAGES
 *
 * Context: process.
 * Return: 0; EDQUOT: the user has too many frames in flight; ENOSPC: no free
 * frames for a copy; EAGAIN: a frame is just on its way back, try again; EIO.
 * Nothing is held after an error.
 */
int snap_capture(struct snap_dev *sd, u32 handle, u64 offset, u32 length, bool large,
		 struct snap_user *user, struct page **page, u32 npages);

#endif /* SNAP_CAPTURE_H */
