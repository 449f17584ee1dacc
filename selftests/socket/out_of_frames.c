// SPDX-License-Identifier: GPL-2.0-only
/*
 * Promise 7: when regions have taken every frame, everything still works by
 * copying, and by reference again once there are frames.
 *
 * Machines: share-2 copy-2 asan debug
 * Paths: *
 */

#define _GNU_SOURCE
#include "kselftest_harness.h"
#include "snap_test_util.h"

FIXTURE(full)
{
	int fd;			/* AF_SNAP, connected to the echo */
	int echo;
	struct region r;
	int regions[800];
	int n;
	uint64_t free;		/* frames, before */
};

FIXTURE_VARIANT(full)
{
	bool device;
};

FIXTURE_VARIANT_ADD(full, lo) {
	.device = false,
};
FIXTURE_VARIANT_ADD(full, dev) {
	.device = true,
};

FIXTURE_SETUP(full)
{
	union address peer;
	socklen_t length = sizeof(peer.in);
	struct snap_info info;

	if (variant->device) {
		if (!host_echo_port())
			SKIP(return, "no echo server on the host");
		length = address_set(&peer, AF_INET, HOST4, host_echo_port());
	} else {
		self->echo = echo_start(AF_INET, &peer);
		ASSERT_GT(self->echo, 0);
	}
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	ASSERT_EQ(0, dev_info(&info));
	self->free = info.free_frames;
	self->fd = udp_socket(AF_SNAP, AF_INET);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, set_timeout(self->fd, 5000));
	ASSERT_EQ(0, set_copybreak(self->fd, 0));
	ASSERT_EQ(0, connect(self->fd, &peer.sa, length));
	ASSERT_EQ(0, region_make(&self->r, 17 * PAGE));
	self->n = regions_take_all(self->regions, 800);
	ASSERT_GT(self->n, 0);
}

FIXTURE_TEARDOWN(full)
{
	while (self->n)
		close(self->regions[--self->n]);
	region_drop(&self->r);
	close(self->fd);
	echo_stop(self->echo);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	EXPECT_LE(self->free, wait_free_frames(self->free, 5000));
}

static int round_trip(int fd, char *p, size_t length, unsigned int seed)
{
	static char back[65536];

	fill(p, length, seed);
	if (send(fd, p, length, 0) != (ssize_t)length)
		return -1;
	memset(p, POISON, length);
	if (recv(fd, back, sizeof(back), 0) != (ssize_t)length)
		return -2;
	return differs(back, length, seed) < 0 ? 0 : -3;
}

TEST_F(full, works_by_copying)
{
	static const size_t lengths[] = { 1, 100, 4096, 8192, 30000, 65000 };
	struct snap_sock_stats s;
	uint64_t bytes = 0;
	size_t i;
	int round;

	EXPECT_EQ(-ENOSPC, region_fd(PAGE, SNAP_HINT_NONE));
	for (round = 0; round < 5; round++)
		for (i = 0; i < ARRAY_SIZE(lengths); i++) {
			EXPECT_EQ(0, round_trip(self->fd, self->r.p + i * 3,
						lengths[i], i));
			bytes += lengths[i];
		}
	s = sock_stats(self->fd);
	EXPECT_EQ(0, s.tx_ref_msgs);
	EXPECT_EQ(30, s.copied_msgs[SNAP_COPY_NO_FRAMES]);
	EXPECT_EQ(bytes, s.copied_bytes[SNAP_COPY_NO_FRAMES]);
	EXPECT_EQ(30, s.rx_msgs);
	if (variant->device)
		EXPECT_EQ(0, sh("ping -q -c 3 -i 0.2 -W 3 " HOST4 " >/dev/null"));
	/* and as soon as there are some */
	while (self->n)
		close(self->regions[--self->n]);
	EXPECT_EQ(0, round_trip(self->fd, self->r.p, 65000, 9));
	EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
}

/*
 * What captures and later stores need is kept: with few frames left, captures
 * of every kind go on until the last, and no store ever waits.
 */
TEST_F(full, the_last_frames)
{
	struct snap_sock_stats s;
	int i;

	/* the first region is of 1024 pages: change it for a smaller one */
	ASSERT_EQ(0, close(self->regions[0]));
	self->regions[0] = region_fd((1024 - 40) * PAGE, SNAP_HINT_NONE);
	ASSERT_GE(self->regions[0], 0);
	for (i = 0; i < 100; i++) {
		fill(self->r.p, 60000, i);
		ASSERT_EQ(60000, send(self->fd, self->r.p, 60000, 0));
		memset(self->r.p, POISON, 60000);
	}
	s = sock_stats(self->fd);
	EXPECT_EQ(100, s.tx_ref_msgs + s.tx_copied_msgs);
	EXPECT_GT(s.tx_ref_msgs, 0);
	TH_LOG("%llu by reference, %llu copied",
	       (unsigned long long)s.tx_ref_msgs,
	       (unsigned long long)s.tx_copied_msgs);
}

TEST_HARNESS_MAIN
