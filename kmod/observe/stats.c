// SPDX-License-Identifier: GPL-2.0-only
/* Counters of sockets and namespaces. */

#include <linux/bits.h>
#include <linux/export.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "observe/stats.h"

static unsigned int snap_stats_net_id __ro_after_init;

static struct pernet_operations snap_stats_net_ops = {
	.id = &snap_stats_net_id,
	.size = sizeof(struct snap_counts),	/* zeroed by the core */
};

void snap_counts_ref(struct snap_counts *c, size_t bytes)
{
	atomic64_inc(&c->tx_ref_msgs);
	atomic64_add(bytes, &c->tx_ref_bytes);
}

void snap_counts_copy(struct snap_counts *c, enum snap_copy_reason reason,
		      size_t bytes)
{
	atomic64_inc(&c->copied_msgs[reason]);
	atomic64_add(bytes, &c->copied_bytes[reason]);
}

u32 snap_received_why(const struct snap_received *got)
{
	unsigned int i;
	u32 why = 0;

	for (i = 0; i < SNAP_RECV_REASONS; i++)
		if (got->copied[i])
			why |= BIT(i);
	return why;
}

void snap_counts_receive(struct snap_counts *c, const struct snap_received *got)
{
	unsigned int i;

	atomic64_inc(&c->rx_msgs);
	if (got->viewed) {
		atomic64_inc(&c->rx_viewed_msgs);
		atomic64_add(got->viewed, &c->rx_viewed_bytes);
	}
	for (i = 0; i < SNAP_RECV_REASONS; i++) {
		if (!got->copied[i])
			continue;
		atomic64_inc(&c->recv_msgs[i]);
		atomic64_add(got->copied[i], &c->recv_bytes[i]);
	}
}

void snap_counts_read(struct snap_counts *c, struct snap_sock_stats *out)
{
	unsigned int i;

	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	out->tx_ref_msgs = atomic64_read(&c->tx_ref_msgs);
	out->tx_ref_bytes = atomic64_read(&c->tx_ref_bytes);
	out->rx_msgs = atomic64_read(&c->rx_msgs);
	out->rx_viewed_msgs = atomic64_read(&c->rx_viewed_msgs);
	out->rx_viewed_bytes = atomic64_read(&c->rx_viewed_bytes);
	for (i = 0; i < SNAP_COPY_REASONS; i++) {
		out->copied_msgs[i] = atomic64_read(&c->copied_msgs[i]);
		out->copied_bytes[i] = atomic64_read(&c->copied_bytes[i]);
		out->tx_copied_msgs += out->copied_msgs[i];
		out->tx_copied_bytes += out->copied_bytes[i];
	}
	for (i = 0; i < SNAP_RECV_REASONS; i++) {
		out->recv_msgs[i] = atomic64_read(&c->recv_msgs[i]);
		out->recv_bytes[i] = atomic64_read(&c->recv_bytes[i]);
		out->rx_copied_bytes += out->recv_bytes[i];
	}
}
EXPORT_SYMBOL_GPL(snap_counts_read);

struct snap_counts *snap_counts_of(struct net *net)
{
	return net_generic(net, snap_stats_net_id);
}

int snap_stats_init(void)
{
	return register_pernet_subsys(&snap_stats_net_ops);
}

void snap_stats_exit(void)
{
	unregister_pernet_subsys(&snap_stats_net_ops);
}
