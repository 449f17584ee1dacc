// SPDX-License-Identifier: GPL-2.0-only
/* Accounts of users; see user.h. */

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/jiffies.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/user_namespace.h>

#include "device/cmd_memory.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/user.h"
#include "snap_device.h"

static unsigned int user_quota = 40;
module_param(user_quota, uint, 0644);
MODULE_PARM_DESC(user_quota,
		 "percent of a pool, of the regions and of the snapshots that one user may have (CAP_SYS_RESOURCE: all)");

static unsigned int admin_reserve = 5;
module_param(admin_reserve, uint, 0644);
MODULE_PARM_DESC(admin_reserve,
		 "percent of a pool, of the regions and of the snapshots that only CAP_SYS_RESOURCE may draw from");

static unsigned int rx_quota = 25;
module_param(rx_quota, uint, 0644);
MODULE_PARM_DESC(rx_quota,
		 "percent of a pool that received packets may keep before their payload is copied out");

static LIST_HEAD(snap_users);
static DEFINE_SPINLOCK(snap_users_lock);	/* guards snap_users; innermost */

/* Of so many pages the map may need another frame. */
#define SNAP_BIND_NODES	128

/* One command at a time takes frames, so that each knows what is left. */
static DEFINE_MUTEX(snap_bind_lock);

/* Of all users, by kind. */
static atomic_t snap_user_objects[SNAP_OBJECT_SNAPSHOT + 1];

/* ---- Whose ------------------------------------------------------------------ */

/*
 * Whoever makes a user namespace may be many users in it, and has one account:
 * that of the owner of the outermost one, as far as that is a user.  What the
 * administrator makes, as a container manager does, is the account of its own
 * root; where that is the administrator, users are who they are outside.
 */
kuid_t snap_user_uid(void)
{
	struct user_namespace *ns = current_user_ns();
	kuid_t root, uid = current_uid();

	if (ns == &init_user_ns)
		return uid;
	while (ns->parent != &init_user_ns)
		ns = ns->parent;
	if (!uid_eq(ns->owner, GLOBAL_ROOT_UID))
		return ns->owner;
	root = make_kuid(ns, 0);
	return uid_valid(root) && !uid_eq(root, GLOBAL_ROOT_UID) ? root : uid;
}

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
	kuid_t uid = snap_user_uid();
	struct snap_user *user, *fresh;
	unsigned long flags;

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return NULL;
	refcount_set(&fresh->ref, 1);
	fresh->uid = uid;
	fresh->asked = jiffies - 1;
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

void snap_user_hold(struct snap_user *user, u32 n)
{
	refcount_add(n, &user->ref);
}

void snap_user_put(struct snap_user *user, u32 n)
{
	unsigned long flags;

	if (!refcount_sub_and_test(n, &user->ref))
		return;
	spin_lock_irqsave(&snap_users_lock, flags);
	list_del(&user->list);
	spin_unlock_irqrestore(&snap_users_lock, flags);
	kfree(user);
}

u32 snap_user_owner(const struct snap_user *user)
{
	return from_kuid(&init_user_ns, user->uid);
}

/* Asked where the answer is no otherwise: a denial is nothing to audit. */
bool snap_user_unlimited(const struct snap_user *user)
{
	return uid_eq(user->uid, snap_user_uid()) &&
	       ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE);
}

/* ---- How much --------------------------------------------------------------- */

static u32 snap_user_percent(u32 n, const unsigned int *percent)
{
	return (u64)n * min(READ_ONCE(*percent), 100u) / 100;
}

u32 snap_user_quota(u32 frames)
{
	if (ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE))
		return frames;
	return snap_user_percent(frames, &user_quota);
}

u32 snap_user_reception_quota(u32 frames)
{
	return snap_user_percent(frames, &rx_quota);
}

/*
 * The device keeps twice RX_LOW back from all but reception; one more is what
 * reception may take while others have all they can get.
 */
u32 snap_user_kept(const struct snap_dev *sd)
{
	return 3 * sd->rx_low +
	       snap_user_percent(snap_frames_count(sd->frames), &admin_reserve);
}

/*
 * What somebody who has some may have, so that no less stays free: of a growth g,
 * has + g <= free - kept - g.
 */
static u32 snap_user_limit(u32 total, u32 free, u32 kept, u32 has)
{
	u32 room = free - min(free, kept);

	return min(snap_user_percent(total, &user_quota), (has + room) / 2);
}

static u32 snap_user_frame_limit(const struct snap_dev *sd, u32 has)
{
	return snap_user_limit(snap_frames_count(sd->frames),
			       le32_to_cpu(READ_ONCE(sd->status->free_frames)),
			       snap_user_kept(sd), has);
}

bool snap_user_add_object(struct snap_user *user, enum snap_object_kind kind)
{
	u32 most = kind == SNAP_OBJECT_REGION ? SNAP_REGIONS_MAX :
						SNAP_SNAPSHOTS_MAX;
	u32 all = atomic_inc_return(&snap_user_objects[kind]) - 1;
	u32 has = atomic_inc_return(&user->objects[kind]) - 1;

	if (has < snap_user_limit(most, most - min(all, most),
				  snap_user_percent(most, &admin_reserve), has) ||
	    snap_user_unlimited(user))
		return true;
	snap_user_remove_object(user, kind);
	return false;
}

void snap_user_remove_object(struct snap_user *user, enum snap_object_kind kind)
{
	atomic_dec(&user->objects[kind]);
	atomic_dec(&snap_user_objects[kind]);
}

bool snap_user_try(struct snap_user *user, const struct snap_dev *sd, u32 n)
{
	u32 has = atomic_fetch_add(n, &user->frames) + READ_ONCE(user->bound);

	if (has + n <= snap_user_frame_limit(sd, has))
		return true;
	snap_user_uncharge(user, n);
	return false;
}

/*
 * What regions and snapshots have; without an answer it is what it was.  If it was
 * of another device, that one is gone: snap_dev_get() gives the next only then, and so
 * nobody has regions at two that live.
 */
static void snap_user_ask(struct snap_user *user, struct snap_dev *sd)
{
	struct snap_object o;

	lockdep_assert_held(&snap_bind_lock);
	if (user->dev != sd) {
		user->dev = sd;
		WRITE_ONCE(user->bound, 0);
	}
	WRITE_ONCE(user->asked, jiffies);
	if (!snap_cmd_info(sd, 0, snap_user_owner(user), &o))
		WRITE_ONCE(user->bound, le32_to_cpu(o.charged));
}

bool snap_user_charge(struct snap_user *user, struct snap_dev *sd, u32 n)
{
	if (snap_user_try(user, sd, n))
		return true;
	if (snap_user_unlimited(user)) {
		snap_user_add(user, n);
		return true;
	}
	/*
	 * Frames may have come home that the device counted in the meantime.  Who
	 * sends does not wait for a command, nor ask for each message.
	 */
	if (!time_after(jiffies, READ_ONCE(user->asked)) ||
	    !mutex_trylock(&snap_bind_lock))
		return false;
	snap_user_ask(user, sd);
	mutex_unlock(&snap_bind_lock);
	return snap_user_try(user, sd, n);
}

void snap_bind_begin(struct snap_bind *b, struct snap_user *user,
		     struct snap_dev *sd, u32 npages)
{
	u32 limit, frames, has;

	b->user = user;
	b->taken = npages + npages / SNAP_BIND_NODES + 2;
	b->quota = SNAP_QUOTA_NONE;
	mutex_lock(&snap_bind_lock);
	if (!snap_user_unlimited(user)) {
		snap_user_ask(user, sd);
		frames = atomic_read(&user->frames);
		has = frames + user->bound;
		limit = snap_user_frame_limit(sd, has);
		b->quota = limit - min(limit, frames);
		b->taken = min(b->taken, limit - min(limit, has));
	}
	snap_user_add(user, b->taken);
}

/* Whatever the command has done: @bound is what it is at most. */
void snap_bind_end(struct snap_bind *b)
{
	WRITE_ONCE(b->user->bound,
		   min(b->user->bound + b->taken, SNAP_QUOTA_NONE / 2));
	snap_user_uncharge(b->user, b->taken);
	mutex_unlock(&snap_bind_lock);	/* of snap_bind_begin() */
}

void snap_user_unbind(struct snap_user *user, struct snap_dev *sd)
{
	if (snap_user_unlimited(user))
		return;		/* asked when it matters */
	mutex_lock(&snap_bind_lock);
	snap_user_ask(user, sd);
	mutex_unlock(&snap_bind_lock);
}
