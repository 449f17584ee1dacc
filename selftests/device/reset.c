// SPDX-License-Identifier: GPL-2.0-only
/*
 * The function is reset, or stops answering, while messages are unread and are
 * looked at all the time: what is read is what was sent, or an error, and never
 * the zeros that memory reads as which is away (promise 8).  The frames come home
 * and the driver can be bound again.
 *
 * Machines: share-2 debug newest
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define LENGTH		60000
#define MESSAGES	5	/* unread in each socket */
#define PCI		"/sys/bus/pci/drivers/snap/"

/*
 * ENDED: by the sender; CLOSED: by the receiver before, too, so that it is in no table
 * of the kernel; PORTLESS: nor is that, which had a port when it received.
 */
enum kind {
	UDP_SNAP,
	UDP_INET,
	UDP_PORTLESS,
	TCP_SNAP,
	TCP_INET,
	TCP_ENDED,
	TCP_CLOSED,
	KINDS
};

static bool is_stream(int kind)
{
	return kind >= TCP_SNAP;
}

/* fd[0] has messages of fd[1], which sent them by reference. */
struct unread {
	int fd[2];
	int kind;
	pthread_t thread;
	volatile bool *stop;
	unsigned int looks;
	unsigned int wrong;
};

/* Does the beginning of what is unread look as it did?  Errors do not count. */
static void *look(void *arg)
{
	struct unread *u = arg;
	char *back = malloc(LENGTH);
	long n;

	while (!*u->stop) {
		n = recv(u->fd[0], back, LENGTH, MSG_PEEK | MSG_DONTWAIT);
		if (n <= 0)
			continue;
		u->looks++;
		u->wrong += is_stream(u->kind) ? differs_stream(back, n, 0) >= 0 :
						 differs(back, n, 0) >= 0;
	}
	free(back);
	return NULL;
}

FIXTURE(reset)
{
	struct region r;
	struct unread u[KINDS];
	char pci[64];
	volatile bool stop;
};

static int unread_make(struct unread *u, struct region *r)
{
	int domain = u->kind == UDP_SNAP || u->kind == TCP_SNAP ? AF_SNAP : AF_INET;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int big = 4 << 20, i;

	/* the sender is AF_SNAP, whatever the receiver is */
	if (is_stream(u->kind)) {
		union address at;
		socklen_t length;
		int listener = tcp_listen_on_loopback(domain, AF_INET, &at, &length);

		u->fd[1] = tcp_socket(AF_SNAP, AF_INET);
		if (connect(u->fd[1], &at.sa, length))
			return -1;
		u->fd[0] = accept(listener, NULL, NULL);
		close(listener);
	} else {
		union address at;
		socklen_t length = address_set(&at, AF_INET, "127.0.0.1", 0);

		u->fd[0] = udp_socket(domain, AF_INET);
		u->fd[1] = udp_socket(AF_SNAP, AF_INET);
		if (bind(u->fd[0], &at.sa, length) ||
		    getsockname(u->fd[0], &at.sa, &length) ||
		    connect(u->fd[1], &at.sa, length))
			return -1;
	}
	setsockopt(u->fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	setsockopt(u->fd[1], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	for (i = 0; i < MESSAGES; i++) {
		if (is_stream(u->kind))
			fill_stream(r->p, LENGTH, (uint64_t)i * LENGTH);
		else
			fill(r->p, LENGTH, i);
		if (send(u->fd[1], r->p, LENGTH, 0) != LENGTH)
			return -1;
	}
	if (u->kind == UDP_PORTLESS && connect(u->fd[0], &none, sizeof(none)))
		return -1;
	if (u->kind == TCP_CLOSED && shutdown(u->fd[0], SHUT_WR))
		return -1;
	if (u->kind >= TCP_ENDED && shutdown(u->fd[1], SHUT_WR))
		return -1;
	return sock_stats(u->fd[1]).tx_ref_msgs ? 0 : -1;
}

FIXTURE_SETUP(reset)
{
	char link[256];
	ssize_t n = readlink("/sys/class/net/" NETDEV "/device", link,
			     sizeof(link) - 1);
	struct snap_info info;
	int i;

	ASSERT_GT(n, 0);
	link[n] = 0;
	snprintf(self->pci, sizeof(self->pci), "%.60s", strrchr(link, '/') + 1);
	ASSERT_EQ(0, wait_no_frames_out(5000));
	ASSERT_EQ(0, region_make(&self->r, 16 * PAGE));
	self->stop = false;
	for (i = 0; i < KINDS; i++) {
		self->u[i] = (struct unread){ .kind = i, .stop = &self->stop };
		ASSERT_EQ(0, unread_make(&self->u[i], &self->r));
	}
	ASSERT_EQ(0, dev_info(&info));
	ASSERT_GT(info.out_frames, KINDS * MESSAGES * (LENGTH / PAGE) / 2);
	for (i = 0; i < KINDS; i++)
		ASSERT_EQ(0, pthread_create(&self->u[i].thread, NULL, look,
					    &self->u[i]));
	sleep_ms(200);
}

/* Nothing is left behind: a new binding gets a device without frames in use. */
FIXTURE_TEARDOWN(reset)
{
	int i;

	EXPECT_EQ(0, write_text(PCI "unbind", self->pci));
	EXPECT_EQ(0, write_text(PCI "bind", self->pci));
	EXPECT_EQ(0, netdev_up());
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	region_drop(&self->r);
	for (i = 0; i < KINDS; i++) {
		close(self->u[i].fd[0]);
		close(self->u[i].fd[1]);
	}
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

static void stop_looking(struct unread *u, volatile bool *stop)
{
	int i;

	sleep_ms(200);
	*stop = true;
	for (i = 0; i < KINDS; i++)
		pthread_join(u[i].thread, NULL);
}

TEST_F(reset, turns_no_byte_to_zero)
{
	static char back[STREAM_ROOM];
	struct unread *u;
	int i;

	ASSERT_EQ(0, sh("echo 1 >/sys/bus/pci/devices/%s/reset", self->pci));
	stop_looking(self->u, &self->stop);
	for (u = self->u; u < self->u + KINDS; u++) {
		EXPECT_GT(u->looks, 0);
		EXPECT_EQ(0, u->wrong) TH_LOG("kind %d: %u of %u", u->kind,
					      u->wrong, u->looks);
		if (is_stream(u->kind)) {
			EXPECT_TRUE(comes_out(u->fd[0], back, 0,
					      MESSAGES * LENGTH));
			continue;
		}
		for (i = 0; i < MESSAGES; i++) {
			EXPECT_EQ(LENGTH, recv(u->fd[0], back, LENGTH,
					       MSG_DONTWAIT));
			EXPECT_EQ(-1, differs(back, LENGTH, i));
		}
	}
	/* whoever sets it up again is told */
	EXPECT_NE(0, sh("ip link set " NETDEV " up 2>/dev/null"));
}

static int memory_decoding(const char *pci, bool on)
{
	char path[128];
	uint16_t command;
	int fd, ok;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", pci);
	fd = open(path, O_RDWR);
	ok = pread(fd, &command, 2, 4) == 2;
	command = on ? command | 2 : command & ~2;
	ok = ok && pwrite(fd, &command, 2, 4) == 2;
	close(fd);
	return ok ? 0 : -1;
}

/* How often a device was given up so far, or -1. */
static int losses(void)
{
	FILE *f = popen("dmesg | grep -c 'does not answer: given up'", "r");
	int n = -1;

	if (f && fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

/*
 * The memory goes without a word, as that of a device that is pulled out: what is
 * sent next finds out.  Who looks before that sees what is there; after it, an
 * error.
 */
TEST_F(reset, loss_is_an_error)
{
	static char back[LENGTH];
	union address to;
	socklen_t length = address_set(&to, AF_INET, HOST4, 9);
	int tries, i, fd = udp_socket(AF_INET, AF_INET), before = losses();
	struct unread *u;

	stop_looking(self->u, &self->stop);
	ASSERT_LE(0, before);
	ASSERT_EQ(0, memory_decoding(self->pci, false));
	sendto(fd, "x", 1, 0, &to.sa, length);
	close(fd);
	for (tries = 0; losses() == before && tries < 50; tries++)
		sleep_ms(100);
	EXPECT_EQ(before + 1, losses());
	EXPECT_EQ(0, sh("for i in $(seq 50); do ip link show " NETDEV
			" | grep -q 'state DOWN' && exit 0; sleep 0.1; done; exit 1"));
	sleep_ms(500);
	for (u = self->u; u < self->u + KINDS; u++) {
		EXPECT_EQ(-1, recv(u->fd[0], back, LENGTH, MSG_DONTWAIT));
		EXPECT_EQ(EIO, errno);
		for (i = 0; i < MESSAGES; i++)
			EXPECT_GE(0, recv(u->fd[0], back, LENGTH, MSG_DONTWAIT));
	}
	EXPECT_EQ(before + 1, losses());
	EXPECT_EQ(0, memory_decoding(self->pci, true));
}

TEST_HARNESS_MAIN
