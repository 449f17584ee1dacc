/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regions: mutable memory of applications that can be captured.
 *
 * A region is a file.  Each descriptor and each mapping holds the file; with
 * the last of them the region ends.  Frames that captures hold outlive it.
 */
#ifndef SNAP_REGION_H
#define SNAP_REGION_H

#include <linux/types.h>

struct net_device;
struct page;
struct snap_dev;
struct snap_region_args;

/* At most so many pages in one capture by a socket: 64 KiB at any offset. */
#define SNAP_REGION_CAPTURE_PAGES	17

/**
 * snap_region_create() - a new region as a file descriptor
 * @sd: device
 * @args: length and hint, checked here
 *
 * Return: descriptor, or EINVAL, EDQUOT, ENOSPC, ENODEV, ENOMEM, EMFILE.
 */
int snap_region_create(struct snap_dev *sd, const struct snap_region_args *args);

/**
 * snap_region_capture() - capture a buffer of the current process
 * @addr: user address
 * @length: bytes, at most 64 KiB
 * @netdev: the device that the frames will leave by; NULL: any will do
 * @page: filled with the pages; the caller owns a reference on each
 *
 * Takes mmap_lock for reading until the frames are there, so that no munmap()
 * or mremap() can come between the lookup and the capture.
 *
 * Return: number of pages, or minus one minus an enum snap_copy_reason.
 */
int snap_region_capture(unsigned long addr, size_t length,
			const struct net_device *netdev, struct page **page);

/* Take all regions of a device out of the mappings: stores get SIGBUS. */
void snap_region_zap_all(struct snap_dev *sd);

/* Frames that the regions of the current user take. */
u32 snap_region_used(void);

#endif /* SNAP_REGION_H */
