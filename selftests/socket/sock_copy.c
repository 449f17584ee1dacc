// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every reason for which a message is copied, counted under its name, in the
 * socket's statistics and in those of the namespace; and the message arrives.
 *
 * Machines: share-1 debug newest
 */

#define _GNU_SOURCE
#include <netinet/udp.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define LENGTH	20000

FIXTURE(copy)
{
	int fd;			/* AF_SNAP, connected to the sink */
	int sink;		/* AF_INET */
	union address at;	/* of the sink */
	socklen_t at_len;
	struct region r;
	struct snap_sock_stats net;	/* of the namespace, before */
};

static struct snap_sock_stats net_stats(void)
{
	struct snap_stats stats;

	dev_stats(&stats);
	return stats.sockets;
}

FIXTURE_SETUP(copy)
{
	self->sink = udp_on_loopback(AF_INET, &self->at, &self->at_len);
	ASSERT_GE(self->sink, 0);
	ASSERT_EQ(0, set_timeout(self->sink, 5000));
	self->fd = udp_socket(AF_SNAP, AF_INET);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, connect(self->fd, &self->at.sa, self->at_len));
	ASSERT_EQ(0, region_make(&self->r, 16 * PAGE));
	fill(self->r.p, self->r.length, 1);
	self->net = net_stats();
}

FIXTURE_TEARDOWN(copy)
{
	close(self->fd);
	close(self->sink);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

/* The next datagram has that length and content. */
static bool arrives(int sink, size_t length, unsigned int seed)
{
	static char back[65536];

	return recv(sink, back, sizeof(back), 0) == (ssize_t)length &&
	       differs(back, length, seed) < 0;
}

/* One message of that many bytes was sent so far, copied for that reason. */
#define EXPECT_COPIED(reason, bytes) do {				\
	struct snap_sock_stats s_ = sock_stats(self->fd);		\
	struct snap_sock_stats n_ = net_stats();			\
	EXPECT_EQ(0, s_.tx_ref_msgs);					\
	EXPECT_EQ(1, s_.tx_copied_msgs);				\
	EXPECT_EQ(bytes, s_.tx_copied_bytes);				\
	EXPECT_EQ(1, s_.copied_msgs[reason]);				\
	EXPECT_EQ(bytes, s_.copied_bytes[reason]);			\
	EXPECT_EQ(1, n_.copied_msgs[reason] - self->net.copied_msgs[reason]); \
	EXPECT_EQ(bytes, n_.copied_bytes[reason] -			\
			 self->net.copied_bytes[reason]);		\
} while (0)

TEST_F(copy, none)
{
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
	EXPECT_EQ(LENGTH, sock_stats(self->fd).tx_ref_bytes);
	EXPECT_EQ(0, sock_stats(self->fd).tx_copied_msgs);
	EXPECT_EQ(1, net_stats().tx_ref_msgs - self->net.tx_ref_msgs);
}

TEST_F(copy, short)
{
	ASSERT_EQ(0, set_copybreak(self->fd, LENGTH + 1));
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_COPIED(SNAP_COPY_SHORT, LENGTH);
	ASSERT_EQ(0, set_copybreak(self->fd, LENGTH));
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
}

TEST_F(copy, not_region)
{
	char *plain = malloc(LENGTH);

	fill(plain, LENGTH, 2);
	ASSERT_EQ(LENGTH, send(self->fd, plain, LENGTH, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 2));
	EXPECT_COPIED(SNAP_COPY_NOT_REGION, LENGTH);
	free(plain);
}

/* Each buffer is captured, and the receiver cannot tell. */
TEST_F(copy, two_buffers)
{
	struct iovec iov[] = { { self->r.p, 9000 }, { NULL, 0 },
			       { self->r.p + 9000, LENGTH - 9000 } };

	ASSERT_EQ(LENGTH, writev(self->fd, iov, 3));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_EQ(LENGTH, sock_stats(self->fd).tx_ref_bytes);
	EXPECT_EQ(0, sock_stats(self->fd).tx_copied_msgs);
}

/* Short ones between them are copied: a header, say. */
TEST_F(copy, short_and_long_buffers)
{
	char head[100], tail[30];
	struct iovec iov[] = { { head, sizeof(head) },
			       { self->r.p + sizeof(head), LENGTH - 130 },
			       { tail, 10 }, { tail + 10, 20 } };
	struct snap_sock_stats stats;

	memcpy(head, self->r.p, sizeof(head));
	memcpy(tail, self->r.p + LENGTH - sizeof(tail), sizeof(tail));
	ASSERT_EQ(LENGTH, writev(self->fd, iov, 4));
	memset(head, 0, sizeof(head));
	memset(tail, 0, sizeof(tail));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	stats = sock_stats(self->fd);
	EXPECT_EQ(LENGTH - 130, stats.tx_ref_bytes);
	EXPECT_EQ(130, stats.copied_bytes[SNAP_COPY_SHORT]);
	EXPECT_EQ(1, stats.tx_ref_msgs);
	EXPECT_EQ(1, stats.tx_copied_msgs);
}

/*
 * The task has memory of several pages for short ones, each behind the last: now and then
 * one lies over the end of a page, and the packet refers to one page more.
 */
TEST_F(copy, short_over_the_end_of_a_page)
{
	const size_t head = 100, rest = 15 * PAGE + 3000, length = head + rest;
	char *all = malloc(length);
	struct iovec iov[] = { { all, head }, { self->r.p, rest } };
	struct snap_sock_stats stats;
	int i, room = 16 << 20;

	ASSERT_EQ(0, setsockopt(self->sink, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	fill(all, length, 2);
	memcpy(self->r.p, all + head, rest);
	/* it begins anew where nobody has the last ones any more */
	for (i = 0; i < 100; i++)
		ASSERT_EQ((ssize_t)length, writev(self->fd, iov, 2));
	for (i = 0; i < 100; i++)
		ASSERT_TRUE(arrives(self->sink, length, 2));
	stats = sock_stats(self->fd);
	EXPECT_LT(0, stats.tx_ref_msgs);
	/* where memory is short they are single pages, which no buffer lies over */
	if (!stats.copied_msgs[SNAP_COPY_SCATTERED])
		TH_LOG("no short buffer lay over the end of a page");
	EXPECT_EQ(100, stats.tx_ref_msgs + stats.copied_msgs[SNAP_COPY_SCATTERED]);
	free(all);
}

/* Only short ones, or more than a packet refers to: as UDP always did. */
TEST_F(copy, scattered)
{
	struct iovec iov[20];
	int i;

	for (i = 0; i < 20; i++)
		iov[i] = (struct iovec){ self->r.p + i * 1000, 1000 };
	ASSERT_EQ(LENGTH, writev(self->fd, iov, 20));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_COPIED(SNAP_COPY_SCATTERED, LENGTH);
	ASSERT_EQ(0, set_copybreak(self->fd, 1000));
	ASSERT_EQ(LENGTH, writev(self->fd, iov, 20));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_EQ(2 * LENGTH, sock_stats(self->fd).copied_bytes[SNAP_COPY_SCATTERED]);
}

/* A short buffer that is not there: nothing is sent, and no frame kept. */
TEST_F(copy, fault)
{
	struct iovec iov[] = { { self->r.p, LENGTH }, { (void *)8, 100 } };

	EXPECT_EQ(-1, writev(self->fd, iov, 2));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, sock_stats(self->fd).tx_ref_msgs);
	EXPECT_EQ(0, sock_stats(self->fd).tx_copied_msgs);
}

TEST_F(copy, two_mappings)
{
	/* the same pages again, but by a second mapping in the middle */
	ASSERT_NE(MAP_FAILED,
		  mmap(self->r.p + 2 * PAGE, PAGE, PROT_READ,
		       MAP_SHARED | MAP_FIXED, self->r.fd, 2 * PAGE));
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_COPIED(SNAP_COPY_SCATTERED, LENGTH);
}

TEST_F(copy, more)
{
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, MSG_MORE));
	EXPECT_COPIED(SNAP_COPY_FLAGS, LENGTH);
	ASSERT_EQ(10000, send(self->fd, self->r.p + LENGTH, 10000, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH + 10000, 1));
	EXPECT_EQ(2, sock_stats(self->fd).copied_msgs[SNAP_COPY_FLAGS]);
}

TEST_F(copy, corked)
{
	int on = 1, off = 0;

	ASSERT_EQ(0, setsockopt(self->fd, SOL_UDP, UDP_CORK, &on, sizeof(on)));
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	EXPECT_COPIED(SNAP_COPY_FLAGS, LENGTH);
	ASSERT_EQ(0, setsockopt(self->fd, SOL_UDP, UDP_CORK, &off, sizeof(off)));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
}

TEST_F(copy, control_messages)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { self->r.p, LENGTH };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int ttl = 3;

	c->cmsg_level = SOL_IP;
	c->cmsg_type = IP_TTL;
	c->cmsg_len = CMSG_LEN(sizeof(ttl));
	memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
	ASSERT_EQ(LENGTH, sendmsg(self->fd, &msg, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_COPIED(SNAP_COPY_FLAGS, LENGTH);
}

/* As long messages cut into datagrams are sent: by reference, too. */
TEST_F(copy, segments)
{
	char control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	struct iovec iov = { self->r.p, LENGTH };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	uint16_t size = LENGTH / 4;
	char back[LENGTH];
	int i;

	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	ASSERT_EQ(LENGTH, sendmsg(self->fd, &msg, 0));
	memset(self->r.p, POISON, LENGTH);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(size, recv(self->sink, back + i * size, size, 0));
	EXPECT_EQ(-1, differs(back, LENGTH, 1));
	EXPECT_EQ(LENGTH, sock_stats(self->fd).tx_ref_bytes);
	EXPECT_EQ(0, sock_stats(self->fd).tx_copied_msgs);
}

TEST_F(copy, other_device)
{
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	union address away;
	socklen_t length = address_set(&away, AF_INET, "10.99.0.2", 9);

	if (sh("ip link add snapd0 type dummy && "
	       "ip addr add 10.99.0.1/24 dev snapd0 && "
	       "ip link set snapd0 up"))
		SKIP(return, "no dummy interface");
	/* or else its source would be that of loopback */
	ASSERT_EQ(0, connect(self->fd, &unspec, sizeof(unspec)));
	EXPECT_EQ(LENGTH, sendto(self->fd, self->r.p, LENGTH, 0, &away.sa, length));
	EXPECT_COPIED(SNAP_COPY_ROUTE, LENGTH);
	EXPECT_EQ(0, sh("ip link del snapd0"));
}

/* Another socket's answer: no device leads there, and none takes it. */
TEST_F(copy, no_route)
{
	union address away;
	socklen_t length = address_set(&away, AF_INET, "192.0.2.1", 9);

	EXPECT_EQ(-1, sendto(self->fd, self->r.p, LENGTH, 0, &away.sa, length));
	EXPECT_EQ(ENETUNREACH, errno);
	EXPECT_EQ(0, sock_stats(self->fd).tx_copied_msgs);
	EXPECT_EQ(0, sock_stats(self->fd).tx_ref_msgs);
}

/* From here on in a network of lo, where what is longer than this is fragmented. */
#define SMALL_MTU	9000

static bool go_fragmenting(FIXTURE_DATA(copy) *self)
{
	close(self->fd);
	close(self->sink);
	if (network_of_lo() || sh("ip link set lo mtu %d", SMALL_MTU))
		return false;
	self->sink = udp_on_loopback(AF_INET, &self->at, &self->at_len);
	self->fd = udp_socket(AF_SNAP, AF_INET);
	return self->sink >= 0 && self->fd >= 0 && !set_timeout(self->sink, 5000) &&
	       !connect(self->fd, &self->at.sa, self->at_len);
}

/*
 * UDP sums what it fragments.  Where the kernel gets that wrong for pages at odd bytes,
 * the datagram is copied; but not one that is whole, nor one whose pages are at even
 * bytes.
 */
TEST_F(copy, checksum)
{
	int right = splice_sums_right();

	ASSERT_GE(right, 0);
	ASSERT_TRUE(go_fragmenting(self));
	fill(self->r.p + 1, LENGTH, 2);
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p + 1, LENGTH, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 2));
	EXPECT_EQ(right, sock_stats(self->fd).tx_ref_msgs);
	EXPECT_EQ(!right, sock_stats(self->fd).copied_msgs[SNAP_COPY_CHECKSUM]);
	fill(self->r.p + 1, SMALL_MTU - 100, 3);
	ASSERT_EQ(SMALL_MTU - 100, send(self->fd, self->r.p + 1, SMALL_MTU - 100, 0));
	EXPECT_TRUE(arrives(self->sink, SMALL_MTU - 100, 3));
	fill(self->r.p, LENGTH, 4);
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 4));
	EXPECT_EQ(right + 2, sock_stats(self->fd).tx_ref_msgs);
}

/* Buffers at even addresses, of which one ends after an odd number of bytes. */
TEST_F(copy, checksum_of_buffers)
{
	struct iovec iov[] = { { self->r.p, LENGTH - 10001 },
			       { self->r.p + 4 * PAGE, 10001 } };
	int right = splice_sums_right();
	char back[LENGTH];

	ASSERT_GE(right, 0);
	ASSERT_TRUE(go_fragmenting(self));
	ASSERT_EQ(LENGTH, writev(self->fd, iov, 2));
	ASSERT_EQ(LENGTH, recv(self->sink, back, sizeof(back), 0));
	EXPECT_EQ(0, memcmp(back, iov[0].iov_base, iov[0].iov_len));
	EXPECT_EQ(0, memcmp(back + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len));
	EXPECT_EQ(right, sock_stats(self->fd).tx_ref_msgs);
	EXPECT_EQ(!right, sock_stats(self->fd).copied_msgs[SNAP_COPY_CHECKSUM]);
}

TEST_F(copy, in_flight_quota)
{
	ASSERT_EQ(0, write_text(USER_QUOTA, "0"));
	ASSERT_EQ(0, quotas_bind(true));
	EXPECT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	ASSERT_EQ(0, quotas_bind(false));
	ASSERT_EQ(0, write_text(USER_QUOTA, USER_QUOTA_DEFAULT));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_COPIED(SNAP_COPY_QUOTA, LENGTH);
}

/* A message that fails is not counted. */
TEST_F(copy, failures_count_nothing)
{
	EXPECT_EQ(-1, send(self->fd, self->r.p, 65530, 0));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-1, send(self->fd, (void *)16, LENGTH, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, sock_stats(self->fd).tx_copied_msgs);
	EXPECT_EQ(0, sock_stats(self->fd).tx_ref_msgs);
	EXPECT_EQ(0, net_stats().tx_ref_msgs - self->net.tx_ref_msgs);
}

/* A read-only mapping, a part of a region, and one whose descriptor is gone. */
TEST_F(copy, mappings_that_will_do)
{
	char *p = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, self->r.fd, 4 * PAGE);

	ASSERT_NE(MAP_FAILED, p);
	fill(self->r.p + 5 * PAGE, LENGTH, 8);
	close(self->r.fd);
	self->r.fd = -1;
	ASSERT_EQ(LENGTH, send(self->fd, p + PAGE, LENGTH, 0));
	EXPECT_TRUE(arrives(self->sink, LENGTH, 8));
	EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
	munmap(p, 8 * PAGE);
}

/* Another process with the region sends from it as well. */
TEST_F(copy, child_sends)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(send(self->fd, self->r.p, LENGTH, 0) == LENGTH ? 0 : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(arrives(self->sink, LENGTH, 1));
	EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
}

TEST_HARNESS_MAIN
