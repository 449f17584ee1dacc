// SPDX-License-Identifier: GPL-2.0-only
/* All sockets of TCP and UDP; see walk.h. */

#include <linux/fdtable.h>
#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/inet_hashtables.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "compat/udplite.h"
#include "net/walk.h"

/* Sockets that are called at a time. */
#define SNAP_WALK_ROOM	32

/**
 * struct snap_walk - sockets of one bucket, or of all descriptors, some at a time
 * @sk: a reference on each
 * @n: how many
 * @seen: sockets of the bucket that had their turn
 * @place: of the next one in the bucket
 */
struct snap_walk {
	struct sock *sk[SNAP_WALK_ROOM];
	unsigned int n;
	unsigned int seen;
	unsigned int place;
};

/* The caller holds the lock of the bucket.  False: there is no room left. */
static bool snap_walk_take(struct snap_walk *w, struct sock *sk)
{
	if (w->n == SNAP_WALK_ROOM)
		return false;
	if (w->place++ < w->seen)
		return true;
	w->seen++;
	/* a full socket has what is read of it; others have no packets */
	if (sk_fullsock(sk) && refcount_inc_not_zero(&sk->sk_refcnt))
		w->sk[w->n++] = sk;
	return true;
}

/* False: that was the last of the bucket. */
static bool snap_walk_call(struct snap_walk *w,
			   void (*each)(struct sock *sk, void *arg), void *arg)
{
	bool more = w->n == SNAP_WALK_ROOM;
	unsigned int i;

	for (i = 0; i < w->n; i++) {
		each(w->sk[i], arg);
		sock_put(w->sk[i]);
	}
	w->n = 0;
	w->place = 0;
	cond_resched();
	return more;
}

static void snap_walk_tcp(struct inet_hashinfo *table,
			  void (*each)(struct sock *sk, void *arg), void *arg)
{
	struct hlist_nulls_node *node;
	struct hlist_nulls_head *head;
	spinlock_t *lock;	/* of the bucket */
	struct sock *sk;
	unsigned int i;

	for (i = 0; i <= table->ehash_mask; i++) {
		struct snap_walk w = { };

		head = &table->ehash[i].chain;
		if (hlist_nulls_empty(head))
			continue;
		lock = inet_ehash_lockp(table, i);
		do {
			spin_lock_bh(lock);
			sk_nulls_for_each(sk, node, head)
				if (!snap_walk_take(&w, sk))
					break;
			spin_unlock_bh(lock);
		} while (snap_walk_call(&w, each, arg));
	}
}

static void snap_walk_udp(struct udp_table *table,
			  void (*each)(struct sock *sk, void *arg), void *arg)
{
	struct udp_hslot *slot;
	struct sock *sk;
	unsigned int i;

	for (i = 0; i <= table->mask; i++) {
		struct snap_walk w = { };

		slot = &table->hash[i];
		if (hlist_empty(&slot->head))
			continue;
		do {
			spin_lock_bh(&slot->lock);
			sk_for_each(sk, &slot->head)
				if (!snap_walk_take(&w, sk))
					break;
			spin_unlock_bh(&slot->lock);
		} while (snap_walk_call(&w, each, arg));
	}
}

/*
 * In no table: a connection that both sides have ended, or that was reset, and a
 * datagram socket that has given up its port.  Only what was put into it counts.
 */
static bool snap_walk_is_stray(const struct sock *sk)
{
	if (sk_is_tcp(sk))
		return sk->sk_state == TCP_CLOSE &&
		       (!skb_queue_empty_lockless(&sk->sk_receive_queue) ||
			!skb_queue_empty_lockless(&sk->sk_error_queue));
	return sk_is_inet(sk) && sk->sk_type == SOCK_DGRAM &&
	       (sk->sk_protocol == IPPROTO_UDP ||
		sk->sk_protocol == IPPROTO_UDPLITE) && sk_unhashed(sk) &&
	       (!skb_queue_empty_lockless(&sk->sk_receive_queue) ||
		!skb_queue_empty_lockless(&udp_sk(sk)->reader_queue) ||
		!skb_queue_empty_lockless(&sk->sk_error_queue));
}

/* The table of descriptors is locked, which keeps the file, and with it the sock. */
static int snap_walk_take_file(const void *arg, struct file *file, unsigned int fd)
{
	struct snap_walk *w = (struct snap_walk *)arg;
	struct socket *sock = sock_from_file(file);
	struct sock *sk = sock ? READ_ONCE(sock->sk) : NULL;

	return sk && snap_walk_is_stray(sk) && !snap_walk_take(w, sk);
}

static void snap_walk_take_files(struct snap_walk *w)
{
	struct task_struct *leader, *task;
	bool full = false;

	rcu_read_lock();
	for_each_process_thread(leader, task) {
		/* most threads have those of their process */
		if (full || (task != leader &&
			     READ_ONCE(task->files) == READ_ONCE(leader->files)))
			continue;
		task_lock(task);
		full = iterate_fd(task->files, 0, snap_walk_take_file, w);
		task_unlock(task);
	}
	rcu_read_unlock();
}

/**
 * struct snap_walk_both - what is called for a socket of either kind
 * @tcp: see snap_walk()
 * @udp: likewise
 * @arg: likewise
 */
struct snap_walk_both {
	void (*tcp)(struct sock *sk, void *arg);
	void (*udp)(struct sock *sk, void *arg);
	void *arg;
};

static void snap_walk_either(struct sock *sk, void *arg)
{
	const struct snap_walk_both *both = arg;

	(sk_is_tcp(sk) ? both->tcp : both->udp)(sk, both->arg);
}

static void snap_walk_files(struct snap_walk_both *both)
{
	struct snap_walk w = { };

	do {
		snap_walk_take_files(&w);
	} while (snap_walk_call(&w, snap_walk_either, both));
}

void snap_walk(void (*tcp)(struct sock *sk, void *arg),
	       void (*udp)(struct sock *sk, void *arg), void *arg)
{
	struct inet_hashinfo *all_tcp = init_net.ipv4.tcp_death_row.hashinfo;
	struct udp_table *all_udp = init_net.ipv4.udp_table;
	struct udp_table *udplite = snap_udplite_table();
	struct snap_walk_both both = { tcp, udp, arg };
	struct net *net;

	snap_walk_tcp(all_tcp, tcp, arg);
	snap_walk_udp(all_udp, udp, arg);
	if (udplite)
		snap_walk_udp(udplite, udp, arg);
	/* tables of their own: net.ipv4.tcp_child_ehash_entries and its like */
	down_read(&net_rwsem);
	for_each_net(net) {
		if (net->ipv4.tcp_death_row.hashinfo != all_tcp)
			snap_walk_tcp(net->ipv4.tcp_death_row.hashinfo, tcp, arg);
		if (net->ipv4.udp_table != all_udp)
			snap_walk_udp(net->ipv4.udp_table, udp, arg);
	}
	up_read(&net_rwsem);
	/* the last: those that leave the tables meanwhile are here */
	snap_walk_files(&both);
}
