// SPDX-License-Identifier: GPL-2.0-only
/*
 * What administrators see of the sockets: /proc/net/snap, socket diagnosis,
 * tracepoints, sysctls, ethtool; and that each of them tells the truth.
 *
 * Machines: auto-2 debug newest
 */

#define _GNU_SOURCE
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/fsuid.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "diag.h"
#include "snap_test_util.h"

#define LENGTH		20000
#define TRACING		"/sys/kernel/tracing/"

FIXTURE(observe)
{
	int fd;			/* AF_SNAP, connected to the sink */
	int sink;		/* AF_INET */
	int nl;			/* NETLINK_SOCK_DIAG */
	unsigned long ino;	/* of fd */
	union address at;	/* of the sink */
	socklen_t at_len;
	struct region r;
};

FIXTURE_SETUP(observe)
{
	self->sink = udp_on_loopback(AF_INET, &self->at, &self->at_len);
	ASSERT_GE(self->sink, 0);
	ASSERT_EQ(0, set_timeout(self->sink, 5000));
	self->fd = udp_socket(AF_SNAP, AF_INET);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, connect(self->fd, &self->at.sa, self->at_len));
	self->ino = inode_of(self->fd);
	self->nl = diag_open();
	ASSERT_GE(self->nl, 0);
	ASSERT_EQ(0, region_make(&self->r, 16 * PAGE));
	fill(self->r.p, self->r.length, 1);
}

FIXTURE_TEARDOWN(observe)
{
	close(self->nl);
	close(self->fd);
	close(self->sink);
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

/* Send so much by reference and 100 bytes by copy, and take it from the sink. */
static bool traffic(int fd, int sink, const struct region *r)
{
	static char back[LENGTH];

	return send(fd, r->p, LENGTH, 0) == LENGTH &&
	       recv(sink, back, sizeof(back), 0) == LENGTH &&
	       send(fd, r->p, 100, 0) == 100 &&
	       recv(sink, back, sizeof(back), 0) == 100;
}

/* ---- /proc/net/snap ----------------------------------------------------- */

TEST_F(observe, proc)
{
	char line[512], want[512];
	union address own;
	socklen_t len = sizeof(own);
	int copy;

	ASSERT_EQ(0, getsockname(self->fd, &own.sa, &len));
	ASSERT_TRUE(traffic(self->fd, self->sink, &self->r));
	ASSERT_EQ(1, proc_lines(line, sizeof(line), self->ino));
	snprintf(want, sizeof(want),
		 "dgram 01 %lu %u 127.0.0.1:%u 127.0.0.1:%u 0 0 %u 100 0 0\n",
		 self->ino, getuid(), ntohs(own.in.sin_port),
		 ntohs(self->at.in.sin_port), LENGTH);
	EXPECT_STREQ(want, line);
	ASSERT_EQ(0, sh("test $(stat -c %%a /proc/net/snap) = 444"));
	/* listed for as long as anybody has it open */
	copy = dup(self->fd);
	close(self->fd);
	EXPECT_EQ(1, proc_lines(line, sizeof(line), self->ino));
	close(copy);
	EXPECT_EQ(0, proc_lines(line, sizeof(line), self->ino));
	self->fd = -1;
}

/* A stream over IPv6, whose bytes wait, and the socket that listens. */
TEST_F(observe, proc_of_streams)
{
	char line[512], want[512];
	union address at, own;
	socklen_t len = sizeof(own), at_len;
	int listener, fd, other;

	listener = tcp_listen_on_loopback(AF_SNAP, AF_INET6, &at, &at_len);
	ASSERT_GE(listener, 0);
	fd = tcp_socket(AF_SNAP, AF_INET6);
	ASSERT_EQ(0, connect(fd, &at.sa, at_len));
	ASSERT_EQ(1, proc_lines(line, sizeof(line), inode_of(listener)));
	snprintf(want, sizeof(want), "stream 0A %lu %u [::1]:%u [::]:0 1 ",
		 inode_of(listener), getuid(), ntohs(at.in6.sin6_port));
	EXPECT_EQ(0, strncmp(want, line, strlen(want)));
	other = accept(listener, NULL, NULL);
	ASSERT_GE(other, 0);
	ASSERT_EQ(0, getsockname(fd, &own.sa, &len));
	ASSERT_EQ(100, send(fd, self->r.p, 100, 0));
	ASSERT_EQ(1, proc_lines(line, sizeof(line), inode_of(other)));
	snprintf(want, sizeof(want),
		 "stream 01 %lu %u [::1]:%u [::1]:%u 100 0 0 0 0 0\n",
		 inode_of(other), getuid(), ntohs(at.in6.sin6_port),
		 ntohs(own.in6.sin6_port));
	EXPECT_STREQ(want, line);
	close(other);
	close(fd);
	close(listener);
}

/* ---- Diagnosis ---------------------------------------------------------- */

TEST_F(observe, diag_dump)
{
	struct snap_diag_req req = {
		.family = AF_SNAP,
		.show = SNAP_DIAG_SHOW_STATS | SNAP_DIAG_SHOW_MEMINFO,
	};
	struct snap_sock_stats stats;
	union address own;
	socklen_t len = sizeof(own);
	unsigned int times;
	struct diag_answer a;
	int all;

	ASSERT_TRUE(traffic(self->fd, self->sink, &self->r));
	all = diag(self->nl, &req, NLM_F_DUMP, self->ino, &a, &times);
	ASSERT_GE(all, 1);
	ASSERT_EQ(1, times);
	ASSERT_EQ(0, getsockname(self->fd, &own.sa, &len));
	EXPECT_EQ(AF_SNAP, a.msg.family);
	EXPECT_EQ(AF_INET, a.msg.inner_family);
	EXPECT_EQ(SOCK_DGRAM, a.msg.type);
	EXPECT_EQ(1, a.msg.state);
	EXPECT_EQ(getuid(), a.msg.uid);
	EXPECT_EQ(own.in.sin_port, a.msg.local.port);
	EXPECT_EQ(self->at.in.sin_port, a.msg.remote.port);
	EXPECT_EQ(0, memcmp(a.msg.remote.addr, &self->at.in.sin_addr, 4));
	EXPECT_TRUE(a.has_memory);
	ASSERT_TRUE(a.has_stats);
	stats = sock_stats(self->fd);
	EXPECT_EQ(LENGTH, a.stats.tx_ref_bytes);
	EXPECT_EQ(100, a.stats.copied_bytes[SNAP_COPY_SHORT]);
	EXPECT_EQ(0, memcmp(&stats, &a.stats, sizeof(stats)));
	/* filters, and nothing that was not asked for */
	req.show = 0;
	req.types = 1 << SOCK_STREAM;
	EXPECT_LE(0, diag(self->nl, &req, NLM_F_DUMP, self->ino, &a, &times));
	EXPECT_EQ(0, times);
	req.types = 1 << SOCK_DGRAM;
	req.states = 1 << 7;
	EXPECT_LE(0, diag(self->nl, &req, NLM_F_DUMP, self->ino, &a, &times));
	EXPECT_EQ(0, times);
	req.states = 1 << 1;
	EXPECT_LE(1, diag(self->nl, &req, NLM_F_DUMP, self->ino, &a, &times));
	EXPECT_EQ(1, times);
	EXPECT_FALSE(a.has_stats);
	EXPECT_FALSE(a.has_memory);
	/* gone is gone */
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(all - 1, diag(self->nl, &(struct snap_diag_req){
				.family = AF_SNAP }, NLM_F_DUMP, self->ino, &a,
				&times));
	EXPECT_EQ(0, times);
}

TEST_F(observe, diag_one)
{
	struct snap_diag_req req = { .family = AF_SNAP };
	int second = udp_socket(AF_SNAP, AF_INET);
	unsigned int times;
	struct diag_answer a;

	/* the one that is asked for, and not the first that there is */
	ASSERT_EQ(2, diag(self->nl, &req, NLM_F_DUMP, inode_of(second), &a, &times));
	ASSERT_EQ(1, times);
	req.cookie = a.msg.cookie;
	req.show = SNAP_DIAG_SHOW_STATS | SNAP_DIAG_SHOW_MEMINFO;
	EXPECT_EQ(1, diag(self->nl, &req, 0, inode_of(second), &a, &times));
	EXPECT_EQ(1, times);
	EXPECT_TRUE(a.has_stats);
	EXPECT_TRUE(a.has_memory);
	EXPECT_EQ(req.cookie, a.msg.cookie);
	close(second);
	EXPECT_EQ(-ENOENT, diag(self->nl, &req, 0, 0, &a, &times));
}

/* The owner is the user that made it. */
TEST_F(observe, uid)
{
	const unsigned int other = 4711;
	struct snap_diag_req req = { .family = AF_SNAP };
	char line[512], want[64];
	unsigned int times;
	struct diag_answer a;
	int fd;

	setfsuid(other);
	fd = udp_socket(AF_SNAP, AF_INET);
	setfsuid(0);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(1, proc_lines(line, sizeof(line), inode_of(fd)));
	snprintf(want, sizeof(want), "dgram 07 %lu %u ", inode_of(fd), other);
	EXPECT_EQ(0, strncmp(want, line, strlen(want)));
	EXPECT_LE(2, diag(self->nl, &req, NLM_F_DUMP, inode_of(fd), &a, &times));
	EXPECT_EQ(other, a.msg.uid);
	close(fd);
}

TEST_F(observe, diag_bad_requests)
{
	const struct snap_diag_req good = { .family = AF_SNAP };
	struct snap_diag_req bad;
	unsigned int times;
	struct diag_answer a;

#define EXPECT_INVALID(field, value, flags) do {			\
	bad = good;							\
	bad.field = value;						\
	EXPECT_EQ(-EINVAL, diag(self->nl, &bad, flags, 0, &a, &times));	\
} while (0)
	EXPECT_INVALID(protocol, 1, NLM_F_DUMP);
	EXPECT_INVALID(reserved, 1, NLM_F_DUMP);
	EXPECT_INVALID(types, 1 << SOCK_RAW, NLM_F_DUMP);
	EXPECT_INVALID(states, 1, NLM_F_DUMP);
	EXPECT_INVALID(states, 1u << 31, NLM_F_DUMP);
	EXPECT_INVALID(show, 4, NLM_F_DUMP);
	EXPECT_INVALID(cookie, 1, NLM_F_DUMP);
	EXPECT_INVALID(cookie, 0, 0);
	EXPECT_INVALID(reserved, 1, 0);
	bad = good;
	bad.cookie = 1;
	bad.types = 1 << SOCK_DGRAM;
	EXPECT_EQ(-EINVAL, diag(self->nl, &bad, 0, 0, &a, &times));
	bad.types = 0;
	bad.states = 1 << 1;
	EXPECT_EQ(-EINVAL, diag(self->nl, &bad, 0, 0, &a, &times));
	ASSERT_EQ(0, diag_send(self->nl, &good, sizeof(good) - 1, NLM_F_DUMP));
	EXPECT_EQ(-EINVAL, diag_answers(self->nl, 0, &a, &times));
	bad = good;
	bad.cookie = ~0ull;
	EXPECT_EQ(-ENOENT, diag(self->nl, &bad, 0, 0, &a, &times));
	EXPECT_LE(1, diag(self->nl, &good, NLM_F_DUMP, self->ino, &a, &times));
}

#define SNAPCTL	". /run/snap-vm/settings; $VM_TOP/build/tools/snapctl "

/* By diagnosis and, without its module, by /proc. */
TEST_F(observe, snapctl_sockets)
{
	union address at;
	socklen_t len;
	int listener = tcp_listen_on_loopback(AF_SNAP, AF_INET, &at, &len);
	unsigned int i;

	ASSERT_GE(listener, 0);
	ASSERT_TRUE(traffic(self->fd, self->sink, &self->r));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, sh(SNAPCTL "--json sockets -u -p 2>&1 | grep -q '"
				"\"inode\":%lu,.*\"tx_ref_bytes\":%d,.*\"pid\":%d,'",
				self->ino, LENGTH, getpid()));
		/* a line of names, and what was asked for */
		EXPECT_EQ(0, sh(SNAPCTL "sockets 2>/dev/null | wc -l | grep -qx 3"));
		EXPECT_EQ(0, sh(SNAPCTL "sockets -u 2>/dev/null | tail -n +2 | "
				"grep -c '^dgram  ESTAB .* %d *100 *0 *0$' | grep -qx 1",
				LENGTH));
		EXPECT_EQ(0, sh(SNAPCTL "sockets -t 2>/dev/null | tail -n +2 | "
				"grep -c '^stream LISTEN ' | grep -qx 1"));
		EXPECT_EQ(0, sh(SNAPCTL "sockets -l 2>/dev/null | wc -l | grep -qx 2"));
		EXPECT_EQ(0, sh(SNAPCTL "sockets -l -u 2>/dev/null | wc -l | grep -qx 1"));
		if (!i)
			ASSERT_EQ(0, sh("rmmod snap_diag"));
	}
	EXPECT_EQ(0, sh(SNAPCTL "sockets 2>&1 >/dev/null | grep -q snap_diag"));
	EXPECT_EQ(0, sh(". /run/snap-vm/settings; "
			"insmod $(dirname $VM_MODULE)/snap_diag.ko"));
	close(listener);
}

/* ---- Sysctls ------------------------------------------------------------ */

#define SYSCTL(name)	"/proc/sys/net/snap/" name

static uint64_t refs_after_send(int fd, int sink, const struct region *r)
{
	static char back[LENGTH];

	if (send(fd, r->p, LENGTH, 0) != LENGTH ||
	    recv(sink, back, LENGTH, 0) != LENGTH)
		return ~0ull;
	return sock_stats(fd).tx_ref_msgs;
}

TEST_F(observe, sysctl_switches)
{
	const struct {
		const char *name;
		bool device;	/* it is for the device as well as for lo */
	} way[] = {
		{ SYSCTL("by_reference"), true },
		{ SYSCTL("lo_by_reference"), false },
	};
	int out = udp_socket(AF_SNAP, AF_INET);
	struct snap_sock_stats stats;
	union address host;
	socklen_t len = address_set(&host, AF_INET, HOST4, 9);
	unsigned int i;

	ASSERT_EQ(0, connect(out, &host.sa, len));
	for (i = 0; i < ARRAY_SIZE(way); i++) {
		EXPECT_EQ(1, read_number(way[i].name));
		EXPECT_EQ(0, write_text(way[i].name, "0"));
		EXPECT_EQ(i, refs_after_send(self->fd, self->sink, &self->r));
		stats = sock_stats(out);
		send(out, self->r.p, LENGTH, 0);	/* the host may refuse */
		send(out, self->r.p, LENGTH, 0);
		EXPECT_EQ(way[i].device,
			  sock_stats(out).tx_ref_msgs == stats.tx_ref_msgs);
		EXPECT_EQ(0, write_text(way[i].name, "1"));
		EXPECT_EQ(i + 1, refs_after_send(self->fd, self->sink, &self->r));
	}
	stats = sock_stats(self->fd);
	EXPECT_EQ(2, stats.copied_msgs[SNAP_COPY_ROUTE]);
	close(out);
}

/* Frames stay away from other drivers unless the administrator lets them. */
TEST_F(observe, sysctl_other_devices)
{
	struct snap_sock_stats stats;
	union address other;
	socklen_t len;
	int fd = udp_socket(AF_SNAP, AF_INET);

	if (sh("ip link add snaptest type dummy && "
	       "ip addr add 10.79.0.2/24 dev snaptest && ip link set snaptest up"))
		SKIP(return, "no dummy interface");
	len = address_set(&other, AF_INET, "10.79.0.1", 9);
	ASSERT_EQ(0, connect(fd, &other.sa, len));
	EXPECT_EQ(LENGTH, send(fd, self->r.p, LENGTH, 0));
	stats = sock_stats(fd);
	EXPECT_EQ(0, stats.tx_ref_msgs);
	EXPECT_EQ(1, stats.copied_msgs[SNAP_COPY_ROUTE]);
	EXPECT_EQ(0, write_text(SYSCTL("other_devices"), "1"));
	EXPECT_EQ(LENGTH, send(fd, self->r.p, LENGTH, 0));
	EXPECT_EQ(1, sock_stats(fd).tx_ref_msgs);
	EXPECT_EQ(0, write_text(SYSCTL("other_devices"), "0"));
	close(fd);
	EXPECT_EQ(0, sh("ip link del snaptest"));
}

/* The root of a container says what goes by reference, but not by what. */
TEST_F(observe, sysctl_container)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(KSFT_SKIP);
		if (write_text(SYSCTL("by_reference"), "0"))
			_exit(1);
		_exit(write_text(SYSCTL("other_devices"), "1") ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (WEXITSTATUS(status) == KSFT_SKIP)
		SKIP(return, "no user namespaces");
	EXPECT_EQ(0, status);
}

/* Who may not have the family has it nowhere, whatever he makes himself. */
TEST_F(observe, sysctl_sockets)
{
	int status, fd = self->fd;
	pid_t pid;

	ASSERT_EQ(0, write_text(SYSCTL("sockets"), "0"));
	EXPECT_EQ(EAFNOSUPPORT, outcome(socket(AF_SNAP, SOCK_DGRAM, 0)));
	EXPECT_EQ(EAFNOSUPPORT, outcome(socket(AF_SNAP, SOCK_STREAM, SNAPPROTO_IPV6)));
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) ||
		    socket(AF_SNAP, SOCK_STREAM, 0) >= 0 || errno != EAFNOSUPPORT)
			_exit(1);
		_exit(write_text(SYSCTL("sockets"), "1") ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	/* those that are there go on */
	EXPECT_TRUE(traffic(fd, self->sink, &self->r));
	EXPECT_EQ(0, write_text(SYSCTL("sockets"), "1"));
	fd = socket(AF_SNAP, SOCK_DGRAM, 0);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(observe, sysctl_bounds)
{
	const char *flag[] = { SYSCTL("by_reference"), SYSCTL("lo_by_reference"),
			       SYSCTL("other_devices"), SYSCTL("sockets") };
	unsigned int i;
	long before;

	for (i = 0; i < ARRAY_SIZE(flag); i++) {
		before = read_number(flag[i]);
		EXPECT_EQ(flag[i] != flag[2], before);
		EXPECT_NE(0, write_text(flag[i], "2"));
		EXPECT_NE(0, write_text(flag[i], "-1"));
		EXPECT_EQ(before, read_number(flag[i]));
	}
	before = read_number(SYSCTL("copybreak"));
	EXPECT_NE(0, write_text(SYSCTL("copybreak"), "-1"));
	EXPECT_NE(0, write_text(SYSCTL("copybreak"), "2147483648"));
	EXPECT_EQ(before, read_number(SYSCTL("copybreak")));
}

static int copybreak_of_new_socket(void)
{
	int fd = udp_socket(AF_SNAP, AF_INET);
	int value = -1;
	socklen_t len = sizeof(value);

	getsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &value, &len);
	close(fd);
	return value;
}

/* In a child: its own sysctls, sockets and lines, and none of ours. */
static int in_namespace(unsigned long ino, uint64_t cookie)
{
	struct snap_diag_req req = { .family = AF_SNAP };
	unsigned int times;
	struct diag_answer a;
	char line[512];
	int nl, fd;

	if (unshare(CLONE_NEWNET))
		return 1;
	if (read_number(SYSCTL("copybreak")) != 8192 ||
	    copybreak_of_new_socket() != 8192)
		return 2;
	if (write_text(SYSCTL("copybreak"), "5000") ||
	    copybreak_of_new_socket() != 5000)
		return 3;
	fd = udp_socket(AF_SNAP, AF_INET);
	if (proc_lines(line, sizeof(line), ino) ||
	    proc_lines(line, sizeof(line), inode_of(fd)) != 1)
		return 4;
	nl = diag_open();
	if (diag(nl, &req, NLM_F_DUMP, inode_of(fd), &a, &times) != 1 || times != 1)
		return 5;
	req.cookie = cookie;
	if (diag(nl, &req, 0, ino, &a, &times) != -ENOENT)
		return 8;
	/* as another user: to look at, not to change */
	if (setuid(65534))
		return 6;
	if (!write_text(SYSCTL("copybreak"), "1") ||
	    read_number(SYSCTL("copybreak")) != 5000 ||
	    proc_lines(line, sizeof(line), inode_of(fd)) != 1)
		return 7;
	return 0;
}

TEST_F(observe, namespaces)
{
	struct snap_diag_req req = { .family = AF_SNAP };
	unsigned int times;
	struct diag_answer a;
	int status;
	pid_t pid;

	ASSERT_LE(1, diag(self->nl, &req, NLM_F_DUMP, self->ino, &a, &times));
	ASSERT_EQ(1, times);
	ASSERT_EQ(0, write_text(SYSCTL("copybreak"), "7000"));
	EXPECT_EQ(7000, copybreak_of_new_socket());
	pid = fork();
	if (!pid)
		_exit(in_namespace(self->ino, a.msg.cookie));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(7000, read_number(SYSCTL("copybreak")));
	EXPECT_EQ(0, write_text(SYSCTL("copybreak"), "8192"));
}

/* ---- Tracepoints -------------------------------------------------------- */

static bool traced(const char *format, ...)
{
	char want[256], line[512];
	bool found = false;
	va_list args;
	FILE *file;

	va_start(args, format);
	vsnprintf(want, sizeof(want), format, args);
	va_end(args);
	file = fopen(TRACING "trace", "r");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, want);
	if (file)
		fclose(file);
	return found;
}

/* the events of this socket end in what is asked for */
#define EXPECT_TRACED(event, format, ...) do {				\
	char sock_[64];							\
									\
	snprintf(sock_, sizeof(sock_), " ino=%lu family=2 type=2 ", self->ino); \
	EXPECT_EQ(0, sh("grep -q 'snap_" event ": sk=[0-9a-f]*%s" format "$' " \
			TRACING "trace", sock_, ##__VA_ARGS__));	\
} while (0)

TEST_F(observe, tracepoints)
{
	union address host;
	socklen_t len;

	ASSERT_EQ(0, write_text(TRACING "events/snap/enable", "1"));
	ASSERT_EQ(0, sh(": >" TRACING "trace"));
	ASSERT_TRUE(traffic(self->fd, self->sink, &self->r));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 -s 1000 " HOST4 " >/dev/null"));
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	EXPECT_EQ(0, write_text(SYSCTL("by_reference"), "0"));
	EXPECT_EQ(0, refs_after_send(self->fd, self->sink, &self->r) - 1);
	EXPECT_EQ(0, write_text(SYSCTL("by_reference"), "1"));
	/* a receiver of our own */
	len = address_any(&host, AF_INET);
	close(self->sink);
	self->sink = udp_socket(AF_SNAP, AF_INET);
	ASSERT_EQ(0, bind(self->sink, &host.sa, len));
	ASSERT_EQ(0, getsockname(self->sink, &host.sa, &len));
	ASSERT_EQ(0, connect(self->fd, &host.sa, len));
	ASSERT_TRUE(traffic(self->fd, self->sink, &self->r));
	EXPECT_EQ(0, write_text(TRACING "events/snap/enable", "0"));
	EXPECT_TRACED("capture", "bytes=%d pages=5 result=captured", LENGTH);
	EXPECT_TRACED("send_ref", "bytes=%d", LENGTH);
	EXPECT_TRACED("send_copy", "bytes=100 reason=short");
	EXPECT_TRACED("send_copy", "bytes=%d reason=route", LENGTH);
	EXPECT_TRUE(traced("snap_recv: "));
	EXPECT_TRUE(traced(" ino=%lu family=2 type=2 copied=100 viewed=0 why=not_asked",
			   inode_of(self->sink)));
	EXPECT_TRUE(traced("snap_xmit: dev=" NETDEV " queue="));
	EXPECT_TRUE(traced(" length=1042 "));
	EXPECT_TRUE(traced("snap_release: frames="));
	/* off is off */
	EXPECT_EQ(0, sh(": >" TRACING "trace"));
	ASSERT_TRUE(traffic(self->fd, self->sink, &self->r));
	EXPECT_FALSE(traced("snap_"));
}

/* ---- ethtool ------------------------------------------------------------ */

/* Those of the device are its own; frames in a queue are out. */
TEST_F(observe, ethtool_counters)
{
	static char big[LENGTH];
	union address host;
	socklen_t len = address_set(&host, AF_INET, HOST4, 9);
	int plain = udp_socket(AF_INET, AF_INET);
	uint64_t before, packets, dma;
	struct snap_info info;

	ASSERT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	before = dev_counter(SNAP_CTR_TX_PACKETS);
	packets = ethtool_counter("tx_packets");
	EXPECT_LE(before, packets);
	EXPECT_LE(packets, dev_counter(SNAP_CTR_TX_PACKETS));
	ASSERT_EQ(LENGTH, send(self->fd, self->r.p, LENGTH, 0));
	ASSERT_EQ(0, dev_info(&info));
	EXPECT_LE(5, info.out_frames);
	EXPECT_EQ(info.out_frames, ethtool_counter("driver_out_frames"));
	ASSERT_EQ(LENGTH, recv(self->sink, big, LENGTH, 0));
	EXPECT_EQ(0, wait_no_frames_out(5000));
	EXPECT_EQ(0, ethtool_counter("driver_out_frames"));
	/* from guest memory */
	dma = ethtool_counter("driver_tx_dma_packets");
	ASSERT_EQ(LENGTH, sendto(plain, big, LENGTH, 0, &host.sa, len));
	EXPECT_LT(dma, ethtool_counter("driver_tx_dma_packets"));
	close(plain);
}

TEST_F(observe, ethtool)
{
	EXPECT_EQ(0, sh("ethtool -i " NETDEV " | grep -qx 'driver: snap'"));
	EXPECT_EQ(0, sh("ethtool -i " NETDEV " | grep -q 'bus-info: 0000:'"));
	EXPECT_EQ(0, sh("ethtool -S " NETDEV " | grep -Eq ' tx_packets: [1-9]'"));
	EXPECT_EQ(0, sh("ethtool -S " NETDEV " | grep -q ' driver_out_frames: '"));
	EXPECT_EQ(0, sh("ethtool -k " NETDEV " | grep -qx 'scatter-gather: on'"));
	EXPECT_EQ(0, sh("ethtool -l " NETDEV " | grep Combined: | uniq | "
			"grep -c 'Combined:.*[1-9]' | grep -qx 1"));
	EXPECT_EQ(0, sh("ethtool " NETDEV " | grep -q 'Speed: Unknown'"));
	EXPECT_EQ(0, sh("ethtool " NETDEV " | grep -q 'Link detected: yes'"));
	/* no rings */
	EXPECT_EQ(0, sh("ethtool -g " NETDEV " 2>&1 | grep -qi 'not supported'"));
}

TEST_HARNESS_MAIN
