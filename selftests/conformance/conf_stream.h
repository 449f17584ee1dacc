/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The connection that the conformance tests of streams work on: the same
 * bodies run on AF_SNAP sockets and, as control, on AF_INET and AF_INET6.
 */
#ifndef SNAP_CONF_STREAM_H
#define SNAP_CONF_STREAM_H

#include <errno.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "view.h"

#define LENGTH		(64 * PAGE)

FIXTURE(tcp)
{
	int rx;			/* has accepted tx */
	int tx;
	struct region r;	/* or ordinary memory, as the variant says */
	char *p;		/* LENGTH bytes to send from */
	char *back;		/* and to receive into */
};

FIXTURE_VARIANT(tcp)
{
	int domain;
	int family;
	bool region;
	bool view;	/* receives by view, and nothing can go into it */
};

FIXTURE_VARIANT_ADD(tcp, inet4) {
	.domain = AF_INET, .family = AF_INET,
};
FIXTURE_VARIANT_ADD(tcp, inet6) {
	.domain = AF_INET6, .family = AF_INET6,
};
FIXTURE_VARIANT_ADD(tcp, snap4) {
	.domain = AF_SNAP, .family = AF_INET,
};
FIXTURE_VARIANT_ADD(tcp, snap4_view) {
	.domain = AF_SNAP, .family = AF_INET, .view = true,
};
FIXTURE_VARIANT_ADD(tcp, snap4_region) {
	.domain = AF_SNAP, .family = AF_INET, .region = true,
};
FIXTURE_VARIANT_ADD(tcp, snap6_region) {
	.domain = AF_SNAP, .family = AF_INET6, .region = true,
};

FIXTURE_SETUP(tcp)
{
	int fd[2];

	self->r.fd = -1;
	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, tcp_pair(variant->domain, variant->family, fd));
	self->rx = fd[0];
	self->tx = fd[1];
	ASSERT_EQ(0, set_timeout(self->rx, PATIENCE));
	ASSERT_EQ(0, set_timeout(self->tx, PATIENCE));
	if (variant->view) {
		ASSERT_EQ(0, view_set(self->rx, LENGTH, 0));
		ASSERT_EQ(0, view_set(self->tx, LENGTH, 0));
	}
	if (variant->region) {
		ASSERT_EQ(0, set_copybreak(self->tx, 0));
		ASSERT_EQ(0, set_copybreak(self->rx, 0));
	}
	ASSERT_EQ(0, memory_make(&self->r, LENGTH, variant->region));
	self->p = self->r.p;
	self->back = malloc(LENGTH);
	ASSERT_NE(NULL, self->back);
}

FIXTURE_TEARDOWN(tcp)
{
	close(self->tx);
	close(self->rx);
	free(self->back);
	region_drop(&self->r);
	if (variant->region)
		EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* The bytes that can be received at once have become that many. */
static inline bool becomes_readable(int fd, int bytes)
{
	uint64_t end = now_ms() + PATIENCE;
	int n;

	while (!ioctl(fd, SIOCINQ, &n) && n < bytes) {
		if (now_ms() > end)
			return false;
		sleep_ms(1);
	}
	return n == bytes;
}

#endif /* SNAP_CONF_STREAM_H */
