// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is read on another processor than the one that made it waits there to be
 * freed: frames come home all the same if that processor is quiet, and if it has
 * gone offline (promise 8).
 *
 * Machines: share-2 debug newest
 * Paths: thread-auto-* main-auto-*
 */

#define _GNU_SOURCE
#include <sched.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define LENGTH	(40 * PAGE)	/* in so few packets that nobody is woken for them */
#define ONLINE	"/sys/devices/system/cpu/cpu1/online"
/* What is promised, and as much again for a slow host. */
#define BOUND	2000

static int run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

FIXTURE(quiet_cpu)
{
	int fd[2];
	struct region r;
	struct snap_info info;
};

FIXTURE_SETUP(quiet_cpu)
{
	int big = 4 << 20;

	ASSERT_EQ(0, wait_no_frames_out(5000));
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, self->fd));
	ASSERT_EQ(0, setsockopt(self->fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &big,
				sizeof(big)));
	ASSERT_EQ(0, setsockopt(self->fd[1], SOL_SOCKET, SO_SNDBUFFORCE, &big,
				sizeof(big)));
	fill_stream(self->r.p, LENGTH, 0);
}

FIXTURE_TEARDOWN(quiet_cpu)
{
	close(self->fd[0]);
	close(self->fd[1]);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_frames_out(5000));
}

/* From processor 1 to processor 0: then frames wait on the list of the former. */
static bool leave_frames(int *fd, const char *p, struct snap_info *info)
{
	static char back[STREAM_ROOM];
	int tries;

	for (tries = 0; tries < 10; tries++) {
		if (run_on(1) || send(fd[1], p, LENGTH, 0) != LENGTH || run_on(0))
			return false;
		wait_until_still(fd[0]);
		if (!comes_out(fd[0], back, 0, LENGTH) || dev_info(info))
			return false;
		if (info->out_frames)
			return true;
	}
	return false;
}

TEST_F(quiet_cpu, keeps_no_frames)
{
	ASSERT_TRUE(leave_frames(self->fd, self->r.p, &self->info));
	EXPECT_EQ(0, wait_no_frames_out(BOUND));
}

/*
 * Who needs frames does not wait for that.  The pool has as many as one round and a
 * part of the next, and what a round sends is not what the last one sent.
 */
TEST_F(quiet_cpu, spares_no_frames)
{
	int regions[800], n = regions_take_all(regions, 800), round;
	struct snap_sock_stats stats;

	ASSERT_GT(n, 0);
	/* the first is of 1024 pages: change it for a smaller one */
	ASSERT_EQ(0, close(regions[0]));
	regions[0] = region_fd((1024 - LENGTH / PAGE - 10) * PAGE, SNAP_HINT_NONE);
	ASSERT_GE(regions[0], 0);
	for (round = 0; round < 5; round++) {
		fill_stream(self->r.p, LENGTH, 0);
		ASSERT_TRUE(leave_frames(self->fd, self->r.p, &self->info));
	}
	stats = sock_stats(self->fd[1]);
	EXPECT_EQ(0, stats.copied_bytes[SNAP_COPY_NO_FRAMES]);
	EXPECT_LE(5 * LENGTH, stats.tx_ref_bytes);
	while (n)
		close(regions[--n]);
}

/* Then nothing that arrives ever frees what is on its list. */
TEST_F(quiet_cpu, keeps_no_frames_offline)
{
	ASSERT_TRUE(leave_frames(self->fd, self->r.p, &self->info));
	ASSERT_EQ(0, write_text(ONLINE, "0"));
	EXPECT_EQ(0, wait_no_frames_out(BOUND));
	EXPECT_EQ(0, write_text(ONLINE, "1"));
}

TEST_HARNESS_MAIN
