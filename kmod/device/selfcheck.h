/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Before a device is offered to anybody: does this kernel do with pages of devices
 * what frame.h says?
 *
 * Kernels change what they do with such pages, and not all of it shows when the module
 * is built.  Frames that do not come home are missed one by one, and late.
 */
#ifndef SNAP_SELFCHECK_H
#define SNAP_SELFCHECK_H

struct snap_dev;

/**
 * snap_selfcheck() - take one frame through its whole life
 * @sd: device that runs, and that nobody uses yet
 *
 * Return: 0; or an error, and one line says what is wrong.  A frame may be out then.
 */
int snap_selfcheck(struct snap_dev *sd);

#endif /* SNAP_SELFCHECK_H */
