// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving by view with others about: threads that receive from one socket,
 * processes that share a view, users who must not pay for it; and the option
 * itself.
 *
 * Machines: share-2 copy-2 debug
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "view.h"

#define WINDOW		(256 * PAGE)
#define MESSAGE		(2 * PAGE + 808)
#define MAX		SNAP_VIEW_PARTS_MAX

FIXTURE(shared)
{
	int fd[2];	/* fd[0] receives */
	struct region r;
	struct view v;
	struct view_message got;
};

FIXTURE_VARIANT(shared)
{
	int type;
};

FIXTURE_VARIANT_ADD(shared, dgram) { .type = SOCK_DGRAM, };
FIXTURE_VARIANT_ADD(shared, stream) { .type = SOCK_STREAM, };

FIXTURE_SETUP(shared)
{
	self->v.p = NULL;
	ASSERT_EQ(0, view_pair(variant->type, self->fd));
	ASSERT_EQ(0, region_make(&self->r, 16 * PAGE));
	fill(self->r.p, self->r.length, 1);
}

FIXTURE_TEARDOWN(shared)
{
	view_drop(&self->v);
	close(self->fd[0]);
	close(self->fd[1]);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

#define VIEW() ASSERT_EQ(0, view_make(&self->v, self->fd[0], WINDOW, 0))
#define SEND() ASSERT_EQ(MESSAGE, send(self->fd[1], self->r.p, MESSAGE, 0))
#define RECEIVE() do {							\
	view_receive(self->fd[0], &self->got, MESSAGE, 0, MAX);		\
	ASSERT_EQ(MESSAGE, self->got.bytes);				\
	ASSERT_EQ(1, self->got.n);					\
} while (0)

/* ---- The option --------------------------------------------------------- */

TEST_F(shared, arguments)
{
	struct { struct snap_view_args args; uint64_t more; } a = {
		.args = { .size = sizeof(a), .length = WINDOW },
	};
	int fd = self->fd[0];

	EXPECT_EQ(-ENODATA, view_used(fd));
	EXPECT_EQ(-ENODATA, view_release(fd, 0, PAGE));
	EXPECT_EQ(-EINVAL, view_set(fd, 0, 0));
	EXPECT_EQ(-EINVAL, view_set(fd, PAGE + 1, 0));
	EXPECT_EQ(-EINVAL, view_set(fd, SNAP_VIEW_LENGTH_MAX + PAGE, 0));
	EXPECT_EQ(-EINVAL, view_set(fd, PAGE, 4));
	a.more = 1;
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, SNAP_VIEW, &a, sizeof(a)));
	EXPECT_EQ(E2BIG, errno);
	a.more = 0;
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, SNAP_VIEW, &a, sizeof(a.args) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, SNAP_VIEW, (void *)16, sizeof(a.args)));
	EXPECT_EQ(EFAULT, errno);
	/* the size says how long the structure is, as the length does */
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, SNAP_VIEW, &a, sizeof(a.args)));
	EXPECT_EQ(EINVAL, errno);
	a.args.size = sizeof(a.args);
	a.args.used = 1;
	EXPECT_EQ(-1, setsockopt(fd, SOL_SNAP, SNAP_VIEW, &a, sizeof(a.args)));
	EXPECT_EQ(EINVAL, errno);
	a.args.used = 0;
	a.args.size = sizeof(a);
	EXPECT_EQ(0, setsockopt(fd, SOL_SNAP, SNAP_VIEW, &a, sizeof(a)));
	EXPECT_EQ(-EEXIST, view_set(fd, PAGE, 0));
	EXPECT_EQ(0, view_used(fd));
	EXPECT_EQ(-EINVAL, view_release(fd, 0, 0));
	EXPECT_EQ(-EINVAL, view_release(fd, WINDOW, 1));
	EXPECT_EQ(-EINVAL, view_release(fd, 1, WINDOW));
	EXPECT_EQ(-EINVAL, view_release(fd, PAGE, UINT64_MAX));
	EXPECT_EQ(0, view_release(fd, 1, WINDOW - 1));
}

TEST_F(shared, mapping)
{
	int fd = self->fd[0];
	off_t at = SNAP_VIEW_OFFSET;
	char *p;

	EXPECT_EQ(ENODEV, mmap_errno(fd, WINDOW, PROT_READ, MAP_SHARED, at));
	ASSERT_EQ(0, view_set(fd, WINDOW, 0));
	EXPECT_EQ(EPERM, mmap_errno(fd, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, at));
	EXPECT_EQ(EINVAL, mmap_errno(fd, WINDOW, PROT_READ, MAP_PRIVATE, at));
	EXPECT_EQ(EINVAL, mmap_errno(fd, WINDOW + PAGE, PROT_READ, MAP_SHARED, at));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, PROT_READ, MAP_SHARED, at + WINDOW));
	/* nor from before it on */
	EXPECT_EQ(EINVAL, mmap_errno(fd, 2 * PAGE, PROT_READ, MAP_SHARED, at - PAGE));
	/* a part of it, twice */
	ASSERT_EQ(0, view_map(&self->v, fd, WINDOW));
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, at + PAGE);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_TRUE(load_is_fatal(p, SIGBUS));
	SEND();
	RECEIVE();
	EXPECT_EQ(0, self->got.part[0].offset);
	EXPECT_EQ(0, memcmp(p, self->v.p + PAGE, PAGE));
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	EXPECT_TRUE(store_is_fatal(p, SIGSEGV));
	EXPECT_EQ(0, view_release(fd, PAGE, PAGE));
	EXPECT_TRUE(load_is_fatal(p, SIGBUS));
	EXPECT_FALSE(load_is_fatal(self->v.p, SIGBUS));
	munmap(p, PAGE);
}

/* ---- Threads ------------------------------------------------------------ */

static void *receive_one(void *arg)
{
	char byte;

	return (void *)recv(*(int *)arg, &byte, 1, 0);
}

/* One that waits already does not know of the view: it gets its bytes as ever. */
TEST_F(shared, while_somebody_receives)
{
	pthread_t thread;
	void *got;

	ASSERT_EQ(0, pthread_create(&thread, NULL, receive_one, &self->fd[0]));
	sleep_ms(100);
	VIEW();
	ASSERT_EQ(1, send(self->fd[1], "x", 1, 0));
	pthread_join(thread, &got);
	EXPECT_EQ(1, (long)got);
	SEND();
	RECEIVE();
}

/* Memory that is there when somebody says so: a load or store before waits. */
struct slow {
	int fd;
	char *p;
	size_t length;
};

static int slow_make(struct slow *s, size_t length)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	s->length = length;
	s->p = mmap(NULL, length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	range.range.start = (uintptr_t)s->p;
	range.range.len = length;
	return s->p == MAP_FAILED || s->fd < 0 || ioctl(s->fd, UFFDIO_API, &api) ||
	       ioctl(s->fd, UFFDIO_REGISTER, &range) ? -1 : 0;
}

/* Somebody waits for it. */
static bool slow_is_wanted(const struct slow *s, int ms)
{
	struct pollfd poller = { .fd = s->fd, .events = POLLIN };

	return poll(&poller, 1, ms) == 1 && poller.revents == POLLIN;
}

struct stalled {
	int fd;
	struct slow slow;
	ssize_t got;
};

static void *receive_stalled(void *arg)
{
	struct stalled *me = arg;
	char control[256];
	struct iovec iov = { me->slow.p, me->slow.length };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	me->got = recvmsg(me->fd, &msg, MSG_SNAP_VIEW);
	return NULL;
}

/* One whose memory is not there yet keeps nobody waiting, as on UDP. */
TEST_F(shared, slow_memory)
{
	struct stalled me = { .fd = self->fd[0] };
	pthread_t thread;
	uint64_t begin;

	if (variant->type != SOCK_DGRAM)
		SKIP(return, "the receivers of a stream take turns, as on TCP");
	if (slow_make(&me.slow, 16 * PAGE))
		SKIP(return, "no userfaultfd");
	VIEW();
	/* copied, into that memory */
	ASSERT_EQ(0, set_copybreak(self->fd[0], MESSAGE + 1));
	SEND();
	ASSERT_EQ(0, pthread_create(&thread, NULL, receive_stalled, &me));
	ASSERT_TRUE(slow_is_wanted(&me.slow, 10000));
	begin = now_ms();
	EXPECT_EQ(-EAGAIN, ({ view_receive(self->fd[0], &self->got, MESSAGE,
					   MSG_DONTWAIT, MAX);
			      self->got.bytes; }));
	ASSERT_EQ(0, set_copybreak(self->fd[0], 1));
	SEND();
	view_receive(self->fd[0], &self->got, MESSAGE, MSG_DONTWAIT, MAX);
	EXPECT_EQ(MESSAGE, self->got.bytes);
	EXPECT_EQ(1, self->got.n);
	EXPECT_GT(2000, now_ms() - begin);
	/* and is not lost by it */
	close(me.slow.fd);
	pthread_join(thread, NULL);
	EXPECT_EQ(MESSAGE, me.got);
	EXPECT_EQ(0, memcmp(me.slow.p, self->r.p, MESSAGE));
	munmap(me.slow.p, me.slow.length);
}

#define MESSAGES	1500

struct receiver {
	int fd;
	const struct view *v;
	int room;		/* as of view_receive() */
	int flags;
	unsigned char *seen;	/* MESSAGES */
	long wrong;
	struct view_message got;
};

/* Each begins with its number. */
static void *receiver_run(void *arg)
{
	struct receiver *me = arg;
	struct pollfd poller = { .fd = me->fd, .events = POLLIN };
	unsigned int number;

	while (true) {
		if (me->flags)
			poll(&poller, 1, 1000);
		view_receive(me->fd, &me->got, RECEIVE_MAX, me->flags, me->room);
		if (me->got.bytes == -EAGAIN && me->flags)
			continue;
		if (me->got.bytes <= 4)
			return NULL;	/* the end */
		view_message_gather(&me->got, me->v);
		memcpy(&number, me->got.buffer, 4);
		if (number >= MESSAGES || me->got.bytes != MESSAGE ||
		    differs(me->got.buffer + 4, MESSAGE - 4, number) >= 0)
			me->wrong++;
		else
			__atomic_add_fetch(&me->seen[number], 1, __ATOMIC_RELAXED);
		view_message_release(me->fd, &me->got);
	}
}

/* Some of them by view, some not: each datagram comes out once. */
TEST_F(shared, many_receivers)
{
	static const struct { int room, flags; } how[] = {
		{ MAX, 0 }, { 0, 0 }, { 1, MSG_DONTWAIT },
	};
	int messages = debug_kernel() ? MESSAGES / 10 : MESSAGES;
	static unsigned char seen[MESSAGES];
	static struct receiver me[3];
	pthread_t thread[3];
	long wrong = 0;
	unsigned int i;

	if (variant->type != SOCK_DGRAM)
		SKIP(return, "the bytes of a stream have no receiver of their own");
	VIEW();
	memset(seen, 0, sizeof(seen));
	for (i = 0; i < 3; i++) {
		me[i] = (struct receiver){ .fd = self->fd[0], .v = &self->v,
			.room = how[i].room, .flags = how[i].flags, .seen = seen };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, receiver_run, &me[i]));
	}
	for (i = 0; i < messages; i++) {
		memcpy(self->r.p, &i, 4);
		fill(self->r.p + 4, MESSAGE - 4, i);
		SEND();
		/* the queue has room for a hundred */
		while (i % 64 == 63 && __atomic_load_n(&seen[i - 63], __ATOMIC_RELAXED) == 0 &&
		       !me[0].wrong)
			sleep_ms(1);
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, send(self->fd[1], "x", 1, 0));
		pthread_join(thread[i], NULL);
		wrong += me[i].wrong;
	}
	EXPECT_EQ(0, wrong);
	for (i = 0; i < messages; i++)
		ASSERT_EQ(1, seen[i]);
	EXPECT_LT(0, sock_stats(self->fd[0]).rx_viewed_msgs);
}

/* Bytes of the messages, one after the other, from 1 on. */
#define SEEDS	250

struct toucher {
	const struct view *v;
	int file;		/* gets what there is */
	volatile unsigned int first;	/* the oldest message that may be seen */
	volatile bool stop;
	volatile unsigned long seen;	/* bytes */
	unsigned long old;
};

/* Looks at one page: fails where there is nothing, instead of a signal. */
static void touch_one(struct toucher *me, size_t at)
{
	unsigned int first = me->first;
	unsigned char byte;

	if (pwrite(me->file, me->v->p + at, 1, 0) != 1 ||
	    pread(me->file, &byte, 1, 0) != 1)
		return;
	me->seen++;
	/* zeroes are beside what begins in mid-page */
	if (byte && (byte - 1 - first % SEEDS + SEEDS) % SEEDS > SEEDS / 2)
		me->old++;
}

static void *touch(void *arg)
{
	struct toucher *me = arg;
	size_t at;

	while (!me->stop)
		for (at = 0; at < me->v->length; at += PAGE)
			touch_one(me, at);
	return NULL;
}

/* It has found something more, of what is there now. */
static bool touches(const struct toucher *me)
{
	unsigned long before = me->seen;
	int tries = 1000;

	while (me->seen == before && tries--)
		sleep_ms(10);
	return me->seen != before;
}

/*
 * Pages come and go under those who look, who fault them in if @flags say so; and see
 * nothing that has been released.
 */
static void faults_race(struct __test_metadata *_metadata, FIXTURE_DATA(shared) *self,
			uint32_t flags)
{
	struct toucher toucher = { .v = &self->v };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, view_make(&self->v, self->fd[0], WINDOW, flags));
	toucher.file = memfd_create("touched", MFD_CLOEXEC);
	ASSERT_LE(0, toucher.file);
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch, &toucher));
	for (i = 0; i < 500; i++) {
		memset(self->r.p, i % SEEDS + 1, MESSAGE);
		SEND();
		view_receive(self->fd[0], &self->got, MESSAGE, MSG_WAITALL, MAX);
		ASSERT_EQ(MESSAGE, self->got.bytes);
		view_message_gather(&self->got, &self->v);
		/* however fast they come and go */
		ASSERT_TRUE(i % 50 || touches(&toucher));
		ASSERT_EQ(0, view_message_release(self->fd[0], &self->got));
		toucher.first = i + 1;
	}
	toucher.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, toucher.old);
	EXPECT_EQ(0, view_used(self->fd[0]));
	close(toucher.file);
}

TEST_F(shared, touched_while_released)
{
	faults_race(_metadata, self, 0);
}

TEST_F(shared, faults_race_with_release)
{
	faults_race(_metadata, self, SNAP_VIEW_LAZY);
}

/* ---- Processes ---------------------------------------------------------- */

/* A child has what its parent has looked at, and loses it with its parent. */
TEST_F(shared, fork)
{
	int up[2], down[2], status;
	const char *p;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	VIEW();
	SEND();
	RECEIVE();
	p = self->v.p + self->got.part[0].offset;
	ASSERT_EQ(0, memcmp(p, self->r.p, MESSAGE));
	pid = fork();
	if (!pid) {
		byte = memcmp(p, self->r.p, MESSAGE) ? 'n' : 'y';
		if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) != 1)
			_exit(1);
		_exit(*(volatile const char *)p);	/* SIGBUS */
	}
	ASSERT_EQ(1, read(up[0], &byte, 1));
	EXPECT_EQ('y', byte);
	EXPECT_EQ(0, view_message_release(self->fd[0], &self->got));
	ASSERT_EQ(1, write(down[1], "x", 1));
	waitpid(pid, &status, 0);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

/* Of what its parent receives after the fork, a child sees nothing. */
TEST_F(shared, fork_before)
{
	int down[2], at, status;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(down));
	VIEW();
	SEND();
	RECEIVE();
	EXPECT_EQ(0, view_message_release(self->fd[0], &self->got));
	pid = fork();
	if (!pid) {
		if (read(down[0], &at, sizeof(at)) != sizeof(at))
			_exit(1);
		byte = ((volatile const char *)self->v.p)[at];	/* SIGBUS */
		_exit(2 + !byte);
	}
	fill(self->r.p, MESSAGE, 2);
	SEND();
	RECEIVE();
	at = self->got.part[0].offset;
	EXPECT_EQ(0, memcmp(self->v.p + at, self->r.p, MESSAGE));
	ASSERT_EQ(sizeof(at), write(down[1], &at, sizeof(at)));
	waitpid(pid, &status, 0);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	close(down[0]);
	close(down[1]);
}

TEST_F(shared, killed)
{
	int up[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(up));
	SEND();
	pid = fork();
	if (!pid) {
		close(self->fd[1]);
		if (view_make(&self->v, self->fd[0], WINDOW, 0))
			_exit(1);
		view_receive(self->fd[0], &self->got, MESSAGE, 0, MAX);
		byte = self->got.n == 1 && !self->v.p[PAGE] == !self->r.p[PAGE];
		if (write(up[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	close(self->fd[0]);
	self->fd[0] = -1;
	ASSERT_EQ(1, read(up[0], &byte, 1));
	EXPECT_EQ(1, byte);
	region_drop(&self->r);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(self->fd[1]);
	self->fd[1] = -1;
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* A view that an heir makes, and fills: nobody else notices. */
TEST_F(shared, of_an_heir)
{
	static const int on = 1;
	int up[2], down[2], fd = self->fd[0], status;
	bool dgram = variant->type == SOCK_DGRAM;
	char control[256], buffer[MESSAGE], byte;
	struct iovec iov = { buffer, sizeof(buffer) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	pid_t pid;

	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	if (dgram)
		ASSERT_EQ(0, setsockopt(fd, SOL_IP, IP_PKTINFO, &on, sizeof(on)));
	SEND();
	pid = fork();
	if (!pid) {
		byte = view_make(&self->v, fd, WINDOW, 0) ? 'n' : 'y';
		view_receive(fd, &self->got, MESSAGE, 0, MAX);
		if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) != 1 ||
		    self->got.n != 1)
			_exit(1);
		/* it is all there, whatever the others tried */
		_exit(memcmp(self->v.p + self->got.part[0].offset, self->r.p, MESSAGE));
	}
	ASSERT_EQ(1, read(up[0], &byte, 1));
	EXPECT_EQ('y', byte);
	/* who does not ask, and receives as ever */
	SEND();
	ASSERT_EQ(MESSAGE, recvmsg(fd, &msg, 0));
	EXPECT_EQ(0, memcmp(buffer, self->r.p, MESSAGE));
	EXPECT_EQ(0, msg.msg_flags);
	if (dgram) {
		ASSERT_NE(NULL, CMSG_FIRSTHDR(&msg));
		EXPECT_EQ(IP_PKTINFO, CMSG_FIRSTHDR(&msg)->cmsg_type);
		EXPECT_EQ(NULL, CMSG_NXTHDR(&msg, CMSG_FIRSTHDR(&msg)));
	}
	/* who asks, and has none */
	SEND();
	view_receive(fd, &self->got, MESSAGE, 0, MAX);
	ASSERT_EQ(MESSAGE, self->got.bytes);
	EXPECT_EQ(0, self->got.n);
	EXPECT_EQ(0, self->got.flags & MSG_SNAP_VIEW);
	EXPECT_EQ(0, memcmp(self->got.buffer, self->r.p, MESSAGE));
	EXPECT_EQ(-EPERM, view_release(fd, 0, WINDOW));
	EXPECT_EQ(-EPERM, view_map(&self->v, fd, WINDOW));
	EXPECT_EQ(-EEXIST, view_set(fd, WINDOW, 0));
	ASSERT_EQ(1, write(down[1], "x", 1));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
}

/* Its maker may receive by copy whenever he likes. */
TEST_F(shared, asked_by_call)
{
	char buffer[MESSAGE];

	VIEW();
	SEND();
	ASSERT_EQ(MESSAGE, recv(self->fd[0], buffer, MESSAGE, 0));
	EXPECT_EQ(0, memcmp(buffer, self->r.p, MESSAGE));
	EXPECT_EQ(MESSAGE, sock_stats(self->fd[0]).recv_bytes[SNAP_RECV_NOT_ASKED]);
	SEND();
	RECEIVE();
	EXPECT_EQ(MSG_SNAP_VIEW, self->got.flags);
	/* on sockets that know nothing of it, it is nothing */
	SEND();
	view_receive(self->fd[1], &self->got, 1, MSG_DONTWAIT, MAX);
	EXPECT_EQ(-EAGAIN, self->got.bytes);
	ASSERT_EQ(1, send(self->fd[0], "y", 1, 0));
	view_receive(self->fd[1], &self->got, 1, 0, MAX);
	EXPECT_EQ(1, self->got.bytes);
	EXPECT_EQ('y', self->got.buffer[0]);
	EXPECT_EQ(0, self->got.flags);
	view_receive(self->fd[0], &self->got, MESSAGE, 0, MAX);
}

/* Whole pages that TCP maps: nobody else's, and no frames, which it does not map. */
static bool send_pages(int fd, const char *p, size_t length)
{
	int pipe_fd[2];
	bool ok;

	if (pipe(pipe_fd))
		return false;
	ok = write(pipe_fd[1], p, length) == (ssize_t)length &&
	     splice(pipe_fd[0], NULL, fd, NULL, length, 0) == (ssize_t)length;
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return ok;
}

/* What TCP maps is at other places than the view, and stays. */
TEST_F(shared, beside_zerocopy_receive)
{
	struct tcp_zerocopy_receive zc = { .length = 2 * PAGE };
	socklen_t size = sizeof(zc);
	char *p, *later;

	if (variant->type != SOCK_STREAM)
		SKIP(return, "streams only");
	p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->fd[0], 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(send_pages(self->fd[1], self->r.p, 2 * PAGE));
	zc.address = (uintptr_t)p;
	ASSERT_EQ(0, getsockopt(self->fd[0], SOL_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &size));
	ASSERT_EQ(2 * PAGE, zc.length);
	EXPECT_EQ(0, memcmp(p, self->r.p, 2 * PAGE));
	VIEW();
	SEND();
	RECEIVE();
	EXPECT_EQ(0, memcmp(self->v.p + self->got.part[0].offset, self->r.p, MESSAGE));
	EXPECT_EQ(0, view_release(self->fd[0], 0, WINDOW));
	ASSERT_FALSE(load_is_fatal(p, SIGBUS));
	ASSERT_FALSE(load_is_fatal(p + PAGE, SIGBUS));
	EXPECT_EQ(0, memcmp(p, self->r.p, 2 * PAGE));
	/* and so it is with what is mapped later */
	later = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->fd[0], 0);
	ASSERT_NE(MAP_FAILED, later);
	ASSERT_TRUE(send_pages(self->fd[1], self->r.p, 2 * PAGE));
	zc = (struct tcp_zerocopy_receive){ .address = (uintptr_t)later,
					    .length = 2 * PAGE };
	size = sizeof(zc);
	ASSERT_EQ(0, getsockopt(self->fd[0], SOL_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &size));
	EXPECT_EQ(2 * PAGE, zc.length);
	munmap(p, 2 * PAGE);
	munmap(later, 2 * PAGE);
}

/* ---- Users -------------------------------------------------------------- */

/* The view of another user, whose this process was when it made it. */
static int view_of_nobody(int fd)
{
	int err = setresuid(65534, 0, 0) ? -errno : view_set(fd, WINDOW, 0);

	return setresuid(0, 0, 0) ? -errno : err;
}

/* Who has a view has the frames in it on his account: a sender gets his back. */
TEST_F(shared, viewer_pays)
{
	struct snap_info info;
	unsigned int i, share;

	ASSERT_EQ(0, dev_info(&info));
	share = info.pool_frames / 100;
	ASSERT_LE(12, share);
	ASSERT_GE(WINDOW / PAGE, share);
	ASSERT_EQ(0, view_of_nobody(self->fd[0]));
	ASSERT_EQ(0, view_map(&self->v, self->fd[0], WINDOW));
	ASSERT_EQ(0, write_text(USER_QUOTA, "1"));
	ASSERT_EQ(0, quotas_bind(true));
	/* more than the share, but never more at once than one message */
	for (i = 0; i < share / 3 + 4; i++) {
		/* an unchanged buffer would be the same frames again */
		fill(self->r.p, MESSAGE, i);
		SEND();
		view_receive(self->fd[0], &self->got, MESSAGE, 0, MAX);
		if (self->got.bytes != MESSAGE)
			break;
	}
	ASSERT_EQ(0, quotas_bind(false));
	ASSERT_EQ(0, write_text(USER_QUOTA, USER_QUOTA_DEFAULT));
	EXPECT_EQ(share / 3 + 4, i);
	/* the viewer had his share, and then copies; the sender never did */
	EXPECT_GE(share * PAGE, view_used(self->fd[0]));
	EXPECT_LT(share / 3 * 2 * PAGE, view_used(self->fd[0]));
	EXPECT_LT(0, sock_stats(self->fd[0]).recv_bytes[SNAP_RECV_QUOTA]);
	EXPECT_EQ(0, sock_stats(self->fd[1]).copied_msgs[SNAP_COPY_QUOTA]);
}

TEST_HARNESS_MAIN
