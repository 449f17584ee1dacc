// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending: by reference to captured frames where that is possible, by copy
 * everywhere else, with the reason counted.
 */

#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/uio.h>
#include <net/inet_sock.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>

#include "snap_region.h"
#include "snap_sock.h"
#include "snap_sysctl.h"
#include "snap_trace.h"

/* What UDP can carry; longer messages are UDP's to refuse. */
#define SNAP_SEND_BYTES_MAX	65535u

static_assert(SNAP_SEND_BYTES_MAX <= (SNAP_REGION_CAPTURE_PAGES - 1) * PAGE_SIZE);

static struct dst_entry *snap_send_route4(struct sock *sk, __be32 daddr,
					  __be16 dport)
{
	struct inet_sock *inet = inet_sk(sk);
	struct flowi4 fl4;
	struct rtable *rt;

	if (ipv4_is_multicast(daddr))
		return NULL;	/* has options and sources of its own */
	flowi4_init_output(&fl4, READ_ONCE(sk->sk_bound_dev_if),
			   READ_ONCE(sk->sk_mark), READ_ONCE(inet->tos) & INET_DSCP_MASK,
			   RT_SCOPE_UNIVERSE, sk->sk_protocol,
			   inet_sk_flowi_flags(sk), daddr, inet->inet_saddr,
			   dport, inet->inet_sport, sk->sk_uid);
	rt = ip_route_output_flow(sock_net(sk), &fl4, sk);
	return IS_ERR(rt) ? NULL : &rt->dst;
}

static struct dst_entry *snap_send_route6(struct sock *sk,
					  const struct in6_addr *daddr,
					  __be16 dport, int oif)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct dst_entry *dst;
	struct flowi6 fl6 = {
		.flowi6_oif = oif ?: READ_ONCE(sk->sk_bound_dev_if),
		.flowi6_mark = READ_ONCE(sk->sk_mark),
		.flowi6_proto = sk->sk_protocol,
		.flowi6_uid = sk->sk_uid,
		.daddr = *daddr,
		.saddr = inet6_sk(sk)->saddr,
		.fl6_dport = dport,
		.fl6_sport = inet_sk(sk)->inet_sport,
	};

	if (ipv6_addr_is_multicast(daddr))
		return NULL;
	if (ipv6_addr_v4mapped(daddr))
		return snap_send_route4(sk, daddr->s6_addr32[3], dport);
	dst = ip6_dst_lookup_flow(sock_net(sk), sk, &fl6, NULL);
	return IS_ERR(dst) ? NULL : dst;
#else
	return NULL;
#endif
}

/*
 * Socket options that send a message elsewhere than its addresses say: such
 * messages go by copy rather than have every one of them followed here.
 */
static bool snap_send_odd_route(struct sock *sk, const struct msghdr *msg)
{
	const struct inet_sock *inet = inet_sk(sk);

	if (msg->msg_flags & MSG_DONTROUTE || sock_flag(sk, SOCK_LOCALROUTE) ||
	    rcu_access_pointer(inet->inet_opt) || READ_ONCE(inet->uc_index) ||
	    READ_ONCE(inet->mc_index))
		return true;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		const struct ipv6_pinfo *np = inet6_sk(sk);

		return rcu_access_pointer(np->opt) || READ_ONCE(np->ucast_oif) ||
		       READ_ONCE(np->mcast_oif);
	}
#endif
	return false;
}

static struct dst_entry *snap_send_route_connected(struct sock *sk)
{
	u32 cookie = 0;
	struct dst_entry *dst;

	if (sk->sk_state != TCP_ESTABLISHED)
		return NULL;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		cookie = inet6_sk(sk)->dst_cookie;
#endif
	dst = sk_dst_check(sk, cookie);
	if (dst)
		return dst;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		return snap_send_route6(sk, &sk->sk_v6_daddr,
					inet_sk(sk)->inet_dport, 0);
#endif
	return snap_send_route4(sk, inet_sk(sk)->inet_daddr,
				inet_sk(sk)->inet_dport);
}

/* Where a message would go; NULL also if it is going to fail. */
static struct dst_entry *snap_send_route(struct sock *sk, const struct msghdr *msg)
{
	const struct sockaddr_in6 *sin6 = msg->msg_name;
	const struct sockaddr_in *sin = msg->msg_name;

	if (snap_send_odd_route(sk, msg))
		return NULL;
	if (!msg->msg_name)
		return snap_send_route_connected(sk);
	if (msg->msg_namelen < (int)sizeof(*sin))
		return NULL;
	if (sin->sin_family == AF_INET)
		return snap_send_route4(sk, sin->sin_addr.s_addr, sin->sin_port);
	if (sin->sin_family != AF_INET6 || sk->sk_family != AF_INET6 ||
	    msg->msg_namelen < (int)sizeof(*sin6))
		return NULL;
	return snap_send_route6(sk, &sin6->sin6_addr, sin6->sin6_port,
				sin6->sin6_scope_id);
}

static bool snap_send_corked(const struct sock *sk, const struct msghdr *msg)
{
	return msg->msg_flags & (MSG_MORE | MSG_ZEROCOPY | MSG_OOB) ||
	       msg->msg_controllen || READ_ONCE(udp_sk(sk)->pending) ||
	       udp_test_bit(CORK, sk);
}

/*
 * Frames may leave by the region's own interface or stay on this machine:
 * other drivers get ordinary pages unless the administrator says that their
 * backends see the pool.  Without SG the stack would copy.
 */
static bool snap_send_frames(const struct snap_sysctl *ctl,
			     const struct net_device *netdev)
{
	return READ_ONCE(ctl->by_reference) && netdev->features & NETIF_F_SG &&
	       (READ_ONCE(ctl->lo_by_reference) ||
		!(netdev->flags & IFF_LOOPBACK));
}

/* Number of pages captured, or minus one minus an enum snap_copy_reason. */
static int snap_send_capture(struct socket *sock, const struct msghdr *msg,
			     size_t len, struct page **page)
{
	const struct snap_sysctl *ctl = snap_sysctl_of(sock_net(sock->sk));
	const struct snap_sock *ss = snap_sock_of(sock);
	const struct iov_iter *iter = &msg->msg_iter;
	const struct net_device *netdev;
	struct dst_entry *dst;
	int n;

	if (len < READ_ONCE(ss->copybreak) || !len)
		return -1 - SNAP_COPY_SHORT;
	if (!iter_is_ubuf(iter))
		return -1 - (user_backed_iter(iter) ? SNAP_COPY_SCATTERED :
						      SNAP_COPY_NOT_REGION);
	if (snap_send_corked(sock->sk, msg))
		return -1 - SNAP_COPY_FLAGS;
	dst = snap_send_route(sock->sk, msg);
	if (!dst)
		return -1 - SNAP_COPY_ROUTE;
	netdev = dst->dev;
	if (!snap_send_frames(ctl, netdev))
		n = -1 - SNAP_COPY_ROUTE;
	else
		n = snap_region_capture((unsigned long)iter_iov_addr(iter), len,
					netdev->flags & IFF_LOOPBACK ||
					READ_ONCE(ctl->other_devices) ? NULL : netdev,
					page);
	dst_release(dst);
	trace_snap_capture(sock->sk, len, max(n, 0), min(n, 0));
	return n;
}

/* Send pages; their references are dropped. */
static int snap_send_pages(struct socket *sock, struct msghdr *msg, size_t len,
			   struct page **page, int npages)
{
	const struct snap_sock *ss = snap_sock_of(sock);
	struct bio_vec bvec[SNAP_REGION_CAPTURE_PAGES];
	struct iov_iter user = msg->msg_iter;
	size_t offset, left = len;
	int i, ret;

	offset = offset_in_page(iter_iov_addr(&user));
	for (i = 0; i < npages; i++) {
		size_t part = min_t(size_t, left, PAGE_SIZE - offset);

		bvec_set_page(&bvec[i], page[i], part, offset);
		left -= part;
		offset = 0;
	}
	iov_iter_bvec(&msg->msg_iter, ITER_SOURCE, bvec, npages, len);
	msg->msg_flags |= MSG_SPLICE_PAGES;
	ret = ss->base->sendmsg(sock, msg, len);
	msg->msg_flags &= ~MSG_SPLICE_PAGES;
	/* skbs took references of their own */
	for (i = 0; i < npages; i++)
		put_page(page[i]);
	/* io_uring tries again with what the iterator has left */
	msg->msg_iter = user;
	if (ret > 0)
		iov_iter_advance(&msg->msg_iter, ret);
	return ret;
}

int snap_send(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct snap_counts *net_counts = snap_counts_of(sock_net(sock->sk));
	struct page *page[SNAP_REGION_CAPTURE_PAGES];
	struct snap_sock *ss = snap_sock_of(sock);
	int n, ret;

	/* Too long is UDP's to say; splice() brings pages that nobody copies. */
	if (len > SNAP_SEND_BYTES_MAX || msg->msg_flags & MSG_SPLICE_PAGES)
		return ss->base->sendmsg(sock, msg, len);
	n = snap_send_capture(sock, msg, len, page);
	if (n > 0) {
		ret = snap_send_pages(sock, msg, len, page, n);
		if (ret >= 0) {
			snap_counts_ref(&ss->counts, ret);
			snap_counts_ref(net_counts, ret);
			trace_snap_send_ref(sock->sk, ret);
		}
	} else {
		ret = ss->base->sendmsg(sock, msg, len);
		if (ret >= 0) {
			snap_counts_copy(&ss->counts, -1 - n, ret);
			snap_counts_copy(net_counts, -1 - n, ret);
			trace_snap_send_copy(sock->sk, ret, -1 - n);
		}
	}
	return ret;
}
