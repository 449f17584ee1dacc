/* SPDX-License-Identifier: GPL-2.0-only */
/* Users who hold frames, in every way that there is. */
#ifndef SNAP_SELFTEST_HOARD_H
#define SNAP_SELFTEST_HOARD_H

#include "snap_test_util.h"

/* Percent of the pool that received packets may keep. */
#define RX_QUOTA	"/sys/module/snap/parameters/rx_quota"

/* Within which all frames of the dead are home: Documentation/memory-api.rst. */
#define HOARD_HOME_MS	10000

/* Be another user for good, with many descriptors; 0 or -1. */
int become(int uid);
/* A function in a child that dies afterwards; what it returned, 0 is good. */
int in_child(int (*run)(int arg), int arg);

/*
 * Each takes frames until there are no more for it or for so many messages of
 * 15 pages; 0, or -1 if it could not even begin.  What it has is the process's.
 */
/* Messages by reference, from that region, in sockets that nobody reads. */
int hoard_flight(struct region *r, unsigned int messages);
/* What comes from the host, in sockets of that domain that nobody reads. */
int hoard_received(int domain, unsigned int messages);

/* Keep the pages of a mapping, in a pipe; 0 or -1. */
int hoard_pin(int pipe, const char *p, size_t length);
/* A connection over lo: fd[0] of that domain has accepted fd[1] of AF_SNAP. */
int hoard_pair(int domain, int *fd);

/*
 * A child that is that user, and takes all it can get in all ways: regions,
 * clones, snapshots that are mapped and pinned, datagrams and streams in flight,
 * views, pipes, fragments of datagrams, what comes from the host.  It has done so
 * on return, and keeps it.  A process, or -1.
 */
pid_t hoard_start(int uid);
/* The same with regions alone. */
pid_t hoard_regions_start(int uid);
void hoard_stop(pid_t pid);

#endif /* SNAP_SELFTEST_HOARD_H */
