/* SPDX-License-Identifier: GPL-2.0-only */
/* Snapshots: a whole region at one instant, to be mapped and read. */
#ifndef SNAP_SNAPSHOT_H
#define SNAP_SNAPSHOT_H

#include "memory/file.h"

/**
 * snap_snapshot_create() - a snapshot as a file descriptor
 * @region: what it is of
 * @arg: struct snap_snapshot_args of the caller
 *
 * Return: descriptor, or EFAULT, EINVAL, E2BIG, EOPNOTSUPP, EDQUOT, ENOSPC,
 * ENODEV, ENOMEM, EMFILE, ENFILE, EIO.
 */
int snap_snapshot_create(struct snap_file *region, void __user *arg);

/**
 * snap_snapshot_get() - the snapshot behind a descriptor of the caller
 * @fd: descriptor
 * @peer: region or snapshot that it must fit
 * @snapshot: filled
 *
 * Return: the file, which holds the snapshot until fput(); EBADF: no
 * descriptor; EINVAL: not a snapshot, of another device or length.
 */
struct file *snap_snapshot_get(int fd, const struct snap_file *peer,
			       struct snap_file **snapshot);

#endif /* SNAP_SNAPSHOT_H */
