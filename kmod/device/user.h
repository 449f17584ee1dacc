/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each user holds of a pool, so that nobody exhausts it for others.
 *
 * A user has one account, and one budget for all that is charged to it: what
 * regions and snapshots have of frames and promises, which the device counts, and
 * what the guest holds for the user, which is counted here: frames of captures
 * in flight, mapped pages of snapshots, pages in views, and what was received and is
 * sent on from there.  The account may grow if
 *
 *   it has at most user_quota percent of the pool afterwards, and
 *   it has at most what stays free afterwards, beside what is kept back:
 *	admin_reserve percent, and what reception has for itself.
 *
 * The second rule is why many users cannot take all together: each finds half of
 * what the one before has left.  Neither binds a caller with CAP_SYS_RESOURCE,
 * for what goes on the caller's own account.
 *
 * Locks: snap_bind_lock > control_lock; the caller of what takes it has life.
 */
#ifndef SNAP_USER_H
#define SNAP_USER_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>

#include "snap.h"

struct snap_dev;

/**
 * struct snap_user - account of one user
 * @ref: held by each region, snapshot and view, and by each frame charged here
 * @uid: whose
 * @list: in the list of all users
 * @objects: regions and snapshots, by enum snap_object_kind
 * @frames: what the guest holds, and what a command under way may take
 * @bound: what regions and snapshots have at most, of @dev; snap_bind_lock
 * @dev: the device that @bound is of; compared, not followed; snap_bind_lock
 * @asked: in jiffies: when the device was asked for @bound; snap_bind_lock
 */
struct snap_user {
	refcount_t ref;
	kuid_t uid;
	struct list_head list;
	atomic_t objects[SNAP_OBJECT_SNAPSHOT + 1];
	atomic_t frames;
	u32 bound;
	const struct snap_dev *dev;
	unsigned long asked;
};

/**
 * struct snap_bind - a command that takes frames for regions and snapshots
 * @user: who pays
 * @quota: for the device: frames that the user may have, or SNAP_QUOTA_NONE
 * @taken: charged meanwhile: what the command may take
 */
struct snap_bind {
	struct snap_user *user;
	u32 quota;
	u32 taken;
};

/*
 * The account of the current user; NULL without memory.  May sleep.
 *
 * The real user id, as with the limits of processes: a setuid program is its
 * caller's.  User namespaces make no new accounts: see snap_user_uid().
 */
struct snap_user *snap_user_get(void);
/* The user id of that account. */
kuid_t snap_user_uid(void);
/* So many references more, or fewer.  Any context. */
void snap_user_hold(struct snap_user *user, u32 n);
void snap_user_put(struct snap_user *user, u32 n);

/* The device's name for the user: the id in the initial user namespace. */
u32 snap_user_owner(const struct snap_user *user);

/* What the current user may have at most of so many frames. */
u32 snap_user_quota(u32 frames);
/* Received packets may keep so many of so many frames. */
u32 snap_user_reception_quota(u32 frames);
/* Free frames that reception and everybody but the administrator leave alone. */
u32 snap_user_kept(const struct snap_dev *sd);

/* One object more; false, and nothing charged, if there are too many. */
bool snap_user_add_object(struct snap_user *user, enum snap_object_kind kind);
void snap_user_remove_object(struct snap_user *user, enum snap_object_kind kind);

/* Do quotas not bind the caller, for what goes on this account? */
bool snap_user_unlimited(const struct snap_user *user);

/*
 * Charge frames that the guest holds; false, and nothing charged, if the account
 * may not grow so far.  Any context; the device has memory.
 */
bool snap_user_try(struct snap_user *user, const struct snap_dev *sd, u32 n);

/**
 * snap_user_charge() - the same, and ask the device before saying no
 * @user: who pays
 * @sd: device, with life held for reading
 * @n: frames
 *
 * Context: process.
 */
bool snap_user_charge(struct snap_user *user, struct snap_dev *sd, u32 n);

static inline void snap_user_add(struct snap_user *user, u32 n)
{
	atomic_add(n, &user->frames);
}

static inline void snap_user_uncharge(struct snap_user *user, u32 n)
{
	atomic_sub(n, &user->frames);
}

/**
 * snap_bind_begin() - before a command that takes frames for an owner
 * @b: filled; @b->quota is what the command is given
 * @user: the owner
 * @sd: device, with life held for reading
 * @npages: of the region or snapshot: the command takes no more, and its map
 *
 * Until snap_bind_end() no other user's command begins: what is free is what it was.
 * Context: process.
 */
void snap_bind_begin(struct snap_bind *b, struct snap_user *user,
		     struct snap_dev *sd, u32 npages);
void snap_bind_end(struct snap_bind *b);

/* Regions or snapshots of the user have fewer frames now; as snap_bind_begin(). */
void snap_user_unbind(struct snap_user *user, struct snap_dev *sd);

#endif /* SNAP_USER_H */
