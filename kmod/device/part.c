// SPDX-License-Identifier: GPL-2.0-only
/* What is to be told of a device, and to whom; see part.h. */

#include "device/part.h"

static LIST_HEAD(snap_parts);

void snap_part_register(struct snap_part *part)
{
	list_add_tail(&part->list, &snap_parts);
}

void snap_part_unregister(struct snap_part *part)
{
	list_del(&part->list);
}

int snap_parts_create(struct snap_dev *sd)
{
	struct snap_part *part;
	int err;

	list_for_each_entry(part, &snap_parts, list) {
		err = part->create ? part->create(sd) : 0;
		if (err)
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(part, &snap_parts, list)
		if (part->destroy)
			part->destroy(sd);
	return err;
}

int snap_parts_publish(struct snap_dev *sd)
{
	struct snap_part *part;
	int err;

	list_for_each_entry(part, &snap_parts, list) {
		err = part->publish ? part->publish(sd) : 0;
		if (err)
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(part, &snap_parts, list)
		if (part->withdraw)
			part->withdraw(sd);
	return err;
}

void snap_parts_detach(struct snap_dev *sd)
{
	struct snap_part *part;

	list_for_each_entry(part, &snap_parts, list)
		if (part->detach)
			part->detach(sd);
}

void snap_parts_withdraw(struct snap_dev *sd)
{
	struct snap_part *part;

	list_for_each_entry_reverse(part, &snap_parts, list)
		if (part->withdraw)
			part->withdraw(sd);
}

void snap_parts_give_up(struct snap_dev *sd)
{
	struct snap_part *part;

	list_for_each_entry(part, &snap_parts, list)
		if (part->give_up)
			part->give_up(sd);
}

void snap_parts_destroy(struct snap_dev *sd)
{
	struct snap_part *part;

	list_for_each_entry_reverse(part, &snap_parts, list)
		if (part->destroy)
			part->destroy(sd);
}
