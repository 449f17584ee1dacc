// SPDX-License-Identifier: GPL-2.0-only
/*
 * What was received by view is sent on from there, by another socket: not copied, on
 * either side; as it was, although the view has let go of it at once; and by nobody
 * but who may see it.
 *
 * Machines: share-2 copy-2 share-1 debug newest
 * Paths: thread-* main-*
 */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "view.h"

#define LENGTH		(16 * PAGE)
#define WINDOW		(64 * PAGE)
#define MESSAGE		60000u
#define MAX		SNAP_VIEW_PARTS_MAX

FIXTURE(sent)
{
	int from;		/* sends from a region, or is rx: the host echoes */
	int rx;			/* receives by view */
	int out;		/* sends from there */
	int in;			/* and its other end, or out: the host echoes */
	struct region r;
	struct view v;
	struct view_message got;
	char back[RECEIVE_MAX];
};

FIXTURE_VARIANT(sent)
{
	int type;
	bool from_host;		/* over the device, and back; else over lo */
	bool to_host;
};

FIXTURE_VARIANT_ADD(sent, dgram) { .type = SOCK_DGRAM, };
FIXTURE_VARIANT_ADD(sent, stream) { .type = SOCK_STREAM, };
FIXTURE_VARIANT_ADD(sent, dgram_from_host) {
	.type = SOCK_DGRAM, .from_host = true,
};
FIXTURE_VARIANT_ADD(sent, stream_from_host) {
	.type = SOCK_STREAM, .from_host = true,
};
FIXTURE_VARIANT_ADD(sent, dgram_to_host) { .type = SOCK_DGRAM, .to_host = true, };
FIXTURE_VARIANT_ADD(sent, stream_proxy) {
	.type = SOCK_STREAM, .from_host = true, .to_host = true,
};

static int connect_host(int type, const char *host)
{
	int fd, port = type == SOCK_STREAM ? host_stream_port() : host_echo_port();
	union address at;
	socklen_t length = address_set(&at, AF_INET, host, port);

	fd = type == SOCK_STREAM ? tcp_socket(AF_SNAP, AF_INET) :
				   udp_socket(AF_SNAP, AF_INET);
	return connect(fd, &at.sa, length) ? -1 : fd;
}

/* fd[0] receives what fd[1] sends, or the host what both are. */
static int make_pair(int type, bool host, int fd[2])
{
	int big = 4 << 20;

	if (!host)
		return view_pair(type, fd);
	fd[0] = connect_host(type, HOST4);
	fd[1] = fd[0];
	return fd[0] < 0 || set_copybreak(fd[0], 1) || set_timeout(fd[0], 10000) ||
	       setsockopt(fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
}

FIXTURE_SETUP(sent)
{
	int fd[2];

	self->r.fd = -1;
	self->v.p = NULL;
	if ((variant->from_host || variant->to_host) &&
	    (!host_echo_port() || !host_stream_port()))
		SKIP(return, "no echo server on the host");
	ASSERT_EQ(0, make_pair(variant->type, variant->from_host, fd));
	self->rx = fd[0];
	self->from = fd[1];
	ASSERT_EQ(0, make_pair(variant->type, variant->to_host, fd));
	self->in = fd[0];
	self->out = fd[1];
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	fill(self->r.p, LENGTH, 1);
	ASSERT_EQ(0, view_make(&self->v, self->rx, WINDOW, 0));
}

FIXTURE_TEARDOWN(sent)
{
	view_drop(&self->v);
	close(self->from);
	close(self->out);
	if (self->rx != self->from)
		close(self->rx);
	if (self->in != self->out)
		close(self->in);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* A message is in the view, as far as it can be: the bytes that are. */
static size_t arrive(FIXTURE_DATA(sent) *self, unsigned int seed)
{
	int low = MESSAGE;

	fill(self->r.p, LENGTH, seed);
	if (send(self->from, self->r.p, MESSAGE, 0) != MESSAGE)
		return 0;
	setsockopt(self->rx, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	view_receive(self->rx, &self->got, RECEIVE_MAX, 0, MAX);
	return self->got.bytes == MESSAGE ? view_message_viewed(&self->got) : 0;
}

static const char *part_of(const FIXTURE_DATA(sent) *self, unsigned int i)
{
	return self->v.p + self->got.part[i].offset;
}

/* Each part is a message, or bytes of the stream; those sent, or -1 and an errno. */
static ssize_t send_on(const FIXTURE_DATA(sent) *self)
{
	ssize_t n, sum = 0;
	unsigned int i;

	for (i = 0; i < self->got.n; i++) {
		n = send(self->out, part_of(self, i), self->got.part[i].length, 0);
		if (n != (ssize_t)self->got.part[i].length)
			return -1;
		sum += n;
	}
	return sum;
}

/* What send_on() has sent comes out, in its parts, as arrive() made it. */
static bool comes_on(FIXTURE_DATA(sent) *self, unsigned int seed)
{
	char *expected = self->got.buffer;
	unsigned int i;

	fill(expected, MESSAGE, seed);
	for (i = 0; i < self->got.n; i++) {
		ssize_t length = self->got.part[i].length;

		memset(self->back, POISON, sizeof(self->back));
		if (recv(self->in, self->back, length, MSG_WAITALL) != length ||
		    memcmp(self->back, expected + self->got.part[i].at, length))
			return false;
	}
	return true;
}

/* By reference, in and out; and what comes out is what came in. */
TEST_F(sent, by_reference)
{
	struct snap_sock_stats before = sock_stats(self->out), after;
	size_t viewed = arrive(self, 1);

	ASSERT_LE(MESSAGE * 3 / 4, viewed);
	ASSERT_EQ(viewed, send_on(self));
	after = sock_stats(self->out);
	EXPECT_EQ(viewed, after.tx_ref_bytes - before.tx_ref_bytes);
	EXPECT_EQ(self->got.n, after.tx_ref_msgs - before.tx_ref_msgs);
	EXPECT_EQ(before.tx_copied_bytes, after.tx_copied_bytes);
	EXPECT_EQ(viewed, sock_stats(self->rx).rx_viewed_bytes);
	EXPECT_TRUE(comes_on(self, 1));
}

/* The view lets go of it before it is read, and others come and go. */
TEST_F(sent, released_at_once)
{
	size_t viewed = arrive(self, 1);
	struct view_message first;
	int i;

	ASSERT_LE(MESSAGE * 3 / 4, viewed);
	ASSERT_EQ(viewed, send_on(self));
	ASSERT_EQ(0, view_message_release(self->rx, &self->got));
	EXPECT_EQ(0, view_used(self->rx));
	first = self->got;
	for (i = 2; i < 10; i++) {
		ASSERT_LT(0, arrive(self, i));
		ASSERT_EQ(0, view_message_release(self->rx, &self->got));
	}
	self->got = first;
	EXPECT_TRUE(comes_on(self, 1));
}

/* And who gets it has it in a view in turn: the same frames, in both or in one. */
TEST_F(sent, viewed_again)
{
	struct view_message again;
	struct view v;
	int i;

	if (variant->to_host)
		SKIP(return, "to who has a view");
	ASSERT_EQ(0, view_make(&v, self->in, WINDOW, 0));
	for (i = 1; i < 5; i++) {
		size_t viewed = arrive(self, i), length = self->got.part[0].length;

		ASSERT_LE(MESSAGE * 3 / 4, viewed);
		ASSERT_EQ(length, send(self->out, part_of(self, 0), length, 0));
		if (i % 2)
			ASSERT_EQ(0, view_message_release(self->rx, &self->got));
		view_receive(self->in, &again, length, MSG_WAITALL, MAX);
		ASSERT_EQ(length, again.bytes);
		EXPECT_EQ(length, view_message_viewed(&again));
		ASSERT_EQ(0, view_message_release(self->rx, &self->got));
		view_message_gather(&again, &v);
		fill(self->got.buffer, MESSAGE, i);
		EXPECT_EQ(0, memcmp(again.buffer, self->got.buffer + self->got.part[0].at,
				    length));
		ASSERT_EQ(0, view_message_release(self->in, &again));
	}
	view_drop(&v);
}

/* Any bytes of it, and only these. */
TEST_F(sent, a_part_of_it)
{
	size_t length;

	ASSERT_LE(MESSAGE * 3 / 4, arrive(self, 1));
	length = self->got.part[0].length - 200;
	ASSERT_LT(PAGE, length);
	ASSERT_EQ(length, send(self->out, part_of(self, 0) + 100, length, 0));
	EXPECT_EQ(length, sock_stats(self->out).tx_ref_bytes);
	fill(self->got.buffer, MESSAGE, 1);
	EXPECT_EQ(length, recv(self->in, self->back, length, MSG_WAITALL));
	EXPECT_EQ(0, memcmp(self->back,
			    self->got.buffer + self->got.part[0].at + 100, length));
}

/* Where the view has nothing, there is nothing to send. */
TEST_F(sent, holes)
{
	const char *p;

	ASSERT_LE(MESSAGE * 3 / 4, arrive(self, 1));
	p = part_of(self, 0);
	ASSERT_LT(3 * PAGE, self->got.part[0].length);
	/* the second page is away */
	ASSERT_EQ(0, view_release(self->rx, self->got.part[0].offset + PAGE, 1));
	p += PAGE - (uintptr_t)p % PAGE;
	EXPECT_EQ(-1, send(self->out, p, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_GE((ssize_t)(self->got.part[0].length),
		  send(self->out, part_of(self, 0), 3 * PAGE, 0));
	/* and all of the window that nothing came into */
	EXPECT_EQ(-1, send(self->out, self->v.p + WINDOW - PAGE, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, sock_stats(self->out).tx_ref_msgs);
}

/* Who may not load from it may not send it. */
TEST_F(sent, unreadable)
{
	ASSERT_LE(MESSAGE * 3 / 4, arrive(self, 1));
	ASSERT_EQ(0, mprotect((void *)self->v.p, WINDOW, PROT_NONE));
	EXPECT_EQ(-1, send(self->out, part_of(self, 0), PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
}

/* A child has the window, and of what came after its birth nothing. */
TEST_F(sent, by_a_child)
{
	int status, go[2];
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe(go));
	child = fork();
	if (!child) {
		/* the window is empty: what comes begins there */
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		_exit(send(self->out, self->v.p, PAGE, 0) != -1 ? 2 :
		      errno != EFAULT ? 3 : 0);
	}
	ASSERT_LE(MESSAGE * 3 / 4, arrive(self, 1));
	ASSERT_GT(PAGE, self->got.part[0].offset);
	ASSERT_EQ(1, write(go[1], "g", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(go[0]);
	close(go[1]);
}

/* What has been read is not there for long, whichever processor has it still. */
static bool reception_has_nothing(void)
{
	uint64_t end = now_ms() + 5000;

	while (ethtool_counter("driver_received_frames") && now_ms() < end)
		sleep_ms(10);
	return !ethtool_counter("driver_received_frames");
}

/*
 * Nobody reads it: what is under way is its sender's, and neither the account of
 * reception's nor nobody's.
 */
TEST_F(sent, is_charged_to_its_sender)
{
	int i;

	if (!variant->from_host || variant->to_host)
		SKIP(return, "what was received, to whom does not read");
	ASSERT_EQ(0, quotas_bind(true));
	ASSERT_EQ(0, write_text(USER_QUOTA, "1"));
	/* more than one hundredth of the pool, unless that is large */
	for (i = 0; i < 60 && !sock_stats(self->rx).recv_bytes[SNAP_RECV_QUOTA]; i++) {
		arrive(self, i);
		if (self->got.bytes != MESSAGE)
			break;
		send_on(self);
		if (view_message_release(self->rx, &self->got))
			break;
		if (!reception_has_nothing())
			break;
	}
	EXPECT_TRUE(reception_has_nothing());
	EXPECT_LT(0, sock_stats(self->rx).recv_bytes[SNAP_RECV_QUOTA]);
	EXPECT_EQ(0, write_text(USER_QUOTA, USER_QUOTA_DEFAULT));
	EXPECT_EQ(0, quotas_bind(false));
}

/* By another interface it goes as an ordinary message does. */
TEST_F(sent, elsewhere)
{
	size_t viewed;
	int fd;

	if (variant->to_host || access("/sys/class/net/" VIRTIO_NETDEV, F_OK))
		SKIP(return, "another interface");
	fd = connect_host(variant->type, VIRTIO_HOST4);
	ASSERT_LE(0, fd);
	if (self->in != self->out)
		close(self->in);
	close(self->out);
	self->out = fd;
	self->in = fd;
	ASSERT_EQ(0, set_timeout(fd, 10000));
	viewed = arrive(self, 1);
	ASSERT_LE(MESSAGE * 3 / 4, viewed);
	ASSERT_EQ(viewed, send_on(self));
	EXPECT_EQ(0, sock_stats(fd).tx_ref_bytes);
	EXPECT_LT(0, sock_stats(fd).copied_bytes[SNAP_COPY_ROUTE]);
	EXPECT_TRUE(comes_on(self, 1));
}

TEST_HARNESS_MAIN
