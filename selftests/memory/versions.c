// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is made of snapshots: clones, commits, merges, differences; and pages
 * that are discarded.
 *
 * Machines: share-2 auto-1 asan debug
 * Paths: thread-auto-*
 */

#define _GNU_SOURCE
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define PAGES	64
#define LENGTH	(PAGES * PAGE)
#define WORDS	(PAGE / 8)	/* of a page */

FIXTURE(versions)
{
	struct snap_info before;
	struct region r;	/* filled with seed 1 when the snapshot is taken */
	uint64_t *word;		/* the region */
	int base;		/* the snapshot */
	uint64_t version;
};

FIXTURE_SETUP(versions)
{
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	ASSERT_EQ(0, dev_info(&self->before));
	ASSERT_TRUE(self->before.features & SNAP_F_SNAPSHOT);
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	self->word = (uint64_t *)self->r.p;
	fill(self->r.p, LENGTH, 1);
	self->base = snapshot_fd(self->r.fd, &self->version);
	ASSERT_GE(self->base, 0);
}

/* Whatever a test does, the device is then as it was. */
FIXTURE_TEARDOWN(versions)
{
	struct snap_info after;

	close(self->base);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	EXPECT_LE(self->before.free_frames,
		  wait_free_frames(self->before.free_frames, 5000));
	EXPECT_EQ(0, dev_info(&after));
	EXPECT_EQ(self->before.used_frames, after.used_frames);
	EXPECT_EQ(0, dev_counter(SNAP_CTR_SNAPSHOTS_HELD));
	EXPECT_EQ(0, dev_counter(SNAP_CTR_RESERVED_FRAMES));
}

static uint64_t version_of(int fd)
{
	struct snap_object_info info;

	return object_info(fd, &info) ? ~0ull : info.version;
}

/* ---- Clones ------------------------------------------------------------- */

TEST_F(versions, clone_arguments)
{
	struct snap_region_args args = { .size = sizeof(args) };
	unsigned int bit;

	EXPECT_EQ(0, ioctl_errno(self->base, SNAP_IOC_CLONE, &args));
	for (bit = 0; bit < 32; bit++) {
		args.flags = 1u << bit;
		EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_CLONE, &args));
	}
	args.flags = 0;
	args.length = LENGTH;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_CLONE, &args));
	args.length = 0;
	args.reserved = 1;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_CLONE, &args));
	args.reserved = 0;
	args.hint = SNAP_HINT_MAX;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_CLONE, &args));
	args.hint = SNAP_HINT_REWRITE;
	EXPECT_EQ(0, ioctl_errno(self->base, SNAP_IOC_CLONE, &args));
	args.size = 8;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_CLONE, &args));
}

TEST_F(versions, clones_are_independent)
{
	uint64_t frames = dev_counter(SNAP_CTR_REGION_FRAMES);
	struct region a, b;

	ASSERT_EQ(0, clone_make(&a, self->base, LENGTH));
	ASSERT_EQ(0, clone_make(&b, self->base, LENGTH));
	EXPECT_EQ(-1, differs(a.p, LENGTH, 1));
	EXPECT_EQ(frames, dev_counter(SNAP_CTR_REGION_FRAMES));
	fill(a.p, LENGTH, 2);
	EXPECT_EQ(-1, differs(b.p, LENGTH, 1));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 1));
	fill(self->r.p, LENGTH, 3);
	EXPECT_EQ(-1, differs(b.p, LENGTH, 1));
	EXPECT_EQ(-1, differs(a.p, LENGTH, 2));
	region_drop(&a);
	EXPECT_EQ(-1, differs(b.p, LENGTH, 1));
	region_drop(&b);
}

/* A child, and that one's child, after their ancestors are gone. */
TEST_F(versions, clone_of_a_clone)
{
	struct region a, b;
	int fd;

	ASSERT_EQ(0, clone_make(&a, self->base, LENGTH));
	a.p[0] ^= 1;
	fd = snapshot_fd(a.fd, NULL);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, clone_make(&b, fd, LENGTH));
	region_drop(&a);
	close(fd);
	EXPECT_EQ(0, differs(b.p, LENGTH, 1));
	b.p[0] ^= 1;
	EXPECT_EQ(-1, differs(b.p, LENGTH, 1));
	region_drop(&b);
}

/* ---- Commit ------------------------------------------------------------- */

/* A snapshot of a clone of the base with other content. */
static int changed(int base, unsigned int seed)
{
	struct region c;
	int fd;

	if (clone_make(&c, base, LENGTH))
		return -1;
	fill(c.p, LENGTH, seed);
	fd = snapshot_fd(c.fd, NULL);
	region_drop(&c);
	return fd;
}

TEST_F(versions, commit_arguments)
{
	struct snap_commit_args args = { .size = 8 };
	uint64_t version = self->version;
	struct region other;
	int fd, pipes[2];

	EXPECT_EQ(EINVAL, ioctl_errno(self->r.fd, SNAP_IOC_COMMIT, &args));
	EXPECT_EQ(-EBADF, commit(self->r.fd, -1, &version));
	EXPECT_EQ(-EBADF, commit(self->r.fd, 1000, &version));
	EXPECT_EQ(-EINVAL, commit(self->r.fd, self->r.fd, &version));
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, commit(self->r.fd, pipes[0], &version));
	close(pipes[0]);
	close(pipes[1]);
	ASSERT_EQ(0, region_make(&other, LENGTH + PAGE));
	fd = snapshot_fd(other.fd, NULL);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EINVAL, commit(self->r.fd, fd, &version));
	close(fd);
	region_drop(&other);
	EXPECT_EQ(self->version, version_of(self->r.fd));
}

TEST_F(versions, commit)
{
	uint64_t version = self->version, old;
	int fd = changed(self->base, 2);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, commit(self->r.fd, fd, &version));
	EXPECT_EQ(self->version + 1, version);
	EXPECT_EQ(version, version_of(self->r.fd));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 2));
	/* the same again, from the version before */
	old = self->version;
	EXPECT_EQ(-ESTALE, commit(self->r.fd, self->base, &old));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 2));
	EXPECT_EQ(0, commit(self->r.fd, self->base, &version));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 1));
	/* the region is its own: what it was made of does not change */
	fill(self->r.p, LENGTH, 3);
	EXPECT_EQ(-ESTALE, commit(self->r.fd, fd, &version));
	EXPECT_EQ(sizeof(old), pread(fd, &old, sizeof(old), 0));
	EXPECT_NE(old, self->word[0]);
	EXPECT_EQ(sizeof(old), pread(self->base, &old, sizeof(old), 0));
	EXPECT_NE(old, self->word[0]);
	close(fd);
}

/* Whoever stored meanwhile has made a version that nobody has named yet. */
TEST_F(versions, commit_after_a_store)
{
	uint64_t version = self->version;
	int now, fd = changed(self->base, 2);

	ASSERT_GE(fd, 0);
	self->word[5 * WORDS]++;
	EXPECT_EQ(-ESTALE, commit(self->r.fd, fd, &version));
	EXPECT_NE(-1, differs(self->r.p, LENGTH, 1));
	now = snapshot_fd(self->r.fd, &version);
	ASSERT_GE(now, 0);
	EXPECT_EQ(0, commit(self->r.fd, fd, &version));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 2));
	close(now);
	close(fd);
}

/* Of those who saw the same version exactly one wins. */
TEST_F(versions, commit_race)
{
	int round, i, status, won;
	pid_t pid[4];

	for (round = 0; round < 20; round++) {
		uint64_t version = version_of(self->r.fd);
		int fd = changed(self->base, 10 + round);

		ASSERT_GE(fd, 0);
		for (i = won = 0; i < 4; i++) {
			pid[i] = fork();
			if (!pid[i])
				_exit(-commit(self->r.fd, fd, &version));
		}
		for (i = 0; i < 4; i++) {
			waitpid(pid[i], &status, 0);
			won += status == 0;
			EXPECT_TRUE(!status || WEXITSTATUS(status) == ESTALE);
		}
		EXPECT_EQ(1, won);
		EXPECT_EQ(-1, differs(self->r.p, LENGTH, 10 + round));
		close(fd);
	}
}

/*
 * Every commit sets the first word of every other page to one more: the device
 * cannot exchange them in one go.  Whoever loads the first and the last of them,
 * in whatever order, sees no number go back.  They are many, because an emulator
 * may let an access wait that meets a page which has just been exchanged, for
 * some milliseconds.
 */
#define WATCHED	1000

static size_t watched(int i)
{
	return i * 2 * WORDS;
}

static int watch(const volatile uint64_t *word, uint64_t last)
{
	static const int order[] = { 0, WATCHED - 1, WATCHED - 1, 0 };
	uint64_t seen = 0, now;
	volatile int rest;
	size_t i;

	while (seen < last)
		for (i = 0; i < ARRAY_SIZE(order); i++) {
			now = word[watched(order[i])];
			if (now < seen || now > last)
				return 1;
			seen = now;
			if (i % 2)
				for (rest = 0; rest < 2000; rest++)
					;
		}
	return 0;
}

TEST_F(versions, commit_is_atomic)
{
	const size_t length = 2 * WATCHED * PAGE;
	const int commits = 30;
	struct region r, c;
	int i, k, status, fd;
	uint64_t version;
	pid_t pid;

	ASSERT_EQ(0, region_make(&r, length));
	fd = snapshot_fd(r.fd, &version);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, clone_make(&c, fd, length));
	close(fd);
	pid = fork();
	if (!pid)
		_exit(watch((uint64_t *)r.p, commits));
	for (k = 1; k <= commits; k++) {
		for (i = 0; i < WATCHED; i++)
			((uint64_t *)c.p)[watched(i)] = k;
		fd = snapshot_fd(c.fd, NULL);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, commit(r.fd, fd, &version));
		close(fd);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	region_drop(&c);
	region_drop(&r);
}

/* Somebody who stores all the time: nothing is lost, nothing hangs. */
TEST_F(versions, commit_beside_stores)
{
	uint64_t version = self->version;
	int k, conflicts = 0, fd = changed(self->base, 2);
	pid_t pid;

	ASSERT_GE(fd, 0);
	pid = fork();
	if (!pid)
		for (;;)
			((volatile uint64_t *)self->word)[9 * WORDS + 3]++;
	for (k = 0; k < 1000 && (k < 50 || !conflicts); k++) {
		int err = commit(self->r.fd, fd, &version);

		EXPECT_TRUE(!err || err == -ESTALE);
		conflicts += !!err;
		if (err)
			close(snapshot_fd(self->r.fd, &version));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_GT(conflicts, 0);
	close(fd);
}

/* ---- Merge -------------------------------------------------------------- */

/* A snapshot of a clone of the base, some words of which were set. */
static int with_words(int base, const size_t *at, const uint64_t *value, int n)
{
	struct region c;
	int fd, i;

	if (clone_make(&c, base, LENGTH))
		return -1;
	for (i = 0; i < n; i++)
		((uint64_t *)c.p)[at[i]] = value[i];
	fd = snapshot_fd(c.fd, NULL);
	region_drop(&c);
	return fd;
}

TEST_F(versions, merge_arguments)
{
	struct snap_merge_args args = { .size = 24 };
	uint32_t n = 0;
	int fd;

	EXPECT_EQ(EINVAL, ioctl_errno(self->r.fd, SNAP_IOC_MERGE, &args));
	EXPECT_EQ(-EBADF, merge(self->r.fd, -1, self->base, NULL, &n));
	EXPECT_EQ(-EBADF, merge(self->r.fd, self->base, -1, NULL, &n));
	EXPECT_EQ(-EINVAL, merge(self->r.fd, self->r.fd, self->base, NULL, &n));
	EXPECT_EQ(-EINVAL, merge(self->r.fd, self->base, self->r.fd, NULL, &n));
	EXPECT_EQ(0, merge(self->r.fd, self->base, self->base, NULL, &n));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 1));
	/* conflicts that cannot be stored */
	fd = with_words(self->base, (size_t[]){ 7 }, (uint64_t[]){ 1 }, 1);
	ASSERT_GE(fd, 0);
	self->word[7] = 2;
	n = 1;
	EXPECT_EQ(-EFAULT, merge(self->r.fd, self->base, fd, NULL, &n));
	n = 0;
	EXPECT_EQ(-ESTALE, merge(self->r.fd, self->base, fd, NULL, &n));
	EXPECT_EQ(0, n);
	close(fd);
}

TEST_F(versions, merge_of_different_words)
{
	const size_t at[] = { 0, 3 * WORDS, 3 * WORDS + 2, PAGES * WORDS - 1 };
	const uint64_t value[] = { 11, 12, 13, 14 };
	int fd = with_words(self->base, at, value, 4);
	uint64_t before, untouched = self->word[20 * WORDS];
	uint32_t n = 0;
	int i;

	ASSERT_GE(fd, 0);
	/* the same pages, other words; a whole page; and the same to the same */
	self->word[1] = 21;
	self->word[3 * WORDS + 1] = 22;
	memset(self->word + 40 * WORDS, 5, PAGE);
	self->word[3 * WORDS] = 12;
	before = version_of(self->r.fd);
	ASSERT_EQ(0, merge(self->r.fd, self->base, fd, NULL, &n));
	EXPECT_LT(before, version_of(self->r.fd));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(value[i], self->word[at[i]]);
	EXPECT_EQ(21, self->word[1]);
	EXPECT_EQ(22, self->word[3 * WORDS + 1]);
	EXPECT_EQ(0x0505050505050505, self->word[41 * WORDS - 1]);
	EXPECT_EQ(untouched, self->word[20 * WORDS]);
	close(fd);
}

TEST_F(versions, merge_conflicts)
{
	uint64_t conflict[SNAP_CONFLICTS_MAX + 1];
	struct region c;
	uint32_t n;
	int fd, i;

	ASSERT_EQ(0, clone_make(&c, self->base, LENGTH));
	for (i = 0; i < 200; i++) {
		((uint64_t *)c.p)[i * 100] = 1000 + i;
		if (i % 2)
			self->word[i * 100] = 2000 + i;
	}
	fd = snapshot_fd(c.fd, NULL);
	ASSERT_GE(fd, 0);
	memset(conflict, 0x77, sizeof(conflict));
	n = 3;
	EXPECT_EQ(-ESTALE, merge(self->r.fd, self->base, fd, conflict, &n));
	EXPECT_EQ(3, n);
	for (i = 0; i < 3; i++)
		EXPECT_EQ((2 * i + 1) * 100 * 8, conflict[i]);
	EXPECT_EQ(0x7777777777777777, conflict[3]);
	n = SNAP_CONFLICTS_MAX + 1;
	EXPECT_EQ(-ESTALE, merge(self->r.fd, self->base, fd, conflict, &n));
	EXPECT_EQ(SNAP_CONFLICTS_MAX, n);
	/* nothing has changed, also not what was free of conflicts */
	for (i = 1; i < 200; i += 2)
		EXPECT_EQ(2000 + i, self->word[i * 100]);
	for (i = 0; i < 200; i += 2)
		EXPECT_NE(1000 + i, self->word[i * 100]);
	close(fd);
	region_drop(&c);
}

/* ---- Differences -------------------------------------------------------- */

/* Ask with little room, again and again; what came, or -1. */
static long diff_all(int a, int b, uint32_t room, uint64_t *pages, long most)
{
	struct snap_diff_args args = { .size = sizeof(args), .other = b };
	long n = 0;

	while (!args.done) {
		args.npages = room;
		args.pages = (uintptr_t)(pages + n);
		if (n + room > most || ioctl(a, SNAP_IOC_DIFF, &args))
			return -1;
		n += args.npages;
	}
	return n;
}

TEST_F(versions, diff_arguments)
{
	struct snap_diff_args args = { .size = sizeof(args), .other = -1 };
	uint64_t page;

	args.npages = 1;
	args.pages = (uintptr_t)&page;
	EXPECT_EQ(EBADF, ioctl_errno(self->base, SNAP_IOC_DIFF, &args));
	args.other = self->r.fd;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_DIFF, &args));
	args.other = self->base;
	EXPECT_EQ(0, ioctl_errno(self->base, SNAP_IOC_DIFF, &args));
	EXPECT_EQ(0, args.npages);
	EXPECT_EQ(1, args.done);
	EXPECT_EQ(LENGTH, args.offset);
	args.npages = 1;
	EXPECT_EQ(0, ioctl_errno(self->base, SNAP_IOC_DIFF, &args));
	EXPECT_EQ(1, args.done);
	args.npages = 1;
	args.offset = LENGTH + PAGE;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_DIFF, &args));
	args.offset = 1;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_DIFF, &args));
	args.offset = 0;
	args.npages = 0;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_DIFF, &args));
	args.size = 24;
	EXPECT_EQ(EINVAL, ioctl_errno(self->base, SNAP_IOC_DIFF, &args));
}

TEST_F(versions, diff_of_many_pages)
{
	static const uint32_t rooms[] = { 13, 1024, 5000 };
	static uint64_t pages[20000];
	const int npages = 5000;
	size_t k;
	int i, before, after, wrong;
	struct region r;

	ASSERT_EQ(0, region_make(&r, npages * PAGE));
	memset(r.p, 1, r.length);
	before = snapshot_fd(r.fd, NULL);
	for (i = 0; i < npages; i++)
		r.p[i * PAGE + i % PAGE] = i % 3 ? 2 : 1;	/* or as it was */
	after = snapshot_fd(r.fd, NULL);
	ASSERT_GE(before, 0);
	ASSERT_GE(after, 0);
	for (k = 0; k < ARRAY_SIZE(rooms); k++) {
		memset(pages, 0, sizeof(pages));
		ASSERT_EQ(npages - (npages + 2) / 3,
			  diff_all(before, after, rooms[k], pages, 20000));
		for (wrong = 0, i = 0; i < npages - (npages + 2) / 3; i++)
			wrong += pages[i] != (i / 2 * 3 + i % 2 + 1) * PAGE;
		EXPECT_EQ(0, wrong);
	}
	close(before);
	close(after);
	region_drop(&r);
}

/* ---- Discard ------------------------------------------------------------ */

TEST_F(versions, discard_arguments)
{
	struct snap_discard_args args = { .size = 16 };

	EXPECT_EQ(EINVAL, ioctl_errno(self->r.fd, SNAP_IOC_DISCARD, &args));
	args.size = sizeof(args);
	args.length = PAGE;
	args.flags = 1;
	EXPECT_EQ(EINVAL, ioctl_errno(self->r.fd, SNAP_IOC_DISCARD, &args));
	EXPECT_EQ(-EINVAL, discard(self->r.fd, 0, 0));
	EXPECT_EQ(-EINVAL, discard(self->r.fd, 1, PAGE));
	EXPECT_EQ(-EINVAL, discard(self->r.fd, 0, 1));
	EXPECT_EQ(-EINVAL, discard(self->r.fd, LENGTH, PAGE));
	EXPECT_EQ(-EINVAL, discard(self->r.fd, 0, LENGTH + PAGE));
	EXPECT_EQ(-EINVAL, discard(self->r.fd, PAGE, ~0ull & ~(PAGE - 1)));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 1));
}

TEST_F(versions, discard)
{
	static const char zero[10 * SNAP_FRAME_SIZE];
	struct snap_object_info info;
	char byte;

	EXPECT_EQ(0, discard(self->r.fd, 5 * PAGE, 10 * PAGE));
	EXPECT_EQ(0, memcmp(self->r.p + 5 * PAGE, zero, 10 * PAGE));
	EXPECT_EQ(-1, differs(self->r.p, 5 * PAGE, 1));
	EXPECT_NE(0, self->word[15 * WORDS]);
	ASSERT_EQ(0, object_info(self->r.fd, &info));
	EXPECT_EQ(PAGES - 10, info.populated_frames);
	EXPECT_EQ(1, info.dirty);
	/* the snapshot has them still */
	EXPECT_EQ(1, pread(self->base, &byte, 1, 5 * PAGE + 9));
	EXPECT_NE(0, byte);
	/* and they can be stored to again */
	memset(self->r.p + 5 * PAGE, 7, 10 * PAGE);
	EXPECT_EQ(7, self->r.p[14 * PAGE]);
	ASSERT_EQ(0, object_info(self->r.fd, &info));
	EXPECT_EQ(PAGES, info.populated_frames);
}

TEST_F(versions, discard_gives_frames_back)
{
	uint64_t frames;
	struct region r;

	ASSERT_EQ(0, region_make(&r, 1000 * PAGE));
	memset(r.p, 1, r.length);
	frames = dev_counter(SNAP_CTR_REGION_FRAMES);
	EXPECT_EQ(0, discard(r.fd, 0, r.length));
	EXPECT_EQ(frames - 1000, dev_counter(SNAP_CTR_REGION_FRAMES));
	EXPECT_EQ(0, r.p[999 * PAGE]);
	EXPECT_EQ(frames - 1000, dev_counter(SNAP_CTR_REGION_FRAMES));
	r.p[0] = 1;
	EXPECT_LT(frames - 1000, dev_counter(SNAP_CTR_REGION_FRAMES));
	region_drop(&r);
}

TEST_HARNESS_MAIN
