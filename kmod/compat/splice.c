// SPDX-License-Identifier: GPL-2.0-only
/* Pages that are spliced into packets; see splice.h. */

#include <linux/bvec.h>
#include <linux/gfp.h>
#include <linux/skbuff.h>
#include <linux/uio.h>
#include <net/checksum.h>

#include "compat/probed.h"
#include "compat/splice.h"

#ifdef SNAP_HAVE_SPLICE_GFP	/* before 6.17: how to allocate, which it does not */
#define skb_splice_from_iter(skb, iter, max)				\
	skb_splice_from_iter(skb, iter, max, GFP_KERNEL)
#endif

static bool snap_splice_right __ro_after_init;

bool snap_splice_sums_odd(void)
{
	return snap_splice_right;
}

/* One byte of the page and two more: is their sum that of the packet? */
static int __init snap_splice_try(struct sk_buff *skb, struct page *page)
{
	struct bio_vec bvec[2];
	struct iov_iter iter;
	ssize_t n;

	memcpy(page_address(page), "\1\0\2\3", 4);
	bvec_set_page(&bvec[0], page, 1, 0);
	bvec_set_page(&bvec[1], page, 2, 2);
	iov_iter_bvec(&iter, ITER_SOURCE, bvec, 2, 3);
	skb->ip_summed = CHECKSUM_NONE;
	skb->csum = 0;
	n = skb_splice_from_iter(skb, &iter, 3);
	if (n != 3)
		return n < 0 ? n : -EIO;
	snap_splice_right = csum_fold(skb->csum) ==
			    csum_fold(skb_checksum(skb, 0, 3, 0));
	return 0;
}

int __init snap_splice_init(void)
{
	struct sk_buff *skb = alloc_skb(0, GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL);
	int err = skb && page ? snap_splice_try(skb, page) : -ENOMEM;

	kfree_skb(skb);
	if (page)
		put_page(page);
	if (!err && !snap_splice_right)
		pr_notice("snap: this kernel gets checksums of spliced pages wrong: datagrams that it sums are copied if a page begins at an odd byte\n");
	return err;
}
