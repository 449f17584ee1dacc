// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving by view what UDP_GRO put together: all segments are in the view, and the
 * control message says how long each is.
 *
 * Machines: share-2 copy-2 share-1 debug newest
 */

#define _GNU_SOURCE
#include <netinet/udp.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "view.h"

#define LENGTH		(16 * PAGE)
#define WINDOW		(64 * PAGE)
#define MAX		SNAP_VIEW_PARTS_MAX
#define LATE		"4000"	/* us: all that the host sends comes at once */

FIXTURE(gro)
{
	int tx;			/* sends; the host's echo sends back to it */
	int rx;
	struct region r;
	struct view v;
	struct view_message got;
};

FIXTURE_VARIANT(gro)
{
	bool host;
	int segment;		/* bytes */
};

/* Those of the host have three frames each, and more in all than a packet refers to. */
FIXTURE_VARIANT_ADD(gro, pages) { .segment = 2 * PAGE, };
FIXTURE_VARIANT_ADD(gro, odd) { .segment = 9000, };
FIXTURE_VARIANT_ADD(gro, pages_host) { .host = true, .segment = 2 * PAGE, };
FIXTURE_VARIANT_ADD(gro, odd_host) { .host = true, .segment = 9000, };

static int connect_host(void)
{
	union address at;
	socklen_t length = address_set(&at, AF_INET, HOST4, host_echo_port());
	int fd = udp_socket(AF_SNAP, AF_INET);

	return connect(fd, &at.sa, length) || set_copybreak(fd, 1) ||
	       set_timeout(fd, 10000) ? -1 : fd;
}

FIXTURE_SETUP(gro)
{
	int on = 1, fd[2];

	self->r.fd = -1;
	self->v.p = NULL;
	if (variant->host && !host_echo_port())
		SKIP(return, "no echo server on the host");
	if (variant->host) {
		fd[0] = connect_host();
		fd[1] = fd[0];
		ASSERT_LE(0, fd[0]);
		ASSERT_EQ(0, sh("ethtool -C " NETDEV " rx-usecs " LATE));
	} else {
		ASSERT_EQ(0, view_pair(SOCK_DGRAM, fd));
	}
	self->rx = fd[0];
	self->tx = fd[1];
	ASSERT_EQ(0, setsockopt(self->rx, SOL_UDP, UDP_GRO, &on, sizeof(on)));
	ASSERT_EQ(0, setsockopt(self->tx, SOL_UDP, UDP_SEGMENT, &variant->segment,
				sizeof(variant->segment)));
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	fill(self->r.p, LENGTH, 1);
	ASSERT_EQ(0, view_make(&self->v, self->rx, WINDOW, SNAP_VIEW_NEXT));
}

FIXTURE_TEARDOWN(gro)
{
	if (variant->host)
		EXPECT_EQ(0, sh("ethtool -C " NETDEV " rx-usecs 0"));
	view_drop(&self->v);
	close(self->tx);
	if (self->rx != self->tx)
		close(self->rx);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* All segments are there, of as many messages as it takes; the longest of these. */
static ssize_t receive_all(FIXTURE_DATA(gro) *self, size_t total)
{
	ssize_t longest = 0;
	size_t done;

	for (done = 0; done < total; done += self->got.bytes) {
		view_receive(self->rx, &self->got, RECEIVE_MAX, 0, MAX);
		if (self->got.bytes <= 0)
			return self->got.bytes;
		if (self->got.bytes > longest)
			longest = self->got.bytes;
		view_message_gather(&self->got, &self->v);
		if (memcmp(self->got.buffer, self->r.p + done, self->got.bytes) ||
		    view_message_beside(&self->got, &self->v))
			return -EBADMSG;
	}
	return longest;
}

TEST_F(gro, all_segments)
{
	size_t total = 7 * variant->segment;
	struct snap_sock_stats stats;
	ssize_t longest = 0;
	int i;

	/* from the host they may come apart: not always */
	for (i = 0; i < 50 && longest < total; i++) {
		ASSERT_EQ(total, send(self->tx, self->r.p, total, 0));
		longest = receive_all(self, total);
		ASSERT_LT(0, longest);
		/* that says how long a segment is */
		if (longest == total)
			EXPECT_EQ(1, self->got.others);
	}
	stats = sock_stats(self->rx);
	EXPECT_EQ(total, longest);
	EXPECT_EQ(i * total, stats.rx_viewed_bytes);
	EXPECT_EQ(0, stats.rx_copied_bytes);
}

TEST_HARNESS_MAIN
