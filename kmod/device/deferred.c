// SPDX-License-Identifier: GPL-2.0-only
/* What the core keeps for later; see deferred.h. */

#include <linux/cpumask.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "device/deferred.h"

/* As skb_defer_free_flush() does on the processor itself. */
static struct sk_buff *snap_skbs_take_deferred(struct softnet_data *sd)
{
	struct sk_buff *skb;

	/* Pairs with WRITE_ONCE() in skb_attempt_defer_free(). */
	if (!READ_ONCE(sd->defer_list))
		return NULL;
	spin_lock_bh(&sd->defer_lock);
	skb = sd->defer_list;
	WRITE_ONCE(sd->defer_list, NULL);
	WRITE_ONCE(sd->defer_count, 0);
	spin_unlock_bh(&sd->defer_lock);
	return skb;
}

void snap_skbs_free_deferred(void)
{
	struct sk_buff *skb, *next;
	int cpu;

	for_each_possible_cpu(cpu) {
		skb = snap_skbs_take_deferred(&per_cpu(softnet_data, cpu));
		for (; skb; skb = next) {
			next = skb->next;
			consume_skb(skb);
		}
	}
}
