// SPDX-License-Identifier: GPL-2.0-only
/*
 * What snapshots may take: how many there are, the quotas of a user, and what
 * happens when no frame is left.
 *
 * Machines: copy-1 debug
 */

#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define NOBODY	65534
#define PAGES	100
#define LENGTH	(PAGES * PAGE)

static char buffer[LENGTH];

FIXTURE(quota)
{
	struct snap_info before;
	struct region r;	/* filled with seed 1 when the snapshot is taken */
	int fd;			/* the snapshot */
};

FIXTURE_SETUP(quota)
{
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	ASSERT_EQ(0, dev_info(&self->before));
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	fill(self->r.p, LENGTH, 1);
	self->fd = snapshot_fd(self->r.fd, NULL);
	ASSERT_GE(self->fd, 0);
}

/* Whatever a test does, the device is then as it was. */
FIXTURE_TEARDOWN(quota)
{
	struct snap_info after;

	close(self->fd);
	region_drop(&self->r);
	EXPECT_LE(self->before.free_frames,
		  wait_free_frames(self->before.free_frames, 5000));
	EXPECT_EQ(0, dev_info(&after));
	EXPECT_EQ(self->before.used_frames, after.used_frames);
	EXPECT_EQ(0, dev_counter(SNAP_CTR_SNAPSHOTS_HELD));
	EXPECT_EQ(0, dev_counter(SNAP_CTR_RESERVED_FRAMES));
}

TEST_F(quota, at_most_so_many)
{
	static int fds[SNAP_SNAPSHOTS_MAX];
	struct rlimit old;
	struct region r;
	int n = 0, fd;

	ASSERT_EQ(0, region_make(&r, PAGE));
	ASSERT_EQ(0, prlimit(0, RLIMIT_NOFILE,
			     &(struct rlimit){ 10000, 10000 }, &old));
	while ((fd = snapshot_fd(r.fd, NULL)) >= 0 && n < SNAP_SNAPSHOTS_MAX)
		fds[n++] = fd;
	EXPECT_EQ(-ENOSPC, fd);
	EXPECT_EQ(SNAP_SNAPSHOTS_MAX - 1, n);	/* and the fixture's */
	while (n)
		close(fds[--n]);
	region_drop(&r);
}

/* ---- Quotas and the end of the pool ------------------------------------- */

/* Frames that are kept for stores count, too. */
static int snapshot_over_quota(void)
{
	struct snap_info info;
	uint64_t quota, pages, used;
	struct region r;
	int fd;

	if (setgid(NOBODY) || setuid(NOBODY) || dev_info(&info))
		return 1;
	quota = info.quota_frames;
	if (region_make(&r, quota / 4 * 3 * PAGE))
		return 2;
	if (snapshot_fd(r.fd, NULL) != -EDQUOT)
		return 3;
	region_drop(&r);
	pages = quota / 2 - 64;
	if (region_make(&r, pages * PAGE))
		return 4;
	fd = snapshot_fd(r.fd, NULL);
	if (fd < 0 || dev_info(&info))
		return 5;
	/* and the maps of pages: one for each 250, about */
	used = info.used_frames;
	if (used < 2 * pages || used > 2 * pages + pages / 200 + 2)
		return 9;
	if (region_fd((quota - used + 1) * PAGE, SNAP_HINT_NONE) != -EDQUOT)
		return 6;
	memset(r.p, 1, r.length);	/* never fails */
	/* what was kept is taken: the same sum */
	if (dev_info(&info) || info.used_frames != used)
		return 7;
	close(fd);
	if (dev_info(&info) || info.used_frames != pages)
		return 8;
	return 0;
}

TEST_F(quota, of_a_user)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(snapshot_over_quota());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

/* A snapshot of somebody else: what it becomes is paid by who makes it. */
static int clone_as_nobody(int snapshot)
{
	struct snap_object_info object;
	struct snap_info info;
	struct region c;

	if (setgid(NOBODY) || setuid(NOBODY) || dev_info(&info) ||
	    info.used_frames)
		return 1;
	if (clone_make(&c, snapshot, LENGTH) || object_info(c.fd, &object) ||
	    object.owner != NOBODY)
		return 2;
	if (dev_info(&info) || info.used_frames < PAGES)
		return 3;
	fill(c.p, LENGTH, 9);
	if (object_info(snapshot, &object) || object.owner != 0)
		return 4;
	region_drop(&c);
	return dev_info(&info) || info.used_frames ? 5 : 0;
}

TEST_F(quota, of_who_clones)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(clone_as_nobody(self->fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 1));
}

/* Closes what it was given, says so, and keeps its clone until it may go. */
static int clone_and_keep(struct region *r, int snapshot, int done, int go)
{
	struct region c;
	char byte = 0;

	if (setgid(NOBODY) || setuid(NOBODY) ||
	    clone_make(&c, snapshot, LENGTH))
		return 1;
	close(snapshot);
	region_drop(r);
	if (write(done, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		return 2;
	return differs(c.p, LENGTH, 3) == -1 ? 0 : 3;
}

/* Nobody keeps frames on the account of who made the snapshot. */
TEST_F(quota, clone_of_somebody_else)
{
	struct snap_info before, after;
	int done[2], go[2], status, fd;
	struct region r;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(done));
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, dev_info(&before));
	ASSERT_EQ(0, region_make(&r, LENGTH));
	fill(r.p, LENGTH, 3);
	fd = snapshot_fd(r.fd, NULL);
	ASSERT_GE(fd, 0);
	pid = fork();
	if (!pid)
		_exit(clone_and_keep(&r, fd, done[1], go[0]));
	close(done[1]);
	EXPECT_EQ(1, read(done[0], &byte, 1));
	close(fd);
	region_drop(&r);
	EXPECT_EQ(0, dev_info(&after));
	EXPECT_EQ(before.used_frames, after.used_frames);
	EXPECT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	close(done[0]);
	close(go[0]);
	close(go[1]);
}

/* One percent of what the device can number. */
static int objects_as_nobody(void)
{
	static int fds[SNAP_SNAPSHOTS_MAX / 100 + 1];
	int first, fd, n = 1;

	if (setgid(NOBODY) || setuid(NOBODY))
		return 1;
	first = region_fd(PAGE, SNAP_HINT_NONE);
	if (first < 0)
		return 2;
	while ((fd = region_fd(PAGE, SNAP_HINT_NONE)) >= 0 &&
	       n <= SNAP_REGIONS_MAX / 100)
		n++;
	if (fd != -EDQUOT || n != SNAP_REGIONS_MAX / 100)
		return 3;
	for (n = 0; (fd = snapshot_fd(first, NULL)) >= 0 && n < ARRAY_SIZE(fds);)
		fds[n++] = fd;
	if (fd != -EDQUOT || n != SNAP_SNAPSHOTS_MAX / 100)
		return 4;
	close(fds[0]);
	return snapshot_fd(first, NULL) < 0 ? 5 : 0;
}

TEST_F(quota, of_objects)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, write_text(USER_QUOTA, "1"));
	pid = fork();
	if (!pid)
		_exit(objects_as_nobody());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, write_text(USER_QUOTA, USER_QUOTA_DEFAULT));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

/* Over the quota of frames in flight a mapping has copies, and no frames. */
TEST_F(quota, of_frames_in_flight)
{
	const char *p = snapshot_map(self->fd, LENGTH);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, write_text(USER_QUOTA, "0"));
	ASSERT_EQ(0, quotas_bind(true));
	EXPECT_EQ(-1, differs(p, LENGTH, 1));
	EXPECT_EQ(0, wait_no_frames_out(2000));
	EXPECT_TRUE(store_is_fatal((char *)p + 1, SIGSEGV));
	fill(self->r.p, LENGTH, 2);
	EXPECT_EQ(-1, differs(p, LENGTH, 1));
	ASSERT_EQ(0, quotas_bind(false));
	ASSERT_EQ(0, write_text(USER_QUOTA, USER_QUOTA_DEFAULT));
	munmap((void *)p, LENGTH);
}

/* All that is promised is there: no store fails or waits when nothing is free. */
TEST_F(quota, stores_with_a_full_pool)
{
	struct snap_info info;
	struct region big;
	int fds[800], n, fd;

	ASSERT_EQ(0, dev_info(&info));
	ASSERT_EQ(0, region_make(&big, info.free_frames / 4 * PAGE));
	fill(big.p, big.length, 5);
	fd = snapshot_fd(big.fd, NULL);
	ASSERT_GE(fd, 0);
	n = regions_take_all(fds, 800);
	EXPECT_EQ(-ENOSPC, snapshot_fd(fds[0], NULL));
	EXPECT_EQ(-ENOSPC, region_fd(PAGE, SNAP_HINT_NONE));
	fill(big.p, big.length, 6);
	EXPECT_EQ(-1, differs(big.p, big.length, 6));
	fill(self->r.p, LENGTH, 6);
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 6));
	EXPECT_EQ(LENGTH, pread(self->fd, buffer, LENGTH, 0));
	EXPECT_EQ(-1, differs(buffer, LENGTH, 1));
	EXPECT_EQ(LENGTH, pread(fd, buffer, LENGTH, 0));
	EXPECT_EQ(-1, differs(buffer, LENGTH, 5));
	while (n)
		close(fds[--n]);
	close(fd);
	region_drop(&big);
}

/*
 * Frames that are promised to a region serve a commit to it; beyond them commit
 * and merge fail whole, and work again when there are frames.
 */
TEST_F(quota, commit_and_merge_with_a_full_pool)
{
	struct snap_object_info info;
	uint64_t version, before;
	struct region c;
	uint32_t none = 0;
	int fds[800], n, from;

	ASSERT_EQ(0, clone_make(&c, self->fd, LENGTH));
	fill(c.p, LENGTH, 2);
	from = snapshot_fd(c.fd, NULL);
	ASSERT_GE(from, 0);
	ASSERT_EQ(0, object_info(self->r.fd, &info));
	version = info.version;
	n = regions_take_all(fds, 800);
	EXPECT_EQ(0, commit(self->r.fd, from, &version));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 2));
	/* now its pages are its own, and nothing is promised */
	before = version;
	EXPECT_EQ(-ENOSPC, commit(self->r.fd, self->fd, &version));
	EXPECT_EQ(-ENOSPC, merge(self->r.fd, from, self->fd, NULL, &none));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 2));
	while (n)
		close(fds[--n]);
	version = before;
	EXPECT_EQ(0, commit(self->r.fd, self->fd, &version));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 1));
	EXPECT_EQ(0, merge(self->r.fd, self->fd, from, NULL, &none));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 2));
	close(from);
	region_drop(&c);
}

TEST_HARNESS_MAIN
