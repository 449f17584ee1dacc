// SPDX-License-Identifier: GPL-2.0-only
/* Copies in the place of frames; see frags.h. */

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/skbuff.h>

#include "net/frags.h"

/* The next fragment: @len bytes, @at bytes into a page. */
static bool snap_frags_piece(struct snap_frags *fs, const void *from, size_t at,
			     size_t len)
{
	struct page *page = fs->get(at + len, fs->arg);

	if (!page)
		return false;
	memcpy(page_address(page) + at, from, len);
	__set_bit(fs->n, fs->copied);
	skb_frag_fill_page_desc(&fs->frag[fs->n++], page, at, len);
	fs->bytes += len;
	return true;
}

/* One that @left others follow, which take a place each at least. */
static bool snap_frags_one(struct snap_frags *fs, const skb_frag_t *frag,
			   unsigned int left)
{
	size_t at = skb_frag_off(frag) % PAGE_SIZE, len = skb_frag_size(frag), n;
	const void *from = skb_frag_address(frag);
	bool split = fs->n + DIV_ROUND_UP(at + len, PAGE_SIZE) + left <= MAX_SKB_FRAGS;

	for (; len; from += n, len -= n, at = 0) {
		n = split ? min(len, PAGE_SIZE - at) : len;
		if (!snap_frags_piece(fs, from, at, n))
			return false;
	}
	return true;
}

bool snap_frags_copy(struct snap_frags *fs, const struct sk_buff *skb)
{
	const skb_frag_t *frag = skb_shinfo(skb)->frags;
	unsigned int left = skb_shinfo(skb)->nr_frags;

	fs->n = 0;
	fs->bytes = 0;
	bitmap_zero(fs->copied, MAX_SKB_FRAGS);
	for (; left; frag++) {
		left--;
		if (!fs->replaces(frag, fs->arg))
			fs->frag[fs->n++] = *frag;
		else if (!snap_frags_one(fs, frag, left))
			return false;
	}
	return true;
}

void snap_frags_swap(struct snap_frags *fs, struct sk_buff *skb)
{
	struct skb_shared_info *info = skb_shinfo(skb);
	struct page *frame[MAX_SKB_FRAGS];
	unsigned int i, n = 0;

	for (i = 0; i < info->nr_frags; i++)
		if (fs->replaces(&info->frags[i], fs->arg))
			frame[n++] = skb_frag_page(&info->frags[i]);
	memcpy(info->frags, fs->frag, fs->n * sizeof(fs->frag[0]));
	info->nr_frags = fs->n;
	while (n--)
		put_page(frame[n]);
}
