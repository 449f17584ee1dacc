/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets that wait for a processor to free them. */
#ifndef SNAP_COMPAT_DEFERRED_H
#define SNAP_COMPAT_DEFERRED_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/hotdata.h>

#include "compat/probed.h"

#ifdef SNAP_HAVE_SKB_DEFER_NODES	/* 6.18 */

/* As skb_defer_node_flush() does. */
static inline void snap_deferred_free(int cpu)
{
	struct sk_buff *skb, *next;
	struct skb_defer_node *sdn;
	struct llist_node *list;
	int node;

	for_each_node(node) {
		sdn = per_cpu_ptr(net_hotdata.skb_defer_nodes, cpu) + node;
		if (llist_empty(&sdn->defer_list))
			continue;
		atomic_long_set(&sdn->defer_count, 0);
		list = llist_del_all(&sdn->defer_list);
		llist_for_each_entry_safe(skb, next, list, ll_node)
			consume_skb(skb);
	}
}

#else

/* As skb_defer_free_flush() does on the processor itself. */
static inline void snap_deferred_free(int cpu)
{
	struct softnet_data *sd = &per_cpu(softnet_data, cpu);
	struct sk_buff *skb, *next;

	/* Pairs with WRITE_ONCE() in skb_attempt_defer_free(). */
	if (!READ_ONCE(sd->defer_list))
		return;
	spin_lock_bh(&sd->defer_lock);
	skb = sd->defer_list;
	WRITE_ONCE(sd->defer_list, NULL);
	WRITE_ONCE(sd->defer_count, 0);
	spin_unlock_bh(&sd->defer_lock);
	for (; skb; skb = next) {
		next = skb->next;
		consume_skb(skb);
	}
}

#endif

#endif /* SNAP_COMPAT_DEFERRED_H */
