/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the conformance tests of both types work on: two sockets that are
 * connected over loopback, of type datagram or stream, over IPv4 or IPv6, of
 * AF_SNAP or, as control, of AF_INET or AF_INET6.  One body for all: where a
 * result is not written down, an ordinary socket in the same state says it.
 */
#ifndef SNAP_CONF_SOCKET_H
#define SNAP_CONF_SOCKET_H

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define LENGTH		(16 * PAGE)
#define MESSAGE		((size_t)40000)	/* bytes that one datagram can have */

FIXTURE(sock)
{
	int rx;			/* of a stream: has accepted tx */
	int tx;
	struct region r;	/* or ordinary memory, as the variant says */
	char *p;		/* LENGTH bytes to send from */
	char *back;		/* and to receive into */
};

FIXTURE_VARIANT(sock)
{
	int type;
	int domain;
	int family;
	bool region;
};

#define CONF_VARIANT(name, sock_type, sock_domain, sock_family, in_region)	\
	FIXTURE_VARIANT_ADD(sock, name) {					\
		.type = sock_type, .domain = sock_domain,			\
		.family = sock_family, .region = in_region,			\
	}

CONF_VARIANT(dgram_inet4, SOCK_DGRAM, AF_INET, AF_INET, false);
CONF_VARIANT(dgram_inet6, SOCK_DGRAM, AF_INET6, AF_INET6, false);
CONF_VARIANT(dgram_snap4, SOCK_DGRAM, AF_SNAP, AF_INET, false);
CONF_VARIANT(dgram_snap6, SOCK_DGRAM, AF_SNAP, AF_INET6, false);
CONF_VARIANT(dgram_snap4_region, SOCK_DGRAM, AF_SNAP, AF_INET, true);
CONF_VARIANT(dgram_snap6_region, SOCK_DGRAM, AF_SNAP, AF_INET6, true);
CONF_VARIANT(stream_inet4, SOCK_STREAM, AF_INET, AF_INET, false);
CONF_VARIANT(stream_inet6, SOCK_STREAM, AF_INET6, AF_INET6, false);
CONF_VARIANT(stream_snap4, SOCK_STREAM, AF_SNAP, AF_INET, false);
CONF_VARIANT(stream_snap6, SOCK_STREAM, AF_SNAP, AF_INET6, false);
CONF_VARIANT(stream_snap4_region, SOCK_STREAM, AF_SNAP, AF_INET, true);
CONF_VARIANT(stream_snap6_region, SOCK_STREAM, AF_SNAP, AF_INET6, true);

/* A socket like those of the fixture, or, as control, of the inner family. */
#define conf_socket()	any_socket(variant->type, variant->domain, variant->family)
#define conf_control()	any_socket(variant->type, variant->family, variant->family)

static inline int any_socket(int type, int domain, int family)
{
	return type == SOCK_STREAM ? tcp_socket(domain, family) :
				     udp_socket(domain, family);
}

static inline socklen_t address_loopback(union address *at, int family, int port)
{
	return address_set(at, family, family == AF_INET6 ? "::1" : "127.0.0.1",
			   port);
}

static inline int any_pair(int type, int domain, int family, int *fd)
{
	int err = type == SOCK_STREAM ? tcp_pair(domain, family, fd) :
					udp_pair(domain, family, fd);

	return err || set_timeout(fd[0], PATIENCE) || set_timeout(fd[1], PATIENCE) ?
	       -1 : 0;
}

#define conf_pair(fd)	any_pair(variant->type, variant->domain, variant->family, fd)
#define conf_control_pair(fd)	\
	any_pair(variant->type, variant->family, variant->family, fd)

FIXTURE_SETUP(sock)
{
	int fd[2];

	self->r.fd = -1;
	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, conf_pair(fd));
	self->rx = fd[0];
	self->tx = fd[1];
	if (variant->region) {
		ASSERT_EQ(0, set_copybreak(self->tx, 0));
		ASSERT_EQ(0, set_copybreak(self->rx, 0));
	}
	ASSERT_EQ(0, memory_make(&self->r, LENGTH, variant->region));
	self->p = self->r.p;
	self->back = malloc(LENGTH);
	ASSERT_NE(NULL, self->back);
	fill(self->p, LENGTH, 0);
}

FIXTURE_TEARDOWN(sock)
{
	close(self->tx);
	close(self->rx);
	free(self->back);
	region_drop(&self->r);
	if (variant->region)
		EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* The events that a descriptor has, once it has one of those `wanted`. */
static inline int await(int fd, int wanted)
{
	struct pollfd poller = { .fd = fd, .events = wanted };

	return poll(&poller, 1, PATIENCE) == 1 ? poller.revents : 0;
}

/* That many bytes come next, those of fill(). */
static inline bool arrives(int fd, char *back, size_t length, unsigned int seed)
{
	return recv(fd, back, length, MSG_WAITALL) == (ssize_t)length &&
	       differs(back, length, seed) < 0;
}

/* Messages that a socket has sent by reference, wholly or in part. */
static inline uint64_t by_reference(int fd)
{
	return sock_stats(fd).tx_ref_msgs;
}

/* A socket that others can connect to or send to. */
struct server {
	int fd;
	union address at;
	socklen_t length;
};

static inline int serve(struct server *s, int type, int domain, int family)
{
	s->fd = any_socket(type, domain, family);
	s->length = address_loopback(&s->at, family, 0);
	if (s->fd < 0 || set_timeout(s->fd, PATIENCE) ||
	    bind(s->fd, &s->at.sa, s->length) ||
	    (type == SOCK_STREAM && listen(s->fd, 5)))
		return -1;
	return getsockname(s->fd, &s->at.sa, &s->length) ? -1 : 0;
}

/* What send() to the server comes to: by an address, or by a connection. */
static inline int reach(int fd, const struct server *s, int type, const char *p)
{
	int err;

	if (type == SOCK_DGRAM)
		return outcome(sendto(fd, p, MESSAGE, 0, &s->at.sa, s->length));
	err = outcome(connect(fd, &s->at.sa, s->length));
	return err ?: outcome(send(fd, p, MESSAGE, 0));
}

/* How bind() to a port of loopback ends. */
static inline int bind_port(int fd, int family, int port)
{
	union address at;
	socklen_t length = address_loopback(&at, family, port);

	return outcome(bind(fd, &at.sa, length));
}

#endif /* SNAP_CONF_SOCKET_H */
