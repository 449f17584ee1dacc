/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What UDP does to its own sockets, and newer kernels do not export.  These do for all
 * kernels.
 */
#ifndef SNAP_COMPAT_UDP_H
#define SNAP_COMPAT_UDP_H

struct sk_buff;
struct sock;

/*
 * A datagram has been taken out of the reader queue, whose lock the caller holds: its
 * memory is no longer the socket's.  As udp_skb_destructor() does.
 */
void snap_udp_uncharge(struct sock *sk, const struct sk_buff *skb);

/*
 * Give up what is corked over IPv4; the caller has the socket's lock.  As
 * udp_flush_pending_frames() does.
 */
void snap_udp_flush_corked(struct sock *sk);

#endif /* SNAP_COMPAT_UDP_H */
