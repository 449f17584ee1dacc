// SPDX-License-Identifier: GPL-2.0-only
/*
 * Promises 1 and 4: after send() the buffer may be overwritten, unmapped, or
 * die with its process, while the packet still waits in a delaying qdisc; the
 * receiver gets the old bytes.  And 5: nothing is needed for a sent packet's
 * frames to come home, no interrupt and no later packet.
 *
 * Machines: auto-2 share-2 copy-2 share-1 asan debug
 * Paths: *
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

/* Long enough for a slow machine to look at the qdisc in between. */
static int delay_ms(void)
{
	return debug_kernel() ? 700 : 250;
}

#define REGION		(20 * PAGE)
#define SMALL_TALK	400	/* bytes */

FIXTURE(overwrite)
{
	int fd;			/* AF_SNAP, connected to the echo */
	int echo;
	struct region r;
	const char *netdev;
	char *back;
};

FIXTURE_VARIANT(overwrite)
{
	int family;
	bool device;
	int mtu;		/* of the device; 0: as it is */
};

FIXTURE_VARIANT_ADD(overwrite, dev4) {
	.family = AF_INET, .device = true,
};
FIXTURE_VARIANT_ADD(overwrite, dev6) {
	.family = AF_INET6, .device = true,
};
FIXTURE_VARIANT_ADD(overwrite, dev4_fragments) {
	.family = AF_INET, .device = true, .mtu = 1500,
};
FIXTURE_VARIANT_ADD(overwrite, dev6_fragments) {
	.family = AF_INET6, .device = true, .mtu = 1500,
};
FIXTURE_VARIANT_ADD(overwrite, lo4) {
	.family = AF_INET,
};
FIXTURE_VARIANT_ADD(overwrite, lo6) {
	.family = AF_INET6,
};

/* 0: as the machine was started with. */
static int set_mtu(int mtu)
{
	const char *usual = getenv("SNAP_VM_MTU");

	return sh("ip link set " NETDEV " mtu %d",
		  mtu ? mtu : usual ? atoi(usual) : 1500);
}

FIXTURE_SETUP(overwrite)
{
	int six = variant->family == AF_INET6;
	union address peer;
	int try;
	socklen_t length = six ? sizeof(peer.in6) : sizeof(peer.in);

	self->netdev = variant->device ? NETDEV : "lo";
	self->back = malloc(65536);
	if (variant->device) {
		if (!host_echo_port())
			SKIP(return, "no echo server on the host");
		length = address_set(&peer, variant->family,
				     six ? HOST6 : HOST4, host_echo_port());
	} else {
		self->echo = echo_start(variant->family, &peer);
		ASSERT_GT(self->echo, 0);
	}
	if (variant->device)
		ASSERT_EQ(0, set_mtu(variant->mtu));
	/* a case that was broken off may have left one */
	sh("tc qdisc del dev %s root 2>/dev/null", self->netdev);
	self->fd = udp_socket(AF_SNAP, variant->family);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, set_timeout(self->fd, 10000));
	ASSERT_EQ(0, connect(self->fd, &peer.sa, length));
	ASSERT_EQ(0, region_make(&self->r, REGION));
	/* neighbours are known before packets are delayed */
	ASSERT_EQ(4, send(self->fd, "warm", 4, 0));
	ASSERT_EQ(4, recv(self->fd, self->back, 65536, 0));
	ASSERT_EQ(0, sh("tc qdisc add dev %s root netem delay %dms limit 10000",
			self->netdev, delay_ms()));
	/* neighbours ask for each other all the time: less than any message */
	for (try = 0; try < 100 && qdisc_bytes(self->netdev) > SMALL_TALK; try++)
		sleep_ms(50);
	ASSERT_LE(qdisc_bytes(self->netdev), SMALL_TALK);
}

FIXTURE_TEARDOWN(overwrite)
{
	EXPECT_EQ(0, sh("tc qdisc del dev %s root", self->netdev));
	if (variant->device)
		EXPECT_EQ(0, set_mtu(0));
	close(self->fd);
	if (self->r.p)
		region_drop(&self->r);
	echo_stop(self->echo);
	free(self->back);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

static const struct {
	size_t length;
	size_t offset;
} shapes[] = {
	{ 8192, 0 }, { 8193, 4095 }, { 12288, 4096 }, { 20000, 100 },
	{ 60000, 0 }, { 60000, 77 }, { 65507, 4095 },
};

/* The echo of the one datagram in flight is fill(seed). */
static int comes_back(int fd, char *back, size_t length, unsigned int seed)
{
	ssize_t n = recv(fd, back, 65536, 0);

	if (n != (ssize_t)length)
		return -1;
	return differs(back, length, seed) < 0 ? 0 : -2;
}

/* How many messages went by reference, or for the kernel's sake did not (sock_copy). */
static uint64_t sent_by_reference(int fd, int sums_right)
{
	struct snap_sock_stats stats = sock_stats(fd);

	return stats.tx_ref_msgs +
	       (sums_right ? 0 : stats.copied_msgs[SNAP_COPY_CHECKSUM]);
}

TEST_F(overwrite, after_send)
{
	int right = splice_sums_right();
	size_t i;

	ASSERT_GE(right, 0);

	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		size_t length = shapes[i].length;
		char *p = self->r.p + shapes[i].offset;
		uint64_t refs = sent_by_reference(self->fd, right);
		long queued;

		fill(p, length, i);
		ASSERT_EQ(length, send(self->fd, p, length, 0));
		memset(self->r.p, POISON, self->r.length);
		/* it still was in there after the overwrite */
		queued = qdisc_bytes(self->netdev);
		EXPECT_GE(queued, length);
		EXPECT_EQ(refs + 1, sent_by_reference(self->fd, right));
		EXPECT_EQ(0, comes_back(self->fd, self->back, length, i))
			TH_LOG("%zu bytes at %zu", length, shapes[i].offset);
		/* nor has the sender's own memory gone back in time */
		EXPECT_EQ(POISON, (unsigned char)p[0]);
		EXPECT_EQ(POISON, (unsigned char)p[length - 1]);
	}
}

/* The same pages over and over, all in flight together. */
TEST_F(overwrite, many_versions)
{
	const int versions = 8;
	unsigned int seen = 0, seed;
	int i;

	for (i = 0; i < versions; i++) {
		fill(self->r.p + 64, 16000, i);
		ASSERT_EQ(16000, send(self->fd, self->r.p + 64, 16000, 0));
	}
	memset(self->r.p, POISON, self->r.length);
	EXPECT_GE(qdisc_bytes(self->netdev), versions * 16000);
	EXPECT_EQ(versions, sock_stats(self->fd).tx_ref_msgs);
	for (i = 0; i < versions; i++) {
		ASSERT_EQ(16000, recv(self->fd, self->back, 65536, 0));
		for (seed = 0; seed < versions; seed++)
			if (differs(self->back, 16000, seed) < 0)
				seen |= 1u << seed;
	}
	EXPECT_EQ((1u << versions) - 1, seen);
}

/* ---- Stores that race with the capture ---------------------------------- */

/* Writes ever greater numbers into its half of the pages. */
struct writer {
	pthread_t thread;
	uint64_t *words;
	uint64_t done;		/* all words are at least this */
	bool stop;
};

#define WORDS	(7 * PAGE / 8)
#define STEP	64		/* some words of each page will do */

static void *write_on(void *arg)
{
	struct writer *w = arg;
	uint64_t number;
	size_t i;

	for (number = 1; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); number++) {
		for (i = 1; i < WORDS; i += STEP)
			__atomic_store_n(&w->words[i], number, __ATOMIC_RELAXED);
		__atomic_store_n(&w->done, number, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static uint64_t done(struct writer *w)
{
	return __atomic_load_n(&w->done, __ATOMIC_SEQ_CST);
}

/* Every word was there between before the send and after it. */
static bool written_between(const char *p, uint64_t before, uint64_t after)
{
	uint64_t word;
	size_t i;

	for (i = 1; i < WORDS; i += STEP) {
		memcpy(&word, p + 8 * i, 8);
		/* the writer may be in the middle of its next number */
		if (word < before || word > after + 1)
			return false;
	}
	return true;
}

TEST_F(overwrite, racing_stores)
{
	const size_t half = WORDS * 8, length = 2 * WORDS * 8;
	uint64_t before[3][2], after[3][2], index, start;
	struct writer w[2] = { 0 };
	int i, j, round, seen_queued = 0;

	for (j = 0; j < 2; j++) {
		w[j].words = (uint64_t *)(self->r.p + j * half);
		ASSERT_EQ(0, pthread_create(&w[j].thread, NULL, write_on, &w[j]));
	}
	/*
	 * A busy machine may come to look at the queue when it has been sent:
	 * such a round proves nothing of it.
	 */
	for (round = 0; seen_queued < 3 && round < 12; round++) {
		start = now_ms();
		for (i = 0; i < 3; i++) {
			for (j = 0; j < 2; j++)
				before[i][j] = done(&w[j]);
			w[0].words[0] = i;
			ASSERT_EQ(length, send(self->fd, self->r.p, length, 0));
			for (j = 0; j < 2; j++)
				after[i][j] = done(&w[j]);
			sleep_ms(10);
		}
		if (qdisc_bytes(self->netdev) >= 3 * length)
			seen_queued++;
		else
			EXPECT_GE(now_ms() - start, delay_ms());
		for (i = 0; i < 3; i++) {
			ASSERT_EQ(length, recv(self->fd, self->back, 65536, 0));
			memcpy(&index, self->back, 8);
			ASSERT_LT(index, 3);
			for (j = 0; j < 2; j++)
				EXPECT_TRUE(written_between(self->back + j * half,
							    before[index][j],
							    after[index][j]));
		}
	}
	for (j = 0; j < 2; j++) {
		__atomic_store_n(&w[j].stop, true, __ATOMIC_RELAXED);
		pthread_join(w[j].thread, NULL);
		EXPECT_GT(w[j].done, 100);
	}
	EXPECT_EQ(3, seen_queued);
	EXPECT_EQ(3 * round, sock_stats(self->fd).tx_ref_msgs);
}

TEST_F(overwrite, send_does_not_wait)
{
	uint64_t start = now_ms(), took;
	struct pollfd p = { .fd = self->fd, .events = POLLOUT };

	fill(self->r.p, 60000, 3);
	ASSERT_EQ(60000, send(self->fd, self->r.p, 60000, 0));
	took = now_ms() - start;
	EXPECT_GE(qdisc_bytes(self->netdev), 60000);
	EXPECT_LT(took, delay_ms() / 2);
	/* and nothing is reported about it later */
	EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLOUT, p.revents);
	EXPECT_EQ(-1, recv(self->fd, self->back, 1, MSG_ERRQUEUE | MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, comes_back(self->fd, self->back, 60000, 3));
}

TEST_F(overwrite, region_is_gone)
{
	struct region other;

	fill(self->r.p, 60000, 4);
	ASSERT_EQ(60000, send(self->fd, self->r.p, 60000, 0));
	region_drop(&self->r);
	self->r.p = NULL;
	/* whoever gets its place in the window writes there */
	ASSERT_EQ(0, region_make(&other, REGION));
	memset(other.p, POISON, other.length);
	EXPECT_GE(qdisc_bytes(self->netdev), 60000);
	EXPECT_EQ(1, sock_stats(self->fd).tx_ref_msgs);
	EXPECT_EQ(0, comes_back(self->fd, self->back, 60000, 4));
	region_drop(&other);
}

static int send_from_new_region(int fd, unsigned int seed)
{
	struct region r;

	if (region_make(&r, REGION))
		return 1;
	fill(r.p, 60000, seed);
	return send(fd, r.p, 60000, 0) == 60000 ? 0 : 2;
}

TEST_F(overwrite, sender_is_gone)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(send_from_new_region(self->fd, 5));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	EXPECT_GE(qdisc_bytes(self->netdev), 60000);
	EXPECT_EQ(0, comes_back(self->fd, self->back, 60000, 5));
	/* once more, this time it is shot */
	pid = fork();
	if (!pid) {
		if (!send_from_new_region(self->fd, 6))
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_GE(qdisc_bytes(self->netdev), 60000);
	EXPECT_EQ(2, sock_stats(self->fd).tx_ref_msgs);
	EXPECT_EQ(0, comes_back(self->fd, self->back, 60000, 6));
}

/* ---- Without a delay ---------------------------------------------------- */

static bool wait_nothing_queued(int fd, int ms)
{
	uint64_t end = now_ms() + ms;
	int queued;

	do {
		if (ioctl(fd, SIOCOUTQ, &queued))
			return false;
		if (!queued)
			return true;
		sleep_ms(1);
	} while (now_ms() < end);
	return false;
}

static long packets_sent(void)
{
	return read_number("/sys/class/net/" NETDEV "/statistics/tx_packets");
}

#define SENDS	100

/*
 * Sends, then only looks: true if all came home.  Sets what else there was meanwhile:
 * interrupts, but for those that end a pause, of which a host that is slow to take
 * packets makes some; and packets of others, by which one that a driver has kept would
 * come home.
 */
static bool ringless_round(int fd, char *p, uint64_t *others)
{
	uint64_t interrupts = dev_counter(SNAP_CTR_INTERRUPTS);
	uint64_t paused = dev_counter(SNAP_CTR_TX_PAUSES);
	uint64_t packets = packets_sent();
	int i;

	for (i = 0; i < SENDS; i++) {
		memset(p, i, 30000);
		if (send(fd, p, 30000, 0) != 30000)
			return false;
	}
	if (!wait_nothing_queued(fd, 2000))
		return false;
	if (wait_no_frames_out(2000) || wait_no_guest_frames(2000))
		return false;
	interrupts = dev_counter(SNAP_CTR_INTERRUPTS) - interrupts;
	paused = dev_counter(SNAP_CTR_TX_PAUSES) - paused;
	/* each message makes as many packets */
	packets = packets_sent() - packets;
	*others = packets % SENDS + interrupts - (interrupts < paused ? interrupts : paused);
	return packets >= SENDS;
}

TEST(ringless_tx)
{
	int round, fd = udp_socket(AF_SNAP, AF_INET);
	uint64_t others = ~0ull;
	union address to;
	struct region r;

	if (!host_sink_port())
		SKIP(return, "no sink on the host");
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, connect(fd, &to.sa,
			     address_set(&to, AF_INET, HOST4, host_sink_port())));
	ASSERT_EQ(0, region_make(&r, 8 * PAGE));
	ASSERT_EQ(10, send(fd, r.p, 10, 0));
	sleep_ms(200);
	/* now and then a neighbour or a router says something, or this machine does */
	for (round = 0; round < 10 && others; round++)
		ASSERT_TRUE(ringless_round(fd, r.p, &others));
	EXPECT_EQ(0, others);
	EXPECT_EQ(SENDS * round, sock_stats(fd).tx_ref_msgs);
	region_drop(&r);
	close(fd);
}

TEST_HARNESS_MAIN
