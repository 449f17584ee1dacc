// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams are TCP, the second half: how bytes go in and come out.  See
 * conf_stream.c for connections.
 *
 * Machines: auto-2 debug
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "conf_stream.h"

static bool readable(int fd, int ms)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	return poll(&poller, 1, ms) == 1;
}

/* ---- Receiving ---------------------------------------------------------- */

TEST_F(tcp, peek)
{
	int offset = 10;

	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(PAGE, send(self->tx, self->p, PAGE, 0));
	ASSERT_TRUE(becomes_readable(self->rx, PAGE));
	EXPECT_EQ(100, recv(self->rx, self->back, 100, MSG_PEEK));
	EXPECT_EQ(-1, differs_stream(self->back, 100, 0));
	EXPECT_EQ(PAGE, recv(self->rx, self->back, LENGTH, MSG_PEEK));
	EXPECT_EQ(-1, differs_stream(self->back, PAGE, 0));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_PEEK_OFF, &offset,
				sizeof(offset)));
	EXPECT_EQ(10, recv(self->rx, self->back, 10, MSG_PEEK));
	EXPECT_EQ(-1, differs_stream(self->back, 10, 10));
	EXPECT_EQ(10, recv(self->rx, self->back, 10, MSG_PEEK));
	EXPECT_EQ(-1, differs_stream(self->back, 10, 20));
	ASSERT_TRUE(becomes_readable(self->rx, PAGE));
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, PAGE));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1,
				       MSG_PEEK | MSG_DONTWAIT)));
}

/* TCP throws away what MSG_TRUNC receives, and says how much that was. */
TEST_F(tcp, trunc)
{
	fill_stream(self->p, LENGTH, 0);
	memset(self->back, 1, LENGTH);
	ASSERT_EQ(PAGE, send(self->tx, self->p, PAGE, 0));
	ASSERT_TRUE(becomes_readable(self->rx, PAGE));
	EXPECT_EQ(500, recv(self->rx, self->back, 500, MSG_PEEK | MSG_TRUNC));
	EXPECT_EQ(1, self->back[0]);
	EXPECT_EQ(1000, recv(self->rx, NULL, 1000, MSG_TRUNC));
	EXPECT_TRUE(comes_out(self->rx, self->back, 1000, PAGE - 1000));
}

TEST_F(tcp, small_buffer)
{
	uint64_t at = 0;

	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(PAGE + 3, send(self->tx, self->p, PAGE + 3, 0));
	ASSERT_EQ(0, shutdown(self->tx, SHUT_WR));
	while (at < PAGE + 3) {
		ssize_t n = recv(self->rx, self->back, 7, 0);

		ASSERT_GT(n, 0);
		ASSERT_EQ(-1, differs_stream(self->back, n, at));
		at += n;
	}
	EXPECT_EQ(0, recv(self->rx, self->back, 7, 0));
}

TEST_F(tcp, rcvlowat)
{
	int low = 2000;

	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_RCVLOWAT, &low,
				sizeof(low)));
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(1000, send(self->tx, self->p, 1000, 0));
	ASSERT_TRUE(becomes_readable(self->rx, 1000));
	EXPECT_FALSE(readable(self->rx, 0));
	ASSERT_EQ(1000, send(self->tx, self->p + 1000, 1000, 0));
	EXPECT_TRUE(readable(self->rx, PATIENCE));
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, 2000));
}

/* A call that has everything waits for nothing; others give up as asked. */
TEST_F(tcp, waiting)
{
	struct reader reader = {
		.fd = self->rx, .back = self->back, .length = 3 * PAGE,
	};
	struct iovec iov[] = { { self->back, 10 }, { self->back + 10, PAGE } };
	size_t i;

	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
	ASSERT_EQ(0, set_timeout(self->rx, 20));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, 0)));
	EXPECT_EQ(0, recv(self->rx, self->back, 0, 0));
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(1000, send(self->tx, self->p, 1000, 0));
	ASSERT_TRUE(becomes_readable(self->rx, 1000));
	/* what came within the time limit */
	EXPECT_EQ(1000, recv(self->rx, self->back, PAGE, MSG_WAITALL));
	EXPECT_EQ(-1, differs_stream(self->back, 1000, 0));
	ASSERT_EQ(0, set_timeout(self->rx, PATIENCE));

	ASSERT_EQ(0, reader_start(&reader));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(PAGE, send(self->tx, self->p + i * PAGE, PAGE, 0));
	EXPECT_TRUE(reader_done(&reader));
	ASSERT_EQ(PAGE + 10, send(self->tx, self->p, PAGE + 10, 0));
	ASSERT_TRUE(becomes_readable(self->rx, PAGE + 10));
	EXPECT_EQ(PAGE + 10, readv(self->rx, iov, 2));
	EXPECT_EQ(-1, differs_stream(self->back, PAGE + 10, 0));
}

/* Bad buffers, on both sides, cost neither bytes nor the connection. */
TEST_F(tcp, bad_buffers)
{
	char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	struct iovec iov[] = { { self->p, 100 }, { none, 100 } };

	ASSERT_NE(MAP_FAILED, none);
	fill_stream(self->p, LENGTH, 0);
	EXPECT_EQ(EFAULT, outcome(send(self->tx, none, 100, 0)));
	EXPECT_EQ(EFAULT, outcome(send(self->tx, none, PAGE, 0)));
	/* nothing, or what came before the hole */
	EXPECT_TRUE(writev(self->tx, iov, 2) == 100 || errno == EFAULT);
	ASSERT_EQ(0, shutdown(self->tx, SHUT_WR));
	if (readable(self->rx, PATIENCE) &&
	    recv(self->rx, self->back, 1, MSG_PEEK) == 1) {
		EXPECT_EQ(EFAULT, outcome(recv(self->rx, none, 100, 0)));
		EXPECT_TRUE(comes_out(self->rx, self->back, 0, 100));
	}
	EXPECT_EQ(0, recv(self->rx, self->back, 1, 0));

	ASSERT_EQ(PAGE, send(self->rx, self->p, PAGE, 0));
	EXPECT_EQ(EFAULT, outcome(recv(self->tx, none, PAGE, MSG_WAITALL)));
	EXPECT_TRUE(comes_out(self->tx, self->back, 0, PAGE));
	munmap(none, PAGE);
}

/* ---- Sending ------------------------------------------------------------ */

/* Longer than both buffers, so that it goes as the reader comes along. */
TEST_F(tcp, big)
{
	struct reader reader = {
		.fd = self->rx, .back = self->back, .length = 4 * LENGTH,
	};
	struct iovec iov[4];
	int small = 20000, i;
	char *big;

	setsockopt(self->tx, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	region_drop(&self->r);
	ASSERT_EQ(0, memory_make(&self->r, 4 * LENGTH, variant->region));
	self->p = self->r.p;
	big = self->p;
	fill_stream(big, 4 * LENGTH, 0);
	ASSERT_EQ(0, reader_start(&reader));
	EXPECT_EQ(4 * LENGTH, send(self->tx, big, 4 * LENGTH, 0));
	EXPECT_TRUE(reader_done(&reader));

	for (i = 0; i < 4; i++)
		iov[i] = (struct iovec){ big + i * LENGTH, LENGTH };
	ASSERT_EQ(0, reader_start(&reader));
	EXPECT_EQ(4 * LENGTH, writev(self->tx, iov, 4));
	EXPECT_TRUE(reader_done(&reader));
}

/* Until nothing goes in; then it is all there, and there is room again. */
TEST_F(tcp, backpressure)
{
	struct pollfd poller = { .fd = self->tx, .events = POLLOUT };
	uint64_t at = 0, end = now_ms() + PATIENCE;
	int queued = 0;
	ssize_t n;

	do {
		fill_stream(self->p, LENGTH, at);
		n = send(self->tx, self->p, LENGTH, MSG_DONTWAIT);
		if (n > 0)
			at += n;
	} while (n > 0);
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, poll(&poller, 1, 0));
	ASSERT_EQ(0, ioctl(self->tx, SIOCOUTQ, &queued));
	EXPECT_GT(queued, 0);
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, at));
	EXPECT_EQ(1, poll(&poller, 1, PATIENCE));
	do {
		ASSERT_EQ(0, ioctl(self->tx, SIOCOUTQ, &queued));
	} while (queued && now_ms() < end);
	EXPECT_EQ(0, queued);
	ASSERT_EQ(0, ioctl(self->tx, SIOCOUTQNSD, &queued));
	EXPECT_EQ(0, queued);
}

/* Switches to another thread that a call with eight full buffers waits for. */
static long switches(int domain, int family, char *p)
{
	int fd[2], on = 1, small = 1;
	struct rusage before, after;

	if (tcp_pair(domain, family, fd))
		return -1;
	if (domain == AF_SNAP)
		set_copybreak(fd[1], 0);
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(fd[0], IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
	getrusage(RUSAGE_THREAD, &before);
	if (send(fd[1], p, 8 * PAGE, 0) != 8 * PAGE)
		before.ru_nvcsw = LONG_MAX;
	getrusage(RUSAGE_THREAD, &after);
	close(fd[0]);
	close(fd[1]);
	return after.ru_nvcsw - before.ru_nvcsw;
}

/*
 * When the peer acknowledges at once, on the same processor, there is room
 * before the sender has to sleep for it.
 */
TEST_F(tcp, room_at_once)
{
	long n = -1;
	cpu_set_t one;
	int try;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	fill_stream(self->p, LENGTH, 0);
	/* the answer may be left to a thread of the kernel now and then */
	for (try = 0; try < 20 && n; try++)
		n = switches(variant->domain, variant->family, self->p);
	EXPECT_EQ(0, n);
}

/* A short count is no reason to keep back what went in: not one byte. */
TEST_F(tcp, short_counts_are_sent)
{
	char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	struct iovec iov[] = { { self->p, 5 * PAGE }, { none, PAGE } };
	int fd[2], on = 1, small = 8192, left = -1;
	ssize_t n;

	ASSERT_NE(MAP_FAILED, none);
	/* from a region a bad buffer costs nothing of the one before */
	n = writev(self->tx, iov, 2);
	if (variant->region)
		EXPECT_EQ(5 * PAGE, n);
	ASSERT_EQ(0, ioctl(self->tx, SIOCOUTQNSD, &left));
	EXPECT_EQ(0, left);
	munmap(none, PAGE);

	/* a full buffer is sent even if it is corked: what else would empty it? */
	ASSERT_EQ(0, tcp_pair(variant->domain, variant->family, fd));
	if (variant->region)
		ASSERT_EQ(0, set_copybreak(fd[1], 0));
	ASSERT_EQ(0, setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)));
	ASSERT_EQ(0, setsockopt(fd[1], IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
	n = send(fd[1], self->p, 16 * PAGE, MSG_DONTWAIT);
	EXPECT_GT(n, 0);
	EXPECT_LT(n, 16 * PAGE);
	ASSERT_EQ(0, ioctl(fd[1], SIOCOUTQNSD, &left));
	EXPECT_EQ(0, left);
	close(fd[0]);
	close(fd[1]);
}

/* A time limit ends a call with what went in, and the next one with EAGAIN. */
TEST_F(tcp, send_timeout)
{
	struct timeval limit = { .tv_usec = 20000 };
	struct iovec iov[8];
	uint64_t at = 0;
	ssize_t n;
	int i;

	fill_stream(self->p, LENGTH, 0);
	for (i = 0; i < 8; i++)
		iov[i] = (struct iovec){ self->p, LENGTH };
	ASSERT_EQ(0, setsockopt(self->tx, SOL_SOCKET, SO_SNDTIMEO, &limit,
				sizeof(limit)));
	while ((n = writev(self->tx, iov, 8)) > 0)
		at += n;
	EXPECT_EQ(EAGAIN, outcome(n));
	/* the same bytes came again and again */
	while (at) {
		size_t part = at < LENGTH ? at : LENGTH;

		n = recv(self->rx, self->back, part, MSG_WAITALL);
		ASSERT_GT(n, 0);
		at -= n;
	}
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
}

TEST_F(tcp, many_messages)
{
	struct mmsghdr msgs[8];
	struct iovec iov[8];
	int i;

	fill_stream(self->p, LENGTH, 0);
	memset(msgs, 0, sizeof(msgs));
	for (i = 0; i < 8; i++) {
		iov[i] = (struct iovec){ self->p + i * PAGE, PAGE };
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	ASSERT_EQ(8, sendmmsg(self->tx, msgs, 8, 0));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(PAGE, msgs[i].msg_len);
		iov[i].iov_base = self->back + i * PAGE;
	}
	ASSERT_EQ(8, recvmmsg(self->rx, msgs, 8, MSG_WAITALL, NULL));
	EXPECT_EQ(-1, differs_stream(self->back, 8 * PAGE, 0));
	EXPECT_EQ(EMSGSIZE, outcome(sendmsg(self->tx, &(struct msghdr){
		.msg_iov = iov, .msg_iovlen = 1025 }, 0)));
	EXPECT_EQ(0, send(self->tx, self->p, 0, 0));
}

/* MSG_EOR means nothing, an address is not looked at. */
TEST_F(tcp, ignored)
{
	union address at;
	socklen_t length = address_set(&at, variant->family,
				       variant->family == AF_INET6 ? "::2" :
				       "127.0.0.2", 9);

	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(PAGE, send(self->tx, self->p, PAGE, MSG_EOR));
	ASSERT_EQ(PAGE, sendto(self->tx, self->p + PAGE, PAGE, 0, &at.sa,
			       length));
	memset(&at, 0, sizeof(at));
	length = sizeof(at);
	ASSERT_EQ(2 * PAGE, recvfrom(self->rx, self->back, 2 * PAGE, MSG_WAITALL,
				     &at.sa, &length));
	EXPECT_EQ(0, at.sa.sa_family);
	EXPECT_EQ(-1, differs_stream(self->back, 2 * PAGE, 0));
}

static unsigned int segments_out(int fd)
{
	return tcp_info_of(fd).tcpi_data_segs_out;
}

/*
 * Three short sends as one segment: by MSG_MORE or by TCP_CORK.  TCP waits 200
 * ms for more, so a try that took longer does not count.
 */
static unsigned int segments_of_three(int fd, char *p, bool cork)
{
	int try, i, on = 1, off = 0, more = cork ? 0 : MSG_MORE;
	unsigned int segments = 0;

	for (try = 0; try < 50; try++) {
		unsigned int before = segments_out(fd);
		uint64_t start = now_ms();

		if (cork)
			setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
		for (i = 0; i < 3; i++)
			if (send(fd, p, 100, i < 2 ? more : 0) != 100)
				return 0;
		if (cork)
			setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
		segments = segments_out(fd) - before;
		if (now_ms() - start < 100)
			break;
	}
	return segments;
}

TEST_F(tcp, more)
{
	int on = 1;

	ASSERT_EQ(0, setsockopt(self->tx, IPPROTO_TCP, TCP_NODELAY, &on,
				sizeof(on)));
	EXPECT_EQ(1, segments_of_three(self->tx, self->p, false));
	EXPECT_EQ(1, segments_of_three(self->tx, self->p, true));
	/* and without them TCP_NODELAY makes three */
	on = segments_out(self->tx);
	ASSERT_EQ(100, send(self->tx, self->p, 100, 0));
	ASSERT_EQ(100, send(self->tx, self->p, 100, 0));
	ASSERT_EQ(100, send(self->tx, self->p, 100, 0));
	EXPECT_EQ(3, segments_out(self->tx) - on);
}

/* ---- Out of band -------------------------------------------------------- */

static volatile sig_atomic_t urgent;

static void on_urgent(int signal)
{
	urgent++;
}

TEST_F(tcp, out_of_band)
{
	struct pollfd poller = { .fd = self->rx, .events = POLLPRI };
	uint64_t end = now_ms() + PATIENCE;
	int at_mark = -1;
	char c = 0;

	signal(SIGURG, on_urgent);
	ASSERT_EQ(0, fcntl(self->rx, F_SETOWN, getpid()));
	EXPECT_EQ(EINVAL, outcome(recv(self->rx, &c, 1, MSG_OOB)));
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(100, send(self->tx, self->p, 100, 0));
	ASSERT_EQ(PAGE, send(self->tx, self->p + 100, PAGE, MSG_OOB));
	while ((poll(&poller, 1, 100) < 1 || !urgent) && now_ms() < end)
		;
	EXPECT_EQ(1, urgent);
	EXPECT_EQ(POLLPRI, poller.revents);
	EXPECT_EQ(1, recv(self->rx, &c, 1, MSG_OOB));
	EXPECT_EQ(self->p[100 + PAGE - 1], c);
	ASSERT_EQ(0, ioctl(self->rx, SIOCATMARK, &at_mark));
	EXPECT_EQ(0, at_mark);
	/* the last byte was the urgent one, and is not in the stream */
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, 100 + PAGE - 1));
	ASSERT_EQ(0, ioctl(self->rx, SIOCATMARK, &at_mark));
	EXPECT_EQ(1, at_mark);
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, &c, 1, MSG_DONTWAIT)));
}

TEST_F(tcp, out_of_band_inline)
{
	int on = 1, at_mark = -1;

	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_OOBINLINE, &on,
				sizeof(on)));
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(100, send(self->tx, self->p, 100, 0));
	ASSERT_EQ(1, send(self->tx, self->p + 100, 1, MSG_OOB));
	ASSERT_EQ(100, send(self->tx, self->p + 101, 100, 0));
	ASSERT_TRUE(becomes_readable(self->rx, 201));
	EXPECT_EQ(EINVAL, outcome(recv(self->rx, self->back, 1, MSG_OOB)));
	/* reading stops at the mark */
	EXPECT_EQ(100, recv(self->rx, self->back, LENGTH, 0));
	ASSERT_EQ(0, ioctl(self->rx, SIOCATMARK, &at_mark));
	EXPECT_EQ(1, at_mark);
	EXPECT_EQ(101, recv(self->rx, self->back + 100, LENGTH - 100, 0));
	EXPECT_EQ(-1, differs_stream(self->back, 201, 0));
}

/* ---- Pages in and out --------------------------------------------------- */

/* A file's pages go in, a pipe's as well, and pages come out into a pipe. */
TEST_F(tcp, splice)
{
	int file = memfd_create("conf", 0), pipefd[2];
	size_t done = 0, length = 8 * PAGE + 100;
	off_t offset = 0;
	loff_t at = 0;

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_GE(file, 0);
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ((ssize_t)length, write(file, self->p, length));
	ASSERT_EQ((ssize_t)length, sendfile(self->tx, file, &offset, length));
	EXPECT_EQ(length, offset);
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, length));

	ASSERT_EQ((ssize_t)length, splice(file, &at, pipefd[1], NULL, length, 0));
	ASSERT_EQ((ssize_t)length, splice(pipefd[0], NULL, self->tx, NULL,
					  length, SPLICE_F_MORE));
	ASSERT_EQ(0, shutdown(self->tx, SHUT_WR));
	while (done < length) {
		ssize_t n = splice(self->rx, NULL, pipefd[1], NULL,
				   length - done, 0);

		ASSERT_GT(n, 0);
		ASSERT_EQ(n, read(pipefd[0], self->back + done, n));
		done += n;
	}
	EXPECT_EQ(-1, differs_stream(self->back, length, 0));
	EXPECT_EQ(0, splice(self->rx, NULL, pipefd[1], NULL, 1, 0));
	close(pipefd[0]);
	close(pipefd[1]);
	close(file);
}

/* What came by reference goes on to another stream without being touched. */
TEST_F(tcp, splice_between)
{
	size_t length = 16 * PAGE, done = 0;
	int fd[2], pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, tcp_pair(variant->domain, variant->family, fd));
	ASSERT_EQ(0, set_timeout(fd[0], PATIENCE));
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ((ssize_t)length, send(self->tx, self->p, length, 0));
	memset(self->p, POISON, LENGTH);
	while (done < length) {
		ssize_t n = splice(self->rx, NULL, pipefd[1], NULL,
				   length - done, 0);

		ASSERT_GT(n, 0);
		ASSERT_EQ(n, splice(pipefd[0], NULL, fd[1], NULL, n, 0));
		done += n;
	}
	EXPECT_TRUE(comes_out(fd[0], self->back, 0, length));
	close(fd[0]);
	close(fd[1]);
	close(pipefd[0]);
	close(pipefd[1]);
}

/* ---- Through the device ------------------------------------------------- */

/* The host sends it all back, as it would to any TCP socket. */
TEST_F(tcp, by_device)
{
	int fd = tcp_socket(variant->domain, variant->family), mark = 1;
	struct reader reader = { .length = 4 * LENGTH, .back = self->back };
	union address at;
	socklen_t length;
	int i;

	if (!host_stream_port())
		SKIP(return, "no peer on the host");
	if (variant->region)
		ASSERT_EQ(0, set_copybreak(fd, 0));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, NETDEV,
				strlen(NETDEV)));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)));
	ASSERT_EQ(0, set_timeout(fd, PATIENCE));
	length = address_set(&at, variant->family,
			     host_on(NETDEV, variant->family), host_stream_port());
	ASSERT_EQ(0, connect(fd, &at.sa, length));
	reader.fd = fd;
	ASSERT_EQ(0, reader_start(&reader));
	for (i = 0; i < 4; i++) {
		fill_stream(self->p, LENGTH, i * LENGTH);
		EXPECT_EQ(LENGTH, send(fd, self->p, LENGTH, 0));
	}
	memset(self->p, POISON, LENGTH);
	ASSERT_EQ(0, shutdown(fd, SHUT_WR));
	EXPECT_TRUE(reader_done(&reader));
	EXPECT_EQ(0, recv(fd, self->back, 1, 0));
	close(fd);
}

TEST_HARNESS_MAIN
