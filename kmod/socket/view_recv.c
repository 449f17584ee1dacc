// SPDX-License-Identifier: GPL-2.0-only
/*
 * recvmsg() of sockets that have a view; see view.h.  A datagram is looked
 * at while it is in the queue, received by UDP, whose control messages and
 * addresses are the real ones, and taken apart; the bytes of a stream are taken
 * by TCP's own reader, under the socket's lock.
 */

#include <linux/ipv6.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include <net/busy_poll.h>
#include <net/rps.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>

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
	take->viewed = 0;
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

/* UDP may have something to say, or to pass on, that is no datagram to look at. */
static bool snap_view_dgram_other(const struct sock *sk, const struct sk_buff *head)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6 && READ_ONCE(inet6_sk(sk)->rxpmtu))
		return true;
#endif
	/* an empty one that has been looked at before: it is passed over */
	return head;
}

/*
 * The datagram that a receive would take now, with a reference.  NULL: @err is how
 * the receive ends; or zero, and what is there is for UDP alone.
 */
static struct sk_buff *snap_view_dgram_look(struct sock *sk, int *err)
{
	struct sk_buff_head *queue = &udp_sk(sk)->reader_queue;
	struct sk_buff *skb, *head;
	int offset = 0;

	skb = __skb_recv_udp(sk, MSG_PEEK | MSG_DONTWAIT, &offset, err);
	spin_lock_bh(&queue->lock);
	head = skb_peek(queue);
	spin_unlock_bh(&queue->lock);
	if (!skb) {
		if (*err == -EAGAIN && snap_view_dgram_other(sk, head))
			*err = 0;
		return NULL;
	}
	*err = 0;
	if (skb == head && !udp_lib_checksum_complete(skb))
		return skb;
	kfree_skb(skb);
	return NULL;
}

/*
 * Have UDP receive it, with nothing to copy, and take it apart then: UDP may have
 * something else to say first, such as the path's MTU, which leaves the datagram
 * in the queue; and there is room for what UDP did not tell.
 */
static int snap_view_dgram_take(struct socket *sock, const struct sk_buff *skb,
				struct snap_view_take *take, size_t len,
				int flags)
{
	struct msghdr *msg = take->msg;
	struct iov_iter iter = msg->msg_iter;
	int ret, err;

	iov_iter_discard(&msg->msg_iter, ITER_DEST, len);
	ret = snap_sock_of(sock)->base->recvmsg(sock, msg, len, flags);
	msg->msg_iter = iter;
	/* who leaves the queue has no neighbours */
	if (ret < 0 || READ_ONCE(skb->next))
		return ret;
	take->room = snap_view_recv_room(msg);
	err = snap_view_take(take, skb, 0, min_t(size_t, len, skb->len));
	return err ?: snap_view_recv_tell(take) ?: ret;
}

/*
 * Without waiting.  Sockets whose peeks have an offset receive by copy: what is
 * looked at need not be what is received.
 */
static int snap_view_dgram_now(struct socket *sock, struct snap_view_take *take,
			       size_t len, int flags)
{
	const struct snap_sock *ss = snap_sock_of(sock);
	struct sock *sk = sock->sk;
	struct sk_buff *skb = NULL;
	int ret = 0;

	flags |= MSG_DONTWAIT;
	if (take->room && READ_ONCE(sk->sk_peek_off) < 0 &&
	    READ_ONCE(sk->sk_prot) == ss->prot)
		skb = snap_view_dgram_look(sk, &ret);
	if (skb) {
		ret = snap_view_dgram_take(sock, skb, take, len, flags);
		consume_skb(skb);
		return ret;
	}
	return ret ?: ss->base->recvmsg(sock, take->msg, len, flags);
}

/*
 * Also with MSG_DONTWAIT others are waited for: EAGAIN would say that there is no
 * datagram, and nobody would tell an edge-triggered epoll of it again.
 */
static int snap_view_recv_dgram(struct socket *sock, struct snap_view_take *take,
				size_t len, int flags)
{
	struct sock *sk = sock->sk;
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	struct snap_view *view = take->view;
	int ret;

	do {
		/* who was woken for a datagram must not leave without a look */
		ret = mutex_lock_killable(&view->receive);
		if (ret)
			return ret;
		ret = snap_view_dgram_now(sock, take, len, flags);
		mutex_unlock(&view->receive);
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
 * Bytes that were taken: at least @low, unless there is no more to wait for or
 * the receive buffer has no room for that many; zero for none; or EFAULT, EPIPE.
 * @timeo becomes what is left; @plain is cleared if the receive is TCP's to do.
 */
static int snap_view_stream_take(struct snap_view_take *take,
				 const struct snap_sock *ss, size_t len, int low,
				 long *timeo, bool *plain)
{
	struct sock *sk = take->sk;
	int ret = 0;

	lock_sock(sk);
	do {
		*plain = snap_view_stream_plain(ss, sk);
		/* TCP wakes nobody for less: nothing is taken before that */
		if (!*plain || tcp_epollin_ready(sk, low) ||
		    snap_view_stream_over(sk, *timeo)) {
			ret = *plain ? snap_view_stream_read(take, len) : 0;
			break;
		}
		ret = sk_wait_data(sk, timeo, skb_peek_tail(&sk->sk_receive_queue));
	} while (ret >= 0);
	if (ret > 0)
		ret = snap_view_recv_tell(take) ?: ret;
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

	/* what these ask for is TCP's to do, and nothing is put into the view */
	if (!take->room || !len ||
	    flags & (MSG_WAITALL | MSG_OOB | MSG_TRUNC | MSG_SOCK_DEVMEM))
		return ss->base->recvmsg(sock, take->msg, len, flags);
	sock_rps_record_flow(sk);
	if (sk_can_busy_loop(sk) && skb_queue_empty_lockless(&sk->sk_receive_queue) &&
	    sk->sk_state == TCP_ESTABLISHED)
		sk_busy_loop(sk, flags & MSG_DONTWAIT);
	ret = snap_view_stream_take(take, ss, len, sock_rcvlowat(sk, 0, len),
				    &timeo, &plain);
	if (ret)
		return ret;
	if (!plain)
		return ss->base->recvmsg(sock, take->msg, len, flags);
	/* an error, the end, nothing, or what has come in this moment */
	ret = ss->base->recvmsg(sock, take->msg, len, flags | MSG_DONTWAIT);
	if (ret == -EAGAIN && timeo && signal_pending(current))
		ret = sock_intr_errno(timeo);
	return ret;
}

int snap_view_recv(struct socket *sock, struct snap_view *view,
		   struct msghdr *msg, size_t len, int flags, size_t *viewed)
{
	struct snap_view_take take;
	int ret;

	if (view->flags & SNAP_VIEW_NEXT)
		snap_view_put_all(view);
	snap_view_recv_begin(&take, view, sock->sk, msg);
	ret = sock->type == SOCK_STREAM ?
	      snap_view_recv_stream(sock, &take, len, flags) :
	      snap_view_recv_dgram(sock, &take, len, flags);
	*viewed = ret < 0 ? 0 : take.viewed;
	return ret;
}
