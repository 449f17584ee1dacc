// SPDX-License-Identifier: GPL-2.0-only
/* /dev/snap; Documentation/memory-api.rst describes its ioctls. */

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/slab.h>

#include "device/cmd_memory.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/user.h"
#include "memory/args.h"
#include "memory/misc.h"
#include "memory/region.h"
#include "observe/stats.h"
#include "snap.h"

/* The caller holds life for reading. */
static int snap_misc_info_read(struct snap_dev *sd, struct snap_info *info)
{
	struct snap_object o;
	int err = snap_cmd_info(sd, 0, from_kuid(&init_user_ns, snap_user_uid()), &o);

	if (err)
		return err;
	info->pool_frames = snap_frames_count(sd->frames);
	info->quota_frames = snap_user_quota(info->pool_frames);
	info->used_frames = le32_to_cpu(o.charged);
	info->out_frames = snap_frames_out(sd->frames);
	info->device_version = snap_read(sd, SNAP_REG_VERSION);
	info->free_frames = snap_counter(sd, SNAP_CTR_FREE_FRAMES);
	info->ifindex = sd->netdev->ifindex;
	return 0;
}

static int snap_misc_info(struct snap_dev *sd, void __user *arg)
{
	struct snap_info info = {
		.abi_version = SNAP_ABI_VERSION,
		.features = sd->features,
		.window_pages = sd->window_pages,
		.frame_bytes = SNAP_FRAME_SIZE,
	};
	int err = snap_dev_enter(sd);

	if (err)
		return err;
	err = snap_misc_info_read(sd, &info);
	snap_dev_leave(sd);
	return err ? err : snap_args_fill(arg, &info, sizeof(info));
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
	snap_counts_read_net(current->nsproxy->net_ns, &stats->sockets);
	if (sd && !snap_dev_enter(sd)) {
		stats->ncounters = SNAP_CTR_MAX;
		for (i = 0; i < SNAP_CTR_MAX; i++)
			stats->device[i] = snap_counter(sd, i);
		snap_dev_leave(sd);
	}
	err = snap_args_fill(arg, stats, sizeof(*stats));
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
		ret = sd ? snap_region_create(sd, arg) : -ENODEV;
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
