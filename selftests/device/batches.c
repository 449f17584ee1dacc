// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several packets for one doorbell: those of sendmmsg(2) on an AF_SNAP socket share
 * it, none waits for one that does not come, and where the device takes only some
 * of them the others follow in their order.  In a machine of its own, whose device
 * is so slow that TX pauses.
 *
 * Machines: auto-2
 * Paths: full-*
 */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define BATCH		32u
#define MESSAGES	(20 * BATCH)
#define SHORT		64u	/* bytes; copied, so that no capture rings */
#define LONG		4000u

struct mark {
	uint32_t number;
	uint32_t length;
};

FIXTURE(batches)
{
	int fd;
	struct region region;
	char back[DATAGRAM_MAX];
	unsigned int sent, arrived, last;
	uint64_t dropped;
};

FIXTURE_SETUP(batches)
{
	int room = 16 << 20;
	union address host;
	socklen_t length = address_set(&host, AF_INET, HOST4, host_echo_port());

	if (!host_echo_port())
		SKIP(return, "no echo server at the host");
	self->fd = udp_socket(AF_SNAP, AF_INET);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
				sizeof(room)));
	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room,
				sizeof(room)));
	ASSERT_EQ(0, connect(self->fd, &host.sa, length));
	ASSERT_EQ(0, region_make(&self->region, BATCH * PAGE));
	/* the neighbour is known then */
	ASSERT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	/* the default one drops what waits too long, as is its task */
	ASSERT_EQ(0, sh("tc qdisc replace dev " NETDEV " root pfifo limit 2000"));
	self->dropped = dev_counter(SNAP_CTR_TX_DROPPED);
}

FIXTURE_TEARDOWN(batches)
{
	if (!self->region.p)
		return;
	close(self->fd);
	region_drop(&self->region);
	EXPECT_EQ(0, sh("tc qdisc del dev " NETDEV " root"));
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	EXPECT_EQ(self->dropped, dev_counter(SNAP_CTR_TX_DROPPED));
}

/* The next `n` messages by one call; how many went, or a negative errno. */
static int send_batch(FIXTURE_DATA(batches) *self, unsigned int n, uint32_t length)
{
	struct mmsghdr m[BATCH] = {};
	struct iovec iov[BATCH];
	unsigned int i;
	int ret;

	for (i = 0; i < n; i++) {
		struct mark mark = { .number = ++self->sent, .length = length };

		iov[i].iov_base = self->region.p + i * PAGE;
		iov[i].iov_len = length;
		memcpy(iov[i].iov_base, &mark, sizeof(mark));
		fill(iov[i].iov_base + sizeof(mark), length - sizeof(mark),
		     mark.number);
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	ret = sendmmsg(self->fd, m, n, 0);
	return ret < 0 ? -errno : ret;
}

/*
 * Until all have come back, in their order, or nothing has for so long.  The host is
 * busy, and loses some: what the device has sent is another question.
 */
static void receive_all(struct __test_metadata *_metadata,
			FIXTURE_DATA(batches) *self, int ms)
{
	struct pollfd wait = { .fd = self->fd, .events = POLLIN };
	struct mark mark;
	ssize_t n;

	while (self->last < self->sent && poll(&wait, 1, ms) == 1) {
		n = recv(self->fd, self->back, sizeof(self->back), 0);
		ASSERT_GE(n, (ssize_t)sizeof(mark));
		memcpy(&mark, self->back, sizeof(mark));
		ASSERT_EQ(n, mark.length);
		ASSERT_LT(self->last, mark.number);
		ASSERT_EQ(-1, differs(self->back + sizeof(mark), n - sizeof(mark),
				      mark.number));
		self->last = mark.number;
		self->arrived++;
	}
}

static void paused_in_the_middle(struct __test_metadata *_metadata,
				 FIXTURE_DATA(batches) *self, uint32_t length)
{
	uint64_t pauses = dev_counter(SNAP_CTR_TX_PAUSES);
	uint64_t packets = dev_counter(SNAP_CTR_TX_PACKETS);

	while (self->sent < MESSAGES)
		ASSERT_EQ(BATCH, send_batch(self, BATCH, length));
	receive_all(_metadata, self, 2000);
	TH_LOG("%u sent, %u came back", self->sent, self->arrived);
	EXPECT_LT(self->sent / 2, self->arrived);
	/* the kernel sends some of its own, too */
	packets = dev_counter(SNAP_CTR_TX_PACKETS) - packets;
	EXPECT_LE(self->sent, packets);
	EXPECT_GT(self->sent + 20, packets);
	/* else nothing was tried */
	EXPECT_LT(pauses, dev_counter(SNAP_CTR_TX_PAUSES));
}

TEST_F(batches, paused_in_the_middle_of_copies)
{
	paused_in_the_middle(_metadata, self, SHORT);
}

TEST_F(batches, paused_in_the_middle_of_frames)
{
	ASSERT_EQ(0, set_copybreak(self->fd, 1));
	paused_in_the_middle(_metadata, self, LONG);
}

/*
 * On a busy host a batch takes so long that it does not wait for all of it, nor does
 * it with the debug kernel.
 */
TEST_F(batches, share_a_doorbell)
{
	uint64_t before = dev_counter(SNAP_CTR_DOORBELLS), rung;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(BATCH / 2, send_batch(self, BATCH / 2, SHORT));
		receive_all(_metadata, self, 2000);
	}
	rung = dev_counter(SNAP_CTR_DOORBELLS) - before;
	TH_LOG("%lu doorbells for %u packets", rung, self->sent);
	EXPECT_LT(rung, debug_kernel() ? self->sent : self->sent / 2);
}

/* The next message of the call is none, so nobody rings for the one before. */
TEST_F(batches, none_waits_for_what_does_not_come)
{
	struct mmsghdr m[2] = {};
	struct iovec iov;
	int i;

	for (i = 0; i < 10; i++) {
		struct mark mark = { .number = ++self->sent, .length = SHORT };

		memcpy(self->region.p, &mark, sizeof(mark));
		fill(self->region.p + sizeof(mark), SHORT - sizeof(mark), mark.number);
		iov.iov_base = self->region.p;
		iov.iov_len = SHORT;
		m[0].msg_hdr.msg_iov = &iov;
		m[0].msg_hdr.msg_iovlen = 1;
		m[1].msg_hdr.msg_iov = (void *)8;	/* a fault */
		m[1].msg_hdr.msg_iovlen = 1;
		ASSERT_EQ(1, sendmmsg(self->fd, m, 2, 0));
		receive_all(_metadata, self, 5000);
		ASSERT_EQ(self->sent, self->arrived);
	}
}

/* What is in the slots goes with the link, and what comes after it is sent. */
TEST_F(batches, link_down_while_paused)
{
	uint64_t pauses = dev_counter(SNAP_CTR_TX_PAUSES);

	ASSERT_EQ(0, set_copybreak(self->fd, 1));
	while (dev_counter(SNAP_CTR_TX_PAUSES) == pauses)
		ASSERT_EQ(BATCH, send_batch(self, BATCH, LONG));
	EXPECT_EQ(0, sh("ip link set " NETDEV " down"));
	receive_all(_metadata, self, 100);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	EXPECT_EQ(0, sh("ip link set " NETDEV " up && ip addr replace " GUEST6 "/64 dev "
			NETDEV " nodad"));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 20 " HOST4 " >/dev/null"));
}

TEST_HARNESS_MAIN
