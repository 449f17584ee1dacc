// SPDX-License-Identifier: GPL-2.0-only
/* Frames leave by our interfaces alone; see edge.h. */

#include <linux/hashtable.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <net/rtnetlink.h>

#include "device/frame.h"
#include "net/edge.h"
#include "net/frags.h"
#include "net/netdev.h"
#include "observe/sysctl.h"

/**
 * struct snap_edge - our hook at the egress of an interface
 * @node: in snap_edges
 * @ops: as registered; names the interface
 * @rcu: who lists hooks looks at @ops by RCU
 */
struct snap_edge {
	struct hlist_node node;
	struct nf_hook_ops ops;
	struct rcu_head rcu;
};

/* By address of the interface; RTNL. */
static DEFINE_HASHTABLE(snap_edges, 6);

static DEFINE_PER_CPU(u64 [SNAP_EDGE_COUNTERS], snap_edge_counts);

u64 snap_edge_count(enum snap_edge_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(snap_edge_counts, cpu)[counter]);
	return sum;
}

/* ---- Who may have frames ------------------------------------------------ */

static bool snap_edge_vouched(const struct net_device *netdev)
{
	return READ_ONCE(snap_sysctl_of(dev_net(netdev))->other_devices);
}

#ifdef CONFIG_NET_XGRESS
static bool snap_edge_tc_egress(const struct net_device *netdev)
{
	return rcu_access_pointer(netdev->tcx_egress);
}

static int snap_edge_tc_ingress(struct net_device *netdev,
				struct netdev_nested_priv *priv)
{
	return rcu_access_pointer(netdev->tcx_ingress) &&
	       !snap_edge_vouched(netdev);
}
#else
static bool snap_edge_tc_egress(const struct net_device *netdev)
{
	return false;
}

static int snap_edge_tc_ingress(struct net_device *netdev,
				struct netdev_nested_priv *priv)
{
	return 0;
}
#endif

bool snap_edge_diverts(struct net_device *netdev)
{
	struct netdev_nested_priv priv = { 0 };
	bool diverts;

	rcu_read_lock();
	diverts = snap_edge_tc_ingress(netdev, &priv) ||
		  netdev_walk_all_upper_dev_rcu(netdev, snap_edge_tc_ingress,
						&priv);
	rcu_read_unlock();
	return diverts;
}

/* The other end of a veth, which receives what is sent here; else NULL. */
static struct net_device *snap_edge_veth_peer(struct net_device *netdev)
{
	const struct rtnl_link_ops *ops = netdev->rtnl_link_ops;

	if (!ops || strcmp(ops->kind, "veth") ||
	    !netdev->netdev_ops->ndo_get_peer_dev)
		return NULL;
	return netdev->netdev_ops->ndo_get_peer_dev(netdev);
}

/* May frames be sent by this interface?  rcu_read_lock() is held. */
static bool snap_edge_passes(struct net_device *netdev)
{
	if (snap_edge_vouched(netdev))
		return true;
	if (snap_edge_tc_egress(netdev))
		return false;
	if (snap_netdev_is(netdev))
		return true;
	if (!(netdev->flags & IFF_LOOPBACK))
		netdev = snap_edge_veth_peer(netdev);
	return netdev && !snap_edge_diverts(netdev);
}

/* ---- Frames replaced by pages ------------------------------------------- */

static bool snap_edge_frag_is_frame(const skb_frag_t *frag, void *arg)
{
	const struct page *page = skb_frag_page(frag);

	return page && snap_frame_is(page);	/* NULL: memory of a device */
}

static bool snap_edge_has_frames(const struct sk_buff *skb)
{
	const struct sk_buff *part;
	int i;

	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++)
		if (snap_edge_frag_is_frame(&skb_shinfo(skb)->frags[i], NULL))
			return true;
	/* in a list there are hardly ever more: the depth is that of skbs */
	skb_walk_frags(skb, part)
		if (snap_edge_has_frames(part))
			return true;
	return false;
}

static struct page *snap_edge_page(size_t bytes, void *arg)
{
	return alloc_pages(GFP_ATOMIC | __GFP_NOWARN | __GFP_COMP, get_order(bytes));
}

/* The packet's own fragments, which no clone shares. */
static bool snap_edge_copy_frags(struct sk_buff *skb)
{
	struct snap_frags fs = {
		.replaces = snap_edge_frag_is_frame,
		.get = snap_edge_page,
	};
	unsigned int i;

	if (snap_frags_copy(&fs, skb)) {
		snap_frags_swap(&fs, skb);
		this_cpu_add(snap_edge_counts[SNAP_EDGE_BYTES], fs.bytes);
		/* tells an application that asked for no copy that there was one */
		if (bitmap_weight(fs.copied, MAX_SKB_FRAGS) == fs.n)
			skb_zcopy_clear(skb, false);
		return true;
	}
	for_each_set_bit(i, fs.copied, MAX_SKB_FRAGS)
		put_page(skb_frag_page(&fs.frag[i]));
	return false;
}

/* As a whole: its members may be shared with a clone's list, so may links. */
static bool snap_edge_copy_list(struct sk_buff *skb)
{
	struct sk_buff *list = NULL, **end = &list, *part, *copy;
	int more = 0;

	skb_walk_frags(skb, part) {
		copy = skb_copy(part, GFP_ATOMIC | __GFP_NOWARN);
		if (!copy) {
			kfree_skb_list(list);
			return false;
		}
		*end = copy;
		end = &copy->next;
		more += copy->truesize - part->truesize;
		this_cpu_add(snap_edge_counts[SNAP_EDGE_BYTES], copy->len);
	}
	kfree_skb_list(skb_shinfo(skb)->frag_list);
	skb_shinfo(skb)->frag_list = list;
	/* a socket is charged what it was charged */
	if (!skb->sk)
		skb->truesize += more;
	return true;
}

static bool snap_edge_copy(struct sk_buff *skb)
{
	/* what clones have stays as it is: TCP may want it again */
	if (skb_shared(skb) || skb_unclone(skb, GFP_ATOMIC | __GFP_NOWARN))
		return false;
	skb_zcopy_downgrade_managed(skb);
	return snap_edge_copy_frags(skb) &&
	       (!skb_has_frag_list(skb) || snap_edge_copy_list(skb));
}

static unsigned int snap_edge_hook(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	if (!skb_is_nonlinear(skb) || !snap_edge_has_frames(skb) ||
	    snap_edge_passes(state->out))
		return NF_ACCEPT;
	if (!snap_edge_copy(skb)) {
		this_cpu_inc(snap_edge_counts[SNAP_EDGE_DROPPED]);
		return NF_DROP;
	}
	this_cpu_inc(snap_edge_counts[SNAP_EDGE_PACKETS]);
	return NF_ACCEPT;
}

/* ---- The hooks ---------------------------------------------------------- */

static struct snap_edge *snap_edge_of(const struct net_device *netdev)
{
	struct snap_edge *edge;

	ASSERT_RTNL();
	hash_for_each_possible(snap_edges, edge, node, (unsigned long)netdev)
		if (edge->ops.dev == netdev)
			return edge;
	return NULL;
}

static int snap_edge_add(struct net_device *netdev)
{
	struct snap_edge *edge = kzalloc(sizeof(*edge), GFP_KERNEL);
	int err;

	if (!edge)
		return -ENOMEM;
	edge->ops.hook = snap_edge_hook;
	edge->ops.dev = netdev;
	edge->ops.pf = NFPROTO_NETDEV;
	edge->ops.hooknum = NF_NETDEV_EGRESS;
	edge->ops.priority = INT_MAX;	/* after rules that drop */
	err = nf_register_net_hook(dev_net(netdev), &edge->ops);
	if (err) {
		kfree(edge);
		return err;
	}
	hash_add(snap_edges, &edge->node, (unsigned long)netdev);
	return 0;
}

static void snap_edge_remove(struct net_device *netdev)
{
	struct snap_edge *edge = snap_edge_of(netdev);

	if (!edge)
		return;
	hash_del(&edge->node);
	nf_unregister_net_hook(dev_net(netdev), &edge->ops);
	kfree_rcu(edge, rcu);
}

/* An interface that changes its namespace leaves the old one and comes anew. */
static int snap_edge_event(struct notifier_block *nb, unsigned long event,
			   void *info)
{
	struct net_device *netdev = netdev_notifier_info_to_dev(info);

	switch (event) {
	case NETDEV_REGISTER:
		return notifier_from_errno(snap_edge_add(netdev));
	case NETDEV_UNREGISTER:
		snap_edge_remove(netdev);
	}
	return NOTIFY_DONE;
}

static struct notifier_block snap_edge_notifier = {
	.notifier_call = snap_edge_event,
};

int __init snap_edge_init(void)
{
	if (!IS_ENABLED(CONFIG_NETFILTER_EGRESS)) {
		pr_notice("snap: this kernel lacks NETFILTER_EGRESS: other drivers may get frames that they cannot read\n");
		return 0;
	}
	return register_netdevice_notifier(&snap_edge_notifier);
}

void snap_edge_exit(void)
{
	if (!IS_ENABLED(CONFIG_NETFILTER_EGRESS))
		return;
	unregister_netdevice_notifier(&snap_edge_notifier);
	synchronize_net();	/* somebody may be in the hook */
}
