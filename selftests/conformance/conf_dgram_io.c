// SPDX-License-Identifier: GPL-2.0-only
/*
 * Datagrams are UDP, the second part: how bytes go in and come out, here and by
 * way of the host.
 *
 * Machines: share-2 copy-2 debug newest
 * Paths: *
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <linux/sockios.h>

#include "conf_dgram_path.h"

#ifndef MSG_PROBE
#define MSG_PROBE	0x10	/* of the kernel: send nothing */
#endif

static size_t longest(int family)
{
	return family == AF_INET6 ? 65527 : 65507;
}

/* ---- Bounds ------------------------------------------------------------- */

/* Each comes as it was sent, and went as it had to. */
TEST_F(udp, bounds)
{
	static const size_t lengths[] = {
		1, 100, 1400, PAGE - 1, PAGE, PAGE + 1, 8192, 20000, 60000,
	};
	const size_t n = sizeof(lengths) / sizeof(*lengths);
	struct snap_sock_stats stats;
	size_t i;

	for (i = 0; i < n; i++)
		ASSERT_EQ((ssize_t)lengths[i],
			  post(self->tx, self->p + 13 * i, lengths[i], i, 0));
	for (i = 0; i < n; i++) {
		EXPECT_TRUE(arrives(self->rx, self->back, lengths[i], i)) {
			TH_LOG("length %zu", lengths[i]);
		}
	}
	if (variant->domain != AF_SNAP)
		return;
	stats = sock_stats(self->tx);
	if (!variant->region) {
		EXPECT_EQ(n, stats.tx_copied_msgs);
	} else if (!strcmp(variant->netdev, VIRTIO_NETDEV)) {
		EXPECT_EQ(n, stats.copied_msgs[SNAP_COPY_ROUTE]);
	} else {
		EXPECT_EQ(n, stats.tx_ref_msgs);
		EXPECT_EQ(0, stats.tx_copied_msgs);
	}
}

TEST_F(udp, empty)
{
	struct msghdr nothing = { 0 };
	int bytes = -1, i;

	EXPECT_EQ(0, send(self->tx, self->p, 0, 0));
	EXPECT_EQ(0, send(self->tx, NULL, 0, 0));
	EXPECT_EQ(0, sendmsg(self->tx, &nothing, 0));
	EXPECT_EQ(100, post(self->tx, self->p, 100, 1, 0));
	EXPECT_EQ(POLLIN, events_until(self->rx, POLLIN) & POLLIN);
	ASSERT_EQ(0, ioctl(self->rx, SIOCINQ, &bytes));
	EXPECT_EQ(0, bytes);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, recv(self->rx, self->back, LENGTH, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 100, 1));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
}

TEST_F(udp, too_long)
{
	size_t most = longest(variant->family);

	EXPECT_EQ(EMSGSIZE, outcome(post(self->tx, self->p, most + 1, 1, 0)));
	EXPECT_EQ(EMSGSIZE, outcome(post(self->tx, self->p, 65535, 1, 0)));
	EXPECT_EQ(EMSGSIZE, outcome(post(self->tx, self->p, 65536, 1, 0)));
	EXPECT_EQ(EMSGSIZE, outcome(post(self->tx, self->p, LENGTH, 1, 0)));
	EXPECT_EQ(EMSGSIZE, outcome(post_to(self->tx, self->p, most + 1, 1,
					    &self->peer, self->length)));
	ASSERT_EQ((ssize_t)most, post(self->tx, self->p, most, 2, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, most, 2));
	EXPECT_EQ(0, so_error(self->tx));
}

/* To an address in the call, by a socket without a peer. */
TEST_F(udp, unconnected)
{
	int fd = socket_like(variant);
	int lands = self->rx == self->tx ? fd : self->rx;
	union address from;
	socklen_t length = sizeof(from);

	ASSERT_EQ(9000, post_to(fd, self->p, 9000, 1, &self->peer,
				self->length));
	ASSERT_EQ(9000, recvfrom(lands, self->back, LENGTH, 0, &from.sa,
				 &length));
	EXPECT_EQ(-1, differs(self->back, 9000, 1));
	EXPECT_EQ(self->length, length);
	EXPECT_EQ(variant->family, from.sa.sa_family);
	/* and the address that it came with leads back */
	ASSERT_EQ(9000, post_to(lands, self->p, 9000, 2, &from, length));
	length = 4;
	memset(&from, 0, sizeof(from));
	ASSERT_EQ(9000, recvfrom(fd, self->back, LENGTH, 0, &from.sa, &length));
	EXPECT_EQ(-1, differs(self->back, 9000, 2));
	EXPECT_EQ(self->peer.in.sin_port, from.in.sin_port);
	EXPECT_EQ(0, from.in6.sin6_flowinfo);
	EXPECT_EQ(self->length, length);
	close(fd);
}

/* ---- Receiving ---------------------------------------------------------- */

TEST_F(udp, peek)
{
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	ASSERT_EQ(500, post(self->tx, self->p, 500, 2, 0));
	EXPECT_EQ(100, recv(self->rx, self->back, 100, MSG_PEEK));
	EXPECT_EQ(-1, differs(self->back, 100, 1));
	EXPECT_EQ(9000, recv(self->rx, self->back, LENGTH, MSG_PEEK));
	EXPECT_EQ(-1, differs(self->back, 9000, 1));
	EXPECT_EQ(9000, recv(self->rx, NULL, 0, MSG_PEEK | MSG_TRUNC));
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 1));
	EXPECT_EQ(500, recv(self->rx, self->back, LENGTH, MSG_PEEK));
	EXPECT_TRUE(arrives(self->rx, self->back, 500, 2));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1,
				       MSG_PEEK | MSG_DONTWAIT)));
}

TEST_F(udp, peek_offset)
{
	char whole[100];

	fill(whole, sizeof(whole), 1);
	ASSERT_EQ(0, set_option(self->rx, SOL_SOCKET, SO_PEEK_OFF, 10));
	ASSERT_EQ(100, post(self->tx, self->p, 100, 1, 0));
	ASSERT_EQ(500, post(self->tx, self->p, 500, 2, 0));
	EXPECT_EQ(30, recv(self->rx, self->back, 30, MSG_PEEK));
	EXPECT_EQ(0, memcmp(self->back, whole + 10, 30));
	EXPECT_EQ(60, recv(self->rx, self->back, LENGTH, MSG_PEEK));
	EXPECT_EQ(0, memcmp(self->back, whole + 40, 60));
	EXPECT_EQ(100, option(self->rx, SOL_SOCKET, SO_PEEK_OFF));
	/* past the end of one is the beginning of the next */
	EXPECT_EQ(500, recv(self->rx, self->back, LENGTH, MSG_PEEK));
	EXPECT_EQ(-1, differs(self->back, 500, 2));
	EXPECT_TRUE(arrives(self->rx, self->back, 100, 1));
	EXPECT_EQ(500, option(self->rx, SOL_SOCKET, SO_PEEK_OFF));
	EXPECT_TRUE(arrives(self->rx, self->back, 500, 2));
}

/* What does not fit is lost, and the flag says so. */
TEST_F(udp, trunc)
{
	struct iovec iov = { self->back, 100 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(9000, post(self->tx, self->p, 9000, i, 0));
	ASSERT_EQ(100, recvmsg(self->rx, &msg, 0));
	EXPECT_EQ(MSG_TRUNC, msg.msg_flags);
	EXPECT_EQ(-1, differs(self->back, 100, 0));
	ASSERT_EQ(9000, recvmsg(self->rx, &msg, MSG_TRUNC));
	EXPECT_EQ(MSG_TRUNC, msg.msg_flags);
	EXPECT_EQ(-1, differs(self->back, 100, 1));
	ASSERT_EQ(9000, recv(self->rx, NULL, 0, MSG_TRUNC));
	iov.iov_len = 9000;
	ASSERT_EQ(9000, recvmsg(self->rx, &msg, MSG_TRUNC));
	EXPECT_EQ(0, msg.msg_flags);
	EXPECT_EQ(-1, differs(self->back, 9000, 3));
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
	alarms++;
}

/* A call waits for one datagram, unless it was asked not to, or for so long. */
TEST_F(udp, waiting)
{
	struct itimerval often = { { .tv_usec = 5000 }, { .tv_usec = 5000 } };
	struct sigaction action = { .sa_handler = on_alarm };

	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, NULL, 0, MSG_DONTWAIT)));
	ASSERT_EQ(0, fcntl(self->rx, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_WAITALL)));
	ASSERT_EQ(0, fcntl(self->rx, F_SETFL, 0));
	ASSERT_EQ(0, set_timeout(self->rx, 20));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_WAITALL)));
	ASSERT_EQ(0, set_timeout(self->rx, PATIENCE));

	/* MSG_WAITALL does not wait for a second one */
	ASSERT_EQ(100, post(self->tx, self->p, 100, 1, 0));
	ASSERT_EQ(200, post(self->tx, self->p, 200, 2, 0));
	EXPECT_EQ(100, recv(self->rx, self->back, LENGTH, MSG_WAITALL));
	EXPECT_EQ(-1, differs(self->back, 100, 1));
	EXPECT_EQ(200, read(self->rx, self->back, LENGTH));
	EXPECT_EQ(-1, differs(self->back, 200, 2));
	EXPECT_EQ(0, read(self->rx, self->back, 0));

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_EQ(EINTR, outcome(recv(self->rx, self->back, 1, 0)));
	memset(&often, 0, sizeof(often));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_GT(alarms, 0);
}

TEST_F(udp, queues)
{
	uint64_t end = now_ms() + PATIENCE;
	int bytes = -1;

	ASSERT_EQ(0, ioctl(self->rx, SIOCINQ, &bytes));
	EXPECT_EQ(0, bytes);
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	ASSERT_EQ(100, post(self->tx, self->p, 100, 2, 0));
	EXPECT_EQ(POLLIN | POLLOUT, events_until(self->rx, POLLIN));
	/* the length of the next one, not of all */
	ASSERT_EQ(0, ioctl(self->rx, SIOCINQ, &bytes));
	EXPECT_EQ(9000, bytes);
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 1));
	EXPECT_EQ(POLLIN | POLLOUT, events_until(self->rx, POLLIN));
	ASSERT_EQ(0, ioctl(self->rx, FIONREAD, &bytes));
	EXPECT_EQ(100, bytes);
	EXPECT_TRUE(arrives(self->rx, self->back, 100, 2));
	EXPECT_EQ(POLLOUT, events_until(self->rx, POLLOUT));

	ASSERT_EQ(1000, post(self->tx, self->p, 1000, 3, MSG_MORE));
	ASSERT_EQ(0, ioctl(self->tx, SIOCOUTQ, &bytes));
	EXPECT_GE(bytes, 1000);
	ASSERT_EQ(0, send(self->tx, NULL, 0, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 1000, 3));
	do {
		ASSERT_EQ(0, ioctl(self->tx, SIOCOUTQ, &bytes));
	} while (bytes && now_ms() < end);
	EXPECT_EQ(0, bytes);
	EXPECT_EQ(EFAULT, outcome(ioctl(self->rx, SIOCINQ, (void *)8)));
	EXPECT_EQ(ENOTTY, outcome(ioctl(self->rx, SIOCATMARK, &bytes)));
}

/* ---- Sending ------------------------------------------------------------ */

TEST_F(udp, flags)
{
	static const int plain[] = {
		MSG_CONFIRM, MSG_NOSIGNAL, MSG_DONTWAIT, MSG_EOR, MSG_DONTROUTE,
	};
	size_t i;

	for (i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		/* says that all is well, and sends nothing */
		EXPECT_EQ(9000, post(self->tx, self->p, 9000, 99, MSG_PROBE));
		EXPECT_EQ(9000, post(self->tx, self->p, 9000, i, plain[i]));
		EXPECT_TRUE(arrives(self->rx, self->back, 9000, i)) {
			TH_LOG("flags %#x", plain[i]);
		}
	}
	/* IPv4 refuses out-of-band data, IPv6 sends them like others */
	if (variant->family == AF_INET) {
		EXPECT_EQ(EOPNOTSUPP, outcome(send(self->tx, self->p, 9000,
						   MSG_OOB)));
		return;
	}
	EXPECT_EQ(9000, post(self->tx, self->p, 9000, 1, MSG_OOB));
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 1));
}

/* Three calls, one datagram: by MSG_MORE, or as long as UDP_CORK is on. */
static void three_as_one(struct __test_metadata *_metadata,
			 FIXTURE_DATA(udp) *self, bool cork)
{
	int more = cork ? 0 : MSG_MORE;

	if (cork)
		ASSERT_EQ(0, set_option(self->tx, SOL_UDP, UDP_CORK, 1));
	ASSERT_EQ(3000, post(self->tx, self->p, 3000, 1, more));
	ASSERT_EQ(10, post(self->tx, self->p + 100, 10, 2, more));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 3, 0));
	if (cork)
		ASSERT_EQ(0, set_option(self->tx, SOL_UDP, UDP_CORK, 0));
	ASSERT_EQ(12010, recv(self->rx, self->back, LENGTH, 0));
	EXPECT_EQ(-1, differs(self->back, 3000, 1));
	EXPECT_EQ(-1, differs(self->back + 3000, 10, 2));
	EXPECT_EQ(-1, differs(self->back + 3010, 9000, 3));
}

TEST_F(udp, more)
{
	three_as_one(_metadata, self, false);
	/* too long together: all of it is given up */
	ASSERT_EQ(60000, post(self->tx, self->p, 60000, 1, MSG_MORE));
	EXPECT_EQ(EMSGSIZE, outcome(post(self->tx, self->p, 9000, 2, 0)));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 3, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 3));
	/* and of what is not finished, nothing is sent */
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 4, MSG_MORE));
}

TEST_F(udp, cork)
{
	three_as_one(_metadata, self, true);
	ASSERT_EQ(0, set_option(self->tx, SOL_UDP, UDP_CORK, 1));
	ASSERT_EQ(0, set_option(self->tx, SOL_UDP, UDP_CORK, 0));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 3, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 3));
}

/* Buffers without bytes among those with some, and as many as there may be. */
TEST_F(udp, iovecs)
{
	struct iovec iov[1025];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 6 };
	size_t i;

	fill(self->p, 3 * PAGE, 1);
	iov[0] = (struct iovec){ NULL, 0 };
	iov[1] = (struct iovec){ self->p, 100 };
	iov[2] = (struct iovec){ self->p + PAGE, 0 };
	iov[3] = (struct iovec){ self->p + 100, 2 * PAGE };
	iov[4] = (struct iovec){ self->p + 100 + 2 * PAGE, PAGE - 100 };
	iov[5] = (struct iovec){ (void *)8, 0 };
	ASSERT_EQ(3 * PAGE, sendmsg(self->tx, &msg, 0));
	memset(self->p, POISON, 3 * PAGE);
	EXPECT_TRUE(arrives(self->rx, self->back, 3 * PAGE, 1));
	iov[1].iov_len = 0;
	msg.msg_iovlen = 3;
	ASSERT_EQ(0, sendmsg(self->tx, &msg, 0));
	EXPECT_EQ(0, recv(self->rx, self->back, LENGTH, 0));

	fill(self->p, 1024 * 50, 2);
	for (i = 0; i < 1025; i++)
		iov[i] = (struct iovec){ self->p + 50 * i, 50 };
	ASSERT_EQ(1024 * 50, writev(self->tx, iov, 1024));
	memset(self->p, POISON, 1024 * 50);
	for (i = 0; i < 1024; i++)
		iov[i].iov_base = self->back + 50 * i;
	ASSERT_EQ(1024 * 50, readv(self->rx, iov, 1024));
	EXPECT_EQ(-1, differs(self->back, 1024 * 50, 2));
	msg.msg_iovlen = 1025;
	EXPECT_EQ(EMSGSIZE, outcome(sendmsg(self->tx, &msg, 0)));
	EXPECT_EQ(EMSGSIZE, outcome(recvmsg(self->rx, &msg, 0)));
	iov[1].iov_len = -1;
	msg.msg_iovlen = 3;
	EXPECT_EQ(EINVAL, outcome(sendmsg(self->tx, &msg, 0)));
	EXPECT_EQ(EINVAL, outcome(recvmsg(self->rx, &msg, MSG_DONTWAIT)));
}

/* With a buffer that cannot be read, whichever it is, nothing is sent. */
TEST_F(udp, bad_buffers)
{
	struct iovec iov[] = {
		{ self->p, 2 * PAGE }, { self->p + 2 * PAGE, PAGE },
		{ self->p + 3 * PAGE, 100 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	char *hole = self->p + 2 * PAGE;

	fill(self->p, 4 * PAGE, 1);
	ASSERT_EQ(0, mprotect(hole, PAGE, PROT_NONE));
	EXPECT_EQ(EFAULT, outcome(send(self->tx, hole, 100, 0)));
	EXPECT_EQ(EFAULT, outcome(send(self->tx, hole - 1, 2, 0)));
	EXPECT_EQ(EFAULT, outcome(send(self->tx, self->p, 4 * PAGE, 0)));
	EXPECT_EQ(EFAULT, outcome(send(self->tx, (void *)8, 20000, 0)));
	EXPECT_EQ(EFAULT, outcome(sendmsg(self->tx, &msg, 0)));
	EXPECT_EQ(EFAULT, outcome(sendmsg(self->tx, &msg, MSG_MORE)));
	ASSERT_EQ(0, munmap(hole, PAGE));
	EXPECT_EQ(EFAULT, outcome(send(self->tx, self->p, 4 * PAGE, 0)));
	EXPECT_EQ(EFAULT, outcome(sendmsg(self->tx, &msg, 0)));
	EXPECT_EQ(EFAULT, outcome(sendmsg(self->tx, (void *)8, 0)));
	msg.msg_iov = (void *)8;
	EXPECT_EQ(EFAULT, outcome(sendmsg(self->tx, &msg, 0)));
	EXPECT_EQ(0, so_error(self->tx));
	ASSERT_EQ(PAGE, post(self->tx, self->p, PAGE, 2, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, PAGE, 2));
}

/* A datagram that could not be stored is lost, unless it was only looked at. */
TEST_F(udp, bad_receive_buffers)
{
	char *hole = self->back + PAGE;
	union address from;
	int i;

	for (i = 0; i < 5; i++)
		ASSERT_EQ(3 * PAGE, post(self->tx, self->p, 3 * PAGE, i, 0));
	ASSERT_EQ(0, mprotect(hole, PAGE, PROT_NONE));
	EXPECT_EQ(EFAULT, outcome(recv(self->rx, self->back, 3 * PAGE,
				       MSG_PEEK)));
	EXPECT_EQ(EFAULT, outcome(recv(self->rx, self->back, 3 * PAGE, 0)));
	EXPECT_EQ(PAGE, recv(self->rx, self->back, PAGE, 0));
	EXPECT_EQ(-1, differs(self->back, PAGE, 1));
	EXPECT_EQ(EFAULT, outcome(recvfrom(self->rx, self->back, PAGE, 0,
					   &from.sa, (void *)8)));
	EXPECT_EQ(EFAULT, outcome(recvmsg(self->rx, (void *)8, 0)));
	ASSERT_EQ(0, mprotect(hole, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(arrives(self->rx, self->back, 3 * PAGE, 3));
	EXPECT_TRUE(arrives(self->rx, self->back, 3 * PAGE, 4));
	EXPECT_EQ(0, so_error(self->rx));
}

/* A pipe's pages go in as one datagram, and come out into a pipe. */
TEST_F(udp, splice)
{
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	fill(self->p, 3 * PAGE, 1);
	ASSERT_EQ(3 * PAGE, write(pipefd[1], self->p, 3 * PAGE));
	memset(self->p, POISON, 3 * PAGE);
	ASSERT_EQ(3 * PAGE, splice(pipefd[0], NULL, self->tx, NULL, 3 * PAGE,
				   0));
	ASSERT_EQ(3 * PAGE, splice(self->rx, NULL, pipefd[1], NULL, LENGTH, 0));
	ASSERT_EQ(3 * PAGE, read(pipefd[0], self->back, LENGTH));
	EXPECT_EQ(-1, differs(self->back, 3 * PAGE, 1));
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_HARNESS_MAIN
