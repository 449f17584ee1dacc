// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options and ioctls of AF_SNAP sockets are those of UDP and TCP: each answer
 * is compared with that of an ordinary socket in the same state.
 *
 * Machines: copy-2 newest
 */

#define _GNU_SOURCE
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <sched.h>
#include <sys/time.h>

#include "conf_socket.h"

#define NAMES		128	/* of options that are tried at each level */
#define NOBODY		65534

struct option {
	const char *text;
	int level;
	int name;
	const void *value;
	socklen_t size;
};

#define ANY(level, name, type, ...)					\
	{ #name " = " #__VA_ARGS__, level, name,			\
	  &(const type){ __VA_ARGS__ }, sizeof(type) }
#define INT(level, name, value)	ANY(level, name, int, value)
#define TEXT(level, name, value)					\
	{ #name " = " value, level, name, value, sizeof(value) - 1 }

static const struct option options[] = {
	INT(SOL_SOCKET, SO_TYPE, 1),
	INT(SOL_SOCKET, SO_PROTOCOL, 1),
	INT(SOL_SOCKET, SO_DOMAIN, 1),
	INT(SOL_SOCKET, SO_ERROR, 1),
	INT(SOL_SOCKET, SO_ACCEPTCONN, 1),
	INT(SOL_SOCKET, SO_RCVBUF, 50000),
	INT(SOL_SOCKET, SO_RCVBUF, 0),
	INT(SOL_SOCKET, SO_RCVBUF, -1),
	INT(SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24),
	INT(SOL_SOCKET, SO_SNDBUF, 50000),
	INT(SOL_SOCKET, SO_SNDBUF, 0),
	INT(SOL_SOCKET, SO_SNDBUFFORCE, 1 << 24),
	INT(SOL_SOCKET, SO_RCVLOWAT, 100),
	INT(SOL_SOCKET, SO_RCVLOWAT, 0),
	INT(SOL_SOCKET, SO_RCVLOWAT, -1),
	INT(SOL_SOCKET, SO_SNDLOWAT, 5),
	ANY(SOL_SOCKET, SO_RCVTIMEO, struct timeval, 1, 500000),
	ANY(SOL_SOCKET, SO_SNDTIMEO, struct timeval, 2, 0),
	ANY(SOL_SOCKET, SO_SNDTIMEO, struct timeval, 0, 1000000),
	INT(SOL_SOCKET, SO_SNDTIMEO, 1),
	INT(SOL_SOCKET, SO_REUSEADDR, 1),
	INT(SOL_SOCKET, SO_REUSEPORT, 1),
	TEXT(SOL_SOCKET, SO_BINDTODEVICE, "lo"),
	TEXT(SOL_SOCKET, SO_BINDTODEVICE, NETDEV),
	TEXT(SOL_SOCKET, SO_BINDTODEVICE, "nowhere"),
	TEXT(SOL_SOCKET, SO_BINDTODEVICE, ""),
	INT(SOL_SOCKET, SO_BINDTOIFINDEX, 1),
	INT(SOL_SOCKET, SO_MARK, 7),
	INT(SOL_SOCKET, SO_RCVMARK, 1),
	INT(SOL_SOCKET, SO_PRIORITY, 5),
	INT(SOL_SOCKET, SO_PRIORITY, 7),
	INT(SOL_SOCKET, SO_TIMESTAMP, 1),
	INT(SOL_SOCKET, SO_TIMESTAMPNS, 1),
	INT(SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE |
	    SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID),
	INT(SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_HARDWARE |
	    SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE),
	INT(SOL_SOCKET, SO_TIMESTAMPING, 1 << 30),
	INT(SOL_SOCKET, SO_BUSY_POLL, 50),
	INT(SOL_SOCKET, SO_PREFER_BUSY_POLL, 1),
	INT(SOL_SOCKET, SO_BUSY_POLL_BUDGET, 16),
	ANY(SOL_SOCKET, SO_LINGER, struct linger, 1, 5),
	ANY(SOL_SOCKET, SO_LINGER, struct linger, 0, 0),
	INT(SOL_SOCKET, SO_LINGER, 1),
	INT(SOL_SOCKET, SO_KEEPALIVE, 1),
	INT(SOL_SOCKET, SO_BROADCAST, 1),
	INT(SOL_SOCKET, SO_OOBINLINE, 1),
	INT(SOL_SOCKET, SO_DONTROUTE, 1),
	INT(SOL_SOCKET, SO_NO_CHECK, 1),
	INT(SOL_SOCKET, SO_PASSCRED, 1),
	INT(SOL_SOCKET, SO_RXQ_OVFL, 1),
	INT(SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1),
	INT(SOL_SOCKET, SO_MAX_PACING_RATE, 1 << 30),
	INT(SOL_SOCKET, SO_INCOMING_CPU, 0),
	INT(SOL_SOCKET, SO_PEEK_OFF, 10),
	INT(SOL_SOCKET, SO_PEEK_OFF, -1),
	INT(SOL_SOCKET, SO_ZEROCOPY, 1),
	INT(SOL_SOCKET, SO_ZEROCOPY, 2),
	ANY(SOL_SOCKET, SO_TXTIME, struct sock_txtime, 11, 0),
	INT(SOL_SOCKET, SO_TXREHASH, 1),
	INT(SOL_SOCKET, SO_DETACH_FILTER, 0),
	INT(SOL_SOCKET, SO_ATTACH_BPF, -1),
	INT(SOL_SOCKET, SO_LOCK_FILTER, 1),
	INT(SOL_SOCKET, 9999, 1),
	INT(IPPROTO_IP, IP_TOS, 0x10),
	INT(IPPROTO_IP, IP_TTL, 5),
	INT(IPPROTO_IP, IP_TTL, 256),
	INT(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO),
	INT(IPPROTO_IP, IP_RECVERR, 1),
	INT(IPPROTO_IP, IP_PKTINFO, 1),
	INT(IPPROTO_IP, IP_RECVTOS, 1),
	INT(IPPROTO_IP, IP_MINTTL, 200),
	INT(IPPROTO_IP, IP_FREEBIND, 1),
	INT(IPPROTO_IP, IP_TRANSPARENT, 1),
	INT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1),
	INT(IPPROTO_IP, IP_UNICAST_IF, 1 << 24),
	INT(IPPROTO_IP, IP_MULTICAST_TTL, 3),
	INT(IPPROTO_IPV6, IPV6_TCLASS, 0x20),
	INT(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 6),
	INT(IPPROTO_IPV6, IPV6_V6ONLY, 1),
	INT(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1),
	INT(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO),
	INT(IPPROTO_IPV6, IPV6_DONTFRAG, 1),
	INT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3),
	INT(IPPROTO_TCP, TCP_NODELAY, 1),
	INT(IPPROTO_TCP, TCP_CORK, 1),
	INT(IPPROTO_TCP, TCP_CORK, 0),
	INT(IPPROTO_TCP, TCP_MAXSEG, 1000),
	INT(IPPROTO_TCP, TCP_KEEPIDLE, 100),
	INT(IPPROTO_TCP, TCP_KEEPINTVL, 0),
	INT(IPPROTO_TCP, TCP_DEFER_ACCEPT, 3),
	INT(IPPROTO_TCP, TCP_WINDOW_CLAMP, 60000),
	INT(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000),
	INT(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 100000),
	INT(IPPROTO_TCP, TCP_INQ, 1),
	INT(IPPROTO_TCP, TCP_SAVE_SYN, 1),
	TEXT(IPPROTO_TCP, TCP_CONGESTION, "reno"),
	INT(IPPROTO_UDP, UDP_SEGMENT, 1000),
	INT(IPPROTO_UDP, UDP_GRO, 1),
	INT(IPPROTO_UDP, UDP_CORK, 1),
	INT(IPPROTO_UDP, UDP_CORK, 0),
	INT(IPPROTO_UDP, UDP_ENCAP, 99),
	INT(IPPROTO_UDP, UDP_NO_CHECK6_TX, 1),
};

/* What a socket says to setting an option, and to reading it after that. */
struct answer {
	int set;
	int get;
	socklen_t size;
	char value[256];
};

static struct answer ask(int fd, const struct option *o)
{
	struct answer a = { .size = sizeof(a.value) };

	a.set = outcome(setsockopt(fd, o->level, o->name, o->value, o->size));
	a.get = outcome(getsockopt(fd, o->level, o->name, a.value, &a.size));
	return a;
}

/* Cookies are of one socket, these others are of an instant. */
static bool has_own_value(int level, int name)
{
	return (level == SOL_SOCKET && name == SO_COOKIE) ||
	       (level == IPPROTO_TCP && (name == TCP_TIMESTAMP ||
					 name == TCP_INFO));
}


static bool same_answer(int fd, int control, const struct option *o)
{
	struct answer got = ask(fd, o), want = ask(control, o);

	return got.set == want.set && got.get == want.get &&
	       got.size == want.size &&
	       (has_own_value(o->level, o->name) ||
		!memcmp(got.value, want.value, sizeof(got.value)));
}

/* ---- Options by name ---------------------------------------------------- */

/* Each on new sockets, then one after another on a connection. */
static void ask_table(struct __test_metadata *_metadata,
		      const FIXTURE_VARIANT(sock) *variant)
{
	int fd[2], control[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		fd[0] = conf_socket();
		control[0] = conf_control();
		EXPECT_TRUE(same_answer(fd[0], control[0], &options[i]))
			TH_LOG("%s", options[i].text);
		close(fd[0]);
		close(control[0]);
	}
	ASSERT_EQ(0, conf_pair(fd));
	ASSERT_EQ(0, conf_control_pair(control));
	for (i = 0; i < ARRAY_SIZE(options); i++)
		EXPECT_TRUE(same_answer(fd[1], control[1], &options[i]))
			TH_LOG("connected: %s", options[i].text);
	for (i = 0; i < 2; i++) {
		close(fd[i]);
		close(control[i]);
	}
}

TEST_F(sock, table)
{
	ask_table(_metadata, variant);
}

TEST_F(sock, table_of_nobody)
{
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	ask_table(_metadata, variant);
}

/* ---- All numbers, known or not ------------------------------------------ */

static const int levels[] = {
	SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP,
	IPPROTO_ICMP, 9999, -1,
};

static const socklen_t sizes[] = { 4, 0, 1, 8, 40, -1 };

/*
 * Not asked: what AF_SNAP does not have, see not_there; and what is the name of
 * a module, which root would wait for.
 */
static bool is_special(const struct option *o)
{
	return (o->level == IPPROTO_TCP && (o->name == TCP_ULP ||
					    o->name == TCP_CONGESTION)) ||
	       (o->level == IPPROTO_IPV6 && o->name == IPV6_ADDRFORM);
}

static void ask_numbers(struct __test_metadata *_metadata,
			const FIXTURE_VARIANT(sock) *variant, const char *value)
{
	struct option o = { .value = value };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(levels); i++) {
		int fd = conf_socket(), control = conf_control();

		ASSERT_GE(fd, 0);
		ASSERT_GE(control, 0);
		o.level = levels[i];
		for (o.name = 0; o.name < NAMES; o.name++)
			for (j = 0; j < ARRAY_SIZE(sizes); j++) {
				o.size = sizes[j];
				EXPECT_TRUE(is_special(&o) ||
					    same_answer(fd, control, &o))
					TH_LOG("level %d option %d size %d",
					       o.level, o.name, (int)o.size);
			}
		close(fd);
		close(control);
	}
}

TEST_F(sock, numbers)
{
	static const char one[64] = { 1 };

	ask_numbers(_metadata, variant, one);
	ask_numbers(_metadata, variant, NULL);
}

TEST_F(sock, numbers_of_nobody)
{
	static const char many[64] = { -1, -1, -1, 127 };

	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	ask_numbers(_metadata, variant, many);
}

/* Deviation: what would put other operations in place is not there. */
TEST_F(sock, not_there)
{
	int six = AF_INET, fd = conf_socket(), copybreak = -1;
	socklen_t size = sizeof(copybreak);
	bool snap = variant->domain == AF_SNAP;
	int err = outcome(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3));

	EXPECT_TRUE(snap || variant->type == SOCK_DGRAM ? err == ENOPROTOOPT :
		    err == ENOTCONN || err == ENOENT);
	err = outcome(setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &six,
				 sizeof(six)));
	EXPECT_EQ(snap || variant->family == AF_INET ? ENOPROTOOPT : ENOTCONN, err);
	/* and what is only there */
	EXPECT_EQ(snap, !getsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &copybreak,
				    &size));
	EXPECT_EQ(snap, !setsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &size, size));
	close(fd);
}

/* ---- What some of them do ----------------------------------------------- */

static int value_of(int fd, int level, int name)
{
	socklen_t size = sizeof(int);
	int value = -1;

	return getsockopt(fd, level, name, &value, &size) ? -errno : value;
}

TEST_F(sock, identity)
{
	uint64_t cookie[4] = { 0 };
	int fd[] = { self->rx, self->tx, conf_socket(), conf_control() }, i, j;

	for (i = 0; i < 4; i++) {
		socklen_t size = sizeof(cookie[i]);

		EXPECT_EQ(variant->type, value_of(fd[i], SOL_SOCKET, SO_TYPE));
		EXPECT_EQ(variant->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
			  value_of(fd[i], SOL_SOCKET, SO_PROTOCOL));
		EXPECT_EQ(variant->family, value_of(fd[i], SOL_SOCKET, SO_DOMAIN));
		ASSERT_EQ(0, getsockopt(fd[i], SOL_SOCKET, SO_COOKIE, &cookie[i],
					&size));
		EXPECT_NE(0, cookie[i]);
		for (j = 0; j < i; j++)
			EXPECT_NE(cookie[j], cookie[i]);
	}
	close(fd[2]);
	close(fd[3]);
}

TEST_F(sock, incoming_cpu)
{
	cpu_set_t all, one;
	int cpu;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	for (cpu = 0; cpu < CPU_COUNT(&all); cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
		ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
		EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
		EXPECT_EQ(cpu, value_of(self->rx, SOL_SOCKET, SO_INCOMING_CPU));
	}
}

TEST_F(sock, peek_off)
{
	int at = 4;

	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	ASSERT_EQ(POLLIN, await(self->rx, POLLIN));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at)));
	EXPECT_EQ(8, recv(self->rx, self->back, 8, MSG_PEEK));
	EXPECT_EQ(0, memcmp(self->p + 4, self->back, 8));
	EXPECT_EQ(8, recv(self->rx, self->back, 8, MSG_PEEK));
	EXPECT_EQ(0, memcmp(self->p + 12, self->back, 8));
	EXPECT_EQ(20, value_of(self->rx, SOL_SOCKET, SO_PEEK_OFF));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
}

TEST_F(sock, receive_timeout)
{
	uint64_t start = tick_ms();

	ASSERT_EQ(0, set_timeout(self->rx, 50));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, 0)));
	EXPECT_GE(tick_ms() - start, 40);
}

/* ---- ioctls ------------------------------------------------------------- */

/* Nobody is harmed by these, whatever the argument says. */
static const unsigned int requests[] = {
	SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, SIOCGPGRP, FIOGETOWN,
	SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFMTU,
	SIOCGIFHWADDR, SIOCGIFCONF, SIOCGIFTXQLEN,
	SIOCGARP, SIOCDARP, SIOCADDRT, SIOCDELRT, SIOCSIFADDR, SIOCPROTOPRIVATE,
	SIOCDEVPRIVATE, FIONBIO, FIOASYNC, TIOCGWINSZ, 0x5499, 0, ~0u,
};

/* The same errno, and the same in the argument, which names an interface. */
static bool same_ioctl(int fd, int control, unsigned int request,
		       const char *netdev)
{
	char got[128] = { 0 }, want[128] = { 0 };
	int err[2];

	if (netdev) {
		strcpy(got, netdev);
		strcpy(want, netdev);
	}
	err[0] = outcome(ioctl(fd, request, netdev ? got : NULL));
	err[1] = outcome(ioctl(control, request, netdev ? want : NULL));
	return err[0] == err[1] && !memcmp(got, want, sizeof(got));
}

static void ask_ioctls(struct __test_metadata *_metadata, int fd, int control)
{
	static const char *const names[] = { NULL, "lo", NETDEV };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		for (j = 0; j < ARRAY_SIZE(names); j++)
			EXPECT_TRUE(same_ioctl(fd, control, requests[i], names[j]))
				TH_LOG("ioctl %x of %s", requests[i],
				       names[j] ?: "NULL");
}

TEST_F(sock, ioctls)
{
	int fd = conf_socket(), control = conf_control();

	ask_ioctls(_metadata, fd, control);
	close(fd);
	close(control);
}

TEST_F(sock, ioctls_of_nobody)
{
	int fd = conf_socket(), control = conf_control();

	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	ask_ioctls(_metadata, fd, control);
	close(fd);
	close(control);
}

/* Bytes that wait: of a stream all, of datagrams those of the first. */
TEST_F(sock, waiting_bytes)
{
	int control[2], fd[] = { self->rx, self->tx }, i, n = -1;

	ASSERT_EQ(0, conf_control_pair(control));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(MESSAGE, send(fd[1], self->p, MESSAGE, 0));
		ASSERT_EQ(MESSAGE, send(control[1], self->p, MESSAGE, 0));
	}
	ASSERT_EQ(POLLIN, await(self->rx, POLLIN));
	ASSERT_EQ(POLLIN, await(control[0], POLLIN));
	while (variant->type == SOCK_STREAM && n < 2 * (int)MESSAGE) {
		ASSERT_EQ(0, ioctl(fd[0], SIOCINQ, &n));
		ASSERT_EQ(0, ioctl(control[0], SIOCINQ, &i));
		n = i < n ? i : n;
	}
	ask_ioctls(_metadata, fd[0], control[0]);
	ASSERT_EQ(0, ioctl(self->rx, SIOCINQ, &n));
	EXPECT_EQ(variant->type == SOCK_STREAM ? 2 * MESSAGE : MESSAGE, n);
	close(control[0]);
	close(control[1]);
}

TEST_F(sock, nonblocking)
{
	int on = 1, off = 0;

	ASSERT_EQ(0, ioctl(self->rx, FIONBIO, &on));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, 0)));
	ASSERT_EQ(0, ioctl(self->rx, FIONBIO, &off));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	EXPECT_EQ(variant->region, by_reference(self->tx) == 1);
}

TEST_HARNESS_MAIN
