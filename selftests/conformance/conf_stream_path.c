// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams are TCP, the third part: the same on every path, to a peer that sends
 * back what it gets: another process over lo, the host over the device and over
 * virtio-net beside it, where the bytes of regions are copied.
 *
 * Machines: auto-2 debug
 * Paths: thread-* main-* *-auto-*
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define LENGTH		(64 * PAGE)
#define MANY		20
#define CLOSED_PORT	9		/* nobody listens there */

FIXTURE(path)
{
	int fd;			/* connected to the peer */
	union address peer;
	socklen_t length;	/* of an address */
	pid_t echo;		/* on lo */
	struct region r;	/* ordinary memory if not of AF_SNAP */
	char *p;		/* LENGTH bytes to send from */
	char *back;		/* and to receive into */
};

FIXTURE_VARIANT(path)
{
	int domain;
	int family;
	const char *netdev;
};

FIXTURE_VARIANT_ADD(path, inet4_lo) {
	.domain = AF_INET, .family = AF_INET, .netdev = "lo",
};
FIXTURE_VARIANT_ADD(path, inet6_lo) {
	.domain = AF_INET6, .family = AF_INET6, .netdev = "lo",
};
FIXTURE_VARIANT_ADD(path, snap4_lo) {
	.domain = AF_SNAP, .family = AF_INET, .netdev = "lo",
};
FIXTURE_VARIANT_ADD(path, snap6_lo) {
	.domain = AF_SNAP, .family = AF_INET6, .netdev = "lo",
};
FIXTURE_VARIANT_ADD(path, inet4_dev) {
	.domain = AF_INET, .family = AF_INET, .netdev = NETDEV,
};
FIXTURE_VARIANT_ADD(path, inet6_dev) {
	.domain = AF_INET6, .family = AF_INET6, .netdev = NETDEV,
};
FIXTURE_VARIANT_ADD(path, snap4_dev) {
	.domain = AF_SNAP, .family = AF_INET, .netdev = NETDEV,
};
FIXTURE_VARIANT_ADD(path, snap6_dev) {
	.domain = AF_SNAP, .family = AF_INET6, .netdev = NETDEV,
};
FIXTURE_VARIANT_ADD(path, inet4_virtio) {
	.domain = AF_INET, .family = AF_INET, .netdev = VIRTIO_NETDEV,
};
FIXTURE_VARIANT_ADD(path, inet6_virtio) {
	.domain = AF_INET6, .family = AF_INET6, .netdev = VIRTIO_NETDEV,
};
FIXTURE_VARIANT_ADD(path, snap4_virtio) {
	.domain = AF_SNAP, .family = AF_INET, .netdev = VIRTIO_NETDEV,
};
FIXTURE_VARIANT_ADD(path, snap6_virtio) {
	.domain = AF_SNAP, .family = AF_INET6, .netdev = VIRTIO_NETDEV,
};

static bool is_virtio(const FIXTURE_VARIANT(path) *variant)
{
	return !strcmp(variant->netdev, VIRTIO_NETDEV);
}

/* ---- The peer on lo: a process for each connection ---------------------- */

static void echo_connection(int fd)
{
	static char buffer[1 << 20];
	ssize_t n;

	/* a call that waits is short only if there is an error */
	do {
		n = recv(fd, buffer, sizeof(buffer), 0);
	} while (n > 0 && send(fd, buffer, n, 0) == n);
	_exit(0);
}

static pid_t echo_streams(int family, union address *at, socklen_t *length)
{
	int fd, listener = tcp_listen_on_loopback(family, family, at, length);
	pid_t pid;

	if (listener < 0)
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		while ((fd = accept(listener, NULL, NULL)) >= 0) {
			if (!fork()) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				echo_connection(fd);
			}
			close(fd);
		}
		_exit(1);
	}
	close(listener);
	return pid;
}

/* ---- Connections to it -------------------------------------------------- */

/* A socket of the variant, not connected. */
static int socket_like(const FIXTURE_VARIANT(path) *variant)
{
	int fd = tcp_socket(variant->domain, variant->family);

	if (fd >= 0 && (set_timeout(fd, PATIENCE) ||
			(variant->domain == AF_SNAP && set_copybreak(fd, 0)))) {
		close(fd);
		return -1;
	}
	return fd;
}

FIXTURE_SETUP(path)
{
	signal(SIGPIPE, SIG_IGN);
	self->r.fd = -1;
	if (!strcmp(variant->netdev, "lo")) {
		self->echo = echo_streams(variant->family, &self->peer,
					  &self->length);
		ASSERT_GT(self->echo, 0);
	} else {
		if (!host_stream_port())
			SKIP(return, "no peer on the host");
		if (!if_nametoindex(variant->netdev))
			SKIP(return, "no %s", variant->netdev);
		self->length = address_set(&self->peer, variant->family,
					   host_on(variant->netdev, variant->family),
					   host_stream_port());
	}
	ASSERT_EQ(0, memory_make(&self->r, LENGTH, variant->domain == AF_SNAP));
	self->p = self->r.p;
	self->back = malloc(LENGTH);
	ASSERT_NE(NULL, self->back);
	self->fd = socket_like(variant);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, connect(self->fd, &self->peer.sa, self->length));
}

FIXTURE_TEARDOWN(path)
{
	close(self->fd);
	echo_stop(self->echo);
	free(self->back);
	region_drop(&self->r);
	if (variant->domain == AF_SNAP)
		EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* The peer must get what the buffer had when the call was made. */
static ssize_t post(int fd, char *p, size_t length, uint64_t at, int flags)
{
	ssize_t n;

	fill_stream(p, length, at);
	n = send(fd, p, length, flags);
	memset(p, POISON, length);
	return n;
}

/* All that was sent went by reference, or over virtio-net by copy. */
static void went(struct __test_metadata *_metadata,
		 const FIXTURE_VARIANT(path) *variant, int fd, uint64_t bytes)
{
	struct snap_sock_stats stats;

	if (variant->domain != AF_SNAP)
		return;
	stats = sock_stats(fd);
	EXPECT_EQ(is_virtio(variant) ? 0 : bytes, stats.tx_ref_bytes);
	EXPECT_EQ(is_virtio(variant) ? bytes : 0,
		  stats.copied_bytes[SNAP_COPY_ROUTE]);
}

/* ---- How connections begin and end -------------------------------------- */

TEST_F(path, names)
{
	union address own, peer;
	socklen_t length = sizeof(own);

	ASSERT_EQ(0, getsockname(self->fd, &own.sa, &length));
	EXPECT_EQ(self->length, length);
	EXPECT_EQ(variant->family, own.sa.sa_family);
	ASSERT_EQ(0, getpeername(self->fd, &peer.sa, &length));
	EXPECT_EQ(0, memcmp(&peer, &self->peer, length));
}

/* And the socket may try again. */
TEST_F(path, refused)
{
	int fd = socket_like(variant);
	union address none = self->peer;

	none.in.sin_port = htons(CLOSED_PORT);
	EXPECT_EQ(ECONNREFUSED, outcome(connect(fd, &none.sa, self->length)));
	EXPECT_EQ(0, connect(fd, &self->peer.sa, self->length));
	ASSERT_EQ(100, post(fd, self->p, 100, 0, 0));
	EXPECT_TRUE(comes_out(fd, self->back, 0, 100));
	close(fd);
}

TEST_F(path, nonblocking_connect)
{
	struct pollfd poller = { .fd = socket_like(variant), .events = POLLOUT };
	socklen_t size = sizeof(int);
	int err;

	ASSERT_EQ(0, fcntl(poller.fd, F_SETFL, O_NONBLOCK));
	err = outcome(connect(poller.fd, &self->peer.sa, self->length));
	EXPECT_TRUE(!err || err == EINPROGRESS);
	EXPECT_EQ(1, poll(&poller, 1, PATIENCE));
	EXPECT_EQ(POLLOUT, poller.revents);
	ASSERT_EQ(0, getsockopt(poller.fd, SOL_SOCKET, SO_ERROR, &err, &size));
	EXPECT_EQ(0, err);
	EXPECT_EQ(EAGAIN, outcome(recv(poller.fd, self->back, 1, 0)));
	close(poller.fd);
}

/* Bound to the interface, with a mark: the route is looked up for each. */
TEST_F(path, bound_to_device)
{
	int fd = socket_like(variant), mark = 1;

	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, variant->netdev,
				strlen(variant->netdev)));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)));
	ASSERT_EQ(0, connect(fd, &self->peer.sa, self->length));
	ASSERT_EQ(10 * PAGE, post(fd, self->p, 10 * PAGE, 0, 0));
	EXPECT_TRUE(comes_out(fd, self->back, 0, 10 * PAGE));
	went(_metadata, variant, fd, 10 * PAGE);
	close(fd);
}

/* Many at once, each with bytes of its own. */
TEST_F(path, many)
{
	int fd[MANY], i;

	for (i = 0; i < MANY; i++) {
		fd[i] = socket_like(variant);
		ASSERT_EQ(0, connect(fd[i], &self->peer.sa, self->length));
		ASSERT_EQ(PAGE, post(fd[i], self->p, PAGE, i * PAGE, 0));
	}
	for (i = 0; i < MANY; i++) {
		EXPECT_TRUE(comes_out(fd[i], self->back, i * PAGE, PAGE));
		went(_metadata, variant, fd[i], PAGE);
		close(fd[i]);
	}
}

/* The peer sends all back that came before the end, and ends then. */
TEST_F(path, half_close)
{
	struct pollfd poller = { .fd = self->fd, .events = POLLRDHUP };

	ASSERT_EQ(LENGTH, post(self->fd, self->p, LENGTH, 0, 0));
	EXPECT_EQ(0, poll(&poller, 1, 0));
	ASSERT_EQ(0, shutdown(self->fd, SHUT_WR));
	EXPECT_EQ(EPIPE, outcome(send(self->fd, self->p, PAGE, 0)));
	EXPECT_TRUE(comes_out(self->fd, self->back, 0, LENGTH));
	EXPECT_EQ(0, recv(self->fd, self->back, 1, 0));
	EXPECT_EQ(1, poll(&poller, 1, PATIENCE));
	EXPECT_EQ(POLLHUP | POLLRDHUP, poller.revents);
	went(_metadata, variant, self->fd, LENGTH);
}

/* Nothing comes in any more: TCP gives up after the time that it was given. */
TEST_F(path, silence)
{
	const char *first_wait = "/proc/sys/net/ipv4/tcp_rto_min_us";
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog drop = { .len = 1, .filter = &none };
	int fd, ms = 50;

	/* of the sockets that are made meanwhile */
	ASSERT_EQ(0, write_text(first_wait, "20000"));
	fd = socket_like(variant);
	ASSERT_EQ(0, write_text(first_wait, "200000"));
	ASSERT_EQ(0, connect(fd, &self->peer.sa, self->length));
	ASSERT_EQ(100, post(fd, self->p, 100, 0, 0));
	EXPECT_TRUE(comes_out(fd, self->back, 0, 100));
	ASSERT_EQ(0, setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
				sizeof(ms)));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &drop,
				sizeof(drop)));
	EXPECT_EQ(PAGE, post(fd, self->p, PAGE, 100, 0));
	EXPECT_EQ(ETIMEDOUT, outcome(recv(fd, self->back, 1, 0)));
	EXPECT_EQ(EPIPE, outcome(send(fd, self->p, 1, 0)));
	EXPECT_EQ(0, recv(fd, self->back, 1, 0));
	close(fd);
}

/* ---- Bytes -------------------------------------------------------------- */

TEST_F(path, lengths)
{
	static const size_t lengths[] = {
		1, 100, 1448, PAGE - 1, PAGE, PAGE + 1, 10000, 65535, 200000,
	};
	const size_t n = sizeof(lengths) / sizeof(*lengths);
	uint64_t at = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		ASSERT_EQ((ssize_t)lengths[i], post(self->fd, self->p + 13 * i,
						    lengths[i], at, 0));
		EXPECT_TRUE(comes_out(self->fd, self->back, at, lengths[i])) {
			TH_LOG("length %zu", lengths[i]);
		}
		at += lengths[i];
	}
	went(_metadata, variant, self->fd, at);
}

/* Nobody reads until nothing goes in, and the only buffer is overwritten. */
TEST_F(path, overwritten)
{
	struct pollfd poller = { .fd = self->fd, .events = POLLOUT };
	uint64_t at = 0;
	ssize_t n;

	while ((n = post(self->fd, self->p, LENGTH, at, MSG_DONTWAIT)) > 0)
		at += n;
	EXPECT_EQ(EAGAIN, outcome(n));
	EXPECT_GE(at, LENGTH);
	EXPECT_TRUE(comes_out(self->fd, self->back, 0, at));
	EXPECT_EQ(1, poll(&poller, 1, PATIENCE));
}

/* Another route to the peer, by the same interface; add or del. */
static int other_route(const FIXTURE_VARIANT(path) *variant, const char *what)
{
	bool lo = !strcmp(variant->netdev, "lo"), six = variant->family == AF_INET6;
	const char *to = six ? "::1" : "local 127.0.0.1";

	if (!lo)
		to = host_on(variant->netdev, variant->family);
	return sh("ip %s route %s %s dev %s metric 5000 %s", six ? "-6" : "-4",
		  what, to, variant->netdev, lo ? "table local" : "");
}

/* When routes come and go, TCP looks up its own again. */
TEST_F(path, routes_change)
{
	ASSERT_EQ(LENGTH, post(self->fd, self->p, LENGTH, 0, 0));
	EXPECT_TRUE(comes_out(self->fd, self->back, 0, LENGTH));
	ASSERT_EQ(0, other_route(variant, "add"));
	EXPECT_EQ(LENGTH, post(self->fd, self->p, LENGTH, LENGTH, 0));
	ASSERT_EQ(0, other_route(variant, "del"));
	EXPECT_TRUE(comes_out(self->fd, self->back, LENGTH, LENGTH));
	went(_metadata, variant, self->fd, 2 * LENGTH);
}

/* Calls that wait for room, while another thread makes it. */
TEST_F(path, both_directions)
{
	struct reader reader = {
		.fd = self->fd, .back = self->back, .length = 8 * LENGTH,
	};
	int small = 20000, i;

	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)));
	ASSERT_EQ(0, reader_start(&reader));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(LENGTH, post(self->fd, self->p, LENGTH, i * LENGTH, 0));
	ASSERT_EQ(0, shutdown(self->fd, SHUT_WR));
	EXPECT_TRUE(reader_done(&reader));
	EXPECT_EQ(0, recv(self->fd, self->back, 1, 0));
	went(_metadata, variant, self->fd, 8 * LENGTH);
}

/* Pages do not fit into such segments. */
TEST_F(path, small_segments)
{
	int fd = socket_like(variant), mss = 600;

	ASSERT_EQ(0, setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)));
	ASSERT_EQ(0, connect(fd, &self->peer.sa, self->length));
	ASSERT_EQ(LENGTH, post(fd, self->p, LENGTH, 0, 0));
	EXPECT_TRUE(comes_out(fd, self->back, 0, LENGTH));
	EXPECT_LE(tcp_info_of(fd).tcpi_snd_mss, 600);
	went(_metadata, variant, fd, LENGTH);
	close(fd);
}

/* What is acknowledged is no longer queued. */
TEST_F(path, acknowledged)
{
	uint64_t end = now_ms() + PATIENCE;
	struct tcp_info info;
	int queued;

	ASSERT_EQ(LENGTH, post(self->fd, self->p, LENGTH, 0, 0));
	EXPECT_TRUE(comes_out(self->fd, self->back, 0, LENGTH));
	do {
		ASSERT_EQ(0, ioctl(self->fd, SIOCOUTQ, &queued));
	} while (queued && now_ms() < end);
	EXPECT_EQ(0, queued);
	info = tcp_info_of(self->fd);
	EXPECT_EQ(LENGTH, info.tcpi_bytes_acked - 1);	/* the SYN */
	EXPECT_EQ(LENGTH, info.tcpi_bytes_received);
}

TEST_F(path, receive_flags)
{
	struct pollfd poller = { .fd = self->fd, .events = POLLIN };
	int low = PAGE;

	EXPECT_EQ(0, poll(&poller, 1, 0));
	EXPECT_EQ(EAGAIN, outcome(recv(self->fd, self->back, 1, MSG_DONTWAIT)));
	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_RCVLOWAT, &low,
				sizeof(low)));
	ASSERT_EQ(PAGE, post(self->fd, self->p, PAGE, 0, 0));
	EXPECT_EQ(1, poll(&poller, 1, PATIENCE));
	EXPECT_EQ(PAGE, recv(self->fd, self->back, LENGTH, MSG_PEEK));
	EXPECT_EQ(-1, differs_stream(self->back, PAGE, 0));
	EXPECT_EQ(1000, recv(self->fd, NULL, 1000, MSG_TRUNC));
	EXPECT_TRUE(comes_out(self->fd, self->back, 1000, PAGE - 1000));
	ASSERT_EQ(10 * PAGE, post(self->fd, self->p, 10 * PAGE, 0, 0));
	EXPECT_EQ(10 * PAGE, recv(self->fd, self->back, 10 * PAGE, MSG_WAITALL));
	EXPECT_EQ(-1, differs_stream(self->back, 10 * PAGE, 0));
}

/* The last byte is urgent, and not in the stream that the peer reads. */
TEST_F(path, out_of_band)
{
	ASSERT_EQ(101, post(self->fd, self->p, 101, 0, MSG_OOB));
	ASSERT_EQ(PAGE, post(self->fd, self->p, PAGE, 100, 0));
	EXPECT_TRUE(comes_out(self->fd, self->back, 0, 100 + PAGE));
	EXPECT_EQ(EAGAIN, outcome(recv(self->fd, self->back, 1, MSG_DONTWAIT)));
}

/* A file's pages go, and come back into a pipe. */
TEST_F(path, splice)
{
	int file = memfd_create("conf", 0), pipefd[2];
	size_t done = 0, length = 8 * PAGE + 100;
	off_t offset = 0;

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_GE(file, 0);
	fill_stream(self->p, length, 0);
	ASSERT_EQ((ssize_t)length, write(file, self->p, length));
	ASSERT_EQ((ssize_t)length, sendfile(self->fd, file, &offset, length));
	while (done < length) {
		ssize_t n = splice(self->fd, NULL, pipefd[1], NULL,
				   length - done, 0);

		ASSERT_GT(n, 0);
		ASSERT_EQ(n, read(pipefd[0], self->back + done, n));
		done += n;
	}
	EXPECT_EQ(-1, differs_stream(self->back, length, 0));
	close(pipefd[0]);
	close(pipefd[1]);
	close(file);
}

TEST_HARNESS_MAIN
