// SPDX-License-Identifier: GPL-2.0-only
/* Captures as pages; see capture.h. */

#include <linux/mm.h>

#include "device/cmd.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/user.h"
#include "memory/capture.h"

static int snap_capture_adopt(struct snap_dev *sd, u32 handle, u64 offset,
			      u32 length, struct snap_user *user,
			      struct page **page, u32 npages)
{
	u32 frame[SNAP_CAPTURE_PAGES];
	int err;
	u32 i;

	err = snap_cmd_capture(sd, handle, offset, length, frame, npages);
	if (err == -ENOSPC) {
		/* what nobody needs may be enough */
		snap_frames_reclaim(sd->frames);
		err = snap_cmd_capture(sd, handle, offset, length, frame, npages);
	}
	if (err)
		return err;
	err = snap_frames_adopt(sd->frames, frame, npages, user, page);
	if (err == -EAGAIN)
		for (i = 0; i < npages; i++)
			if (page[i])
				put_page(page[i]);
	return err;
}

int snap_capture(struct snap_dev *sd, u32 handle, u64 offset, u32 length,
		 struct snap_user *user, struct page **page, u32 npages)
{
	int err;

	if (!user)
		return snap_capture_adopt(sd, handle, offset, length, NULL, page,
					  npages);
	/* the quota covers the pages before there are frames to charge */
	if (!snap_user_charge(user, sd, npages))
		return -EDQUOT;
	err = snap_capture_adopt(sd, handle, offset, length, user, page, npages);
	snap_user_uncharge(user, npages);
	return err;
}
