// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/snap: a header line, then a line for each socket.  The columns are
 * in Documentation/observing.rst; as in /proc/net/tcp, everybody may read it.
 */

#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "observe/list.h"
#include "observe/proc.h"
#include "snap_diag.h"

struct snap_proc {
	struct seq_net_private p;	/* first, as proc_create_net() wants it */
	struct snap_list_walk walk;
};

/*
 * A position is the place of a socket; the line of names is before all places.
 * A bucket is locked from start to stop.
 */
static void *snap_proc_start(struct seq_file *seq, loff_t *pos)
{
	struct snap_proc *reader = seq->private;
	void *first = snap_list_begin(&reader->walk, seq_file_net(seq), *pos);

	return *pos ? first : SEQ_START_TOKEN;
}

static void *snap_proc_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct snap_proc *reader = seq->private;
	struct snap_shown *shown = reader->walk.now;

	if (v != SEQ_START_TOKEN)
		shown = snap_list_next(&reader->walk);
	*pos = shown ? shown->place : SNAP_LIST_END;
	return shown;
}

static void snap_proc_stop(struct seq_file *seq, void *v)
{
	struct snap_proc *reader = seq->private;

	snap_list_end(&reader->walk);
}

static void snap_proc_address(struct seq_file *seq, u8 family,
			      const struct snap_diag_addr *a)
{
	if (family == AF_INET6)
		seq_printf(seq, " [%pI6c]:%u", a->addr, ntohs(a->port));
	else
		seq_printf(seq, " %pI4:%u", a->addr, ntohs(a->port));
}

static int snap_proc_show(struct seq_file *seq, void *v)
{
	struct snap_sock_stats stats;
	struct snap_shown *shown = v;
	struct snap_diag_msg msg;

	if (v == SEQ_START_TOKEN) {
		seq_puts(seq, "type state inode uid local remote rx_queue tx_queue tx_ref_bytes tx_copied_bytes rx_copied_bytes rx_viewed_bytes\n");
		return 0;
	}
	snap_list_describe(shown, seq_user_ns(seq), &msg);
	snap_counts_read(&shown->counts, &stats);
	seq_printf(seq, "%s %02X %llu %u",
		   msg.type == SOCK_STREAM ? "stream" : "dgram", msg.state,
		   msg.inode, msg.uid);
	snap_proc_address(seq, msg.inner_family, &msg.local);
	snap_proc_address(seq, msg.inner_family, &msg.remote);
	seq_printf(seq, " %u %u %llu %llu %llu %llu\n", msg.rx_queue, msg.tx_queue,
		   stats.tx_ref_bytes, stats.tx_copied_bytes,
		   stats.rx_copied_bytes, stats.rx_viewed_bytes);
	return 0;
}

static const struct seq_operations snap_proc_ops = {
	.start = snap_proc_start,
	.next = snap_proc_next,
	.stop = snap_proc_stop,
	.show = snap_proc_show,
};

static int __net_init snap_proc_net_init(struct net *net)
{
	return proc_create_net("snap", 0444, net->proc_net, &snap_proc_ops,
			       sizeof(struct snap_proc)) ? 0 : -ENOMEM;
}

static void __net_exit snap_proc_net_exit(struct net *net)
{
	remove_proc_entry("snap", net->proc_net);
}

static struct pernet_operations snap_proc_net_ops = {
	.init = snap_proc_net_init,
	.exit = snap_proc_net_exit,
};

int __init snap_proc_init(void)
{
	return register_pernet_subsys(&snap_proc_net_ops);
}

void snap_proc_exit(void)
{
	unregister_pernet_subsys(&snap_proc_net_ops);
}
