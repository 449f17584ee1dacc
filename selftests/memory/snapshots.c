// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots: what they show, the rules of each mapping, reading, passing on,
 * and each errno of Documentation/memory-api.rst.  versions.c has what is made
 * of them, snapshot_quota.c what they may take.
 *
 * Machines: auto-1 asan debug newest
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define PAGES	100
#define LENGTH	(PAGES * PAGE)

static char buffer[LENGTH];

FIXTURE(snapshot)
{
	struct snap_info before;
	struct region r;	/* filled with seed 1 when the snapshot is taken */
	int fd;			/* the snapshot */
	uint64_t version;
	const char *p;		/* mapping of it */
};

FIXTURE_SETUP(snapshot)
{
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	ASSERT_EQ(0, dev_info(&self->before));
	ASSERT_TRUE(self->before.features & SNAP_F_SNAPSHOT);
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	fill(self->r.p, LENGTH, 1);
	self->fd = snapshot_fd(self->r.fd, &self->version);
	ASSERT_GE(self->fd, 0);
	self->p = snapshot_map(self->fd, LENGTH);
	ASSERT_NE(MAP_FAILED, self->p);
}

/* Whatever a test does, the device is then as it was. */
FIXTURE_TEARDOWN(snapshot)
{
	struct snap_info after;

	munmap((void *)self->p, LENGTH);
	close(self->fd);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	EXPECT_LE(self->before.free_frames,
		  wait_free_frames(self->before.free_frames, 5000));
	EXPECT_EQ(0, dev_info(&after));
	EXPECT_EQ(self->before.used_frames, after.used_frames);
	EXPECT_EQ(0, after.out_frames);
	EXPECT_EQ(0, dev_counter(SNAP_CTR_SNAPSHOTS_HELD));
	EXPECT_EQ(0, dev_counter(SNAP_CTR_RESERVED_FRAMES));
}

/* ---- Arguments ---------------------------------------------------------- */

static int take_errno(int fd, void *arg)
{
	return ioctl_errno(fd, SNAP_IOC_SNAPSHOT, arg);
}

TEST_F(snapshot, each_file_has_its_ioctls)
{
	static const unsigned long of_regions[] = {
		SNAP_IOC_SNAPSHOT, SNAP_IOC_COMMIT, SNAP_IOC_MERGE,
		SNAP_IOC_DISCARD,
	};
	static const unsigned long of_snapshots[] = {
		SNAP_IOC_CLONE, SNAP_IOC_DIFF,
	};
	int dev = dev_open();
	size_t i;

	ASSERT_GE(dev, 0);
	for (i = 0; i < ARRAY_SIZE(of_regions); i++) {
		EXPECT_EQ(ENOTTY, ioctl_errno(self->fd, of_regions[i], NULL));
		EXPECT_EQ(ENOTTY, ioctl_errno(dev, of_regions[i], NULL));
		EXPECT_EQ(EFAULT, ioctl_errno(self->r.fd, of_regions[i], NULL));
	}
	for (i = 0; i < ARRAY_SIZE(of_snapshots); i++) {
		EXPECT_EQ(ENOTTY, ioctl_errno(self->r.fd, of_snapshots[i], NULL));
		EXPECT_EQ(ENOTTY, ioctl_errno(dev, of_snapshots[i], NULL));
		EXPECT_EQ(EFAULT, ioctl_errno(self->fd, of_snapshots[i], NULL));
	}
	EXPECT_EQ(ENOTTY, ioctl_errno(self->fd, SNAP_IOC_INFO, NULL));
	EXPECT_EQ(ENOTTY, ioctl_errno(self->r.fd, SNAP_IOC_REGION_CREATE, NULL));
	EXPECT_EQ(ENOTTY, ioctl_errno(dev, SNAP_IOC_OBJECT_INFO, NULL));
	EXPECT_EQ(EFAULT, ioctl_errno(self->fd, SNAP_IOC_OBJECT_INFO, NULL));
	close(dev);
}

TEST_F(snapshot, argument_sizes)
{
	struct {
		struct snap_snapshot_args args;
		char more[40];
	} later = { .args.size = sizeof(later) };
	unsigned int size, bit;

	for (size = 0; size < 16; size++) {
		later.args.size = size;
		EXPECT_EQ(EINVAL, take_errno(self->r.fd, &later));
	}
	/* programs were built with this, and have nothing behind it */
	later.args.size = 16;
	memset((char *)&later + 16, POISON, sizeof(later) - 16);
	EXPECT_EQ(0, take_errno(self->r.fd, &later));
	EXPECT_EQ(16, later.args.size);
	for (size = 16; size < sizeof(later); size++)
		EXPECT_EQ(POISON, ((unsigned char *)&later)[size]);
	memset((char *)&later + 16, 0, sizeof(later) - 16);
	later.args.size = 4097;
	EXPECT_EQ(E2BIG, take_errno(self->r.fd, &later));
	later.args.size = sizeof(later);
	EXPECT_EQ(0, take_errno(self->r.fd, &later));
	later.more[39] = 1;
	EXPECT_EQ(E2BIG, take_errno(self->r.fd, &later));
	later.args.size = sizeof(later.args);
	for (bit = 0; bit < 32; bit++) {
		later.args.flags = 1u << bit;
		EXPECT_EQ(EINVAL, take_errno(self->r.fd, &later));
	}
}

/* Without a place for the version there is no snapshot either. */
TEST_F(snapshot, argument_that_cannot_be_written)
{
	struct snap_snapshot_args *args;
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	args = (void *)p;
	args->size = sizeof(*args);
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(EFAULT, take_errno(self->r.fd, args));
	EXPECT_EQ(1, dev_counter(SNAP_CTR_SNAPSHOTS_HELD));
	munmap(p, PAGE);
}

TEST_F(snapshot, info_sizes)
{
	struct snap_object_info info;
	unsigned int size;

	for (size = 0; size < 8; size++) {
		info.size = size;
		EXPECT_EQ(EINVAL, ioctl_errno(self->fd, SNAP_IOC_OBJECT_INFO, &info));
	}
	memset(&info, 0x77, sizeof(info));
	info.size = 16;
	EXPECT_EQ(0, ioctl_errno(self->fd, SNAP_IOC_OBJECT_INFO, &info));
	EXPECT_EQ(16, info.size);
	EXPECT_EQ(LENGTH, info.length);
	EXPECT_EQ(0x7777777777777777, info.version);
}

TEST_F(snapshot, info)
{
	struct snap_object_info region, snapshot;

	ASSERT_EQ(0, object_info(self->r.fd, &region));
	ASSERT_EQ(0, object_info(self->fd, &snapshot));
	EXPECT_EQ(SNAP_OBJECT_REGION, region.kind);
	EXPECT_EQ(SNAP_OBJECT_SNAPSHOT, snapshot.kind);
	EXPECT_EQ(LENGTH, snapshot.length);
	EXPECT_EQ(self->version, snapshot.version);
	EXPECT_EQ(self->version, region.version);
	EXPECT_NE(region.handle, snapshot.handle);
	EXPECT_EQ(0, region.owner);
	EXPECT_EQ(0, snapshot.owner);
	EXPECT_EQ(PAGES, region.populated_frames);
	EXPECT_EQ(PAGES, snapshot.populated_frames);
	/* what a snapshot reserves: one frame for each page of the region */
	EXPECT_EQ(PAGES, region.reserved_frames);
	EXPECT_EQ(0, snapshot.reserved_frames);
	EXPECT_EQ(0, region.dirty);
	self->r.p[0]++;
	ASSERT_EQ(0, object_info(self->r.fd, &region));
	EXPECT_EQ(1, region.dirty);
	EXPECT_EQ(self->version, region.version);
}

TEST_F(snapshot, fdinfo)
{
	static const char *const kinds[] = { "region", "snapshot" };
	char value[32];
	int i;

	for (i = 0; i < 2; i++) {
		int fd = i ? self->fd : self->r.fd;
		struct snap_object_info info;

		ASSERT_EQ(0, object_info(fd, &info));
		ASSERT_EQ(0, fdinfo_value(fd, "snap-kind", value, sizeof(value)));
		EXPECT_STREQ(kinds[i], value);
		ASSERT_EQ(0, fdinfo_value(fd, "snap-handle", value, sizeof(value)));
		EXPECT_EQ(info.handle, strtoul(value, NULL, 16));
		ASSERT_EQ(0, fdinfo_value(fd, "snap-pages", value, sizeof(value)));
		EXPECT_EQ(PAGES, atoi(value));
		ASSERT_EQ(0, fdinfo_value(fd, "snap-owner", value, sizeof(value)));
		EXPECT_EQ(0, atoi(value));
		ASSERT_EQ(0, fdinfo_value(fd, "snap-version", value, sizeof(value)));
		EXPECT_EQ(self->version, strtoull(value, NULL, 10));
		ASSERT_EQ(0, fdinfo_value(fd, "snap-populated", value, sizeof(value)));
		EXPECT_EQ(PAGES, atoi(value));
		ASSERT_EQ(0, fdinfo_value(fd, "snap-reserved", value, sizeof(value)));
		EXPECT_EQ(i ? 0 : PAGES, atoi(value));
		ASSERT_EQ(0, fdinfo_value(fd, "snap-dirty", value, sizeof(value)));
		EXPECT_EQ(0, atoi(value));
	}
}

TEST_F(snapshot, close_on_exec)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
	EXPECT_EQ(O_RDONLY, fcntl(self->fd, F_GETFL) & O_ACCMODE);
}

TEST_F(snapshot, descriptor_limit)
{
	struct rlimit old;
	int fds[64], n = 0;

	ASSERT_EQ(0, prlimit(0, RLIMIT_NOFILE,
			     &(struct rlimit){ 32, 4096 }, &old));
	while (n < 64 && (fds[n] = dup(self->fd)) >= 0)
		n++;
	EXPECT_EQ(-EMFILE, snapshot_fd(self->r.fd, NULL));
	while (n)
		close(fds[--n]);
	EXPECT_EQ(1, dev_counter(SNAP_CTR_SNAPSHOTS_HELD));
	prlimit(0, RLIMIT_NOFILE, &old, NULL);
}

/* ---- What a snapshot shows ---------------------------------------------- */

TEST_F(snapshot, does_not_change)
{
	size_t i;

	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
	for (i = 0; i < LENGTH; i += 999)
		self->r.p[i] ^= 0xff;
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
	fill(self->r.p, LENGTH, 2);
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 2));
	/* pages of it that nobody has looked at before the stores */
	munmap((void *)self->p, LENGTH);
	self->p = snapshot_map(self->fd, LENGTH);
	ASSERT_NE(MAP_FAILED, self->p);
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
}

TEST_F(snapshot, outlives_its_region)
{
	region_drop(&self->r);
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	fill(self->r.p, LENGTH, 3);
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
}

TEST_F(snapshot, mapping_outlives_the_descriptor)
{
	close(self->fd);
	fill(self->r.p, LENGTH, 2);
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
	munmap((void *)self->p, LENGTH);
	EXPECT_EQ(0, dev_counter(SNAP_CTR_SNAPSHOTS_HELD));
	self->fd = -1;
	self->p = NULL;
}

TEST_F(snapshot, versions_follow_stores)
{
	uint64_t version;
	int fd = snapshot_fd(self->r.fd, &version);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(self->version, version);	/* nobody has stored */
	close(fd);
	self->r.p[LENGTH - 1]++;
	fd = snapshot_fd(self->r.fd, &version);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(self->version + 1, version);
	close(fd);
}

TEST_F(snapshot, a_hundred_of_one_region)
{
	int fds[100], i, wrong = 0;

	for (i = 0; i < 100; i++) {
		memset(self->r.p + i * PAGE, i, PAGE);
		fds[i] = snapshot_fd(self->r.fd, NULL);
		ASSERT_GE(fds[i], 0);
	}
	memset(self->r.p, 0xee, LENGTH);
	for (i = 0; i < 100; i++) {
		unsigned char own, next;

		if (pread(fds[i], &own, 1, i * PAGE) != 1 || own != i)
			wrong++;
		if (i < 99 && (pread(fds[i], &next, 1, (i + 1) * PAGE) != 1 ||
			       next == i + 1))
			wrong++;
		close(fds[i]);
	}
	EXPECT_EQ(0, wrong);
}

TEST_F(snapshot, holes_are_zero_and_take_no_frames)
{
	uint64_t frames = dev_counter(SNAP_CTR_REGION_FRAMES);
	struct snap_object_info info;
	struct region sparse;
	const char *p;
	size_t i, dirty = 0;
	int fd;

	ASSERT_EQ(0, region_make_sparse(&sparse, 1000 * PAGE));
	EXPECT_EQ(frames, dev_counter(SNAP_CTR_REGION_FRAMES));
	ASSERT_EQ(0, object_info(sparse.fd, &info));
	EXPECT_EQ(0, info.populated_frames);
	EXPECT_EQ(1000, info.reserved_frames);
	fd = snapshot_fd(sparse.fd, NULL);
	ASSERT_GE(fd, 0);
	strcpy(sparse.p + 500 * PAGE, "later");
	p = snapshot_map(fd, 1000 * PAGE);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < 1000 * PAGE; i++)
		dirty += p[i];
	EXPECT_EQ(0, dirty);
	EXPECT_STREQ("later", sparse.p + 500 * PAGE);
	ASSERT_EQ(0, object_info(fd, &info));
	EXPECT_EQ(0, info.populated_frames);
	ASSERT_EQ(0, object_info(sparse.fd, &info));
	EXPECT_GE(info.populated_frames, 1);
	munmap((void *)p, 1000 * PAGE);
	close(fd);
	region_drop(&sparse);
}

/* ---- Mapping ------------------------------------------------------------ */

TEST_F(snapshot, mmap_rules)
{
	const int ro = PROT_READ, rw = PROT_READ | PROT_WRITE;
	int fd = self->fd;

	EXPECT_EQ(0, mmap_errno(fd, LENGTH, ro, MAP_SHARED, 0));
	EXPECT_EQ(0, mmap_errno(fd, PAGE, ro, MAP_SHARED, LENGTH - PAGE));
	EXPECT_EQ(0, mmap_errno(fd, LENGTH, PROT_NONE, MAP_SHARED, 0));
	EXPECT_EQ(0, mmap_errno(fd, LENGTH, ro, MAP_SHARED | MAP_POPULATE, 0));
	EXPECT_EQ(EACCES, mmap_errno(fd, PAGE, rw, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, ro, MAP_PRIVATE, 0));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, rw, MAP_PRIVATE, 0));
	EXPECT_TRUE(exec_is_denied(fd, ro));
	EXPECT_EQ(EINVAL, mmap_errno(fd, LENGTH + PAGE, ro, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, mmap_errno(fd, LENGTH, ro, MAP_SHARED, PAGE));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, ro, MAP_SHARED, LENGTH));
	EXPECT_EQ(EINVAL, mmap_errno(fd, PAGE, ro, MAP_SHARED, 1L << 44));
}

/* Page I of the region or snapshot, in a mapping that begins elsewhere. */
TEST_F(snapshot, mapping_in_part)
{
	const char *p = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, self->fd,
			     70 * PAGE);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, memcmp(p, self->r.p + 70 * PAGE, 3 * PAGE));
	munmap((void *)p, 3 * PAGE);
}

TEST_F(snapshot, nobody_stores_to_it)
{
	char *p = (char *)self->p;

	EXPECT_TRUE(store_is_fatal(p, SIGSEGV));
	EXPECT_EQ(1, p[5] == self->r.p[5]);	/* now that it is mapped */
	EXPECT_TRUE(store_is_fatal(p + 5, SIGSEGV));
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, mprotect(p, PAGE, PROT_NONE));
	EXPECT_EQ(0, mprotect(p, PAGE, PROT_READ));
	/* system calls that would */
	EXPECT_EQ(-1, pread(self->fd, p, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, differs(p, LENGTH, 1));
}

TEST_F(snapshot, mremap_and_partial_munmap)
{
	char *p = (char *)self->p, *moved;

	EXPECT_EQ(0, memcmp(p, self->r.p, 2 * PAGE));
	EXPECT_EQ(MAP_FAILED, mremap(p, LENGTH, LENGTH + PAGE, MREMAP_MAYMOVE));
	moved = mremap(p, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED,
		       (char *)0x200000000000);
	ASSERT_NE(MAP_FAILED, moved);
	self->p = moved;
	EXPECT_EQ(-1, differs(moved, LENGTH, 1));
	/* a hole in the middle: what is left stays, and what is not is gone */
	EXPECT_EQ(0, munmap(moved + 10 * PAGE, 20 * PAGE));
	EXPECT_TRUE(store_is_fatal(moved + 15 * PAGE, SIGSEGV));
	EXPECT_EQ(-1, differs(moved, 10 * PAGE, 1));
	EXPECT_EQ(0, memcmp(moved + 30 * PAGE, self->r.p + 30 * PAGE, 70 * PAGE));
	/* shrunk */
	ASSERT_EQ(moved + 30 * PAGE,
		  (char *)mremap(moved + 30 * PAGE, 70 * PAGE, 5 * PAGE, 0));
	EXPECT_EQ(0, memcmp(moved + 30 * PAGE, self->r.p + 30 * PAGE, 5 * PAGE));
	EXPECT_TRUE(store_is_fatal(moved + 36 * PAGE, SIGSEGV));
}

/* The child has the same region and the same snapshot. */
TEST_F(snapshot, fork)
{
	int go[2], status;
	char byte = 1;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	EXPECT_EQ(1, self->p[0] == self->r.p[0]);	/* one part is mapped */
	pid = fork();
	if (!pid) {
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		if (differs(self->p, LENGTH, 1) >= 0)
			_exit(2);
		if (differs(self->r.p, LENGTH, 2) >= 0)
			_exit(3);
		self->r.p[0] ^= 1;
		_exit(differs(self->p, LENGTH, 1) >= 0 ? 4 : 0);
	}
	fill(self->r.p, LENGTH, 2);
	munmap((void *)self->p, LENGTH);
	close(self->fd);
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, differs(self->r.p, LENGTH, 2));	/* the child's store */
	self->p = NULL;
	self->fd = -1;
	close(go[0]);
	close(go[1]);
}

/* Who waits at a page is woken at that page, and at no other. */
TEST_F(snapshot, futex)
{
	uint64_t until = now_ms() + 5000;
	int status, woken = 0;
	pid_t pid;

	ASSERT_TRUE(futex_answers(self->p));
	ASSERT_TRUE(futex_answers(self->p + PAGE));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(futex_wait(self->p, 10000) != 0);
	sleep_ms(50);
	EXPECT_EQ(0, futex_wake(self->p + PAGE));
	while (!woken && now_ms() < until)
		woken = futex_wake(self->p);
	EXPECT_EQ(1, woken);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
}

TEST_F(snapshot, madvise)
{
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
	EXPECT_EQ(0, madvise((void *)self->p, LENGTH, MADV_DONTNEED));
	EXPECT_EQ(0, wait_no_frames_out(2000));
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
	EXPECT_EQ(-1, madvise((void *)self->p, LENGTH, MADV_REMOVE));
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
}

/* ---- Pinning ------------------------------------------------------------ */

/* A file of the host, to and from which the kernel moves pinned pages. */
static int direct_file(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/direct", getenv("SNAP_VM_SHARE"));
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
}

/* Nothing was moved. What pinning says, EFAULT, some kernels' 9p turns into EIO, or,
 * where it was to write, into zero bytes.
 */
static bool refused(ssize_t n)
{
	return n == 0 || (n < 0 && (errno == EFAULT || errno == EIO));
}

TEST_F(snapshot, direct_io)
{
	char *p = (char *)self->p;
	char *aligned = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int file = direct_file();

	ASSERT_GE(file, 0);
	ASSERT_NE(MAP_FAILED, aligned);
	/* from a snapshot, also while the region is stored to */
	fill(self->r.p, LENGTH, 2);
	EXPECT_EQ(LENGTH, pwrite(file, p, LENGTH, 0));
	EXPECT_EQ(LENGTH, pread(file, aligned, LENGTH, 0));
	EXPECT_EQ(-1, differs(aligned, LENGTH, 1));
	/* not into one */
	EXPECT_TRUE(refused(pread(file, p, LENGTH, 0)));
	EXPECT_EQ(-1, differs(p, LENGTH, 1));
	/* neither from nor into a region */
	EXPECT_TRUE(refused(pwrite(file, self->r.p, LENGTH, 0)));
	EXPECT_EQ(LENGTH, pread(file, aligned, LENGTH, 0));
	EXPECT_EQ(-1, differs(aligned, LENGTH, 1));
	EXPECT_TRUE(refused(pread(file, self->r.p, LENGTH, 0)));
	EXPECT_EQ(-1, differs(self->r.p, LENGTH, 2));
	munmap(aligned, LENGTH);
	close(file);
}

/* Pages in a pipe outlive mapping, snapshot and region. */
TEST_F(snapshot, pinned_pages_stay)
{
	struct iovec iov = { .iov_base = (void *)self->p, .iov_len = 8 * PAGE };
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(8 * PAGE, vmsplice(pipes[1], &iov, 1, 0));
	munmap((void *)self->p, LENGTH);
	close(self->fd);
	region_drop(&self->r);
	ASSERT_EQ(0, region_make(&self->r, 1000 * PAGE));
	memset(self->r.p, POISON, self->r.length);
	EXPECT_GE(dev_counter(SNAP_CTR_GUEST_FRAMES), 8);
	EXPECT_EQ(8 * PAGE, read(pipes[0], buffer, 8 * PAGE));
	EXPECT_EQ(-1, differs(buffer, 8 * PAGE, 1));
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	self->p = NULL;
	self->fd = -1;
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(snapshot, zerocopy_send)
{
	union address at;
	socklen_t length;
	int to = udp_on_loopback(AF_INET, &at, &length);
	int from = udp_socket(AF_INET, AF_INET);
	int one = 1;

	ASSERT_GE(to, 0);
	ASSERT_EQ(0, set_timeout(to, 5000));
	ASSERT_EQ(0, connect(from, &at.sa, length));
	ASSERT_EQ(0, setsockopt(from, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
	EXPECT_EQ(60000, send(from, self->p, 60000, MSG_ZEROCOPY));
	EXPECT_EQ(60000, recv(to, buffer, 60000, 0));
	EXPECT_EQ(-1, differs(buffer, 60000, 1));
	EXPECT_EQ(-1, send(from, self->r.p, 60000, MSG_ZEROCOPY));
	EXPECT_EQ(EFAULT, errno);
	close(from);
	close(to);
}

/* As a debugger looks at memory. */
TEST_F(snapshot, proc_mem)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	off_t snapshot = (off_t)(uintptr_t)self->p;

	ASSERT_GE(mem, 0);
	EXPECT_EQ(3 * PAGE, pread(mem, buffer, 3 * PAGE, snapshot));
	EXPECT_EQ(-1, differs(buffer, 3 * PAGE, 1));
	EXPECT_EQ(-1, pwrite(mem, "x", 1, snapshot));
	EXPECT_EQ(-1, differs(self->p, LENGTH, 1));
	EXPECT_EQ(-1, pread(mem, buffer, 3 * PAGE, (off_t)(uintptr_t)self->r.p));
	EXPECT_EQ(EIO, errno);
	close(mem);
}

/* ---- Reading ------------------------------------------------------------ */

TEST_F(snapshot, pread)
{
	static const size_t at[] = { 0, 1, PAGE - 1, PAGE, 17 * PAGE + 7 };
	static const size_t lengths[] = { 1, 100, PAGE, PAGE + 1, 65536, 70001 };
	size_t i, k;

	memset(self->r.p, 0, LENGTH);
	EXPECT_EQ(LENGTH, pread(self->fd, buffer, LENGTH, 0));
	EXPECT_EQ(-1, differs(buffer, LENGTH, 1));
	for (i = 0; i < ARRAY_SIZE(at); i++)
		for (k = 0; k < ARRAY_SIZE(lengths); k++) {
			memset(buffer, 0, sizeof(buffer));
			EXPECT_EQ(lengths[k],
				  pread(self->fd, buffer, lengths[k], at[i]));
			EXPECT_EQ(0, memcmp(buffer, self->p + at[i], lengths[k]));
			EXPECT_EQ(0, buffer[lengths[k]]);
		}
	/* at the end, behind it, and before the beginning */
	EXPECT_EQ(10, pread(self->fd, buffer, PAGE, LENGTH - 10));
	EXPECT_EQ(0, memcmp(buffer, self->p + LENGTH - 10, 10));
	EXPECT_EQ(0, pread(self->fd, buffer, PAGE, LENGTH));
	EXPECT_EQ(0, pread(self->fd, buffer, PAGE, 1L << 60));
	EXPECT_EQ(0, pread(self->fd, buffer, 0, 0));
	EXPECT_EQ(-1, pread(self->fd, buffer, PAGE, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pread(self->fd, (char *)PAGE, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pwrite(self->fd, buffer, 1, 0));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, ftruncate(self->fd, 0));
}

TEST_F(snapshot, read_and_seek)
{
	struct stat st;

	EXPECT_EQ(100, read(self->fd, buffer, 100));
	EXPECT_EQ(50, read(self->fd, buffer + 100, 50));
	EXPECT_EQ(-1, differs(buffer, 150, 1));
	EXPECT_EQ(150, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(LENGTH, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(0, read(self->fd, buffer, 100));
	EXPECT_EQ(LENGTH - 5, lseek(self->fd, -5, SEEK_END));
	EXPECT_EQ(5, read(self->fd, buffer, 100));
	EXPECT_EQ(-1, lseek(self->fd, -1, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(LENGTH, st.st_size);
}

/* The second page cannot be written: what came before counts. */
TEST_F(snapshot, read_into_less_memory)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + PAGE, PAGE));
	EXPECT_EQ(PAGE, pread(self->fd, p, 5 * PAGE, 0));
	EXPECT_EQ(-1, differs(p, PAGE, 1));
	EXPECT_EQ(PAGE - 100, pread(self->fd, p + 100, 5 * PAGE, 3 * PAGE));
	munmap(p, PAGE);
}

/* A copy in ordinary memory goes to others: no frame leaves. */
TEST_F(snapshot, sendfile_and_splice)
{
	char name[] = "/dev/shm/snapshots-XXXXXX";
	off_t offset = 100;
	loff_t from = 3 * PAGE;
	int file = mkstemp(name), pipes[2];

	ASSERT_GE(file, 0);
	fill(self->r.p, LENGTH, 2);
	EXPECT_EQ(LENGTH - 100, sendfile(file, self->fd, &offset, 2 * LENGTH));
	EXPECT_EQ(LENGTH, offset);
	EXPECT_EQ(LENGTH - 100, pread(file, buffer, LENGTH, 0));
	EXPECT_EQ(0, memcmp(buffer, self->p + 100, LENGTH - 100));
	ASSERT_EQ(0, pipe(pipes));
	munmap((void *)self->p, LENGTH);
	self->p = NULL;
	EXPECT_EQ(0, wait_no_frames_out(2000));
	EXPECT_EQ(2 * PAGE, splice(self->fd, &from, pipes[1], NULL, 2 * PAGE, 0));
	EXPECT_EQ(5 * PAGE, from);
	EXPECT_EQ(0, wait_no_frames_out(2000));
	EXPECT_EQ(2 * PAGE, read(pipes[0], buffer, LENGTH));
	EXPECT_EQ(2 * PAGE, pread(self->fd, buffer + 2 * PAGE, 2 * PAGE, 3 * PAGE));
	EXPECT_EQ(0, memcmp(buffer, buffer + 2 * PAGE, 2 * PAGE));
	close(pipes[0]);
	close(pipes[1]);
	close(file);
	unlink(name);
}

/* ---- Others ------------------------------------------------------------- */

TEST_F(snapshot, passes_through_a_socket)
{
	int pair[2], status, fd;
	const char *p;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	if (!pid) {
		struct region r;

		if (region_make(&r, LENGTH))
			_exit(1);
		fill(r.p, LENGTH, 7);
		fd = snapshot_fd(r.fd, NULL);
		fill(r.p, LENGTH, 8);
		_exit(fd < 0 || send_fd(pair[0], fd) ? 2 : 0);
	}
	fd = receive_fd(pair[1]);
	waitpid(pid, &status, 0);
	ASSERT_EQ(0, status);
	ASSERT_GE(fd, 0);
	p = snapshot_map(fd, LENGTH);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, differs(p, LENGTH, 7));
	munmap((void *)p, LENGTH);
	/* in flight, with nobody left to receive it */
	ASSERT_EQ(0, send_fd(pair[0], fd));
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

TEST_F(snapshot, killed_processes_leave_nothing)
{
	int pipes[2], round;
	char byte;
	pid_t pid;

	for (round = 0; round < 5; round++) {
		ASSERT_EQ(0, pipe(pipes));
		pid = fork();
		if (!pid) {
			const char *p = NULL;
			int i, fd;

			for (i = 0; i < 20; i++) {
				self->r.p[i * PAGE]++;
				fd = snapshot_fd(self->r.fd, NULL);
				p = snapshot_map(fd, LENGTH);
				if (fd < 0 || p == MAP_FAILED ||
				    memcmp(p, self->r.p, LENGTH))
					_exit(1);
			}
			if (write(pipes[1], "r", 1) != 1)
				_exit(1);
			for (i = 0;; i++)	/* killed in the middle of things */
				close(snapshot_fd(self->r.fd, NULL));
		}
		close(pipes[1]);
		ASSERT_EQ(1, read(pipes[0], &byte, 1));
		EXPECT_GE(dev_counter(SNAP_CTR_SNAPSHOTS_HELD), 21);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(pipes[0]);
		EXPECT_EQ(1, dev_counter(SNAP_CTR_SNAPSHOTS_HELD));
	}
}

TEST_HARNESS_MAIN
