/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arguments of ioctls: structures that start with their size in bytes, a u32,
 * and may grow from one version to the next.
 */
#ifndef SNAP_ARGS_H
#define SNAP_ARGS_H

#include <linux/types.h>

/**
 * snap_args_read() - copy a structure in
 * @args: filled
 * @size: of the structure as this module knows it
 * @least: of its first version, SNAP_*_SIZE_VER0
 * @from: the caller's; what this module knows and the caller does not is zero
 *
 * Return: 0; EFAULT; EINVAL if the caller's is shorter than the first version;
 * E2BIG if what this module does not know of it is not zero, or if it is over a
 * page.
 */
int snap_args_read(void *args, u32 size, u32 least, const void __user *from);

/**
 * snap_args_write() - copy a structure out that was read, as much as the caller has
 * @to: the caller's
 * @args: the structure, with the size that the caller gave
 * @size: of the structure as this module knows it
 *
 * Return: 0 or EFAULT.
 */
int snap_args_write(void __user *to, const void *args, u32 size);

/**
 * snap_args_fill() - copy a structure out, as much as the caller has room for
 * @to: the caller's, whose size is read and overwritten
 * @args: the structure
 * @size: its size
 *
 * Return: 0; EFAULT; EINVAL for less room than 8 bytes.
 */
int snap_args_fill(void __user *to, void *args, u32 size);

#endif /* SNAP_ARGS_H */
