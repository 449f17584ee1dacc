// SPDX-License-Identifier: GPL-2.0-only
/*
 * recvmsg() of sockets that have a view; see view.h.  A datagram is looked
 * at while it is in the queue, answered for by UDP, whose control messages and
 * addresses are the real ones, taken out, and taken apart; the bytes of a stream
 * are taken by TCP's own reader, under the socket's lock.
 */

#include <linux/ipv6.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include <net/busy_poll.h>
#include <net/rps.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "compat/sock.h"
#include "compat/udp.h"
#include "socket/sock.h"
#include "socket/view.h"

/*
 * How many parts there is room to tell of, in the caller's control buffer?  In
 * memory that is there: who takes parts has to be able to tell of them.
 */
static unsigned int snap_view_recv_room(const struct msghdr *msg)
{
	size_t n, room = msg->msg_controllen;

	/* callers within the kernel know nothing of views */
	if (!msg->msg_control_is_user || !msg->msg_control_user ||
	    room < CMSG_SPACE(sizeof(struct snap_view_part)))
		return 0;
	n = min_t(size_t, (room - CMSG_SPACE(0)) / sizeof(struct snap_view_part),
		  SNAP_VIEW_PARTS_MAX);
	return fault_in_writeable(msg->msg_control_user,
				  CMSG_SPACE(n * sizeof(struct snap_view_part))) ? 0 : n;
}

static void snap_view_recv_begin(struct snap_view_take *take,
				 struct snap_view *view, struct sock *sk,
				 struct msghdr *msg)
{
	const struct snap_sock *ss = snap_sock_of(sk->sk_socket);

	take->view = view;
	take->sk = sk;
	take->msg = msg;
	take->copybreak = max(READ_ONCE(ss->shown.copybreak), 1);
	take->room = snap_view_recv_room(msg);
	take->n = 0;
	take->at = 0;
	memset(&take->got, 0, sizeof(take->got));
}

/* What the inner family receives by itself, by copy. */
static int snap_view_recv_inner(struct snap_view_take *take,
				enum snap_recv_reason reason, size_t len, int flags)
{
	struct socket *sock = take->sk->sk_socket;
	int ret = snap_sock_of(sock)->base->recvmsg(sock, take->msg, len, flags);

	if (ret > 0)
		take->got.copied[reason] = min_t(size_t, ret, len);
	return ret;
}

/*
 * Nothing stays in the view that the caller does not know of: it has had the room
 * unmapped meanwhile.  No other receiver puts anything into the view here.
 */
static int snap_view_recv_tell(struct snap_view_take *take)
{
	int err;

	if (!take->n)
		return 0;
	err = put_cmsg(take->msg, SOL_SNAP, SNAP_VIEW,
		       take->n * sizeof(take->part[0]), take->part);
	if (err)
		snap_view_take_back(take);
	return err;
}

/* ---- Datagrams ---------------------------------------------------------- */

/*
 * The datagram that a receive would take now, with a reference, still in the queue.
 * NULL: @err is how the receive ends; or zero, and what is there is for UDP alone:
 * the path's MTU, an empty one, or one that is damaged.
 */
static struct sk_buff *snap_view_dgram_look(struct sock *sk, int *err)
{
	struct sk_buff *skb;
	int offset = -1;	/* the first, whoever has looked at it before */

	skb = __skb_recv_udp(sk, MSG_PEEK | MSG_DONTWAIT, &offset, err);
	if (!skb) {
#if IS_ENABLED(CONFIG_IPV6)
		if (*err == -EAGAIN && sk->sk_family == AF_INET6 &&
		    READ_ONCE(inet6_sk(sk)->rxpmtu))
			*err = 0;
#endif
		return NULL;
	}
	*err = 0;
	if (skb->len && !udp_lib_checksum_complete(skb))
		return skb;
	kfree_skb(skb);
	return NULL;
}

/*
 * Take out of the queue what was looked at; false if somebody else did.  What has
 * been in front stays in front: nothing but a receive changes that.
 */
static bool snap_view_dgram_unlink(struct sock *sk, struct sk_buff *skb)
{
	struct sk_buff_head *queue = &udp_sk(sk)->reader_queue;
	bool there;

	spin_lock_bh(&queue->lock);
	there = skb->next;
	if (there) {
		__skb_unlink(skb, queue);
		refcount_dec(&skb->users);	/* the queue's */
		snap_udp_uncharge(sk, skb);
	}
	spin_unlock_bh(&queue->lock);
	return there;
}

/*
 * A datagram that is nobody else's any more: its bytes, and what there is to tell
 * of them.  If they cannot be copied it is lost, as on UDP.
 */
static int snap_view_dgram_give(struct snap_view_take *take, struct sk_buff *skb,
				size_t len)
{
	struct sock *sk = take->sk;
	bool four = skb->protocol == htons(ETH_P_IP);
	int err;

	take->room = snap_view_recv_room(take->msg);
	err = snap_view_take(take, skb, 0, min_t(size_t, len, skb->len)) ?:
	      snap_view_recv_tell(take);
	if (err) {
		sk_drops_inc(sk);
		SNMP_INC_STATS(__UDPX_MIB(sk, four), UDP_MIB_INERRORS);
		kfree_skb(skb);
		return err;
	}
	SNMP_INC_STATS(__UDPX_MIB(sk, four), UDP_MIB_INDATAGRAMS);
	sk_peek_offset_bwd(sk, take->at);
	consume_skb(skb);
	return 0;
}

/*
 * Without waiting.  UDP answers for the datagram as for one that is peeked at, with
 * all that it tells, and then it is taken.  It may answer for another one, if
 * somebody receives at the same time, which shows when this one is to be taken: then
 * all is as if it had not been asked.  Nobody is kept waiting, and nothing is locked
 * while memory of the caller is touched.
 */
static int snap_view_dgram_now(struct socket *sock, struct snap_view_take *take,
			       size_t len, int flags)
{
	const struct snap_sock *ss = snap_sock_of(sock);
	struct msghdr *msg = take->msg, before = *msg;
	struct sock *sk = sock->sk;
	struct sk_buff *skb;
	int ret, err;

	flags |= MSG_DONTWAIT;
	do {
		*msg = before;
		ret = 0;
		/* peeks with an offset look at other bytes than receives take */
		skb = take->room && READ_ONCE(sk->sk_peek_off) < 0 &&
		      READ_ONCE(sk->sk_prot) == ss->prot ?
		      snap_view_dgram_look(sk, &ret) : NULL;
		if (!skb)
			return ret ?: snap_view_recv_inner(take, take->room ?
							   SNAP_RECV_FLAGS :
							   SNAP_RECV_CONTROL,
							   len, flags);
		iov_iter_discard(&msg->msg_iter, ITER_DEST, len);
		ret = ss->base->recvmsg(sock, msg, len, flags | MSG_PEEK | MSG_TRUNC);
		msg->msg_iter = before.msg_iter;
		if (ret > 0 && snap_view_dgram_unlink(sk, skb)) {
			err = snap_view_dgram_give(take, skb, len);
			if (!(flags & MSG_TRUNC))
				ret = min_t(size_t, ret, len);
			return err ?: ret;
		}
		consume_skb(skb);
	} while (ret > 0 || ret == -EAGAIN);
	/* it had something else to say, such as the path's MTU or an error */
	return ret;
}

static int snap_view_recv_dgram(struct socket *sock, struct snap_view_take *take,
				size_t len, int flags)
{
	struct sock *sk = sock->sk;
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	int ret;

	do {
		ret = snap_view_dgram_now(sock, take, len, flags);
	} while (ret == -EAGAIN && timeo &&
		 !__skb_wait_for_more_packets(sk, &sk->sk_receive_queue, &ret,
					      &timeo, (struct sk_buff *)
					      &sk->sk_receive_queue));
	return ret;
}

/* ---- Streams ------------------------------------------------------------ */

/*
 * Is the stream one that tcp_read_sock() reads as recvmsg() would, but for
 * control messages, which it has none of?  The socket's lock is held.
 */
static bool snap_view_stream_plain(const struct snap_sock *ss,
				   const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return READ_ONCE(sk->sk_prot) == ss->prot &&
	       READ_ONCE(sk->sk_peek_off) < 0 && sk->sk_state != TCP_LISTEN &&
	       !tp->urg_data && !tp->repair && !tp->recvmsg_inq &&
	       !sock_flag(sk, SOCK_RCVTSTAMP) &&
	       !(READ_ONCE(sk->sk_tsflags) & (SOF_TIMESTAMPING_SOFTWARE |
					      SOF_TIMESTAMPING_RAW_HARDWARE));
}

static int snap_view_stream_actor(read_descriptor_t *desc, struct sk_buff *skb,
				  unsigned int offset, size_t length)
{
	size_t n = min(length, desc->count);
	int err = n ? snap_view_take(desc->arg.data, skb, offset, n) : 0;

	if (err)
		return err;
	desc->count -= n;
	return n;
}

/* Bytes read, zero for none yet, or EFAULT. */
static int snap_view_stream_read(struct snap_view_take *take, size_t len)
{
	read_descriptor_t desc = { .count = len, .arg.data = take };

	return tcp_read_sock(take->sk, &desc, snap_view_stream_actor);
}

/* Is there no more to wait for?  What it is, the next receive says. */
static bool snap_view_stream_over(const struct sock *sk, long timeo)
{
	return READ_ONCE(sk->sk_err) || sock_flag(sk, SOCK_DONE) ||
	       sk->sk_shutdown & RCV_SHUTDOWN || sk->sk_state == TCP_CLOSE ||
	       !timeo || signal_pending(current);
}

/*
 * Bytes that were taken: all of @len if @all is asked for, else at least those that
 * SO_RCVLOWAT says, unless there is no more to wait for or the receive buffer has no
 * room for that many; zero for none; or EFAULT, EPIPE.  @timeo becomes what is left;
 * @plain is cleared if the rest is TCP's to do.
 */
static int snap_view_stream_take(struct snap_view_take *take,
				 const struct snap_sock *ss, size_t len, bool all,
				 long *timeo, bool *plain)
{
	struct sock *sk = take->sk;
	size_t done = 0;
	int ret, low;
	bool over;

	lock_sock(sk);
	do {
		ret = 0;
		over = snap_view_stream_over(sk, *timeo);
		*plain = snap_view_stream_plain(ss, sk);
		/* TCP wakes nobody for less: nothing is taken before that */
		low = sock_rcvlowat(sk, 0, len - done);
		if (*plain && (over || tcp_epollin_ready(sk, low)))
			ret = snap_view_stream_read(take, len - done);
		done += max(ret, 0);
		if (!*plain || over || ret < 0 || done == len || (done && !all))
			break;
		ret = sk_wait_data(sk, timeo, skb_peek_tail(&sk->sk_receive_queue));
	} while (ret >= 0);
	if (done)
		ret = snap_view_recv_tell(take) ?: done;
	/* for io_uring, as TCP: a FIN counts as something to come */
	if (take->msg->msg_get_inq && done)
		take->msg->msg_inq = tcp_inq(sk) ?: sock_flag(sk, SOCK_DONE);
	release_sock(sk);
	return ret;
}

static int snap_view_recv_stream(struct socket *sock, struct snap_view_take *take,
				 size_t len, int flags)
{
	const struct snap_sock *ss = snap_sock_of(sock);
	struct sock *sk = sock->sk;
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	bool plain;
	int ret;

	if (!take->room)
		return snap_view_recv_inner(take, SNAP_RECV_CONTROL, len, flags);
	/* what these ask for is TCP's to do, and nothing is put into the view */
	if (!len || flags & (MSG_OOB | MSG_TRUNC | MSG_SOCK_DEVMEM))
		return snap_view_recv_inner(take, SNAP_RECV_FLAGS, len, flags);
	sock_rps_record_flow(sk);
	if (sk_can_busy_loop(sk) && skb_queue_empty_lockless(&sk->sk_receive_queue) &&
	    sk->sk_state == TCP_ESTABLISHED)
		sk_busy_loop(sk, flags & MSG_DONTWAIT);
	ret = snap_view_stream_take(take, ss, len, flags & MSG_WAITALL, &timeo, &plain);
	if (ret)
		return ret;
	if (!plain)
		return snap_view_recv_inner(take, SNAP_RECV_FLAGS, len, flags);
	/* an error, the end, nothing, or what has come in this moment */
	ret = snap_view_recv_inner(take, SNAP_RECV_FLAGS, len, flags | MSG_DONTWAIT);
	if (ret == -EAGAIN && timeo && signal_pending(current))
		ret = sock_intr_errno(timeo);
	return ret;
}

int snap_view_recv(struct socket *sock, struct snap_view *view,
		   struct msghdr *msg, size_t len, int flags,
		   struct snap_received *got)
{
	struct snap_view_take take;
	int ret;

	if (view->flags & SNAP_VIEW_NEXT)
		snap_view_put_all(view);
	snap_view_recv_begin(&take, view, sock->sk, msg);
	ret = sock->type == SOCK_STREAM ?
	      snap_view_recv_stream(sock, &take, len, flags) :
	      snap_view_recv_dgram(sock, &take, len, flags);
	*got = take.got;
	if (got->viewed && ret > 0) {
		msg->msg_flags |= MSG_SNAP_VIEW;
		if (!(view->flags & SNAP_VIEW_LAZY))
			snap_view_map(view, take.part, take.n);
	}
	return ret;
}
