// SPDX-License-Identifier: GPL-2.0-only
/* Arguments of ioctls; see args.h. */

#include <linux/mm.h>
#include <linux/uaccess.h>

#include "memory/args.h"

int snap_args_read(void *args, u32 size, u32 least, const void __user *from)
{
	u32 have;
	int err;

	if (get_user(have, (const u32 __user *)from))
		return -EFAULT;
	if (have < least)
		return -EINVAL;
	if (have > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(args, size, from, have);
	/* what has been judged, whatever is there by now */
	*(u32 *)args = have;
	return err;
}

int snap_args_write(void __user *to, const void *args, u32 size)
{
	return copy_to_user(to, args, min(*(const u32 *)args, size)) ? -EFAULT : 0;
}

int snap_args_fill(void __user *to, void *args, u32 size)
{
	u32 room;

	if (get_user(room, (u32 __user *)to))
		return -EFAULT;
	if (room < sizeof(u32) * 2)
		return -EINVAL;
	*(u32 *)args = min(room, size);
	return copy_to_user(to, args, min(room, size)) ? -EFAULT : 0;
}
