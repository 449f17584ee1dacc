// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets of a flow never overtake one another: whether they are sent by
 * reference or copied, are short or long, and whoever moves them on the other
 * side of the doorbell.  Datagrams may be lost.
 *
 * Machines: auto-2 copy-1 asan debug newest
 * Paths: *
 */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define ROUNDS		40
#define BURST		25
#define LONGEST		60000u

struct mark {
	uint32_t number;
	uint32_t length;
};

FIXTURE(order)
{
	int fd;
	struct region region;
	char *copied;		/* LONGEST, in no region */
	char *back;
	unsigned int arrived, last;
};

FIXTURE_VARIANT(order)
{
	int family;
};

FIXTURE_VARIANT_ADD(order, dev4)
{
	.family = AF_INET,
};

FIXTURE_VARIANT_ADD(order, dev6)
{
	.family = AF_INET6,
};

FIXTURE_SETUP(order)
{
	union address host;
	socklen_t length;
	int room = 8 << 20;

	if (!host_echo_port())
		SKIP(return, "no echo server at the host");
	/* else the first packets wait for the neighbour, and others overtake them */
	ASSERT_EQ(0, sh("ping -q -c 1 -W 10 %s >/dev/null",
			host_on(NETDEV, variant->family)));
	self->fd = udp_socket(AF_SNAP, variant->family);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, setsockopt(self->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room,
				sizeof(room)));
	length = address_set(&host, variant->family,
			     host_on(NETDEV, variant->family), host_echo_port());
	ASSERT_EQ(0, connect(self->fd, &host.sa, length));
	ASSERT_EQ(0, region_make(&self->region, BURST * 16 * PAGE));
	self->copied = malloc(LONGEST);
	self->back = malloc(LONGEST);
}

FIXTURE_TEARDOWN(order)
{
	if (!self->back)
		return;
	close(self->fd);
	region_drop(&self->region);
	free(self->copied);
	free(self->back);
}

/* What has come back by now, or within ms. */
static void look(struct __test_metadata *_metadata, FIXTURE_DATA(order) *self,
		 int ms)
{
	struct pollfd wait = { .fd = self->fd, .events = POLLIN };
	struct mark mark;
	ssize_t n;

	while (poll(&wait, 1, ms) == 1) {
		n = recv(self->fd, self->back, LONGEST, 0);
		ASSERT_GE(n, (ssize_t)sizeof(mark));
		memcpy(&mark, self->back, sizeof(mark));
		ASSERT_EQ(n, mark.length);
		ASSERT_GT(mark.number, self->last);
		ASSERT_EQ(-1, differs(self->back + sizeof(mark),
				      n - sizeof(mark), mark.number));
		self->last = mark.number;
		self->arrived++;
	}
}

TEST_F(order, nobody_overtakes)
{
	static const uint32_t lengths[9] = {
		8, 60000, 200, 1472, 9000, 64, 30000, 4096, 12,
	};
	unsigned int round, i, sent = 0;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < BURST; i++) {
			struct mark mark = { .number = ++sent };
			char *p = sent % 3 ? self->region.p + i * 16 * PAGE :
				  self->copied;

			mark.length = lengths[sent % 9];
			memcpy(p, &mark, sizeof(mark));
			fill(p + sizeof(mark), mark.length - sizeof(mark),
			     mark.number);
			ASSERT_EQ(mark.length, send(self->fd, p, mark.length, 0));
		}
		look(_metadata, self, 20);
	}
	look(_metadata, self, 500);
	TH_LOG("%u sent, %u came back", sent, self->arrived);
	EXPECT_GT(self->arrived, sent / 10);
}

TEST_HARNESS_MAIN
