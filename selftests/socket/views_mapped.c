// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving by view: what is told of is mapped already, without page faults; where it
 * is not, faults map it; and no mapping, of whom and however made, shows bytes that were
 * released.
 *
 * Machines: share-2 copy-2 debug newest
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "view.h"

#define LENGTH		(16 * PAGE)
#define MESSAGE		(15 * PAGE)
/* Room for one message, and not for two: each takes the slots of the one before. */
#define WINDOW		(20 * PAGE)
#define MESSAGES	100
#define MAX		SNAP_VIEW_PARTS_MAX

FIXTURE(mapped)
{
	int fd[2];	/* fd[0] receives */
	struct region r;
	struct view v;
	struct view_message got;
};

FIXTURE_VARIANT(mapped)
{
	int type;
	uint32_t flags;		/* of the view */
};

FIXTURE_VARIANT_ADD(mapped, dgram) { .type = SOCK_DGRAM, };
FIXTURE_VARIANT_ADD(mapped, stream) { .type = SOCK_STREAM, };
FIXTURE_VARIANT_ADD(mapped, dgram_lazy) {
	.type = SOCK_DGRAM, .flags = SNAP_VIEW_LAZY,
};

FIXTURE_VARIANT_ADD(mapped, stream_lazy) {
	.type = SOCK_STREAM, .flags = SNAP_VIEW_LAZY,
};

FIXTURE_SETUP(mapped)
{
	int all = MESSAGE;

	self->v.p = NULL;
	ASSERT_EQ(0, view_pair(variant->type, self->fd));
	ASSERT_EQ(0, setsockopt(self->fd[0], SOL_SOCKET, SO_RCVLOWAT, &all,
				sizeof(all)));
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	fill(self->r.p, self->r.length, 1);
}

FIXTURE_TEARDOWN(mapped)
{
	view_drop(&self->v);
	close(self->fd[0]);
	close(self->fd[1]);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

#define VIEW() ASSERT_EQ(0, view_make(&self->v, self->fd[0], WINDOW, variant->flags))
/* A message of that pattern is in the view, but for what streams cut in mid-page. */
#define TAKE(pattern) do {						\
	fill(self->r.p, MESSAGE, pattern);				\
	ASSERT_EQ(MESSAGE, send(self->fd[1], self->r.p, MESSAGE, 0));	\
	view_receive(self->fd[0], &self->got, MESSAGE, 0, MAX);		\
	ASSERT_EQ(MESSAGE, self->got.bytes);				\
	ASSERT_LE(MESSAGE * 3 / 4, view_message_viewed(&self->got));	\
} while (0)
#define RELEASE() ASSERT_EQ(0, view_message_release(self->fd[0], &self->got))

/*
 * Where a byte of the message is not what was sent, in that mapping, from byte @begin of
 * the window to @end; or -1.
 */
static long wrong_between(const struct view_message *got, const char *p,
			  const struct region *r, size_t begin, size_t end)
{
	unsigned int i;
	size_t at;

	for (i = 0; i < got->n; i++) {
		const struct snap_view_part *part = &got->part[i];

		for (at = part->offset; at < part->offset + part->length; at++)
			if (at >= begin && at < end &&
			    p[at] != r->p[part->at + at - part->offset])
				return at;
	}
	return -1;
}

static long wrong(const struct view_message *got, const char *p, const struct region *r)
{
	return wrong_between(got, p, r, 0, WINDOW);
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* ---- With faults and without -------------------------------------------- */

/*
 * What was told of is mapped; or if the view is lazy nothing, before it is looked at: one
 * fault then, for a message.
 */
TEST_F(mapped, faults)
{
	long before = 0, taken;
	int i;

	VIEW();
	for (i = 0; i < 10 + MESSAGES; i++) {
		if (i == 10)	/* all else has been touched */
			before = faults();
		TAKE(i);
		ASSERT_EQ(-1, wrong(&self->got, self->v.p, &self->r));
		RELEASE();
	}
	taken = faults() - before;
	if (variant->flags & SNAP_VIEW_LAZY) {
		EXPECT_LE(MESSAGES, taken);
	} else {
		EXPECT_GE(MESSAGES / 50, taken);
	}
	/* and where nobody looks there is none */
	for (i = 0; i < MESSAGES; i++) {
		TAKE(i);
		RELEASE();
	}
	EXPECT_GE(taken + MESSAGES / 50, faults() - before);
}

/* ---- Pins --------------------------------------------------------------- */

/* By another way than a load: what reading the memory of a process gives, or an errno. */
static ssize_t debugger_sees(const char *p, char *back, size_t length)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, back, length, (off_t)(uintptr_t)p);

	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}

/* Pages of a lazy view can be pinned, and outlive their release; others cannot. */
TEST_F(mapped, pins)
{
	bool lazy = variant->flags & SNAP_VIEW_LAZY;
	struct iovec local, remote;
	char back[PAGE];
	int pipes[2];
	ssize_t n;
	char *p;

	VIEW();
	TAKE(1);
	p = (char *)self->v.p + self->got.part[0].offset;
	EXPECT_EQ(PAGE / 2, debugger_sees(p, back, PAGE / 2));
	EXPECT_EQ(0, memcmp(back, self->r.p + self->got.part[0].at, PAGE / 2));
	EXPECT_EQ(-EIO, debugger_sees(self->v.p + WINDOW - PAGE, back, 1));
	remote = (struct iovec){ p, 100 };
	local = (struct iovec){ back, 100 };
	n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	if (n >= 0 || errno != ENOSYS) {
		EXPECT_EQ(lazy ? 100 : -EFAULT, n < 0 ? -errno : n);
	}
	EXPECT_EQ(lazy ? 0 : -EFAULT, futex_wake(p - (uintptr_t)p % 4));
	EXPECT_EQ(0, madvise((void *)self->v.p, PAGE, MADV_DONTNEED));
	EXPECT_EQ(-1, wrong(&self->got, self->v.p, &self->r));
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC | O_NONBLOCK));
	n = vmsplice(pipes[1], &remote, 1, 0);
	EXPECT_EQ(lazy ? 100 : -EFAULT, n < 0 ? -errno : n);
	RELEASE();
	EXPECT_EQ(0, view_used(self->fd[0]));
	EXPECT_EQ(lazy ? 100 : -1, read(pipes[0], back, sizeof(back)));
	if (lazy) {
		EXPECT_EQ(0, memcmp(back, self->r.p + self->got.part[0].at, 100));
	}
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- Where it is mapped -------------------------------------------------- */

/* The newest mapping was moved, and something else is where it was. */
TEST_F(mapped, moved_window)
{
	char *old, *p, *other;
	size_t i;

	VIEW();
	TAKE(1);
	RELEASE();
	p = mmap(NULL, WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	old = (char *)self->v.p;
	ASSERT_EQ(p, mremap(old, WINDOW, WINDOW, MREMAP_MAYMOVE | MREMAP_FIXED, p));
	self->v.p = p;
	other = mmap(old, WINDOW, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(old, other);
	memset(other, POISON, WINDOW / 2);
	TAKE(2);
	EXPECT_EQ(-1, wrong(&self->got, p, &self->r));
	for (i = 0; i < WINDOW; i++)
		ASSERT_EQ(i < WINDOW / 2 ? (char)POISON : 0, other[i]);
	munmap(other, WINDOW);
}

/* Where it was is the window of another socket. */
TEST_F(mapped, window_of_another_socket)
{
	int other[2] = { -1, -1 };
	char *old;

	VIEW();
	old = (char *)self->v.p;
	ASSERT_EQ(0, udp_pair(AF_SNAP, AF_INET, other));
	ASSERT_EQ(0, view_set(other[0], WINDOW, 0));
	ASSERT_EQ(old, mmap(old, WINDOW, PROT_READ, MAP_SHARED | MAP_FIXED, other[0],
			    SNAP_VIEW_OFFSET));
	TAKE(1);
	EXPECT_TRUE(load_is_fatal(old + self->got.part[0].offset, SIGBUS));
	close(other[0]);
	close(other[1]);
}

/* Where it began is another part of the window, which has room for the message. */
TEST_F(mapped, other_part_of_the_window)
{
	unsigned int i;
	char *old;

	VIEW();
	old = (char *)self->v.p;
	ASSERT_EQ(old, mmap(old, WINDOW - PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
			    self->fd[0], SNAP_VIEW_OFFSET + PAGE));
	TAKE(1);
	EXPECT_EQ(-1, wrong_between(&self->got, old - PAGE, &self->r, PAGE, WINDOW));
	RELEASE();
	for (i = 0; i < WINDOW; i += PAGE)
		EXPECT_TRUE(load_is_fatal(old + i, SIGBUS));
}

/* No mapping has all of the window, or one has holes. */
TEST_F(mapped, window_in_pieces)
{
	char *p;

	ASSERT_EQ(0, view_set(self->fd[0], WINDOW, variant->flags));
	p = mmap(NULL, WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(p, mmap(p, WINDOW / 2, PROT_READ, MAP_SHARED | MAP_FIXED, self->fd[0],
			  SNAP_VIEW_OFFSET));
	ASSERT_NE(MAP_FAILED, mmap(p + WINDOW / 2, WINDOW / 2, PROT_READ,
				   MAP_SHARED | MAP_FIXED, self->fd[0],
				   SNAP_VIEW_OFFSET + WINDOW / 2));
	TAKE(1);
	EXPECT_EQ(-1, wrong(&self->got, p, &self->r));
	RELEASE();
	/* and with a hole: what is left of it shows what is there */
	ASSERT_EQ(0, munmap(p + PAGE, PAGE));
	TAKE(2);
	EXPECT_EQ(-1, wrong_between(&self->got, p, &self->r, 2 * PAGE, WINDOW));
	munmap(p, WINDOW);
}

/* ---- Nothing old -------------------------------------------------------- */

/*
 * What is released leaves all mappings, those of a child as well, and what comes in its
 * place is seen in all of the process and in none of the child.
 */
TEST_F(mapped, nothing_old_is_seen)
{
	const char *second, *first;
	int up[2], down[2], status;
	char byte;
	pid_t pid;
	size_t i;

	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	VIEW();
	first = self->v.p;
	second = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, self->fd[0],
		      SNAP_VIEW_OFFSET);
	ASSERT_NE(MAP_FAILED, second);
	TAKE(1);
	ASSERT_EQ(-1, wrong(&self->got, first, &self->r));
	ASSERT_EQ(-1, wrong(&self->got, second, &self->r));
	pid = fork();
	if (!pid) {
		/* what was there, and later neither that nor what came then */
		byte = wrong(&self->got, first, &self->r) < 0 &&
		       wrong(&self->got, second, &self->r) < 0;
		for (i = 0; i < 2; i++) {
			if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) != 1)
				_exit(1);
			byte = load_is_fatal(first + self->got.part[0].offset, SIGBUS) &&
			       load_is_fatal(second + self->got.part[0].offset, SIGBUS);
		}
		_exit(!byte);
	}
	ASSERT_EQ(1, read(up[0], &byte, 1));
	EXPECT_EQ(1, byte);
	RELEASE();
	for (i = 0; i < WINDOW; i += PAGE) {
		EXPECT_TRUE(load_is_fatal(first + i, SIGBUS));
		EXPECT_TRUE(load_is_fatal(second + i, SIGBUS));
	}
	ASSERT_EQ(1, write(down[1], "x", 1));
	ASSERT_EQ(1, read(up[0], &byte, 1));
	EXPECT_EQ(1, byte);
	for (i = 2; i < 20; i++) {
		TAKE(i);
		ASSERT_EQ(-1, wrong(&self->got, first, &self->r));
		ASSERT_EQ(-1, wrong(&self->got, second, &self->r));
		if (i < 19)
			RELEASE();
	}
	ASSERT_EQ(1, write(down[1], "x", 1));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	munmap((void *)second, WINDOW);
}

TEST_HARNESS_MAIN
