// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints themselves; see trace.h. */

#define CREATE_TRACE_POINTS
#include "observe/trace.h"
