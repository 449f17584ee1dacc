// SPDX-License-Identifier: LGPL-2.1-or-later
// The counts of the run, as this process has them.
#ifndef SNAP_RUN_OWN_COUNTS_H
#define SNAP_RUN_OWN_COUNTS_H

#include "../counts.h"

namespace snaprun {

// Set once, before main(), and null if nobody counts; forked processes share
// what it points to.
extern Counts *own_counts;

} // namespace snaprun

#endif
