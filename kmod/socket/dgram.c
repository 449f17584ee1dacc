// SPDX-License-Identifier: GPL-2.0-only
/* Sending datagrams: each captured whole, or copied whole; see send.h. */

#include <linux/bpf-cgroup.h>
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/skbuff.h>
#include <linux/uio.h>
#include <net/hotdata.h>
#include <net/inet_sock.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>

#include "compat/sock.h"
#include "compat/splice.h"
#include "device/batch.h"
#include "memory/region.h"
#include "socket/send.h"
#include "socket/sock.h"

/* What UDP can carry; longer messages are UDP's to refuse. */
#define SNAP_DGRAM_BYTES_MAX	65535u

static_assert(SNAP_DGRAM_BYTES_MAX <= (SNAP_REGION_CAPTURE_PAGES - 1) * PAGE_SIZE);

static struct dst_entry *snap_dgram_route4(struct sock *sk, __be32 daddr,
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
			   dport, inet->inet_sport, sk_uid(sk));
	security_sk_classify_flow(sk, flowi4_to_flowi_common(&fl4));
	rt = ip_route_output_flow(sock_net(sk), &fl4, sk);
	return IS_ERR(rt) ? NULL : &rt->dst;
}

static struct dst_entry *snap_dgram_route6(struct sock *sk,
					   const struct in6_addr *daddr,
					   __be16 dport, int oif)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct dst_entry *dst;
	struct flowi6 fl6 = {
		.flowi6_oif = oif ?: READ_ONCE(sk->sk_bound_dev_if),
		.flowi6_mark = READ_ONCE(sk->sk_mark),
		.flowi6_proto = sk->sk_protocol,
		.flowi6_uid = sk_uid(sk),
		.daddr = *daddr,
		.saddr = inet6_sk(sk)->saddr,
		.fl6_dport = dport,
		.fl6_sport = inet_sk(sk)->inet_sport,
	};

	if (ipv6_addr_is_multicast(daddr))
		return NULL;
	if (ipv6_addr_v4mapped(daddr))
		return snap_dgram_route4(sk, daddr->s6_addr32[3], dport);
	security_sk_classify_flow(sk, flowi6_to_flowi_common(&fl6));
	dst = ip6_dst_lookup_flow(sock_net(sk), sk, &fl6, NULL);
	return IS_ERR(dst) ? NULL : dst;
#else
	return NULL;
#endif
}

/* May a program of the control group send it to another address? */
static bool snap_dgram_redirected(struct sock *sk, const struct msghdr *msg)
{
#ifdef CONFIG_CGROUP_BPF
	if (!msg->msg_name)
		return false;
	return (cgroup_bpf_enabled(CGROUP_UDP4_SENDMSG) &&
		cgroup_bpf_sock_enabled(sk, CGROUP_UDP4_SENDMSG)) ||
	       (cgroup_bpf_enabled(CGROUP_UDP6_SENDMSG) &&
		cgroup_bpf_sock_enabled(sk, CGROUP_UDP6_SENDMSG));
#else
	return false;
#endif
}

/*
 * What sends a message elsewhere than its addresses say: such messages go by
 * copy rather than have every one of them followed here.
 */
static bool snap_dgram_odd_route(struct sock *sk, const struct msghdr *msg)
{
	const struct inet_sock *inet = inet_sk(sk);

	if (snap_dgram_redirected(sk, msg))
		return true;
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

static struct dst_entry *snap_dgram_route_connected(struct sock *sk)
{
	struct dst_entry *dst;

	if (sk->sk_state != TCP_ESTABLISHED)
		return NULL;
	dst = snap_send_dst(sk);
	if (dst)
		return dst;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		return snap_dgram_route6(sk, &sk->sk_v6_daddr,
					 inet_sk(sk)->inet_dport, 0);
#endif
	return snap_dgram_route4(sk, inet_sk(sk)->inet_daddr,
				 inet_sk(sk)->inet_dport);
}

/* Where a message would go; NULL also if it is going to fail. */
static struct dst_entry *snap_dgram_route(struct sock *sk, const struct msghdr *msg)
{
	const struct sockaddr_in6 *sin6 = msg->msg_name;
	const struct sockaddr_in *sin = msg->msg_name;

	if (snap_dgram_odd_route(sk, msg))
		return NULL;
	if (!msg->msg_name)
		return snap_dgram_route_connected(sk);
	if (msg->msg_namelen < (int)sizeof(*sin))
		return NULL;
	if (sin->sin_family == AF_INET)
		return snap_dgram_route4(sk, sin->sin_addr.s_addr, sin->sin_port);
	if (sin->sin_family != AF_INET6 || sk->sk_family != AF_INET6 ||
	    msg->msg_namelen < (int)sizeof(*sin6))
		return NULL;
	return snap_dgram_route6(sk, &sin6->sin6_addr, sin6->sin6_port,
				 sin6->sin6_scope_id);
}

/* UDP_SEGMENT alone changes neither the way nor the time of a message. */
static bool snap_dgram_plain_control(struct msghdr *msg)
{
	struct cmsghdr *cmsg;

	for_each_cmsghdr(cmsg, msg)
		if (!CMSG_OK(msg, cmsg) || cmsg->cmsg_level != SOL_UDP ||
		    cmsg->cmsg_type != UDP_SEGMENT)
			return false;
	return true;
}

static bool snap_dgram_corked(const struct sock *sk, struct msghdr *msg)
{
	return msg->msg_flags & (MSG_MORE | MSG_ZEROCOPY | MSG_OOB) ||
	       READ_ONCE(udp_sk(sk)->pending) || udp_test_bit(CORK, sk) ||
	       (msg->msg_controllen && !snap_dgram_plain_control(msg));
}

/* Short buffers of a message have no more bytes than this in all. */
#define SNAP_DGRAM_SHORTS_MAX	PAGE_SIZE

/**
 * struct snap_dgram - a message while it is captured
 * @bvec: its bytes in order, in pieces; see snap_send_put()
 * @n: how many
 * @npages: pages that they lie in, which are the fragments of a packet
 * @shorts: bytes of short buffers, copied
 */
struct snap_dgram {
	struct bio_vec bvec[SNAP_REGION_CAPTURE_PAGES];
	int n;
	unsigned int npages;
	unsigned int shorts;
};

/*
 * Copy short buffers in a row: 0, or minus one minus an enum snap_copy_reason.
 * They share the task's pages with all that UDP and TCP copy: a page for each
 * message would be memory that no socket is charged for.
 */
static int snap_dgram_add_shorts(struct snap_dgram *dgram, struct iov_iter *iter,
				 size_t len)
{
	struct page_frag *frag = &current->task_frag;
	unsigned int npages;

	if (len > SNAP_DGRAM_SHORTS_MAX - dgram->shorts)
		return -1 - SNAP_COPY_SCATTERED;
	if (!skb_page_frag_refill(len, frag, GFP_KERNEL))
		return -1 - SNAP_COPY_NO_FRAMES;
	/* they may lie over the end of one */
	npages = DIV_ROUND_UP(offset_in_page(frag->offset) + len, PAGE_SIZE);
	if (npages > SNAP_REGION_CAPTURE_PAGES - dgram->npages)
		return -1 - SNAP_COPY_SCATTERED;
	/* what faults here does so again in UDP, which reports it */
	if (!copy_from_iter_full(page_address(frag->page) + frag->offset, len, iter))
		return -1 - SNAP_COPY_SHORT;
	get_page(frag->page);
	bvec_set_page(&dgram->bvec[dgram->n++], frag->page, len, frag->offset);
	frag->offset += len;
	dgram->npages += npages;
	dgram->shorts += len;
	return 0;
}

static int snap_dgram_add(struct snap_dgram *dgram, struct sock *sk,
			  const struct dst_entry *dst, const void __user *addr,
			  size_t len)
{
	unsigned int npages = DIV_ROUND_UP(offset_in_page(addr) + len, PAGE_SIZE);
	int n;

	if (npages > SNAP_REGION_CAPTURE_PAGES - dgram->npages)
		return -1 - SNAP_COPY_SCATTERED;
	n = snap_send_capture(sk, dst, addr, len, dgram->bvec + dgram->n);
	if (n < 0)
		return n;
	dgram->n += n;
	dgram->npages += npages;
	return 0;
}

/*
 * Will UDP sum it as it splices?  The device does if UDP need not cut the datagram and
 * nothing else is done to it.
 */
static bool snap_dgram_summed(const struct sock *sk, const struct dst_entry *dst,
			      size_t len)
{
	const struct ipv6_pinfo *np = inet6_sk(sk);
	u32 limit = np ? READ_ONCE(np->frag_size) : 0;	/* IPV6_MTU, or 0 */
	size_t headers = sizeof(struct udphdr) +
			 (dst->ops->family == AF_INET ? sizeof(struct iphdr) :
							sizeof(struct ipv6hdr));
	const struct net_device *netdev;
	bool summed;

	rcu_read_lock();
	netdev = READ_ONCE(dst->dev);
	limit = min_not_zero(limit, min(dst_mtu(dst), READ_ONCE(netdev->mtu)));
	summed = !(netdev->features & NETIF_F_HW_CSUM) || dst->header_len ||
		 headers + len > limit;
	rcu_read_unlock();
	return summed;
}

/* Does a page of it begin after an odd number of bytes? */
static bool snap_dgram_odd_pages(const struct snap_dgram *dgram)
{
	size_t at = 0;
	int i;

	for (i = 0; i < dgram->n; i++) {
		const struct bio_vec *bv = &dgram->bvec[i];
		unsigned int offset = offset_in_page(bv->bv_offset);

		/* short buffers may lie over the end of one, too */
		if (at % 2 || (offset % 2 && offset + bv->bv_len > PAGE_SIZE))
			return true;
		at += bv->bv_len;
	}
	return false;
}

/* The buffers one by one; on failure the caller drops what is there. */
static int snap_dgram_add_all(struct snap_dgram *dgram, struct sock *sk,
			      const struct dst_entry *dst, struct iov_iter iter,
			      size_t copybreak)
{
	size_t len, total = iov_iter_count(&iter);
	int ret = 0;

	while (!ret && iov_iter_count(&iter)) {
		iov_iter_advance(&iter, 0);	/* not to a buffer without bytes */
		len = iov_iter_single_seg_count(&iter);
		if (len >= copybreak) {
			ret = snap_dgram_add(dgram, sk, dst, iter_iov_addr(&iter), len);
			iov_iter_advance(&iter, len);
		} else {
			ret = snap_dgram_add_shorts(dgram, &iter, len);
		}
	}
	/* Nothing to refer to, or more than one packet may have. */
	if (!ret && (dgram->shorts == total ||
		     dgram->npages > READ_ONCE(net_hotdata.sysctl_max_skb_frags)))
		ret = -1 - SNAP_COPY_SCATTERED;
	if (!ret && !snap_splice_sums_odd() && snap_dgram_summed(sk, dst, total) &&
	    snap_dgram_odd_pages(dgram))
		ret = -1 - SNAP_COPY_CHECKSUM;
	return ret;
}

/* 0, or minus one minus an enum snap_copy_reason; then nothing is held. */
static int snap_dgram_capture(struct snap_dgram *dgram, struct socket *sock,
			      struct msghdr *msg, size_t len)
{
	size_t copybreak = READ_ONCE(snap_sock_of(sock)->shown.copybreak);
	struct dst_entry *dst;
	int ret;

	if (len < copybreak || !len)
		return -1 - SNAP_COPY_SHORT;
	if (!user_backed_iter(&msg->msg_iter))
		return -1 - SNAP_COPY_NOT_REGION;
	if (snap_dgram_corked(sock->sk, msg))
		return -1 - SNAP_COPY_FLAGS;
	dst = snap_dgram_route(sock->sk, msg);
	if (!dst)
		return -1 - SNAP_COPY_ROUTE;
	ret = snap_dgram_add_all(dgram, sock->sk, dst, msg->msg_iter, copybreak);
	dst_release(dst);
	if (ret)
		snap_send_put(dgram->bvec, dgram->n);
	return ret;
}

/* To UDP; in sendmmsg(2), all messages but the last say that one follows. */
static int snap_dgram_give(struct socket *sock, struct msghdr *msg, size_t len)
{
	const struct proto_ops *base = snap_sock_of(sock)->base;
	unsigned int batch;
	int ret;

	if (!(msg->msg_flags & MSG_BATCH))
		return base->sendmsg(sock, msg, len);
	batch = snap_batch_begin();
	ret = base->sendmsg(sock, msg, len);
	snap_batch_end(batch);
	return ret;
}

int snap_dgram_send(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct snap_sock *ss = snap_sock_of(sock);
	struct iov_iter user = msg->msg_iter;
	struct snap_dgram dgram;
	int ret;

	/* Too long is UDP's to say; splice() brings pages that nobody copies. */
	if (len > SNAP_DGRAM_BYTES_MAX || msg->msg_flags & MSG_SPLICE_PAGES)
		return ss->base->sendmsg(sock, msg, len);
	dgram.n = 0;
	dgram.npages = 0;
	dgram.shorts = 0;
	ret = snap_dgram_capture(&dgram, sock, msg, len);
	if (ret < 0) {
		enum snap_copy_reason reason = -1 - ret;

		ret = snap_dgram_give(sock, msg, len);
		if (ret >= 0)
			snap_send_count_copy(ss, sock->sk, reason, ret);
		return ret;
	}
	iov_iter_bvec(&msg->msg_iter, ITER_SOURCE, dgram.bvec, dgram.n, len);
	msg->msg_flags |= MSG_SPLICE_PAGES;
	ret = snap_dgram_give(sock, msg, len);
	msg->msg_flags &= ~MSG_SPLICE_PAGES;
	snap_send_put(dgram.bvec, dgram.n);
	/* io_uring tries again with what the iterator has left */
	msg->msg_iter = user;
	if (ret >= 0) {
		iov_iter_advance(&msg->msg_iter, ret);
		snap_send_count_ref(ss, sock->sk, ret - dgram.shorts);
		if (dgram.shorts)
			snap_send_count_copy(ss, sock->sk, SNAP_COPY_SHORT,
					     dgram.shorts);
	}
	return ret;
}
