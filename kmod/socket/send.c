// SPDX-License-Identifier: GPL-2.0-only
/* What both types of sockets share when they send; see send.h. */

#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/netdevice.h>
#include <linux/uio.h>
#include <net/dst.h>
#include <net/ipv6.h>
#include <net/sock.h>

#include "memory/region.h"
#include "observe/sysctl.h"
#include "observe/trace.h"
#include "socket/send.h"
#include "socket/sock.h"
#include "socket/view.h"

struct dst_entry *snap_send_dst(struct sock *sk)
{
	u32 cookie = 0;

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		cookie = READ_ONCE(inet6_sk(sk)->dst_cookie);
#endif
	return sk_dst_check(sk, cookie);
}

/*
 * Frames may leave by the region's own interface or stay on this machine:
 * other drivers get ordinary pages unless the administrator says that their
 * backends see the pool.  Without SG the stack would copy.
 */
static bool snap_send_frames(const struct snap_sysctl *ctl,
			     const struct dst_entry *dst,
			     const struct net_device **only)
{
	const struct net_device *netdev;
	bool loopback, sg;

	/* a device that goes is replaced in the route, and then waits for us */
	rcu_read_lock();
	netdev = READ_ONCE(dst->dev);
	loopback = netdev->flags & IFF_LOOPBACK;
	sg = netdev->features & NETIF_F_SG;
	rcu_read_unlock();
	/* compared, not followed */
	*only = loopback || READ_ONCE(ctl->other_devices) ? NULL : netdev;
	return sg && READ_ONCE(ctl->by_reference) &&
	       (!loopback || READ_ONCE(ctl->lo_by_reference));
}

/* May the current thread load from there?  The copy path finds out by itself. */
static bool snap_send_readable(struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_READ &&
	       arch_vma_access_permitted(vma, false, false, false);
}

/*
 * Of a region, as it is at this instant; of a view, as it stays: as snap_send_capture().
 * mmap_lock holds the mapping until the pages are there, and that holds the other two.
 */
static int snap_send_pages(unsigned long addr, size_t len,
			   const struct net_device *only, struct page **page)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int n = -1 - SNAP_COPY_NOT_REGION;

	if (!mm)
		return n;
	addr = untagged_addr(addr);
	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	if (vma && (snap_region_maps(vma) || snap_view_maps(vma)) &&
	    snap_send_readable(vma)) {
		if (len > vma->vm_end - addr)
			n = -1 - SNAP_COPY_SCATTERED;
		else if (snap_region_maps(vma))
			n = snap_region_capture(vma, addr, len, only, page);
		else
			n = snap_view_send(vma, addr, len, only, page);
	}
	mmap_read_unlock(mm);
	return n;
}

int snap_send_capture(struct sock *sk, const struct dst_entry *dst,
		      const void __user *addr, size_t len, struct bio_vec *bvec)
{
	const struct snap_sysctl *ctl = snap_sysctl_of(sock_net(sk));
	const struct net_device *only;
	struct page *page[SNAP_REGION_CAPTURE_PAGES];
	size_t offset = offset_in_page(addr), left = len;
	int i, n, pieces = 0;

	if (!snap_send_frames(ctl, dst, &only))
		n = -1 - SNAP_COPY_ROUTE;
	else
		n = snap_send_pages((unsigned long)addr, len, only, page);
	trace_snap_capture(sk, len, max(n, 0), min(n, 0));
	for (i = 0; i < n; i++) {
		size_t part = min_t(size_t, left, PAGE_SIZE - offset);

		/* of one pool: there is something else of the BAR in front of each */
		if (i && page[i] == page[i - 1] + 1)
			bvec[pieces - 1].bv_len += part;
		else
			bvec_set_page(&bvec[pieces++], page[i], part, offset);
		left -= part;
		offset = 0;
	}
	return n < 0 ? n : pieces;
}

static void snap_send_put_piece(const struct bio_vec *piece)
{
	unsigned long n = DIV_ROUND_UP(piece->bv_offset + piece->bv_len, PAGE_SIZE), some;
	struct page *page = piece->bv_page;

	if (!is_zone_device_page(page)) {
		put_page(page);
		return;
	}
	/* large frames that follow each other are a piece, and a folio each */
	for (; n; n -= some, page += some) {
		struct folio *folio = page_folio(page);

		some = min_t(unsigned long, n,
			     folio_nr_pages(folio) - folio_page_idx(folio, page));
		folio_put_refs(folio, some);
	}
}

void snap_send_put(const struct bio_vec *bvec, int n)
{
	int i;

	for (i = 0; i < n; i++)
		snap_send_put_piece(&bvec[i]);
}

void snap_send_count_ref(struct snap_sock *ss, struct sock *sk, size_t bytes)
{
	snap_counts_ref(&ss->shown.counts, bytes);
	snap_counts_ref(snap_counts_of(sock_net(sk)), bytes);
	trace_snap_send_ref(sk, bytes);
}

void snap_send_count_copy(struct snap_sock *ss, struct sock *sk,
			  enum snap_copy_reason reason, size_t bytes)
{
	snap_counts_copy(&ss->shown.counts, reason, bytes);
	snap_counts_copy(snap_counts_of(sock_net(sk)), reason, bytes);
	trace_snap_send_copy(sk, bytes, reason);
}
