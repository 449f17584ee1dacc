/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Channels of the interface, the table by which flows come, and what each queue has
 * counted, as netlink tells it.
 */
#ifndef SNAP_SELFTEST_QSTATS_H
#define SNAP_SELFTEST_QSTATS_H

#include <stdbool.h>
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
/* How many of them receive, which whoever asks for the table asks first; negative errno. */
long rings_get(void);

/* Can flows be told by which channels to come?  Not where QEMU may load no program. */
bool table_possible(void);
/* What ethtool -X takes: 0, or not. */
int table_set(const char *words);
/* 0, if ethtool -x shows these entries first. */
int table_shows(const char *entries);

#endif /* SNAP_SELFTEST_QSTATS_H */
