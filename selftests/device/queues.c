// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several data queues: as many as processors, spread over them; of a flow no packet
 * overtakes another, whoever sends; their number changes under traffic, and nothing
 * is lost; each is counted; and flows come by those that ethtool -X names.  In a
 * machine of its own, whose backend has queues.
 *
 * Machines: auto-2 debug newest
 * Paths: *-[24]
 */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "inbox.h"
#include "kselftest_harness.h"
#include "qstats.h"
#include "snap_test_util.h"

#define RESELECTION	"/proc/sys/net/core/txq_reselection_ms"
#define FLOWS		6
#define ROUNDS		60
#define BURST		16
#define LENGTH		9000u
#define CHANGES		30
#define ASKED		64u	/* flows of one packet each */

struct mark {
	uint32_t number;
	uint32_t length;
};

/* A connected socket whose peer echoes, and a thread of its own. */
struct flow {
	pthread_t thread;
	struct region region;
	char *back;
	int fd;
	unsigned int sent, arrived;
	unsigned int index;
	unsigned int wrong;	/* overtaken, of other bytes, or not sent */
	unsigned int lost;
	volatile bool *stop;
};

FIXTURE(queues)
{
	struct flow flow[FLOWS];
	unsigned int most;
	int refused;		/* commands, so far */
	volatile bool stop;
};

static int flow_open(struct flow *f)
{
	union address host;
	socklen_t length = address_set(&host, AF_INET, HOST4, host_echo_port());
	int room = 4 << 20;

	f->fd = udp_socket(AF_SNAP, AF_INET);
	f->back = malloc(LENGTH);
	return f->fd < 0 || !f->back || region_make(&f->region, BURST * 3 * PAGE) ||
	       setsockopt(f->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	       connect(f->fd, &host.sa, length) ? -1 : 0;
}

FIXTURE_SETUP(queues)
{
	unsigned int used;
	int i;

	if (!host_echo_port())
		SKIP(return, "no echo server at the host");
	/* kernels that have this choose the queue of a socket anew every second */
	if (!access(RESELECTION, W_OK))
		ASSERT_EQ(0, write_text(RESELECTION, "0"));
	ASSERT_EQ(0, channels_get(&self->most, &used));
	ASSERT_EQ(self->most, used);
	self->refused = log_count("refused with status");
	/* else the first packets wait for the neighbour, and others overtake them */
	ASSERT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	for (i = 0; i < FLOWS; i++) {
		self->flow[i].stop = &self->stop;
		self->flow[i].index = i;
		ASSERT_EQ(0, flow_open(&self->flow[i]));
	}
}

FIXTURE_TEARDOWN(queues)
{
	int i;

	if (!self->most)
		return;
	EXPECT_EQ(0, channels_set(self->most));
	for (i = 0; i < FLOWS; i++) {
		close(self->flow[i].fd);
		region_drop(&self->flow[i].region);
		free(self->flow[i].back);
	}
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	EXPECT_EQ(self->refused, log_count("refused with status"));
}

static long from_environment(const char *name)
{
	const char *text = getenv(name);

	return text ? atol(text) : 1;
}

TEST_F(queues, as_many_as_processors_and_backend)
{
	long queues = from_environment("SNAP_VM_QUEUES");
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	EXPECT_EQ(queues < processors ? queues : processors, self->most);
	EXPECT_EQ(self->most, rings_get());
	EXPECT_EQ(-EINVAL, channels_set(0));
	EXPECT_EQ(-EINVAL, channels_set(self->most + 1));
}

static bool flow_send(struct flow *f, unsigned int i)
{
	static const uint32_t lengths[] = { 8, 9000, 200, 1472, 4096, 64, 8192 };
	struct mark mark = { .number = ++f->sent };
	char *p = f->region.p + i * 3 * PAGE;

	mark.length = lengths[f->sent % 7];
	memcpy(p, &mark, sizeof(mark));
	fill(p + sizeof(mark), mark.length - sizeof(mark), mark.number);
	return send(f->fd, p, mark.length, 0) == mark.length;
}

/* The next that has come back by now, or within ms: its number, or 0. */
static uint32_t flow_receive(struct flow *f, int ms)
{
	struct pollfd wait = { .fd = f->fd, .events = POLLIN };
	struct mark mark;
	ssize_t n;

	if (poll(&wait, 1, ms) != 1)
		return 0;
	n = recv(f->fd, f->back, LENGTH, 0);
	if (n < (ssize_t)sizeof(mark))
		return 0;
	memcpy(&mark, f->back, sizeof(mark));
	if (n != mark.length ||
	    differs(f->back + sizeof(mark), n - sizeof(mark), mark.number) >= 0)
		f->wrong++;
	f->arrived++;
	return mark.number;
}

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Bursts, each from another processor. */
static void *flow_bursts(void *arg)
{
	unsigned int round, i, last = 0, number;
	struct flow *f = arg;

	for (round = 0; round < ROUNDS; round++) {
		pin(f->index + round);
		for (i = 0; i < BURST; i++)
			if (!flow_send(f, i))
				f->wrong++;
		while ((number = flow_receive(f, round == ROUNDS - 1 ? 500 : 10))) {
			if (number <= last)
				f->wrong++;
			last = number;
		}
	}
	return NULL;
}

static void flows_start(struct __test_metadata *_metadata, FIXTURE_DATA(queues) *self,
			void *(*what)(void *))
{
	int i;

	for (i = 0; i < FLOWS; i++)
		ASSERT_EQ(0, pthread_create(&self->flow[i].thread, NULL, what,
					    &self->flow[i]));
}

static void flows_end(struct __test_metadata *_metadata, FIXTURE_DATA(queues) *self)
{
	unsigned int sent = 0, arrived = 0;
	int i;

	self->stop = true;
	for (i = 0; i < FLOWS; i++) {
		struct flow *f = &self->flow[i];

		ASSERT_EQ(0, pthread_join(f->thread, NULL));
		EXPECT_EQ(0, f->wrong) TH_LOG("flow %d", i);
		sent += f->sent;
		arrived += f->arrived;
	}
	TH_LOG("%u sent, %u came back", sent, arrived);
	EXPECT_GT(arrived, sent / 10);
}

TEST_F(queues, nobody_overtakes_with_all)
{
	flows_start(_metadata, self, flow_bursts);
	flows_end(_metadata, self);
}

TEST_F(queues, nobody_overtakes_with_two)
{
	if (self->most < 2)
		SKIP(return, "one queue");
	ASSERT_EQ(0, channels_set(2));
	flows_start(_metadata, self, flow_bursts);
	flows_end(_metadata, self);
}

/* One after another, each waited for. */
static void *flow_ping(void *arg)
{
	struct flow *f = arg;
	unsigned int cpu = f->index;
	uint32_t number;

	while (!*f->stop) {
		pin(cpu++);
		if (!flow_send(f, 0))
			f->wrong++;
		do {
			number = flow_receive(f, 1000);
		} while (number && number != f->sent);
		f->lost += !number;
	}
	return NULL;
}

static uint64_t dropped(void)
{
	return read_number("/sys/class/net/" NETDEV "/statistics/tx_dropped") +
	       read_number("/sys/class/net/" NETDEV "/statistics/rx_dropped") +
	       read_number("/sys/class/net/" NETDEV "/statistics/rx_missed_errors") +
	       dev_counter(SNAP_CTR_TX_DROPPED);
}

/*
 * What is sent reaches the device, and what that receives a socket.  A tap drops what
 * is in a queue that is taken away, so some of what is lost is lost there.
 */
TEST_F(queues, change_under_traffic)
{
	uint64_t before = dev_counter(SNAP_CTR_TX_PACKETS), drops = dropped();
	unsigned int i, most, used, sent = 0, lost = 0;

	flows_start(_metadata, self, flow_ping);
	for (i = 0; i < CHANGES; i++) {
		EXPECT_EQ(0, channels_set(1 + i % self->most));
		EXPECT_EQ(0, channels_get(&most, &used));
		EXPECT_EQ(1 + i % self->most, used);
		sleep_ms(50);
	}
	flows_end(_metadata, self);
	for (i = 0; i < FLOWS; i++) {
		sent += self->flow[i].sent;
		lost += self->flow[i].lost;
	}
	TH_LOG("%u lost", lost);
	EXPECT_LE(lost, CHANGES);
	EXPECT_LE(sent, dev_counter(SNAP_CTR_TX_PACKETS) - before);
	EXPECT_EQ(drops, dropped());
}

TEST_F(queues, change_while_down)
{
	EXPECT_EQ(0, sh("ip link set " NETDEV " down"));
	EXPECT_EQ(0, channels_set(1));
	EXPECT_EQ(0, sh("ip link set " NETDEV " up && ip addr replace " GUEST6 "/64 dev "
			NETDEV " nodad"));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	EXPECT_EQ(0, channels_set(self->most));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
}

/* A packet of the kernel's or the host's own may have come since. */
static bool is_now(enum snap_counter counter, uint64_t sum)
{
	uint64_t now = dev_counter(counter);

	return sum <= now && now - sum <= 3;
}

/* What all queues have counted is what the device has; each processor has its own. */
TEST_F(queues, each_is_counted)
{
	uint64_t tx = 0, rx = 0;
	struct qstats before, after, all;
	unsigned int i;

	ASSERT_EQ(0, qstats_get(&before));
	flows_start(_metadata, self, flow_bursts);
	flows_end(_metadata, self);
	ASSERT_EQ(0, qstats_get(&after));
	EXPECT_EQ(self->most, after.nrx);
	EXPECT_EQ(self->most, after.ntx);
	for (i = 0; i < after.ntx; i++) {
		TH_LOG("queue %u: %lu sent, %lu received", i,
		       after.queue[i].tx_packets - before.queue[i].tx_packets,
		       after.queue[i].rx_packets - before.queue[i].rx_packets);
		EXPECT_LT(before.queue[i].tx_packets, after.queue[i].tx_packets);
		EXPECT_LT(before.queue[i].rx_packets, after.queue[i].rx_packets);
		tx += after.queue[i].tx_packets;
		rx += after.queue[i].rx_packets;
	}
	EXPECT_TRUE(is_now(SNAP_CTR_TX_PACKETS, tx));
	EXPECT_TRUE(is_now(SNAP_CTR_RX_PACKETS, rx));
	/* those of a queue that is not used any more are still of the interface */
	ASSERT_EQ(0, channels_set(1));
	ASSERT_EQ(0, qstats_get_all(&all));
	EXPECT_TRUE(is_now(SNAP_CTR_TX_PACKETS, all.queue[0].tx_packets));
	EXPECT_TRUE(is_now(SNAP_CTR_RX_PACKETS, all.queue[0].rx_packets));
}

static int send_from(int cpu)
{
	static char byte[100];
	int fd = udp_socket(AF_INET, AF_INET), i;
	union address to;
	socklen_t length = address_set(&to, AF_INET, HOST4, 9);

	pin(cpu);
	/* not connected: no answer of the host ends in an error */
	for (i = 0; i < 100; i++)
		if (sendto(fd, byte, sizeof(byte), 0, &to.sa, length) != sizeof(byte))
			return 1;
	close(fd);
	return 0;
}

TEST_F(queues, each_processor_has_its_own)
{
	struct qstats before, after;
	unsigned int i, j;
	uint64_t end;

	if (self->most < sysconf(_SC_NPROCESSORS_ONLN))
		SKIP(return, "fewer queues than processors");
	for (i = 0; i < self->most; i++) {
		ASSERT_EQ(0, qstats_get(&before));
		ASSERT_EQ(0, send_from(i));
		/* some may wait for a device that is busy */
		end = now_ms() + 5000;
		do {
			ASSERT_EQ(0, qstats_get(&after));
		} while (after.queue[i].tx_packets - before.queue[i].tx_packets < 100 &&
			 now_ms() < end);
		for (j = 0; j < self->most; j++) {
			uint64_t sent = after.queue[j].tx_packets -
					before.queue[j].tx_packets;

			if (i == j) {
				EXPECT_LE(100, sent);
			} else {
				EXPECT_GT(50, sent);
			}
		}
	}
}

/* One packet there and back, of as many flows: what each queue has received then. */
static int ask(uint64_t came[QSTATS_QUEUES])
{
	struct qstats before, after;
	unsigned int i, answers = 0;
	union address host;
	socklen_t length = address_set(&host, AF_INET, HOST4, host_echo_port());
	struct pollfd wait[ASKED];
	char byte = 0;

	if (qstats_get(&before))
		return -1;
	for (i = 0; i < ASKED; i++) {
		wait[i] = (struct pollfd){ .events = POLLIN };
		wait[i].fd = udp_socket(AF_INET, AF_INET);
		pin(i);
		if (connect(wait[i].fd, &host.sa, length) ||
		    send(wait[i].fd, &byte, 1, 0) != 1)
			return -1;
	}
	for (i = 0; i < ASKED; i++) {
		answers += poll(&wait[i], 1, 5000) == 1 && recv(wait[i].fd, &byte, 1, 0) == 1;
		close(wait[i].fd);
	}
	if (qstats_get(&after))
		return -1;
	for (i = 0; i < after.nrx; i++)
		came[i] = after.queue[i].rx_packets - before.queue[i].rx_packets;
	return answers == ASKED ? 0 : -1;
}

/* Why no test of tables can run here, or NULL. */
static const char *no_tables(unsigned int most)
{
	return most < 3 ? "fewer than three queues" :
	       table_possible() ? NULL : "a host that lets QEMU load no program";
}

TEST_F(queues, come_as_the_table_says)
{
	const char *why = no_tables(self->most);
	uint64_t came[QSTATS_QUEUES];
	unsigned int i;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, table_shows("0 1 2"));
	ASSERT_EQ(0, table_set("equal 1"));
	EXPECT_EQ(0, table_shows("0 0 0"));
	ASSERT_EQ(0, ask(came));
	for (i = 1; i < self->most; i++)
		EXPECT_EQ(0, came[i]);
	ASSERT_EQ(0, table_set("weight 0 1"));
	EXPECT_EQ(0, table_shows("1 1 1"));
	/* whoever is down and up again finds it as it was */
	ASSERT_EQ(0, sh("ip link set " NETDEV " down && ip link set " NETDEV " up &&"
			" ip addr replace " GUEST6 "/64 dev " NETDEV " nodad"));
	ASSERT_EQ(0, ask(came));
	for (i = 0; i < self->most; i++)
		EXPECT_EQ(i == 1, came[i] > 0);
	ASSERT_EQ(0, table_set("weight 1 0 3"));
	ASSERT_EQ(0, ask(came));
	for (i = 0; i < self->most; i++)
		EXPECT_EQ(i == 0 || i == 2, came[i] > 0);
	EXPECT_LT(came[0], came[2]);
	/* refused, and nothing changes */
	EXPECT_NE(0, table_set("equal 5"));
	EXPECT_NE(0, table_set("hfunc xor"));
	EXPECT_NE(0, table_set("hkey 00:11:22:33"));
	ASSERT_EQ(0, ask(came));
	EXPECT_EQ(0, came[1]);
	EXPECT_EQ(0, table_set("default"));
	EXPECT_EQ(0, table_shows("0 1 2"));
}

TEST_F(queues, table_keeps_its_queues)
{
	const char *why = no_tables(self->most);
	uint64_t came[QSTATS_QUEUES];
	unsigned int i;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, table_set("weight 0 1"));
	EXPECT_EQ(-EINVAL, channels_set(1));
	/* the others may go and come, and it still holds */
	for (i = 2; i <= self->most; i++) {
		ASSERT_EQ(0, channels_set(i));
		ASSERT_EQ(0, ask(came));
		EXPECT_EQ(0, came[0]);
		EXPECT_LE(ASKED, came[1]);
	}
	/* a flow comes where it is sent, from each processor in turn */
	ASSERT_EQ(0, table_set("default"));
	ASSERT_EQ(0, ask(came));
	for (i = 0; i < self->most; i++)
		EXPECT_LT(0, came[i]);
	EXPECT_EQ(0, channels_set(1));
}

/* Equal over those of now is not so over those that come, and names no more than it did. */
TEST_F(queues, table_that_was_equal_keeps_its_queues)
{
	const char *why = no_tables(self->most);
	uint64_t came[QSTATS_QUEUES];
	unsigned int i;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, channels_set(2));
	ASSERT_EQ(0, table_set("equal 2"));
	ASSERT_EQ(0, channels_set(self->most));
	EXPECT_EQ(0, table_shows("0 1 0"));
	ASSERT_EQ(0, ask(came));
	for (i = 2; i < self->most; i++)
		EXPECT_EQ(0, came[i]);
	EXPECT_EQ(0, channels_set(2));
	EXPECT_EQ(-EINVAL, channels_set(1));
	EXPECT_EQ(0, table_set("default"));
	EXPECT_EQ(0, channels_set(1));
}

TEST_HARNESS_MAIN
