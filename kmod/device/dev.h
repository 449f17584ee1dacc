/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One snapshot memory device: what its parts share.
 *
 * Locks, outermost first; Documentation/locking.rst has those above, too:
 *
 *   life > snap_bind_lock > control_lock
 *   life > queue->capture_lock
 *   life > i_mmap_rwsem
 *   files_lock > i_mmap_rwsem
 *   home->release_lock > frames->lock > home->lock
 *   frames->lock > snap_users_lock
 *
 * life is a read-write semaphore: readers use the device, remove() sets `gone`
 * as its writer, so that no reader is left.  A device that stops answering is
 * marked `gone` without it, by snap_dev_lose(): its readers merely fail.  The spinlocks each guard
 * one slot of a slab; the device executes doorbells of different slots
 * independently, and each command as if it were alone.  Nobody takes life below
 * i_mmap_rwsem.
 */
#ifndef SNAP_DEV_H
#define SNAP_DEV_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>

#include "snap_device.h"

struct snap_frames;
struct snap_queue;

/**
 * struct snap_dev - a device and its driver's state
 * @ref: held by the PCI binding, by each region, snapshot and lookup
 * @list: in the list of usable devices, from the end of probe to remove
 * @pdev: only valid while not @gone
 * @netdev: likewise; compared, never followed, by the socket family
 * @regs: BAR 0
 * @status: the status area, written by the device
 * @slab: slabs of all queues
 * @slab_bytes: size of one
 * @queue: the mailbox, then the data queues; see device/queue.h
 * @nqueues: data queues that are used: all have a vector of their own
 * @features: SNAP_F_* negotiated
 * @window_start: physical address of window page 0
 * @window: the windows in the kernel: not used, but it makes them write-back
 *	memory for the mappings of applications
 * @window_pages: size of the window area
 * @rx_low: free frames at which received payload is copied out
 * @frames: the pool
 * @life: see above
 * @gone: no command may be issued any more
 * @given_up: all parts have given it up once: from now on its memory may be
 *	anything, even if it answers
 * @loss: tells the parts of a device that stopped answering
 * @control_lock: guards the mailbox's slab
 * @files: regions and snapshots, for unmapping at removal
 * @files_lock: guards @files
 */
struct snap_dev {
	struct kref ref;
	struct list_head list;
	struct pci_dev *pdev;
	struct net_device *netdev;
	u8 __iomem *regs;
	const struct snap_device_status *status;
	u8 *slab;
	u32 slab_bytes;
	struct snap_queue *queue;
	u32 nqueues;
	u64 features;
	phys_addr_t window_start;
	void *window;
	u32 window_pages;
	u32 rx_low;
	struct snap_frames *frames;
	struct rw_semaphore life;
	bool gone;
	bool given_up;
	struct work_struct loss;
	struct mutex control_lock;	/* guards the mailbox's slab */
	struct list_head files;
	struct mutex files_lock;	/* guards files */
};

/* The first device that probed and is still there, or NULL; put it back. */
struct snap_dev *snap_dev_get(void);
void snap_dev_put(struct snap_dev *sd);

/**
 * snap_dev_enter() - before using the device
 * @sd: device
 *
 * Return: 0, and life is held for reading; or ENODEV.
 */
static inline int snap_dev_enter(struct snap_dev *sd)
{
	down_read(&sd->life);
	if (!sd->gone)
		return 0;
	up_read(&sd->life);
	return -ENODEV;
}

static inline void snap_dev_leave(struct snap_dev *sd)
{
	up_read(&sd->life);	/* of snap_dev_enter() */
}

/*
 * An address has become free: bind devices that were refused because orphans of
 * an earlier one had it.  Process context.
 */
void snap_pci_retry(void);

int snap_pci_register(void);
void snap_pci_unregister(void);

static inline u64 snap_read(const struct snap_dev *sd, u32 reg)
{
	return readq(sd->regs + reg);
}

static inline void snap_write(const struct snap_dev *sd, u32 reg, u64 value)
{
	writeq(value, sd->regs + reg);
}

/* 0 of a device that is gone, whose registers read as anything. */
static inline u64 snap_counter(const struct snap_dev *sd, enum snap_counter c)
{
	return READ_ONCE(sd->gone) ? 0 : snap_read(sd, SNAP_REG_COUNTERS + 8 * c);
}

/* Is it not there any more, so that its memory reads as anything? */
static inline bool snap_dev_lost(const struct snap_dev *sd)
{
	return snap_read(sd, SNAP_REG_MAGIC) != SNAP_MAGIC;
}

/*
 * The device does not answer, or not as it should: no command is issued any more,
 * one message says so, and the parts hear of it.  Any context.
 */
void snap_dev_lose(struct snap_dev *sd);

#endif /* SNAP_DEV_H */
