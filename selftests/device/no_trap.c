// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that cannot trap stores: no snapshots, and captures that copy.  Nor does it
 * offer large frames.  All else is as ever.  Runs in a machine of its own.
 *
 * Machines: auto-2
 */

#include <errno.h>
#include <sys/ioctl.h>

#include "bulk.h"
#include "kselftest_harness.h"

#define PAGES	16
#define LENGTH	(PAGES * PAGE)
#define BYTES	20000

FIXTURE(no_trap)
{
	struct snap_info before;
	struct region r;
};

FIXTURE_SETUP(no_trap)
{
	ASSERT_EQ(0, dev_info(&self->before));
	if (self->before.features & SNAP_F_SNAPSHOT)
		SKIP(return, "this device can trap stores");
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	fill(self->r.p, LENGTH, 1);
}

FIXTURE_TEARDOWN(no_trap)
{
	struct snap_info after;

	region_drop(&self->r);
	EXPECT_LE(self->before.free_frames,
		  wait_free_frames(self->before.free_frames, 5000));
	EXPECT_EQ(0, dev_info(&after));
	EXPECT_EQ(self->before.used_frames, after.used_frames);
}

TEST_F(no_trap, no_snapshots)
{
	uint64_t snapshots = dev_counter(SNAP_CTR_SNAPSHOTS);
	uint64_t version = 0;
	uint32_t none = 0;

	EXPECT_EQ(-EOPNOTSUPP, snapshot_fd(self->r.fd, &version));
	/* what needs one says what it always says without */
	EXPECT_EQ(-EINVAL, commit(self->r.fd, self->r.fd, &version));
	EXPECT_EQ(-EINVAL, merge(self->r.fd, self->r.fd, self->r.fd, NULL, &none));
	EXPECT_EQ(snapshots, dev_counter(SNAP_CTR_SNAPSHOTS));
	EXPECT_EQ(0, sh(". /run/snap-vm/settings; "
			"! $VM_TOP/build/tools/snapctl status | grep -q snapshot"));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 1));
	EXPECT_EQ(0, discard(self->r.fd, 0, PAGE));
	EXPECT_EQ(0, self->r.p[PAGE - 1]);
}

/* The device copies what a capture refers to: the processor does not. */
TEST_F(no_trap, by_reference)
{
	uint64_t shared = dev_counter(SNAP_CTR_SHARED_BYTES);
	static char back[BYTES];
	union address at;
	socklen_t len;
	int sink = udp_on_loopback(AF_INET, &at, &len);
	int fd = udp_socket(AF_SNAP, AF_INET);
	int i;

	ASSERT_GE(sink, 0);
	ASSERT_EQ(0, set_timeout(sink, 5000));
	ASSERT_EQ(0, connect(fd, &at.sa, len));
	for (i = 2; i < 10; i++) {
		fill(self->r.p, LENGTH, i);
		ASSERT_EQ(BYTES, send(fd, self->r.p, BYTES, 0));
		fill(self->r.p, LENGTH, 100);
		ASSERT_EQ(BYTES, recv(sink, back, BYTES, 0));
		EXPECT_EQ(-1, differs(back, BYTES, i));
	}
	EXPECT_EQ(8 * BYTES, sock_stats(fd).tx_ref_bytes);
	EXPECT_EQ(shared, dev_counter(SNAP_CTR_SHARED_BYTES));
	close(fd);
	close(sink);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

TEST_F(no_trap, no_large_frames)
{
	uint64_t frames = dev_counter(SNAP_CTR_RX_FRAMES);
	struct bulk b;

	if (!host_stream_port())
		SKIP(return, "no echo server for streams at the host");
	EXPECT_EQ(0, self->before.features & SNAP_F_LARGE_FRAMES);
	ASSERT_EQ(0, bulk_open(&b, AF_SNAP));
	EXPECT_EQ(0, bulk_echoed(&b));
	EXPECT_LE(frames + BULK / PAGE / 2, dev_counter(SNAP_CTR_RX_FRAMES));
	bulk_close(&b);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	/* it never had them: nothing to tell */
	EXPECT_EQ(0, sh("! dmesg | grep -q 'large frames'"));
}

TEST_HARNESS_MAIN
