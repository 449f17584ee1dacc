/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sockets that the conformance tests of datagrams work on: the same bodies
 * run on AF_SNAP sockets and, as control, on AF_INET and AF_INET6.
 */
#ifndef SNAP_CONF_DGRAM_H
#define SNAP_CONF_DGRAM_H

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "view.h"

#define LENGTH		(18 * PAGE)	/* no datagram is as long */

FIXTURE(udp)
{
	int tx;			/* connected to `peer` */
	int rx;			/* where arrives what tx sends */
	union address peer;
	socklen_t length;	/* of an address */
	struct region r;	/* or ordinary memory, as the variant says */
	char *p;		/* LENGTH bytes to send from: whole pages */
	char *back;		/* and to receive into */
};

/*
 * On "lo" rx is the peer.  On another interface the peer is an echo server of
 * the host, so that rx is tx: see conf_dgram_path.h.
 */
FIXTURE_VARIANT(udp)
{
	int domain;
	int family;
	bool region;
	bool view;	/* receives by view, and nothing can go into it */
	const char *netdev;
};

FIXTURE_VARIANT_ADD(udp, inet4) {
	.domain = AF_INET, .family = AF_INET, .netdev = "lo",
};
FIXTURE_VARIANT_ADD(udp, inet6) {
	.domain = AF_INET6, .family = AF_INET6, .netdev = "lo",
};
FIXTURE_VARIANT_ADD(udp, snap4) {
	.domain = AF_SNAP, .family = AF_INET, .netdev = "lo",
};
FIXTURE_VARIANT_ADD(udp, snap4_view) {
	.domain = AF_SNAP, .family = AF_INET, .netdev = "lo", .view = true,
};
FIXTURE_VARIANT_ADD(udp, snap4_region) {
	.domain = AF_SNAP, .family = AF_INET, .netdev = "lo", .region = true,
};
FIXTURE_VARIANT_ADD(udp, snap6_region) {
	.domain = AF_SNAP, .family = AF_INET6, .netdev = "lo", .region = true,
};

static inline bool six(const FIXTURE_VARIANT(udp) *variant)
{
	return variant->family == AF_INET6;
}

static inline bool is_local(const FIXTURE_VARIANT(udp) *variant)
{
	return !strcmp(variant->netdev, "lo");
}

/* One more socket of the variant. */
static inline int socket_like(const FIXTURE_VARIANT(udp) *variant)
{
	int fd = udp_socket(variant->domain, variant->family);

	if (fd >= 0 && (set_timeout(fd, PATIENCE) ||
			(variant->region && set_copybreak(fd, 0)) ||
			(variant->view && view_set(fd, 16 * PAGE, 0)))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The same on a free port of loopback; its address is stored. */
static inline int bound_like(const FIXTURE_VARIANT(udp) *variant,
			     union address *at)
{
	int fd = socket_like(variant);
	socklen_t length = address_set(at, variant->family,
				       six(variant) ? "::1" : "127.0.0.1", 0);

	if (fd < 0 || (!bind(fd, &at->sa, length) &&
		       !getsockname(fd, &at->sa, &length)))
		return fd;
	close(fd);
	return -1;
}

/* Packets on lo keep their order if they come from one processor. */
static inline int stay_here(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	return sched_setaffinity(0, sizeof(one), &one);
}

static inline char *anonymous(size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}


/* While the host's address is looked up, packets overtake each other. */
static inline bool meet(const union address *peer, socklen_t length)
{
	int fd = udp_socket(peer->sa.sa_family, peer->sa.sa_family);
	char byte = 1;
	bool met = fd >= 0 && !set_timeout(fd, PATIENCE) &&
		   !connect(fd, &peer->sa, length) &&
		   send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1;

	close(fd);
	return met;
}

static inline int open_both(FIXTURE_DATA(udp) *self,
			    const FIXTURE_VARIANT(udp) *variant)
{
	self->tx = socket_like(variant);
	self->rx = is_local(variant) ? bound_like(variant, &self->peer) :
				       self->tx;
	if (self->tx < 0 || self->rx < 0)
		return -1;
	return connect(self->tx, &self->peer.sa, self->length);
}

static inline void close_both(FIXTURE_DATA(udp) *self)
{
	close(self->tx);
	if (self->rx != self->tx)
		close(self->rx);
}

/* Go on in a network of its own, of lo alone, which the command sets up. */
static inline int go_apart(FIXTURE_DATA(udp) *self,
			   const FIXTURE_VARIANT(udp) *variant,
			   const char *command)
{
	close_both(self);
	if (unshare(CLONE_NEWNET) || sh("%s", command))
		return -1;
	return open_both(self, variant);
}

/* The peer must get what the buffer had when the call was made. */
static inline ssize_t post(int fd, char *p, size_t length, unsigned int seed,
			   int flags)
{
	ssize_t n;

	fill(p, length, seed);
	n = send(fd, p, length, flags);
	memset(p, POISON, length);
	return n;
}

static inline ssize_t post_to(int fd, char *p, size_t length, unsigned int seed,
			      const union address *to, socklen_t to_length)
{
	ssize_t n;

	fill(p, length, seed);
	n = sendto(fd, p, length, 0, &to->sa, to_length);
	memset(p, POISON, length);
	return n;
}

/* Is that the next datagram?  The buffer has LENGTH bytes. */
static inline bool arrives(int fd, char *back, size_t length, unsigned int seed)
{
	return recv(fd, back, LENGTH, 0) == (ssize_t)length &&
	       differs(back, length, seed) < 0;
}

FIXTURE_SETUP(udp)
{
	self->r.fd = -1;
	self->length = six(variant) ? sizeof(self->peer.in6) : sizeof(self->peer.in);
	if (!is_local(variant)) {
		if (!host_echo_port())
			SKIP(return, "no echo server on the host");
		if (!if_nametoindex(variant->netdev))
			SKIP(return, "no %s", variant->netdev);
		address_set(&self->peer, variant->family,
			    host_on(variant->netdev, variant->family),
			    host_echo_port());
	}
	ASSERT_EQ(0, stay_here());
	ASSERT_TRUE(is_local(variant) || meet(&self->peer, self->length));
	ASSERT_EQ(0, memory_make(&self->r, LENGTH, variant->region));
	self->p = self->r.p;
	self->back = anonymous(LENGTH);
	ASSERT_NE(MAP_FAILED, self->back);
	ASSERT_EQ(0, open_both(self, variant));
}

FIXTURE_TEARDOWN(udp)
{
	close_both(self);
	munmap(self->back, LENGTH);
	region_drop(&self->r);
	if (variant->region)
		EXPECT_EQ(0, wait_no_guest_frames(10000));
}

static inline int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* -1 if there is none such. */
static inline int option(int fd, int level, int name)
{
	socklen_t size = sizeof(int);
	int value = -1;

	return getsockopt(fd, level, name, &value, &size) ? -1 : value;
}

/* A datagram with all that recvmsg() says of it. */
struct received {
	struct msghdr msg;
	struct iovec iov;
	union address from;
	char control[512] __attribute__((aligned(8)));
};

static inline ssize_t receive(struct received *r, int fd, char *back, int flags)
{
	memset(r, 0, sizeof(*r));
	r->iov = (struct iovec){ back, LENGTH };
	r->msg = (struct msghdr){
		.msg_name = &r->from, .msg_namelen = sizeof(r->from),
		.msg_iov = &r->iov, .msg_iovlen = 1,
		.msg_control = r->control,
		.msg_controllen = sizeof(r->control),
	};
	return recvmsg(fd, &r->msg, flags);
}

/* The control message of that kind; NULL: none came. */
static inline const void *control_of(struct received *r, int level, int type)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(&r->msg); c; c = CMSG_NXTHDR(&r->msg, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return CMSG_DATA(c);
	return NULL;
}

/* An int, or the byte that IP_TOS is; -1: none came. */
static inline int number_of(struct received *r, int level, int type)
{
	const void *data = control_of(r, level, type);

	if (!data)
		return -1;
	return type == IP_TOS && level == IPPROTO_IP ? *(const uint8_t *)data :
						       *(const int *)data;
}

#endif /* SNAP_CONF_DGRAM_H */
