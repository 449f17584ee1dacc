/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames in the fragments of a packet replaced by ordinary pages with the same bytes.
 *
 * A piece of a large frame takes a page for each of the frames that it is in, as long
 * as a packet may have so many fragments, and else pages in a row, for which there may
 * be no memory.  So a packet takes MAX_SKB_FRAGS pages, or rows of them, at most.
 */
#ifndef SNAP_FRAGS_H
#define SNAP_FRAGS_H

#include <linux/skbuff.h>
#include <linux/types.h>

/**
 * struct snap_frags - what the fragments of a packet are to be
 * @replaces: is that one of those to replace?
 * @get: a page with room for that many bytes, compound if they are more than PAGE_SIZE;
 *	NULL: no memory
 * @arg: for both
 * @frag: the new fragments
 * @n: how many
 * @bytes: copied for them
 * @copied: which of them are copies
 */
struct snap_frags {
	bool (*replaces)(const skb_frag_t *frag, void *arg);
	struct page *(*get)(size_t bytes, void *arg);
	void *arg;
	skb_frag_t frag[MAX_SKB_FRAGS];
	unsigned int n;
	size_t bytes;
	DECLARE_BITMAP(copied, MAX_SKB_FRAGS);
};

/*
 * Copies; the packet is as it was.  False: no memory, and who calls has the copies that
 * there are.
 */
bool snap_frags_copy(struct snap_frags *fs, const struct sk_buff *skb);
/* The packet, whose fragments no clone shares, has the copies. */
void snap_frags_swap(struct snap_frags *fs, struct sk_buff *skb);

#endif /* SNAP_FRAGS_H */
