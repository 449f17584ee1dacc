// SPDX-License-Identifier: GPL-2.0-only
/* Other pages under a region; see rebind.h. */

#include <linux/file.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "device/cmd_memory.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/user.h"
#include "memory/args.h"
#include "memory/rebind.h"
#include "memory/region.h"
#include "memory/snapshot.h"

/*
 * From here to the end nobody can load from the range or store to it: the
 * mappings are empty, and faults wait.  length 0: to the end of the region.
 */
static int snap_rebind_begin(struct snap_region *r, u64 offset, u64 length)
{
	int err = down_write_killable(&r->rebind);

	if (err)
		return err;
	err = snap_dev_enter(r->f.sd);
	if (err) {
		up_write(&r->rebind);
		return err;
	}
	unmap_mapping_range(r->f.mapping, offset, length, 1);
	return 0;
}

static void snap_rebind_end(struct snap_region *r)
{
	snap_dev_leave(r->f.sd);
	up_write(&r->rebind);	/* of snap_rebind_begin() */
}

int snap_rebind_commit(struct snap_region *r, void __user *arg)
{
	struct snap_commit_args args;
	struct snap_file *from;
	struct snap_bind b;
	struct file *file;
	int err = snap_args_read(&args, sizeof(args),
				 SNAP_COMMIT_ARGS_SIZE_VER0, arg);

	if (err)
		return err;
	file = snap_snapshot_get(args.from, &r->f, &from);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = snap_rebind_begin(r, 0, 0);
	if (err)
		goto put_file;
	snap_bind_begin(&b, r->f.user, r->f.sd, r->f.npages);
	err = snap_cmd_commit(r->f.sd, r->f.handle, from->handle, b.quota,
			      &args.version);
	snap_bind_end(&b);
	snap_rebind_end(r);
	if (!err)
		err = snap_args_write(arg, &args, sizeof(args));
put_file:
	fput(file);
	return err;
}

static int snap_rebind_store_conflicts(struct snap_merge_args *args,
				       const struct snap_merge *m,
				       void __user *arg)
{
	u64 __user *to = u64_to_user_ptr(args->conflicts);
	u32 i, n = min3(args->nconflicts, le32_to_cpu(m->nconflicts),
			(u32)SNAP_CONFLICTS_MAX);

	for (i = 0; i < n; i++)
		if (put_user(le64_to_cpu(m->conflict[i]), to + i))
			return -EFAULT;
	args->nconflicts = n;
	return snap_args_write(arg, args, sizeof(*args));
}

/* m is zero. */
static int snap_rebind_merge_with(struct snap_region *r, struct snap_merge *m,
				  const struct snap_file *base,
				  const struct snap_file *from)
{
	int err = snap_rebind_begin(r, 0, 0);
	struct snap_bind b;

	if (err)
		return err;
	m->region = cpu_to_le32(r->f.handle);
	m->base = cpu_to_le32(base->handle);
	m->from = cpu_to_le32(from->handle);
	snap_bind_begin(&b, r->f.user, r->f.sd, r->f.npages);
	m->quota = cpu_to_le32(b.quota);
	err = snap_cmd_merge(r->f.sd, m);
	snap_bind_end(&b);
	snap_rebind_end(r);
	return err;
}

int snap_rebind_merge(struct snap_region *r, void __user *arg)
{
	struct file *base_file, *from_file;
	struct snap_file *base, *from;
	struct snap_merge_args args;
	struct snap_merge m = { };
	int err = snap_args_read(&args, sizeof(args),
				 SNAP_MERGE_ARGS_SIZE_VER0, arg);

	if (err)
		return err;
	base_file = snap_snapshot_get(args.base, &r->f, &base);
	if (IS_ERR(base_file))
		return PTR_ERR(base_file);
	from_file = snap_snapshot_get(args.from, &r->f, &from);
	if (IS_ERR(from_file)) {
		err = PTR_ERR(from_file);
		goto put_base;
	}
	err = snap_rebind_merge_with(r, &m, base, from);
	if (!err)
		args.version = le64_to_cpu(m.version);
	if ((!err || err == -ESTALE) &&
	    snap_rebind_store_conflicts(&args, &m, arg))
		err = -EFAULT;
	fput(from_file);
put_base:
	fput(base_file);
	return err;
}

int snap_rebind_discard(struct snap_region *r, const void __user *arg)
{
	struct snap_discard_args args;
	u64 bytes = snap_file_bytes(&r->f);
	int err = snap_args_read(&args, sizeof(args),
				 SNAP_DISCARD_ARGS_SIZE_VER0, arg);

	if (err)
		return err;
	if (args.flags || !args.length ||
	    (args.offset | args.length) & ~PAGE_MASK ||
	    args.offset >= bytes || args.length > bytes - args.offset)
		return -EINVAL;
	err = snap_rebind_begin(r, args.offset, args.length);
	if (err)
		return err;
	err = snap_cmd_discard(r->f.sd, r->f.handle, args.offset >> PAGE_SHIFT,
			       args.length >> PAGE_SHIFT);
	snap_user_unbind(r->f.user, r->f.sd);
	snap_rebind_end(r);
	return err;
}
