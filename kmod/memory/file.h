/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What regions and snapshots have in common: an object of the device behind a
 * file.  Each descriptor and each mapping holds the file; with the last of
 * them the object ends.  Frames that captures hold outlive it.
 */
#ifndef SNAP_FILE_H
#define SNAP_FILE_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/types.h>

#include "snap.h"

struct seq_file;
struct snap_dev;
struct snap_user;

/**
 * struct snap_file - a region or snapshot
 * @sd: its device; holds a reference
 * @user: who is charged for it and its captures; holds a reference
 * @list: in the device's list, from the publication on
 * @mapping: of the file; valid while in the list
 * @kind: what it is
 * @handle: the device's name for it
 * @npages: length
 */
struct snap_file {
	struct snap_dev *sd;
	struct snap_user *user;
	struct list_head list;
	struct address_space *mapping;
	enum snap_object_kind kind;
	u32 handle;
	u32 npages;
};

/* Takes the references; EDQUOT when the user has too many of that kind. */
int snap_file_init(struct snap_file *f, struct snap_dev *sd,
		   struct snap_user *user, enum snap_object_kind kind,
		   u32 npages);
void snap_file_exit(struct snap_file *f);

/**
 * snap_file_publish() - make the descriptor, the last step of a creation
 * @f: initialised, and its handle known
 * @name: as in /proc/PID/maps
 * @fops: its private_data is @f
 * @flags: O_RDWR or O_RDONLY
 *
 * Return: descriptor, whose file owns @f; or EMFILE, ENFILE, ENOMEM.
 */
int snap_file_publish(struct snap_file *f, const char *name,
		      const struct file_operations *fops, int flags);

/* The first step of a release: removal does not find it any more. */
void snap_file_withdraw(struct snap_file *f);

static inline u64 snap_file_bytes(const struct snap_file *f)
{
	return (u64)f->npages << PAGE_SHIFT;
}

/* SNAP_IOC_OBJECT_INFO, and .show_fdinfo, whose private_data is a snap_file. */
int snap_file_info(struct snap_file *f, void __user *arg);
void snap_file_show_fdinfo(struct seq_file *m, struct file *file);

/* Devices take what is theirs out of the mappings when they go. */
void snap_files_init(void);
void snap_files_exit(void);

#endif /* SNAP_FILE_H */
