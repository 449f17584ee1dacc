/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The AF_SNAP sockets of a network namespace, for those who look at them.
 *
 * A socket is in the list from its creation, or its accept(), until its
 * release begins.  The list is a hash by cookie: accept() and close() lock one
 * bucket of many, and whoever walks holds one at a time and may follow the struct
 * sock of every socket in it.  A list is empty when its namespace goes.
 */
#ifndef SNAP_LIST_H
#define SNAP_LIST_H

#include <linux/list.h>
#include <linux/types.h>

#include "observe/stats.h"

struct net;
struct snap_bucket;
struct snap_diag_msg;
struct sock;
struct user_namespace;

/* No socket is here or later. */
#define SNAP_LIST_END		S64_MAX

/**
 * struct snap_shown - what a socket shows beside its struct sock
 * @sk: the struct sock, while it is in the list of its namespace
 * @list: in a bucket of that list
 * @place: in the order of a walk; above zero, below SNAP_LIST_END, and never used
 *	twice in the namespace
 * @copybreak: bytes; shorter messages are copied
 * @counts: of this socket
 */
struct snap_shown {
	struct sock *sk;
	struct list_head list;
	u64 place;
	int copybreak;
	struct snap_counts counts;
};

/**
 * struct snap_list_walk - somebody in the list of a namespace
 * @buckets: of the namespace
 * @bucket: the one that is locked, a spinlock
 * @now: a socket in it; NULL: no more sockets
 */
struct snap_list_walk {
	struct snap_bucket *buckets;
	struct snap_bucket *bucket;
	struct snap_shown *now;
};

/* The socket is ready but for being listed; it holds its namespace. */
void snap_list_add(struct snap_shown *shown, struct sock *sk);
/* Before anything of the socket goes.  Does nothing if it is not listed. */
void snap_list_remove(struct snap_shown *shown);

/*
 * Each to be ended by snap_list_end(), whatever it returns: the first socket
 * whose place is from or later, or the one with that cookie; NULL: none.
 * A walk can go on from a place later: it meets a socket once at most, and one
 * that stays once.
 */
struct snap_shown *snap_list_begin(struct snap_list_walk *walk, struct net *net, u64 from);
struct snap_shown *snap_list_find(struct snap_list_walk *walk, struct net *net, u64 cookie);
struct snap_shown *snap_list_next(struct snap_list_walk *walk);
void snap_list_end(struct snap_list_walk *walk);

/**
 * snap_list_describe() - what can be told of a socket
 * @shown: a socket that a walk of the caller's is at
 * @user_ns: of the reader: user ids are in it
 * @msg: filled
 */
void snap_list_describe(const struct snap_shown *shown,
			struct user_namespace *user_ns, struct snap_diag_msg *msg);

int snap_list_init(void);
void snap_list_exit(void);

#endif /* SNAP_LIST_H */
