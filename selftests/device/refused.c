// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the driver refuses, and that nothing has changed then: devices that speak
 * another version, beside one that does not; and fewer queues while packets wait for
 * one of those to be left out.  And what the device refuses, though it took it before:
 * a table of flows.  In a machine of its own, which has two such devices more, and in
 * which each queue of the usual one takes 20 ms for a packet.  Its host,
 * peers/qmp-host.sh, takes the backend away when a file of the share says so.
 *
 * Machines: auto-2
 */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/uio.h>

#include "inbox.h"
#include "kselftest_harness.h"
#include "qstats.h"
#include "snap_test_util.h"

#define PCI		"/sys/bus/pci/"
#define QUEUES		2
#define MASK		64
/* So many that the device, which takes 256, does not take all of one doorbell. */
#define BATCH		25u
#define TRIES		20

static int refusals(unsigned int version)
{
	char text[100];

	snprintf(text, sizeof(text), "device speaks version %u, this driver %u",
		 version, SNAP_VERSION);
	return log_count(text);
}

TEST(devices_of_other_versions)
{
	/* as guest-lib.sh has them */
	EXPECT_EQ(1, refusals(2));
	EXPECT_EQ(1, refusals(99));
	EXPECT_EQ(0, sh("test $(cat " PCI "devices/*/device | grep -c 0x%04x) = 3",
			SNAP_PCI_DEVICE));
	EXPECT_EQ(0, sh("test $(ls -d " PCI "drivers/snap/0* | wc -l) = 1"));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
}

static bool read_masks(char masks[QUEUES][MASK])
{
	char path[100];
	bool good = true;
	FILE *f;
	int i;

	for (i = 0; i < QUEUES; i++) {
		snprintf(path, sizeof(path),
			 "/sys/class/net/" NETDEV "/queues/tx-%d/xps_cpus", i);
		f = fopen(path, "r");
		good &= f && fgets(masks[i], MASK, f);
		if (f)
			fclose(f);
	}
	return good;
}

/* Sends by the last queue, as much as its socket takes. */
struct sender {
	pthread_t thread;
	volatile bool stop;
};

static void *send_batches(void *arg)
{
	struct mmsghdr messages[BATCH] = {};
	struct sender *s = arg;
	struct iovec iov = { .iov_base = "a short message", .iov_len = 16 };
	int fd = udp_socket(AF_SNAP, AF_INET);
	union address to;
	socklen_t length = address_set(&to, AF_INET, HOST4, 9);
	unsigned int i;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(QUEUES - 1, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	for (i = 0; i < BATCH; i++) {
		/* not connected: no answer of the host ends in an error */
		messages[i].msg_hdr.msg_name = &to;
		messages[i].msg_hdr.msg_namelen = length;
		messages[i].msg_hdr.msg_iov = &iov;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (!s->stop)
		if (sendmmsg(fd, messages, BATCH, MSG_DONTWAIT) <= 0)
			sleep_ms(1);
	close(fd);
	return NULL;
}

/* Until one finds packets that wait: the last result. */
static int ask_for_fewer(void)
{
	int tries, err = 0;

	for (tries = 0; !err && tries < TRIES; tries++) {
		err = channels_set(QUEUES);
		sleep_ms(500);
		err = err ?: channels_set(1);
	}
	return err;
}

TEST(fewer_queues_while_packets_wait)
{
	char before[QUEUES][MASK] = {}, after[QUEUES][MASK] = {};
	struct sender sender = {};
	unsigned int most, used;
	int i;

	ASSERT_EQ(0, channels_get(&most, &used));
	ASSERT_EQ(QUEUES, used);
	ASSERT_TRUE(read_masks(before));
	ASSERT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	ASSERT_EQ(0, pthread_create(&sender.thread, NULL, send_batches, &sender));
	EXPECT_EQ(-EBUSY, ask_for_fewer());
	EXPECT_EQ(0, channels_get(&most, &used));
	EXPECT_EQ(QUEUES, used);
	EXPECT_TRUE(read_masks(after));
	for (i = 0; i < QUEUES; i++)
		EXPECT_STREQ(before[i], after[i]);
	sender.stop = true;
	pthread_join(sender.thread, NULL);
}

/*
 * The device forgets its table with each change of channels, and does not take it again
 * without a backend: then flows come as by default, in what is shown as well.
 */
TEST(table_without_backend)
{
	static const char said[] = "flows come by channels of the device";
	uint64_t end = now_ms() + 30000;

	if (!table_possible())
		SKIP(return, "a host that lets QEMU load no program");
	/* what the test before has sent may still wait */
	while (channels_set(1) && now_ms() < end)
		sleep_ms(100);
	ASSERT_EQ(0, channels_set(QUEUES));
	ASSERT_EQ(0, table_set("equal 1"));
	ASSERT_EQ(0, channels_set(1));
	ASSERT_EQ(0, channels_set(QUEUES));
	EXPECT_EQ(0, table_shows("0 0 0"));
	EXPECT_EQ(0, log_count(said));
	ASSERT_EQ(0, sh("touch $SNAP_VM_SHARE/netdev_del.n0"));
	while (read_number("/sys/class/net/" NETDEV "/carrier") && now_ms() < end)
		sleep_ms(100);
	EXPECT_EQ(0, table_shows("0 0 0"));
	/* one channel has no table to lose */
	ASSERT_EQ(0, channels_set(1));
	EXPECT_EQ(0, table_shows("0 0 0"));
	EXPECT_EQ(0, log_count(said));
	ASSERT_EQ(0, channels_set(QUEUES));
	EXPECT_EQ(1, log_count(said));
	EXPECT_EQ(0, table_shows("0 1 0"));
	EXPECT_NE(0, table_set("equal 1"));
	EXPECT_EQ(0, table_shows("0 1 0"));
	/* told once, and nobody has asked the device for what it does not know */
	EXPECT_EQ(1, log_count(said));
	EXPECT_EQ(0, log_count("refused with status"));
	/* and of what is not in force nothing stands in the way of fewer channels */
	EXPECT_EQ(0, channels_set(1));
	EXPECT_EQ(0, table_set("default"));
}

TEST_HARNESS_MAIN
