/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of the module that a device is made known to when it comes, and
 * that let go of it when it goes: device/ calls them by this table alone.
 *
 * They register before the PCI driver does, and unregister after it: the table
 * is constant as long as there may be a device, and needs no lock.
 */
#ifndef SNAP_PART_H
#define SNAP_PART_H

#include <linux/list.h>

struct snap_dev;

/**
 * struct snap_part - what a part does with a device, in the order of its life
 * @list: in the table
 * @create: the device has memory and vectors, but does not run: prepare
 * @publish: the device runs: show what was prepared
 * @detach: somebody resets the device, or it is lost: begin nothing new with it, and
 *	end what goes on by itself
 * @withdraw: the device is about to go: undo @publish
 * @give_up: the device is gone, and nobody is between snap_dev_enter() and
 *	snap_dev_leave(): take its memory away from applications
 * @destroy: undo @create
 *
 * Any may be NULL.  @create, @publish, @detach and @give_up are called in the order
 * of the table; @withdraw and @destroy undo, and are called in the reverse one.  If one
 * part fails, those before it undo what they have done.  After @detach comes
 * @give_up, and all the rest with the removal, where @give_up comes again.
 *
 * Context: process, with the lock of the PCI device; or, for the loss of a device,
 * in a work whose end all others wait for.
 */
struct snap_part {
	struct list_head list;
	int (*create)(struct snap_dev *sd);
	int (*publish)(struct snap_dev *sd);
	void (*detach)(struct snap_dev *sd);
	void (*withdraw)(struct snap_dev *sd);
	void (*give_up)(struct snap_dev *sd);
	void (*destroy)(struct snap_dev *sd);
};

/* At the end of the table; while the PCI driver is not registered. */
void snap_part_register(struct snap_part *part);
void snap_part_unregister(struct snap_part *part);

/* Of all parts; an error: none has done it. */
int snap_parts_create(struct snap_dev *sd);
int snap_parts_publish(struct snap_dev *sd);
void snap_parts_detach(struct snap_dev *sd);
void snap_parts_withdraw(struct snap_dev *sd);
void snap_parts_give_up(struct snap_dev *sd);
void snap_parts_destroy(struct snap_dev *sd);

#endif /* SNAP_PART_H */
