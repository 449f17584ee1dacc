/* SPDX-License-Identifier: GPL-2.0-only */
/* /proc/net/snap: the sockets of the reader's network namespace. */
#ifndef SNAP_PROC_H
#define SNAP_PROC_H

int snap_proc_init(void);
void snap_proc_exit(void);

#endif /* SNAP_PROC_H */
