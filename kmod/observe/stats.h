/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of sockets: one set for each socket, and one for its namespace on each
 * processor, so that sockets that have nothing to do with each other do not meet
 * there.  Sets of a namespace are atomic as well: who counts may be moved, and a
 * line of cache that no other processor writes makes that cheap.
 */
#ifndef SNAP_STATS_H
#define SNAP_STATS_H

#include <linux/atomic.h>
#include <linux/types.h>

#include "snap.h"

struct net;

/**
 * struct snap_counts - what struct snap_sock_stats reports, while counting
 * @tx_ref_msgs: messages sent by reference
 * @tx_ref_bytes: bytes in them
 * @rx_msgs: messages received
 * @rx_viewed_msgs: messages of which bytes went into the view
 * @rx_viewed_bytes: these bytes
 * @copied_msgs: messages sent by copy, by reason
 * @copied_bytes: bytes in them
 * @recv_msgs: messages received with bytes that were copied, by reason
 * @recv_bytes: these bytes
 */
struct snap_counts {
	atomic64_t tx_ref_msgs;
	atomic64_t tx_ref_bytes;
	atomic64_t rx_msgs;
	atomic64_t rx_viewed_msgs;
	atomic64_t rx_viewed_bytes;
	atomic64_t copied_msgs[SNAP_COPY_REASONS];
	atomic64_t copied_bytes[SNAP_COPY_REASONS];
	atomic64_t recv_msgs[SNAP_RECV_REASONS];
	atomic64_t recv_bytes[SNAP_RECV_REASONS];
};

/**
 * struct snap_received - where the bytes of a message went
 * @viewed: bytes that were left in the view
 * @copied: bytes that were copied, by reason
 */
struct snap_received {
	size_t viewed;
	size_t copied[SNAP_RECV_REASONS];
};

/* Bits 1 << enum snap_recv_reason. */
u32 snap_received_why(const struct snap_received *got);

void snap_counts_ref(struct snap_counts *c, size_t bytes);
void snap_counts_copy(struct snap_counts *c, enum snap_copy_reason reason,
		      size_t bytes);
void snap_counts_receive(struct snap_counts *c, const struct snap_received *got);
void snap_counts_read(struct snap_counts *c, struct snap_sock_stats *out);

/*
 * Where to count for the namespace, on this processor or one that the caller ran
 * on just now; lives as long as the namespace.
 */
struct snap_counts *snap_counts_of(struct net *net);
/* Of all processors together. */
void snap_counts_read_net(struct net *net, struct snap_sock_stats *out);

int snap_stats_init(void);
void snap_stats_exit(void);

#endif /* SNAP_STATS_H */
