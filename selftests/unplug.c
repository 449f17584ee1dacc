// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host takes the device out while frames are in sockets and a region and a
 * snapshot are mapped.  The guest lives on, says so once, and lets go of the orphans.
 * The other side is unplug-host.sh, which waits for a file of the share.
 */

#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define LENGTH	60000

static int log_has(const char *text)
{
	return sh("dmesg | grep -q '%s'", text);
}

static bool wait_until(const char *command, unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	while (sh("%s", command))
		if (now_ms() > end)
			return false;
		else
			sleep_ms(100);
	return true;
}

FIXTURE(unplug)
{
	int sink;		/* unread */
	int fd;
	struct region r;
};

FIXTURE_SETUP(unplug)
{
	union address at;
	socklen_t length;

	self->sink = udp_on_loopback(AF_INET, &at, &length);
	self->fd = udp_socket(AF_SNAP, AF_INET);
	ASSERT_GE(self->sink, 0);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, connect(self->fd, &at.sa, length));
	ASSERT_EQ(0, region_make(&self->r, 16 * PAGE));
}

FIXTURE_TEARDOWN(unplug)
{
	region_drop(&self->r);
	close(self->fd);
	close(self->sink);
}

TEST_F_TIMEOUT(unplug, with_frames_out, 120)
{
	static char back[LENGTH];
	struct snap_info info;
	const char *p;
	int snapshot;

	fill(self->r.p, LENGTH, 1);
	snapshot = snapshot_fd(self->r.fd, NULL);
	p = snapshot_map(snapshot, 16 * PAGE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, differs(p, LENGTH, 1));
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	ASSERT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
	ASSERT_EQ(0, sh("touch $SNAP_VM_SHARE/unplug"));
	ASSERT_TRUE(wait_until("! ip link show " NETDEV " >/dev/null 2>&1", 60000));
	ASSERT_TRUE(wait_until("dmesg | grep -q 'frames in use'", 5000));

	EXPECT_EQ(-ENODEV, dev_info(&info));
	EXPECT_EQ(-ENODEV, region_fd(PAGE, SNAP_HINT_NONE));
	EXPECT_EQ(-1, send(self->fd, self->r.p, LENGTH, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_TRUE(store_is_fatal(self->r.p, SIGBUS));
	EXPECT_TRUE(load_is_fatal(p, SIGBUS));
	EXPECT_EQ(-1, pread(snapshot, back, LENGTH, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-ENODEV, snapshot_fd(self->r.fd, NULL));
	munmap((void *)p, 16 * PAGE);
	close(snapshot);
	/* Its content may be lost, its length and its pages are not. */
	EXPECT_EQ(LENGTH, recv(self->sink, back, LENGTH, MSG_DONTWAIT));
	EXPECT_TRUE(wait_until("dmesg | grep -q 'last orphaned frame'", 5000));
	/* what is left of the machine is well */
	EXPECT_EQ(10, send(self->fd, back, 10, 0));
	EXPECT_EQ(10, recv(self->sink, back, 10, 0));
	EXPECT_NE(0, log_has("Oops"));
	EXPECT_EQ(0, sh("test $(dmesg | grep -c 'frames in use') = 1"));
}

TEST_HARNESS_MAIN
