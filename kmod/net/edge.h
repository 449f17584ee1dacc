/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The edge: frames leave by our interfaces alone.
 *
 * Other drivers may be unable to read the pool.  A backend of vhost has no
 * read-only memory in its table, finds an address that it does not know, and
 * stops its queue for good; other hardware need not reach the BAR of a
 * neighbour.  Frames get to other interfaces in many ways: MSG_ZEROCOPY from a
 * snapshot or a view, splice(2) of what was received, forwarding, bridges,
 * redirection, an address that is translated.  So the check is not on the way
 * but at the end: a hook of netfilter at the egress of every interface replaces
 * frames by ordinary pages with the same bytes.
 *
 * Frames pass where nobody but a processor reads them, and where they come back
 * to another check: our interfaces, lo, veth.  And they pass everywhere in a
 * namespace in which net.snap.other_devices vouches for all interfaces.
 *
 * A program of tc (clsact, tcx) that redirects sends past the hook of the
 * interface that it redirects to.  Where a packet may meet such a program it
 * is copied before: in the hook of the interface that has one for egress, and
 * at reception or before lo or veth if one is on the way of ingress, see
 * snap_edge_diverts().
 */
#ifndef SNAP_EDGE_H
#define SNAP_EDGE_H

#include <linux/types.h>

struct net_device;

/**
 * enum snap_edge_counter - since the module was loaded, of all interfaces
 * @SNAP_EDGE_PACKETS: packets of which frames were replaced
 * @SNAP_EDGE_BYTES: bytes copied for that
 * @SNAP_EDGE_DROPPED: packets dropped, because there was no memory for it
 * @SNAP_EDGE_COUNTERS: how many counters there are
 */
enum snap_edge_counter {
	SNAP_EDGE_PACKETS,
	SNAP_EDGE_BYTES,
	SNAP_EDGE_DROPPED,
	SNAP_EDGE_COUNTERS,
};

u64 snap_edge_count(enum snap_edge_counter counter);

/**
 * snap_edge_diverts() - might what this interface receives be redirected?
 * @netdev: interface; it cannot go meanwhile
 *
 * Frames must then not be given to the stack as received there.  It is asked for
 * each packet: that tc puts a program in place is told to nobody, and where no
 * interface stands above, there is one pointer to look at.
 *
 * Context: any; takes rcu_read_lock().
 * Return: is there a program of tc for ingress, on it or on one above it.
 */
bool snap_edge_diverts(struct net_device *netdev);

/* Before there is a frame, and after the last one. */
int snap_edge_init(void);
void snap_edge_exit(void);

#endif /* SNAP_EDGE_H */
