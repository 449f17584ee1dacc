/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the program in the kernel counts and snaptrace reads. */
#ifndef SNAPTRACE_EVENTS_H
#define SNAPTRACE_EVENTS_H

#include <linux/types.h>

/* Room for enum snap_copy_reason; the last slot also takes unknown ones. */
#define SNAPTRACE_REASONS 32
/* Slot n: at least 2^n nanoseconds; the last one also everything longer. */
#define SNAPTRACE_SLOTS 32
#define SNAPTRACE_COMM 16

struct snaptrace_key {
    __u64 inode; /* of the socket; zero unless counted by socket */
    __u32 pid;   /* process, not thread, in the initial namespace */
    __u32 reserved;
};

struct snaptrace_counts {
    char comm[SNAPTRACE_COMM];
    __u64 ref_msgs;
    __u64 ref_bytes;
    __u64 copied_msgs[SNAPTRACE_REASONS];
    __u64 copied_bytes[SNAPTRACE_REASONS];
    __u64 rx_msgs;
    __u64 rx_copied_bytes;
    __u64 rx_viewed_msgs; /* of rx_msgs, those with bytes by view */
    __u64 rx_viewed_bytes;
    __u64 latency[SNAPTRACE_SLOTS]; /* sends, by time to the doorbell */
};

#endif
