// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bulk data from the wire comes in large frames, and is sent in such.  They come home
 * however they are let go of; a view of a part keeps them; and where no large one is
 * free, data comes all the same.
 *
 * Machines: share-2 copy-2 debug newest
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bulk.h"
#include "kselftest_harness.h"

#define LARGE_PAGES	SNAP_LARGE_FRAMES
#define WINDOW		(64 * PAGE)
#define ROWS		300
#define FDS		(3 * ROWS)
#define PIECE		(8 * PAGE)
#define REFERENCES	"/sys/module/snap/refcnt"
#define UNREAD		20	/* times STREAM_ROOM, less than a socket may have */

FIXTURE(large_frames)
{
	struct bulk bulk;
	struct view_message got;
	uint64_t bad_entries;
};

FIXTURE_SETUP(large_frames)
{
	self->bulk.fd = -1;
	if (!host_stream_port())
		SKIP(return, "no echo server for streams at the host");
	ASSERT_EQ(0, wait_no_guest_frames(10000));
	self->bad_entries = dev_counter(SNAP_CTR_BAD_ENTRY);
	ASSERT_EQ(0, bulk_open(&self->bulk, AF_SNAP));
}

FIXTURE_TEARDOWN(large_frames)
{
	if (self->bulk.fd < 0)
		return;
	bulk_close(&self->bulk);
	EXPECT_EQ(0, wait_no_frames_out(10000));
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	EXPECT_EQ(self->bad_entries, dev_counter(SNAP_CTR_BAD_ENTRY));
}

/* Frames of the guest once STREAM_ROOM bytes wait in the socket; zero: they do not. */
static uint64_t unread(struct bulk *b)
{
	return bulk_wait(b) ? dev_counter(SNAP_CTR_GUEST_FRAMES) : 0;
}

TEST_F(large_frames, bulk_comes_in_them)
{
	EXPECT_TRUE(bulk_is_large(&self->bulk));
}

TEST_F(large_frames, unread_comes_home)
{
	ASSERT_TRUE(bulk_is_large(&self->bulk));
	EXPECT_LE(STREAM_ROOM / PAGE / 2, unread(&self->bulk));
}

TEST_F(large_frames, comes_home_from_who_is_killed)
{
	int status;
	pid_t pid;

	ASSERT_TRUE(bulk_is_large(&self->bulk));
	EXPECT_LE(STREAM_ROOM / PAGE / 2, unread(&self->bulk));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		pause();
		_exit(0);
	}
	close(self->bulk.fd);
	EXPECT_LE(STREAM_ROOM / PAGE / 2, dev_counter(SNAP_CTR_GUEST_FRAMES));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	self->bulk.fd = dup(0);	/* for the end */
}

/* Those that stay: the last frame is no longer out before it has let go. */
static long module_references(void)
{
	long last, now = read_number(REFERENCES);

	do {
		last = now;
		sleep_ms(100);
		now = read_number(REFERENCES);
	} while (now != last);
	return now;
}

/* They hold the module as long as they are out, where no socket of ours does. */
TEST_F(large_frames, hold_the_module)
{
	struct bulk plain;
	long without;

	close(self->bulk.fd);
	self->bulk.fd = dup(0);	/* for the end */
	ASSERT_EQ(0, wait_no_frames_out(10000));
	without = module_references();
	ASSERT_EQ(0, bulk_open(&plain, AF_INET));
	EXPECT_TRUE(bulk_is_large(&plain));
	EXPECT_LE(STREAM_ROOM / PAGE / 2, unread(&plain));
	EXPECT_EQ(without + 1, read_number(REFERENCES));
	EXPECT_NE(0, sh("rmmod snap 2>/dev/null"));
	bulk_close(&plain);
	EXPECT_EQ(0, wait_no_frames_out(10000));
	EXPECT_EQ(without, module_references());
}

/* What is sent is in one frame, whose bytes stay, where the device copies. */
TEST_F(large_frames, captures_are_in_them)
{
	const char *capture = getenv("SNAP_VM_CAPTURE");
	const size_t length = 8 * PAGE + 100;
	struct region r;
	int fd[2], i;

	if (!capture || strcmp(capture, "copy"))
		SKIP(return, "captures may share here");
	ASSERT_EQ(0, region_make(&r, 16 * PAGE));
	ASSERT_EQ(0, udp_pair(AF_SNAP, AF_INET, fd));
	for (i = 0; i < 3; i++) {
		fill(r.p, length, i);
		ASSERT_EQ((ssize_t)length, send(fd[0], r.p, length, 0));
		EXPECT_LE((uint64_t)LARGE_PAGES, dev_counter(SNAP_CTR_GUEST_FRAMES));
		memset(r.p, ~0, length);
		ASSERT_EQ((ssize_t)length, recv(fd[1], self->bulk.back, STREAM_ROOM, 0));
		EXPECT_EQ(-1, differs(self->bulk.back, length, i));
		EXPECT_EQ(0, wait_no_guest_frames(10000));
	}
	close(fd[0]);
	close(fd[1]);
	region_drop(&r);
}

/*
 * A page that is kept keeps all of the large frame that it is of, and its bytes; one that
 * can be pinned is a PART from the first look on.
 */
static void page_keeps(struct __test_metadata *_metadata,
		       FIXTURE_DATA(large_frames) *self, uint32_t flags)
{
	struct bulk *b = &self->bulk;
	struct view v;
	int tries = 20;
	long kept;

	ASSERT_EQ(0, set_copybreak(b->fd, 1));
	ASSERT_EQ(0, view_make(&v, b->fd, WINDOW, flags));
	ASSERT_TRUE(bulk_is_large(b));
	do {
		uint64_t at = b->at;

		kept = bulk_keep(b, &self->got, &v, 1);
		ASSERT_LE(0, kept);
		ASSERT_LT(0, self->got.n);
		EXPECT_EQ(-1, differs_stream(v.p + self->got.part[0].offset,
					     PAGE - self->got.part[0].offset % PAGE,
					     at + self->got.part[0].at));
		ASSERT_EQ(0, view_message_release(b->fd, &self->got));
		/* a packet of its own size had the bytes, and may come again */
	} while (kept < (long)LARGE_PAGES && --tries);
	EXPECT_LE((long)LARGE_PAGES, kept);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	view_drop(&v);
}

TEST_F(large_frames, a_page_of_a_view_keeps_it)
{
	page_keeps(_metadata, self, 0);
}

TEST_F(large_frames, a_page_to_pin_keeps_it)
{
	page_keeps(_metadata, self, SNAP_VIEW_LAZY);
}

/* What is sent from a view may be of several large frames: each gets back what it gave. */
TEST_F(large_frames, sent_across_them)
{
	struct bulk *b = &self->bulk;
	size_t at, used, length = 15 * PAGE;
	unsigned int i, sent = 0;
	struct view v;
	int fd[2];

	ASSERT_EQ(0, set_copybreak(b->fd, 1));
	ASSERT_EQ(0, view_make(&v, b->fd, WINDOW, 0));
	ASSERT_EQ(0, view_pair(SOCK_DGRAM, fd));
	ASSERT_TRUE(bulk_is_large(b));
	for (i = 0; i < 3; i++)
		ASSERT_TRUE(bulk_view(b, &self->got, &v, LARGE_PAGES + 1));
	used = view_used(b->fd);
	ASSERT_LE(2 * LARGE_PAGES * PAGE, used);
	for (at = 0; at + length <= used; at += PAGE, sent++) {
		ASSERT_EQ((ssize_t)length, send(fd[1], v.p + at, length, 0));
		ASSERT_EQ((ssize_t)length, recv(fd[0], b->back, STREAM_ROOM, 0));
		ASSERT_EQ(0, memcmp(b->back, v.p + at, length));
	}
	EXPECT_EQ(sent, sock_stats(fd[1]).tx_ref_msgs);
	/* no frame has gone home that is in the view still, and then all do */
	EXPECT_LE((long)(used / PAGE), wait_no_frames_out(300));
	EXPECT_EQ(0, view_release(b->fd, 0, WINDOW));
	EXPECT_EQ(0, wait_no_guest_frames(10000));
	close(fd[0]);
	close(fd[1]);
	view_drop(&v);
}

/* What was received goes out again, twice: from where it lies. */
TEST_F(large_frames, spliced_goes_by_reference)
{
	uint64_t sent, copied = ethtool_counter("driver_edge_bytes");
	struct bulk *b = &self->bulk, to[2];
	int pipes[2][2], i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, bulk_open(&to[i], AF_INET));
		ASSERT_EQ(0, bulk_pipe(pipes[i]));
	}
	ASSERT_TRUE(bulk_is_large(b));
	ASSERT_TRUE(bulk_splice(b, pipes[0], PIECE));
	ASSERT_EQ(PIECE, tee(pipes[0][0], pipes[1][1], PIECE, 0));
	sent = dev_counter(SNAP_CTR_TX_FRAME_BYTES);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(PIECE, splice(pipes[i][0], NULL, to[i].fd, NULL, PIECE, 0));
		EXPECT_TRUE(comes_out(to[i].fd, to[i].back, b->at, PIECE));
		bulk_close(&to[i]);
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	EXPECT_LE(sent + 2 * PIECE, dev_counter(SNAP_CTR_TX_FRAME_BYTES));
	EXPECT_EQ(copied, ethtool_counter("driver_edge_bytes"));
}

/*
 * Regions have one frame of each row of 16 that nobody else has: the others of ROWS rows are
 * free.  First they have all that they can get; then they give those back and get what
 * is still in a row, where reception had the last frames to itself.
 */
static int scatter(int *fds)
{
	int rest[ROWS], n, i, whole;

	for (i = 0; i < ROWS; i++) {
		fds[i] = region_fd(PAGE, SNAP_HINT_NONE);
		rest[i] = region_fd((LARGE_PAGES - 1) * PAGE, SNAP_HINT_NONE);
	}
	n = ROWS + regions_take_all(fds + ROWS, ROWS / 2);
	whole = dev_counter(SNAP_CTR_FREE_FRAMES) / LARGE_PAGES + 2;
	for (i = 0; i < ROWS; i++)
		close(rest[i]);
	/* the window may not have room for the last, which are for good measure */
	while (whole-- > 0 && n < FDS)
		fds[n++] = region_fd(LARGE_PAGES * PAGE, SNAP_HINT_NONE);
	return n;
}

TEST_F(large_frames, without_them_data_comes)
{
	struct bulk unread;
	int fds[FDS], n, i;
	uint64_t lacked;

	ASSERT_EQ(0, bulk_open(&unread, AF_SNAP));
	ASSERT_TRUE(bulk_is_large(&self->bulk));
	ASSERT_EQ(0, wait_no_guest_frames(10000));
	n = scatter(fds);
	self->bad_entries = dev_counter(SNAP_CTR_BAD_ENTRY);	/* no room for a region */
	lacked = dev_counter(SNAP_CTR_RX_NO_LARGE);
	/* few rows that are whole by chance would do, but what is unread has them */
	for (i = 0; i < UNREAD && dev_counter(SNAP_CTR_RX_NO_LARGE) == lacked; i++)
		EXPECT_TRUE(bulk_wait(&unread));
	EXPECT_LE(0, bulk_echoed(&self->bulk));
	EXPECT_LT(lacked, dev_counter(SNAP_CTR_RX_NO_LARGE));
	bulk_close(&unread);
	for (i = 0; i < n; i++)
		close(fds[i]);
	EXPECT_TRUE(bulk_is_large(&self->bulk));
}

TEST_HARNESS_MAIN
