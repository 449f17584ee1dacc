// SPDX-License-Identifier: GPL-2.0-only
/*
 * Datagrams are UDP, the first part: addresses and connections, on this
 * machine.  See conf_dgram_io.c for the bytes, conf_dgram_ctl.c for control
 * messages and conf_dgram_net.c for groups, errors and losses; conf_options.c
 * has the options.
 *
 * Machines: copy-2 debug
 */

#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/errqueue.h>

#include "conf_dgram.h"

/* Does the name of a socket equal that? */
static bool is_called(int fd, const union address *name)
{
	socklen_t length = sizeof(*name);
	union address own;

	memset(&own, 0, sizeof(own));
	return !getsockname(fd, &own.sa, &length) &&
	       !memcmp(&own, name, length);
}

/* ---- Addresses ---------------------------------------------------------- */

TEST_F(udp, names)
{
	int fd = socket_like(variant);
	union address at, none;
	socklen_t length = sizeof(at);

	memset(&at, 0, sizeof(at));
	ASSERT_EQ(0, getsockname(fd, &at.sa, &length));
	EXPECT_EQ(self->length, length);
	address_any(&none, variant->family);
	EXPECT_EQ(0, memcmp(&at, &none, length));
	EXPECT_EQ(ENOTCONN, outcome(getpeername(fd, &at.sa, &length)));
	/* a datagram needs a port to go from, and keeps no address */
	ASSERT_EQ(1, post_to(fd, self->p, 1, 0, &self->peer, self->length));
	ASSERT_EQ(0, getsockname(fd, &at.sa, &length));
	EXPECT_NE(0, at.in.sin_port);
	at.in.sin_port = 0;
	EXPECT_EQ(0, memcmp(&at, &none, length));

	ASSERT_EQ(0, getpeername(self->tx, &at.sa, &length));
	EXPECT_EQ(0, memcmp(&at, &self->peer, length));
	ASSERT_EQ(0, getsockname(self->tx, &at.sa, &length));
	EXPECT_EQ(variant->family, at.sa.sa_family);
	EXPECT_NE(self->peer.in.sin_port, at.in.sin_port);
	at.in.sin_port = self->peer.in.sin_port;
	EXPECT_EQ(0, memcmp(&at, &self->peer, length));
	/* as much as there is room for, and how long it is */
	length = sizeof(at.sa.sa_family);
	memset(&at, 0, sizeof(at));
	ASSERT_EQ(0, getsockname(self->tx, &at.sa, &length));
	EXPECT_EQ(self->length, length);
	EXPECT_EQ(variant->family, at.sa.sa_family);
	EXPECT_EQ(0, at.in.sin_port);
	length = -1;
	EXPECT_EQ(EINVAL, outcome(getsockname(self->tx, &at.sa, &length)));

	EXPECT_EQ(SOCK_DGRAM, option(fd, SOL_SOCKET, SO_TYPE));
	EXPECT_EQ(IPPROTO_UDP, option(fd, SOL_SOCKET, SO_PROTOCOL));
	/* Deviation: it is not the family that socket() was called with. */
	EXPECT_EQ(variant->family, option(fd, SOL_SOCKET, SO_DOMAIN));
	close(fd);
}

TEST_F(udp, invalid_addresses)
{
	int fd = socket_like(variant);
	union address at;

	address_set(&at, variant->family, six(variant) ? "2001:db8::1" :
		    "192.0.2.1", 0);
	EXPECT_EQ(EADDRNOTAVAIL, outcome(bind(fd, &at.sa, self->length)));
	at = self->peer;
	EXPECT_EQ(EINVAL, outcome(bind(fd, &at.sa, 4)));
	EXPECT_EQ(EINVAL, outcome(connect(fd, &at.sa, 4)));
	EXPECT_EQ(EINVAL, outcome(connect(fd, &at.sa, 1)));
	EXPECT_EQ(EINVAL, outcome(sendto(fd, self->p, 9, 0, &at.sa, 4)));
	EXPECT_EQ(EINVAL, outcome(sendto(fd, self->p, 9, 0, &at.sa, -1)));
	EXPECT_EQ(EINVAL, outcome(bind(fd, &at.sa, -1)));
	EXPECT_EQ(EINVAL, outcome(connect(fd, &at.sa, 129)));
	EXPECT_EQ(EFAULT, outcome(bind(fd, (void *)8, self->length)));
	EXPECT_EQ(EFAULT, outcome(connect(fd, (void *)8, self->length)));
	EXPECT_EQ(EFAULT, outcome(sendto(fd, self->p, 9, 0, (void *)8,
					 self->length)));
	at.sa.sa_family = AF_UNIX;
	EXPECT_EQ(EAFNOSUPPORT, outcome(bind(fd, &at.sa, self->length)));
	EXPECT_EQ(EAFNOSUPPORT, outcome(connect(fd, &at.sa, self->length)));
	EXPECT_EQ(six(variant) ? EINVAL : EAFNOSUPPORT,
		  outcome(sendto(fd, self->p, 9, 0, &at.sa, self->length)));
	at = self->peer;
	at.in.sin_port = 0;
	EXPECT_EQ(EINVAL, outcome(sendto(fd, self->p, 9, 0, &at.sa,
					 self->length)));
	/* nothing of that has given it a peer */
	EXPECT_EQ(EDESTADDRREQ, outcome(send(fd, self->p, 9, 0)));
	close(fd);
}

/* AF_SNAP is no family of an address, there either. */
TEST_F(udp, family_field)
{
	int fd = socket_like(variant);
	union address at;
	socklen_t length = address_any(&at, variant->family);

	at.sa.sa_family = AF_SNAP;
	EXPECT_EQ(EAFNOSUPPORT, outcome(bind(fd, &at.sa, length)));
	at = self->peer;
	at.sa.sa_family = AF_SNAP;
	EXPECT_EQ(six(variant) ? EINVAL : EAFNOSUPPORT,
		  outcome(post_to(fd, self->p, 9, 1, &at, length)));
	EXPECT_EQ(EAFNOSUPPORT, outcome(connect(fd, &at.sa, length)));
	close(fd);
}

/* A socket of IPv6 takes IPv4 in mapped form, both ways, and sends likewise. */
TEST_F(udp, dual_stack)
{
	union address at, from;
	socklen_t length = sizeof(at);
	int fd, four, port;

	if (!six(variant))
		SKIP(return, "of IPv6 only");
	four = udp_on_loopback(AF_INET, &at, &length);
	ASSERT_GE(four, 0);
	ASSERT_EQ(0, set_timeout(four, PATIENCE));
	port = ntohs(at.in.sin_port);
	fd = socket_like(variant);
	/* in the address's own form, then mapped, then connected */
	ASSERT_EQ(9000, post_to(fd, self->p, 9000, 1, &at, sizeof(at.in)));
	EXPECT_TRUE(arrives(four, self->back, 9000, 1));
	length = address_set(&at, AF_INET6, "::ffff:127.0.0.1", port);
	ASSERT_EQ(9000, post_to(fd, self->p, 9000, 2, &at, length));
	EXPECT_TRUE(arrives(four, self->back, 9000, 2));
	ASSERT_EQ(0, connect(fd, &at.sa, length));
	ASSERT_EQ(9000, post(fd, self->p, 9000, 3, 0));
	length = sizeof(from);
	ASSERT_EQ(9000, recvfrom(four, self->back, LENGTH, 0, &from.sa,
				 &length));
	EXPECT_EQ(-1, differs(self->back, 9000, 3));
	if (variant->region)
		EXPECT_EQ(3, sock_stats(fd).tx_ref_msgs);

	ASSERT_EQ(10, post_to(four, self->p, 10, 4, &from, length));
	length = sizeof(from);
	ASSERT_EQ(10, recvfrom(fd, self->back, LENGTH, 0, &from.sa, &length));
	EXPECT_EQ(sizeof(from.in6), length);
	EXPECT_EQ(0, memcmp(&from, &at, length));
	/* Deviation: it cannot become a socket of IPv4. */
	EXPECT_EQ(variant->domain == AF_SNAP ? ENOPROTOOPT : 0,
		  outcome(set_option(fd, IPPROTO_IPV6, IPV6_ADDRFORM,
				     AF_INET)));
	close(fd);

	fd = socket_like(variant);
	ASSERT_EQ(0, set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	EXPECT_EQ(ENETUNREACH, outcome(sendto(fd, self->p, 9, 0, &at.sa,
					      sizeof(at.in6))));
	EXPECT_EQ(ENETUNREACH, outcome(connect(fd, &at.sa, sizeof(at.in6))));
	close(fd);
	close(four);
}

TEST_F(udp, bound_twice)
{
	int fd = socket_like(variant), third = socket_like(variant);
	union address at;

	EXPECT_EQ(EADDRINUSE, outcome(bind(fd, &self->peer.sa, self->length)));
	/* both have to agree */
	ASSERT_EQ(0, set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	EXPECT_EQ(EADDRINUSE, outcome(bind(fd, &self->peer.sa, self->length)));
	ASSERT_EQ(0, set_option(self->rx, SOL_SOCKET, SO_REUSEADDR, 1));
	EXPECT_EQ(0, bind(fd, &self->peer.sa, self->length));
	EXPECT_EQ(EADDRINUSE, outcome(bind(third, &self->peer.sa,
					   self->length)));
	/* once and for all */
	address_any(&at, variant->family);
	EXPECT_EQ(EINVAL, outcome(bind(fd, &at.sa, self->length)));
	/* the latest one gets it, and it is free once they are gone */
	ASSERT_EQ(100, post(self->tx, self->p, 100, 1, 0));
	EXPECT_TRUE(arrives(fd, self->back, 100, 1));
	close(fd);
	ASSERT_EQ(100, post(self->tx, self->p, 100, 2, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 100, 2));
	close(self->rx);
	EXPECT_EQ(0, bind(third, &self->peer.sa, self->length));
	ASSERT_EQ(100, post(self->tx, self->p, 100, 3, 0));
	EXPECT_TRUE(arrives(third, self->back, 100, 3));
	self->rx = third;
}

/* Two sockets share a port, and what comes to it by whom it is from. */
TEST_F(udp, shared_port)
{
	int fd[3], i, from, got[2] = { 0 };
	union address at;
	ssize_t n;

	for (i = 0; i < 2; i++) {
		fd[i] = socket_like(variant);
		ASSERT_EQ(0, set_option(fd[i], SOL_SOCKET, SO_REUSEPORT, 1));
	}
	fd[2] = socket_like(variant);
	at = self->peer;
	at.in.sin_port = 0;
	ASSERT_EQ(0, bind(fd[0], &at.sa, self->length));
	ASSERT_EQ(0, getsockname(fd[0], &at.sa, &self->length));
	ASSERT_EQ(0, bind(fd[1], &at.sa, self->length));
	EXPECT_EQ(EADDRINUSE, outcome(bind(fd[2], &at.sa, self->length)));
	for (i = 0; i < 64; i++) {
		from = socket_like(variant);
		ASSERT_EQ(100, post_to(from, self->p, 100, i, &at,
				       self->length));
		close(from);
	}
	for (i = 0; i < 64;) {
		struct pollfd poller[] = {
			{ .fd = fd[0], .events = POLLIN },
			{ .fd = fd[1], .events = POLLIN },
		};

		ASSERT_GT(poll(poller, 2, PATIENCE), 0);
		for (from = 0; from < 2; from++) {
			n = recv(fd[from], self->back, LENGTH, MSG_DONTWAIT);
			if (n < 0)
				continue;
			EXPECT_EQ(100, n);
			got[from]++;
			i++;
		}
	}
	EXPECT_GT(got[0], 0);
	EXPECT_GT(got[1], 0);
	close(fd[0]);
	for (i = 0; i < 8; i++) {
		from = socket_like(variant);
		ASSERT_EQ(100, post_to(from, self->p, 100, i, &at,
				       self->length));
		EXPECT_TRUE(arrives(fd[1], self->back, 100, i));
		close(from);
	}
	close(fd[1]);
	close(fd[2]);
}

/* ---- Connections -------------------------------------------------------- */

/* A connected socket hears only its peer; whoever else writes is refused. */
TEST_F(udp, only_the_peer)
{
	int stranger = socket_like(variant);
	union address own;
	socklen_t length = sizeof(own);

	ASSERT_EQ(0, getsockname(self->tx, &own.sa, &length));
	ASSERT_EQ(0, connect(stranger, &own.sa, length));
	ASSERT_EQ(100, post(stranger, self->p, 100, 1, 0));
	EXPECT_EQ(ECONNREFUSED, outcome(recv(stranger, self->back, 1, 0)));
	ASSERT_EQ(100, post_to(self->rx, self->p, 100, 2, &own, length));
	EXPECT_TRUE(arrives(self->tx, self->back, 100, 2));
	/* an address in the call comes before the connection */
	length = sizeof(own);
	ASSERT_EQ(0, getsockname(stranger, &own.sa, &length));
	ASSERT_EQ(100, post_to(self->tx, self->p, 100, 3, &own, length));
	EXPECT_TRUE(arrives(stranger, self->back, 100, 3));
	close(stranger);
}

TEST_F(udp, reconnected)
{
	union address first, other, own;
	socklen_t length = sizeof(own);
	int fd = bound_like(variant, &other);

	first = self->peer;
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, getsockname(self->tx, &own.sa, &length));
	ASSERT_EQ(0, connect(self->tx, &other.sa, self->length));
	EXPECT_TRUE(is_called(self->tx, &own));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	EXPECT_TRUE(arrives(fd, self->back, 9000, 1));
	/* the first one is a stranger now */
	ASSERT_EQ(0, connect(self->rx, &own.sa, length));
	ASSERT_EQ(100, post(self->rx, self->p, 100, 2, 0));
	EXPECT_EQ(ECONNREFUSED, outcome(recv(self->rx, self->back, 1, 0)));
	/* an attempt that fails changes nothing */
	other.sa.sa_family = AF_UNIX;
	EXPECT_EQ(EAFNOSUPPORT, outcome(connect(self->tx, &other.sa, length)));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 3, 0));
	EXPECT_TRUE(arrives(fd, self->back, 9000, 3));
	ASSERT_EQ(0, connect(self->tx, &first.sa, length));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 4, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 4));
	close(fd);
}

/* AF_UNSPEC ends a connection; only a name that was asked for is kept. */
TEST_F(udp, disconnected)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	union address at;
	socklen_t length = sizeof(at);
	int fd;

	ASSERT_EQ(0, connect(self->tx, &none, sizeof(none)));
	EXPECT_EQ(ENOTCONN, outcome(getpeername(self->tx, &at.sa, &length)));
	address_any(&at, variant->family);
	EXPECT_TRUE(is_called(self->tx, &at));
	EXPECT_EQ(EDESTADDRREQ, outcome(send(self->tx, self->p, 9000, 0)));
	ASSERT_EQ(0, connect(self->tx, &none, sizeof(none)));
	ASSERT_EQ(0, connect(self->tx, &self->peer.sa, self->length));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 1));

	/* a port that bind() chose would not be kept either */
	close(bound_like(variant, &at));
	fd = socket_like(variant);
	ASSERT_EQ(0, bind(fd, &at.sa, self->length));
	ASSERT_EQ(0, connect(fd, &self->peer.sa, self->length));
	ASSERT_EQ(0, connect(fd, &none, sizeof(none.sa_family)));
	EXPECT_TRUE(is_called(fd, &at));
	/* whoever writes is heard again */
	ASSERT_EQ(100, post_to(self->tx, self->p, 100, 2, &at, self->length));
	EXPECT_TRUE(arrives(fd, self->back, 100, 2));
	close(fd);
}

TEST_F(udp, not_connected)
{
	int fd = socket_like(variant);

	EXPECT_EQ(EDESTADDRREQ, outcome(send(fd, self->p, 9, 0)));
	EXPECT_EQ(EDESTADDRREQ, outcome(send(fd, self->p, 60000, 0)));
	EXPECT_EQ(EDESTADDRREQ, outcome(send(fd, self->p, 0, 0)));
	EXPECT_EQ(EDESTADDRREQ, outcome(write(fd, self->p, 9)));
	EXPECT_EQ(EAGAIN, outcome(recv(fd, self->back, 9, MSG_DONTWAIT)));
	EXPECT_EQ(EOPNOTSUPP, outcome(listen(fd, 1)));
	EXPECT_EQ(EOPNOTSUPP, outcome(accept(fd, NULL, NULL)));
	if (!variant->view) {
		EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
		EXPECT_EQ(ENODEV, errno);
	}
	EXPECT_EQ(ESPIPE, outcome(lseek(fd, 0, SEEK_SET)));
	EXPECT_EQ(POLLOUT, events_until(fd, POLLOUT));
	/* fails, and yet wakes who waits */
	EXPECT_EQ(ENOTCONN, outcome(shutdown(fd, SHUT_RDWR)));
	EXPECT_EQ(0, recv(fd, self->back, 9, 0));
	close(fd);
}

static volatile sig_atomic_t pipes;

static void on_pipe(int signal)
{
	pipes++;
}

/* What came is received, and then the end; the peer is not told. */
TEST_F(udp, shutdown)
{
	int both = POLLIN | POLLRDHUP;
	union address own;
	socklen_t length = sizeof(own);

	signal(SIGPIPE, on_pipe);
	ASSERT_EQ(0, getsockname(self->tx, &own.sa, &length));
	ASSERT_EQ(0, connect(self->rx, &own.sa, length));
	EXPECT_EQ(EINVAL, outcome(shutdown(self->rx, 3)));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	EXPECT_EQ(POLLIN, events_until(self->rx, POLLIN) & both);
	ASSERT_EQ(0, shutdown(self->rx, SHUT_RD));
	EXPECT_EQ(both, events_until(self->rx, both) & both);
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 1));
	EXPECT_EQ(0, recv(self->rx, self->back, 1, 0));
	EXPECT_EQ(both, events_until(self->rx, both) & both);
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 2, 0));

	/* the other direction goes on */
	ASSERT_EQ(9000, post(self->rx, self->p, 9000, 3, 0));
	EXPECT_TRUE(arrives(self->tx, self->back, 9000, 3));
	ASSERT_EQ(0, shutdown(self->rx, SHUT_WR));
	EXPECT_EQ(POLLHUP, events_until(self->rx, POLLHUP) & (POLLHUP | POLLERR));
	EXPECT_EQ(EPIPE, outcome(send(self->rx, self->p, 9000, 0)));
	EXPECT_EQ(EPIPE, outcome(send(self->rx, self->p, 9000, MSG_NOSIGNAL)));
	EXPECT_EQ(EPIPE, outcome(send(self->rx, self->p, 0, 0)));
	EXPECT_EQ(EPIPE, outcome(sendto(self->rx, self->p, 9000, 0, &own.sa,
					length)));
	/* UDP tells by the error alone */
	EXPECT_EQ(0, pipes);
	EXPECT_EQ(EAGAIN, outcome(recv(self->tx, self->back, 1, MSG_DONTWAIT)));
	EXPECT_EQ(0, so_error(self->rx));
}

/* Does a reader that waits learn of it? */
TEST_F(udp, shutdown_wakes)
{
	int child = fork(), status;

	ASSERT_GE(child, 0);
	if (!child) {
		char name[32] = "", path[64];
		uint64_t end = now_ms() + PATIENCE;

		/* until the parent sleeps in recv() */
		snprintf(path, sizeof(path), "/proc/%d/stat", getppid());
		while (!strstr(name, ") S") && now_ms() < end) {
			FILE *f = fopen(path, "r");

			if (!f || !fgets(name, sizeof(name), f))
				_exit(1);
			fclose(f);
		}
		_exit(shutdown(self->tx, SHUT_RD) != 0);
	}
	EXPECT_EQ(0, recv(self->tx, self->back, 1, 0));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* ---- Packets ------------------------------------------------------------ */

/*
 * Longer than the way allows: refused if the socket forbids fragments, and in
 * the error queue it says what fits; otherwise in fragments.
 */
TEST_F(udp, path_mtu)
{
	int level = six(variant) ? IPPROTO_IPV6 : IPPROTO_IP;
	int type = six(variant) ? IPV6_RECVERR : IP_RECVERR;
	int mtu = six(variant) ? IPV6_MTU : IP_MTU;
	size_t fits = six(variant) ? 1500 - 48 : 1500 - 28;
	const struct sock_extended_err *err;
	struct received r;

	ASSERT_EQ(0, go_apart(self, variant, "ip link set lo mtu 1500 up"));
	ASSERT_EQ(60000, post(self->tx, self->p, 60000, 1, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 60000, 1));

	EXPECT_EQ(1500, option(self->tx, level, mtu));
	if (six(variant))
		set_option(self->tx, level, IPV6_DONTFRAG, 1);
	else
		set_option(self->tx, level, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	ASSERT_EQ(0, set_option(self->tx, level, type, 1));
	EXPECT_EQ(EMSGSIZE, outcome(send(self->tx, self->p, fits + 1, 0)));
	EXPECT_EQ(POLLERR, events_until(self->tx, POLLERR) & POLLERR);
	ASSERT_EQ(0, receive(&r, self->tx, self->back, MSG_ERRQUEUE));
	EXPECT_EQ(MSG_ERRQUEUE, r.msg.msg_flags);
	err = control_of(&r, level, type);
	ASSERT_NE(NULL, err);
	EXPECT_EQ(EMSGSIZE, err->ee_errno);
	EXPECT_EQ(SO_EE_ORIGIN_LOCAL, err->ee_origin);
	EXPECT_EQ(1500, err->ee_info);
	ASSERT_EQ((ssize_t)fits, post(self->tx, self->p, fits, 2, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, fits, 2));
}

TEST_HARNESS_MAIN
