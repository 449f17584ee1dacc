// SPDX-License-Identifier: GPL-2.0-only
/* The life of one frame; see selfcheck.h. */

#include <linux/mm.h>

#include "device/cmd.h"
#include "device/cmd_memory.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/selfcheck.h"

/* What is wrong with a frame of the device that has none out; NULL: nothing. */
static const char *snap_selfcheck_frame(struct snap_dev *sd, u32 frame)
{
	u64 held = snap_counter(sd, SNAP_CTR_GUEST_FRAMES);
	struct page *page;

	if (held != 1)
		return "the device gave a frame and does not count it";
	if (snap_frames_adopt(sd->frames, &frame, 1, NULL, &page))
		return "a frame of the device cannot be taken";
	if (!snap_frames_owns(sd->frames, page) || page_ref_count(page) != 1 ||
	    snap_frames_out(sd->frames) != 1) {
		put_page(page);
		return "a frame is not a page with one reference";
	}
	/* the last reference: the core calls back, here and now */
	put_page(page);
	if (snap_frames_out(sd->frames)) {
		/* nobody else knows the page: with no reference it is ours */
		if (!page_ref_count(page))
			snap_frames_free_untold(sd->frames, page);
		return "this kernel does not tell of pages that nobody uses any more";
	}
	if (page_ref_count(page))
		return "a page has references that nobody took";
	snap_frames_flush(sd->frames);
	if (snap_counter(sd, SNAP_CTR_GUEST_FRAMES))
		return "a frame did not go back to the device";
	return NULL;
}

static const char *snap_selfcheck_region(struct snap_dev *sd)
{
	struct snap_region_spec spec = {
		.npages = 1,
		.quota = SNAP_QUOTA_NONE,
	};
	u32 region, window_page, frame;
	const char *wrong;

	if (snap_cmd_region_create(sd, &spec, &region, &window_page))
		return "the device makes no region";
	if (snap_cmd_capture(sd, region, 0, PAGE_SIZE, false, &frame, 1) < 0)
		wrong = "the device captures nothing";
	else
		wrong = snap_selfcheck_frame(sd, frame);
	if (snap_cmd_region_destroy(sd, region) ||
	    snap_counter(sd, SNAP_CTR_REGION_FRAMES))
		return wrong ?: "a region keeps frames";
	return wrong;
}

int snap_selfcheck(struct snap_dev *sd)
{
	const char *wrong = snap_selfcheck_region(sd);

	if (!wrong)
		return 0;
	if (READ_ONCE(sd->gone))
		wrong = "the device does not answer";
	dev_err(&sd->pdev->dev, "self-check: %s: the device is refused\n", wrong);
	return -EIO;
}
