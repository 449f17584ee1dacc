// SPDX-License-Identifier: GPL-2.0-only
/* net.snap.*; see sysctl.h and Documentation/observing.rst. */

#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "observe/sysctl.h"

/* Below this a copy is cheaper than a capture; Documentation/socket-api.rst. */
static int copybreak = 8192;
module_param(copybreak, int, 0644);
MODULE_PARM_DESC(copybreak,
		 "messages shorter than this many bytes are copied (net.snap.copybreak of new namespaces)");

static unsigned int snap_sysctl_net_id __ro_after_init;

/* data: where the value is in struct snap_sysctl. */
#define SNAP_SYSCTL_AT(member)	((void *)offsetof(struct snap_sysctl, member))

static const struct ctl_table snap_sysctl_table[] = {
	{
		.procname = "copybreak",
		.data = SNAP_SYSCTL_AT(copybreak),
		.maxlen = sizeof(int),
		.mode = 0644,
		.proc_handler = proc_dointvec_minmax,
		.extra1 = SYSCTL_ZERO,
		.extra2 = SYSCTL_INT_MAX,
	}, {
		.procname = "by_reference",
		.data = SNAP_SYSCTL_AT(by_reference),
		.maxlen = sizeof(int),
		.mode = 0644,
		.proc_handler = proc_dointvec_minmax,
		.extra1 = SYSCTL_ZERO,
		.extra2 = SYSCTL_ONE,
	}, {
		.procname = "lo_by_reference",
		.data = SNAP_SYSCTL_AT(lo_by_reference),
		.maxlen = sizeof(int),
		.mode = 0644,
		.proc_handler = proc_dointvec_minmax,
		.extra1 = SYSCTL_ZERO,
		.extra2 = SYSCTL_ONE,
	}, {
		.procname = "other_devices",
		.data = SNAP_SYSCTL_AT(other_devices),
		.maxlen = sizeof(int),
		.mode = 0644,
		.proc_handler = proc_dointvec_minmax,
		.extra1 = SYSCTL_ZERO,
		.extra2 = SYSCTL_ONE,
	}, {
		.procname = "sockets",
		.data = SNAP_SYSCTL_AT(sockets),
		.maxlen = sizeof(int),
		.mode = 0644,
		.proc_handler = proc_dointvec_minmax,
		.extra1 = SYSCTL_ZERO,
		.extra2 = SYSCTL_ONE,
	},
};

const struct snap_sysctl *snap_sysctl_of(struct net *net)
{
	return net_generic(net, snap_sysctl_net_id);
}

static int __net_init snap_sysctl_net_init(struct net *net)
{
	struct snap_sysctl *ctl = net_generic(net, snap_sysctl_net_id);
	struct ctl_table *table;
	unsigned int i;

	table = kmemdup(snap_sysctl_table, sizeof(snap_sysctl_table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(snap_sysctl_table); i++) {
		table[i].data = (void *)ctl + (uintptr_t)table[i].data;
		/*
		 * Other devices are not a container's to vouch for, nor the
		 * family its to allow.
		 */
		if ((table[i].data == &ctl->other_devices ||
		     table[i].data == &ctl->sockets) &&
		    net->user_ns != &init_user_ns)
			table[i].mode = 0444;
	}
	ctl->copybreak = max(READ_ONCE(copybreak), 0);
	ctl->by_reference = 1;
	ctl->lo_by_reference = 1;
	ctl->sockets = net_eq(net, &init_net) ? 1 :
		       READ_ONCE(snap_sysctl_of(&init_net)->sockets);
	ctl->header = register_net_sysctl_sz(net, "net/snap", table,
					     ARRAY_SIZE(snap_sysctl_table));
	if (!ctl->header) {
		kfree(table);
		return -ENOMEM;
	}
	return 0;
}

static void __net_exit snap_sysctl_net_exit(struct net *net)
{
	struct snap_sysctl *ctl = net_generic(net, snap_sysctl_net_id);
	const struct ctl_table *table = ctl->header->ctl_table_arg;

	unregister_net_sysctl_table(ctl->header);
	kfree(table);
}

static struct pernet_operations snap_sysctl_net_ops = {
	.init = snap_sysctl_net_init,
	.exit = snap_sysctl_net_exit,
	.id = &snap_sysctl_net_id,
	.size = sizeof(struct snap_sysctl),
};

int __init snap_sysctl_init(void)
{
	return register_pernet_subsys(&snap_sysctl_net_ops);
}

void snap_sysctl_exit(void)
{
	unregister_pernet_subsys(&snap_sysctl_net_ops);
}
