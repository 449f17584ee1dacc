/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The AF_SNAP sockets of a network namespace, for those who look at them.
 *
 * A socket is in the list from its creation, or its accept(), until its
 * release begins: whoever holds the list's lock may follow the struct sock of
 * every socket in it.  A list is empty when its namespace goes.
 */
#ifndef SNAP_LIST_H
#define SNAP_LIST_H

#include <linux/list.h>
#include <linux/mutex.h>

#include "observe/stats.h"

struct net;
struct snap_diag_msg;
struct sock;
struct user_namespace;

/**
 * struct snap_list - sockets, oldest first
 * @lock: guards all below and the entries; innermost, never taken in softirqs
 * @socks: struct snap_shown, by their @list
 * @last_id: of the youngest
 */
struct snap_list {
	struct mutex lock;	/* guards all below */
	struct list_head socks;
	u64 last_id;
};

/**
 * struct snap_shown - what a socket shows beside its struct sock
 * @sk: the struct sock, while it is in the list of its namespace
 * @list: in that list
 * @id: rises with each socket of the namespace, never used twice
 * @copybreak: bytes; shorter messages are copied
 * @counts: of this socket
 */
struct snap_shown {
	struct sock *sk;
	struct list_head list;
	u64 id;
	int copybreak;
	struct snap_counts counts;
};

struct snap_list *snap_list_of(struct net *net);

/* The socket is ready but for being listed; it holds its namespace. */
void snap_list_add(struct snap_shown *shown, struct sock *sk);
/* Before anything of the socket goes.  Does nothing if it is not listed. */
void snap_list_remove(struct snap_shown *shown);

/**
 * snap_list_describe() - what can be told of a socket
 * @shown: a socket of a list that the caller holds
 * @user_ns: of the reader: user ids are in it
 * @msg: filled; the cookie is zero
 */
void snap_list_describe(const struct snap_shown *shown,
			struct user_namespace *user_ns, struct snap_diag_msg *msg);

int snap_list_init(void);
void snap_list_exit(void);

#endif /* SNAP_LIST_H */
