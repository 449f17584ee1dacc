// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls of an AF_SNAP socket, one by one, beside those of an ordinary UDP
 * socket, over IPv4 and IPv6, loopback and the device.  At the other end is
 * always an ordinary UDP socket that sends back what it gets: a child here on
 * loopback, a program on the host behind the device.
 *
 * Machines: copy-1 debug
 * Paths: thread-* main-*
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

FIXTURE(sock)
{
	int fd;			/* not bound, not connected */
	int echo;		/* pid, or 0 */
	union address peer;	/* the echo server */
	socklen_t peer_len;
	struct region r;	/* 64 KiB and more */
};

FIXTURE_VARIANT(sock)
{
	int domain;
	int family;
	bool device;
};

FIXTURE_VARIANT_ADD(sock, snap4_lo) {
	.domain = AF_SNAP, .family = AF_INET, .device = false,
};
FIXTURE_VARIANT_ADD(sock, snap6_lo) {
	.domain = AF_SNAP, .family = AF_INET6, .device = false,
};
FIXTURE_VARIANT_ADD(sock, snap4_dev) {
	.domain = AF_SNAP, .family = AF_INET, .device = true,
};
FIXTURE_VARIANT_ADD(sock, snap6_dev) {
	.domain = AF_SNAP, .family = AF_INET6, .device = true,
};
/* The control: what is asked of AF_SNAP is what UDP does. */
FIXTURE_VARIANT_ADD(sock, inet4_lo) {
	.domain = AF_INET, .family = AF_INET, .device = false,
};
FIXTURE_VARIANT_ADD(sock, inet6_dev) {
	.domain = AF_INET6, .family = AF_INET6, .device = true,
};

FIXTURE_SETUP(sock)
{
	int six = variant->family == AF_INET6;

	if (variant->device) {
		if (!host_echo_port())
			SKIP(return, "no echo server on the host");
		self->peer_len = address_set(&self->peer, variant->family,
					     six ? HOST6 : HOST4,
					     host_echo_port());
	} else {
		self->echo = echo_start(variant->family, &self->peer);
		ASSERT_GT(self->echo, 0);
		self->peer_len = six ? sizeof(self->peer.in6) :
				       sizeof(self->peer.in);
	}
	self->fd = udp_socket(variant->domain, variant->family);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, set_timeout(self->fd, 5000));
	ASSERT_EQ(0, region_make(&self->r, 17 * PAGE));
}

FIXTURE_TEARDOWN(sock)
{
	close(self->fd);
	region_drop(&self->r);
	echo_stop(self->echo);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

/* One datagram there and back from and to the region. */
static int round_trip(int fd, const union address *to, socklen_t to_len,
		      char *p, size_t length, unsigned int seed)
{
	static char back[65536];
	ssize_t n;

	fill(p, length, seed);
	n = sendto(fd, p, length, 0, to ? &to->sa : NULL, to_len);
	if (n < 0 || (size_t)n != length)
		return -1;
	memset(p, 0x33, length);
	n = recv(fd, back, sizeof(back), 0);
	if (n < 0 || (size_t)n != length)
		return -2;
	return differs(back, length, seed) < 0 ? 0 : -3;
}

TEST_F(sock, there_and_back)
{
	static const size_t lengths[] = {
		1, 100, 1400, 4096, 8191, 8192, 8193, 20000, 60000, 65000,
	};
	int ref = 5, sum = 8192 + 8193 + 20000 + 60000 + 65000;
	size_t i;

	/* the last is more than the MTU, and begins at an odd address */
	if (variant->domain == AF_SNAP && variant->device && !splice_sums_right()) {
		ref--;
		sum -= 65000;
	}
	for (i = 0; i < ARRAY_SIZE(lengths); i++)
		EXPECT_EQ(0, round_trip(self->fd, &self->peer, self->peer_len,
					self->r.p + i * 13, lengths[i], i))
			TH_LOG("length %zu: %s", lengths[i], strerror(errno));
	if (variant->domain == AF_SNAP) {
		struct snap_sock_stats s = sock_stats(self->fd);

		EXPECT_EQ(sizeof(s), s.size);
		EXPECT_EQ(ref, s.tx_ref_msgs);
		EXPECT_EQ(sum, s.tx_ref_bytes);
		EXPECT_EQ(5, s.copied_msgs[SNAP_COPY_SHORT]);
		EXPECT_EQ(5 - ref, s.copied_msgs[SNAP_COPY_CHECKSUM]);
		EXPECT_EQ(10 - ref, s.tx_copied_msgs);
		EXPECT_EQ(10, s.rx_msgs);
		EXPECT_EQ(s.tx_ref_bytes + s.tx_copied_bytes, s.rx_copied_bytes);
		EXPECT_EQ(0, s.reserved);
		for (i = SNAP_COPY_REASONS; i < SNAP_REASONS_ROOM; i++)
			EXPECT_EQ(0, s.copied_msgs[i] | s.copied_bytes[i]);
		for (i = SNAP_RECV_REASONS; i < SNAP_REASONS_ROOM; i++)
			EXPECT_EQ(0, s.recv_msgs[i] | s.recv_bytes[i]);
	}
}

TEST_F(sock, connected)
{
	ASSERT_EQ(0, connect(self->fd, &self->peer.sa, self->peer_len));
	EXPECT_EQ(0, round_trip(self->fd, NULL, 0, self->r.p, 100, 1));
	EXPECT_EQ(0, round_trip(self->fd, NULL, 0, self->r.p, 60000, 2));
	if (variant->domain == AF_SNAP)
		EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
}

TEST_F(sock, empty_datagram)
{
	EXPECT_EQ(0, sendto(self->fd, NULL, 0, 0, &self->peer.sa, self->peer_len));
	EXPECT_EQ(0, recv(self->fd, self->r.p, 100, 0));
	if (variant->domain == AF_SNAP)
		EXPECT_EQ(1, sock_stats(self->fd).rx_msgs);
}

TEST_F(sock, names)
{
	union address name, any;
	socklen_t length = sizeof(name);
	int port;

	EXPECT_EQ(-1, getpeername(self->fd, &name.sa, &length));
	EXPECT_EQ(ENOTCONN, errno);
	ASSERT_EQ(0, bind(self->fd, &any.sa, address_any(&any, variant->family)));
	length = sizeof(name);
	ASSERT_EQ(0, getsockname(self->fd, &name.sa, &length));
	EXPECT_EQ(variant->family, name.sa.sa_family);
	EXPECT_EQ(self->peer_len, length);
	port = name.in.sin_port;
	EXPECT_NE(0, port);
	ASSERT_EQ(0, connect(self->fd, &self->peer.sa, self->peer_len));
	length = sizeof(name);
	ASSERT_EQ(0, getpeername(self->fd, &name.sa, &length));
	EXPECT_EQ(variant->family, name.sa.sa_family);
	EXPECT_EQ(self->peer.in.sin_port, name.in.sin_port);
	length = sizeof(name);
	ASSERT_EQ(0, getsockname(self->fd, &name.sa, &length));
	EXPECT_EQ(port, name.in.sin_port);
	EXPECT_EQ(-1, getsockname(self->fd, NULL, &length));
	EXPECT_EQ(EFAULT, errno);
}

/*
 * Addresses are those of UDP, and have its family: security modules would not know
 * another one.
 */
TEST_F(sock, family_of_addresses)
{
	union address any, to = self->peer;
	socklen_t length = address_any(&any, variant->family);

	any.sa.sa_family = AF_SNAP;
	to.sa.sa_family = AF_SNAP;
	EXPECT_EQ(EAFNOSUPPORT, outcome(bind(self->fd, &any.sa, length)));
	EXPECT_EQ(EAFNOSUPPORT, outcome(connect(self->fd, &to.sa, self->peer_len)));
	EXPECT_EQ(variant->family == AF_INET6 ? EINVAL : EAFNOSUPPORT,
		  outcome(sendto(self->fd, self->r.p, 9000, 0, &to.sa,
				 self->peer_len)));
}

TEST_F(sock, wrong_addresses)
{
	union address bad = self->peer;
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };

	bad.sa.sa_family = AF_UNIX;
	EXPECT_EQ(-1, sendto(self->fd, "x", 1, 0, &bad.sa, self->peer_len));
	EXPECT_EQ(variant->family == AF_INET6 ? EINVAL : EAFNOSUPPORT, errno);
	EXPECT_EQ(-1, bind(self->fd, &bad.sa, self->peer_len));
	EXPECT_EQ(EAFNOSUPPORT, errno);
	EXPECT_EQ(-1, connect(self->fd, &bad.sa, self->peer_len));
	EXPECT_EQ(EAFNOSUPPORT, errno);
	EXPECT_EQ(-1, bind(self->fd, &self->peer.sa, 4));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, connect(self->fd, &self->peer.sa, 4));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, sendto(self->fd, self->r.p, 9000, 0, &self->peer.sa, 4));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, connect(self->fd, &self->peer.sa, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, connect(self->fd, (void *)8, self->peer_len));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, sendto(self->fd, self->r.p, 9000, 0, (void *)8,
			     self->peer_len));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, connect(self->fd, &self->peer.sa, self->peer_len));
	EXPECT_EQ(0, connect(self->fd, &unspec, sizeof(unspec)));
	EXPECT_EQ(-1, send(self->fd, self->r.p, 9000, 0));
	EXPECT_EQ(EDESTADDRREQ, errno);
}

TEST_F(sock, no_destination)
{
	EXPECT_EQ(-1, send(self->fd, self->r.p, 10, 0));
	EXPECT_EQ(EDESTADDRREQ, errno);
	EXPECT_EQ(-1, send(self->fd, self->r.p, 60000, 0));
	EXPECT_EQ(EDESTADDRREQ, errno);
}

TEST_F(sock, too_long)
{
	static char plain[70000];
	size_t max = variant->family == AF_INET6 ? 65527 : 65507;

	EXPECT_EQ(-1, sendto(self->fd, self->r.p, max + 1, 0, &self->peer.sa,
			     self->peer_len));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-1, sendto(self->fd, self->r.p, 65536, 0, &self->peer.sa,
			     self->peer_len));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-1, sendto(self->fd, plain, sizeof(plain), 0, &self->peer.sa,
			     self->peer_len));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(0, round_trip(self->fd, &self->peer, self->peer_len,
				self->r.p, 65507, 3));
}

TEST_F(sock, bad_buffers)
{
	char *gone = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, gone);
	EXPECT_EQ(-1, sendto(self->fd, gone, 100, 0, &self->peer.sa,
			     self->peer_len));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, sendto(self->fd, (void *)16, 20000, 0, &self->peer.sa,
			     self->peer_len));
	EXPECT_EQ(EFAULT, errno);
	/* starts in the region and leaves it */
	ASSERT_EQ(0, munmap(self->r.p + 16 * PAGE, PAGE));
	EXPECT_EQ(-1, sendto(self->fd, self->r.p + 14 * PAGE, 10000, 0,
			     &self->peer.sa, self->peer_len));
	EXPECT_EQ(EFAULT, errno);
	/* a region that may not be read */
	ASSERT_EQ(0, mprotect(self->r.p, 4 * PAGE, PROT_NONE));
	EXPECT_EQ(-1, sendto(self->fd, self->r.p, 10000, 0, &self->peer.sa,
			     self->peer_len));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, mprotect(self->r.p, 4 * PAGE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, round_trip(self->fd, &self->peer, self->peer_len,
				self->r.p, 20000, 1));
	/* the datagram is lost, as with UDP */
	ASSERT_EQ(100, sendto(self->fd, self->r.p, 100, 0, &self->peer.sa,
			      self->peer_len));
	EXPECT_EQ(-1, recv(self->fd, gone, 100, 0));
	EXPECT_EQ(EFAULT, errno);
}

/* A thread whose protection key denies a load does not send what is there. */
TEST_F(sock, protection_key)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP(return, "no protection keys");
	ASSERT_EQ(0, pkey_mprotect(self->r.p, 4 * PAGE, PROT_READ | PROT_WRITE,
				   key));
	EXPECT_EQ(0, round_trip(self->fd, &self->peer, self->peer_len,
				self->r.p, 10000, 1));
	ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_ACCESS));
	EXPECT_EQ(-1, sendto(self->fd, self->r.p, 10000, 0, &self->peer.sa,
			     self->peer_len));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_WRITE));
	EXPECT_EQ(10000, sendto(self->fd, self->r.p, 10000, 0, &self->peer.sa,
				self->peer_len));
	ASSERT_EQ(0, pkey_set(key, 0));
	pkey_free(key);
}

TEST_F(sock, receive_flags)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN | POLLOUT };
	char back[100];
	int pending = 0;

	ASSERT_EQ(0, connect(self->fd, &self->peer.sa, self->peer_len));
	EXPECT_EQ(-1, recv(self->fd, back, sizeof(back), MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLOUT, p.revents);
	fill(self->r.p, 10000, 4);
	ASSERT_EQ(10000, send(self->fd, self->r.p, 10000, 0));
	p.events = POLLIN;
	ASSERT_EQ(1, poll(&p, 1, 5000));
	EXPECT_EQ(0, ioctl(self->fd, FIONREAD, &pending));
	EXPECT_EQ(10000, pending);
	EXPECT_EQ(0, ioctl(self->fd, SIOCINQ, &pending));
	EXPECT_EQ(10000, pending);
	/* looked at, twice, then cut off */
	EXPECT_EQ(100, recv(self->fd, back, 100, MSG_PEEK));
	EXPECT_EQ(-1, differs(back, 100, 4));
	EXPECT_EQ(10000, recv(self->fd, back, 100, MSG_PEEK | MSG_TRUNC));
	EXPECT_EQ(10000, recv(self->fd, back, 100, MSG_TRUNC));
	EXPECT_EQ(-1, recv(self->fd, back, 100, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	if (variant->domain == AF_SNAP) {
		EXPECT_EQ(1, sock_stats(self->fd).rx_msgs);
		EXPECT_EQ(100, sock_stats(self->fd).rx_copied_bytes);
	}
}

TEST_F(sock, messages)
{
	char a[10], b[50];
	struct iovec iov[2] = { { a, 10 }, { b, 50 } };
	union address from;
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from),
		.msg_iov = iov, .msg_iovlen = 2,
	};
	struct iovec out[2] = { { self->r.p, 100 }, { self->r.p + PAGE, 200 } };
	struct msghdr send = {
		.msg_name = &self->peer, .msg_namelen = self->peer_len,
		.msg_iov = out, .msg_iovlen = 2,
	};

	fill(self->r.p, 100, 6);
	fill(self->r.p + PAGE, 200, 7);
	ASSERT_EQ(300, sendmsg(self->fd, &send, 0));
	EXPECT_EQ(60, recvmsg(self->fd, &msg, 0));
	EXPECT_EQ(MSG_TRUNC, msg.msg_flags);
	EXPECT_EQ(variant->family, from.sa.sa_family);
	EXPECT_EQ(self->peer_len, msg.msg_namelen);
	EXPECT_EQ(-1, differs(a, 10, 6));
	msg.msg_iovlen = 4096;
	EXPECT_EQ(-1, recvmsg(self->fd, &msg, 0));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-1, recvmsg(self->fd, (void *)8, 0));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(sock, many_at_once)
{
	struct mmsghdr msgs[4] = { 0 };
	struct iovec iov[4];
	int i, got = 0;

	ASSERT_EQ(0, connect(self->fd, &self->peer.sa, self->peer_len));
	for (i = 0; i < 4; i++) {
		iov[i].iov_base = self->r.p + 4 * i * PAGE;
		iov[i].iov_len = 9000;
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		fill(iov[i].iov_base, 9000, 50);
	}
	EXPECT_EQ(4, sendmmsg(self->fd, msgs, 4, 0));
	memset(self->r.p, 0, self->r.length);
	for (i = 0; i < 4; i++)
		iov[i].iov_len = 4 * PAGE;
	while (got < 4) {
		int n = recvmmsg(self->fd, msgs + got, 4 - got, 0, NULL);

		ASSERT_GT(n, 0);
		got += n;
	}
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(9000, msgs[i].msg_len);
		EXPECT_EQ(-1, differs(iov[i].iov_base, 9000, 50));
	}
	if (variant->domain == AF_SNAP)
		EXPECT_EQ(4, sock_stats(self->fd).tx_ref_msgs);
}

/* One send, ten datagrams: the stack, or the device, cuts what lies in frames. */
TEST_F(sock, segmentation)
{
	struct snap_stats before, after;
	struct snap_info info;
	int size = 1400, i;
	char back[2000];

	ASSERT_EQ(0, dev_info(&info));
	ASSERT_EQ(0, connect(self->fd, &self->peer.sa, self->peer_len));
	ASSERT_EQ(0, setsockopt(self->fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)));
	for (i = 0; i < 10; i++)
		fill(self->r.p + 50 + i * size, size, 60);
	ASSERT_EQ(0, dev_stats(&before));
	ASSERT_EQ(10 * size, send(self->fd, self->r.p + 50, 10 * size, 0));
	ASSERT_EQ(0, dev_stats(&after));
	memset(self->r.p, POISON, self->r.length);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(size, recv(self->fd, back, sizeof(back), 0));
		EXPECT_EQ(-1, differs(back, size, 60));
	}
	if (variant->domain == AF_SNAP)
		EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
	/* neighbours may ask in between */
	if (variant->device && (info.features & SNAP_F_USO))
		EXPECT_GT(5, after.device[SNAP_CTR_TX_PACKETS] -
			  before.device[SNAP_CTR_TX_PACKETS]);
}

/* What was read makes room in a small buffer, also while more is unread. */
TEST_F(sock, receive_buffer)
{
	int i, small = 16384, tx = udp_socket(variant->family, variant->family);
	union address at;
	socklen_t length = address_set(&at, variant->family, variant->family ==
				       AF_INET6 ? "::1" : "127.0.0.1", 0);
	char back[1000];

	ASSERT_GE(tx, 0);
	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &small,
				sizeof(small)));
	ASSERT_EQ(0, bind(self->fd, &at.sa, length));
	ASSERT_EQ(0, getsockname(self->fd, &at.sa, &length));
	for (i = 0; i < 12; i++)
		ASSERT_EQ(1000, sendto(tx, self->r.p, 1000, 0, &at.sa, length));
	for (i = 0; i < 11; i++)
		ASSERT_EQ(1000, recv(self->fd, back, sizeof(back), 0));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(1000, sendto(tx, self->r.p, 1000, 0, &at.sa, length));
	for (i = 0; i < 9; i++)
		EXPECT_EQ(1000, recv(self->fd, back, sizeof(back), MSG_DONTWAIT));
	close(tx);
}

TEST_F(sock, timeout)
{
	struct timeval tv = { 0 };
	socklen_t length = sizeof(tv);
	uint64_t start = tick_ms();

	ASSERT_EQ(0, set_timeout(self->fd, 200));
	ASSERT_EQ(0, getsockopt(self->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &length));
	EXPECT_EQ(0, tv.tv_sec);
	EXPECT_GE(tv.tv_usec, 200000);
	EXPECT_EQ(-1, recv(self->fd, self->r.p, 10, 0));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_GE(tick_ms() - start, 190);
}

TEST_F(sock, shutdown)
{
	EXPECT_EQ(-1, shutdown(self->fd, SHUT_RDWR));
	EXPECT_EQ(ENOTCONN, errno);
	ASSERT_EQ(0, connect(self->fd, &self->peer.sa, self->peer_len));
	EXPECT_EQ(-1, shutdown(self->fd, 7));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, shutdown(self->fd, SHUT_RD));
	EXPECT_EQ(0, recv(self->fd, self->r.p, 10, 0));
	EXPECT_EQ(0, shutdown(self->fd, SHUT_WR));
	EXPECT_EQ(-1, send(self->fd, self->r.p, 60000, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
}

/* Port 9 is closed on both machines. */
TEST_F(sock, connection_refused)
{
	union address closed = self->peer;

	closed.in.sin_port = htons(9);
	ASSERT_EQ(0, connect(self->fd, &closed.sa, self->peer_len));
	ASSERT_EQ(60000, send(self->fd, self->r.p, 60000, 0));
	EXPECT_EQ(-1, recv(self->fd, self->r.p, 10, 0));
	EXPECT_EQ(ECONNREFUSED, errno);
	ASSERT_EQ(10, send(self->fd, self->r.p, 10, 0));
	EXPECT_EQ(-1, recv(self->fd, self->r.p, 10, 0));
	EXPECT_EQ(ECONNREFUSED, errno);
}

TEST_F(sock, bind_twice)
{
	union address name;
	socklen_t length = address_any(&name, variant->family);
	int other = udp_socket(variant->family, variant->family);

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, bind(self->fd, &name.sa, length));
	EXPECT_EQ(-1, bind(self->fd, &name.sa, length));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, getsockname(self->fd, &name.sa, &length));
	EXPECT_EQ(-1, bind(other, &name.sa, length));
	EXPECT_EQ(EADDRINUSE, errno);
	close(self->fd);
	EXPECT_EQ(0, bind(other, &name.sa, length));
	close(other);
	self->fd = udp_socket(variant->domain, variant->family);
}

TEST_F(sock, not_a_stream)
{
	EXPECT_EQ(-1, listen(self->fd, 1));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, accept(self->fd, NULL, NULL));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(sock, socket_options)
{
	int value = 0, size = 65536, queued = -1;
	socklen_t length = sizeof(value);

	ASSERT_EQ(0, getsockopt(self->fd, SOL_SOCKET, SO_TYPE, &value, &length));
	EXPECT_EQ(SOCK_DGRAM, value);
	ASSERT_EQ(0, getsockopt(self->fd, SOL_SOCKET, SO_DOMAIN, &value, &length));
	EXPECT_EQ(variant->family, value);
	ASSERT_EQ(0, getsockopt(self->fd, SOL_SOCKET, SO_PROTOCOL, &value, &length));
	EXPECT_EQ(IPPROTO_UDP, value);
	EXPECT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	ASSERT_EQ(0, getsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &value, &length));
	EXPECT_EQ(2 * size, value);
	EXPECT_EQ(0, ioctl(self->fd, SIOCOUTQ, &queued));
	EXPECT_EQ(0, queued);
	EXPECT_EQ(-1, setsockopt(self->fd, SOL_UDP, 9999, &value, length));
	EXPECT_EQ(ENOPROTOOPT, errno);
}

/* ---- What only AF_SNAP has ---------------------------------------------- */

TEST(socket_errors)
{
	int pair[2];

	EXPECT_EQ(-1, socket(AF_SNAP, SOCK_DGRAM, 2));
	EXPECT_EQ(EPROTONOSUPPORT, errno);
	EXPECT_EQ(-1, socket(AF_SNAP, SOCK_DGRAM, IPPROTO_UDP));
	EXPECT_EQ(EPROTONOSUPPORT, errno);
	EXPECT_EQ(-1, socket(AF_SNAP, SOCK_DGRAM, -1));
	EXPECT_EQ(EPROTONOSUPPORT, errno);
	EXPECT_EQ(-1, socket(AF_SNAP, SOCK_STREAM, IPPROTO_TCP));
	EXPECT_EQ(EPROTONOSUPPORT, errno);
	EXPECT_EQ(-1, socket(AF_SNAP, SOCK_RAW, 0));
	EXPECT_EQ(ESOCKTNOSUPPORT, errno);
	EXPECT_EQ(-1, socket(AF_SNAP, SOCK_SEQPACKET, 1));
	EXPECT_EQ(ESOCKTNOSUPPORT, errno);
	EXPECT_EQ(-1, socketpair(AF_SNAP, SOCK_DGRAM, 0, pair));
	EXPECT_EQ(EOPNOTSUPP, errno);
}

TEST(snap_options)
{
	int fd = udp_socket(AF_SNAP, AF_INET6);
	struct snap_sock_stats stats;
	socklen_t length = sizeof(int), size;
	int value = -1;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, getsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &value, &length));
	EXPECT_EQ(read_number("/sys/module/snap/parameters/copybreak"), value);
	EXPECT_EQ(0, set_copybreak(fd, 0));
	EXPECT_EQ(0, set_copybreak(fd, 1 << 30));
	ASSERT_EQ(0, getsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &value, &length));
	EXPECT_EQ(1 << 30, value);
	EXPECT_EQ(-1, set_copybreak(fd, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &value, 3));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, (void *)8, 4));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, &stats, 64));
	EXPECT_EQ(ENOPROTOOPT, errno);
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, 99, &value, 4));
	EXPECT_EQ(ENOPROTOOPT, errno);
	EXPECT_EQ(-1, getsockopt(fd, SOL_SNAP, 99, &value, &length));
	EXPECT_EQ(ENOPROTOOPT, errno);
	length = 3;
	EXPECT_EQ(-1, getsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &value, &length));
	EXPECT_EQ(EINVAL, errno);
	length = -1;
	EXPECT_EQ(-1, getsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, &stats, &length));
	EXPECT_EQ(EINVAL, errno);
	length = 7;
	EXPECT_EQ(-1, getsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, &stats, &length));
	EXPECT_EQ(EINVAL, errno);
	/* programs that were built with less get that much, and no more */
	for (size = 8; size < sizeof(stats); size += 8) {
		memset(&stats, POISON, sizeof(stats));
		length = size;
		EXPECT_EQ(0, getsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, &stats, &length));
		EXPECT_EQ(size, length);
		EXPECT_EQ(size, stats.size);
		EXPECT_EQ(0, ((char *)&stats)[size - 1]);
		EXPECT_EQ(POISON, ((unsigned char *)&stats)[size]);
	}
	length = sizeof(stats);
	EXPECT_EQ(-1, getsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, (void *)8, &length));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, getsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, &stats, NULL));
	EXPECT_EQ(EFAULT, errno);
	close(fd);
}

/* It would turn the socket into an ordinary IPv4 one behind our back. */
TEST(no_change_of_family)
{
	int four = AF_INET, fd = udp_socket(AF_SNAP, AF_INET6);
	union address to;
	socklen_t length = address_set(&to, AF_INET6, "::ffff:127.0.0.1", 5000);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, connect(fd, &to.sa, length));
	EXPECT_EQ(-1, setsockopt(fd, SOL_IPV6, IPV6_ADDRFORM, &four, sizeof(four)));
	EXPECT_EQ(ENOPROTOOPT, errno);
	EXPECT_EQ(0, set_copybreak(fd, 1));
	close(fd);
}

/* An IPv6 socket reaches IPv4 peers by their mapped addresses. */
TEST(mapped_addresses)
{
	int fd = udp_socket(AF_SNAP, AF_INET6);
	union address at, to;
	char text[INET6_ADDRSTRLEN] = "::ffff:127.0.0.1";
	socklen_t length;
	struct region r;
	int echo;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, set_timeout(fd, 5000));
	echo = echo_start(AF_INET, &at);
	ASSERT_GT(echo, 0);
	ASSERT_EQ(0, region_make(&r, 16 * PAGE));
	length = address_set(&to, AF_INET6, text, ntohs(at.in.sin_port));
	EXPECT_EQ(0, round_trip(fd, &to, length, r.p, 60000, 1));
	ASSERT_EQ(0, connect(fd, &to.sa, length));
	EXPECT_EQ(0, round_trip(fd, NULL, 0, r.p, 60000, 2));
	EXPECT_EQ(2, sock_stats(fd).tx_ref_msgs);
	echo_stop(echo);
	region_drop(&r);
	close(fd);
}

/* Between two AF_SNAP sockets, and seen by the tools as what they are. */
TEST(both_ends_snap)
{
	int a = udp_socket(AF_SNAP, AF_INET), b = udp_socket(AF_SNAP, AF_INET);
	union address at;
	socklen_t length = address_set(&at, AF_INET, "127.0.0.1", 0);
	struct region r;
	char back[100];

	ASSERT_GE(a, 0);
	ASSERT_GE(b, 0);
	ASSERT_EQ(0, bind(b, &at.sa, length));
	ASSERT_EQ(0, getsockname(b, &at.sa, &length));
	ASSERT_EQ(0, region_make(&r, 16 * PAGE));
	fill(r.p, 60000, 5);
	ASSERT_EQ(60000, sendto(a, r.p, 60000, 0, &at.sa, length));
	EXPECT_EQ(0, sh("grep -qi ' 0100007F:%04X ' /proc/net/udp",
			ntohs(at.in.sin_port)));
	EXPECT_EQ(100, recv(b, back, sizeof(back), 0));
	EXPECT_EQ(-1, differs(back, 100, 5));
	EXPECT_EQ(1, sock_stats(a).tx_ref_msgs);
	EXPECT_EQ(100, sock_stats(b).rx_copied_bytes);
	region_drop(&r);
	close(a);
	close(b);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

TEST_HARNESS_MAIN
