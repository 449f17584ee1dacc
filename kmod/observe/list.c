// SPDX-License-Identifier: GPL-2.0-only
/* All sockets of a namespace; see list.h. */

#include <linux/bits.h>
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/sock_diag.h>
#include <linux/spinlock.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "compat/sock.h"
#include "observe/list.h"
#include "snap_diag.h"

#define SNAP_BUCKET_BITS	8
#define SNAP_BUCKETS		BIT(SNAP_BUCKET_BITS)
/* A place is the number of the bucket, and below it of the socket there. */
#define SNAP_PLACE_BITS		(63 - SNAP_BUCKET_BITS)

/**
 * struct snap_bucket - some sockets, oldest first
 * @lock: guards all below and the entries; innermost, never taken in softirqs
 * @socks: struct snap_shown, by their @list
 * @last: place of the youngest
 */
struct snap_bucket {
	spinlock_t lock;	/* guards all below */
	struct list_head socks;
	u64 last;
};

/* What a namespace has: SNAP_BUCKETS of them, charged to who made it. */
struct snap_list {
	struct snap_bucket *buckets;
};

static unsigned int snap_list_net_id __ro_after_init;

static struct snap_list *snap_list_of(struct net *net)
{
	return net_generic(net, snap_list_net_id);
}

static unsigned int snap_bucket_of_cookie(u64 cookie)
{
	return hash_64(cookie, SNAP_BUCKET_BITS);
}

static unsigned int snap_bucket_of_place(u64 place)
{
	return place >> SNAP_PLACE_BITS;
}

/* It has a cookie since it is listed. */
static u64 snap_list_cookie(const struct sock *sk)
{
	return atomic64_read(&sk->sk_cookie);
}

void snap_list_add(struct snap_shown *shown, struct sock *sk)
{
	struct snap_bucket *bucket;
	u64 cookie;

	sock_diag_save_cookie(sk, (u32 *)&cookie);
	bucket = &snap_list_of(sock_net(sk))->buckets[snap_bucket_of_cookie(cookie)];
	spin_lock(&bucket->lock);
	shown->sk = sk;
	shown->place = ++bucket->last;
	list_add_tail(&shown->list, &bucket->socks);
	spin_unlock(&bucket->lock);
}

void snap_list_remove(struct snap_shown *shown)
{
	struct snap_bucket *bucket;

	if (!shown->sk)
		return;
	bucket = &snap_list_of(sock_net(shown->sk))->buckets[snap_bucket_of_place(shown->place)];
	spin_lock(&bucket->lock);
	list_del(&shown->list);
	shown->sk = NULL;
	spin_unlock(&bucket->lock);
}

/* Go on behind a socket of the locked bucket, or its head, and through the rest. */
static struct snap_shown *snap_list_on(struct snap_list_walk *walk, struct list_head *behind)
	__must_hold(&walk->bucket->lock)
{
	while (list_is_last(behind, &walk->bucket->socks)) {
		if (walk->bucket == &walk->buckets[SNAP_BUCKETS - 1]) {
			walk->now = NULL;
			return NULL;
		}
		spin_unlock(&walk->bucket->lock);
		cond_resched();	/* there may be many that nobody asked for */
		walk->bucket++;
		spin_lock(&walk->bucket->lock);
		behind = &walk->bucket->socks;
	}
	walk->now = list_entry(behind->next, struct snap_shown, list);
	return walk->now;
}

static void snap_list_enter(struct snap_list_walk *walk, struct net *net, unsigned int i)
	__acquires(&walk->bucket->lock)
{
	walk->buckets = snap_list_of(net)->buckets;
	walk->bucket = &walk->buckets[i];
	walk->now = NULL;
	spin_lock(&walk->bucket->lock);
}

struct snap_shown *snap_list_begin(struct snap_list_walk *walk, struct net *net, u64 from)
	__acquires(&walk->bucket->lock)
{
	struct list_head *behind;

	snap_list_enter(walk, net, snap_bucket_of_place(from));
	behind = &walk->bucket->socks;
	while (!list_is_last(behind, &walk->bucket->socks) &&
	       list_entry(behind->next, struct snap_shown, list)->place < from)
		behind = behind->next;
	return snap_list_on(walk, behind);
}
EXPORT_SYMBOL_GPL(snap_list_begin);

struct snap_shown *snap_list_find(struct snap_list_walk *walk, struct net *net, u64 cookie)
	__acquires(&walk->bucket->lock)
{
	struct snap_shown *shown;

	snap_list_enter(walk, net, snap_bucket_of_cookie(cookie));
	list_for_each_entry(shown, &walk->bucket->socks, list) {
		if (snap_list_cookie(shown->sk) == cookie) {
			walk->now = shown;
			break;
		}
	}
	return walk->now;
}
EXPORT_SYMBOL_GPL(snap_list_find);

struct snap_shown *snap_list_next(struct snap_list_walk *walk)
	__must_hold(&walk->bucket->lock)
{
	return snap_list_on(walk, &walk->now->list);
}
EXPORT_SYMBOL_GPL(snap_list_next);

void snap_list_end(struct snap_list_walk *walk)
	__releases(&walk->bucket->lock)
{
	spin_unlock(&walk->bucket->lock);
}
EXPORT_SYMBOL_GPL(snap_list_end);

static void snap_list_addresses(const struct sock *sk, struct snap_diag_msg *msg)
{
	const struct inet_sock *inet = inet_sk(sk);

	msg->local.port = inet->inet_sport;
	msg->remote.port = inet->inet_dport;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		memcpy(msg->local.addr, &sk->sk_v6_rcv_saddr, 16);
		memcpy(msg->remote.addr, &sk->sk_v6_daddr, 16);
		if (ipv6_addr_type(&sk->sk_v6_rcv_saddr) & IPV6_ADDR_LINKLOCAL)
			msg->local.scope_id = msg->ifindex;
		if (ipv6_addr_type(&sk->sk_v6_daddr) & IPV6_ADDR_LINKLOCAL)
			msg->remote.scope_id = msg->ifindex;
		return;
	}
#endif
	memcpy(msg->local.addr, &inet->inet_rcv_saddr, 4);
	memcpy(msg->remote.addr, &inet->inet_daddr, 4);
}

/* The numbers that /proc/net/tcp and /proc/net/udp show. */
static void snap_list_queues(struct sock *sk, struct snap_diag_msg *msg)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	if (sk->sk_type != SOCK_STREAM) {
		msg->rx_queue = udp_rqueue_get(sk);
		msg->tx_queue = sk_wmem_alloc_get(sk);
	} else if (msg->state == TCP_LISTEN) {
		msg->rx_queue = READ_ONCE(sk->sk_ack_backlog);
		msg->tx_queue = READ_ONCE(sk->sk_max_ack_backlog);
	} else {
		msg->rx_queue = max_t(int, READ_ONCE(tp->rcv_nxt) -
					   READ_ONCE(tp->copied_seq), 0);
		msg->tx_queue = READ_ONCE(tp->write_seq) - READ_ONCE(tp->snd_una);
	}
}

void snap_list_describe(const struct snap_shown *shown,
			struct user_namespace *user_ns, struct snap_diag_msg *msg)
{
	struct sock *sk = shown->sk;

	memset(msg, 0, sizeof(*msg));
	msg->family = AF_SNAP;
	msg->inner_family = sk->sk_family;
	msg->type = sk->sk_type;
	msg->state = inet_sk_state_load(sk);
	msg->uid = from_kuid_munged(user_ns, sk_uid(sk));
	msg->ifindex = READ_ONCE(sk->sk_bound_dev_if);
	msg->copybreak = READ_ONCE(shown->copybreak);
	msg->inode = sock_i_ino(sk);
	msg->cookie = snap_list_cookie(sk);
	snap_list_queues(sk, msg);
	snap_list_addresses(sk, msg);
}
EXPORT_SYMBOL_GPL(snap_list_describe);

static int __net_init snap_list_net_init(struct net *net)
{
	struct snap_bucket *buckets;
	unsigned int i;

	buckets = kvcalloc(SNAP_BUCKETS, sizeof(*buckets), GFP_KERNEL_ACCOUNT);
	if (!buckets)
		return -ENOMEM;
	for (i = 0; i < SNAP_BUCKETS; i++) {
		spin_lock_init(&buckets[i].lock);
		INIT_LIST_HEAD(&buckets[i].socks);
		buckets[i].last = (u64)i << SNAP_PLACE_BITS;
	}
	snap_list_of(net)->buckets = buckets;
	return 0;
}

static void __net_exit snap_list_net_exit(struct net *net)
{
	struct snap_bucket *buckets = snap_list_of(net)->buckets;
	unsigned int i;

	for (i = 0; i < SNAP_BUCKETS; i++)
		WARN_ON_ONCE(!list_empty(&buckets[i].socks));
	kvfree(buckets);
}

static struct pernet_operations snap_list_net_ops = {
	.init = snap_list_net_init,
	.exit = snap_list_net_exit,
	.id = &snap_list_net_id,
	.size = sizeof(struct snap_list),
};

int __init snap_list_init(void)
{
	return register_pernet_subsys(&snap_list_net_ops);
}

void snap_list_exit(void)
{
	unregister_pernet_subsys(&snap_list_net_ops);
}
