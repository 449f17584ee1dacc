// SPDX-License-Identifier: GPL-2.0-only
/* A message taken apart: what is mapped, what is copied; see view.h. */

#include <linux/skbuff.h>
#include <linux/uio.h>

#include "device/frame.h"
#include "socket/view.h"

/*
 * May a fragment be seen with the whole pages around it?  Frames never change;
 * but a frame may have the bytes of other messages as well, which are not this
 * receiver's to see: nothing but zeroes may be beside the fragment.  Returns 0, or
 * minus one minus an enum snap_recv_reason.
 */
static int snap_view_visible(const skb_frag_t *frag)
{
	const struct page *page = skb_frag_page(frag);
	size_t offset = skb_frag_off(frag), end = offset + skb_frag_size(frag);
	const u8 *p;

	if (!page || !snap_frame_is(page) || end > page_size((struct page *)page))
		return -1 - SNAP_RECV_NOT_FRAMES;
	p = page_address(page);
	if (memchr_inv(p + round_down(offset, PAGE_SIZE), 0, offset % PAGE_SIZE) ||
	    memchr_inv(p + end, 0, -end % PAGE_SIZE))
		return -1 - SNAP_RECV_SHARED;
	return 0;
}

static int snap_view_copy(struct snap_view_take *take, const struct sk_buff *skb,
			  int offset, size_t length)
{
	int err;

	if (!length)
		return 0;
	err = skb_copy_datagram_iter(skb, offset, &take->msg->msg_iter, length);
	if (!err)
		take->at += length;
	return err;
}

/* The next part of the message is in the view, if it can be; as above. */
static int snap_view_add(struct snap_view_take *take,
			 const struct snap_view_run *run, size_t at)
{
	struct snap_view_part *part = &take->part[take->n];
	int err;

	if (run->length < take->copybreak)
		return -1 - SNAP_RECV_SHORT;
	if (take->n == take->room)
		return -1 - SNAP_RECV_CONTROL;
	err = snap_view_place(take->view, take->sk, run, &part->offset);
	if (err)
		return err;
	part->at = at;
	part->length = run->length;
	take->n++;
	take->got.viewed += run->length;
	return 0;
}

/* Does a run go on with bytes at @offset of the next page? */
static bool snap_view_goes_on(const struct snap_view_run *run, size_t offset)
{
	return run->npages && run->npages < ARRAY_SIZE(run->page) && !offset &&
	       !((run->offset + run->length) % PAGE_SIZE);
}

/*
 * It goes on, or begins, at @offset of pages that are behind each other: with @length
 * bytes, or as many as it has room for.  Returns how many.
 */
static size_t snap_view_grow(struct snap_view_run *run, struct page *page,
			     size_t offset, size_t length)
{
	size_t n = min(DIV_ROUND_UP(offset + length, PAGE_SIZE),
		       ARRAY_SIZE(run->page) - run->npages);

	if (!run->npages)
		run->offset = offset;
	length = min(length, n * PAGE_SIZE - offset);
	run->length += length;
	while (n--)
		run->page[run->npages++] = page++;
	return length;
}

/**
 * struct snap_view_packet - a packet, or a part of one, while it is taken apart
 * @skb: packet
 * @offset: bytes into it that are done
 * @run: what comes next after @gap bytes, and may grow
 * @gap: bytes from @offset to the run
 */
struct snap_view_packet {
	const struct sk_buff *skb;
	int offset;
	struct snap_view_run run;
	size_t gap;
};

/* The run is complete: into the view with it, and what is before it by copy. */
static int snap_view_flush(struct snap_view_take *take,
			   struct snap_view_packet *p)
{
	struct snap_view_run *run = &p->run;
	int err, why;

	if (!run->npages)
		return 0;
	why = snap_view_add(take, run, take->at + p->gap);
	if (why) {
		p->gap += run->length;
		take->got.copied[-1 - why] += run->length;
	} else {
		err = snap_view_copy(take, p->skb, p->offset, p->gap);
		if (err)
			return err;
		/* the buffers have room for what is in the view, and keep it */
		iov_iter_advance(&take->msg->msg_iter, run->length);
		take->at += run->length;
		p->offset += p->gap + run->length;
		p->gap = 0;
	}
	run->npages = 0;
	run->length = 0;
	return 0;
}

/* @length bytes follow that are to be copied. */
static int snap_view_skip(struct snap_view_take *take, struct snap_view_packet *p,
			  enum snap_recv_reason why, size_t length)
{
	int err = snap_view_flush(take, p);

	p->gap += length;
	take->got.copied[why] += length;
	return err;
}

/* @length bytes follow, in a fragment behind @skip others. */
static int snap_view_frag(struct snap_view_take *take, struct snap_view_packet *p,
			  const skb_frag_t *frag, size_t skip, size_t length)
{
	size_t n, offset = skb_frag_off(frag) + skip;
	int err, why = snap_view_visible(frag);

	if (why)
		return snap_view_skip(take, p, -1 - why, length);
	for (; length; offset += n, length -= n) {
		if (!snap_view_goes_on(&p->run, offset % PAGE_SIZE)) {
			err = snap_view_flush(take, p);
			if (err)
				return err;
		}
		n = snap_view_grow(&p->run, skb_frag_page(frag) + offset / PAGE_SIZE,
				   offset % PAGE_SIZE, length);
	}
	return 0;
}

/* Of the packet's bytes from @begin to @end, those of @skb, which has them from @from on. */
static int snap_view_skb(struct snap_view_take *take, struct snap_view_packet *p,
			 const struct sk_buff *skb, size_t from, size_t begin, size_t end)
{
	size_t to = from + skb_headlen(skb), first = max(from, begin), last = min(to, end);
	const struct skb_shared_info *shared = skb_shinfo(skb);
	int i, err = 0;

	if (first < last)
		err = snap_view_skip(take, p, SNAP_RECV_NOT_FRAMES, last - first);
	for (i = 0; !err && i < shared->nr_frags && to < end; i++) {
		const skb_frag_t *frag = &shared->frags[i];

		from = to;
		to = from + skb_frag_size(frag);
		first = max(from, begin);
		last = min(to, end);
		if (first < last)
			err = snap_view_frag(take, p, frag, first - from,
					     last - first);
	}
	return err;
}

/*
 * Packets that were put together are behind each other, in the first one's list.  What
 * those have in lists of their own is copied: hardly ever there is any.
 */
static int snap_view_packet(struct snap_view_take *take,
			    struct snap_view_packet *p, size_t length)
{
	size_t begin = p->offset, end = begin + length, from = skb_pagelen(p->skb);
	int err = snap_view_skb(take, p, p->skb, 0, begin, end);
	const struct sk_buff *part;

	skb_walk_frags(p->skb, part) {
		size_t deep = max(from + skb_pagelen(part), begin);
		size_t last = min(from + part->len, end);

		if (!err && from < end)
			err = snap_view_skb(take, p, part, from, begin, end);
		if (!err && deep < last)
			err = snap_view_skip(take, p, SNAP_RECV_SCATTERED, last - deep);
		from += part->len;
	}
	if (!err)
		err = snap_view_flush(take, p);
	return err ?: snap_view_copy(take, p->skb, p->offset, end - p->offset);
}

/* Release what is in the view behind the first @n parts. */
static void snap_view_drop(struct snap_view_take *take, unsigned int n)
{
	while (take->n > n) {
		const struct snap_view_part *part = &take->part[--take->n];

		take->got.viewed -= part->length;
		snap_view_put(take->view, part->offset, part->length);
	}
}

void snap_view_take_back(struct snap_view_take *take)
{
	snap_view_drop(take, 0);
}

int snap_view_take(struct snap_view_take *take, const struct sk_buff *skb,
		   int offset, size_t length)
{
	struct snap_view_packet p = { .skb = skb, .offset = offset };
	struct iov_iter iter = take->msg->msg_iter;
	struct snap_received got = take->got;
	unsigned int n = take->n;
	size_t at = take->at;
	int err = snap_view_packet(take, &p, length);

	if (err) {
		snap_view_drop(take, n);
		take->msg->msg_iter = iter;
		take->got = got;
		take->at = at;
	}
	return err;
}
