// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams are TCP, the first half: addresses, how connections begin and end,
 * and options.  See conf_stream_io.c for the bytes.
 *
 * Machines: copy-2 debug
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sys/time.h>

#include "conf_stream.h"

#define MANY		200

/* A listener of the variant. */
struct server {
	int fd;
	union address at;
	socklen_t length;
};

static int serve(struct server *s, int domain, int family)
{
	s->fd = tcp_listen_on_loopback(domain, family, &s->at, &s->length);
	return s->fd;
}

/* ---- Addresses ---------------------------------------------------------- */

/* Nobody listens: never bound, bound only, and gone again. */
TEST_F(tcp, refused)
{
	int fd = tcp_socket(variant->domain, variant->family);
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	close(s.fd);
	EXPECT_EQ(ECONNREFUSED, outcome(connect(fd, &s.at.sa, s.length)));
	/* the socket is as good as new */
	s.fd = tcp_socket(variant->domain, variant->family);
	ASSERT_EQ(0, bind(s.fd, &s.at.sa, s.length));
	EXPECT_EQ(ECONNREFUSED, outcome(connect(fd, &s.at.sa, s.length)));
	ASSERT_EQ(0, listen(s.fd, 1));
	EXPECT_EQ(0, connect(fd, &s.at.sa, s.length));
	close(s.fd);
	close(fd);
}

TEST_F(tcp, bound_twice)
{
	int fd = tcp_socket(variant->domain, variant->family), on = 1;
	union address other;
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	EXPECT_EQ(EADDRINUSE, outcome(bind(fd, &s.at.sa, s.length)));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	EXPECT_EQ(EADDRINUSE, outcome(bind(fd, &s.at.sa, s.length)));
	ASSERT_EQ(0, bind(fd, &other.sa, address_any(&other, variant->family)));
	EXPECT_EQ(EINVAL, outcome(bind(fd, &other.sa, s.length)));
	close(s.fd);
	close(fd);
}

TEST_F(tcp, invalid_addresses)
{
	int fd = tcp_socket(variant->domain, variant->family);
	union address at;
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	at = s.at;
	EXPECT_EQ(EINVAL, outcome(bind(fd, &at.sa, 4)));
	EXPECT_EQ(EINVAL, outcome(connect(fd, &at.sa, 4)));
	EXPECT_EQ(EINVAL, outcome(connect(fd, &at.sa, 1)));
	EXPECT_EQ(EINVAL, outcome(bind(fd, &at.sa, -1)));
	EXPECT_EQ(EFAULT, outcome(connect(fd, (void *)1, s.length)));
	at.sa.sa_family = AF_UNIX;
	EXPECT_EQ(EAFNOSUPPORT, outcome(bind(fd, &at.sa, s.length)));
	EXPECT_EQ(EAFNOSUPPORT, outcome(connect(fd, &at.sa, s.length)));
	address_set(&at, variant->family, variant->family == AF_INET6 ?
		    "2001:db8::1" : "192.0.2.1", 0);
	EXPECT_EQ(EADDRNOTAVAIL, outcome(bind(fd, &at.sa, s.length)));
	close(s.fd);
	close(fd);
}

/* AF_SNAP is no family of an address, there either. */
TEST_F(tcp, family_field)
{
	int fd = tcp_socket(variant->domain, variant->family);
	union address at;
	socklen_t length;
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	length = address_any(&at, variant->family);
	at.sa.sa_family = AF_SNAP;
	EXPECT_EQ(EAFNOSUPPORT, outcome(bind(fd, &at.sa, length)));
	at = s.at;
	at.sa.sa_family = AF_SNAP;
	EXPECT_EQ(EAFNOSUPPORT, outcome(connect(fd, &at.sa, length)));
	close(s.fd);
	close(fd);
}

TEST_F(tcp, names)
{
	int fd = tcp_socket(variant->domain, variant->family);
	union address tx, rx;
	socklen_t length = sizeof(tx), size = sizeof(int);
	int value = -1;

	ASSERT_EQ(0, getsockname(self->tx, &tx.sa, &length));
	ASSERT_EQ(0, getpeername(self->rx, &rx.sa, &length));
	EXPECT_EQ(0, memcmp(&tx, &rx, length));
	EXPECT_EQ(variant->family, tx.sa.sa_family);
	EXPECT_EQ(ENOTCONN, outcome(getpeername(fd, &tx.sa, &length)));
	ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size));
	EXPECT_EQ(SOCK_STREAM, value);
	ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size));
	EXPECT_EQ(IPPROTO_TCP, value);
	ASSERT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size));
	EXPECT_EQ(variant->family, value);
	close(fd);
}

/* A socket of IPv6 takes IPv4 in mapped form, both ways, and sends likewise. */
TEST_F(tcp, dual_stack)
{
	union address at;
	socklen_t length = sizeof(at);
	int fd, peer, on = 1;
	struct server s;

	if (variant->family != AF_INET6)
		SKIP(return, "of IPv6 only");
	ASSERT_GE(serve(&s, AF_INET, AF_INET), 0);
	fd = tcp_socket(variant->domain, AF_INET6);
	address_set(&at, AF_INET6, "::ffff:127.0.0.1", ntohs(s.at.in.sin_port));
	ASSERT_EQ(0, connect(fd, &at.sa, sizeof(at.in6)));
	peer = accept(s.fd, NULL, NULL);
	ASSERT_GE(peer, 0);
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(10 * PAGE, send(fd, self->p, 10 * PAGE, 0));
	EXPECT_TRUE(comes_out(peer, self->back, 0, 10 * PAGE));
	if (variant->region)
		EXPECT_EQ(10 * PAGE, sock_stats(fd).tx_ref_bytes);
	close(peer);
	close(fd);
	close(s.fd);

	s.fd = tcp_socket(variant->domain, AF_INET6);
	ASSERT_EQ(0, bind(s.fd, &at.sa, address_any(&at, AF_INET6)));
	ASSERT_EQ(0, listen(s.fd, 1));
	ASSERT_EQ(0, getsockname(s.fd, &at.sa, &length));
	length = address_set(&at, AF_INET, "127.0.0.1", ntohs(at.in6.sin6_port));
	fd = tcp_socket(AF_INET, AF_INET);
	ASSERT_EQ(0, connect(fd, &at.sa, length));
	length = sizeof(at);
	peer = accept(s.fd, &at.sa, &length);
	ASSERT_GE(peer, 0);
	EXPECT_EQ(AF_INET6, at.sa.sa_family);
	EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&at.in6.sin6_addr));
	close(peer);
	close(fd);
	close(s.fd);

	fd = tcp_socket(variant->domain, AF_INET6);
	ASSERT_EQ(0, setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	address_set(&at, AF_INET6, "::ffff:127.0.0.1", 1);
	EXPECT_EQ(ENETUNREACH, outcome(connect(fd, &at.sa, sizeof(at.in6))));
	close(fd);
}

/* ---- How connections begin ---------------------------------------------- */

TEST_F(tcp, connected_twice)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	EXPECT_EQ(EISCONN, outcome(connect(self->tx, &s.at.sa, s.length)));
	EXPECT_EQ(EISCONN, outcome(connect(s.fd, &s.at.sa, s.length)));
	EXPECT_EQ(EINVAL, outcome(listen(self->tx, 1)));
	/* AF_UNSPEC ends a connection, and another one can begin */
	EXPECT_EQ(0, connect(self->tx, &none, sizeof(none)));
	EXPECT_EQ(0, connect(self->tx, &s.at.sa, s.length));
	EXPECT_EQ(ECONNRESET, outcome(recv(self->rx, self->back, 1, 0)));
	close(s.fd);
}

TEST_F(tcp, nonblocking_connect)
{
	int fd = tcp_socket(variant->domain, variant->family), err;
	struct server s;

	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	err = outcome(connect(fd, &s.at.sa, s.length));
	EXPECT_TRUE(!err || err == EINPROGRESS);
	EXPECT_EQ(POLLOUT, events_until(fd, POLLOUT));
	EXPECT_EQ(0, so_error(fd));
	close(fd);
	close(s.fd);

	fd = tcp_socket(variant->domain, variant->family);
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	err = outcome(connect(fd, &s.at.sa, s.length));
	EXPECT_TRUE(err == ECONNREFUSED || err == EINPROGRESS);
	EXPECT_EQ(POLLERR | POLLHUP,
		  events_until(fd, POLLHUP) & (POLLERR | POLLHUP));
	if (err == EINPROGRESS)
		EXPECT_EQ(ECONNREFUSED, so_error(fd));
	EXPECT_EQ(0, so_error(fd));
	close(fd);
}

/* The queue of the listener is full, so that nobody answers. */
TEST_F(tcp, connect_timeout)
{
	struct timeval limit = { .tv_usec = 50000 };
	int fd[2], i;
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	ASSERT_EQ(0, listen(s.fd, 0));
	for (i = 0; i < 2; i++) {
		fd[i] = tcp_socket(variant->domain, variant->family);
		ASSERT_EQ(0, setsockopt(fd[i], SOL_SOCKET, SO_SNDTIMEO, &limit,
					sizeof(limit)));
		EXPECT_EQ(i ? EINPROGRESS : 0,
			  outcome(connect(fd[i], &s.at.sa, s.length)));
	}
	EXPECT_EQ(EALREADY, outcome(connect(fd[1], &s.at.sa, s.length)));
	EXPECT_EQ(EAGAIN, outcome(send(fd[1], self->p, PAGE, MSG_DONTWAIT)));
	close(fd[0]);
	close(fd[1]);
	close(s.fd);
}

TEST_F(tcp, accept)
{
	int fd = tcp_socket(variant->domain, variant->family), peer;
	union address at, own;
	socklen_t length = sizeof(at);
	struct server s;

	EXPECT_EQ(EINVAL, outcome(accept(self->tx, NULL, NULL)));
	EXPECT_EQ(EINVAL, outcome(accept(fd, NULL, NULL)));
	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	ASSERT_EQ(0, set_timeout(s.fd, 20));
	EXPECT_EQ(EAGAIN, outcome(accept(s.fd, NULL, NULL)));
	ASSERT_EQ(0, fcntl(s.fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(EAGAIN, outcome(accept(s.fd, NULL, NULL)));
	EXPECT_EQ(EINVAL, outcome(accept4(s.fd, NULL, NULL, 1)));

	ASSERT_EQ(0, connect(fd, &s.at.sa, s.length));
	EXPECT_EQ(POLLIN, events_until(s.fd, POLLIN));
	peer = accept4(s.fd, &at.sa, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	ASSERT_GE(peer, 0);
	EXPECT_EQ(O_NONBLOCK, fcntl(peer, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(FD_CLOEXEC, fcntl(peer, F_GETFD));
	ASSERT_EQ(0, getsockname(fd, &own.sa, &length));
	EXPECT_EQ(0, memcmp(&own, &at, length));
	close(peer);
	close(fd);

	fd = tcp_socket(variant->domain, variant->family);
	ASSERT_EQ(0, connect(fd, &s.at.sa, s.length));
	EXPECT_EQ(POLLIN, events_until(s.fd, POLLIN));
	peer = accept4(s.fd, NULL, NULL, 0);
	ASSERT_GE(peer, 0);
	EXPECT_EQ(0, fcntl(peer, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(0, fcntl(peer, F_GETFD));
	close(peer);
	close(fd);
	ASSERT_EQ(0, shutdown(s.fd, SHUT_RD));
	EXPECT_EQ(EINVAL, outcome(accept(s.fd, NULL, NULL)));
	close(s.fd);
}

/* Those who wait to be accepted: gone before, or the listener goes. */
TEST_F(tcp, accept_queue)
{
	int fd[3], i, peer;
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	for (i = 0; i < 3; i++) {
		fd[i] = tcp_socket(variant->domain, variant->family);
		ASSERT_EQ(0, connect(fd[i], &s.at.sa, s.length));
		fill(self->p, 100, i);
		ASSERT_EQ(100, send(fd[i], self->p, 100, 0));
	}
	close(fd[0]);
	close(fd[1]);
	for (i = 0; i < 2; i++) {
		peer = accept(s.fd, NULL, NULL);
		ASSERT_GE(peer, 0);
		ASSERT_EQ(100, recv(peer, self->back, 100, MSG_WAITALL));
		EXPECT_EQ(-1, differs(self->back, 100, i));
		EXPECT_EQ(0, recv(peer, self->back, 100, 0));
		close(peer);
	}
	close(s.fd);
	ASSERT_EQ(0, set_timeout(fd[2], PATIENCE));
	EXPECT_EQ(ECONNRESET, outcome(recv(fd[2], self->back, 1, 0)));
	close(fd[2]);
}

/* The bytes are in the first packet; a namespace has its own sysctl. */
TEST_F(tcp, fastopen)
{
	int fd = tcp_socket(variant->domain, variant->family), peer, on = 16;
	struct server s;

	ASSERT_EQ(0, network_of_lo());
	close(fd);
	fd = tcp_socket(variant->domain, variant->family);
	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	ASSERT_EQ(0, write_text("/proc/sys/net/ipv4/tcp_fastopen", "0"));
	EXPECT_EQ(EOPNOTSUPP, outcome(sendto(fd, self->p, 1000, MSG_FASTOPEN,
					     &s.at.sa, s.length)));
	/* both sides, and no cookies */
	ASSERT_EQ(0, write_text("/proc/sys/net/ipv4/tcp_fastopen", "519"));
	ASSERT_EQ(0, setsockopt(s.fd, IPPROTO_TCP, TCP_FASTOPEN, &on,
				sizeof(on)));
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(1000, sendto(fd, self->p, 1000, MSG_FASTOPEN, &s.at.sa,
			       s.length));
	peer = accept(s.fd, NULL, NULL);
	ASSERT_GE(peer, 0);
	EXPECT_TRUE(comes_out(peer, self->back, 0, 1000));
	close(peer);
	close(fd);

	/* connect() waits for what is sent first */
	fd = tcp_socket(variant->domain, variant->family);
	on = 1;
	ASSERT_EQ(0, setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on,
				sizeof(on)));
	ASSERT_EQ(0, connect(fd, &s.at.sa, s.length));
	ASSERT_EQ(10 * PAGE, send(fd, self->p, 10 * PAGE, 0));
	peer = accept(s.fd, NULL, NULL);
	ASSERT_GE(peer, 0);
	EXPECT_TRUE(comes_out(peer, self->back, 0, 10 * PAGE));
	close(peer);
	close(fd);
	close(s.fd);
}

/* Many at once, each with bytes of its own. */
TEST_F(tcp, many)
{
	int fd[MANY], peer[MANY], i;
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	for (i = 0; i < MANY; i++) {
		fd[i] = tcp_socket(variant->domain, variant->family);
		ASSERT_EQ(0, connect(fd[i], &s.at.sa, s.length));
		peer[i] = accept(s.fd, NULL, NULL);
		ASSERT_GE(peer[i], 0);
		fill(self->p, PAGE, i);
		if (variant->region)
			ASSERT_EQ(0, set_copybreak(fd[i], 0));
		ASSERT_EQ(PAGE, send(fd[i], self->p, PAGE, 0));
	}
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(PAGE, recv(peer[i], self->back, PAGE, MSG_WAITALL));
		EXPECT_EQ(-1, differs(self->back, PAGE, i));
		close(peer[i]);
		close(fd[i]);
	}
	close(s.fd);
}

/* ---- How they end ------------------------------------------------------- */

TEST_F(tcp, half_close)
{
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(1000, send(self->tx, self->p, 1000, 0));
	ASSERT_EQ(0, shutdown(self->tx, SHUT_WR));
	EXPECT_EQ(EPIPE, outcome(send(self->tx, self->p, PAGE, 0)));
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, 1000));
	EXPECT_EQ(0, recv(self->rx, self->back, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT | POLLRDHUP, events_until(self->rx, POLLRDHUP));
	/* the other direction goes on */
	ASSERT_EQ(10 * PAGE, send(self->rx, self->p, 10 * PAGE, 0));
	EXPECT_TRUE(comes_out(self->tx, self->back, 0, 10 * PAGE));
	ASSERT_EQ(0, shutdown(self->rx, SHUT_WR));
	EXPECT_EQ(0, recv(self->tx, self->back, 1, 0));
	EXPECT_EQ(POLLHUP, events_until(self->rx, POLLHUP) & (POLLHUP | POLLERR));
}

TEST_F(tcp, shutdown)
{
	int fd = tcp_socket(variant->domain, variant->family);

	EXPECT_EQ(ENOTCONN, outcome(shutdown(fd, SHUT_RDWR)));
	EXPECT_EQ(EINVAL, outcome(shutdown(self->tx, 3)));
	ASSERT_EQ(0, shutdown(self->rx, SHUT_RD));
	EXPECT_EQ(0, recv(self->rx, self->back, 1, 0));
	/* the peer is not told, and what it sends is still received */
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(1000, send(self->tx, self->p, 1000, 0));
	ASSERT_TRUE(becomes_readable(self->rx, 1000));
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, 1000));
	ASSERT_EQ(0, shutdown(self->tx, SHUT_RDWR));
	EXPECT_EQ(0, recv(self->tx, self->back, 1, 0));
	EXPECT_EQ(0, recv(self->rx, self->back, 1, 0));
	close(fd);
}

/* One side closes: the other reads to the end, and what it sends is reset. */
static void closed_by(struct __test_metadata *_metadata, int gone, int left,
		      char *p, char *back)
{
	uint64_t end = now_ms() + PATIENCE;
	int err;

	fill_stream(p, LENGTH, 0);
	ASSERT_EQ(10 * PAGE, send(gone, p, 10 * PAGE, 0));
	close(gone);
	EXPECT_TRUE(comes_out(left, back, 0, 10 * PAGE));
	EXPECT_EQ(0, recv(left, back, 1, 0));
	do {
		err = outcome(send(left, p, PAGE, 0));
	} while (!err && now_ms() < end);
	/* told once, unless the reset came between two calls */
	EXPECT_TRUE(err == EPIPE || err == ECONNRESET);
	EXPECT_EQ(EPIPE, outcome(send(left, p, PAGE, 0)));
}

TEST_F(tcp, client_closes)
{
	closed_by(_metadata, self->tx, self->rx, self->p, self->back);
}

TEST_F(tcp, server_closes)
{
	closed_by(_metadata, self->rx, self->tx, self->p, self->back);
}

/* SO_LINGER of no time, and bytes that nobody has read, reset a connection. */
TEST_F(tcp, reset)
{
	struct linger none = { .l_onoff = 1 }, some;
	socklen_t size = sizeof(some);
	int fd[2];

	ASSERT_EQ(0, getsockopt(self->tx, SOL_SOCKET, SO_LINGER, &some, &size));
	EXPECT_EQ(0, some.l_onoff);
	ASSERT_EQ(0, setsockopt(self->tx, SOL_SOCKET, SO_LINGER, &none, size));
	close(self->tx);
	EXPECT_EQ(POLLERR | POLLHUP, events_until(self->rx, POLLHUP | POLLERR) &
		  (POLLERR | POLLHUP));
	EXPECT_EQ(ECONNRESET, so_error(self->rx));
	EXPECT_EQ(0, so_error(self->rx));
	EXPECT_EQ(0, recv(self->rx, self->back, 1, 0));
	EXPECT_EQ(EPIPE, outcome(send(self->rx, self->p, PAGE, 0)));

	ASSERT_EQ(0, tcp_pair(variant->domain, variant->family, fd));
	ASSERT_EQ(PAGE, send(fd[1], self->p, PAGE, 0));
	ASSERT_TRUE(becomes_readable(fd[0], PAGE));
	close(fd[0]);
	EXPECT_EQ(ECONNRESET, outcome(recv(fd[1], self->back, 1, 0)));
	close(fd[1]);
}

/* close() waits until the peer has it all, or for that long. */
TEST_F(tcp, linger)
{
	struct linger second = { .l_onoff = 1, .l_linger = 10 };

	ASSERT_EQ(0, setsockopt(self->tx, SOL_SOCKET, SO_LINGER, &second,
				sizeof(second)));
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(10 * PAGE, send(self->tx, self->p, 10 * PAGE, 0));
	ASSERT_EQ(0, close(self->tx));
	EXPECT_TRUE(becomes_readable(self->rx, 10 * PAGE));
	EXPECT_TRUE(comes_out(self->rx, self->back, 0, 10 * PAGE));
	EXPECT_EQ(0, recv(self->rx, self->back, 1, 0));
}

/* The signal comes once per call, and not at all with MSG_NOSIGNAL. */
static volatile sig_atomic_t pipes;

static void on_pipe(int signal)
{
	pipes++;
}

TEST_F(tcp, sigpipe)
{
	int fd = tcp_socket(variant->domain, variant->family);

	signal(SIGPIPE, on_pipe);
	ASSERT_EQ(0, shutdown(self->tx, SHUT_WR));
	EXPECT_EQ(EPIPE, outcome(send(self->tx, self->p, LENGTH, MSG_NOSIGNAL)));
	EXPECT_EQ(0, pipes);
	EXPECT_EQ(EPIPE, outcome(send(self->tx, self->p, LENGTH, 0)));
	EXPECT_EQ(1, pipes);
	/* nor was it ever connected */
	EXPECT_EQ(EPIPE, outcome(send(fd, self->p, LENGTH, 0)));
	EXPECT_EQ(2, pipes);
	EXPECT_EQ(ENOTCONN, outcome(recv(fd, self->back, 1, 0)));
	close(fd);
}

/* ---- Options ------------------------------------------------------------ */

static const struct {
	int level;
	int name;
	int value;
	bool passed_on;		/* to accepted sockets */
} options[] = {
	{ IPPROTO_TCP, TCP_NODELAY, 1, true },
	{ IPPROTO_TCP, TCP_CORK, 1, false },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 100, true },
	{ IPPROTO_TCP, TCP_KEEPINTVL, 11, true },
	{ IPPROTO_TCP, TCP_KEEPCNT, 5, true },
	{ IPPROTO_TCP, TCP_SYNCNT, 3, true },
	{ IPPROTO_TCP, TCP_LINGER2, 7, true },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 5000, true },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 100000, true },
	{ SOL_SOCKET, SO_KEEPALIVE, 1, true },
	{ SOL_SOCKET, SO_PRIORITY, 5, false },
	{ SOL_SOCKET, SO_RCVLOWAT, 7, true },
	{ SOL_SOCKET, SO_REUSEADDR, 1, true },
};

TEST_F(tcp, options)
{
	int fd = tcp_socket(variant->domain, variant->family), peer, value;
	socklen_t size = sizeof(int);
	struct server s;
	size_t i;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	for (i = 0; i < sizeof(options) / sizeof(*options); i++)
		EXPECT_EQ(0, setsockopt(s.fd, options[i].level, options[i].name,
					&options[i].value, sizeof(int)));
	ASSERT_EQ(0, connect(fd, &s.at.sa, s.length));
	peer = accept(s.fd, NULL, NULL);
	ASSERT_GE(peer, 0);
	for (i = 0; i < sizeof(options) / sizeof(*options); i++) {
		ASSERT_EQ(0, getsockopt(s.fd, options[i].level, options[i].name,
					&value, &size));
		EXPECT_EQ(options[i].value, value);
		if (!options[i].passed_on)
			continue;
		ASSERT_EQ(0, getsockopt(peer, options[i].level, options[i].name,
					&value, &size));
		EXPECT_EQ(options[i].value, value) {
			TH_LOG("level %d option %d", options[i].level,
			       options[i].name);
		}
	}
	value = 1;
	EXPECT_EQ(ENOPROTOOPT, outcome(setsockopt(fd, IPPROTO_TCP, 9999, &value,
						  size)));
	EXPECT_EQ(ENOPROTOOPT, outcome(getsockopt(fd, IPPROTO_TCP, 9999, &value,
						  &size)));
	EXPECT_EQ(EINVAL, outcome(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY,
					     &value, 1)));
	ASSERT_EQ(0, getsockopt(s.fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size));
	EXPECT_EQ(1, value);
	close(peer);
	close(fd);
	close(s.fd);
}

TEST_F(tcp, segment_size)
{
	int fd = tcp_socket(variant->domain, variant->family), peer, mss = 600;
	socklen_t size = sizeof(int);
	struct server s;

	ASSERT_GE(serve(&s, variant->domain, variant->family), 0);
	ASSERT_EQ(0, setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, size));
	ASSERT_EQ(0, connect(fd, &s.at.sa, s.length));
	peer = accept(s.fd, NULL, NULL);
	ASSERT_GE(peer, 0);
	mss = 0;
	ASSERT_EQ(0, getsockopt(peer, IPPROTO_TCP, TCP_MAXSEG, &mss, &size));
	EXPECT_LE(mss, 600);
	EXPECT_GE(mss, 500);
	/* pages do not fit into such segments */
	fill_stream(self->p, LENGTH, 0);
	ASSERT_EQ(10 * PAGE, send(peer, self->p, 10 * PAGE, 0));
	EXPECT_TRUE(comes_out(fd, self->back, 0, 10 * PAGE));
	close(peer);
	close(fd);
	close(s.fd);
}

TEST_F(tcp, info)
{
	uint64_t end = now_ms() + PATIENCE;
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);
	char name[16] = "";
	int on = 1;

	ASSERT_EQ(10 * PAGE, send(self->tx, self->p, 10 * PAGE, 0));
	ASSERT_TRUE(becomes_readable(self->rx, 10 * PAGE));
	/* the receiver does not wait for something to send with it */
	ASSERT_EQ(0, setsockopt(self->rx, IPPROTO_TCP, TCP_QUICKACK, &on,
				sizeof(on)));
	do {
		ASSERT_EQ(0, getsockopt(self->tx, IPPROTO_TCP, TCP_INFO, &info,
					&size));
	} while (info.tcpi_bytes_acked < 10 * PAGE && now_ms() < end);
	EXPECT_EQ(1, info.tcpi_state);
	EXPECT_EQ(10 * PAGE, info.tcpi_bytes_acked - 1);	/* the SYN */
	EXPECT_EQ(10 * PAGE, info.tcpi_bytes_sent);
	EXPECT_EQ(0, info.tcpi_notsent_bytes);

	ASSERT_EQ(0, setsockopt(self->tx, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	size = sizeof(name);
	ASSERT_EQ(0, getsockopt(self->tx, IPPROTO_TCP, TCP_CONGESTION, name,
				&size));
	EXPECT_STREQ("reno", name);
	/* for root the kernel would first run modprobe(8) */
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(ENOENT, outcome(setsockopt(self->tx, IPPROTO_TCP,
					     TCP_CONGESTION, "none", 4)));
	ASSERT_EQ(0, seteuid(0));
}

/* What a checkpoint reads: places in the streams, and no packet is sent. */
TEST_F(tcp, repair)
{
	uint32_t before, after;
	socklen_t size = sizeof(int);
	int value;

	ASSERT_EQ(PAGE, send(self->tx, self->p, PAGE, 0));
	ASSERT_TRUE(becomes_readable(self->rx, PAGE));
	value = TCP_REPAIR_ON;
	ASSERT_EQ(0, setsockopt(self->tx, IPPROTO_TCP, TCP_REPAIR, &value, size));
	value = TCP_SEND_QUEUE;
	ASSERT_EQ(0, setsockopt(self->tx, IPPROTO_TCP, TCP_REPAIR_QUEUE, &value,
				size));
	ASSERT_EQ(0, getsockopt(self->tx, IPPROTO_TCP, TCP_QUEUE_SEQ, &before,
				&size));
	/* queued as if it had been sent */
	ASSERT_EQ(PAGE, send(self->tx, self->p, PAGE, 0));
	ASSERT_EQ(0, getsockopt(self->tx, IPPROTO_TCP, TCP_QUEUE_SEQ, &after,
				&size));
	EXPECT_EQ(PAGE, after - before);
	ASSERT_EQ(0, ioctl(self->rx, SIOCINQ, &value));
	EXPECT_EQ(PAGE, value);
	/* and in repair a connection ends without a word */
}

TEST_HARNESS_MAIN
