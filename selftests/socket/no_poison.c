// SPDX-License-Identifier: GPL-2.0-only
/*
 * Promise 3: no byte of a frame beyond the message reaches anybody else.
 *
 * The pool is filled with poison, then messages of 1 to 8193 bytes, which
 * contain none, go by reference at several offsets.  Poison must be neither in
 * the echo, nor in a fresh region, nor in any frame that has a byte of a
 * message in it.  The last needs /dev/mem (kernel parameter iomem=relaxed).
 * What the wire carried is looked at on the host; see check/guest-lib.sh.
 *
 * Machines: share-2 copy-2 debug
 * Paths: thread-*-1 main-*-1
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define BROADCAST4	"10.77.0.255"
#define POISON4		0xa5a5a5a5a5a5a5a5ull
/*
 * Messages start and end with bytes that nothing else has.  Not the shortest
 * ones over the device: they come back inside a batch, among other bytes.
 */
#define MARK		0xd3
#define MARK_BYTES	16
#define MARK_FOUND	4	/* enough to know one by, in part of a page */

FIXTURE(poison)
{
	int fd;			/* AF_SNAP, connected to the echo */
	int echo;
	struct region r;
	size_t mark_from;	/* messages of this length have marks */
};

FIXTURE_VARIANT(poison)
{
	int family;
	bool device;
};

FIXTURE_VARIANT_ADD(poison, dev4) {
	.family = AF_INET, .device = true,
};
FIXTURE_VARIANT_ADD(poison, dev6) {
	.family = AF_INET6, .device = true,
};
FIXTURE_VARIANT_ADD(poison, lo4) {
	.family = AF_INET,
};

/* Every frame that a region can get is poison afterwards, and free. */
static int poison_pool(void)
{
	static int fds[800];
	static char *p[800];
	static size_t length[800];
	size_t pages = 1024;
	int n = 0, i;

	while (pages && n < 800) {
		int fd = region_fd(pages * PAGE, SNAP_HINT_NONE);

		if (fd < 0) {
			pages /= 2;
			continue;
		}
		length[n] = pages * PAGE;
		p[n] = mmap(NULL, length[n], PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd, 0);
		if (p[n] == MAP_FAILED)
			return -1;
		fds[n++] = fd;
	}
	for (i = 0; i < n; i++) {
		memset(p[i], POISON, length[i]);
		munmap(p[i], length[i]);
		close(fds[i]);
	}
	return n;
}

FIXTURE_SETUP(poison)
{
	int six = variant->family == AF_INET6;
	union address peer;
	socklen_t length = six ? sizeof(peer.in6) : sizeof(peer.in);

	if (variant->device) {
		if (!host_echo_port())
			SKIP(return, "no echo server on the host");
		length = address_set(&peer, variant->family,
				     six ? HOST6 : HOST4, host_echo_port());
	} else {
		self->echo = echo_start(variant->family, &peer);
		ASSERT_GT(self->echo, 0);
	}
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	self->fd = udp_socket(AF_SNAP, variant->family);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, set_timeout(self->fd, 5000));
	ASSERT_EQ(0, set_copybreak(self->fd, 0));
	ASSERT_EQ(0, connect(self->fd, &peer.sa, length));
	self->mark_from = variant->device ? 300 : MARK_BYTES;
	/* poison behind and before each message, in the same pages */
	ASSERT_EQ(0, region_make(&self->r, 6 * PAGE));
	memset(self->r.p, POISON, self->r.length);
}

FIXTURE_TEARDOWN(poison)
{
	close(self->fd);
	if (self->r.p)
		region_drop(&self->r);
	echo_stop(self->echo);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

static int round_trip(int fd, char *p, size_t length, bool mark)
{
	static char back[16384];
	ssize_t n;

	fill(p, length, length);
	if (mark) {
		memset(p, MARK, MARK_BYTES);
		memset(p + length - MARK_BYTES, MARK, MARK_BYTES);
	}
	n = send(fd, p, length, 0);
	memset(p, POISON, length);
	if (n != (ssize_t)length)
		return -1;
	n = recv(fd, back, sizeof(back), 0);
	if (n != (ssize_t)length)
		return -2;
	return memchr(back, POISON, length) ? -3 : 0;
}

/*
 * All of them on loopback; the host's echo is slow, a process for each.  Pages
 * that a message has in part are copied whatever the mode: in one is enough.
 */
static size_t next_length(size_t length, bool device)
{
	static const size_t edges[] = { 128, 256, 4096, 8192, 8193 };
	const char *capture = getenv("SNAP_VM_CAPTURE");
	bool all = getenv("SNAP_TEST_ALL_LENGTHS") ||
		   !(device || debug_kernel() ||
		     (capture && !strcmp(capture, "share")));
	size_t i, step = all ? 1 : length < 100 ? 13 : 293;

	for (i = 0; i < ARRAY_SIZE(edges); i++)
		if (length + step > edges[i] - 2 && length < edges[i] + 1)
			return length + 1;
	return length + step;
}

static bool fresh_regions_are_zero(void)
{
	static const char zero[4096];
	struct region r;
	bool clean = true;
	size_t i;

	if (region_make(&r, 512 * PAGE))
		return false;
	for (i = 0; i < 512; i++)
		clean &= !memcmp(r.p + i * PAGE, zero, PAGE);
	region_drop(&r);
	return clean;
}

/* ---- The pool, as the kernel of the guest sees it ----------------------- */

static const char *map_pool(uint64_t *frames)
{
	uint64_t start = 0, offset, bar2 = 0;
	volatile uint64_t *regs;
	const char *pool;
	char line[128];
	int fd, i;
	FILE *f;

	f = fopen("/sys/class/net/" NETDEV "/device/resource", "r");
	if (!f)
		return NULL;
	for (i = 0; i <= SNAP_BAR_MEMORY && fgets(line, sizeof(line), f); i++)
		sscanf(line, "%lx", i ? &bar2 : &start);
	fclose(f);
	fd = open("/sys/class/net/" NETDEV "/device/resource0", O_RDWR);
	if (fd < 0)
		return NULL;
	regs = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (regs == MAP_FAILED)
		return NULL;
	*frames = regs[SNAP_REG_POOL_FRAMES / 8];
	offset = regs[SNAP_REG_POOL_OFFSET / 8];
	munmap((void *)regs, PAGE);
	fd = open("/dev/mem", O_RDONLY);
	if (fd < 0)
		return NULL;
	pool = mmap(NULL, *frames * PAGE, PROT_READ, MAP_SHARED, fd,
		    bar2 + offset);
	close(fd);
	return pool == MAP_FAILED ? NULL : pool;
}

/*
 * Poison, or fresh: most of the pool is. A message of more than 80 bytes would be
 * met.
 */
static bool without_message(const char *frame)
{
	uint64_t first, word;
	size_t i;

	memcpy(&first, frame, 8);
	if (first && first != POISON4)
		return false;
	for (i = 64; i < PAGE; i += 64) {
		memcpy(&word, frame + i, 8);
		if (word != first)
			return false;
	}
	return true;
}

static bool has_poison(const char *frame)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < PAGE; i += 8) {
		memcpy(&word, frame + i, 8);
		if (word == POISON4)
			return true;
	}
	return false;
}

struct found {
	long marked;	/* frames with bytes of a message */
	long mixed;	/* of those, the ones with poison beside them */
};

static void scan_pool(const char *pool, uint64_t frames, struct found *found)
{
	static const unsigned char mark[MARK_FOUND] = {
		MARK, MARK, MARK, MARK,
	};
	uint64_t f;

	for (f = 0; f < frames; f++) {
		const char *frame = pool + f * PAGE;

		if (without_message(frame) || !memmem(frame, PAGE, mark, MARK_FOUND))
			continue;
		found->marked++;
		found->mixed += has_poison(frame);
	}
}

/* Often enough to look at frames before they are used again. */
static bool scan_after(size_t length, size_t last)
{
	static const size_t at[] = {
		90, 300, 1000, 2040, 3000, 4090, 4110, 6000, 8190, 8193,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		if (last < at[i] && length >= at[i])
			return true;
	return false;
}

/*
 * So that whoever listens on the wire knows that poison would be found.  To all, since
 * that gets no answer: one from the host has the poison in it, and may lie in a free
 * frame that had bytes of a message before.
 */
static int send_poison_openly(void)
{
	int fd = udp_socket(AF_INET, AF_INET), on = 1;
	char text[64];
	union address to;
	ssize_t n;

	memset(text, POISON, sizeof(text));
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	n = sendto(fd, text, sizeof(text), 0, &to.sa,
		   address_set(&to, AF_INET, BROADCAST4, 7010));
	close(fd);
	return n == sizeof(text) ? 0 : -1;
}

TEST_F_TIMEOUT(poison, stays_where_it_is, 300)
{
	static const size_t offsets[] = { 0, 1, 2048, 4095 };
	size_t i, length, last, sent = 0;
	struct found found = { 0 };
	struct snap_sock_stats s;
	uint64_t frames = 0;
	const char *pool = map_pool(&frames);

	ASSERT_EQ(0, send_poison_openly());
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		/* afresh, because the frames used last are used again */
		ASSERT_GT(poison_pool(), 0);
		for (last = 0, length = 1; length <= 8193;
		     last = length, length = next_length(length, variant->device)) {
			int ret = round_trip(self->fd, self->r.p + PAGE + offsets[i],
					     length, length >= self->mark_from);

			ASSERT_EQ(0, ret)
				TH_LOG("%zu bytes at %zu: %s", length, offsets[i],
				       ret == -3 ? "poison came back" :
				       strerror(errno));
			if (pool && scan_after(length, last))
				scan_pool(pool, frames, &found);
			sent++;
		}
	}
	s = sock_stats(self->fd);
	EXPECT_EQ(sent, s.tx_ref_msgs + s.copied_msgs[SNAP_COPY_RACE]);
	EXPECT_LE(s.copied_msgs[SNAP_COPY_RACE], sent / 10);
	EXPECT_TRUE(fresh_regions_are_zero());
	TH_LOG("%zu messages, %ld frames of messages, %ld with poison", sent,
	       found.marked, found.mixed);
	if (!pool && debug_kernel()) {
		TH_LOG("no /dev/mem in this kernel: frames not looked at");
		return;
	}
	if (!pool)
		SKIP(return, "the pool cannot be read through /dev/mem");
	EXPECT_GT(found.marked, 0);
	EXPECT_EQ(0, found.mixed);
}

TEST_HARNESS_MAIN
