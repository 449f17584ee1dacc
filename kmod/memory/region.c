// SPDX-License-Identifier: GPL-2.0-only
/* Regions and captures of them; see region.h. */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "device/cmd_memory.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/user.h"
#include "memory/args.h"
#include "memory/capture.h"
#include "memory/rebind.h"
#include "memory/region.h"
#include "memory/snapshot.h"
#include "snap.h"

/* One fault maps so many pages around it: the whole of most regions. */
#define SNAP_REGION_FAULT_PAGES	512ul

static_assert(SNAP_REGION_CAPTURE_PAGES <= SNAP_CAPTURE_PAGES);
static_assert(offsetof(struct snap_region, f) == 0);	/* private_data */

/* The caller holds life and rebind for reading. */
static vm_fault_t snap_region_map(struct vm_fault *vmf, struct snap_region *r)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long first, end, page, pfn;
	vm_fault_t ret, more;

	page = (vmf->address - vma->vm_start) >> PAGE_SHIFT;
	first = round_down(page, SNAP_REGION_FAULT_PAGES);
	end = min(first + SNAP_REGION_FAULT_PAGES, vma_pages(vma));
	pfn = PHYS_PFN(r->f.sd->window_start) + r->window_page + vma->vm_pgoff;
	/* the page asked for first: its result counts */
	ret = vmf_insert_pfn(vma, vma->vm_start + (page << PAGE_SHIFT), pfn + page);
	more = ret;
	for (page = first; page < end && more == VM_FAULT_NOPAGE; page++)
		more = vmf_insert_pfn(vma, vma->vm_start + (page << PAGE_SHIFT),
				      pfn + page);
	return ret;
}

/*
 * Page frames without reference counts: what backs a window may change at any
 * time, so nobody may pin it.  They are filled in here and not in mmap(),
 * because only now does the removal of the device find the mapping.
 */
static vm_fault_t snap_region_fault(struct vm_fault *vmf)
{
	struct snap_region *r = vmf->vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	down_read(&r->rebind);
	if (!snap_dev_enter(r->f.sd)) {
		ret = snap_region_map(vmf, r);
		snap_dev_leave(r->f.sd);
	}
	up_read(&r->rebind);
	return ret;
}

static const struct vm_operations_struct snap_region_vm_ops = {
	.fault = snap_region_fault,
};

static int snap_region_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct snap_region *r = file->private_data;
	unsigned long npages = vma_pages(vma);

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (vma->vm_pgoff >= r->f.npages ||
	    npages > r->f.npages - vma->vm_pgoff)
		return -EINVAL;
	if (READ_ONCE(r->f.sd->gone))
		return -ENODEV;
	vm_flags_mod(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYEXEC);
	vma->vm_ops = &snap_region_vm_ops;
	vma->vm_private_data = r;
	return 0;
}

static void snap_region_destroy(struct snap_region *r)
{
	if (!snap_dev_enter(r->f.sd)) {
		snap_cmd_region_destroy(r->f.sd, r->f.handle);
		snap_user_unbind(r->f.user, r->f.sd);
		snap_dev_leave(r->f.sd);
	}
	snap_file_exit(&r->f);
	kfree(r);
}

static int snap_region_release(struct inode *inode, struct file *file)
{
	struct snap_region *r = file->private_data;

	snap_file_withdraw(&r->f);
	snap_region_destroy(r);
	return 0;
}

static long snap_region_ioctl(struct file *file, unsigned int cmd,
			      unsigned long p)
{
	struct snap_region *r = file->private_data;
	void __user *arg = (void __user *)p;

	switch (cmd) {
	case SNAP_IOC_SNAPSHOT:
		return snap_snapshot_create(&r->f, arg);
	case SNAP_IOC_COMMIT:
		return snap_rebind_commit(r, arg);
	case SNAP_IOC_MERGE:
		return snap_rebind_merge(r, arg);
	case SNAP_IOC_DISCARD:
		return snap_rebind_discard(r, arg);
	case SNAP_IOC_OBJECT_INFO:
		return snap_file_info(&r->f, arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations snap_region_fops = {
	.owner = THIS_MODULE,
	.mmap = snap_region_mmap,
	.unlocked_ioctl = snap_region_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = snap_region_release,
	.show_fdinfo = snap_file_show_fdinfo,
};

static int snap_region_command(struct snap_region *r,
			       struct snap_region_spec *spec,
			       const struct snap_file *snapshot)
{
	struct snap_dev *sd = r->f.sd;
	int err = snap_dev_enter(sd);
	struct snap_bind b;

	if (err)
		return err;
	snap_bind_begin(&b, r->f.user, sd, spec->npages);
	spec->quota = b.quota;
	if (snapshot)
		err = snap_cmd_clone(sd, snapshot->handle, spec, &r->f.handle,
				     &r->window_page);
	else
		err = snap_cmd_region_create(sd, spec, &r->f.handle,
					     &r->window_page);
	snap_bind_end(&b);
	snap_dev_leave(sd);
	return err;
}

static struct snap_region *snap_region_alloc(struct snap_dev *sd,
					     struct snap_region_spec *spec,
					     const struct snap_file *snapshot)
{
	struct snap_region *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	struct snap_user *user;
	int err = -ENOMEM;

	if (!r)
		return ERR_PTR(err);
	init_rwsem(&r->rebind);
	user = snap_user_get();
	if (!user)
		goto free_region;
	spec->owner = snap_user_owner(user);
	err = snap_file_init(&r->f, sd, user, SNAP_OBJECT_REGION, spec->npages);
	snap_user_put(user, 1);
	if (err)
		goto free_region;
	err = snap_region_command(r, spec, snapshot);
	if (!err)
		return r;
	snap_file_exit(&r->f);
free_region:
	kfree(r);
	return ERR_PTR(err);
}

static int snap_region_new(struct snap_dev *sd, struct snap_region_spec *spec,
			   const struct snap_file *snapshot)
{
	struct snap_region *r = snap_region_alloc(sd, spec, snapshot);
	int fd;

	if (IS_ERR(r))
		return PTR_ERR(r);
	fd = snap_file_publish(&r->f, "[snap-region]", &snap_region_fops, O_RDWR);
	if (fd < 0)
		snap_region_destroy(r);
	return fd;
}

int snap_region_create(struct snap_dev *sd, const void __user *arg)
{
	struct snap_region_spec spec = { };
	struct snap_region_args args;
	int err = snap_args_read(&args, sizeof(args),
				 SNAP_REGION_ARGS_SIZE_VER0, arg);

	if (err)
		return err;
	if (args.flags & ~SNAP_REGION_ARGS_SPARSE || args.reserved ||
	    args.hint >= SNAP_HINT_MAX)
		return -EINVAL;
	if (!args.length || args.length & ~PAGE_MASK)
		return -EINVAL;
	if (args.length >> PAGE_SHIFT > sd->window_pages)
		return -ENOSPC;
	spec.npages = args.length >> PAGE_SHIFT;
	spec.hint = args.hint;
	if (args.flags & SNAP_REGION_ARGS_SPARSE)
		spec.flags = SNAP_REGION_SPARSE;
	return snap_region_new(sd, &spec, NULL);
}

int snap_region_clone(struct snap_file *snapshot, const void __user *arg)
{
	struct snap_region_spec spec = { .npages = snapshot->npages };
	struct snap_region_args args;
	int err = snap_args_read(&args, sizeof(args),
				 SNAP_REGION_ARGS_SIZE_VER0, arg);

	if (err)
		return err;
	if (args.flags || args.length || args.reserved ||
	    args.hint >= SNAP_HINT_MAX)
		return -EINVAL;
	if (!(snapshot->sd->features & SNAP_F_SNAPSHOT))
		return -EOPNOTSUPP;
	spec.hint = args.hint;
	return snap_region_new(snapshot->sd, &spec, snapshot);
}

static int snap_region_copy(enum snap_copy_reason reason)
{
	return -1 - (int)reason;
}

/*
 * The caller holds mmap_lock, which holds the mapping, which holds the region;
 * and life.  rebind is not needed: a capture and a command that rebinds pages
 * are each done by the device as one, so that this one is wholly before or
 * wholly after it.
 */
static int snap_region_capture_range(struct snap_region *r, u64 offset,
				     size_t length, struct page **page)
{
	u32 npages = DIV_ROUND_UP(offset_in_page(offset) + length, PAGE_SIZE);

	switch (snap_capture(r->f.sd, r->f.handle, offset, length, true, r->f.user,
			     page, npages)) {
	case 0:
		return npages;
	case -EDQUOT:
		return snap_region_copy(SNAP_COPY_QUOTA);
	case -ENOSPC:
		return snap_region_copy(SNAP_COPY_NO_FRAMES);
	case -EAGAIN:
		return snap_region_copy(SNAP_COPY_RACE);
	default:
		return snap_region_copy(SNAP_COPY_DEVICE);
	}
}

bool snap_region_maps(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &snap_region_vm_ops;
}

int snap_region_capture(const struct vm_area_struct *vma, unsigned long addr,
			size_t length, const struct net_device *netdev,
			struct page **page)
{
	struct snap_region *r = vma->vm_private_data;
	int n;

	mmap_assert_locked(vma->vm_mm);
	if (snap_dev_enter(r->f.sd))
		return snap_region_copy(SNAP_COPY_DEVICE);
	if (netdev && netdev != r->f.sd->netdev)
		n = snap_region_copy(SNAP_COPY_ROUTE);
	else
		n = snap_region_capture_range(r, addr - vma->vm_start +
					      ((u64)vma->vm_pgoff << PAGE_SHIFT),
					      length, page);
	snap_dev_leave(r->f.sd);
	return n;
}
