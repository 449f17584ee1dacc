// SPDX-License-Identifier: GPL-2.0-only
/* Regions and snapshots as files; see file.h. */

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/seq_file.h>

#include "device/cmd_memory.h"
#include "device/dev.h"
#include "device/part.h"
#include "device/user.h"
#include "memory/args.h"
#include "memory/file.h"

int snap_file_init(struct snap_file *f, struct snap_dev *sd,
		   struct snap_user *user, enum snap_object_kind kind,
		   u32 npages)
{
	if (!snap_user_add_object(user, kind))
		return -EDQUOT;
	snap_user_hold(user, 1);
	kref_get(&sd->ref);
	f->sd = sd;
	f->user = user;
	f->kind = kind;
	f->npages = npages;
	return 0;
}

void snap_file_exit(struct snap_file *f)
{
	snap_user_remove_object(f->user, f->kind);
	snap_user_put(f->user, 1);
	snap_dev_put(f->sd);
}

int snap_file_publish(struct snap_file *f, const char *name,
		      const struct file_operations *fops, int flags)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	/* An inode of its own: the mapping to zap must be this object's only. */
	file = anon_inode_create_getfile(name, fops, f, flags, NULL);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	/* as of a file on a disk: pread() works, pwrite() gets EBADF */
	if (fops->llseek)
		file->f_mode |= FMODE_PREAD | FMODE_PWRITE | FMODE_ATOMIC_POS;
	i_size_write(file_inode(file), snap_file_bytes(f));
	f->mapping = file->f_mapping;
	mutex_lock(&f->sd->files_lock);
	list_add(&f->list, &f->sd->files);
	mutex_unlock(&f->sd->files_lock);
	fd_install(fd, file);
	return fd;
}

void snap_file_withdraw(struct snap_file *f)
{
	mutex_lock(&f->sd->files_lock);
	list_del(&f->list);
	mutex_unlock(&f->sd->files_lock);
}

/* Take all of a device out of the mappings: accesses get SIGBUS. */
static void snap_file_zap_all(struct snap_dev *sd)
{
	struct snap_file *f;

	mutex_lock(&sd->files_lock);
	list_for_each_entry(f, &sd->files, list)
		unmap_mapping_range(f->mapping, 0, 0, 1);
	mutex_unlock(&sd->files_lock);
}

static struct snap_part snap_file_part = {
	.give_up = snap_file_zap_all,
};

void __init snap_files_init(void)
{
	snap_part_register(&snap_file_part);
}

void snap_files_exit(void)
{
	snap_part_unregister(&snap_file_part);
}

static int snap_file_ask(struct snap_file *f, struct snap_object *o)
{
	int err = snap_dev_enter(f->sd);

	if (err)
		return err;
	err = snap_cmd_info(f->sd, f->handle, 0, o);
	snap_dev_leave(f->sd);
	return err;
}

int snap_file_info(struct snap_file *f, void __user *arg)
{
	struct snap_object_info info = {
		.kind = f->kind,
		.length = snap_file_bytes(f),
		.handle = f->handle,
		.owner = snap_user_owner(f->user),
	};
	struct snap_object o;
	int err = snap_file_ask(f, &o);

	if (err)
		return err;
	info.version = le64_to_cpu(o.version);
	info.populated_frames = le32_to_cpu(o.populated);
	info.reserved_frames = le32_to_cpu(o.reserved_frames);
	info.shared_pages = le64_to_cpu(o.shared_pages);
	info.copied_pages = le64_to_cpu(o.copied_pages);
	info.write_faults = le64_to_cpu(o.write_faults);
	info.dirty = le32_to_cpu(o.dirty);
	info.sharing = le32_to_cpu(o.sharing);
	return snap_args_fill(arg, &info, sizeof(info));
}

/* Of a removed device only what is known here. */
void snap_file_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct snap_file *f = file->private_data;
	struct snap_object o;

	seq_printf(m, "snap-kind:\t%s\nsnap-handle:\t%#x\nsnap-pages:\t%u\nsnap-owner:\t%u\n",
		   f->kind == SNAP_OBJECT_REGION ? "region" : "snapshot",
		   f->handle, f->npages, snap_user_owner(f->user));
	if (snap_file_ask(f, &o))
		return;
	seq_printf(m, "snap-version:\t%llu\nsnap-populated:\t%u\nsnap-reserved:\t%u\nsnap-dirty:\t%u\n",
		   le64_to_cpu(o.version), le32_to_cpu(o.populated),
		   le32_to_cpu(o.reserved_frames), le32_to_cpu(o.dirty));
}
