// SPDX-License-Identifier: GPL-2.0-only
/* Commands on regions and snapshots; see cmd_memory.h. */

#include "device/cmd.h"
#include "device/cmd_memory.h"
#include "device/dev.h"

/* The window of a new region is mapped by applications: it must be one. */
static int snap_cmd_window(struct snap_dev *sd, u32 window_page, u32 npages)
{
	if (window_page < sd->window_pages &&
	    npages <= sd->window_pages - window_page)
		return 0;
	dev_err_ratelimited(&sd->pdev->dev, "region outside of the windows\n");
	return -EIO;
}

int snap_cmd_region_create(struct snap_dev *sd,
			   const struct snap_region_spec *spec,
			   u32 *region, u32 *window_page)
{
	struct snap_region_create c = {
		.e.flags = cpu_to_le16(spec->flags),
		.npages = cpu_to_le32(spec->npages),
		.hint = cpu_to_le32(spec->hint),
		.owner = cpu_to_le32(spec->owner),
		.quota = cpu_to_le32(spec->quota),
	};
	int err = snap_cmd_mail(sd, &c.e, sizeof(c), SNAP_OP_REGION_CREATE);

	if (err)
		return err;
	*region = le32_to_cpu(c.region);
	*window_page = le32_to_cpu(c.window_page);
	return snap_cmd_window(sd, *window_page, spec->npages);
}

int snap_cmd_region_destroy(struct snap_dev *sd, u32 region)
{
	struct snap_region_destroy c = { .region = cpu_to_le32(region) };

	return snap_cmd_mail(sd, &c.e, sizeof(c), SNAP_OP_REGION_DESTROY);
}

int snap_cmd_snapshot(struct snap_dev *sd, u32 region, u32 quota,
		      u32 *snapshot, u64 *version)
{
	struct snap_snapshot_create c = {
		.region = cpu_to_le32(region),
		.quota = cpu_to_le32(quota),
	};
	int err = snap_cmd_mail(sd, &c.e, sizeof(c), SNAP_OP_SNAPSHOT);

	if (err)
		return err;
	*snapshot = le32_to_cpu(c.snapshot);
	*version = le64_to_cpu(c.version);
	return 0;
}

int snap_cmd_snapshot_drop(struct snap_dev *sd, u32 snapshot)
{
	struct snap_snapshot_drop c = { .snapshot = cpu_to_le32(snapshot) };

	return snap_cmd_mail(sd, &c.e, sizeof(c), SNAP_OP_SNAPSHOT_DROP);
}

int snap_cmd_clone(struct snap_dev *sd, u32 snapshot,
		   const struct snap_region_spec *spec,
		   u32 *region, u32 *window_page)
{
	struct snap_clone c = {
		.snapshot = cpu_to_le32(snapshot),
		.hint = cpu_to_le32(spec->hint),
		.owner = cpu_to_le32(spec->owner),
		.quota = cpu_to_le32(spec->quota),
	};
	int err = snap_cmd_mail(sd, &c.e, sizeof(c), SNAP_OP_CLONE);

	if (err)
		return err;
	*region = le32_to_cpu(c.region);
	*window_page = le32_to_cpu(c.window_page);
	return snap_cmd_window(sd, *window_page, spec->npages);
}

int snap_cmd_commit(struct snap_dev *sd, u32 region, u32 from, u32 quota,
		    u64 *version)
{
	struct snap_commit c = {
		.region = cpu_to_le32(region),
		.from = cpu_to_le32(from),
		.quota = cpu_to_le32(quota),
		.version = cpu_to_le64(*version),
	};
	int err = snap_cmd_mail(sd, &c.e, sizeof(c), SNAP_OP_COMMIT);

	if (!err)
		*version = le64_to_cpu(c.version);
	return err;
}

int snap_cmd_merge(struct snap_dev *sd, struct snap_merge *m)
{
	return snap_cmd_mail(sd, &m->e, sizeof(*m), SNAP_OP_MERGE);
}

int snap_cmd_diff(struct snap_dev *sd, struct snap_diff *d)
{
	return snap_cmd_mail(sd, &d->e, sizeof(*d), SNAP_OP_DIFF);
}

int snap_cmd_discard(struct snap_dev *sd, u32 region, u32 first, u32 npages)
{
	struct snap_discard c = {
		.region = cpu_to_le32(region),
		.first = cpu_to_le32(first),
		.npages = cpu_to_le32(npages),
	};

	return snap_cmd_mail(sd, &c.e, sizeof(c), SNAP_OP_DISCARD);
}

int snap_cmd_info(struct snap_dev *sd, u32 handle, u32 owner,
		  struct snap_object *o)
{
	memset(o, 0, sizeof(*o));
	o->handle = cpu_to_le32(handle);
	o->owner = cpu_to_le32(owner);
	return snap_cmd_mail(sd, &o->e, sizeof(*o), SNAP_OP_INFO);
}
