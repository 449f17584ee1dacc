// SPDX-License-Identifier: GPL-2.0-only
/* Counters of sockets and namespaces. */

#include <linux/bits.h>
#include <linux/export.h>
#include <linux/percpu.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "observe/stats.h"

static unsigned int snap_stats_net_id __ro_after_init;

struct snap_stats_net {
	struct snap_counts __percpu *counts;
};

static struct snap_stats_net *snap_stats_net_of(struct net *net)
{
	return net_generic(net, snap_stats_net_id);
}

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

static void snap_counts_add(struct snap_counts *c, struct snap_sock_stats *sum)
{
	unsigned int i;

	sum->tx_ref_msgs += atomic64_read(&c->tx_ref_msgs);
	sum->tx_ref_bytes += atomic64_read(&c->tx_ref_bytes);
	sum->rx_msgs += atomic64_read(&c->rx_msgs);
	sum->rx_viewed_msgs += atomic64_read(&c->rx_viewed_msgs);
	sum->rx_viewed_bytes += atomic64_read(&c->rx_viewed_bytes);
	for (i = 0; i < SNAP_COPY_REASONS; i++) {
		sum->copied_msgs[i] += atomic64_read(&c->copied_msgs[i]);
		sum->copied_bytes[i] += atomic64_read(&c->copied_bytes[i]);
	}
	for (i = 0; i < SNAP_RECV_REASONS; i++) {
		sum->recv_msgs[i] += atomic64_read(&c->recv_msgs[i]);
		sum->recv_bytes[i] += atomic64_read(&c->recv_bytes[i]);
	}
}

/* What follows from the rest. */
static void snap_counts_total(struct snap_sock_stats *sum)
{
	unsigned int i;

	sum->size = sizeof(*sum);
	for (i = 0; i < SNAP_COPY_REASONS; i++) {
		sum->tx_copied_msgs += sum->copied_msgs[i];
		sum->tx_copied_bytes += sum->copied_bytes[i];
	}
	for (i = 0; i < SNAP_RECV_REASONS; i++)
		sum->rx_copied_bytes += sum->recv_bytes[i];
}

void snap_counts_read(struct snap_counts *c, struct snap_sock_stats *out)
{
	memset(out, 0, sizeof(*out));
	snap_counts_add(c, out);
	snap_counts_total(out);
}
EXPORT_SYMBOL_GPL(snap_counts_read);

struct snap_counts *snap_counts_of(struct net *net)
{
	return raw_cpu_ptr(snap_stats_net_of(net)->counts);
}

void snap_counts_read_net(struct net *net, struct snap_sock_stats *out)
{
	struct snap_counts __percpu *counts = snap_stats_net_of(net)->counts;
	unsigned int cpu;

	memset(out, 0, sizeof(*out));
	for_each_possible_cpu(cpu)
		snap_counts_add(per_cpu_ptr(counts, cpu), out);
	snap_counts_total(out);
}

static int __net_init snap_stats_net_init(struct net *net)
{
	struct snap_counts __percpu *counts;

	/* zeroed; charged to who makes the namespace */
	counts = alloc_percpu_gfp(struct snap_counts, GFP_KERNEL_ACCOUNT);
	snap_stats_net_of(net)->counts = counts;
	return counts ? 0 : -ENOMEM;
}

static void __net_exit snap_stats_net_exit(struct net *net)
{
	free_percpu(snap_stats_net_of(net)->counts);
}

static struct pernet_operations snap_stats_net_ops = {
	.init = snap_stats_net_init,
	.exit = snap_stats_net_exit,
	.id = &snap_stats_net_id,
	.size = sizeof(struct snap_stats_net),
};

int __init snap_stats_init(void)
{
	return register_pernet_subsys(&snap_stats_net_ops);
}

void snap_stats_exit(void)
{
	unregister_pernet_subsys(&snap_stats_net_ops);
}
