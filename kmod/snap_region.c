// SPDX-License-Identifier: GPL-2.0-only
/* Regions and captures of them; see snap_region.h. */

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "snap.h"
#include "snap_cmd.h"
#include "snap_dev.h"
#include "snap_frame.h"
#include "snap_region.h"
#include "snap_user.h"

/**
 * struct snap_region - a region
 * @sd: its device; holds a reference
 * @user: who is charged for it and its captures; holds a reference
 * @list: in the device's list
 * @mapping: of the file; valid while in the list
 * @handle: the device's name for it
 * @window_page: first page in the window area
 * @npages: length
 */
struct snap_region {
	struct snap_dev *sd;
	struct snap_user *user;
	struct list_head list;
	struct address_space *mapping;
	u32 handle;
	u32 window_page;
	u32 npages;
};

/* One fault maps so many pages around it: the whole of most regions. */
#define SNAP_REGION_FAULT_PAGES	512ul

/*
 * Page frames without reference counts: what backs a window may change at any
 * time, so nobody may pin it.  They are filled in here and not in mmap(),
 * because only now does the removal of the device find the mapping.
 */
static vm_fault_t snap_region_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct snap_region *region = vma->vm_private_data;
	struct snap_dev *sd = region->sd;
	unsigned long first, end, page, pfn;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	page = (vmf->address - vma->vm_start) >> PAGE_SHIFT;
	first = round_down(page, SNAP_REGION_FAULT_PAGES);
	end = min(first + SNAP_REGION_FAULT_PAGES, vma_pages(vma));
	down_read(&sd->life);
	if (sd->gone)
		goto unlock;
	pfn = PHYS_PFN(sd->window_start) + region->window_page + vma->vm_pgoff;
	/* the page asked for first: its result counts */
	ret = vmf_insert_pfn(vma, vma->vm_start + (page << PAGE_SHIFT), pfn + page);
	for (page = first; page < end && ret == VM_FAULT_NOPAGE; page++)
		ret = vmf_insert_pfn(vma, vma->vm_start + (page << PAGE_SHIFT),
				     pfn + page);
unlock:
	up_read(&sd->life);
	return ret;
}

static const struct vm_operations_struct snap_region_vm_ops = {
	.fault = snap_region_fault,
};

static int snap_region_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct snap_region *region = file->private_data;
	unsigned long npages = vma_pages(vma);

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (vma->vm_pgoff >= region->npages ||
	    npages > region->npages - vma->vm_pgoff)
		return -EINVAL;
	if (READ_ONCE(region->sd->gone))
		return -ENODEV;
	vm_flags_mod(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYEXEC);
	vma->vm_ops = &snap_region_vm_ops;
	vma->vm_private_data = region;
	return 0;
}

static void snap_region_free(struct snap_region *region)
{
	atomic_sub(region->npages, &region->user->region_frames);
	snap_user_put(region->user);
	snap_dev_put(region->sd);
	kfree(region);
}

static int snap_region_release(struct inode *inode, struct file *file)
{
	struct snap_region *region = file->private_data;
	struct snap_dev *sd = region->sd;

	mutex_lock(&sd->regions_lock);
	list_del(&region->list);
	mutex_unlock(&sd->regions_lock);
	down_read(&sd->life);
	if (!sd->gone)
		snap_cmd_region_destroy(sd, region->handle);
	up_read(&sd->life);
	snap_region_free(region);
	return 0;
}

static void snap_region_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct snap_region *region = file->private_data;

	seq_printf(m, "snap-region:\t%#x\nsnap-pages:\t%u\n",
		   region->handle, region->npages);
}

static const struct file_operations snap_region_fops = {
	.owner = THIS_MODULE,
	.mmap = snap_region_mmap,
	.release = snap_region_release,
	.show_fdinfo = snap_region_show_fdinfo,
};

static struct snap_region *snap_region_alloc(struct snap_dev *sd, u32 npages,
					     u32 hint)
{
	struct snap_region *region;
	int err;

	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->user = snap_user_get();
	if (!region->user) {
		err = -ENOMEM;
		goto free_region;
	}
	region->npages = npages;
	if (!snap_user_charge(&region->user->region_frames, npages,
			      snap_user_region_quota(snap_frames_count(sd->frames)))) {
		err = -EDQUOT;
		goto put_user;
	}
	err = snap_cmd_region_create(sd, npages, hint, &region->handle,
				     &region->window_page);
	if (err == -ENOSPC) {
		/* what waits for its batch may be enough */
		snap_frames_flush(sd->frames);
		err = snap_cmd_region_create(sd, npages, hint, &region->handle,
					     &region->window_page);
	}
	if (err)
		goto uncharge;
	kref_get(&sd->ref);
	region->sd = sd;
	return region;

uncharge:
	atomic_sub(npages, &region->user->region_frames);
put_user:
	snap_user_put(region->user);
free_region:
	kfree(region);
	return ERR_PTR(err);
}

/* The caller holds life for reading. */
static int snap_region_create_locked(struct snap_dev *sd, u32 npages, u32 hint)
{
	struct snap_region *region;
	struct file *file;
	int fd, err;

	if (sd->gone)
		return -ENODEV;
	region = snap_region_alloc(sd, npages, hint);
	if (IS_ERR(region))
		return PTR_ERR(region);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto destroy_region;
	}
	/* An inode of its own: the mapping to zap must be this region's only. */
	file = anon_inode_create_getfile("[snap-region]", &snap_region_fops,
					 region, O_RDWR, NULL);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto put_fd;
	}
	region->mapping = file->f_mapping;
	mutex_lock(&sd->regions_lock);
	list_add(&region->list, &sd->regions);
	mutex_unlock(&sd->regions_lock);
	fd_install(fd, file);
	return fd;

put_fd:
	put_unused_fd(fd);
destroy_region:
	snap_cmd_region_destroy(sd, region->handle);
	snap_region_free(region);
	return err;
}

int snap_region_create(struct snap_dev *sd, const struct snap_region_args *args)
{
	u64 npages = args->length >> PAGE_SHIFT;
	int fd;

	if (args->flags || args->reserved || args->hint >= SNAP_HINT_MAX)
		return -EINVAL;
	if (!args->length || args->length & ~PAGE_MASK)
		return -EINVAL;
	if (npages > sd->window_pages)
		return -ENOSPC;
	down_read(&sd->life);
	fd = snap_region_create_locked(sd, npages, args->hint);
	up_read(&sd->life);
	return fd;
}

u32 snap_region_used(void)
{
	struct snap_user *user = snap_user_get();
	u32 used;

	if (!user)
		return 0;
	used = atomic_read(&user->region_frames);
	snap_user_put(user);
	return used;
}

void snap_region_zap_all(struct snap_dev *sd)
{
	struct snap_region *region;

	mutex_lock(&sd->regions_lock);
	list_for_each_entry(region, &sd->regions, list)
		unmap_mapping_range(region->mapping, 0, 0, 1);
	mutex_unlock(&sd->regions_lock);
}

static int snap_region_copy(enum snap_copy_reason reason)
{
	return -1 - (int)reason;
}

/* The caller holds mmap_lock, which holds the mapping, which holds the region. */
static int snap_region_capture_pages(struct snap_region *region, u64 offset,
				     size_t length, struct page **page, u32 npages)
{
	u32 frame[SNAP_REGION_CAPTURE_PAGES];
	struct snap_dev *sd = region->sd;
	int err;
	u32 i;

	err = snap_cmd_capture(sd, region->handle, offset, length, frame, npages);
	if (err == -ENOSPC) {
		/* what waits for its batch may be enough */
		snap_frames_flush(sd->frames);
		err = snap_cmd_capture(sd, region->handle, offset, length,
				       frame, npages);
	}
	if (err)
		return snap_region_copy(err == -ENOSPC ? SNAP_COPY_NO_FRAMES :
							 SNAP_COPY_DEVICE);
	err = snap_frames_adopt(sd->frames, frame, npages, region->user, page);
	if (!err)
		return npages;
	if (err == -EAGAIN)
		for (i = 0; i < npages; i++)
			if (page[i])
				put_page(page[i]);
	return snap_region_copy(err == -EAGAIN ? SNAP_COPY_RACE :
						 SNAP_COPY_DEVICE);
}

/* As above; the quota covers the pages before there are frames to charge. */
static int snap_region_capture_range(struct snap_region *region, u64 offset,
				     size_t length, struct page **page)
{
	u32 npages = DIV_ROUND_UP(offset_in_page(offset) + length, PAGE_SIZE);
	u32 quota = snap_user_flight_quota(snap_frames_count(region->sd->frames));
	int n;

	if (!snap_user_charge(&region->user->flight_frames, npages, quota))
		return snap_region_copy(SNAP_COPY_QUOTA);
	n = snap_region_capture_pages(region, offset, length, page, npages);
	atomic_sub(npages, &region->user->flight_frames);
	return n;
}

int snap_region_capture(unsigned long addr, size_t length,
			const struct net_device *netdev, struct page **page)
{
	struct mm_struct *mm = current->mm;
	struct snap_region *region;
	struct vm_area_struct *vma;
	int n;

	if (!mm)
		return snap_region_copy(SNAP_COPY_NOT_REGION);
	addr = untagged_addr(addr);
	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	if (!vma || vma->vm_ops != &snap_region_vm_ops ||
	    !(vma->vm_flags & VM_READ)) {
		n = snap_region_copy(SNAP_COPY_NOT_REGION);
		goto unlock_mm;
	}
	if (length > vma->vm_end - addr) {
		n = snap_region_copy(SNAP_COPY_SCATTERED);
		goto unlock_mm;
	}
	region = vma->vm_private_data;
	down_read(&region->sd->life);
	if (region->sd->gone)
		n = snap_region_copy(SNAP_COPY_DEVICE);
	else if (netdev && netdev != region->sd->netdev)
		n = snap_region_copy(SNAP_COPY_ROUTE);
	else
		n = snap_region_capture_range(region, addr - vma->vm_start +
					      ((u64)vma->vm_pgoff << PAGE_SHIFT),
					      length, page);
	up_read(&region->sd->life);
unlock_mm:
	mmap_read_unlock(mm);
	return n;
}
