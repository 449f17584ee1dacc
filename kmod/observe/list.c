// SPDX-License-Identifier: GPL-2.0-only
/* All sockets of a namespace; see list.h. */

#include <linux/export.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "observe/list.h"
#include "snap_diag.h"

static unsigned int snap_list_net_id __ro_after_init;

struct snap_list *snap_list_of(struct net *net)
{
	return net_generic(net, snap_list_net_id);
}
EXPORT_SYMBOL_GPL(snap_list_of);

void snap_list_add(struct snap_shown *shown, struct sock *sk)
{
	struct snap_list *list = snap_list_of(sock_net(sk));

	mutex_lock(&list->lock);
	shown->sk = sk;
	shown->id = ++list->last_id;
	list_add_tail(&shown->list, &list->socks);
	mutex_unlock(&list->lock);
}

void snap_list_remove(struct snap_shown *shown)
{
	struct snap_list *list;

	if (!shown->sk)
		return;
	list = snap_list_of(sock_net(shown->sk));
	mutex_lock(&list->lock);
	list_del(&shown->list);
	shown->sk = NULL;
	mutex_unlock(&list->lock);
}

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
	msg->uid = from_kuid_munged(user_ns, sock_i_uid(sk));
	msg->ifindex = READ_ONCE(sk->sk_bound_dev_if);
	msg->copybreak = READ_ONCE(shown->copybreak);
	msg->inode = sock_i_ino(sk);
	snap_list_queues(sk, msg);
	snap_list_addresses(sk, msg);
}
EXPORT_SYMBOL_GPL(snap_list_describe);

static int __net_init snap_list_net_init(struct net *net)
{
	struct snap_list *list = snap_list_of(net);

	mutex_init(&list->lock);
	INIT_LIST_HEAD(&list->socks);
	return 0;
}

static void __net_exit snap_list_net_exit(struct net *net)
{
	WARN_ON_ONCE(!list_empty(&snap_list_of(net)->socks));
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
