// SPDX-License-Identifier: GPL-2.0-only
/*
 * Promise 2: a snapshot is of one instant.  Two threads store as fast as they
 * can while a third takes snapshots of the region.  Each adds one to its
 * counters in order, so that at any instant
 *
 *	a[0] >= a[1] >= ... >= a[n - 1] >= a[0] - 1
 *
 * Counters are pages apart.  A snapshot that has one page from before and
 * another from after a store to a third would not satisfy this.
 *
 * SNAP_TORN_SNAPSHOTS in the environment is how many are taken, else 10,000, or
 * a tenth of that in the debug kernel, which is slow.
 *
 * Machines: auto-2 debug
 * Paths: thread-auto-*
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define SNAPSHOTS	10000
#define WRITERS		2
#define COUNTERS	8	/* of each writer */
#define STRIDE		(9 * PAGE)	/* not that of an extent */
#define LENGTH		(WRITERS * COUNTERS * STRIDE)

static volatile bool stop;

struct writer {
	pthread_t thread;
	char *first;		/* its first counter */
	uint64_t rounds;
};

/* The writers' pages alternate. */
static size_t counter_at(int writer, int i)
{
	return (size_t)(i * WRITERS + writer) * STRIDE + 64 * i;
}

static void *writer_run(void *arg)
{
	struct writer *w = arg;
	int i;

	while (!stop) {
		for (i = 0; i < COUNTERS; i++)
			++*(volatile uint64_t *)(w->first + counter_at(0, i));
		w->rounds++;
	}
	return NULL;
}

/* Is that what an instant can look like?  Stores the first counter. */
static bool whole(const uint64_t *a, uint64_t *first)
{
	int i;

	for (i = 1; i < COUNTERS; i++)
		if (a[i] > a[i - 1])
			return false;
	*first = a[0];
	return a[COUNTERS - 1] + 1 >= a[0];
}

static bool read_mapped(int fd, int writer, uint64_t *a)
{
	const char *p = snapshot_map(fd, LENGTH);
	int i;

	if (p == MAP_FAILED)
		return false;
	for (i = 0; i < COUNTERS; i++)
		a[i] = *(volatile uint64_t *)(p + counter_at(writer, i));
	munmap((void *)p, LENGTH);
	return true;
}

static bool read_read(int fd, int writer, uint64_t *a)
{
	int i;

	for (i = 0; i < COUNTERS; i++)
		if (pread(fd, &a[i], sizeof(a[i]), counter_at(writer, i)) !=
		    sizeof(a[i]))
			return false;
	return true;
}

static int snapshots_wanted(void)
{
	const char *text = getenv("SNAP_TORN_SNAPSHOTS");

	if (text)
		return atoi(text);
	return debug_kernel() ? SNAPSHOTS / 10 : SNAPSHOTS;
}

FIXTURE(torn)
{
	struct region r;
	struct writer writer[WRITERS];
};

FIXTURE_SETUP(torn)
{
	int i;

	ASSERT_EQ(0, region_make(&self->r, LENGTH));
	stop = false;
	for (i = 0; i < WRITERS; i++) {
		self->writer[i].first = self->r.p + counter_at(i, 0);
		ASSERT_EQ(0, pthread_create(&self->writer[i].thread, NULL,
					    writer_run, &self->writer[i]));
	}
}

FIXTURE_TEARDOWN(torn)
{
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	EXPECT_EQ(0, dev_counter(SNAP_CTR_RESERVED_FRAMES));
}

TEST_F_TIMEOUT(torn, no_snapshot_is, 300)
{
	int wanted = snapshots_wanted(), n, i, moved = 0, torn = 0;
	uint64_t a[COUNTERS], first, last[WRITERS] = { 0 }, start = now_ms();

	for (n = 0; n < wanted && !torn; n++) {
		int fd = snapshot_fd(self->r.fd, NULL);

		ASSERT_GE(fd, 0);
		for (i = 0; i < WRITERS; i++) {
			ASSERT_TRUE(n % 2 ? read_mapped(fd, i, a) :
					    read_read(fd, i, a));
			if (!whole(a, &first) || first < last[i]) {
				torn++;
				TH_LOG("snapshot %d, writer %d: %llu ... %llu", n, i,
				       (unsigned long long)a[0],
				       (unsigned long long)a[COUNTERS - 1]);
			}
			moved += first != last[i];
			last[i] = first;
		}
		close(fd);
	}
	stop = true;
	for (i = 0; i < WRITERS; i++)
		pthread_join(self->writer[i].thread, NULL);
	TH_LOG("%d snapshots in %llu ms, %d of %d times a writer had gone on; %llu and %llu rounds",
	       n, (unsigned long long)(now_ms() - start), moved, WRITERS * n,
	       (unsigned long long)self->writer[0].rounds,
	       (unsigned long long)self->writer[1].rounds);
	EXPECT_EQ(0, torn);
	/* or it would say nothing */
	EXPECT_GT(moved, n / 20);
}

TEST_HARNESS_MAIN
