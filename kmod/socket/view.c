// SPDX-License-Identifier: GPL-2.0-only
/* The window of a socket and its pages; see view.h. */

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <net/sock.h>

#include "device/dev.h"
#include "device/frame.h"
#include "device/part.h"
#include "device/sent.h"
#include "device/user.h"
#include "device/viewed.h"
#include "memory/args.h"
#include "socket/sock.h"
#include "socket/view.h"

#define SNAP_VIEW_FLAGS		(SNAP_VIEW_NEXT | SNAP_VIEW_LAZY)

static_assert(SNAP_VIEW_LENGTH_MAX / PAGE_SIZE <= INT_MAX / sizeof(struct page *));

static LIST_HEAD(snap_views);
static DEFINE_MUTEX(snap_views_lock);	/* the list; snap_sock->view: who sets it */

struct snap_view *snap_view_of(const struct snap_sock *ss)
{
	/* pairs with snap_view_publish() */
	return smp_load_acquire(&ss->view);
}

bool snap_view_mine(const struct snap_view *view)
{
	return current->mm == view->mm;
}

bool snap_view_pinnable(const struct snap_view *view)
{
	return view->flags & SNAP_VIEW_LAZY;
}

/* ---- Pages -------------------------------------------------------------- */

bool snap_view_has(const struct snap_view *view, pgoff_t first, u32 n)
{
	lockdep_assert_held(&view->lock);
	return first + n <= view->npages &&
	       find_next_zero_bit(view->taken, first + n, first) == first + n;
}

/* Where @n pages are free in a row; npages: nowhere. */
static u32 snap_view_room(const struct snap_view *view, const struct sock *sk,
			  u32 n)
{
	u32 limit = READ_ONCE(sk->sk_rcvbuf) >> PAGE_SHIFT;
	unsigned long at;

	lockdep_assert_held_write(&view->lock);
	if (n > min(limit, view->npages) - min(view->used, limit))
		return view->npages;
	at = bitmap_find_next_zero_area(view->taken, view->npages, view->next, n, 0);
	if (at >= view->npages)
		at = bitmap_find_next_zero_area(view->taken, view->npages, 0, n, 0);
	return min_t(unsigned long, at, view->npages);
}

static bool snap_view_charge(const struct snap_view *view,
			     const struct snap_view_run *run)
{
	return snap_frames_view(run->page, run->npages, view->user, false) ||
	       (snap_user_unlimited(view->user) &&
		snap_frames_view(run->page, run->npages, view->user, true));
}

int snap_view_place(struct snap_view *view, const struct sock *sk,
		    const struct snap_view_run *run, u64 *offset)
{
	bool ok;
	u32 at;

	down_write(&view->lock);
	at = snap_view_room(view, sk, run->npages);
	ok = at < view->npages && snap_view_charge(view, run);
	if (ok) {
		memcpy(view->page + at, run->page, run->npages * sizeof(*run->page));
		bitmap_set(view->taken, at, run->npages);
		view->used += run->npages;
		view->next = at + run->npages;
	}
	up_write(&view->lock);
	*offset = ((u64)at << PAGE_SHIFT) + run->offset;
	if (ok)
		return 0;
	return -1 - (at < view->npages ? SNAP_RECV_QUOTA : SNAP_RECV_FULL);
}

/* Pages in a row that no mapping has any more. */
static void snap_view_let_go(struct snap_view *view, u32 first, u32 n)
{
	snap_frames_unview(view->page + first, n, view->user);
	bitmap_clear(view->taken, first, n);
	view->used -= n;
}

/* Of the frames from @first on, how many of a pool come before any other. */
static u32 snap_view_owned(const struct snap_view *view, u32 first, u32 end,
			   const struct snap_frames *sf)
{
	u32 i = first;

	while (i < end && snap_frames_owns(sf, view->page[i]))
		i++;
	return i - first;
}

/* Release pages, all or those of a pool; what else is mapped faults in again. */
static void snap_view_clear(struct snap_view *view, u32 first, u32 end,
			    const struct snap_frames *sf)
{
	u32 i, n, last;

	down_write(&view->lock);
	i = find_next_bit(view->taken, end, first);
	if (i < end && view->mapped) {
		end = find_last_bit(view->taken, end) + 1;
		unmap_mapping_range(view->mapping,
				    SNAP_VIEW_OFFSET + ((loff_t)i << PAGE_SHIFT),
				    (loff_t)(end - i) << PAGE_SHIFT, 1);
	}
	for (; i < end; i = find_next_bit(view->taken, end, i + max(n, 1))) {
		last = find_next_zero_bit(view->taken, end, i);
		n = sf ? snap_view_owned(view, i, last, sf) : last - i;
		if (n)
			snap_view_let_go(view, i, n);
	}
	if (!view->used)
		view->mapped = false;
	up_write(&view->lock);
}

void snap_view_put(struct snap_view *view, u64 offset, u64 length)
{
	snap_view_clear(view, offset >> PAGE_SHIFT,
			DIV_ROUND_UP_ULL(offset + length, PAGE_SIZE), NULL);
}

void snap_view_put_all(struct snap_view *view)
{
	snap_view_clear(view, 0, view->npages, NULL);
}

/* Release the frames of a device that is gone: no view gets another of them. */
static void snap_view_zap_all(struct snap_dev *sd)
{
	struct snap_view *view;

	mutex_lock(&snap_views_lock);
	list_for_each_entry(view, &snap_views, list)
		snap_view_clear(view, 0, view->npages, sd->frames);
	mutex_unlock(&snap_views_lock);
}

static struct snap_part snap_view_part = {
	.give_up = snap_view_zap_all,
};

void __init snap_views_init(void)
{
	snap_part_register(&snap_view_part);
}

void snap_views_exit(void)
{
	snap_part_unregister(&snap_view_part);
}

/* ---- Sending ------------------------------------------------------------ */

int snap_view_send(struct vm_area_struct *vma, unsigned long addr, size_t length,
		   const struct net_device *netdev, struct page **page)
{
	u32 i, n = DIV_ROUND_UP(offset_in_page(addr) + length, PAGE_SIZE);
	struct snap_view *view = vma->vm_private_data;
	pgoff_t first = linear_page_index(vma, addr) - SNAP_VIEW_PGOFF;
	int why;

	mmap_assert_locked(vma->vm_mm);
	/* a child sees no more than it has mapped: that is found out by copying */
	if (vma->vm_mm != view->mm)
		return -1 - SNAP_COPY_NOT_REGION;
	down_read(&view->lock);
	/* a fault, where there is nothing */
	why = snap_view_has(view, first, n) ?
	      snap_frames_send(view->page + first, n, view->user, netdev) :
	      -1 - SNAP_COPY_NOT_REGION;
	for (i = 0; !why && i < n; i++) {
		page[i] = view->page[first + i];
		get_page(page[i]);
	}
	up_read(&view->lock);
	return why ?: n;
}

/* ---- The window --------------------------------------------------------- */

static struct snap_view *snap_view_new(struct socket *sock,
				       const struct snap_view_args *args)
{
	struct snap_view *view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);

	if (!view)
		return NULL;
	init_rwsem(&view->lock);
	INIT_LIST_HEAD(&view->list);
	view->mapping = SOCK_INODE(sock)->i_mapping;
	view->mm = current->mm;
	mmgrab(view->mm);
	view->flags = args->flags;
	view->npages = args->length >> PAGE_SHIFT;
	view->user = snap_user_get();
	view->page = kvcalloc(view->npages, sizeof(*view->page), GFP_KERNEL_ACCOUNT);
	view->taken = kvcalloc(BITS_TO_LONGS(view->npages), sizeof(long),
			       GFP_KERNEL_ACCOUNT);
	if (!view->user || !view->page || !view->taken) {
		snap_view_destroy(view);
		return NULL;
	}
	return view;
}

void snap_view_destroy(struct snap_view *view)
{
	if (!view)
		return;
	/* no mapping is left: each would have kept the socket */
	if (view->page && view->taken)
		snap_view_put_all(view);
	/* not before: a device that goes now waits for its frames */
	mutex_lock(&snap_views_lock);
	list_del(&view->list);
	mutex_unlock(&snap_views_lock);
	if (view->user)
		snap_user_put(view->user, 1);
	mmdrop(view->mm);
	kvfree(view->taken);
	kvfree(view->page);
	kfree(view);
}

static int snap_view_publish(struct snap_sock *ss, struct snap_view *view)
{
	int err = -EEXIST;

	mutex_lock(&snap_views_lock);
	if (!ss->view) {
		list_add(&view->list, &snap_views);
		/* who sees it sees it complete: pairs with snap_view_of() */
		smp_store_release(&ss->view, view);
		err = 0;
	}
	mutex_unlock(&snap_views_lock);
	return err;
}

/*
 * From the caller, or from a copy of what he wrote that the kernel made, for a BPF
 * program of the control group to look at.
 */
static int snap_view_args_read(struct snap_view_args *args, sockptr_t optval,
			       unsigned int optlen)
{
	unsigned int known = min_t(unsigned int, optlen, sizeof(*args));

	if (!sockptr_is_kernel(optval))
		return snap_args_read(args, sizeof(*args), SNAP_VIEW_ARGS_SIZE_VER0,
				      optval.user);
	memset(args, 0, sizeof(*args));
	memcpy(args, optval.kernel, known);
	return memchr_inv(optval.kernel + known, 0, optlen - known) ? -E2BIG : 0;
}

int snap_view_create(struct socket *sock, sockptr_t optval, unsigned int optlen)
{
	struct snap_sock *ss = snap_sock_of(sock);
	struct snap_view_args args;
	struct snap_view *view;
	int err;

	if (!current->mm)
		return -EOPNOTSUPP;
	if (optlen < SNAP_VIEW_ARGS_SIZE_VER0)
		return -EINVAL;
	err = snap_view_args_read(&args, optval, optlen);
	if (err)
		return err;
	if (args.size != optlen || args.flags & ~SNAP_VIEW_FLAGS || args.used ||
	    !args.length || args.length & ~PAGE_MASK ||
	    args.length > SNAP_VIEW_LENGTH_MAX)
		return -EINVAL;
	view = snap_view_new(sock, &args);
	if (!view)
		return -ENOMEM;
	err = snap_view_publish(ss, view);
	if (err)
		snap_view_destroy(view);
	return err;
}

void snap_view_describe(struct snap_view *view, struct snap_view_args *args)
{
	args->size = sizeof(*args);
	args->flags = view->flags;
	args->length = (u64)view->npages << PAGE_SHIFT;
	args->used = (u64)READ_ONCE(view->used) << PAGE_SHIFT;
}

int snap_view_release(struct snap_sock *ss, sockptr_t optval, unsigned int optlen)
{
	struct snap_view *view = snap_view_of(ss);
	struct snap_view_range range;
	u64 bytes;

	if (!view)
		return -ENODATA;
	if (!snap_view_mine(view))
		return -EPERM;
	if (optlen != sizeof(range))
		return -EINVAL;
	if (copy_from_sockptr(&range, optval, sizeof(range)))
		return -EFAULT;
	bytes = (u64)view->npages << PAGE_SHIFT;
	if (!range.length || range.offset >= bytes ||
	    range.length > bytes - range.offset)
		return -EINVAL;
	snap_view_put(view, range.offset, range.length);
	return 0;
}
