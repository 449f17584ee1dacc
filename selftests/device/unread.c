// SPDX-License-Identifier: GPL-2.0-only
/*
 * In a small pool, sockets that nobody reads get far more than the pool can
 * hold, in large frames as well: reception goes on all the same, and everything comes
 * home.
 *
 * Machines: share-2 debug
 */

#define _GNU_SOURCE
#include "kselftest_harness.h"
#include "snap_test_util.h"

#define SOCKETS	30
#define ROUNDS	40
#define LENGTH	60000

FIXTURE(unread)
{
	int fd[SOCKETS];
	union address echo;
	socklen_t length;
};

FIXTURE_VARIANT(unread)
{
	int domain;
};

FIXTURE_VARIANT_ADD(unread, snap) {
	.domain = AF_SNAP,
};
FIXTURE_VARIANT_ADD(unread, inet) {
	.domain = AF_INET,
};

FIXTURE_SETUP(unread)
{
	int size = 8 << 20, i;

	if (!host_echo_port())
		SKIP(return, "no echo server on the host");
	self->length = address_set(&self->echo, AF_INET, HOST4,
				   host_echo_port());
	for (i = 0; i < SOCKETS; i++) {
		self->fd[i] = udp_socket(variant->domain, AF_INET);
		ASSERT_GE(self->fd[i], 0);
		ASSERT_EQ(0, setsockopt(self->fd[i], SOL_SOCKET, SO_RCVBUFFORCE,
					&size, sizeof(size)));
	}
}

FIXTURE_TEARDOWN(unread)
{
	int i;

	for (i = 0; i < SOCKETS; i++)
		close(self->fd[i]);
	EXPECT_EQ(0, wait_no_frames_out(5000));
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

static int ping(void)
{
	return sh("ping -q -c 3 -i 0.2 -W 5 " HOST4 " >/dev/null");
}

/* Some are lost where there is no room, so the first may be of any round. */
static bool is_one_of_ours(const char *p)
{
	int round;

	for (round = 0; round < ROUNDS; round++)
		if (differs(p, LENGTH, round) < 0)
			return true;
	return false;
}

/* The host sends back what it gets: that is the flood. */
TEST_F_TIMEOUT(unread, do_not_stop_reception, 200)
{
	uint64_t bytes = dev_counter(SNAP_CTR_RX_BYTES), got;
	uint64_t large = ethtool_counter("driver_rx_large_packets");
	static char buffer[LENGTH];
	struct snap_info info;
	int i, round;

	ASSERT_EQ(0, dev_info(&info));
	ASSERT_EQ(0, ping());
	for (round = 0; round < ROUNDS; round++) {
		fill(buffer, LENGTH, round);
		for (i = 0; i < SOCKETS; i++) {
			ASSERT_EQ(LENGTH, sendto(self->fd[i], buffer, LENGTH, 0,
						 &self->echo.sa, self->length));
			if (i % 10 == 9)
				sleep_ms(20);
		}
		if (round % 10 == 9)
			EXPECT_EQ(0, ping());
	}
	sleep_ms(500);
	got = dev_counter(SNAP_CTR_RX_BYTES) - bytes;
	EXPECT_EQ(0, ping());
	large = ethtool_counter("driver_rx_large_packets") - large;
	TH_LOG("%llu MB came for nobody, %llu packets of them in large frames, the pool has %llu MB, %llu frames are out, %llu drops, %llu stalls",
	       (unsigned long long)got >> 20, (unsigned long long)large,
	       (unsigned long long)info.pool_frames >> 8,
	       (unsigned long long)dev_counter(SNAP_CTR_GUEST_FRAMES),
	       (unsigned long long)dev_counter(SNAP_CTR_RX_DROPPED),
	       (unsigned long long)dev_counter(SNAP_CTR_RX_STALLS));
	/* else nothing was tried */
	EXPECT_GT(got, 2 * info.pool_frames * PAGE);
	EXPECT_LT(0, large);
	/* what is in the sockets is whole, wherever it lies */
	for (i = 0; i < SOCKETS; i++) {
		ASSERT_EQ(LENGTH, recv(self->fd[i], buffer, LENGTH, MSG_DONTWAIT));
		EXPECT_TRUE(is_one_of_ours(buffer));
	}
}

TEST_HARNESS_MAIN
