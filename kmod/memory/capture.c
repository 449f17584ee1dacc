// SPDX-License-Identifier: GPL-2.0-only
/* Captures as pages; see capture.h. */

#include <linux/mm.h>
#include <linux/page_ref.h>

#include "device/cmd.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/user.h"
#include "memory/capture.h"

/* How many numbers, or an errno. */
static int snap_capture_take(struct snap_dev *sd, u32 handle, u64 offset, u32 length,
			     bool large, u32 *frame, u32 npages)
{
	int n = snap_cmd_capture(sd, handle, offset, length, large, frame, npages);

	if (n == -ENOSPC) {
		/* what nobody needs may be enough */
		snap_frames_reclaim(sd->frames);
		n = snap_cmd_capture(sd, handle, offset, length, large, frame, npages);
	}
	return n;
}

/* Its pages follow each other. */
static int snap_capture_adopt_large(struct snap_dev *sd, u32 frame,
				    struct snap_user *user, struct page **page, u32 npages)
{
	int err = snap_frames_adopt_large(sd->frames, frame, user, page);
	u32 i;

	if (err)
		return err;
	page_ref_add(page[0], npages - 1);
	for (i = 1; i < npages; i++)
		page[i] = page[0] + i;
	return 0;
}

static int snap_capture_adopt(struct snap_dev *sd, u32 handle, u64 offset, u32 length,
			      bool large, struct snap_user *user, struct page **page,
			      u32 npages)
{
	u32 frame[SNAP_CAPTURE_PAGES];
	int n, err;
	u32 i;

	n = snap_capture_take(sd, handle, offset, length, large, frame, npages);
	if (n < 0)
		return n;
	/* how many came tells, whatever their bits say */
	if (n < (int)npages)
		return snap_capture_adopt_large(sd, frame[0], user, page, npages);
	err = snap_frames_adopt(sd->frames, frame, npages, user, page);
	if (err == -EAGAIN)
		for (i = 0; i < npages; i++)
			if (page[i])
				put_page(page[i]);
	return err;
}

/* Would a large frame be used, and by more than half? */
static bool snap_capture_fits_large(const struct snap_dev *sd, u32 npages)
{
	return sd->features & SNAP_F_LARGE_FRAMES && npages > SNAP_LARGE_FRAMES / 2 &&
	       npages <= SNAP_LARGE_FRAMES;
}

int snap_capture(struct snap_dev *sd, u32 handle, u64 offset, u32 length, bool large,
		 struct snap_user *user, struct page **page, u32 npages)
{
	u32 charged = npages;
	int err;

	large = large && snap_capture_fits_large(sd, npages);
	if (!user)
		return snap_capture_adopt(sd, handle, offset, length, large, NULL, page,
					  npages);
	/* the quota covers the pages before there are frames to charge */
	if (large && snap_user_charge(user, sd, SNAP_LARGE_FRAMES))
		charged = SNAP_LARGE_FRAMES;
	else if (snap_user_charge(user, sd, npages))
		large = false;
	else
		return -EDQUOT;
	err = snap_capture_adopt(sd, handle, offset, length, large, user, page, npages);
	snap_user_uncharge(user, charged);
	return err;
}
