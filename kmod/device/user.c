// SPDX-License-Identifier: GPL-2.0-only
/* Accounts of users; see user.h. */

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "device/user.h"
#include "snap_device.h"

static unsigned int region_quota_pct = 50;
module_param(region_quota_pct, uint, 0644);
MODULE_PARM_DESC(region_quota_pct,
		 "percent of a pool that regions and snapshots of one user may take (CAP_SYS_RESOURCE: all)");

static unsigned int flight_quota_pct = 50;
module_param(flight_quota_pct, uint, 0644);
MODULE_PARM_DESC(flight_quota_pct,
		 "percent of a pool that captures of one user in flight may take");

static LIST_HEAD(snap_users);
static DEFINE_SPINLOCK(snap_users_lock);	/* guards snap_users; innermost */

static struct snap_user *snap_user_find(kuid_t uid)
{
	struct snap_user *user;

	lockdep_assert_held(&snap_users_lock);
	list_for_each_entry(user, &snap_users, list)
		if (uid_eq(user->uid, uid) && refcount_inc_not_zero(&user->ref))
			return user;
	return NULL;
}

struct snap_user *snap_user_get(void)
{
	kuid_t uid = current_uid();
	struct snap_user *user, *fresh;
	unsigned long flags;

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return NULL;
	refcount_set(&fresh->ref, 1);
	fresh->uid = uid;
	spin_lock_irqsave(&snap_users_lock, flags);
	user = snap_user_find(uid);
	if (!user) {
		user = fresh;
		fresh = NULL;
		list_add(&user->list, &snap_users);
	}
	spin_unlock_irqrestore(&snap_users_lock, flags);
	kfree(fresh);
	return user;
}

void snap_user_hold(struct snap_user *user)
{
	refcount_inc(&user->ref);
}

void snap_user_put(struct snap_user *user)
{
	unsigned long flags;

	if (!refcount_dec_and_test(&user->ref))
		return;
	spin_lock_irqsave(&snap_users_lock, flags);
	list_del(&user->list);
	spin_unlock_irqrestore(&snap_users_lock, flags);
	kfree(user);
}

static u32 snap_user_percent(u32 frames, unsigned int percent)
{
	return (u64)frames * min(percent, 100u) / 100;
}

u32 snap_user_owner(const struct snap_user *user)
{
	return from_kuid(&init_user_ns, user->uid);
}

u32 snap_user_region_quota(u32 pool_frames)
{
	if (capable(CAP_SYS_RESOURCE))
		return SNAP_QUOTA_NONE;
	return snap_user_percent(pool_frames, READ_ONCE(region_quota_pct));
}

u32 snap_user_object_quota(enum snap_object_kind kind)
{
	if (capable(CAP_SYS_RESOURCE))
		return INT_MAX;		/* the device refuses in time */
	return snap_user_percent(kind == SNAP_OBJECT_REGION ? SNAP_REGIONS_MAX :
							      SNAP_SNAPSHOTS_MAX,
				 READ_ONCE(region_quota_pct));
}

u32 snap_user_flight_quota(u32 pool_frames)
{
	return snap_user_percent(pool_frames, READ_ONCE(flight_quota_pct));
}

bool snap_user_charge(atomic_t *account, u32 frames, u32 quota)
{
	if (atomic_add_return(frames, account) <= (int)quota)
		return true;
	atomic_sub(frames, account);
	return false;
}
