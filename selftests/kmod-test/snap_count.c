// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel copies and allocates, for measurements: the bytes of each
 * call of a function that copies, and the objects of each that allocates from
 * slabs.  As a module, because kprobes of tracefs and perf take no function
 * that ftrace does not know, and the iterators of lib/ are such.
 *
 * /sys/kernel/debug/snap_count has a line for each function, NAME NUMBER.  The
 * file is there as long as the module is, and so are the probes, which cost.
 */

#include <linux/debugfs.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/ptrace.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/uio.h>

#define SNAP_COUNT_ONE	-1	/* each call counts one */
#define SNAP_COUNT_SKB	-2	/* what lies behind the head of the first argument */

/**
 * struct snap_counted - a function whose calls are counted
 * @name: of its lines: "slab", or what ends in "_bytes"
 * @argument: number of the argument that has the amount, from 0 on, or one of
 *	SNAP_COUNT_*
 * @to: number of the argument that has the iterator that is copied to, 0 if there
 *	is none: one that discards is only moved on
 * @probe: at its entry
 * @sum: of all amounts since the module was loaded, of each processor
 */
struct snap_counted {
	const char *name;
	int argument;
	unsigned int to;
	struct kprobe probe;
	u64 __percpu *sum;
};

#define SNAP_COPIES(function, n) \
	{ .name = #function "_bytes", .argument = (n), \
	  .probe.symbol_name = #function }
#define SNAP_COPIES_TO(function, n, iter) \
	{ .name = #function "_bytes", .argument = (n), .to = (iter), \
	  .probe.symbol_name = #function }
#define SNAP_ALLOCATES(function, n) \
	{ .name = "slab", .argument = (n), .probe.symbol_name = #function }

/*
 * None of them calls another one.  skb_copy_bits() and skb_copy_and_csum_bits()
 * call themselves for packets that a list hangs on, whose bytes then count twice.
 * For 6.12 as Debian builds it: csum_and_copy_to_iter() is static, and a compiler
 * that had it inline would leave nothing to probe, so that this does not load.
 */
static struct snap_counted snap_counted[] = {
	SNAP_COPIES(_copy_from_iter, 1),
	SNAP_COPIES(_copy_from_iter_nocache, 1),
	SNAP_COPIES(csum_and_copy_from_iter_full, 1),
	SNAP_COPIES_TO(_copy_to_iter, 1, 2),
	SNAP_COPIES_TO(csum_and_copy_to_iter, 1, 3),
	SNAP_COPIES(skb_copy_bits, 3),
	SNAP_COPIES(skb_copy_and_csum_bits, 3),
	SNAP_COPIES(skb_copy_ubufs, SNAP_COUNT_SKB),
	SNAP_ALLOCATES(kmem_cache_alloc_noprof, SNAP_COUNT_ONE),
	SNAP_ALLOCATES(kmem_cache_alloc_lru_noprof, SNAP_COUNT_ONE),
	SNAP_ALLOCATES(kmem_cache_alloc_node_noprof, SNAP_COUNT_ONE),
	SNAP_ALLOCATES(kmem_cache_alloc_bulk_noprof, 2),
	SNAP_ALLOCATES(__kmalloc_noprof, SNAP_COUNT_ONE),
	SNAP_ALLOCATES(__kmalloc_node_noprof, SNAP_COUNT_ONE),
	SNAP_ALLOCATES(__kmalloc_node_track_caller_noprof, SNAP_COUNT_ONE),
	SNAP_ALLOCATES(__kmalloc_cache_noprof, SNAP_COUNT_ONE),
	SNAP_ALLOCATES(__kmalloc_cache_node_noprof, SNAP_COUNT_ONE),
};

/* In any context, with interrupts off. */
static int snap_count_hit(struct kprobe *probe, struct pt_regs *regs)
{
	struct snap_counted *counted =
		container_of(probe, struct snap_counted, probe);
	const struct iov_iter *to;
	const struct sk_buff *skb;
	unsigned long amount;

	if (counted->to) {
		to = (void *)regs_get_kernel_argument(regs, counted->to);
		if (iov_iter_is_discard(to))
			return 0;
	}
	switch (counted->argument) {
	case SNAP_COUNT_ONE:
		amount = 1;
		break;
	case SNAP_COUNT_SKB:
		skb = (void *)regs_get_kernel_argument(regs, 0);
		amount = skb->data_len;
		break;
	default:
		amount = regs_get_kernel_argument(regs, counted->argument);
	}
	this_cpu_add(*counted->sum, amount);
	return 0;
}

static int snap_count_show(struct seq_file *file, void *unused)
{
	unsigned int i, cpu;

	for (i = 0; i < ARRAY_SIZE(snap_counted); i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += *per_cpu_ptr(snap_counted[i].sum, cpu);
		seq_printf(file, "%s %llu\n", snap_counted[i].name, sum);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(snap_count);

static struct dentry *snap_count_file;

static void snap_count_stop(unsigned int n)
{
	while (n--) {
		unregister_kprobe(&snap_counted[n].probe);
		free_percpu(snap_counted[n].sum);
	}
}

static int __init snap_count_init(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(snap_counted); i++) {
		struct snap_counted *counted = &snap_counted[i];

		counted->sum = alloc_percpu(u64);
		if (!counted->sum) {
			err = -ENOMEM;
			goto stop;
		}
		counted->probe.pre_handler = snap_count_hit;
		err = register_kprobe(&counted->probe);
		if (err) {
			pr_err("snap_count: %s cannot be probed: %d\n",
			       counted->probe.symbol_name, err);
			free_percpu(counted->sum);
			goto stop;
		}
	}
	snap_count_file = debugfs_create_file("snap_count", 0400, NULL, NULL,
					      &snap_count_fops);
	return 0;

stop:
	snap_count_stop(i);
	return err;
}

static void __exit snap_count_exit(void)
{
	debugfs_remove(snap_count_file);
	snap_count_stop(ARRAY_SIZE(snap_counted));
}

module_init(snap_count_init);
module_exit(snap_count_exit);

MODULE_DESCRIPTION("Copies and allocations of the kernel, counted");
MODULE_LICENSE("GPL");
