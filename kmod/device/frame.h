/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pool's frames as pages.
 *
 * A frame is in one of four states:
 *
 *   IDLE  the device has it; its page rests, without a reference
 *   OUT   the guest holds it `holds` times; the page's references count its
 *         users: skbs, pipes, this driver
 *   FREE  its last page reference was dropped, the page rests; the holds go back
 *         to the device in the next batch
 *   PART  the large frame that it is in is OUT, and views that can be pinned have its
 *         bytes: its page has the references, all of which keep one on that of the large
 *         frame
 *
 * A large frame is in one of the first three, with a page of its own size for the same
 * memory.  Nobody can pin such pages by a process's mapping: the core takes the folio
 * for a single page when somebody pins it for long.  For that there are PARTs.
 *
 * A frame that is OUT is on one account: that of the user whose capture it is, or
 * the pool's own for what was received; or on that of who has it in a view (viewed.h),
 * or has sent on from there what was received (sent.h).
 */
#ifndef SNAP_FRAME_H
#define SNAP_FRAME_H

#include <linux/mm.h>
#include <linux/types.h>

struct snap_dev;
struct snap_frames;
struct snap_user;

/*
 * Are there still pages of a pool in that memory?  If no device is bound that has it,
 * orphans of an earlier one keep them, or they are being freed: snap_pci_retry()
 * follows.  May sleep.
 */
bool snap_frames_orphaned_in(phys_addr_t start, u64 length);

/**
 * snap_frames_create() - make pages of the pool
 * @sd: device whose registers and slabs are mapped
 * @start: physical address of frame 0
 * @large: physical address of frame 0 in the large pool, or 0: it is done without if
 *	there is no memory for that
 * @count: number of frames
 *
 * Return: the pool, or an ERR_PTR.
 */
struct snap_frames *snap_frames_create(struct snap_dev *sd, phys_addr_t start,
				       phys_addr_t large, u32 count);

/**
 * snap_frames_destroy() - give the pool up
 * @sf: pool, or NULL
 *
 * Frames that are OUT stay valid pages, orphaned, until the last of them is
 * dropped; then the rest is freed.  The device is not used after the return.
 *
 * Return: number of frames that were out.
 */
u32 snap_frames_destroy(struct snap_frames *sf);

u32 snap_frames_count(const struct snap_frames *sf);
/* Can it take large frames?  Not if there was no memory for their pages. */
bool snap_frames_have_large(const struct snap_frames *sf);
u32 snap_frames_out(struct snap_frames *sf);

/* Is this one of the pool's pages, and how many bytes into it? */
bool snap_frames_owns(const struct snap_frames *sf, const struct page *page);
bool snap_frames_find(const struct snap_frames *sf, const struct page *page, u64 *offset);

/**
 * snap_frames_adopt() - take frames that the device just gave
 * @sf: pool
 * @frame: their numbers; each carries one hold
 * @n: how many
 * @user: whom to charge, or NULL
 * @page: filled with the pages; the caller owns one reference on each
 *
 * A frame that is on its way back at this moment cannot be adopted, nor can
 * one when rmmod has begun: its page is NULL, its hold is returned, and the
 * result says so.
 *
 * Context: any.
 * Return: 0; EAGAIN if some pages are NULL; EIO for numbers outside the pool, or of
 * large frames.
 */
int snap_frames_adopt(struct snap_frames *sf, const u32 *frame, u32 n,
		      struct snap_user *user, struct page **page);
/* The same for one large frame. */
int snap_frames_adopt_large(struct snap_frames *sf, u32 frame, struct snap_user *user,
			    struct page **page);
/* The same for frames of a received packet, or a large one, which is alone then. */
int snap_frames_adopt_received(struct snap_frames *sf, const u32 *frame, u32 n,
			       struct page **page);

/* How many frames received packets keep that no view answers for. */
u32 snap_frames_received(const struct snap_frames *sf);

/* Is this a frame, of whatever pool?  The caller has a reference on the page. */
bool snap_frame_is(const struct page *page);

/*
 * What the core does when the last reference of an OUT page is dropped, for one that
 * has none and that the core does not tell of.
 */
void snap_frames_free_untold(struct snap_frames *sf, struct page *page);

/* Return what is FREE to the device now.  Process or softirq, interrupts on. */
void snap_frames_flush(struct snap_frames *sf);
/* The same for want of frames: those, too, that packets have which nobody needs. */
void snap_frames_reclaim(struct snap_frames *sf);

int snap_frames_init(void);
void snap_frames_exit(void);

#endif /* SNAP_FRAME_H */
