/* SPDX-License-Identifier: GPL-2.0-only */
/* What each user holds of a pool, so that nobody exhausts it for others. */
#ifndef SNAP_USER_H
#define SNAP_USER_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>

#include "snap.h"

/**
 * struct snap_user - account of one user
 * @ref: held by each region and snapshot, and by each frame charged here
 * @uid: whose
 * @list: in the list of all users
 * @objects: regions and snapshots, by enum snap_object_kind; the device counts
 *	their frames
 * @flight_frames: frames of captures that are still in use
 */
struct snap_user {
	refcount_t ref;
	kuid_t uid;
	struct list_head list;
	atomic_t objects[SNAP_OBJECT_SNAPSHOT + 1];
	atomic_t flight_frames;
};

/* The account of the current user; NULL without memory.  May sleep. */
struct snap_user *snap_user_get(void);
/* Any context. */
void snap_user_hold(struct snap_user *user);
void snap_user_put(struct snap_user *user);

/* The device's name for the user: the id in the initial user namespace. */
u32 snap_user_owner(const struct snap_user *user);

/*
 * What the current user may bind in regions and snapshots of a pool: frames, or
 * SNAP_QUOTA_NONE; how many objects of a kind; and frames in flight.
 */
u32 snap_user_region_quota(u32 pool_frames);
u32 snap_user_object_quota(enum snap_object_kind kind);
u32 snap_user_flight_quota(u32 pool_frames);

/* False, and nothing charged, if that would pass the quota. */
bool snap_user_charge(atomic_t *account, u32 frames, u32 quota);

#endif /* SNAP_USER_H */
