// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending on streams: a call is cut into parts, and each is captured when TCP
 * has room for it, so that a long call never holds more frames than the socket
 * may have unacknowledged.  The socket's lock is held throughout, as by TCP's
 * own sendmsg, and given up while waiting for room; no part is in hand then.
 */

#include <linux/bvec.h>
#include <linux/uio.h>
#include <net/rps.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "memory/region.h"
#include "socket/send.h"
#include "socket/sock.h"

/* Bytes captured at once: what TCP puts into its longest segment. */
#define SNAP_STREAM_PART	((SNAP_REGION_CAPTURE_PAGES - 1) * PAGE_SIZE)

/* No errno: the rest of the call is for the inner family's sendmsg. */
#define SNAP_STREAM_ASIDE	1

/**
 * struct snap_stream_call - one call of sendmsg
 * @sock: socket; its sock is locked
 * @ss: of it
 * @msg: the caller's; its iterator is where the call has come to
 * @flags: the caller's MSG_*
 * @timeo: jiffies that the call may still wait
 * @sent: bytes that TCP has taken
 * @ref: bytes of them by reference
 * @copied: the others, by reason
 */
struct snap_stream_call {
	struct socket *sock;
	struct snap_sock *ss;
	struct msghdr *msg;
	unsigned int flags;
	long timeo;
	size_t sent;
	size_t ref;
	size_t copied[SNAP_COPY_REASONS];
};

/*
 * Give TCP the @len bytes that the iterator has.  It does not wait, nor raise
 * SIGPIPE: that is for the call as a whole.  @more follow at once.
 */
static int snap_stream_give(struct snap_stream_call *call, size_t len,
			    unsigned int flags, bool more)
{
	flags |= call->flags | MSG_DONTWAIT | MSG_NOSIGNAL;
	if (more)
		flags = (flags & ~MSG_EOR) | MSG_MORE;
	call->msg->msg_flags = flags;
	return call->ss->base->sendmsg_locked(call->sock->sk, call->msg, len);
}

/* Bytes taken, or an error; EAGAIN if there was no memory for it. */
static int snap_stream_copy(struct snap_stream_call *call, size_t len,
			    enum snap_copy_reason reason)
{
	struct iov_iter *iter = &call->msg->msg_iter;
	size_t rest = iov_iter_count(iter) - len;
	int ret;

	iov_iter_truncate(iter, len);
	ret = snap_stream_give(call, len, 0, rest);
	iov_iter_reexpand(iter, iov_iter_count(iter) + rest);
	if (ret > 0)
		call->copied[reason] += ret;
	return ret;
}

/*
 * The route, with a reference.  Any change of routes or addresses makes TCP's
 * stale, and TCP would look it up again with the next packet: too late for us.
 */
static struct dst_entry *snap_stream_dst(struct sock *sk)
{
	struct dst_entry *dst;

	if (!(sk->sk_route_caps & NETIF_F_SG))
		return NULL;
	dst = snap_send_dst(sk);
	if (!dst && !inet_csk(sk)->icsk_af_ops->rebuild_header(sk))
		dst = snap_send_dst(sk);
	return dst;
}

/* The same of one buffer of at least @len bytes, captured if possible. */
static int snap_stream_ref(struct snap_stream_call *call, size_t len)
{
	struct bio_vec bvec[SNAP_REGION_CAPTURE_PAGES];
	struct iov_iter user = call->msg->msg_iter;
	const void __user *addr = iter_iov_addr(&user);
	struct sock *sk = call->sock->sk;
	int n = -1 - SNAP_COPY_ROUTE;
	size_t room, part, tail;
	struct dst_entry *dst;
	bool more;
	int ret;

	room = max_t(int, sk_stream_wspace(sk), PAGE_SIZE);
	part = min3(len, room, (size_t)SNAP_STREAM_PART);
	/* The next part begins with a page: none is captured for two of them. */
	tail = offset_in_page(addr + part);
	if (part < len && tail < part)
		part -= tail;

	dst = snap_stream_dst(sk);
	if (dst)
		n = snap_send_capture(sk, dst, addr, part, bvec);
	dst_release(dst);
	if (n < 0)
		return snap_stream_copy(call, part, -1 - n);

	/* What fills the room is pushed: nobody comes soon with the rest. */
	more = part < iov_iter_count(&user) && part < room;
	iov_iter_bvec(&call->msg->msg_iter, ITER_SOURCE, bvec, n, part);
	ret = snap_stream_give(call, part, MSG_SPLICE_PAGES, more);
	snap_send_put(bvec, n);
	call->msg->msg_iter = user;
	if (ret > 0) {
		iov_iter_advance(&call->msg->msg_iter, ret);
		call->ref += ret;
	}
	return ret;
}

/*
 * Before waiting, have TCP send what it kept back because more was to follow,
 * by Nagle's rule or for TCP_CORK, as its own sendmsg does: otherwise its timer
 * would be what makes room, after 200 ms.  The lock is given up, and whoever gets
 * it may end the connection and make another one, which is not this call's: EPIPE.
 */
static int snap_stream_push(struct snap_stream_call *call)
{
	struct sock *sk = call->sock->sk;
	int disconnects = sk->sk_disconnects;

	if (!call->sent)
		return 0;
	tcp_sk(sk)->nonagle |= TCP_NAGLE_PUSH;	/* for the segments there are */
	release_sock(sk);
	call->ss->base->splice_eof(call->sock);
	lock_sock(sk);
	return disconnects == sk->sk_disconnects ? 0 : -EPIPE;
}

/*
 * sk_stream_wait_memory() takes room that is there already for a sign that the
 * machine is short of memory, and sleeps all the same: so it is asked again
 * after a push, which may have brought the peer's answer.
 */
static int snap_stream_wait_room(struct snap_stream_call *call)
{
	struct sock *sk = call->sock->sk;
	bool pushed = false;
	int err;

	while (true) {
		if (sk->sk_err || sk->sk_shutdown & SEND_SHUTDOWN)
			return -EPIPE;
		if (sk_stream_memory_free(sk))
			return 0;
		if (!pushed) {
			err = snap_stream_push(call);
			if (err)
				return err;
			pushed = true;
			continue;
		}
		err = sk_stream_wait_memory(sk, &call->timeo);
		if (err)
			return err;
	}
}

/*
 * May the bytes be captured at all?  The socket's lock is held.  Not before
 * there is a connection, nor when others have put their protocol in front of
 * TCP, as sockmap does.
 */
static bool snap_stream_ready(const struct snap_sock *ss, const struct sock *sk)
{
	return READ_ONCE(sk->sk_prot) == ss->prot &&
	       (1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT) &&
	       !inet_test_bit(DEFER_CONNECT, sk) && !tcp_sk(sk)->repair;
}

/*
 * How many bytes from here on go the same way: one buffer by reference, or a
 * row of short ones by copy.
 */
static size_t snap_stream_run(struct iov_iter *iter, size_t copybreak, bool *copy)
{
	struct iov_iter at;
	size_t len, run = 0;

	iov_iter_advance(iter, 0);	/* not to a buffer without bytes */
	for (at = *iter; iov_iter_count(&at); iov_iter_advance(&at, len)) {
		len = iov_iter_single_seg_count(&at);
		if (len && len >= copybreak)
			break;
		run += len;
	}
	*copy = run;
	return run ?: len;
}

/* Send what goes one way: 0, an error, or SNAP_STREAM_ASIDE. */
static int snap_stream_send_run(struct snap_stream_call *call)
{
	bool copy;
	size_t len;
	int ret;

	len = snap_stream_run(&call->msg->msg_iter,
			      READ_ONCE(call->ss->shown.copybreak), &copy);
	while (len) {
		/* the peer's answers make room, and set the pace */
		sk_flush_backlog(call->sock->sk);
		ret = snap_stream_wait_room(call);
		if (ret)
			return ret;
		if (!snap_stream_ready(call->ss, call->sock->sk))
			return SNAP_STREAM_ASIDE;
		ret = copy ? snap_stream_copy(call, len, SNAP_COPY_SHORT) :
			     snap_stream_ref(call, len);
		if (ret == -EAGAIN) {
			ret = snap_stream_push(call) ?:
			      sk_stream_wait_memory(call->sock->sk, &call->timeo);
		}
		if (ret < 0)
			return ret;
		call->sent += ret;
		len -= ret;
	}
	return 0;
}

static void snap_stream_count(const struct snap_stream_call *call)
{
	struct sock *sk = call->sock->sk;
	int i;

	if (call->ref)
		snap_send_count_ref(call->ss, sk, call->ref);
	for (i = 0; i < SNAP_COPY_REASONS; i++)
		if (call->copied[i])
			snap_send_count_copy(call->ss, sk, i, call->copied[i]);
}

/* What is known before the lock is taken: a reason to copy it all, or -1. */
static int snap_stream_decline(struct socket *sock, const struct msghdr *msg,
			       size_t len)
{
	if (len < READ_ONCE(snap_sock_of(sock)->shown.copybreak))
		return SNAP_COPY_SHORT;
	if (!user_backed_iter(&msg->msg_iter))
		return SNAP_COPY_NOT_REGION;
	/* TCP stamps the last byte of what it is given: of the call, then. */
	if (msg->msg_flags & (MSG_ZEROCOPY | MSG_OOB | MSG_FASTOPEN) ||
	    msg->msg_controllen ||
	    READ_ONCE(sock->sk->sk_tsflags) & SOF_TIMESTAMPING_TX_RECORD_MASK)
		return SNAP_COPY_FLAGS;
	return -1;
}

static int snap_stream_send_all(struct socket *sock, struct msghdr *msg,
				size_t len, enum snap_copy_reason reason)
{
	struct snap_sock *ss = snap_sock_of(sock);
	int ret = ss->base->sendmsg(sock, msg, len);

	if (ret >= 0)
		snap_send_count_copy(ss, sock->sk, reason, ret);
	return ret;
}

int snap_stream_send(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct snap_stream_call call = {
		.sock = sock,
		.ss = snap_sock_of(sock),
		.msg = msg,
		.flags = msg->msg_flags,
	};
	int reason = snap_stream_decline(sock, msg, len);
	struct sock *sk = sock->sk;
	int err = SNAP_STREAM_ASIDE;

	/* splice() brings pages that nobody copies. */
	if (!len || msg->msg_flags & MSG_SPLICE_PAGES)
		return call.ss->base->sendmsg(sock, msg, len);
	if (reason >= 0)
		return snap_stream_send_all(sock, msg, len, reason);

	sock_rps_record_flow(sk);
	lock_sock(sk);
	if (snap_stream_ready(call.ss, sk)) {
		call.timeo = sock_sndtimeo(sk, call.flags & MSG_DONTWAIT);
		do {
			err = snap_stream_send_run(&call);
		} while (!err && msg_data_left(msg));
		msg->msg_flags = call.flags;
		if (err < 0 && !call.sent)
			err = sk_stream_error(sk, call.flags, err);
	}
	release_sock(sk);
	/* The part that was to follow the last one does not. */
	if (err && call.sent && !(call.flags & MSG_MORE))
		call.ss->base->splice_eof(sock);
	snap_stream_count(&call);
	if (call.sent)
		return call.sent;
	return err < 0 ? err :
	       snap_stream_send_all(sock, msg, len, SNAP_COPY_ROUTE);
}
