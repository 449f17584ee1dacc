// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/snap and regions: each errno of Documentation/memory-api.rst, the rules
 * of mmap(), lifetime, and quotas.
 *
 * Machines: auto-1 share-2 copy-2 asan debug newest
 * Paths: thread-auto-*
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define NOBODY	65534

FIXTURE(memory)
{
	int dev;
	struct snap_info before;
};

FIXTURE_SETUP(memory)
{
	self->dev = dev_open();
	ASSERT_GE(self->dev, 0)
		TH_LOG("/dev/snap: %s", strerror(-self->dev));
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	ASSERT_EQ(0, dev_info(&self->before));
}

/* Whatever a test does, the device is then as it was. */
FIXTURE_TEARDOWN(memory)
{
	struct snap_info after;

	EXPECT_LE(self->before.free_frames,
		  wait_free_frames(self->before.free_frames, 5000));
	EXPECT_EQ(0, dev_info(&after));
	EXPECT_EQ(self->before.used_frames, after.used_frames);
	EXPECT_EQ(0, after.out_frames);
	close(self->dev);
}

static struct snap_region_args good_args(void)
{
	struct snap_region_args args = { .size = sizeof(args), .length = PAGE };

	return args;
}

/* The errno of REGION_CREATE, or 0. */
static int create_errno(int dev, void *args)
{
	int fd = ioctl(dev, SNAP_IOC_REGION_CREATE, args);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

TEST_F(memory, node_is_for_everybody)
{
	struct stat st;

	ASSERT_EQ(0, fstat(self->dev, &st));
	EXPECT_EQ(0666, st.st_mode & 07777);
	EXPECT_TRUE(S_ISCHR(st.st_mode));
}

TEST_F(memory, unknown_ioctl)
{
	EXPECT_EQ(-1, ioctl(self->dev, _IO(SNAP_IOC_MAGIC, 0x7f), 0));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, ioctl(self->dev, _IOW(SNAP_IOC_MAGIC, 0x01, int), 0));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_F(memory, bad_pointers)
{
	EXPECT_EQ(-1, ioctl(self->dev, SNAP_IOC_REGION_CREATE, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->dev, SNAP_IOC_INFO, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->dev, SNAP_IOC_STATS, (void *)-4096L));
	EXPECT_EQ(EFAULT, errno);
}

/* The size can be read, what lies behind it cannot. */
TEST_F(memory, argument_at_the_end_of_memory)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u32 *size = (__u32 *)(p + PAGE - 8);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + PAGE, PAGE));
	*size = sizeof(struct snap_region_args);
	EXPECT_EQ(EFAULT, create_errno(self->dev, size));
	*size = sizeof(struct snap_info);
	EXPECT_EQ(-1, ioctl(self->dev, SNAP_IOC_INFO, size));
	EXPECT_EQ(EFAULT, errno);
	*size = sizeof(struct snap_stats);
	EXPECT_EQ(-1, ioctl(self->dev, SNAP_IOC_STATS, size));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(memory, info_sizes)
{
	struct snap_info info;
	size_t size;

	for (size = 0; size < 8; size++) {
		info.size = size;
		EXPECT_EQ(-1, ioctl(self->dev, SNAP_IOC_INFO, &info));
		EXPECT_EQ(EINVAL, errno);
	}
	for (size = 8; size <= sizeof(info); size += 8) {
		memset(&info, 0x77, sizeof(info));
		info.size = size;
		ASSERT_EQ(0, ioctl(self->dev, SNAP_IOC_INFO, &info));
		EXPECT_EQ(size, info.size);
		EXPECT_EQ(SNAP_ABI_VERSION, info.abi_version);
		if (size < sizeof(info))
			EXPECT_EQ(0x77, ((unsigned char *)&info)[size]);
	}
}

TEST_F(memory, info_of_a_later_version)
{
	struct {
		struct snap_info info;
		char more[64];
	} later;

	memset(&later, 0x77, sizeof(later));
	later.info.size = sizeof(later);
	ASSERT_EQ(0, ioctl(self->dev, SNAP_IOC_INFO, &later));
	EXPECT_EQ(sizeof(struct snap_info), later.info.size);
	EXPECT_EQ(0x77, later.more[0]);
	EXPECT_EQ(SNAP_VERSION, later.info.device_version);
	EXPECT_EQ(SNAP_FRAME_SIZE, later.info.frame_bytes);
	EXPECT_LE(later.info.free_frames, later.info.pool_frames);
	EXPECT_NE(0, later.info.ifindex);
	EXPECT_NE(0, later.info.window_pages);
}

TEST_F(memory, stats_sizes)
{
	struct snap_stats stats;

	stats.size = 7;
	EXPECT_EQ(-1, ioctl(self->dev, SNAP_IOC_STATS, &stats));
	EXPECT_EQ(EINVAL, errno);
	stats.size = sizeof(stats);
	ASSERT_EQ(0, ioctl(self->dev, SNAP_IOC_STATS, &stats));
	EXPECT_EQ(sizeof(stats), stats.size);
	EXPECT_EQ(SNAP_CTR_MAX, stats.ncounters);
}

TEST_F(memory, create_sizes)
{
	struct {
		struct snap_region_args args;
		char more[40];
	} later = { .args = good_args() };
	struct snap_region_args args = good_args();
	unsigned int size;

	for (size = 0; size < 24; size++) {
		args.size = size;
		EXPECT_EQ(EINVAL, create_errno(self->dev, &args));
	}
	/* programs were built with this, and stay */
	args.size = 24;
	EXPECT_EQ(0, create_errno(self->dev, &args));
	later.args.size = sizeof(later);
	EXPECT_EQ(0, create_errno(self->dev, &later));
	later.more[39] = 1;
	EXPECT_EQ(E2BIG, create_errno(self->dev, &later));
}

TEST_F(memory, create_fields)
{
	struct snap_region_args args = good_args();
	unsigned int bit;

	args.flags = SNAP_REGION_ARGS_SPARSE;
	EXPECT_EQ(0, create_errno(self->dev, &args));
	for (bit = 1; bit < 32; bit++) {
		args.flags = 1u << bit;
		EXPECT_EQ(EINVAL, create_errno(self->dev, &args));
	}
	args.flags = 0;
	for (bit = 0; bit < 32; bit++) {
		args.reserved = 1u << bit;
		EXPECT_EQ(EINVAL, create_errno(self->dev, &args));
	}
	args.reserved = 0;
	for (args.hint = 0; args.hint < SNAP_HINT_MAX; args.hint++)
		EXPECT_EQ(0, create_errno(self->dev, &args));
	EXPECT_EQ(EINVAL, create_errno(self->dev, &args));
	args.hint = UINT_MAX;
	EXPECT_EQ(EINVAL, create_errno(self->dev, &args));
}

TEST_F(memory, create_lengths)
{
	static const __u64 bad[] = { 0, 1, 4095, 4097, 8191, ~0ull };
	static const __u64 huge[] = {
		1ull << 40, 1ull << 44, 1ull << 63, ~0ull & ~4095ull,
		(1ull << 44) + 4096,	/* one page, if cut to 32 bits of pages */
	};
	struct snap_region_args args = good_args();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		args.length = bad[i];
		EXPECT_EQ(EINVAL, create_errno(self->dev, &args));
	}
	for (i = 0; i < ARRAY_SIZE(huge); i++) {
		args.length = huge[i];
		EXPECT_EQ(ENOSPC, create_errno(self->dev, &args));
	}
	args.length = (self->before.window_pages + 1) * PAGE;
	EXPECT_EQ(ENOSPC, create_errno(self->dev, &args));
}

TEST_F(memory, close_on_exec)
{
	int fd = region_fd(PAGE, SNAP_HINT_NONE);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	close(fd);
}

TEST_F(memory, descriptor_limit)
{
	struct snap_region_args args = good_args();
	int fds[64], n = 0;

	ASSERT_EQ(0, sh("true"));
	ASSERT_EQ(0, prlimit(0, RLIMIT_NOFILE,
			     &(struct rlimit){ 32, 4096 }, NULL));
	while (n < 64 && (fds[n] = dup(self->dev)) >= 0)
		n++;
	EXPECT_EQ(EMFILE, create_errno(self->dev, &args));
	while (n)
		close(fds[--n]);
	EXPECT_EQ(0, create_errno(self->dev, &args));
}

TEST_F(memory, read_and_write_of_a_region)
{
	int fd = region_fd(PAGE, SNAP_HINT_NONE);
	char byte;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(fd, "x", 1));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

TEST_F(memory, mmap_rules)
{
	const int rw = PROT_READ | PROT_WRITE;
	int fd = region_fd(4 * PAGE, SNAP_HINT_NONE);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, mmap_errno(fd, 4 * PAGE, rw, MAP_SHARED, 0));
	EXPECT_EQ(0, mmap_errno(fd, PAGE, rw, MAP_SHARED, 3 * PAGE));
	EXPECT_EQ(0, mmap_errno(fd, 4 * PAGE, PROT_READ, MAP_SHARED, 0));
	EXPECT_EQ(0, mmap_errno(fd, 4 * PAGE, PROT_NONE, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, rw, MAP_PRIVATE, 0));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, PROT_READ, MAP_PRIVATE, 0));
	EXPECT_TRUE(exec_is_denied(fd, rw));
	EXPECT_EQ(EINVAL, mmap_errno(fd, 5 * PAGE, rw, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, mmap_errno(fd, 4 * PAGE, rw, MAP_SHARED, PAGE));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, rw, MAP_SHARED, 4 * PAGE));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, rw, MAP_SHARED, 1L << 44));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, rw, MAP_SHARED, 1));
	close(fd);
}

TEST_F(memory, mprotect_and_mremap)
{
	struct region r;
	char *p;

	ASSERT_EQ(0, region_make(&r, 4 * PAGE));
	r.p[3 * PAGE] = 7;
	EXPECT_EQ(MAP_FAILED, mremap(r.p, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE));
	p = mremap(r.p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (char *)0x200000000000);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(7, p[3 * PAGE]);
	p[0] = 9;
	EXPECT_EQ(9, p[0]);
	r.p = p;
	EXPECT_EQ(-1, mprotect(r.p, PAGE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, mprotect(r.p, PAGE, PROT_READ));
	EXPECT_EQ(0, mprotect(r.p, PAGE, PROT_READ | PROT_WRITE));
	r.p[1] = 3;
	region_drop(&r);
}

/* What would pin pages that may change is refused. */
TEST_F(memory, nobody_pins_a_region)
{
	struct region r;
	struct iovec iov;
	int pipes[2];

	ASSERT_EQ(0, region_make(&r, PAGE));
	ASSERT_EQ(0, pipe(pipes));
	iov.iov_base = r.p;
	iov.iov_len = PAGE;
	EXPECT_EQ(-1, vmsplice(pipes[1], &iov, 1, SPLICE_F_GIFT));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(100, write(pipes[1], r.p, 100));
	EXPECT_EQ(100, read(pipes[0], r.p + 200, 100));
	region_drop(&r);
}

/* Used memory goes round through the pool and comes back as zeros. */
TEST_F(memory, fresh_regions_are_zero)
{
	static const char zero[4096];
	size_t i, dirty = 0;
	struct region r;
	int round;

	for (round = 0; round < 4; round++) {
		dirty = 0;
		ASSERT_EQ(0, region_make(&r, 1024 * PAGE));
		for (i = 0; i < 1024; i++)
			dirty += !!memcmp(r.p + i * PAGE, zero, PAGE);
		EXPECT_EQ(0, dirty);
		memset(r.p, POISON, r.length);
		region_drop(&r);
	}
}

TEST_F(memory, two_mappings_are_one_memory)
{
	struct region r;
	const char *other;

	ASSERT_EQ(0, region_make(&r, 4 * PAGE));
	other = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r.fd, 2 * PAGE);
	ASSERT_NE(MAP_FAILED, other);
	strcpy(r.p + 2 * PAGE + 5, "both");
	EXPECT_STREQ("both", other + 5);
	munmap((void *)other, PAGE);
	region_drop(&r);
}

TEST_F(memory, fork_shares)
{
	struct region r;
	int status;
	pid_t pid;

	ASSERT_EQ(0, region_make(&r, PAGE));
	pid = fork();
	if (!pid) {
		r.p[1] = 42;
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(42, r.p[1]);
	region_drop(&r);
}

static bool used_pages_are(uint64_t wanted)
{
	struct snap_info info;

	return !dev_info(&info) && info.used_frames == wanted;
}

TEST_F(memory, lives_until_the_last_use)
{
	uint64_t used = self->before.used_frames;
	struct region r;
	int copy;

	/* descriptor first */
	ASSERT_EQ(0, region_make(&r, 4 * PAGE));
	close(r.fd);
	r.p[0] = 1;
	EXPECT_TRUE(used_pages_are(used + 4));
	munmap(r.p, PAGE);
	EXPECT_TRUE(used_pages_are(used + 4));
	r.p[3 * PAGE] = 1;
	munmap(r.p + PAGE, 3 * PAGE);
	EXPECT_TRUE(used_pages_are(used));
	/* mapping first */
	ASSERT_EQ(0, region_make(&r, 4 * PAGE));
	r.p[0] = 77;
	munmap(r.p, r.length);
	EXPECT_TRUE(used_pages_are(used + 4));
	r.p = mmap(NULL, r.length, PROT_READ, MAP_SHARED, r.fd, 0);
	ASSERT_NE(MAP_FAILED, r.p);
	EXPECT_EQ(77, r.p[0]);
	copy = dup(r.fd);
	region_drop(&r);
	EXPECT_TRUE(used_pages_are(used + 4));
	close(copy);
	EXPECT_TRUE(used_pages_are(used));
}

TEST_F(memory, killed_processes_leave_nothing)
{
	int pipes[2], i, round;
	char byte;
	pid_t pid;

	for (round = 0; round < 5; round++) {
		ASSERT_EQ(0, pipe(pipes));
		pid = fork();
		if (!pid) {
			struct region r[20];

			for (i = 0; i < 20; i++) {
				if (region_make(&r[i], (i + 1) * PAGE))
					_exit(1);
				memset(r[i].p, 3, r[i].length);
			}
			if (write(pipes[1], "r", 1) != 1)
				_exit(1);
			pause();
		}
		close(pipes[1]);
		ASSERT_EQ(1, read(pipes[0], &byte, 1));
		EXPECT_TRUE(used_pages_are(self->before.used_frames + 210));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(pipes[0]);
		EXPECT_TRUE(used_pages_are(self->before.used_frames));
	}
}

/* Counters are no command, which would make the device give up what has begun. */
static bool frames_become_free(uint64_t wanted)
{
	int i;

	for (i = 0; i < 400; i++) {
		if (dev_counter(SNAP_CTR_FREE_FRAMES) >= wanted)
			return true;
		usleep(5000);
	}
	return false;
}

/*
 * Nor does one that is killed while a region is made, which takes the device eight
 * steps: its frames are set aside with the first, and nobody could give them back.
 */
TEST_F(memory, killed_between_steps_leaves_nothing)
{
	volatile bool *making = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int round, hits = 0;
	struct region r;

	ASSERT_NE(MAP_FAILED, making);
	for (round = 0; round < 50 && hits < 5; round++) {
		pid_t pid = fork();

		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;) {
				int fd;

				*making = true;
				fd = region_fd(8 * 1024 * PAGE, SNAP_HINT_NONE);
				*making = false;
				if (fd < 0 || close(fd))
					_exit(1);
			}
		}
		usleep(5000 + round * 1000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		hits += *making;
		*making = false;
		ASSERT_TRUE(frames_become_free(self->before.free_frames));
	}
	EXPECT_GT(hits, 0);
	TH_LOG("killed %d times in the middle of it, in %d rounds", hits, round);
	/* and the device makes the next one */
	ASSERT_EQ(0, region_make(&r, 8 * 1024 * PAGE));
	EXPECT_EQ(0, r.p[0] | r.p[r.length - 1]);
	region_drop(&r);
}

TEST_F(memory, passes_through_a_socket)
{
	int pair[2], fd, status;
	struct region r;
	char *p;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	if (!pid) {
		if (region_make(&r, 2 * PAGE))
			_exit(1);
		strcpy(r.p + PAGE, "passed");
		_exit(send_fd(pair[0], r.fd) ? 2 : 0);
	}
	fd = receive_fd(pair[1]);
	waitpid(pid, &status, 0);
	ASSERT_EQ(0, status);
	ASSERT_GE(fd, 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_STREQ("passed", p + PAGE);
	munmap(p, 2 * PAGE);
	/* in flight, with nobody left to receive it */
	ASSERT_EQ(0, send_fd(pair[0], fd));
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

TEST_F(memory, all_frames_and_recovery)
{
	uint64_t before = dev_counter(SNAP_CTR_REGION_FRAMES);
	struct snap_info info;
	int fds[800], n;

	n = regions_take_all(fds, 800);
	ASSERT_GT(n, 0);
	EXPECT_EQ(-ENOSPC, region_fd(PAGE, SNAP_HINT_NONE));
	ASSERT_EQ(0, dev_info(&info));
	TH_LOG("%d regions took %llu of %llu frames", n,
	       (unsigned long long)info.used_frames,
	       (unsigned long long)info.pool_frames);
	EXPECT_GT(info.used_frames, info.pool_frames / 2);
	while (n)
		close(fds[--n]);
	EXPECT_EQ(before, dev_counter(SNAP_CTR_REGION_FRAMES));
	n = region_fd(256 * PAGE, SNAP_HINT_NONE);
	EXPECT_GE(n, 0);
	close(n);
}

TEST_F(memory, many_regions)
{
	static int fds[SNAP_REGIONS_MAX + 1];
	int n = 0, fd = 0;

	ASSERT_EQ(0, prlimit(0, RLIMIT_NOFILE,
			     &(struct rlimit){ 4096, 4096 }, NULL));
	while (n <= SNAP_REGIONS_MAX && fd >= 0) {
		fd = region_fd(PAGE, SNAP_HINT_NONE);
		if (fd >= 0)
			fds[n++] = fd;
	}
	EXPECT_EQ(-ENOSPC, fd);
	EXPECT_EQ(SNAP_REGIONS_MAX, n);
	while (n)
		close(fds[--n]);
}

/* Everything a user without privileges sees, in a child that became one. */
static int as_nobody(void)
{
	static int fds[800];
	struct snap_info info;
	uint64_t quota;
	int n = 0, fd;

	if (setgid(NOBODY) || setuid(NOBODY) || dev_info(&info))
		return 1;
	quota = info.pool_frames * read_number(USER_QUOTA) / 100;
	if (info.quota_frames != quota || info.used_frames)
		return 2;
	fd = region_fd((quota + 1) * PAGE, SNAP_HINT_NONE);
	if (fd != -EDQUOT && fd != -ENOSPC)
		return 3;
	while (n < 800 && (fd = region_fd(quota / 8 * PAGE, 0)) >= 0)
		fds[n++] = fd;
	if (fd != -EDQUOT || dev_info(&info) || info.used_frames > quota ||
	    info.used_frames < quota / 8 * 7)
		return 4;
	while (n)
		close(fds[--n]);
	if (dev_info(&info) || info.used_frames)
		return 5;
	/* dies with some */
	return region_fd(4 * PAGE, 0) < 0 ? 6 : 0;
}

TEST_F(memory, quota_of_a_user)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(as_nobody());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_TRUE(WIFEXITED(status));
	/* root's account is another one */
	EXPECT_TRUE(used_pages_are(self->before.used_frames));
	EXPECT_EQ(self->before.pool_frames, self->before.quota_frames);
}

TEST_F(memory, quota_parameter)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, write_text(USER_QUOTA, "0"));
	pid = fork();
	if (!pid) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(1);
		_exit(region_fd(PAGE, 0) == -EDQUOT ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	ASSERT_EQ(0, write_text(USER_QUOTA, USER_QUOTA_DEFAULT));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
