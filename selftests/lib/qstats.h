/* SPDX-License-Identifier: GPL-2.0-only */
/* Channels of the interface, and what each queue has counted, as netlink tells it. */
#ifndef SNAP_SELFTEST_QSTATS_H
#define SNAP_SELFTEST_QSTATS_H

#include <stdint.h>

#define QSTATS_QUEUES	64

struct qstats_queue {
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
};

struct qstats {
	unsigned int nrx;
	unsigned int ntx;
	struct qstats_queue queue[QSTATS_QUEUES];
};

/* Of each queue of NETDEV; 0 or a negative errno. */
int qstats_get(struct qstats *q);
/* Of NETDEV as a whole, in queue[0]. */
int qstats_get_all(struct qstats *q);

/* How many channels there may be, and are; 0 or a negative errno. */
int channels_get(unsigned int *most, unsigned int *used);
int channels_set(unsigned int n);

#endif /* SNAP_SELFTEST_QSTATS_H */
