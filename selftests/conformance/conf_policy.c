// SPDX-License-Identifier: GPL-2.0-only
/*
 * What decides about a socket from outside holds for AF_SNAP as for UDP and TCP:
 * devices, shared ports, capabilities, routes by mark, filters.
 *
 * Machines: copy-2
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <sched.h>

#include "conf_socket.h"

#define NOBODY		65534

/* ---- Devices, ports, routes --------------------------------------------- */

TEST_F(sock, bound_to_device)
{
	static const char *const names[] = { "lo", NETDEV, "" };
	union address own, want;
	struct server s;
	size_t i;

	ASSERT_EQ(0, serve(&s, variant->type, variant->family, variant->family));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		int fd[] = { conf_socket(), conf_control() }, err[2], j;
		socklen_t size = IFNAMSIZ, length = s.length;
		char name[IFNAMSIZ] = "";

		for (j = 0; j < 2; j++) {
			ASSERT_EQ(0, fcntl(fd[j], F_SETFL, O_NONBLOCK));
			ASSERT_EQ(0, setsockopt(fd[j], SOL_SOCKET, SO_BINDTODEVICE,
						names[i], strlen(names[i])));
			err[j] = outcome(connect(fd[j], &s.at.sa, length));
		}
		ASSERT_EQ(0, getsockopt(fd[0], SOL_SOCKET, SO_BINDTODEVICE, name,
					&size));
		EXPECT_STREQ(names[i], name);
		EXPECT_EQ(err[1], err[0]);
		/* the way decides on the sender's address */
		ASSERT_EQ(0, getsockname(fd[0], &own.sa, &length));
		ASSERT_EQ(0, getsockname(fd[1], &want.sa, &length));
		own.in.sin_port = want.in.sin_port;
		EXPECT_EQ(0, memcmp(&want, &own, length));
		EXPECT_EQ(variant->family == AF_INET && i == 1,
			  own.in.sin_addr.s_addr == inet_addr(GUEST4));
		close(fd[0]);
		close(fd[1]);
	}
	close(s.fd);
}

/* One port for several sockets, if all of them say so. */
TEST_F(sock, shared_port)
{
	static const int names[] = { 0, SO_REUSEADDR, SO_REUSEPORT };
	int on = 1, i, j;
	struct server s;

	for (i = 0; i < 3; i++) {
		for (j = 0; j < 3; j++) {
			int fd = conf_socket(), control = conf_control();

			s.fd = conf_control();
			if (names[i])
				ASSERT_EQ(0, setsockopt(s.fd, SOL_SOCKET, names[i],
							&on, sizeof(on)));
			if (names[j]) {
				ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, names[j],
							&on, sizeof(on)));
				ASSERT_EQ(0, setsockopt(control, SOL_SOCKET,
							names[j], &on, sizeof(on)));
			}
			s.length = address_loopback(&s.at, variant->family, 0);
			ASSERT_EQ(0, bind(s.fd, &s.at.sa, s.length));
			ASSERT_EQ(0, getsockname(s.fd, &s.at.sa, &s.length));
			on = outcome(bind(fd, &s.at.sa, s.length));
			close(fd);
			EXPECT_EQ(outcome(bind(control, &s.at.sa, s.length)), on);
			EXPECT_EQ(i == j && i ? 0 : EADDRINUSE, on) {
				TH_LOG("option %d beside %d", names[j], names[i]);
			}
			on = 1;
			close(control);
			close(s.fd);
		}
	}
}

/* Low ports are for who may, and what is low is a matter of the namespace. */
TEST_F(sock, low_ports)
{
	int fd[4], i;

	ASSERT_EQ(0, network_of_lo());
	for (i = 0; i < 4; i++)
		fd[i] = conf_socket();
	EXPECT_EQ(0, bind_port(fd[0], variant->family, 80));
	ASSERT_EQ(0, seteuid(NOBODY));
	EXPECT_EQ(EACCES, bind_port(fd[1], variant->family, 81));
	EXPECT_EQ(EACCES, bind_port(fd[1], variant->family, 1023));
	EXPECT_EQ(0, bind_port(fd[1], variant->family, 1024));
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, write_text("/proc/sys/net/ipv4/ip_unprivileged_port_start",
				"81"));
	ASSERT_EQ(0, seteuid(NOBODY));
	EXPECT_EQ(0, bind_port(fd[2], variant->family, 81));
	EXPECT_EQ(EACCES, bind_port(fd[3], variant->family, 79));
	ASSERT_EQ(0, seteuid(0));
	for (i = 0; i < 4; i++)
		close(fd[i]);
}

/* A rule for the mark comes before that for local addresses. */
TEST_F(sock, routed_by_mark)
{
	const char *six = variant->family == AF_INET6 ? "-6" : "";
	struct server s;
	int fd, mark;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, sh("ip link set lo up && "
			"printf 'rule add pref 10 lookup local\n"
			"rule add pref 5 fwmark 7 prohibit\nrule del pref 0\n' | "
			"ip %s -batch -", six));
	ASSERT_EQ(0, serve(&s, variant->type, variant->domain, variant->family));
	for (mark = 6; mark < 8; mark++) {
		fd = conf_socket();
		ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_MARK, &mark,
					sizeof(mark)));
		EXPECT_EQ(mark == 7 ? EACCES : 0,
			  reach(fd, &s, variant->type, self->p));
		close(fd);
	}
	close(s.fd);
}

/* ---- Filters ------------------------------------------------------------ */

/* What a filter drops is as if it had been lost; and a filter can be locked. */
TEST_F(sock, filter)
{
	struct sock_filter none[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog drop = { .len = 1, .filter = none }, bad = drop;
	socklen_t size = sizeof(drop);
	int on = 1, unsent = 0;

	bad.len = 0;
	EXPECT_EQ(EINVAL, outcome(setsockopt(self->rx, SOL_SOCKET,
					     SO_ATTACH_FILTER, &bad, size)));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_ATTACH_FILTER, &drop,
				size));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_DETACH_FILTER, &on,
				sizeof(on)));
	EXPECT_EQ(ENOENT, outcome(setsockopt(self->rx, SOL_SOCKET,
					     SO_DETACH_FILTER, &on, sizeof(on))));
	if (variant->type == SOCK_DGRAM)
		ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	/* an acknowledgement that is dropped would leave the frames with TCP */
	while (!ioctl(self->tx, SIOCOUTQ, &unsent) && unsent)
		sleep_ms(1);
	ASSERT_EQ(0, setsockopt(self->tx, SOL_SOCKET, SO_ATTACH_FILTER, &drop,
				size));
	ASSERT_EQ(0, setsockopt(self->tx, SOL_SOCKET, SO_LOCK_FILTER, &on,
				sizeof(on)));
	EXPECT_EQ(EPERM, outcome(setsockopt(self->tx, SOL_SOCKET,
					    SO_DETACH_FILTER, &on, sizeof(on))));
	EXPECT_EQ(EPERM, outcome(setsockopt(self->tx, SOL_SOCKET,
					    SO_ATTACH_FILTER, &drop, size)));
}

/* A filter may shorten datagrams; a stream would be sent again, bit by bit. */
TEST_F(sock, filter_shortens)
{
	struct sock_filter some[] = { BPF_STMT(BPF_RET | BPF_K, 8 + 100) };
	struct sock_fprog trim = { .len = 1, .filter = some };

	if (variant->type == SOCK_STREAM)
		return;
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_ATTACH_FILTER, &trim,
				sizeof(trim)));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_EQ(100, recv(self->rx, self->back, LENGTH, 0));
	EXPECT_EQ(-1, differs(self->back, 100, 0));
	EXPECT_EQ(variant->region, by_reference(self->tx) == 1);
}

TEST_HARNESS_MAIN
