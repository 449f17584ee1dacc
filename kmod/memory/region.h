/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regions: mutable memory of applications that can be captured.
 *
 * rebind is a read-write semaphore: page faults of a region read it, with
 * mmap_lock held; COMMIT, MERGE and DISCARD write it, take the region out of
 * all mappings, which needs i_mmap_rwsem and no mmap_lock, and let the device
 * work.  They touch no memory of the caller meanwhile: that would need
 * mmap_lock.  Nobody takes rebind below i_mmap_rwsem; its place is
 * mmap_lock > rebind > life of the device.
 */
#ifndef SNAP_REGION_H
#define SNAP_REGION_H

#include <linux/rwsem.h>
#include <linux/types.h>

#include "memory/file.h"

struct net_device;
struct page;
struct vm_area_struct;

/* At most so many pages in one capture by a socket: 64 KiB at any offset. */
#define SNAP_REGION_CAPTURE_PAGES	17

/**
 * struct snap_region - a region
 * @f: what it is for others; first
 * @window_page: first page in the window area
 * @rebind: read by page faults, written by commands that put other pages under
 *	the region, which is out of all mappings then; see above
 */
struct snap_region {
	struct snap_file f;
	u32 window_page;
	struct rw_semaphore rebind;
};

/**
 * snap_region_create() - a new region as a file descriptor
 * @sd: device
 * @arg: struct snap_region_args of the caller
 *
 * Return: descriptor, or EFAULT, EINVAL, E2BIG, EDQUOT, ENOSPC, ENODEV, ENOMEM,
 * EMFILE, ENFILE, EIO.
 */
int snap_region_create(struct snap_dev *sd, const void __user *arg);

/* The same of a region that starts as a snapshot; and EOPNOTSUPP. */
int snap_region_clone(struct snap_file *snapshot, const void __user *arg);

/* Is it a mapping of a region? */
bool snap_region_maps(const struct vm_area_struct *vma);

/**
 * snap_region_capture() - capture a buffer of the current process
 * @vma: mapping of a region, with mmap_lock held for reading: no munmap() or mremap()
 *	comes between the lookup and the capture
 * @addr: of the buffer, all of which is mapped there
 * @length: bytes, at most 64 KiB
 * @netdev: the device that the frames will leave by; NULL: any will do
 * @page: filled with the pages; the caller owns a reference on each
 *
 * Return: number of pages, or minus one minus an enum snap_copy_reason.
 */
int snap_region_capture(const struct vm_area_struct *vma, unsigned long addr,
			size_t length, const struct net_device *netdev,
			struct page **page);

#endif /* SNAP_REGION_H */
