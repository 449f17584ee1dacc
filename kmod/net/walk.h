/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All sockets of TCP and UDP that may have packets, whoever made them: those in the
 * kernel's tables, and those of all processes' descriptors that are in no table any
 * more.  Of the latter those are not found that only a message of AF_UNIX or the
 * table of an io_uring has.
 */
#ifndef SNAP_WALK_H
#define SNAP_WALK_H

struct sock;

/**
 * snap_walk() - of all network namespaces
 * @tcp: called for each TCP socket but those that listen, orphans of the
 *	dead and connections that nobody has accepted yet among them
 * @udp: called for each socket of UDP and UDP-Lite that has a port, or had one
 * @arg: for both
 *
 * The socket is not locked; there is a reference on it.  One that is made or
 * moves meanwhile may be missed, or be met twice.
 *
 * Context: process.
 */
void snap_walk(void (*tcp)(struct sock *sk, void *arg),
	       void (*udp)(struct sock *sk, void *arg), void *arg);

#endif /* SNAP_WALK_H */
