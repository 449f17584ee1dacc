// SPDX-License-Identifier: GPL-2.0-only
/* Which task sends a batch on which processor; see batch.h. */

#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "device/batch.h"

/* Tasks between begin and end; compared, never followed. */
static DEFINE_PER_CPU(struct task_struct *, snap_batcher);

unsigned int snap_batch_begin(void)
{
	unsigned int cpu = raw_smp_processor_id();

	WRITE_ONCE(per_cpu(snap_batcher, cpu), current);
	return cpu;
}

void snap_batch_end(unsigned int batch)
{
	/* whoever came after us has it for itself */
	cmpxchg(per_cpu_ptr(&snap_batcher, batch), current, NULL);
}

bool snap_batch_is_here(void)
{
	/* netpoll may say the last words of this machine, with interrupts off */
	return in_task() && !irqs_disabled() &&
	       this_cpu_read(snap_batcher) == current;
}
