// SPDX-License-Identifier: GPL-2.0-only
/* What the core keeps for later; see deferred.h. */

#include <linux/cpumask.h>

#include "compat/deferred.h"
#include "device/deferred.h"

void snap_skbs_free_deferred(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		snap_deferred_free(cpu);
}
