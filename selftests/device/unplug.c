// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host takes the device out while frames, large ones among them, are in sockets,
 * in views and in pipes, and a region and a snapshot are mapped.  What is unread in
 * sockets is received as it was sent.  The guest lives on, says once that frames are in
 * use, and lets go of the orphans, which are those in the pipes.
 * The other side is peers/qmp-host.sh, which waits for a file of the share.
 *
 * Machines: share-2 copy-2 debug newest
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "bulk.h"
#include "kselftest_harness.h"

#define LENGTH	60000
#define PIECE	(8 * PAGE)
#define TRIES	20

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

/* A socket that has received by view, and has the same unread once more. */
struct viewer {
	int fd[2];		/* fd[0] receives */
	struct view v;
	struct view_message got;
};

static bool viewer_make(struct viewer *me, int type)
{
	int low = LENGTH;

	me->v.p = NULL;
	return !view_pair(type, me->fd) &&
	       !setsockopt(me->fd[0], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) &&
	       !view_make(&me->v, me->fd[0], 64 * PAGE, 0);
}

static void viewer_drop(struct viewer *me)
{
	view_drop(&me->v);
	close(me->fd[0]);
	close(me->fd[1]);
}

/* The bytes of p, which are those of seed 1, by reference and by view. */
static bool viewer_begin(struct viewer *me, const char *p)
{
	if (send(me->fd[1], p, LENGTH, 0) != LENGTH ||
	    send(me->fd[1], p, LENGTH, 0) != LENGTH ||
	    sock_stats(me->fd[1]).tx_copied_bytes)
		return false;
	view_receive(me->fd[0], &me->got, LENGTH, 0, SNAP_VIEW_PARTS_MAX);
	view_message_gather(&me->got, &me->v);
	return me->got.n && differs(me->got.buffer, LENGTH, 1) == -1;
}

static const char *viewer_page(const struct viewer *me)
{
	return me->v.p + me->got.part[0].offset;
}

/*
 * What the host has sent in large frames: a page of it in a view and by that in a pipe,
 * more in another pipe, and more unread.
 */
struct received {
	struct bulk bulk;
	struct view v;
	struct view_message got;
	int page[2];
	int piece[2];
};

static bool received_make(struct received *me, uint32_t flags)
{
	me->v.p = NULL;
	me->bulk.fd = -1;
	return !bulk_open(&me->bulk, AF_SNAP) && !set_copybreak(me->bulk.fd, 1) &&
	       !view_make(&me->v, me->bulk.fd, 64 * PAGE, flags);
}

static void received_drop(struct received *me)
{
	view_drop(&me->v);
	bulk_close(&me->bulk);
}

static char *received_page(const struct received *me)
{
	return (char *)me->v.p + me->got.part[0].offset / PAGE * PAGE;
}

/* A page of a large frame; nobody else gets frames meanwhile. */
static bool received_keep(struct received *me)
{
	long least = wait_no_frames_out(300) + SNAP_LARGE_FRAMES;
	long out = bulk_keep(&me->bulk, &me->got, &me->v, 1);
	int tries = TRIES;

	/* one of its own size had the bytes */
	while (out > 0 && out < least && tries--) {
		if (view_message_release(me->bulk.fd, &me->got))
			return false;
		/* what others had may have come home meanwhile */
		least = wait_no_frames_out(300) + SNAP_LARGE_FRAMES;
		out = bulk_keep(&me->bulk, &me->got, &me->v, 1);
	}
	return out >= least;
}

static bool received_begin(struct received *me)
{
	return bulk_is_large(&me->bulk) && received_keep(me);
}

static bool received_pin(struct received *me)
{
	struct iovec iov = { received_page(me), PAGE };

	if (pipe(me->page) || bulk_pipe(me->piece) ||
	    vmsplice(me->page[1], &iov, 1, 0) != PAGE ||
	    !bulk_splice(&me->bulk, me->piece, PIECE))
		return false;
	me->bulk.at += PIECE;
	return true;
}

FIXTURE(unplug)
{
	struct received shown;		/* nobody can pin what is in its view */
	struct received received;
	struct viewer viewer[2];
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
	ASSERT_TRUE(viewer_make(&self->viewer[0], SOCK_DGRAM));
	ASSERT_TRUE(viewer_make(&self->viewer[1], SOCK_STREAM));
	ASSERT_TRUE(received_make(&self->shown, 0));
	ASSERT_TRUE(received_make(&self->received, SNAP_VIEW_LAZY));
}

FIXTURE_TEARDOWN(unplug)
{
	viewer_drop(&self->viewer[0]);
	viewer_drop(&self->viewer[1]);
	received_drop(&self->shown);
	received_drop(&self->received);
	region_drop(&self->r);
	close(self->fd);
	close(self->sink);
}

/* Out of the view; what is unread is right, and no frame of it is in the view. */
static void expect_received(struct __test_metadata *_metadata, struct received *me)
{
	struct bulk *b = &me->bulk;

	EXPECT_TRUE(load_is_fatal(received_page(me), SIGBUS));
	EXPECT_EQ(0, view_used(b->fd));
	EXPECT_EQ(0, view_message_release(b->fd, &me->got));
	view_receive(b->fd, &me->got, RECEIVE_MAX, MSG_DONTWAIT, SNAP_VIEW_PARTS_MAX);
	EXPECT_EQ(RECEIVE_MAX, me->got.bytes);
	EXPECT_EQ(0, me->got.n);
	EXPECT_EQ(-1, differs_stream(me->got.buffer, RECEIVE_MAX, b->at));
	EXPECT_EQ(0, view_used(b->fd));
	b->at += RECEIVE_MAX;
	EXPECT_TRUE(bulk_drain(b));
}

/* Orphans in a pipe are read as something. */
static void expect_orphans(struct __test_metadata *_metadata, int pipes[2], char *back,
			   size_t length)
{
	EXPECT_NE(0, log_has("last orphaned frame"));
	EXPECT_EQ(length, read(pipes[0], back, length));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(unplug, with_frames_out)
{
	static char back[LENGTH];
	struct snap_info info;
	const char *p;
	struct viewer *v;
	struct iovec iov;
	int snapshot, pipes[2];

	/* TCP leaves it to the next packet to free what was received elsewhere */
	ASSERT_EQ(0, write_text("/proc/sys/net/core/skb_defer_max", "0"));
	ASSERT_TRUE(received_begin(&self->shown));
	ASSERT_TRUE(received_begin(&self->received));
	ASSERT_TRUE(received_pin(&self->received));
	ASSERT_TRUE(bulk_wait_large(&self->shown.bulk));
	ASSERT_TRUE(bulk_wait_large(&self->received.bulk));
	fill(self->r.p, LENGTH, 1);
	snapshot = snapshot_fd(self->r.fd, NULL);
	p = snapshot_map(snapshot, 16 * PAGE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, differs(p, LENGTH, 1));
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	ASSERT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
	for (v = self->viewer; v < self->viewer + 2; v++)
		ASSERT_TRUE(viewer_begin(v, self->r.p));
	iov.iov_base = (void *)p;
	iov.iov_len = PAGE;
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &iov, 1, 0));
	ASSERT_EQ(0, sh("touch $SNAP_VM_SHARE/device_del.snap0"));
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
	for (v = self->viewer; v < self->viewer + 2; v++) {
		/* the frames of the device are out of the views, and stay so */
		EXPECT_TRUE(load_is_fatal(viewer_page(v), SIGBUS));
		EXPECT_EQ(0, view_used(v->fd[0]));
		EXPECT_EQ(0, view_message_release(v->fd[0], &v->got));
		view_receive(v->fd[0], &v->got, LENGTH, MSG_DONTWAIT,
			     SNAP_VIEW_PARTS_MAX);
		EXPECT_EQ(LENGTH, v->got.bytes);
		EXPECT_EQ(0, v->got.n);
		EXPECT_EQ(-1, differs(v->got.buffer, LENGTH, 1));
		EXPECT_EQ(0, view_used(v->fd[0]));
	}
	EXPECT_EQ(LENGTH, recv(self->sink, back, LENGTH, MSG_DONTWAIT));
	EXPECT_EQ(-1, differs(back, LENGTH, 1));
	expect_received(_metadata, &self->shown);
	expect_received(_metadata, &self->received);
	/* Their content is lost, their pages are not. */
	expect_orphans(_metadata, pipes, back, PAGE);
	expect_orphans(_metadata, self->received.piece, back, PIECE);
	expect_orphans(_metadata, self->received.page, back, PAGE);
	EXPECT_TRUE(wait_until("dmesg | grep -q 'last orphaned frame'", 5000));
	/* what is left of the machine is well */
	EXPECT_EQ(10, send(self->fd, back, 10, 0));
	EXPECT_EQ(10, recv(self->sink, back, 10, 0));
	for (v = self->viewer; v < self->viewer + 2; v++) {
		fill(back, LENGTH, 2);
		EXPECT_EQ(LENGTH, send(v->fd[1], back, LENGTH, 0));
		EXPECT_EQ(LENGTH, recv(v->fd[0], v->got.buffer, LENGTH, 0));
		EXPECT_EQ(-1, differs(v->got.buffer, LENGTH, 2));
	}
	EXPECT_NE(0, log_has("Oops"));
	EXPECT_EQ(0, sh("test $(dmesg | grep -c 'frames in use') = 1"));
}

TEST_HARNESS_MAIN
