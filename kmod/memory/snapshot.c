// SPDX-License-Identifier: GPL-2.0-only
/* Snapshots as files: creation, mapping, reading; see snapshot.h. */

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "device/cmd_memory.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/user.h"
#include "memory/args.h"
#include "memory/capture.h"
#include "memory/diff.h"
#include "memory/region.h"
#include "memory/snapshot.h"

/* Pages for one round of read(): they are on the stack. */
#define SNAP_SNAPSHOT_READ_PAGES	16u

/*
 * Pages [first, first + npages) of the snapshot, whole, so that the device
 * copies nothing.  The caller holds life for reading; errors of snap_capture().
 */
static int snap_snapshot_pages(struct snap_file *s, struct snap_user *user,
			       u64 first, struct page **page, u32 npages)
{
	int err = snap_capture(s->sd, s->handle, first << PAGE_SHIFT,
			       npages << PAGE_SHIFT, false, user, page, npages);

	if (err == -EAGAIN)
		snap_frames_flush(s->sd->frames);
	return err;
}

/*
 * The user has too many frames in flight, which pages of snapshots that
 * somebody has pinned may be: ordinary memory then.
 */
static vm_fault_t snap_snapshot_map_copy(struct vm_fault *vmf,
					 struct snap_file *s)
{
	struct page *frame, *copy;
	vm_fault_t ret = VM_FAULT_NOPAGE;
	int err;

	copy = alloc_page(GFP_HIGHUSER | __GFP_ACCOUNT);
	if (!copy)
		return VM_FAULT_OOM;
	err = snap_snapshot_pages(s, NULL, vmf->pgoff, &frame, 1);
	if (!err) {
		copy_highpage(copy, frame);
		put_page(frame);
		ret = vmf_insert_page(vmf->vma, vmf->address & PAGE_MASK, copy);
	} else if (err != -EAGAIN) {
		ret = VM_FAULT_SIGBUS;
	}
	put_page(copy);
	return ret;
}

/* The caller holds life for reading. */
static vm_fault_t snap_snapshot_map(struct vm_fault *vmf, struct snap_file *s)
{
	struct vm_area_struct *vma = vmf->vma;
	struct page *page[SNAP_CAPTURE_PAGES];
	unsigned long at, first, end, i;
	vm_fault_t ret;
	int err;

	at = (vmf->address - vma->vm_start) >> PAGE_SHIFT;
	first = round_down(at, SNAP_CAPTURE_PAGES);
	end = min(first + SNAP_CAPTURE_PAGES, vma_pages(vma));
	err = snap_snapshot_pages(s, s->user, vma->vm_pgoff + first, page,
				  end - first);
	if (err == -EAGAIN)
		return VM_FAULT_NOPAGE;	/* the access faults again */
	if (err == -EDQUOT)
		return snap_snapshot_map_copy(vmf, s);
	if (err)
		return VM_FAULT_SIGBUS;
	/* the page asked for first: its result counts */
	ret = vmf_insert_page(vma, vma->vm_start + (at << PAGE_SHIFT),
			      page[at - first]);
	for (i = first; i < end; i++) {
		if (i != at && ret == VM_FAULT_NOPAGE)
			vmf_insert_page(vma, vma->vm_start + (i << PAGE_SHIFT),
					page[i - first]);
		put_page(page[i - first]);
	}
	return ret;
}

/*
 * Pages with reference counts: what a snapshot shows never changes, so anybody
 * may pin it.  A mapped frame is out, like one in a socket.
 */
static vm_fault_t snap_snapshot_fault(struct vm_fault *vmf)
{
	struct snap_file *s = vmf->vma->vm_private_data;
	vm_fault_t ret;

	if (snap_dev_enter(s->sd))
		return VM_FAULT_SIGBUS;
	ret = snap_snapshot_map(vmf, s);
	snap_dev_leave(s->sd);
	return ret;
}

static const struct vm_operations_struct snap_snapshot_vm_ops = {
	.fault = snap_snapshot_fault,
};

static int snap_snapshot_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct snap_file *s = file->private_data;
	unsigned long npages = vma_pages(vma);

	/* The file is not writable: a shared mapping has only VM_MAYSHARE. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (vma->vm_pgoff >= s->npages || npages > s->npages - vma->vm_pgoff)
		return -EINVAL;
	if (READ_ONCE(s->sd->gone))
		return -ENODEV;
	/* VM_RAND_READ: nobody asks how long ago frames were looked at */
	vm_flags_mod(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_RAND_READ,
		     VM_MAYEXEC | VM_MAYWRITE);
	vma->vm_ops = &snap_snapshot_vm_ops;
	vma->vm_private_data = s;
	return 0;
}

static loff_t snap_snapshot_llseek(struct file *file, loff_t offset, int whence)
{
	struct snap_file *s = file->private_data;

	return fixed_size_llseek(file, offset, whence, snap_file_bytes(s));
}

/* Copy what a few pages have from pos on; bytes, or an errno. */
static ssize_t snap_snapshot_read_some(struct snap_file *s, u64 pos,
				       struct iov_iter *to)
{
	struct page *page[SNAP_SNAPSHOT_READ_PAGES];
	size_t left = min_t(u64, iov_iter_count(to), snap_file_bytes(s) - pos);
	size_t offset = offset_in_page(pos), done = 0;
	u32 i, npages;
	int err;

	left = min(left, SNAP_SNAPSHOT_READ_PAGES * PAGE_SIZE - offset);
	npages = DIV_ROUND_UP(offset + left, PAGE_SIZE);
	err = snap_dev_enter(s->sd);
	if (err)
		return err;
	err = snap_snapshot_pages(s, NULL, pos >> PAGE_SHIFT, page, npages);
	snap_dev_leave(s->sd);
	if (err)
		return err;
	/* The references keep the pages, life is not held: this may fault. */
	for (i = 0; i < npages; i++) {
		size_t want = min(left, PAGE_SIZE - offset);
		size_t n = copy_page_to_iter(page[i], offset, want, to);

		put_page(page[i]);
		done += n;
		left = n == want ? left - n : 0;
		offset = 0;
	}
	return done ?: -EFAULT;
}

static ssize_t snap_snapshot_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct snap_file *s = iocb->ki_filp->private_data;
	ssize_t n = 0, done = 0;

	while (iov_iter_count(to) && iocb->ki_pos < snap_file_bytes(s)) {
		if (fatal_signal_pending(current)) {
			n = -EINTR;
			break;
		}
		cond_resched();
		n = snap_snapshot_read_some(s, iocb->ki_pos, to);
		if (n == -EAGAIN)	/* a frame is on its way back: again */
			continue;
		if (n < 0)
			break;
		iocb->ki_pos += n;
		done += n;
	}
	return done ?: n;
}

static void snap_snapshot_destroy(struct snap_file *s)
{
	if (!snap_dev_enter(s->sd)) {
		snap_cmd_snapshot_drop(s->sd, s->handle);
		snap_user_unbind(s->user, s->sd);
		snap_dev_leave(s->sd);
	}
	snap_file_exit(s);
	kfree(s);
}

static int snap_snapshot_release(struct inode *inode, struct file *file)
{
	struct snap_file *s = file->private_data;

	snap_file_withdraw(s);
	snap_snapshot_destroy(s);
	return 0;
}

static long snap_snapshot_ioctl(struct file *file, unsigned int cmd,
				unsigned long p)
{
	struct snap_file *s = file->private_data;
	void __user *arg = (void __user *)p;

	switch (cmd) {
	case SNAP_IOC_CLONE:
		return snap_region_clone(s, arg);
	case SNAP_IOC_DIFF:
		return snap_diff(s, arg);
	case SNAP_IOC_OBJECT_INFO:
		return snap_file_info(s, arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations snap_snapshot_fops = {
	.owner = THIS_MODULE,
	.llseek = snap_snapshot_llseek,
	.read_iter = snap_snapshot_read_iter,
	/* to ordinary pages: other drivers may store to what they are given */
	.splice_read = copy_splice_read,
	.mmap = snap_snapshot_mmap,
	.unlocked_ioctl = snap_snapshot_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = snap_snapshot_release,
	.show_fdinfo = snap_file_show_fdinfo,
};

static struct snap_file *snap_snapshot_take(struct snap_file *region,
					    u64 *version)
{
	struct snap_file *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	struct snap_dev *sd = region->sd;
	struct snap_bind b;
	int err;

	if (!s)
		return ERR_PTR(-ENOMEM);
	err = snap_file_init(s, sd, region->user, SNAP_OBJECT_SNAPSHOT,
			     region->npages);
	if (err)
		goto free_snapshot;
	err = snap_dev_enter(sd);
	if (err)
		goto exit_file;
	snap_bind_begin(&b, s->user, sd, s->npages);
	err = snap_cmd_snapshot(sd, region->handle, b.quota, &s->handle, version);
	snap_bind_end(&b);
	snap_dev_leave(sd);
	if (!err)
		return s;
exit_file:
	snap_file_exit(s);
free_snapshot:
	kfree(s);
	return ERR_PTR(err);
}

int snap_snapshot_create(struct snap_file *region, void __user *arg)
{
	struct snap_snapshot_args args;
	struct snap_file *s;
	int fd = snap_args_read(&args, sizeof(args),
				SNAP_SNAPSHOT_ARGS_SIZE_VER0, arg);

	if (fd)
		return fd;
	if (args.flags)
		return -EINVAL;
	if (!(region->sd->features & SNAP_F_SNAPSHOT))
		return -EOPNOTSUPP;
	s = snap_snapshot_take(region, &args.version);
	if (IS_ERR(s))
		return PTR_ERR(s);
	if (snap_args_write(arg, &args, sizeof(args)))
		fd = -EFAULT;
	else
		fd = snap_file_publish(s, "[snap-snapshot]",
				       &snap_snapshot_fops, O_RDONLY);
	if (fd < 0)
		snap_snapshot_destroy(s);
	return fd;
}

struct file *snap_snapshot_get(int fd, const struct snap_file *peer,
			       struct snap_file **snapshot)
{
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &snap_snapshot_fops) {
		*snapshot = file->private_data;
		if ((*snapshot)->sd == peer->sd &&
		    (*snapshot)->npages == peer->npages)
			return file;
	}
	fput(file);
	return ERR_PTR(-EINVAL);
}
