// SPDX-License-Identifier: GPL-2.0-only
/*
 * snap_diag.ko: AF_SNAP sockets over NETLINK_SOCK_DIAG, for snapctl sockets.
 * A module of its own, so that it is loaded when somebody asks.
 */

#include <linux/module.h>
#include <linux/sock_diag.h>
#include <net/netlink.h>
#include <net/tcp_states.h>

#include "observe/list.h"
#include "snap_diag.h"

#define SNAP_DIAG_TYPES		(BIT(SOCK_STREAM) | BIT(SOCK_DGRAM))
#define SNAP_DIAG_STATES	((1u << TCP_MAX_STATES) - 2)
#define SNAP_DIAG_SHOW		(SNAP_DIAG_SHOW_STATS | SNAP_DIAG_SHOW_MEMINFO)

/* Who asked, and where the answer goes. */
struct snap_diag_ask {
	const struct snap_diag_req *req;
	struct user_namespace *user_ns;
	u32 portid;
	u32 seq;
	u16 flags;
};

static size_t snap_diag_bytes(void)
{
	return NLMSG_ALIGN(sizeof(struct snap_diag_msg)) +
	       nla_total_size(sizeof(struct snap_sock_stats)) +
	       nla_total_size(SK_MEMINFO_VARS * sizeof(u32));
}

static int snap_diag_put_stats(struct snap_shown *shown, struct sk_buff *skb)
{
	struct snap_sock_stats stats;

	snap_counts_read(&shown->counts, &stats);
	return nla_put(skb, SNAP_DIAG_STATS, sizeof(stats), &stats);
}

/* EMSGSIZE: no room.  A walk of the caller's is at the socket. */
static int snap_diag_fill(struct snap_shown *shown, const struct snap_diag_ask *ask,
			  const struct snap_diag_msg *msg, struct sk_buff *skb)
{
	u32 show = ask->req->show;
	struct nlmsghdr *nlh;

	nlh = nlmsg_put(skb, ask->portid, ask->seq, SOCK_DIAG_BY_FAMILY,
			sizeof(*msg), ask->flags);
	if (!nlh)
		return -EMSGSIZE;
	memcpy(nlmsg_data(nlh), msg, sizeof(*msg));
	if ((show & SNAP_DIAG_SHOW_STATS && snap_diag_put_stats(shown, skb)) ||
	    (show & SNAP_DIAG_SHOW_MEMINFO &&
	     sock_diag_put_meminfo(shown->sk, skb, SNAP_DIAG_MEMINFO))) {
		nlmsg_cancel(skb, nlh);
		return -EMSGSIZE;
	}
	nlmsg_end(skb, nlh);
	return 0;
}

static bool snap_diag_wanted(const struct snap_diag_req *req,
			     const struct snap_diag_msg *msg)
{
	return (!req->types || req->types & 1u << msg->type) &&
	       (!req->states || req->states & 1u << msg->state);
}

/* What a dump remembers from one skb to the next, zero at first. */
struct snap_diag_dump {
	u64 from;	/* place of the first socket that was not looked at */
};

static int snap_diag_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct snap_diag_dump *dump = (struct snap_diag_dump *)cb->ctx;
	struct net *net = sock_net(skb->sk);
	const struct snap_diag_ask ask = {
		.req = nlmsg_data(cb->nlh),
		.user_ns = sk_user_ns(NETLINK_CB(cb->skb).sk),
		.portid = NETLINK_CB(cb->skb).portid,
		.seq = cb->nlh->nlmsg_seq,
		.flags = NLM_F_MULTI,
	};
	struct snap_shown *shown;
	struct snap_diag_msg msg;
	struct snap_list_walk walk;

	BUILD_BUG_ON(sizeof(*dump) > sizeof(cb->ctx));
	for (shown = snap_list_begin(&walk, net, dump->from); shown;
	     shown = snap_list_next(&walk)) {
		snap_list_describe(shown, ask.user_ns, &msg);
		if (snap_diag_wanted(ask.req, &msg) &&
		    snap_diag_fill(shown, &ask, &msg, skb))
			break;
		dump->from = shown->place + 1;
	}
	snap_list_end(&walk);
	return skb->len;
}

static int snap_diag_one(struct sk_buff *in, const struct nlmsghdr *nlh)
{
	struct net *net = sock_net(in->sk);
	const struct snap_diag_ask ask = {
		.req = nlmsg_data(nlh),
		.user_ns = sk_user_ns(NETLINK_CB(in).sk),
		.portid = NETLINK_CB(in).portid,
		.seq = nlh->nlmsg_seq,
	};
	struct snap_shown *shown;
	struct snap_diag_msg msg;
	struct snap_list_walk walk;
	struct sk_buff *skb;
	int err = -ENOENT;

	skb = nlmsg_new(snap_diag_bytes(), GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	shown = snap_list_find(&walk, net, ask.req->cookie);
	if (shown) {
		snap_list_describe(shown, ask.user_ns, &msg);
		err = snap_diag_fill(shown, &ask, &msg, skb);
	}
	snap_list_end(&walk);
	if (err) {
		nlmsg_free(skb);
		return err;
	}
	return nlmsg_unicast(net->diag_nlsk, skb, ask.portid);
}

static int snap_diag_check(const struct nlmsghdr *nlh)
{
	const struct snap_diag_req *req = nlmsg_data(nlh);
	bool dump = nlh->nlmsg_flags & NLM_F_DUMP;

	if (nlmsg_len(nlh) < (int)sizeof(*req) || req->protocol ||
	    req->reserved || req->types & ~SNAP_DIAG_TYPES ||
	    req->states & ~SNAP_DIAG_STATES || req->show & ~SNAP_DIAG_SHOW)
		return -EINVAL;
	/* one socket is named by its cookie alone */
	return (dump ? req->cookie : !req->cookie || req->types || req->states) ?
	       -EINVAL : 0;
}

static int snap_diag_request(struct sk_buff *skb, struct nlmsghdr *nlh)
{
	struct netlink_dump_control control = { .dump = snap_diag_dump };
	int err = snap_diag_check(nlh);

	if (err)
		return err;
	if (nlh->nlmsg_flags & NLM_F_DUMP)
		return netlink_dump_start(sock_net(skb->sk)->diag_nlsk, skb, nlh,
					  &control);
	return snap_diag_one(skb, nlh);
}

static const struct sock_diag_handler snap_diag_handler = {
	.owner = THIS_MODULE,
	.family = AF_SNAP,
	.dump = snap_diag_request,
};

static int __init snap_diag_init(void)
{
	return sock_diag_register(&snap_diag_handler);
}

static void __exit snap_diag_exit(void)
{
	sock_diag_unregister(&snap_diag_handler);
}

module_init(snap_diag_init);
module_exit(snap_diag_exit);

MODULE_DESCRIPTION("AF_SNAP sockets over NETLINK_SOCK_DIAG");
MODULE_LICENSE("GPL");
MODULE_ALIAS_NET_PF_PROTO_TYPE(PF_NETLINK, NETLINK_SOCK_DIAG, 18 /* AF_SNAP */);
