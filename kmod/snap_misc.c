// SPDX-License-Identifier: GPL-2.0-only
/* /dev/snap; Documentation/memory-api.rst describes its ioctls. */

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "snap.h"
#include "snap_dev.h"
#include "snap_frame.h"
#include "snap_misc.h"
#include "snap_region.h"
#include "snap_stats.h"
#include "snap_user.h"

/* A structure that starts with its size: fill as much as the caller has. */
static int snap_misc_fill(void __user *arg, void *from, u32 size)
{
	u32 room;

	if (get_user(room, (u32 __user *)arg))
		return -EFAULT;
	if (room < sizeof(u32) * 2)
		return -EINVAL;
	*(u32 *)from = min(room, size);
	return copy_to_user(arg, from, min(room, size)) ? -EFAULT : 0;
}

static int snap_misc_region_create(struct snap_dev *sd, void __user *arg)
{
	struct snap_region_args args;
	u32 size;
	int err;

	if (get_user(size, (u32 __user *)arg))
		return -EFAULT;
	if (size < sizeof(args))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	/* E2BIG for fields of a later version that are not zero */
	err = copy_struct_from_user(&args, sizeof(args), arg, size);
	return err ? err : snap_region_create(sd, &args);
}

static int snap_misc_info(struct snap_dev *sd, void __user *arg)
{
	struct snap_info info = {
		.abi_version = SNAP_ABI_VERSION,
		.features = sd->features,
		.window_pages = sd->window_pages,
		.used_frames = snap_region_used(),
		.frame_bytes = SNAP_FRAME_SIZE,
	};

	down_read(&sd->life);
	if (sd->gone) {
		up_read(&sd->life);
		return -ENODEV;
	}
	info.pool_frames = snap_frames_count(sd->frames);
	info.quota_frames = snap_user_region_quota(info.pool_frames);
	info.out_frames = snap_frames_out(sd->frames);
	info.device_version = snap_read(sd, SNAP_REG_VERSION);
	info.free_frames = snap_counter(sd, SNAP_CTR_FREE_FRAMES);
	info.ifindex = sd->netdev->ifindex;
	up_read(&sd->life);
	return snap_misc_fill(arg, &info, sizeof(info));
}

static_assert(ARRAY_SIZE(((struct snap_stats *)0)->device) >= SNAP_CTR_MAX);

static int snap_misc_stats(struct snap_dev *sd, void __user *arg)
{
	struct snap_stats *stats;
	unsigned int i;
	int err = 0;

	stats = kzalloc(sizeof(*stats), GFP_KERNEL);
	if (!stats)
		return -ENOMEM;
	snap_counts_read(snap_counts_of(current->nsproxy->net_ns),
			 &stats->sockets);
	if (sd) {
		down_read(&sd->life);
		if (!sd->gone) {
			stats->ncounters = SNAP_CTR_MAX;
			for (i = 0; i < SNAP_CTR_MAX; i++)
				stats->device[i] = snap_counter(sd, i);
		}
		up_read(&sd->life);
	}
	err = snap_misc_fill(arg, stats, sizeof(*stats));
	kfree(stats);
	return err;
}

static long snap_misc_ioctl(struct file *file, unsigned int cmd, unsigned long p)
{
	void __user *arg = (void __user *)p;
	struct snap_dev *sd = snap_dev_get();
	long ret;

	switch (cmd) {
	case SNAP_IOC_REGION_CREATE:
		ret = sd ? snap_misc_region_create(sd, arg) : -ENODEV;
		break;
	case SNAP_IOC_INFO:
		ret = sd ? snap_misc_info(sd, arg) : -ENODEV;
		break;
	case SNAP_IOC_STATS:
		ret = snap_misc_stats(sd, arg);
		break;
	default:
		ret = -ENOTTY;
	}
	if (sd)
		snap_dev_put(sd);
	return ret;
}

static const struct file_operations snap_misc_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = snap_misc_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice snap_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "snap",
	.fops = &snap_misc_fops,
	.mode = 0666,	/* quotas, not modes, protect the pool */
};

int snap_misc_init(void)
{
	return misc_register(&snap_misc);
}

void snap_misc_exit(void)
{
	misc_deregister(&snap_misc);
}
