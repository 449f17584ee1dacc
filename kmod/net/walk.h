/* SPDX-License-Identifier: GPL-2.0-only */
/* All sockets of TCP and UDP that may have packets, whoever made them. */
#ifndef SNAP_WALK_H
#define SNAP_WALK_H

struct sock;

/**
 * snap_walk() - of all network namespaces
 * @tcp: called for each TCP socket but those that listen, orphans of the
 *	dead and connections that nobody has accepted yet among them
 * @udp: called for each UDP socket that has a port
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
