// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_uring on AF_SNAP sockets, by its system calls: what is sent by the caller,
 * by a worker or by the polling thread is the same as with send().
 *
 * Machines: auto-2 debug newest
 */

#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "conf_socket.h"
#include "view.h"

#define ENTRIES		8

/* ---- The ring ----------------------------------------------------------- */

struct ring {
	int fd;
	char *map;			/* both queues */
	size_t map_length;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
	unsigned int tail;		/* of what was prepared */
	unsigned int submitted;
};

/* A completion; `res` is -ETIME if there was none in time. */
struct done {
	int res;
	unsigned int flags;
	uint64_t data;
};

static _Atomic(unsigned int) *ring_word(struct ring *ring, unsigned int offset)
{
	return (_Atomic(unsigned int) *)(ring->map + offset);
}

/* 0 or a negative errno. */
static int ring_open(struct ring *ring, unsigned int flags)
{
	struct io_uring_params *p = &ring->params;
	size_t sq, cq;

	memset(ring, 0, sizeof(*ring));
	p->flags = flags;
	p->sq_thread_idle = 1000;
	ring->fd = syscall(__NR_io_uring_setup, ENTRIES, p);
	if (ring->fd < 0)
		return -errno;
	sq = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	ring->map_length = sq > cq ? sq : cq;
	ring->map = mmap(NULL, ring->map_length, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, p->sq_entries * sizeof(*ring->sqes),
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			  ring->fd, IORING_OFF_SQES);
	return ring->map == MAP_FAILED || ring->sqes == MAP_FAILED ? -ENOMEM : 0;
}

static void ring_close(struct ring *ring)
{
	munmap(ring->sqes, ring->params.sq_entries * sizeof(*ring->sqes));
	munmap(ring->map, ring->map_length);
	close(ring->fd);
}

/* The next entry; its number is what its completion will have as data. */
static struct io_uring_sqe *ring_next(struct ring *ring, int op, int fd,
				      const void *addr, unsigned int length)
{
	unsigned int at = ring->tail & (ring->params.sq_entries - 1);
	struct io_uring_sqe *sqe = &ring->sqes[at];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->len = length;
	sqe->user_data = ring->tail++;
	*ring_word(ring, ring->params.sq_off.array + at * sizeof(at)) = at;
	return sqe;
}

static int ring_submit(struct ring *ring)
{
	unsigned int n = ring->tail - ring->submitted;

	*ring_word(ring, ring->params.sq_off.tail) = ring->tail;
	ring->submitted = ring->tail;
	return syscall(__NR_io_uring_enter, ring->fd, n, 0,
		       IORING_ENTER_SQ_WAKEUP, NULL, 0) == (int)n ? 0 : -1;
}

static struct done ring_wait(struct ring *ring, int ms)
{
	_Atomic(unsigned int) *head = ring_word(ring, ring->params.cq_off.head);
	struct __kernel_timespec limit = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L,
	};
	struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&limit };
	struct io_uring_cqe *cqe = (void *)(ring->map + ring->params.cq_off.cqes);
	struct done done = { .res = -ETIME };

	if (*head == *ring_word(ring, ring->params.cq_off.tail))
		syscall(__NR_io_uring_enter, ring->fd, 0, 1,
			IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
			sizeof(arg));
	if (*head == *ring_word(ring, ring->params.cq_off.tail))
		return done;
	cqe += *head & (ring->params.cq_entries - 1);
	done = (struct done){ cqe->res, cqe->flags, cqe->user_data };
	++*head;
	return done;
}

/* Prepare, submit, wait: what the only operation comes to. */
static int ring_do(struct ring *ring, int op, int fd, const void *addr,
		   unsigned int length, int flags)
{
	ring_next(ring, op, fd, addr, length)->msg_flags = flags;
	return ring_submit(ring) ? -EIO : ring_wait(ring, PATIENCE).res;
}

#define RING_OPEN(ring, flags)	do {					\
	int err = ring_open(ring, flags);				\
									\
	if (err == -ENOSYS || err == -EPERM)				\
		SKIP(return, "no io_uring: %s", strerror(-err));	\
	ASSERT_EQ(0, err);						\
} while (0)

/* ---- Messages ----------------------------------------------------------- */

/* Sent by the caller, by a worker, and by a thread that polls for entries. */
static const struct {
	unsigned int setup;
	unsigned int sqe;
} ways[] = {
	{ 0, 0 },
	{ 0, IOSQE_ASYNC },
	{ IORING_SETUP_SQPOLL, 0 },
};

TEST_F(sock, send_recv)
{
	struct io_uring_sqe *sqe;
	struct ring ring;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		RING_OPEN(&ring, ways[i].setup);
		memset(self->back, 0, LENGTH);
		/* the receiver comes first, and has to wait */
		sqe = ring_next(&ring, IORING_OP_RECV, self->rx, self->back, MESSAGE);
		sqe->msg_flags = MSG_WAITALL;
		sqe->flags = ways[i].sqe;
		ASSERT_EQ(0, ring_submit(&ring));
		EXPECT_EQ(-ETIME, ring_wait(&ring, 5).res);
		sqe = ring_next(&ring, IORING_OP_SEND, self->tx, self->p, MESSAGE);
		sqe->flags = ways[i].sqe;
		ASSERT_EQ(0, ring_submit(&ring));
		for (j = 0; j < 2; j++)
			EXPECT_EQ(MESSAGE, ring_wait(&ring, PATIENCE).res);
		EXPECT_EQ(-1, differs(self->back, MESSAGE, 0));
		if (variant->region)
			EXPECT_EQ(i + 1, by_reference(self->tx));
		ring_close(&ring);
	}
}

TEST_F(sock, sendmsg_recvmsg)
{
	struct iovec parts[] = { { self->p, 10000 }, { self->p + 10000, 30000 } };
	struct iovec whole = { self->back, MESSAGE };
	struct msghdr out = { .msg_iov = parts, .msg_iovlen = 2 };
	union address at, from;
	struct msghdr in = {
		.msg_iov = &whole, .msg_iovlen = 1, .msg_name = &from,
		.msg_namelen = sizeof(from),
	};
	bool stream = variant->type == SOCK_STREAM;
	socklen_t length = sizeof(at);
	struct ring ring;

	RING_OPEN(&ring, 0);
	ASSERT_EQ(0, getsockname(self->rx, &at.sa, &length));
	if (!stream) {
		out.msg_name = &at;
		out.msg_namelen = length;
	}
	EXPECT_EQ(MESSAGE, ring_do(&ring, IORING_OP_SENDMSG, self->tx, &out, 1, 0));
	EXPECT_EQ(MESSAGE, ring_do(&ring, IORING_OP_RECVMSG, self->rx, &in, 1,
				   MSG_WAITALL));
	EXPECT_EQ(-1, differs(self->back, MESSAGE, 0));
	EXPECT_EQ(variant->family, at.sa.sa_family);
	if (!stream) {
		EXPECT_EQ(length, in.msg_namelen);
		EXPECT_EQ(variant->family, from.sa.sa_family);
	}
	if (variant->region)
		EXPECT_EQ(1, by_reference(self->tx));
	ring_close(&ring);
}

/* The ring's work for this task interrupts a call that waits. */
static bool all_arrives(int fd, char *back, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = recv(fd, back + done, length - done, 0);

		if (!n || (n < 0 && errno != EINTR))
			return false;
		done += n > 0 ? n : 0;
	}
	return differs(back, length, 0) < 0;
}

/* Longer than the buffer of the socket: it goes on where it was. */
TEST_F(sock, send_all)
{
	int small = 8000, i;
	size_t length = variant->type == SOCK_STREAM ? LENGTH : MESSAGE;
	struct ring ring;

	RING_OPEN(&ring, 0);
	if (variant->type == SOCK_STREAM)
		ASSERT_EQ(0, setsockopt(self->tx, SOL_SOCKET, SO_SNDBUF, &small,
					sizeof(small)));
	for (i = 0; i < 10; i++) {
		ring_next(&ring, IORING_OP_SEND, self->tx, self->p,
			  length)->msg_flags = MSG_WAITALL;
		ASSERT_EQ(0, ring_submit(&ring));
		EXPECT_TRUE(all_arrives(self->rx, self->back, length));
		EXPECT_EQ(length, ring_wait(&ring, PATIENCE).res);
	}
	ring_close(&ring);
}

/* The result first, then that the buffer is free again. */
TEST_F(sock, send_zerocopy)
{
	char *plain = malloc(MESSAGE);
	int control[2], err;
	struct ring ring;
	struct done done;

	RING_OPEN(&ring, 0);
	ASSERT_NE(NULL, plain);
	fill(plain, MESSAGE, 0);
	ring_next(&ring, IORING_OP_SEND_ZC, self->tx, plain, MESSAGE);
	ASSERT_EQ(0, ring_submit(&ring));
	done = ring_wait(&ring, PATIENCE);
	EXPECT_EQ(MESSAGE, done.res);
	EXPECT_EQ(IORING_CQE_F_MORE, done.flags & IORING_CQE_F_MORE);
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	done = ring_wait(&ring, PATIENCE);
	EXPECT_EQ(IORING_CQE_F_NOTIF, done.flags & IORING_CQE_F_NOTIF);
	if (variant->domain == AF_SNAP)
		EXPECT_EQ(1, sock_stats(self->tx).copied_msgs[SNAP_COPY_FLAGS]);
	free(plain);

	/* nobody can pin a region */
	ASSERT_EQ(0, conf_control_pair(control));
	err = variant->region ? -EFAULT : (int)MESSAGE;
	EXPECT_EQ(err, ring_do(&ring, IORING_OP_SEND_ZC, control[1], self->p,
			       MESSAGE, 0));
	while (ring_wait(&ring, 5).res != -ETIME)
		;
	EXPECT_EQ(err, ring_do(&ring, IORING_OP_SEND_ZC, self->tx, self->p,
			       MESSAGE, 0));
	close(control[0]);
	close(control[1]);
	ring_close(&ring);
}

/* ---- Waiting ------------------------------------------------------------ */

TEST_F(sock, poll)
{
	struct io_uring_sqe *sqe;
	struct ring ring;
	struct done done;
	int i;

	RING_OPEN(&ring, 0);
	sqe = ring_next(&ring, IORING_OP_POLL_ADD, self->rx, NULL, 0);
	sqe->poll32_events = POLLIN;
	ASSERT_EQ(0, ring_submit(&ring));
	EXPECT_EQ(-ETIME, ring_wait(&ring, 5).res);
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	done = ring_wait(&ring, PATIENCE);
	EXPECT_EQ(POLLIN, done.res);
	EXPECT_EQ(0, done.flags & IORING_CQE_F_MORE);
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));

	sqe = ring_next(&ring, IORING_OP_POLL_ADD, self->rx, NULL,
			IORING_POLL_ADD_MULTI);
	sqe->poll32_events = POLLIN;
	sqe->user_data = 77;
	ASSERT_EQ(0, ring_submit(&ring));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
		done = ring_wait(&ring, PATIENCE);
		EXPECT_EQ(POLLIN, done.res & POLLIN);
		EXPECT_EQ(IORING_CQE_F_MORE, done.flags & IORING_CQE_F_MORE);
		EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
		/* a stream may come in several packets */
		while (ring_wait(&ring, 5).res != -ETIME)
			;
	}
	ring_next(&ring, IORING_OP_POLL_REMOVE, -1, (void *)77, 0);
	ASSERT_EQ(0, ring_submit(&ring));
	for (i = 0; i < 2; i++) {
		done = ring_wait(&ring, PATIENCE);
		EXPECT_EQ(done.data == 77 ? -ECANCELED : 0, done.res);
	}
	ring_close(&ring);
}

/* Taken back, or left behind when ring and socket are closed. */
TEST_F(sock, cancelled)
{
	struct io_uring_sqe *sqe;
	struct ring ring;
	struct done done;
	int i;

	RING_OPEN(&ring, 0);
	sqe = ring_next(&ring, IORING_OP_RECV, self->rx, self->back, MESSAGE);
	sqe->user_data = 77;
	ASSERT_EQ(0, ring_submit(&ring));
	ring_next(&ring, IORING_OP_ASYNC_CANCEL, -1, (void *)77, 0);
	ASSERT_EQ(0, ring_submit(&ring));
	for (i = 0; i < 2; i++) {
		done = ring_wait(&ring, PATIENCE);
		EXPECT_EQ(done.data == 77 ? -ECANCELED : 0, done.res);
	}
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	ring_next(&ring, IORING_OP_RECV, self->rx, self->back, MESSAGE);
	while (variant->type == SOCK_STREAM &&
	       send(self->tx, self->p, LENGTH, MSG_DONTWAIT) > 0)
		;
	ring_next(&ring, IORING_OP_SEND, self->tx, self->p, MESSAGE);
	ASSERT_EQ(0, ring_submit(&ring));
	close(self->rx);
	ring_close(&ring);
	self->rx = conf_socket();
}

/* ---- Connections -------------------------------------------------------- */

TEST_F(sock, connections)
{
	bool stream = variant->type == SOCK_STREAM;
	struct io_uring_sqe *sqe;
	struct server s;
	struct ring ring;
	struct done done;
	int fd, peer = -1, i;

	RING_OPEN(&ring, 0);
	sqe = ring_next(&ring, IORING_OP_SOCKET, variant->domain, NULL,
			variant->domain == AF_SNAP ? protocol_of(variant->family) : 0);
	sqe->off = variant->type | SOCK_CLOEXEC;
	ASSERT_EQ(0, ring_submit(&ring));
	fd = ring_wait(&ring, PATIENCE).res;
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, serve(&s, variant->type, variant->domain, variant->family));
	if (stream) {
		ring_next(&ring, IORING_OP_ACCEPT, s.fd, NULL, 0)->user_data = 77;
		ASSERT_EQ(0, ring_submit(&ring));
	}
	ring_next(&ring, IORING_OP_CONNECT, fd, &s.at, 0)->off = s.length;
	ASSERT_EQ(0, ring_submit(&ring));
	for (i = 0; i <= stream; i++) {
		done = ring_wait(&ring, PATIENCE);
		if (done.data == 77)
			peer = done.res;
		else
			EXPECT_EQ(0, done.res);
	}
	EXPECT_EQ(MESSAGE, ring_do(&ring, IORING_OP_SEND, fd, self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(stream ? peer : s.fd, self->back, MESSAGE, 0));
	EXPECT_EQ(0, ring_do(&ring, IORING_OP_SHUTDOWN, fd, NULL, SHUT_WR, 0));
	EXPECT_EQ(-EPIPE, ring_do(&ring, IORING_OP_SEND, fd, self->p, MESSAGE, 0));
	close(peer);
	close(fd);
	close(s.fd);
	ring_close(&ring);
}

/* A completion says whether there is more to receive, by view as by copy. */
TEST_F(sock, more_to_come)
{
	char control[CMSG_SPACE(8 * sizeof(struct snap_view_part))];
	struct iovec iov = { self->back, MESSAGE / 2 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct ring ring;
	struct done done;
	int there, i, tries;

	if (variant->type != SOCK_STREAM)
		return;		/* UDP says nothing of it */
	if (variant->region)
		ASSERT_EQ(0, view_set(self->rx, 64 * PAGE, 0));
	ASSERT_EQ(0, ring_open(&ring, 0));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	for (there = 0, tries = 0; there < MESSAGE && tries < 1000; tries++) {
		ASSERT_EQ(0, ioctl(self->rx, FIONREAD, &there));
		sleep_ms(1);
	}
	for (i = 0; i < 2; i++) {
		msg.msg_controllen = sizeof(control);
		iov.iov_len = MESSAGE / 2;
		ring_next(&ring, IORING_OP_RECVMSG, self->rx, &msg, 1)->msg_flags =
			MSG_SNAP_VIEW;
		ASSERT_EQ(0, ring_submit(&ring));
		done = ring_wait(&ring, PATIENCE);
		EXPECT_EQ(MESSAGE / 2, done.res);
		EXPECT_EQ(i ? 0 : IORING_CQE_F_SOCK_NONEMPTY,
			  done.flags & IORING_CQE_F_SOCK_NONEMPTY);
		EXPECT_EQ(variant->region ? MSG_SNAP_VIEW : 0, msg.msg_flags);
	}
	ring_close(&ring);
}

/* ---- By view ------------------------------------------------------------ */

/* Parts of a message, which the window has, put into its buffer. */
static unsigned int gather(const char *window, struct msghdr *msg, char *buffer)
{
	struct snap_view_part *part;
	struct cmsghdr *c;
	unsigned int i, n = 0;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SNAP || c->cmsg_type != SNAP_VIEW)
			continue;
		part = (void *)CMSG_DATA(c);
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(*part);
		for (i = 0; i < n; i++)
			memcpy(buffer + part[i].at, window + part[i].offset, part[i].length);
	}
	return n;
}

#define VIEW_ROOM	CMSG_SPACE(SNAP_VIEW_PARTS_MAX * sizeof(struct snap_view_part))

/*
 * Whoever does the work, the view is that of this process.  To who has room for control
 * messages io_uring gives what is there, whatever MSG_WAITALL says: SO_RCVLOWAT makes
 * it wait, if it polls first.
 */
TEST_F(sock, by_view)
{
	char control[VIEW_ROOM];
	struct iovec iov = { self->back, MESSAGE };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct io_uring_sqe *sqe;
	struct ring ring;
	struct view v;
	size_t i, half = MESSAGE / 2, whole, viewed;
	int low = MESSAGE, one = 1;

	if (!variant->region)
		return;
	ASSERT_EQ(0, view_make(&v, self->rx, 64 * PAGE, SNAP_VIEW_NEXT));
	for (i = 0; i < 2 * ARRAY_SIZE(ways); i++) {
		bool waits = variant->type == SOCK_STREAM && i % 2;

		if (waits)
			ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_RCVLOWAT, &low,
						sizeof(low)));
		RING_OPEN(&ring, ways[i / 2].setup);
		msg.msg_controllen = sizeof(control);
		iov.iov_len = MESSAGE;
		memset(self->back, POISON, LENGTH);
		viewed = sock_stats(self->rx).rx_viewed_bytes;
		sqe = ring_next(&ring, IORING_OP_RECVMSG, self->rx, &msg, 1);
		sqe->msg_flags = MSG_SNAP_VIEW | MSG_WAITALL;
		sqe->ioprio = waits ? IORING_RECVSEND_POLL_FIRST : 0;
		sqe->flags = ways[i / 2].sqe;
		ASSERT_EQ(0, ring_submit(&ring));
		EXPECT_EQ(-ETIME, ring_wait(&ring, 5).res);
		ASSERT_EQ(half, send(self->tx, self->p, half, 0));
		whole = half;
		if (waits) {
			EXPECT_EQ(-ETIME, ring_wait(&ring, 100).res);
			ASSERT_EQ(half, send(self->tx, self->p + half, half, 0));
			whole = MESSAGE;
		}
		EXPECT_EQ(whole, ring_wait(&ring, PATIENCE).res);
		EXPECT_EQ(whole, sock_stats(self->rx).rx_viewed_bytes - viewed);
		EXPECT_LE(1, gather(v.p, &msg, self->back));
		EXPECT_EQ(-1, differs(self->back, whole, 0));
		ring_close(&ring);
		ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_RCVLOWAT, &one,
					sizeof(one)));
	}
	view_drop(&v);
}

/*
 * One entry, and a completion for each message, with its parts in the buffer.  What the
 * view has is released by hand: the next receive comes at once.
 */
TEST_F(sock, by_view_again_and_again)
{
	struct msghdr msg = { .msg_controllen = VIEW_ROOM };
	size_t room = sizeof(struct io_uring_recvmsg_out) + VIEW_ROOM + MESSAGE;
	struct io_uring_recvmsg_out *out;
	struct io_uring_sqe *sqe;
	struct ring ring;
	struct done done;
	struct view v;
	char *buffers;
	int i;

	if (!variant->region)
		return;
	ASSERT_EQ(0, view_make(&v, self->rx, 64 * PAGE, 0));
	RING_OPEN(&ring, 0);
	buffers = calloc(4, room);
	sqe = ring_next(&ring, IORING_OP_PROVIDE_BUFFERS, 4, buffers, room);
	sqe->buf_group = 7;
	ASSERT_EQ(0, ring_submit(&ring));
	ASSERT_LE(0, ring_wait(&ring, PATIENCE).res);
	sqe = ring_next(&ring, IORING_OP_RECVMSG, self->rx, &msg, 1);
	sqe->msg_flags = MSG_SNAP_VIEW;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = 7;
	ASSERT_EQ(0, ring_submit(&ring));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(MESSAGE / 2, send(self->tx, self->p, MESSAGE / 2, 0));
		done = ring_wait(&ring, PATIENCE);
		ASSERT_LT(0, done.res);
		ASSERT_EQ(IORING_CQE_F_BUFFER, done.flags & IORING_CQE_F_BUFFER);
		out = (void *)(buffers + room * (done.flags >> IORING_CQE_BUFFER_SHIFT));
		ASSERT_EQ(MESSAGE / 2, out->payloadlen);
		EXPECT_EQ(MSG_SNAP_VIEW, out->flags & MSG_SNAP_VIEW);
		msg.msg_control = out + 1;
		msg.msg_controllen = out->controllen;
		EXPECT_LE(1, gather(v.p, &msg, (char *)(out + 1) + VIEW_ROOM));
		EXPECT_EQ(-1, differs((char *)(out + 1) + VIEW_ROOM, MESSAGE / 2, 0));
		EXPECT_EQ(0, view_release(self->rx, 0, 64 * PAGE));
	}
	EXPECT_EQ(3 * (MESSAGE / 2), sock_stats(self->rx).rx_viewed_bytes);
	ring_close(&ring);
	view_drop(&v);
	free(buffers);
}

TEST_HARNESS_MAIN
