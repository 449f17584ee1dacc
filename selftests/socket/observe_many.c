// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists of many sockets: whoever reads one while sockets come and go finds each
 * that stays once, and one of them as fast as among few; and counters of a
 * namespace, wherever its processes run.
 *
 * Machines: auto-2 debug
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "kselftest_harness.h"
#include "diag.h"
#include "snap_test_util.h"

#define STAY		300	/* sockets; far more than one skb or page shows */
#define GO		100
#define MANY		2000
#define LOOKS		500
#define DUMPS		20

FIXTURE(many)
{
	int nl;			/* NETLINK_SOCK_DIAG */
	int fds[MANY];		/* of AF_SNAP, the first n */
	unsigned int n;
};

FIXTURE_SETUP(many)
{
	const struct rlimit files = { .rlim_cur = 4096, .rlim_max = 4096 };

	self->n = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	self->nl = diag_open();
	ASSERT_GE(self->nl, 0);
}

FIXTURE_TEARDOWN(many)
{
	while (self->n)
		close(self->fds[--self->n]);
	close(self->nl);
}

/* Make it so many; false: that cannot be. */
static bool grow(int *fds, unsigned int *n, unsigned int to)
{
	while (*n < to) {
		fds[*n] = udp_socket(AF_SNAP, *n % 2 ? AF_INET6 : AF_INET);
		if (fds[*n] < 0)
			return false;
		++*n;
	}
	return true;
}

/* ---- What was seen ------------------------------------------------------ */

struct seen {
	uint64_t inode[8192];
	uint64_t cookie[8192];
	unsigned int n;
};

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static unsigned int times_of(const struct seen *seen, uint64_t inode)
{
	unsigned int i, times = 0;

	for (i = 0; i < seen->n; i++)
		times += seen->inode[i] == inode;
	return times;
}

/* Of these sockets, how many were not seen just once. */
static unsigned int not_once(const struct seen *seen, const int *fds, unsigned int n)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < n; i++)
		wrong += times_of(seen, inode_of(fds[i])) != 1;
	return wrong;
}

/* How many were seen before, of all. */
static unsigned int again(struct seen *seen)
{
	unsigned int i, wrong = 0;

	qsort(seen->cookie, seen->n, sizeof(seen->cookie[0]), compare);
	for (i = 1; i < seen->n; i++)
		wrong += seen->cookie[i] == seen->cookie[i - 1];
	return wrong;
}

/* ---- Those who come and go ---------------------------------------------- */

struct crowd {
	pthread_t thread;
	_Atomic bool enough;
	_Atomic unsigned int came;
};

static void *come_and_go(void *arg)
{
	struct crowd *crowd = arg;
	int fds[30];
	unsigned int n = 0;

	while (!crowd->enough && grow(fds, &n, ARRAY_SIZE(fds))) {
		crowd->came += n;
		while (n)
			close(fds[--n]);
	}
	while (n)
		close(fds[--n]);
	return NULL;
}

/* ---- Tests -------------------------------------------------------------- */

TEST_F(many, proc)
{
	static char text[256 << 10];
	static struct seen seen;
	unsigned long long inode;
	size_t length = 0;
	ssize_t got;
	char *line;
	int fd;

	ASSERT_TRUE(grow(self->fds, &self->n, GO + STAY));
	fd = open("/proc/net/snap", O_RDONLY);
	ASSERT_GE(fd, 0);
	/* some were shown and some not when these go; none is skipped for that */
	for (length = 0; length < 8000; length += got) {
		got = read(fd, text + length, 1000);
		ASSERT_LT(0, got);
	}
	for (int i = 0; i < GO; i++) {
		close(self->fds[i]);
		self->fds[i] = -1;
	}
	while ((got = read(fd, text + length, 1000)) > 0 &&
	       length + got < sizeof(text) - 1000)
		length += got;
	ASSERT_EQ(0, got);
	close(fd);
	text[length] = 0;
	seen.n = 0;
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%*s %*x %llu", &inode) == 1)
			seen.inode[seen.n++] = inode;
	EXPECT_LE(STAY, seen.n);
	EXPECT_GE(STAY + GO, seen.n);
	EXPECT_EQ(0, not_once(&seen, self->fds + GO, STAY));
}

static void see(void *arg, const struct diag_answer *a)
{
	struct seen *seen = arg;

	if (seen->n == ARRAY_SIZE(seen->inode))
		return;
	seen->inode[seen->n] = a->msg.inode;
	seen->cookie[seen->n++] = a->msg.cookie;
}

/* Dumps of many skbs. */
TEST_F(many, dump)
{
	const struct snap_diag_req req = {
		.family = AF_SNAP,
		.show = SNAP_DIAG_SHOW_STATS | SNAP_DIAG_SHOW_MEMINFO,
	};
	struct crowd crowd = { .enough = false };
	static struct seen seen;
	unsigned int i;

	/* the first go in each dump, whose first part is made by then */
	ASSERT_TRUE(grow(self->fds, &self->n, DUMPS + STAY));
	ASSERT_EQ(0, pthread_create(&crowd.thread, NULL, come_and_go, &crowd));
	for (i = 0; i < DUMPS; i++) {
		seen.n = 0;
		ASSERT_EQ(0, diag_send(self->nl, &req, sizeof(req), NLM_F_DUMP));
		close(self->fds[i]);
		self->fds[i] = -1;
		EXPECT_LE(STAY, diag_each(self->nl, see, &seen));
		EXPECT_GT(ARRAY_SIZE(seen.inode), seen.n);
		EXPECT_EQ(0, not_once(&seen, self->fds + DUMPS, STAY));
		EXPECT_EQ(0, again(&seen));
	}
	crowd.enough = true;
	ASSERT_EQ(0, pthread_join(crowd.thread, NULL));
	EXPECT_LT(DUMPS, crowd.came);
	/* who is gone is in none */
	seen.n = 0;
	ASSERT_EQ(0, diag_send(self->nl, &req, sizeof(req), NLM_F_DUMP));
	EXPECT_EQ(STAY, diag_each(self->nl, see, &seen));
	EXPECT_EQ(0, not_once(&seen, self->fds + DUMPS, STAY));
}

/* Whether that cookie finds that socket and no other. */
static bool finds(int nl, uint64_t cookie, unsigned long inode)
{
	const struct snap_diag_req req = { .family = AF_SNAP, .cookie = cookie };
	struct diag_answer a;
	unsigned int times;

	return diag(nl, &req, 0, inode, &a, &times) == 1 && times == 1 &&
	       a.msg.cookie == cookie;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* ns of a number of look-ups, spread over all: the best of a few times. */
static uint64_t look_up_time(int nl, const struct seen *seen)
{
	uint64_t start, took, best = ~0ull;
	unsigned int i, tries;

	for (tries = 0; tries < 4; tries++) {
		start = now_ns();
		for (i = 0; i < LOOKS; i++) {
			unsigned int at = i * 37 % seen->n;

			if (!finds(nl, seen->cookie[at], seen->inode[at]))
				return 0;
		}
		took = now_ns() - start;
		if (took < best)
			best = took;
	}
	return best;
}

TEST_F(many, look_up)
{
	const struct snap_diag_req req = { .family = AF_SNAP };
	static struct seen seen;
	uint64_t few, many;
	unsigned int i, found = 0;

	ASSERT_TRUE(grow(self->fds, &self->n, 10));
	ASSERT_EQ(0, diag_send(self->nl, &req, sizeof(req), NLM_F_DUMP));
	ASSERT_EQ(10, diag_each(self->nl, see, &seen));
	few = look_up_time(self->nl, &seen);
	ASSERT_LT(0, few);
	ASSERT_TRUE(grow(self->fds, &self->n, MANY));
	seen.n = 0;
	ASSERT_EQ(0, diag_send(self->nl, &req, sizeof(req), NLM_F_DUMP));
	ASSERT_EQ(MANY, diag_each(self->nl, see, &seen));
	ASSERT_EQ(0, not_once(&seen, self->fds, MANY));
	for (i = 0; i < MANY; i++)
		found += finds(self->nl, seen.cookie[i], seen.inode[i]);
	EXPECT_EQ(MANY, found);
	many = look_up_time(self->nl, &seen);
	ASSERT_LT(0, many);
	TH_LOG("%u look-ups: %llu us among 10, %llu us among %u", LOOKS,
	       (unsigned long long)few / 1000, (unsigned long long)many / 1000, MANY);
	EXPECT_GT(4 * few, many);
}

/* Each counts on the processor that it runs on; all are in the sum. */
TEST_F(many, processors)
{
	struct snap_stats before, after;
	unsigned int cpu, sent = 0;
	union address at;
	socklen_t len;
	cpu_set_t cpus;
	int sink;

	sink = udp_on_loopback(AF_INET, &at, &len);
	ASSERT_GE(sink, 0);
	ASSERT_TRUE(grow(self->fds, &self->n, 1));
	ASSERT_EQ(0, connect(self->fds[0], &at.sa, len));
	ASSERT_EQ(0, dev_stats(&before));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus))
			continue;
		EXPECT_EQ(100, send(self->fds[0], &before, 100, 0));
		sent++;
	}
	ASSERT_LT(0, sent);
	ASSERT_EQ(0, dev_stats(&after));
	EXPECT_EQ(sent, after.sockets.tx_copied_msgs - before.sockets.tx_copied_msgs);
	EXPECT_EQ(100 * sent,
		  after.sockets.tx_copied_bytes - before.sockets.tx_copied_bytes);
	EXPECT_EQ(sent, sock_stats(self->fds[0]).copied_msgs[SNAP_COPY_SHORT]);
	close(sink);
}

TEST_HARNESS_MAIN
