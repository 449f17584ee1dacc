/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SNAP_DIFF_H
#define SNAP_DIFF_H

struct snap_file;

/* SNAP_IOC_DIFF of a snapshot: which pages differ from another one. */
int snap_diff(struct snap_file *s, void __user *arg);

#endif /* SNAP_DIFF_H */
