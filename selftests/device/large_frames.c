// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bulk data from the wire comes in large frames, and is sent in such.  They come home however they are let
 * go of; a view of a part keeps them; and where no large one is free, data comes all
 * the same.
 *
 * Machines: share-2 copy-2 debug newest
 */

#define _GNU_SOURCE
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "view.h"

/* Until the device has learnt that the packets are large, and more. */
#define BULK		(64 * STREAM_ROOM)
#define LARGE_PAGES	SNAP_LARGE_FRAMES
#define WINDOW		(64 * PAGE)
#define ROWS		500
#define MAX		SNAP_VIEW_PARTS_MAX

FIXTURE(large_frames)
{
	int fd;			/* a stream that comes back from the host */
	uint64_t at;		/* bytes that have come */
	char *out, *back;	/* STREAM_ROOM each */
	struct view_message got;
	uint64_t bad_entries;
};

FIXTURE_SETUP(large_frames)
{
	int big = 8 << 20;

	self->fd = -1;
	if (!host_stream_port())
		SKIP(return, "no echo server for streams at the host");
	ASSERT_EQ(0, wait_no_guest_frames(10000));
	self->bad_entries = dev_counter(SNAP_CTR_BAD_ENTRY);
	self->out = malloc(STREAM_ROOM);
	self->back = malloc(STREAM_ROOM);
	self->at = 0;
	self->fd = tcp_connect(AF_SNAP, AF_INET, HOST4, host_stream_port());
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, set_timeout(self->fd, PATIENCE));
	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)));
}

FIXTURE_TEARDOWN(large_frames)
{
	if (self->fd < 0)
		return;
	close(self->fd);
	free(self->out);
	free(self->back);
	EXPECT_EQ(0, wait_no_frames_out(10000));
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	EXPECT_EQ(self->bad_entries, dev_counter(SNAP_CTR_BAD_ENTRY));
}

static uint64_t large_packets(void)
{
	return ethtool_counter("driver_rx_large_packets");
}

static bool ask(FIXTURE_DATA(large_frames) *self)
{
	fill_stream(self->out, STREAM_ROOM, self->at);
	return send(self->fd, self->out, STREAM_ROOM, 0) == STREAM_ROOM;
}

/* Bulk data goes to the host and comes back whole; how many packets were large. */
static long echoed(FIXTURE_DATA(large_frames) *self)
{
	uint64_t before = large_packets();

	for (uint64_t end = self->at + BULK; self->at < end; self->at += STREAM_ROOM)
		if (!ask(self) ||
		    !comes_out(self->fd, self->back, self->at, STREAM_ROOM))
			return -1;
	return large_packets() - before;
}

/* Frames of the guest once so many bytes wait in the socket; zero: they do not come. */
static uint64_t unread(FIXTURE_DATA(large_frames) *self)
{
	int bytes = 0, ms = PATIENCE;

	if (!ask(self))
		return 0;
	while (!ioctl(self->fd, FIONREAD, &bytes) && bytes < (int)STREAM_ROOM && ms--)
		usleep(1000);
	return bytes < (int)STREAM_ROOM ? 0 : dev_counter(SNAP_CTR_GUEST_FRAMES);
}

TEST_F(large_frames, bulk_comes_in_them)
{
	/* a packet has 64 KiB at most; some are small, and some come before that is learnt */
	EXPECT_LE((long)(BULK / (LARGE_PAGES * PAGE)) / 8, echoed(self));
}

TEST_F(large_frames, unread_comes_home)
{
	ASSERT_LE(0, echoed(self));
	EXPECT_LE(STREAM_ROOM / PAGE / 2, unread(self));
}

TEST_F(large_frames, comes_home_from_who_is_killed)
{
	int status;
	pid_t pid;

	ASSERT_LE(0, echoed(self));
	EXPECT_LE(STREAM_ROOM / PAGE / 2, unread(self));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		pause();
		_exit(0);
	}
	close(self->fd);
	EXPECT_LE(STREAM_ROOM / PAGE / 2, dev_counter(SNAP_CTR_GUEST_FRAMES));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	self->fd = dup(0);	/* for the end */
}

/* What is sent is in one frame, whose bytes stay, where the device copies. */
TEST_F(large_frames, captures_are_in_them)
{
	const char *capture = getenv("SNAP_VM_CAPTURE");
	const size_t length = 14 * PAGE + 100;
	struct region r;
	int fd[2], i;

	if (!capture || strcmp(capture, "copy"))
		SKIP(return, "captures may share here");
	ASSERT_EQ(0, region_make(&r, 16 * PAGE));
	ASSERT_EQ(0, udp_pair(AF_SNAP, AF_INET, fd));
	for (i = 0; i < 3; i++) {
		fill(r.p, length, i);
		ASSERT_EQ((ssize_t)length, send(fd[0], r.p, length, 0));
		EXPECT_EQ((uint64_t)LARGE_PAGES, dev_counter(SNAP_CTR_GUEST_FRAMES));
		memset(r.p, ~0, length);
		ASSERT_EQ((ssize_t)length, recv(fd[1], self->back, STREAM_ROOM, 0));
		EXPECT_EQ(-1, differs(self->back, length, i));
		EXPECT_EQ(0, wait_no_guest_frames(10000));
	}
	close(fd[0]);
	close(fd[1]);
	region_drop(&r);
}

/*
 * Take some bytes by view, keep a page of each part; how many frames are out then, or -1.
 */
static long keep_a_page(FIXTURE_DATA(large_frames) *self, const struct view *v)
{
	struct view_message *got = &self->got;
	unsigned int i;

	if (!unread(self))
		return -1;
	view_receive(self->fd, got, RECEIVE_MAX, 0, MAX);
	if (got->bytes <= 0 || !got->n)
		return -1;
	view_message_gather(got, v);
	if (differs_stream(got->buffer, got->bytes, self->at) >= 0 ||
	    !comes_out(self->fd, self->back, self->at + got->bytes,
		       STREAM_ROOM - got->bytes))
		return -1;
	for (i = 0; i < got->n; i++) {
		const struct snap_view_part *part = &got->part[i];

		if (part->length > PAGE &&
		    view_release(self->fd, part->offset + PAGE, part->length - PAGE))
			return -1;
	}
	/* what sockets and the thread of the device keep comes home meanwhile */
	return wait_no_frames_out(300);
}

/* A page that is kept keeps all of the large frame that it is of, and its bytes. */
TEST_F(large_frames, a_page_of_a_view_keeps_it)
{
	struct view v;
	int tries = 20;
	long kept;

	ASSERT_EQ(0, set_copybreak(self->fd, 1));
	ASSERT_EQ(0, view_make(&v, self->fd, WINDOW, 0));
	ASSERT_LE(0, echoed(self));
	do {
		kept = keep_a_page(self, &v);
		ASSERT_LE(0, kept);
		EXPECT_EQ(-1, differs_stream(v.p + self->got.part[0].offset,
					     PAGE - self->got.part[0].offset % PAGE,
					     self->at + self->got.part[0].at));
		self->at += STREAM_ROOM;
		ASSERT_EQ(0, view_message_release(self->fd, &self->got));
		/* a packet of its own size had the bytes, and may come again */
	} while (kept < (long)LARGE_PAGES && --tries);
	EXPECT_LE((long)LARGE_PAGES, kept);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	view_drop(&v);
}

/*
 * Regions have one frame of each row of 16 that they can get, and nobody the others: what
 * lies in a row is what only reception may use.
 */
static int scatter(int *fds)
{
	int rest[ROWS], n = 0, i;

	while (n < ROWS) {
		fds[n] = region_fd(PAGE, SNAP_HINT_NONE);
		if (fds[n] < 0)
			break;
		rest[n] = region_fd((LARGE_PAGES - 1) * PAGE, SNAP_HINT_NONE);
		if (rest[n++] < 0)
			break;
	}
	for (i = 0; i < n; i++)
		close(rest[i]);
	return n;
}

TEST_F(large_frames, without_them_data_comes)
{
	int fds[ROWS], n, i;

	ASSERT_LE(0, echoed(self));
	ASSERT_EQ(0, wait_no_guest_frames(10000));
	n = scatter(fds);
	ASSERT_LT(1, n);
	EXPECT_LE(0, echoed(self));
	for (i = 0; i < n; i++)
		close(fds[i]);
	EXPECT_LE((long)(BULK / (LARGE_PAGES * PAGE)) / 8, echoed(self));
}

TEST_HARNESS_MAIN
