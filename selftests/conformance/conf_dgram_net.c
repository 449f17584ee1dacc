// SPDX-License-Identifier: GPL-2.0-only
/*
 * Datagrams are UDP, the fourth part: packets to many, errors that the network
 * reports, and losses, here and by way of the host.
 *
 * Machines: copy-2 debug
 * Paths: thread-auto-* main-auto-*
 */

#define _GNU_SOURCE
#include <netinet/udp.h>
#include <time.h>

#include <linux/errqueue.h>
#include <linux/sock_diag.h>

#include "conf_dgram_path.h"

/* ---- To many ------------------------------------------------------------ */

/* IPv6 has routes for groups by every interface but lo. */
#define GROUPS_ON_LO	"ip link set lo up && " \
			"ip route add local ff00::/8 dev lo table local"

/* All neighbours, at the peer's port. */
static void everyone(const FIXTURE_VARIANT(udp) *variant,
		     const union address *peer, union address *at)
{
	int port = ntohs(peer->in.sin_port);

	address_set(at, variant->family, six(variant) ? "ff02::1" :
		    is_local(variant) ? "127.255.255.255" : "0.0.0.0", port);
	if (six(variant))
		at->in6.sin6_scope_id = if_nametoindex(variant->netdev);
	else if (!is_local(variant))	/* the last one of its network */
		at->in.sin_addr.s_addr = peer->in.sin_addr.s_addr |
					 htonl(0xff);
}

/* IPv4 wants to be asked for it, IPv6 knows it as a multicast. */
TEST_F(udp, broadcast)
{
	union address at, any;
	int fd, lands;

	if (is_local(variant) && six(variant))
		ASSERT_EQ(0, go_apart(self, variant, GROUPS_ON_LO));
	fd = socket_like(variant);
	lands = fd;
	if (is_local(variant)) {
		lands = socket_like(variant);
		address_any(&any, variant->family);
		any.in.sin_port = self->peer.in.sin_port;
		close(self->rx);
		ASSERT_EQ(0, bind(lands, &any.sa, self->length));
		self->rx = lands;
	}
	everyone(variant, &self->peer, &at);
	if (!six(variant)) {
		EXPECT_EQ(EACCES, outcome(post_to(fd, self->p, 1000, 1, &at,
						  self->length)));
		EXPECT_EQ(EACCES, outcome(connect(fd, &at.sa, self->length)));
		ASSERT_EQ(0, set_option(fd, SOL_SOCKET, SO_BROADCAST, 1));
	}
	ASSERT_EQ(1000, post_to(fd, self->p, 1000, 2, &at, self->length));
	EXPECT_TRUE(arrives(lands, self->back, 1000, 2));
	ASSERT_EQ(0, connect(fd, &at.sa, self->length));
	if (is_local(variant)) {
		ASSERT_EQ(1000, post(fd, self->p, 1000, 3, 0));
		EXPECT_TRUE(arrives(lands, self->back, 1000, 3));
	}
	close(fd);
}

/* A group, and the sockets that send to it and listen to it. */
struct group {
	union address at;
	int level;
	int index;		/* of the interface */
	int from;
	int in;			/* bound to the group's port */
	union address in_at;	/* where it is reached without the group */
};

static int group_membership(const struct group *g, bool join)
{
	struct ip_mreqn four = {
		.imr_multiaddr = g->at.in.sin_addr, .imr_ifindex = g->index,
	};
	struct ipv6_mreq sixth = {
		.ipv6mr_multiaddr = g->at.in6.sin6_addr,
		.ipv6mr_interface = g->index,
	};

	if (g->level == IPPROTO_IP)
		return setsockopt(g->in, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP :
				  IP_DROP_MEMBERSHIP, &four, sizeof(four));
	return setsockopt(g->in, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP :
			  IPV6_LEAVE_GROUP, &sixth, sizeof(sixth));
}

static int group_interface(const struct group *g, int index)
{
	struct ip_mreqn four = { .imr_ifindex = index };

	if (g->level == IPPROTO_IP)
		return setsockopt(g->from, IPPROTO_IP, IP_MULTICAST_IF, &four,
				  sizeof(four));
	return set_option(g->from, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
}

static int group_make(struct group *g, const FIXTURE_VARIANT(udp) *variant)
{
	socklen_t length = address_any(&g->in_at, variant->family);
	int port;

	g->level = six(variant) ? IPPROTO_IPV6 : IPPROTO_IP;
	g->index = if_nametoindex(variant->netdev);
	g->from = socket_like(variant);
	g->in = socket_like(variant);
	if (g->from < 0 || g->in < 0 ||
	    bind(g->in, &g->in_at.sa, length) ||
	    getsockname(g->in, &g->in_at.sa, &length))
		return -1;
	port = ntohs(g->in_at.in.sin_port);
	address_set(&g->in_at, variant->family, six(variant) ? "::1" :
		    "127.0.0.1", port);
	address_set(&g->at, variant->family, six(variant) ? "ff12::5a17" :
		    "239.90.23.1", port);
	/* only the groups that were joined by this very socket */
	return set_option(g->in, g->level, six(variant) ? IPV6_MULTICAST_ALL :
			  IP_MULTICAST_ALL, 0);
}

TEST_F(udp, multicast)
{
	struct received r;
	struct group g;

	if (is_local(variant) && six(variant))
		ASSERT_EQ(0, go_apart(self, variant, GROUPS_ON_LO));
	ASSERT_EQ(0, group_make(&g, variant));
	EXPECT_EQ(EADDRNOTAVAIL, outcome(group_membership(&g, false)));
	ASSERT_EQ(0, group_membership(&g, true));
	EXPECT_EQ(EADDRINUSE, outcome(group_membership(&g, true)));
	EXPECT_NE(0, outcome(group_interface(&g, 9999)));
	ASSERT_EQ(0, group_interface(&g, g.index));
	ASSERT_EQ(0, set_option(g.in, g.level, six(variant) ?
				IPV6_RECVHOPLIMIT : IP_RECVTTL, 1));
	ASSERT_EQ(1000, post_to(g.from, self->p, 1000, 1, &g.at, self->length));
	ASSERT_EQ(1000, receive(&r, g.in, self->back, 0));
	EXPECT_EQ(-1, differs(self->back, 1000, 1));
	EXPECT_EQ(1, number_of(&r, g.level, six(variant) ? IPV6_HOPLIMIT :
							   IP_TTL));
	ASSERT_EQ(0, set_option(g.from, g.level, six(variant) ?
				IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, 3));
	/* in a connection, too */
	ASSERT_EQ(0, connect(g.from, &g.at.sa, self->length));
	ASSERT_EQ(1000, post(g.from, self->p, 1000, 2, 0));
	ASSERT_EQ(1000, receive(&r, g.in, self->back, 0));
	EXPECT_EQ(-1, differs(self->back, 1000, 2));
	EXPECT_EQ(3, number_of(&r, g.level, six(variant) ? IPV6_HOPLIMIT :
							   IP_TTL));

	/* nothing comes back here, but from lo, by which nothing leaves */
	ASSERT_EQ(0, set_option(g.from, g.level, six(variant) ?
				IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, 0));
	ASSERT_EQ(1000, post(g.from, self->p, 1000, 3, 0));
	if (is_local(variant))
		EXPECT_TRUE(arrives(g.in, self->back, 1000, 3));
	ASSERT_EQ(0, set_option(g.from, g.level, six(variant) ?
				IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, 1));
	ASSERT_EQ(0, group_membership(&g, false));
	ASSERT_EQ(1000, post(g.from, self->p, 1000, 4, 0));
	ASSERT_EQ(1000, post_to(self->tx, self->p, 1000, 5, &g.in_at,
				self->length));
	EXPECT_TRUE(arrives(g.in, self->back, 1000, 5));
	close(g.from);
	close(g.in);
}

/* ---- Errors ------------------------------------------------------------- */

#define CLOSED_PORT	9	/* on both machines */

static int connect_to_closed(int fd, const union address *peer,
			     socklen_t length)
{
	union address at = *peer;

	at.in.sin_port = htons(CLOSED_PORT);
	return connect(fd, &at.sa, length);
}

/* Send until an error is there: the host answers so many in a second only. */
static bool is_refused(int fd, char *p)
{
	struct pollfd poller = { .fd = fd };
	uint64_t end = now_ms() + PATIENCE;

	do {
		post(fd, p, 9000, 1, 0);
	} while (poll(&poller, 1, 1000) == 0 && now_ms() < end);
	return poller.revents & POLLERR;
}

/* Whatever is called next tells of it, once. */
TEST_F(udp, refused)
{
	ASSERT_EQ(0, connect_to_closed(self->tx, &self->peer, self->length));
	ASSERT_TRUE(is_refused(self->tx, self->p));
	EXPECT_EQ(ECONNREFUSED, outcome(recv(self->tx, self->back, 1, 0)));
	if (is_local(variant)) {
		EXPECT_EQ(EAGAIN, outcome(recv(self->tx, self->back, 1,
					       MSG_DONTWAIT)));
		ASSERT_TRUE(is_refused(self->tx, self->p));
		EXPECT_EQ(ECONNREFUSED, outcome(send(self->tx, self->p, 9, 0)));
		EXPECT_EQ(POLLOUT, events_until(self->tx, POLLOUT));
		ASSERT_TRUE(is_refused(self->tx, self->p));
		EXPECT_EQ(ECONNREFUSED, so_error(self->tx));
		EXPECT_EQ(0, so_error(self->tx));
		ASSERT_TRUE(is_refused(self->tx, self->p));
		EXPECT_EQ(ECONNREFUSED, outcome(recvmmsg(self->tx, NULL, 1, 0,
							 NULL)));
	}
	/* who is not connected is not told, nor of what another sent */
	ASSERT_EQ(0, connect(self->tx, &self->peer.sa, self->length));
	so_error(self->tx);
	ASSERT_EQ(100, post(self->tx, self->p, 100, 2, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 100, 2));
}

TEST_F(udp, not_told)
{
	union address at = self->peer;
	int fd = socket_like(variant);
	int lands = self->rx == self->tx ? fd : self->rx;

	at.in.sin_port = htons(CLOSED_PORT);
	ASSERT_EQ(9000, post_to(fd, self->p, 9000, 1, &at, self->length));
	ASSERT_EQ(9000, post_to(fd, self->p, 9000, 2, &self->peer,
				self->length));
	EXPECT_TRUE(arrives(lands, self->back, 9000, 2));
	EXPECT_EQ(0, so_error(fd));
	EXPECT_EQ(0, events_until(fd, POLLOUT) & POLLERR);
	close(fd);
}

/* All that is known of it: who says so, of which datagram. */
TEST_F(udp, error_queue)
{
	int level = six(variant) ? IPPROTO_IPV6 : IPPROTO_IP;
	int type = six(variant) ? IPV6_RECVERR : IP_RECVERR;
	int fd = socket_like(variant);
	const struct sock_extended_err *err;
	const union address *offender;
	union address at = self->peer;
	struct received r;
	ssize_t n;

	at.in.sin_port = htons(CLOSED_PORT);
	ASSERT_EQ(0, set_option(fd, level, type, 1));
	EXPECT_EQ(EAGAIN, outcome(receive(&r, fd, self->back, MSG_ERRQUEUE)));
	/* then it is told without a connection, too */
	ASSERT_EQ(100, post_to(fd, self->p, 100, 5, &at, self->length));
	EXPECT_EQ(POLLERR, events_until(fd, POLLERR) & POLLERR);
	EXPECT_EQ(ECONNREFUSED, outcome(recv(fd, self->back, 1, 0)));
	n = receive(&r, fd, self->back, MSG_ERRQUEUE);
	ASSERT_EQ(100, n);
	EXPECT_EQ(-1, differs(self->back, n, 5));
	EXPECT_EQ(MSG_ERRQUEUE, r.msg.msg_flags);
	EXPECT_EQ(self->length, r.msg.msg_namelen);
	EXPECT_EQ(0, memcmp(&at, &r.from, self->length));
	err = control_of(&r, level, type);
	ASSERT_NE(NULL, err);
	EXPECT_EQ(ECONNREFUSED, err->ee_errno);
	EXPECT_EQ(six(variant) ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP,
		  err->ee_origin);
	EXPECT_EQ(six(variant) ? 1 : 3, err->ee_type);
	EXPECT_EQ(six(variant) ? 4 : 3, err->ee_code);
	offender = (const void *)SO_EE_OFFENDER(err);
	if (six(variant)) {
		EXPECT_EQ(0, memcmp(&offender->in6.sin6_addr,
				    &self->peer.in6.sin6_addr, 16));
	} else {
		EXPECT_EQ(self->peer.in.sin_addr.s_addr,
			  offender->in.sin_addr.s_addr);
	}
	EXPECT_EQ(EAGAIN, outcome(receive(&r, fd, self->back, MSG_ERRQUEUE)));
	EXPECT_EQ(0, events_until(fd, POLLOUT) & POLLERR);
	close(fd);
}

/*
 * The buffer is the kernel's until the error queue gives it back.  What needs
 * fragments would be copied all the same.
 */
TEST_F(udp, zerocopy)
{
	int level = six(variant) ? IPPROTO_IPV6 : IPPROTO_IP;
	int type = six(variant) ? IPV6_RECVERR : IP_RECVERR;
	const struct sock_extended_err *err;
	char *plain = anonymous(PAGE);
	struct received r;

	ASSERT_NE(MAP_FAILED, plain);
	/* not asked for */
	ASSERT_EQ(1000, post(self->tx, self->p, 1000, 1, MSG_ZEROCOPY));
	EXPECT_TRUE(arrives(self->rx, self->back, 1000, 1));
	ASSERT_EQ(0, set_option(self->tx, SOL_SOCKET, SO_ZEROCOPY, 1));
	EXPECT_EQ(EAGAIN, outcome(receive(&r, self->tx, self->back,
					  MSG_ERRQUEUE)));
	/* the memory of regions cannot be pinned, by whatever socket */
	if (variant->region)
		EXPECT_EQ(EFAULT, outcome(send(self->tx, self->p, 1000,
					       MSG_ZEROCOPY)));
	fill(plain, 1000, 2);
	ASSERT_EQ(1000, send(self->tx, plain, 1000, MSG_ZEROCOPY));
	EXPECT_TRUE(arrives(self->rx, self->back, 1000, 2));
	EXPECT_EQ(POLLERR, events_until(self->tx, POLLERR) & POLLERR);
	ASSERT_EQ(0, receive(&r, self->tx, self->back, MSG_ERRQUEUE));
	err = control_of(&r, level, type);
	ASSERT_NE(NULL, err);
	EXPECT_EQ(0, err->ee_errno);
	EXPECT_EQ(SO_EE_ORIGIN_ZEROCOPY, err->ee_origin);
	EXPECT_EQ(err->ee_info, err->ee_data);
	munmap(plain, PAGE);
}

/* ---- Losses ------------------------------------------------------------- */

/* Datagrams for which a socket had no room. */
static unsigned int drops_of(int fd)
{
	uint32_t memory[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(memory);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size);
	return memory[SK_MEMINFO_DROPS];
}

/* Each is received or counted, and the count comes with the next one. */
TEST_F(udp, overflow)
{
	uint64_t end = now_ms() + PATIENCE;
	unsigned int sent = 32, got = 0, i;
	struct received r;

	ASSERT_EQ(0, set_option(self->rx, SOL_SOCKET, SO_RXQ_OVFL, 1));
	ASSERT_EQ(0, set_option(self->rx, SOL_SOCKET, SO_RCVBUF, 1));
	for (i = 0; i < sent; i++)
		ASSERT_EQ(5000, post(self->tx, self->p, 5000, i, 0));
	while (!drops_of(self->rx) && now_ms() < end)
		sleep_ms(1);
	while (got + drops_of(self->rx) < sent && now_ms() < end)
		if (receive(&r, self->rx, self->back, MSG_DONTWAIT) == 5000)
			got++;
	EXPECT_GT(got, 0);
	EXPECT_LT(got, sent);
	ASSERT_EQ(100, post(self->tx, self->p, 100, 1, 0));
	ASSERT_EQ(100, receive(&r, self->rx, self->back, 0));
	EXPECT_EQ(sent - got, number_of(&r, SOL_SOCKET, SO_RXQ_OVFL));
}

/* Without a checksum: IPv4 takes it, IPv6 only where the receiver agrees. */
TEST_F(udp, no_checksum)
{
	int on = six(variant) ? UDP_NO_CHECK6_TX : SO_NO_CHECK;
	int level = six(variant) ? SOL_UDP : SOL_SOCKET;

	ASSERT_EQ(0, set_option(self->tx, level, on, 1));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	if (six(variant)) {
		ASSERT_EQ(0, set_option(self->tx, level, on, 0));
		ASSERT_EQ(9000, post(self->tx, self->p, 9000, 2, 0));
		EXPECT_TRUE(arrives(self->rx, self->back, 9000, 2));
		if (!is_local(variant))
			return;
		ASSERT_EQ(0, set_option(self->tx, level, on, 1));
		ASSERT_EQ(0, set_option(self->rx, SOL_UDP, UDP_NO_CHECK6_RX,
					1));
		ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	}
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 1));
}

TEST_HARNESS_MAIN
