/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/snap: creation of regions, information, statistics. */
#ifndef SNAP_MISC_H
#define SNAP_MISC_H

int snap_misc_init(void);
void snap_misc_exit(void);

#endif /* SNAP_MISC_H */
