// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams: sending by reference in parts, overwriting what was sent while the
 * receiver does not read, and what a connection's end and its errors do.
 * How TCP behaves otherwise is in conf_stream.
 *
 * Machines: auto-2 share-2 copy-2 share-1 debug newest
 * Paths: *
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define REGION		(64 * PAGE)

FIXTURE(stream)
{
	int tx;			/* AF_SNAP */
	int rx;			/* where the bytes come out */
	struct region r;
	char *back;		/* as long as the region */
};

/* dev: through the host, whose server sends all back on the connection. */
FIXTURE_VARIANT(stream)
{
	int family;
	bool dev;
};

FIXTURE_VARIANT_ADD(stream, lo4) {
	.family = AF_INET,
};
FIXTURE_VARIANT_ADD(stream, lo6) {
	.family = AF_INET6,
};
FIXTURE_VARIANT_ADD(stream, dev4) {
	.family = AF_INET, .dev = true,
};
FIXTURE_VARIANT_ADD(stream, dev6) {
	.family = AF_INET6, .dev = true,
};

FIXTURE_SETUP(stream)
{
	int fd[2];

	self->r.fd = -1;
	if (variant->dev) {
		if (!host_stream_port())
			SKIP(return, "no peer on the host");
		self->tx = tcp_connect(AF_SNAP, variant->family,
				       variant->family == AF_INET6 ? HOST6 : HOST4,
				       host_stream_port());
		ASSERT_GE(self->tx, 0);
		self->rx = dup(self->tx);
	} else {
		ASSERT_EQ(0, tcp_pair(AF_SNAP, variant->family, fd));
		self->rx = fd[0];
		self->tx = fd[1];
	}
	ASSERT_EQ(0, set_timeout(self->rx, 20000));
	ASSERT_EQ(0, region_make(&self->r, REGION));
	ASSERT_EQ(0, set_copybreak(self->tx, 1000));
	self->back = malloc(REGION);
	ASSERT_NE(NULL, self->back);
}

FIXTURE_TEARDOWN(stream)
{
	close(self->tx);
	close(self->rx);
	region_drop(&self->r);
	free(self->back);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

static uint64_t copied_for(int fd, enum snap_copy_reason reason)
{
	return sock_stats(fd).copied_bytes[reason];
}

/* One call, no copy, at every offset within pages; and the counters say so. */
TEST_F(stream, by_reference)
{
	static const size_t offset[] = { 0, 1, 100, 4095 };
	size_t i, length = 20 * PAGE + 300;
	struct snap_sock_stats stats;
	uint64_t at = 0;

	for (i = 0; i < 4; i++) {
		fill_stream(self->r.p + offset[i], length, at);
		ASSERT_EQ((ssize_t)length,
			  send(self->tx, self->r.p + offset[i], length, 0));
		memset(self->r.p, POISON, REGION);
		ASSERT_TRUE(comes_out(self->rx, self->back, at, length));
		at += length;
	}
	stats = sock_stats(self->tx);
	EXPECT_EQ(4, stats.tx_ref_msgs);
	EXPECT_EQ(at, stats.tx_ref_bytes);
	EXPECT_EQ(0, stats.tx_copied_bytes);
	EXPECT_LE(at, sock_stats(self->rx).rx_copied_bytes);
}

/*
 * Promise 1: the receiver does not read, TCP keeps and may send again, and the
 * sender overwrites its only buffer after each call, until nothing goes in.
 */
TEST_F(stream, overwrite_after_send)
{
	struct pollfd room = { .fd = self->tx, .events = POLLOUT };
	struct snap_sock_stats stats;
	uint64_t at = 0;
	ssize_t n;

	do {
		fill_stream(self->r.p, REGION, at);
		n = send(self->tx, self->r.p, REGION, MSG_DONTWAIT);
		memset(self->r.p, POISON, REGION);
		if (n > 0)
			at += n;
		/* what is on its way to the peer makes room when it is there */
	} while (n > 0 || (errno == EAGAIN && poll(&room, 1, 500) == 1));
	ASSERT_EQ(-1, n);
	ASSERT_EQ(EAGAIN, errno);
	stats = sock_stats(self->tx);
	EXPECT_GE(at, REGION);
	EXPECT_EQ(at, stats.tx_ref_bytes + stats.tx_copied_bytes);
	/* a machine short of frames copies; most went by reference */
	EXPECT_GT(stats.tx_ref_bytes, stats.tx_copied_bytes);
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, at));
}

/* Short buffers are copied, long ones are not, and the order is theirs. */
TEST_F(stream, mixed_buffers)
{
	char head[100], middle[40], tail[8];
	struct iovec iov[] = {
		{ head, sizeof(head) },
		{ NULL, 0 },
		{ self->r.p + 10, 3 * PAGE },
		{ middle, sizeof(middle) },
		{ tail, sizeof(tail) },
		{ self->r.p + 8 * PAGE, 40 * PAGE },
	};
	struct snap_sock_stats stats;
	uint64_t at = 0;
	size_t i;

	for (i = 0; i < 6; i++) {
		if (iov[i].iov_len)
			fill_stream(iov[i].iov_base, iov[i].iov_len, at);
		at += iov[i].iov_len;
	}
	ASSERT_EQ((ssize_t)at, writev(self->tx, iov, 6));
	memset(self->r.p, POISON, REGION);
	ASSERT_TRUE(comes_out(self->rx, self->back, 0, at));
	stats = sock_stats(self->tx);
	EXPECT_EQ(43 * PAGE, stats.tx_ref_bytes);
	EXPECT_EQ(148, stats.copied_bytes[SNAP_COPY_SHORT]);
	EXPECT_EQ(148, stats.tx_copied_bytes);
	EXPECT_EQ(1, stats.tx_ref_msgs);
	EXPECT_EQ(1, stats.tx_copied_msgs);
}

/* What cannot go by reference arrives all the same, counted by its reason. */
TEST_F(stream, copied)
{
	char *plain = malloc(REGION);
	uint64_t at = 0;

	ASSERT_NE(NULL, plain);
	fill_stream(plain, 3 * PAGE, at);
	ASSERT_EQ(3 * PAGE, send(self->tx, plain, 3 * PAGE, 0));
	EXPECT_EQ(3 * PAGE, copied_for(self->tx, SNAP_COPY_NOT_REGION));
	at += 3 * PAGE;

	fill_stream(self->r.p, 100, at);
	ASSERT_EQ(100, send(self->tx, self->r.p, 100, 0));
	EXPECT_EQ(100, copied_for(self->tx, SNAP_COPY_SHORT));
	at += 100;

	fill_stream(self->r.p, PAGE, at);
	ASSERT_EQ(PAGE, send(self->tx, self->r.p, PAGE, MSG_ZEROCOPY));
	EXPECT_EQ(PAGE, copied_for(self->tx, SNAP_COPY_FLAGS));
	at += PAGE;

	EXPECT_EQ(0, sock_stats(self->tx).tx_ref_bytes);
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, at));
	free(plain);
}

/* A buffer with a hole: what is before it may be sent, the hole is EFAULT. */
TEST_F(stream, fault)
{
	char *p = mmap(NULL, REGION, PROT_READ, MAP_SHARED, self->r.fd, 0);
	size_t hole = 40 * PAGE;
	ssize_t n;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + hole, REGION - hole));
	fill_stream(self->r.p, hole, 0);
	n = send(self->tx, p, REGION, 0);
	EXPECT_GE(n, 16 * PAGE);
	EXPECT_LE(n, (ssize_t)hole);
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, n));
	EXPECT_EQ(-1, send(self->tx, p + hole, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	munmap(p, hole);
}

/* Files and snapshots go in by sendfile(), and splice() takes bytes out. */
TEST_F(stream, splice)
{
	size_t done = 0, length = 16 * PAGE;
	int snapshot, pipefd[2];
	struct snap_info info;
	off_t offset = 0;

	ASSERT_EQ(0, dev_info(&info));
	if (!(info.features & SNAP_F_SNAPSHOT))
		SKIP(return, "the device has no snapshots");
	ASSERT_EQ(0, pipe(pipefd));
	fill_stream(self->r.p, length, 0);
	snapshot = snapshot_fd(self->r.fd, NULL);
	ASSERT_GE(snapshot, 0);
	memset(self->r.p, POISON, REGION);
	while ((size_t)offset < length)
		ASSERT_GT(sendfile(self->tx, snapshot, &offset,
				   length - offset), 0);
	close(snapshot);
	while (done < length) {
		ssize_t n = splice(self->rx, NULL, pipefd[1], NULL,
				   length - done, 0);

		ASSERT_GT(n, 0);
		ASSERT_EQ(n, read(pipefd[0], self->back + done, n));
		done += n;
	}
	EXPECT_EQ(-1, differs_stream(self->back, length, 0));
	close(pipefd[0]);
	close(pipefd[1]);
}

/* ---- Connections -------------------------------------------------------- */

static void on_signal(int signal)
{
}

/* A blocking call that has to wait ends when the reader has come. */
TEST(blocking_send_waits)
{
	struct reader reader = { .delay = 200 };
	int sndbuf = 16384, fd[2];
	struct region r;

	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, fd));
	ASSERT_EQ(0, set_timeout(fd[0], 20000));
	ASSERT_EQ(0, region_make(&r, 1024 * PAGE));
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	fill_stream(r.p, r.length, 0);
	reader.fd = fd[0];
	reader.length = r.length;
	reader.back = malloc(REGION);
	ASSERT_NE(NULL, reader.back);
	ASSERT_EQ(0, reader_start(&reader));
	EXPECT_EQ((ssize_t)r.length, send(fd[1], r.p, r.length, 0));
	memset(r.p, POISON, r.length);
	EXPECT_TRUE(reader_done(&reader));
	close(fd[0]);
	close(fd[1]);
	region_drop(&r);
	free(reader.back);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* A full connection: SO_SNDTIMEO, a signal, and what poll() says. */
TEST(full_connection)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct itimerval soon = { .it_value.tv_usec = 100000 };
	struct timeval limit = { .tv_usec = 50000 };
	struct pollfd poller;
	struct region r;
	ssize_t n, sum;
	int fd[2];

	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, fd));
	ASSERT_EQ(0, region_make(&r, 4096 * PAGE));
	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));

	ASSERT_EQ(0, setsockopt(fd[1], SOL_SOCKET, SO_SNDTIMEO, &limit,
				sizeof(limit)));
	sum = send(fd[1], r.p, r.length, 0);
	ASSERT_GT(sum, 0);
	ASSERT_LT(sum, (ssize_t)r.length);
	/* the receiver's buffer may grow for a while */
	while ((n = send(fd[1], r.p, r.length, 0)) > 0)
		sum += n;
	EXPECT_EQ(-1, n);
	EXPECT_EQ(EAGAIN, errno);

	limit.tv_usec = 0;
	ASSERT_EQ(0, setsockopt(fd[1], SOL_SOCKET, SO_SNDTIMEO, &limit,
				sizeof(limit)));
	do {
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
		n = send(fd[1], r.p, r.length, 0);
		sum += n > 0 ? n : 0;
	} while (n > 0);
	EXPECT_EQ(-1, n);
	EXPECT_EQ(EINTR, errno);

	poller = (struct pollfd){ .fd = fd[1], .events = POLLOUT };
	EXPECT_EQ(0, poll(&poller, 1, 0));
	while (sum > 0) {
		n = recv(fd[0], r.p, r.length, 0);
		ASSERT_GT(n, 0);
		sum -= n;
	}
	EXPECT_EQ(1, poll(&poller, 1, 20000));
	EXPECT_EQ(POLLOUT, poller.revents);
	close(fd[0]);
	close(fd[1]);
	region_drop(&r);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* What was sent before the peer's reset is told first, then the error. */
TEST(ends)
{
	struct linger reset = { .l_onoff = 1 };
	struct region r;
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, region_make(&r, REGION));

	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, fd));
	ASSERT_EQ(0, shutdown(fd[1], SHUT_WR));
	EXPECT_EQ(-1, send(fd[1], r.p, REGION, 0));
	EXPECT_EQ(EPIPE, errno);
	EXPECT_EQ(0, recv(fd[0], r.p, REGION, 0));
	/* the other direction goes on */
	EXPECT_EQ(REGION, send(fd[0], r.p, REGION, 0));
	EXPECT_EQ(REGION, recv(fd[1], r.p, REGION, MSG_WAITALL));
	/* and what said that this one has ended was no message */
	EXPECT_EQ(0, sock_stats(fd[0]).rx_msgs);
	EXPECT_EQ(1, sock_stats(fd[1]).rx_msgs);
	close(fd[0]);
	close(fd[1]);

	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, fd));
	ASSERT_EQ(0, setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &reset,
				sizeof(reset)));
	close(fd[0]);
	EXPECT_EQ(-1, send(fd[1], r.p, REGION, 0));
	EXPECT_EQ(ECONNRESET, errno);
	EXPECT_EQ(-1, send(fd[1], r.p, REGION, 0));
	EXPECT_EQ(EPIPE, errno);
	close(fd[1]);
	region_drop(&r);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* SIGPIPE once, and none with MSG_NOSIGNAL. */
TEST(sigpipe)
{
	struct region r;
	int fd[2], status;
	pid_t pid;

	ASSERT_EQ(0, region_make(&r, REGION));
	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, fd));
	ASSERT_EQ(0, shutdown(fd[1], SHUT_WR));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		if (send(fd[1], r.p, REGION, MSG_NOSIGNAL) == -1 && errno == EPIPE)
			send(fd[1], r.p, REGION, 0);
		_exit(1);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGPIPE, WTERMSIG(status));
	close(fd[0]);
	close(fd[1]);
	region_drop(&r);
}

/* A sender killed in the middle of a long call leaves no frame behind. */
TEST(killed_sender)
{
	struct region r;
	int fd[2];
	pid_t pid;

	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, fd));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (!region_make(&r, 4096 * PAGE))
			while (send(fd[1], r.p, r.length, 0) > 0)
				;
		_exit(1);
	}
	close(fd[1]);
	/* it has begun, and soon waits */
	ASSERT_EQ(1, recv(fd[0], &(char){ 0 }, 1, 0));
	sleep_ms(50);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	close(fd[0]);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* An accepted socket is one of ours, with the listener's copybreak. */
TEST(accepted)
{
	socklen_t length, size = sizeof(int);
	int listener, fd, peer, value = 0;
	union address at;

	listener = tcp_listen_on_loopback(AF_SNAP, AF_INET, &at, &length);
	ASSERT_GE(listener, 0);
	ASSERT_EQ(0, set_copybreak(listener, 12345));
	peer = tcp_socket(AF_INET, AF_INET);
	ASSERT_GE(peer, 0);
	ASSERT_EQ(0, connect(peer, &at.sa, length));
	fd = accept(listener, NULL, NULL);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, getsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &value, &size));
	EXPECT_EQ(12345, value);
	EXPECT_EQ(sizeof(struct snap_sock_stats), sock_stats(fd).size);
	close(fd);
	close(peer);
	close(listener);
}

/* It would replace the socket's operations, and with them the counts. */
TEST(no_upper_protocol)
{
	int fd[2];

	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, fd));
	EXPECT_EQ(-1, setsockopt(fd[1], IPPROTO_TCP, TCP_ULP, "tls", 3));
	EXPECT_EQ(ENOPROTOOPT, errno);
	close(fd[0]);
	close(fd[1]);
}

TEST_HARNESS_MAIN
