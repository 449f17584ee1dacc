// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving by view: what is mapped are the bytes of the message, for as long
 * as the receiver wants, and nothing beside them.  views_shared.c is about
 * several threads, processes and users.
 *
 * Machines: share-2 copy-2 share-1 debug newest
 * Paths: thread-* main-*
 */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "view.h"

#define LENGTH		(16 * PAGE)
#define WINDOW		(64 * PAGE)
#define MESSAGE		60000u
#define MAX		SNAP_VIEW_PARTS_MAX

FIXTURE(views)
{
	int tx;			/* sends; the host's echo sends back to it */
	int rx;			/* receives, and has a view */
	struct region r;
	struct view v;
	struct view_message got;
};

FIXTURE_VARIANT(views)
{
	int type;
	int family;
	bool host;	/* over the device, and back; else over lo */
};

FIXTURE_VARIANT_ADD(views, dgram4) { .type = SOCK_DGRAM, .family = AF_INET, };
FIXTURE_VARIANT_ADD(views, dgram6) { .type = SOCK_DGRAM, .family = AF_INET6, };
FIXTURE_VARIANT_ADD(views, stream4) { .type = SOCK_STREAM, .family = AF_INET, };
FIXTURE_VARIANT_ADD(views, stream6) { .type = SOCK_STREAM, .family = AF_INET6, };
FIXTURE_VARIANT_ADD(views, dgram_host) {
	.type = SOCK_DGRAM, .family = AF_INET, .host = true,
};
FIXTURE_VARIANT_ADD(views, stream_host) {
	.type = SOCK_STREAM, .family = AF_INET, .host = true,
};

static int make_pair(const FIXTURE_VARIANT(views) *variant, int *tx, int *rx)
{
	bool stream = variant->type == SOCK_STREAM;
	union address at;
	socklen_t length;
	int fd[2];

	if (variant->host) {
		length = address_set(&at, AF_INET, HOST4,
				     stream ? host_stream_port() : host_echo_port());
		*tx = stream ? tcp_socket(AF_SNAP, AF_INET) : udp_socket(AF_SNAP, AF_INET);
		*rx = *tx;
		return connect(*tx, &at.sa, length);
	}
	if (stream ? tcp_pair(AF_SNAP, variant->family, fd) :
		     udp_pair(AF_SNAP, variant->family, fd))
		return -1;
	*rx = fd[0];
	*tx = fd[1];
	return 0;
}

FIXTURE_SETUP(views)
{
	int big = 4 << 20;

	self->r.fd = -1;
	self->v.p = NULL;
	self->tx = -1;
	self->rx = -1;
	if (variant->host && (!host_echo_port() || !host_stream_port()))
		SKIP(return, "no echo server on the host");
	ASSERT_EQ(0, make_pair(variant, &self->tx, &self->rx));
	ASSERT_EQ(0, set_timeout(self->tx, 10000));
	ASSERT_EQ(0, set_timeout(self->rx, 10000));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_RCVBUFFORCE, &big,
				sizeof(big)));
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	fill(self->r.p, LENGTH, 1);
}

FIXTURE_TEARDOWN(views)
{
	view_drop(&self->v);
	if (self->rx != self->tx)
		close(self->rx);
	close(self->tx);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* A stream may give its bytes in pieces: wait until so many are there. */
static void await(int fd, size_t bytes)
{
	int low = bytes;

	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
}

#define SEND(at, length) \
	ASSERT_EQ(length, send(self->tx, self->r.p + (at), length, 0))
#define VIEW(length, flags) \
	ASSERT_EQ(0, view_make(&self->v, self->rx, length, flags))
#define RECEIVE(length) do {						\
	await(self->rx, length);					\
	view_receive(self->rx, &self->got, RECEIVE_MAX, 0, MAX);		\
	ASSERT_EQ(length, self->got.bytes);				\
} while (0)

/* Bytes that were copied for a reason. */
#define COPIED(reason)	((long)sock_stats(self->rx).recv_bytes[SNAP_RECV_##reason])

/* No byte was copied, and they are the ones that were sent. */
TEST_F(views, by_view)
{
	struct snap_sock_stats stats;
	unsigned int i;

	VIEW(WINDOW, 0);
	SEND(0, MESSAGE);
	/* over at once: a view never changes */
	memset(self->r.p, POISON, LENGTH);
	RECEIVE(MESSAGE);
	stats = sock_stats(self->rx);
	EXPECT_LE(1, self->got.n);
	EXPECT_EQ(MSG_SNAP_VIEW, self->got.flags & MSG_SNAP_VIEW);
	/* packets end where they like: only their ends may be copied */
	EXPECT_LE(MESSAGE * 3 / 4, view_message_viewed(&self->got));
	if (variant->type == SOCK_DGRAM && !variant->host)
		EXPECT_EQ(MESSAGE, view_message_viewed(&self->got));
	EXPECT_EQ(view_message_viewed(&self->got), stats.rx_viewed_bytes);
	EXPECT_EQ(MESSAGE, stats.rx_viewed_bytes + stats.rx_copied_bytes);
	EXPECT_EQ(1, stats.rx_viewed_msgs);
	EXPECT_EQ(0, view_message_beside(&self->got, &self->v));
	for (i = 0; i < self->got.n; i++)
		EXPECT_EQ((char)POISON, self->got.buffer[self->got.part[i].at]);
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
	EXPECT_LT(0, view_used(self->rx));
}

/* Until it is released; and then there is nothing to see. */
TEST_F(views, release)
{
	const char *p;

	VIEW(WINDOW, 0);
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	ASSERT_LE(1, self->got.n);
	p = self->v.p + self->got.part[0].offset;
	EXPECT_EQ(self->r.p[self->got.part[0].at], *p);
	fill(self->r.p, LENGTH, 2);
	SEND(0, MESSAGE);
	EXPECT_FALSE(load_is_fatal(p, SIGBUS));
	EXPECT_EQ(0, view_message_release(self->rx, &self->got));
	EXPECT_TRUE(load_is_fatal(p, SIGBUS));
	EXPECT_EQ(0, view_used(self->rx));
	/* twice is as good as once */
	EXPECT_EQ(0, view_message_release(self->rx, &self->got));
	RECEIVE(MESSAGE);
}

/* What waits at a view waits, and no longer than it wants. */
TEST_F(views, futex)
{
	const char *p;

	VIEW(WINDOW, SNAP_VIEW_LAZY);
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	ASSERT_LE(1, self->got.n);
	p = self->v.p + self->got.part[0].offset;
	ASSERT_TRUE(futex_answers(p));
	EXPECT_EQ(-ETIMEDOUT, futex_wait(p, 1));
}

TEST_F(views, released_by_the_next)
{
	long used;

	VIEW(WINDOW, SNAP_VIEW_NEXT);
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	used = view_used(self->rx);
	ASSERT_LT(0, used);
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	EXPECT_GE(used + 2 * (long)PAGE, view_used(self->rx));
	EXPECT_EQ(-EAGAIN, ({ view_receive(self->rx, &self->got, 100, MSG_DONTWAIT, MAX);
			      self->got.bytes; }));
	EXPECT_EQ(0, view_used(self->rx));
}

/* From the middle of a page to the middle of another. */
TEST_F(views, at_any_offset)
{
	VIEW(WINDOW, 0);
	SEND(100, MESSAGE - 1000);
	RECEIVE(MESSAGE - 1000);
	EXPECT_LE(1, self->got.n);
	EXPECT_EQ(0, view_message_beside(&self->got, &self->v));
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p + 100, MESSAGE - 1000));
}

/* What is copied stands at its place in the message. */
TEST_F(views, header_and_body)
{
	char head[333];
	struct iovec iov[] = { { head, sizeof(head) },
			       { self->r.p, 20000 } };
	size_t all = sizeof(head) + 20000;

	memset(head, 'h', sizeof(head));
	VIEW(WINDOW, 0);
	ASSERT_EQ(all, writev(self->tx, iov, 2));
	RECEIVE(all);
	if (!variant->host) {
		EXPECT_EQ(1, self->got.n);
		EXPECT_EQ(sizeof(head), self->got.part[0].at);
		EXPECT_EQ(20000, self->got.part[0].length);
		EXPECT_EQ(sizeof(head), COPIED(NOT_FRAMES));
	}
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(0, memcmp(self->got.buffer, head, sizeof(head)));
	EXPECT_EQ(0, memcmp(self->got.buffer + sizeof(head), self->r.p, 20000));
}

TEST_F(views, without_room_to_tell)
{
	VIEW(WINDOW, 0);
	SEND(0, MESSAGE);
	await(self->rx, MESSAGE);
	view_receive(self->rx, &self->got, RECEIVE_MAX, 0, 0);
	ASSERT_EQ(MESSAGE, self->got.bytes);
	EXPECT_EQ(0, self->got.flags & (MSG_CTRUNC | MSG_SNAP_VIEW));
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
	EXPECT_EQ(0, view_used(self->rx));
	EXPECT_EQ(MESSAGE, COPIED(CONTROL));
}

/* Three rows of frames, and room for one of them. */
TEST_F(views, little_room_to_tell)
{
	struct iovec iov[] = { { self->r.p, 9000 }, { self->r.p + 2 * PAGE, 9000 },
			       { self->r.p + 9 * PAGE + 5, 9000 } };

	if (variant->host)
		SKIP(return, "one packet comes back as one row of frames");
	VIEW(WINDOW, 0);
	ASSERT_EQ(27000, writev(self->tx, iov, 3));
	await(self->rx, 27000);
	view_receive(self->rx, &self->got, RECEIVE_MAX, 0, 1);
	ASSERT_EQ(27000, self->got.bytes);
	EXPECT_EQ(1, self->got.n);
	EXPECT_EQ(9000, view_message_viewed(&self->got));
	EXPECT_EQ(18000, COPIED(CONTROL));
	EXPECT_EQ(1, sock_stats(self->rx).recv_msgs[SNAP_RECV_CONTROL]);
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p, 9000));
	EXPECT_EQ(0, memcmp(self->got.buffer + 9000, self->r.p + 2 * PAGE, 9000));
	EXPECT_EQ(0, memcmp(self->got.buffer + 18000, self->r.p + 9 * PAGE + 5, 9000));
}

/* UDP tells what it tells; of the view, what there is room for behind that. */
TEST_F(views, room_behind_others)
{
	static const int on = 1;
	struct iovec iov[] = { { self->r.p, 9000 }, { self->r.p + 2 * PAGE, 9000 } };
	union {
		struct cmsghdr first;
		char bytes[256];
	} control;
	size_t room, part = sizeof(struct snap_view_part);
	unsigned int n;

	if (variant->type != SOCK_DGRAM || variant->host)
		SKIP(return, "datagrams, and two rows of frames");
	if (variant->family == AF_INET6) {
		ASSERT_EQ(0, setsockopt(self->rx, SOL_IPV6, IPV6_RECVTCLASS, &on, sizeof(on)));
	} else {
		ASSERT_EQ(0, setsockopt(self->rx, SOL_IP, IP_RECVTTL, &on, sizeof(on)));
	}
	VIEW(WINDOW, 0);
	for (n = 0; n < 3; n++) {
		ASSERT_EQ(18000, writev(self->tx, iov, 2));
		/* for none it is too little by a byte */
		room = n ? CMSG_SPACE(n * part) : CMSG_SPACE(part) - 1;
		view_receive_control(self->rx, &self->got, RECEIVE_MAX, 0, &control,
				     CMSG_SPACE(sizeof(int)) + room);
		ASSERT_EQ(18000, self->got.bytes);
		EXPECT_EQ(0, self->got.flags & MSG_CTRUNC);
		EXPECT_EQ(1, self->got.others);
		EXPECT_EQ(n, self->got.n);
		EXPECT_EQ(n * 9000, view_message_viewed(&self->got));
		view_message_gather(&self->got, &self->v);
		EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p, 9000));
		EXPECT_EQ(0, memcmp(self->got.buffer + 9000, self->r.p + 2 * PAGE, 9000));
		/* and of nothing else is anything there */
		EXPECT_EQ(0, view_message_release(self->rx, &self->got));
		EXPECT_EQ(0, view_used(self->rx));
	}
	EXPECT_EQ(3 * 9000, sock_stats(self->rx).rx_viewed_bytes);
	EXPECT_EQ(3 * 9000, sock_stats(self->rx).rx_copied_bytes);
}

/* What cannot be told of is copied; where it cannot, nothing stays in the view. */
TEST_F(views, room_behind_others_faults)
{
	static const int on = 1;
	struct iovec rows[] = { { self->r.p, 9000 }, { self->r.p + 2 * PAGE, 9000 } };
	struct iovec iov[] = { { self->got.buffer, 9000 }, { (void *)16, 9000 } };
	union {
		struct cmsghdr first;
		char bytes[256];
	} control;
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(int)) +
				  CMSG_SPACE(sizeof(struct snap_view_part)),
	};

	if (variant->type != SOCK_DGRAM || variant->family != AF_INET || variant->host)
		SKIP(return, "datagrams over IPv4, and two rows of frames");
	ASSERT_EQ(0, setsockopt(self->rx, SOL_IP, IP_RECVTTL, &on, sizeof(on)));
	VIEW(WINDOW, 0);
	ASSERT_EQ(18000, writev(self->tx, rows, 2));
	EXPECT_EQ(-1, recvmsg(self->rx, &msg, MSG_SNAP_VIEW));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, view_used(self->rx));
	EXPECT_EQ(0, sock_stats(self->rx).rx_msgs);
}

/* Room to tell that is not there: as on UDP and TCP, that is no error. */
TEST_F(views, control_faults)
{
	VIEW(WINDOW, 0);
	SEND(0, MESSAGE);
	await(self->rx, MESSAGE);
	view_receive_control(self->rx, &self->got, RECEIVE_MAX, 0, (void *)16, 256);
	ASSERT_EQ(MESSAGE, self->got.bytes);
	EXPECT_EQ(0, self->got.n);
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
	EXPECT_EQ(0, view_used(self->rx));
	EXPECT_EQ(0, sock_stats(self->rx).rx_viewed_msgs);
	EXPECT_EQ(MESSAGE, COPIED(CONTROL));
	EXPECT_EQ(MESSAGE, sock_stats(self->rx).rx_copied_bytes);
}

/* What UDP counts of what it receives, from /proc/net/snmp and snmp6; -1: unknown. */
static long received_datagrams(bool six, bool errors)
{
	const char *name = errors ? "Udp6InErrors" : "Udp6InDatagrams";
	long in = -1, unknown, bad = -1;
	FILE *f = fopen(six ? "/proc/net/snmp6" : "/proc/net/snmp", "r");
	char line[512], key[64];

	while (f && fgets(line, sizeof(line), f)) {
		if (!six && sscanf(line, "Udp: %ld %ld %ld", &in, &unknown, &bad) == 3)
			in = errors ? bad : in;
		if (six && sscanf(line, "%63s %ld", key, &unknown) == 2 &&
		    !strcmp(key, name))
			in = unknown;
	}
	if (f)
		fclose(f);
	return in;
}

/* UDP counts them as its own: those that came out, and those that were lost. */
TEST_F(views, counted_by_udp)
{
	bool six = variant->family == AF_INET6;
	struct iovec iov = { (void *)16, RECEIVE_MAX };
	char control[256];
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	long before = received_datagrams(six, false), errors = received_datagrams(six, true);

	if (variant->type != SOCK_DGRAM || variant->host)
		SKIP(return, "datagrams, and on this machine");
	VIEW(WINDOW, 0);
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	EXPECT_LE(1, self->got.n);
	EXPECT_EQ(before + 1, received_datagrams(six, false));
	ASSERT_EQ(0, set_copybreak(self->rx, MESSAGE + 1));
	SEND(0, MESSAGE);
	EXPECT_EQ(-1, recvmsg(self->rx, &msg, MSG_SNAP_VIEW));
	EXPECT_EQ(before + 1, received_datagrams(six, false));
	EXPECT_EQ(errors + 1, received_datagrams(six, true));
}

TEST_F(views, shorter_than_the_copybreak)
{
	VIEW(WINDOW, 0);
	ASSERT_EQ(0, set_copybreak(self->rx, MESSAGE + 1));
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	EXPECT_EQ(0, self->got.n);
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
	EXPECT_LE(MESSAGE * 3 / 4, COPIED(SHORT));
	ASSERT_EQ(0, set_copybreak(self->rx, 0));
	ASSERT_EQ(0, set_copybreak(self->tx, 0));
	SEND(0, 2500);
	RECEIVE(2500);
	EXPECT_EQ(2500, view_message_viewed(&self->got));
	EXPECT_EQ(0, view_message_beside(&self->got, &self->v));
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p, 2500));
	ASSERT_EQ(0, view_message_release(self->rx, &self->got));
	/* less than half of a frame stays in none after it was received */
	SEND(0, 1500);
	RECEIVE(1500);
	EXPECT_EQ(variant->host ? 0 : 1500, view_message_viewed(&self->got));
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p, 1500));
}

TEST_F(views, peek)
{
	VIEW(WINDOW, SNAP_VIEW_NEXT);
	SEND(0, MESSAGE);
	await(self->rx, MESSAGE);
	view_receive(self->rx, &self->got, RECEIVE_MAX, MSG_PEEK, MAX);
	ASSERT_EQ(MESSAGE, self->got.bytes);
	EXPECT_EQ(0, self->got.n);
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
	RECEIVE(MESSAGE);
	EXPECT_LE(1, self->got.n);
	/* a look releases nothing */
	EXPECT_EQ(-EAGAIN, ({ view_receive(self->rx, &self->got, 100,
				      MSG_PEEK | MSG_DONTWAIT, MAX);
			      self->got.bytes; }));
	EXPECT_LT(0, view_used(self->rx));
}

/* Peeks with an offset look at other bytes than receives take: by copy. */
TEST_F(views, peek_offset)
{
	int offset = 10000;

	VIEW(WINDOW, 0);
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_PEEK_OFF, &offset,
				sizeof(offset)));
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	EXPECT_EQ(0, self->got.n);
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
	EXPECT_EQ(MESSAGE, COPIED(FLAGS));
}

/* As without a view, and in it: the call ends when all is there. */
TEST_F(views, wait_all)
{
	int status;
	pid_t child;

	if (variant->type != SOCK_STREAM)
		SKIP(return, "streams only");
	VIEW(WINDOW, 0);
	SEND(0, MESSAGE / 2);
	child = fork();
	if (!child) {
		sleep_ms(200);
		_exit(send(self->tx, self->r.p + MESSAGE / 2, MESSAGE / 2, 0) !=
		      MESSAGE / 2);
	}
	view_receive(self->rx, &self->got, MESSAGE, MSG_WAITALL, MAX);
	waitpid(child, &status, 0);
	EXPECT_EQ(0, status);
	ASSERT_EQ(MESSAGE, self->got.bytes);
	EXPECT_LE(MESSAGE * 3 / 4, view_message_viewed(&self->got));
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
	/* less is there, and no more comes in time */
	SEND(0, MESSAGE / 2);
	ASSERT_EQ(0, set_timeout(self->rx, 100));
	view_receive(self->rx, &self->got, MESSAGE, MSG_WAITALL, MAX);
	EXPECT_EQ(MESSAGE / 2, self->got.bytes);
	EXPECT_LE(1, self->got.n);
}

/* Out-of-band data is TCP's own to receive. */
TEST_F(views, urgent)
{
	if (variant->type != SOCK_STREAM || variant->host)
		SKIP(return, "streams, and on this machine");
	VIEW(WINDOW, 0);
	ASSERT_EQ(1, send(self->tx, "u", 1, MSG_OOB));
	view_receive(self->rx, &self->got, 1, MSG_OOB, MAX);
	ASSERT_EQ(1, self->got.bytes);
	EXPECT_EQ('u', self->got.buffer[0]);
	EXPECT_EQ(1, COPIED(FLAGS));
}

/* Less than was sent: the rest is lost, or there still. */
TEST_F(views, less_than_all)
{
	bool dgram = variant->type == SOCK_DGRAM;

	VIEW(WINDOW, 0);
	SEND(0, MESSAGE);
	await(self->rx, 20000);
	view_receive(self->rx, &self->got, 20000, 0, MAX);
	ASSERT_EQ(20000, self->got.bytes);
	EXPECT_EQ(dgram ? MSG_TRUNC : 0, self->got.flags & MSG_TRUNC);
	EXPECT_LE(1, self->got.n);
	EXPECT_GE(20000, view_message_viewed(&self->got));
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p, 20000));
	if (dgram) {
		SEND(0, MESSAGE);
		view_receive(self->rx, &self->got, 20000, MSG_TRUNC, MAX);
		EXPECT_EQ(MESSAGE, self->got.bytes);
		EXPECT_EQ(20000, sock_stats(self->rx).rx_viewed_bytes +
				 sock_stats(self->rx).rx_copied_bytes - 20000);
		return;
	}
	RECEIVE(MESSAGE - 20000);
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p + 20000, MESSAGE - 20000));
}

/* A buffer that faults costs a datagram, as on UDP, and a stream nothing. */
TEST_F(views, buffer_faults)
{
	struct iovec iov = { (void *)16, RECEIVE_MAX };
	char control[256];
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	VIEW(WINDOW, 0);
	ASSERT_EQ(0, set_copybreak(self->rx, MESSAGE + 1));
	SEND(0, MESSAGE);
	await(self->rx, MESSAGE);
	EXPECT_EQ(-1, recvmsg(self->rx, &msg, MSG_SNAP_VIEW));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, view_used(self->rx));
	if (variant->type == SOCK_DGRAM)
		SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
}

/* Nobody releases: what there is no room for is copied, and nothing is lost. */
TEST_F(views, full)
{
	int i;

	VIEW(32 * PAGE, 0);
	for (i = 0; i < 8; i++) {
		fill(self->r.p, LENGTH, i);
		SEND(0, MESSAGE);
		RECEIVE(MESSAGE);
		view_message_gather(&self->got, &self->v);
		EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, i));
	}
	EXPECT_GE(32 * PAGE, view_used(self->rx));
	EXPECT_LE(15 * PAGE, view_used(self->rx));
	EXPECT_LT(0, COPIED(FULL));
	EXPECT_EQ(0, view_release(self->rx, 0, 32 * PAGE));
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	EXPECT_LE(1, self->got.n);
}

/* No more is in the view than the socket may have received and unread. */
TEST_F(views, receive_buffer_bounds_it)
{
	int small = 10 * PAGE, i;
	socklen_t size = sizeof(small);

	VIEW(WINDOW, 0);
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_RCVBUFFORCE, &small, size));
	ASSERT_EQ(0, getsockopt(self->rx, SOL_SOCKET, SO_RCVBUF, &small, &size));
	for (i = 0; i < 8; i++) {
		SEND(0, 3 * PAGE);
		RECEIVE(3 * PAGE);
		view_message_gather(&self->got, &self->v);
		EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p, 3 * PAGE));
	}
	EXPECT_LT(0, view_used(self->rx));
	EXPECT_GE(small, view_used(self->rx));
	EXPECT_LT(0, COPIED(FULL));
}

/* What is waited for is more than there is room for: it comes bit by bit. */
TEST_F(views, low_water_beyond_the_buffer)
{
	int low = MESSAGE, small = PAGE;
	pid_t child;
	size_t at;
	int status;

	if (variant->type != SOCK_STREAM || variant->host)
		SKIP(return, "streams, and on this machine");
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	VIEW(WINDOW, 0);
	child = fork();
	if (!child) {
		send(self->tx, self->r.p, LENGTH, 0);
		_exit(0);
	}
	for (at = 0; at < LENGTH; at += self->got.bytes) {
		view_receive(self->rx, &self->got, LENGTH - at, 0, MAX);
		if (self->got.bytes <= 0)
			break;
		view_message_gather(&self->got, &self->v);
		EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p + at, self->got.bytes));
		EXPECT_EQ(0, view_message_release(self->rx, &self->got));
	}
	EXPECT_EQ(LENGTH, at);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

/* Closed, but mapped: the view stays, and the frames go home with it. */
TEST_F(views, outlives_close)
{
	const char *p;

	VIEW(WINDOW, 0);
	SEND(0, MESSAGE);
	RECEIVE(MESSAGE);
	ASSERT_LE(1, self->got.n);
	p = self->v.p + self->got.part[0].offset;
	if (self->rx != self->tx)
		close(self->rx);
	close(self->tx);
	self->rx = -1;
	self->tx = -1;
	EXPECT_EQ(0, memcmp(p, self->r.p + self->got.part[0].at,
			    self->got.part[0].length));
}

/* Sizes and releases at random. */
TEST_F(views, random)
{
	unsigned int seed = 11, i;

	VIEW(WINDOW, 0);
	ASSERT_EQ(0, set_copybreak(self->rx, 1));
	ASSERT_EQ(0, set_copybreak(self->tx, 1));
	for (i = 0; i < 200; i++) {
		size_t at = rand_r(&seed) % (2 * PAGE);
		size_t length = 1 + rand_r(&seed) % (MESSAGE - 2 * PAGE);

		fill(self->r.p, LENGTH, i);
		SEND(at, length);
		RECEIVE(length);
		if (variant->type == SOCK_DGRAM)
			EXPECT_EQ(0, view_message_beside(&self->got, &self->v));
		view_message_gather(&self->got, &self->v);
		ASSERT_EQ(0, memcmp(self->got.buffer, self->r.p + at, length));
		if (rand_r(&seed) % 4)
			ASSERT_EQ(0, view_message_release(self->rx, &self->got));
		if (!(rand_r(&seed) % 8))
			ASSERT_EQ(0, view_release(self->rx, 0, WINDOW));
	}
}

/*
 * Segments that begin in the middle of a page share its frame: neither may be
 * seen with the other, whoever receives it.
 */
TEST_F(views, neighbours)
{
	int segment = 9000, i;

	if (variant->type != SOCK_DGRAM || variant->host)
		SKIP(return, "only datagrams, and on this machine, share frames");
	VIEW(WINDOW, 0);
	ASSERT_EQ(0, set_copybreak(self->rx, 1));
	ASSERT_EQ(0, setsockopt(self->tx, SOL_UDP, UDP_SEGMENT, &segment,
				sizeof(segment)));
	SEND(0, 27000);
	EXPECT_EQ(27000, sock_stats(self->tx).tx_ref_bytes);
	for (i = 0; i < 3; i++) {
		RECEIVE(9000);
		EXPECT_EQ(0, view_message_beside(&self->got, &self->v));
		view_message_gather(&self->got, &self->v);
		EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p + i * 9000, 9000));
	}
	EXPECT_LT(0, COPIED(SHARED));
}

/*
 * What a socket is told of the path's MTU comes before the datagrams, which stay
 * where they are.
 */
TEST_F(views, path_mtu)
{
	static const int on = 1, mtu = 1280;
	char control[CMSG_SPACE(sizeof(struct ip6_mtuinfo)) +
		     CMSG_SPACE(MAX * sizeof(struct snap_view_part))];
	struct iovec iov = { self->got.buffer, RECEIVE_MAX };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct sockaddr_in6 at;
	socklen_t length = sizeof(at);

	if (variant->type != SOCK_DGRAM || variant->family != AF_INET6)
		SKIP(return, "datagrams over IPv6 only");
	ASSERT_EQ(0, setsockopt(self->rx, SOL_IPV6, IPV6_RECVPATHMTU, &on, sizeof(on)));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_IPV6, IPV6_DONTFRAG, &on, sizeof(on)));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_IPV6, IPV6_MTU, &mtu, sizeof(mtu)));
	VIEW(WINDOW, 0);
	SEND(0, MESSAGE);
	ASSERT_EQ(0, getsockname(self->tx, (struct sockaddr *)&at, &length));
	ASSERT_EQ(-1, sendto(self->rx, self->got.buffer, 2 * mtu, 0,
			     (struct sockaddr *)&at, length));
	ASSERT_EQ(EMSGSIZE, errno);
	ASSERT_EQ(0, recvmsg(self->rx, &msg, MSG_SNAP_VIEW));
	ASSERT_NE(NULL, CMSG_FIRSTHDR(&msg));
	EXPECT_EQ(IPV6_PATHMTU, CMSG_FIRSTHDR(&msg)->cmsg_type);
	EXPECT_EQ(NULL, CMSG_NXTHDR(&msg, CMSG_FIRSTHDR(&msg)));
	EXPECT_EQ(0, view_used(self->rx));
	EXPECT_EQ(0, sock_stats(self->rx).rx_copied_bytes);
	EXPECT_EQ(0, sock_stats(self->rx).rx_viewed_bytes);
	RECEIVE(MESSAGE);
	EXPECT_LE(1, self->got.n);
	view_message_gather(&self->got, &self->v);
	EXPECT_EQ(-1, differs(self->got.buffer, MESSAGE, 1));
}

TEST_HARNESS_MAIN
