/* SPDX-License-Identifier: GPL-2.0-only */
/* SNAP_IOC_DIFF of a snapshot: which pages differ from another one. */
#ifndef SNAP_DIFF_H
#define SNAP_DIFF_H

struct snap_file;

int snap_diff(struct snap_file *s, void __user *arg);

#endif /* SNAP_DIFF_H */
