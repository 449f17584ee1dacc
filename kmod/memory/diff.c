// SPDX-License-Identifier: GPL-2.0-only
/* Comparing snapshots; see diff.h. */

#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "device/cmd_memory.h"
#include "device/dev.h"
#include "memory/args.h"
#include "memory/diff.h"
#include "memory/snapshot.h"

/* Ask for the pages from `first` on: as many as one command tells. */
static int snap_diff_ask(struct snap_file *s, struct snap_file *other,
			 u32 first, struct snap_diff *d)
{
	int err = snap_dev_enter(s->sd);

	if (err)
		return err;
	/* page[] is out only: not worth clearing */
	memset(d, 0, offsetof(struct snap_diff, page));
	d->a = cpu_to_le32(s->handle);
	d->b = cpu_to_le32(other->handle);
	d->first = cpu_to_le32(first);
	err = snap_cmd_diff(s->sd, d);
	snap_dev_leave(s->sd);
	return err;
}

/*
 * Store pages until the caller's room is full or there are no more.  What does
 * not fit is where to go on.
 */
static int snap_diff_all(struct snap_file *s, struct snap_file *other,
			 struct snap_diff_args *args, struct snap_diff *d)
{
	u64 __user *to = u64_to_user_ptr(args->pages);
	u32 next = args->offset >> PAGE_SHIFT, stored = 0, i, n;
	int err;

	if (next == s->npages)
		next = SNAP_DIFF_END;
	while (next != SNAP_DIFF_END && stored < args->npages) {
		if (fatal_signal_pending(current))
			return -EINTR;
		err = snap_diff_ask(s, other, next, d);
		if (err)
			return err;
		n = min_t(u32, le32_to_cpu(d->npages), SNAP_DIFF_MAX);
		next = le32_to_cpu(d->next);
		for (i = 0; i < n && stored < args->npages; i++)
			if (put_user((u64)le32_to_cpu(d->page[i]) << PAGE_SHIFT,
				     to + stored++))
				return -EFAULT;
		if (i < n)
			next = le32_to_cpu(d->page[i]);
		cond_resched();
	}
	args->npages = stored;
	args->done = next == SNAP_DIFF_END;
	args->offset = args->done ? snap_file_bytes(s) : (u64)next << PAGE_SHIFT;
	return 0;
}

int snap_diff(struct snap_file *s, void __user *arg)
{
	struct snap_diff_args args;
	struct snap_file *other;
	struct snap_diff *d;
	struct file *file;
	int err = snap_args_read(&args, sizeof(args),
				 SNAP_DIFF_ARGS_SIZE_VER0, arg);

	if (err)
		return err;
	if (!args.npages || args.offset & ~PAGE_MASK ||
	    args.offset > snap_file_bytes(s))
		return -EINVAL;
	file = snap_snapshot_get(args.other, s, &other);
	if (IS_ERR(file))
		return PTR_ERR(file);
	d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);
	if (d)
		err = snap_diff_all(s, other, &args, d);
	else
		err = -ENOMEM;
	kfree(d);
	fput(file);
	if (!err)
		err = snap_args_write(arg, &args, sizeof(args));
	return err;
}
