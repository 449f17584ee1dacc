// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory control groups: what sockets cost is charged to who makes them, and a
 * group bounds AF_SNAP sockets as it bounds those of AF_INET: the kernel kills
 * a process that goes on, and its log tells of that.  In a machine of its own.
 *
 * Machines: auto-2
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define ROOT		"/sys/fs/cgroup"
#define GROUP		ROOT "/snap-test"
#define MIB		(1l << 20)
#define LENGTH		(64 * PAGE)

#define SOME		2000
#define SOCK_BYTES	400	/* that a struct snap_sock takes */
#define RECEIVE		(2 * MIB)	/* the kernel doubles it */
/* Packets that come in are charged even beyond the limit, and in batches. */
#define SLACK		(1 * MIB)

/* What a process in the group tells of itself, until it ends or is killed. */
struct progress {
	long sockets;
	long bytes;		/* that sockets have taken */
	long ref_bytes;		/* of them, by reference */
	long charged;		/* to the group, in the end */
	bool done;
	/* and what became of it */
	int signal;
	long peak;		/* bytes that were charged at one time */
};

FIXTURE(memcg)
{
	struct progress *at;	/* shared with those in the group */
};

FIXTURE_VARIANT(memcg)
{
	int type;
	int family;
	bool dev;		/* traffic goes to the host, which echoes */
};

FIXTURE_VARIANT_ADD(memcg, dgram4_lo) {
	.type = SOCK_DGRAM, .family = AF_INET,
};
FIXTURE_VARIANT_ADD(memcg, dgram6_dev) {
	.type = SOCK_DGRAM, .family = AF_INET6, .dev = true,
};
FIXTURE_VARIANT_ADD(memcg, stream6_lo) {
	.type = SOCK_STREAM, .family = AF_INET6,
};
FIXTURE_VARIANT_ADD(memcg, stream4_dev) {
	.type = SOCK_STREAM, .family = AF_INET, .dev = true,
};

FIXTURE_SETUP(memcg)
{
	const struct rlimit many = { 1 << 17, 1 << 17 };

	if (variant->dev && !(host_echo_port() && host_stream_port()))
		SKIP(return, "no peers on the host");
	if (write_text(ROOT "/cgroup.subtree_control", "+memory"))
		SKIP(return, "no control groups of version 2 for memory");
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &many));
	self->at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->at);
}

FIXTURE_TEARDOWN(memcg)
{
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

typedef const FIXTURE_VARIANT(memcg) * how;
typedef void (*body)(struct progress *at, how how, int domain);

/* In a group that may have so much memory, on one processor; 0: no limit. */
static struct progress run(struct progress *at, long limit, body body, how how,
			   int domain)
{
	char text[32];
	cpu_set_t one;
	int status;
	pid_t pid;

	memset(at, 0, sizeof(*at));
	snprintf(text, sizeof(text), "%ld", limit);
	mkdir(GROUP, 0755);
	if (write_text(GROUP "/memory.max", limit ? text : "max"))
		return *at;
	pid = fork();
	if (!pid) {
		CPU_ZERO(&one);
		CPU_SET(0, &one);
		if (sched_setaffinity(0, sizeof(one), &one) ||
		    write_text(GROUP "/cgroup.procs", "0"))
			_exit(1);
		body(at, how, domain);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	at->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	at->peak = read_number(GROUP "/memory.peak");
	rmdir(GROUP);
	return *at;
}

/* ---- What a socket costs ------------------------------------------------ */

/* A datagram socket, or a connected and an accepted one. */
static bool open_one(struct progress *at, how how, int domain)
{
	int fd[2];

	if (how->type == SOCK_DGRAM) {
		if (udp_socket(domain, how->family) < 0)
			return false;
		at->sockets++;
	} else {
		if (tcp_pair(domain, how->family, fd))
			return false;
		at->sockets += 2;
	}
	return true;
}

/*
 * What is charged to the group.  The kernel charges 256 KiB at once and keeps
 * what is left for the next ones, unless the limit is near: so it is for a
 * moment.  One descriptor, because another would be charged, and wait.
 */
static long charged(void)
{
	int fd = open(GROUP "/memory.high", O_WRONLY);
	bool good = write(fd, "0", 1) == 1 && write(fd, "max", 3) == 3;

	close(fd);
	return good ? read_number(GROUP "/memory.current") : -1;
}

static void open_some(struct progress *at, how how, int domain)
{
	long before = charged();

	while (at->sockets < SOME)
		if (!open_one(at, how, domain))
			return;
	/* inodes of sockets that were closed are freed after a grace period */
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	at->charged = charged() - before;
	at->done = before > 0 && at->charged > 0;
}

/* More than a socket of AF_INET, by about what the module keeps of each. */
TEST_F(memcg, charged)
{
	struct progress inet, snap;

	inet = run(self->at, 0, open_some, variant, variant->family);
	snap = run(self->at, 0, open_some, variant, AF_SNAP);
	ASSERT_TRUE(inet.done);
	ASSERT_TRUE(snap.done);
	EXPECT_GT(snap.charged - inet.charged, SOCK_BYTES * 7 / 8 * SOME);
	EXPECT_LT(snap.charged - inet.charged, SOCK_BYTES * 5 / 4 * SOME);
	TH_LOG("bytes of a socket: %ld, of AF_INET %ld", snap.charged / SOME,
	       inet.charged / SOME);
}

static void open_all(struct progress *at, how how, int domain)
{
	while (open_one(at, how, domain))
		;
	at->done = true;
}

/* A group of 8 MiB ends whoever opens sockets for ever. */
TEST_F(memcg, sockets_are_bounded)
{
	struct progress inet, snap;

	inet = run(self->at, 8 * MIB, open_all, variant, variant->family);
	snap = run(self->at, 8 * MIB, open_all, variant, AF_SNAP);
	EXPECT_EQ(inet.signal, snap.signal);
	EXPECT_EQ(inet.done, snap.done);
	EXPECT_GT(snap.sockets, inet.sockets / 2);
	EXPECT_LT(snap.sockets, inet.sockets);
	EXPECT_LE(snap.peak, 8 * MIB + SLACK);
	TH_LOG("%ld sockets, of AF_INET %ld", snap.sockets, inet.sockets);
}

/* ---- What they hold ----------------------------------------------------- */

/* fd[1] sends to fd[0], or to the host that sends it back. */
static bool connect_one(how how, int domain, int *fd)
{
	const char *host = how->family == AF_INET6 ? HOST6 : HOST4;
	int size = RECEIVE;
	socklen_t length;
	union address at;

	if (how->type == SOCK_STREAM) {
		if (how->dev)
			fd[0] = fd[1] = tcp_connect(domain, how->family, host,
						    host_stream_port());
		else if (tcp_pair(domain, how->family, fd))
			return false;
	} else {
		fd[1] = udp_socket(domain, how->family);
		if (how->dev)
			length = address_set(&at, how->family, host,
					     host_echo_port());
		fd[0] = how->dev ? fd[1] :
			udp_on_loopback(how->family, &at, &length);
		if (connect(fd[1], &at.sa, length))
			return false;
	}
	return !setsockopt(fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

/* From a region on AF_SNAP sockets. */
static char *buffer_for(int domain)
{
	static struct region r;

	if (domain != AF_SNAP)
		return malloc(LENGTH);
	return region_make(&r, LENGTH) ? NULL : r.p;
}

static unsigned int received(int fd)
{
	unsigned int info[SK_MEMINFO_VARS] = { 0 };
	socklen_t length = sizeof(info);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length);
	return info[SK_MEMINFO_RMEM_ALLOC];
}

/* Nothing comes in any more. */
static void settle(int fd)
{
	unsigned int before, now = received(fd);

	do {
		before = now;
		sleep_ms(50);
		now = received(fd);
	} while (now != before);
}

/* More than the kernel has charged in advance: so that a full group is seen. */
static void touch_memory(void)
{
	char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 1, MIB);
	munmap(p, MIB);
}

/* One socket after the other is filled, and nobody reads. */
static void send_unread(struct progress *at, how how, int domain)
{
	size_t part = how->type == SOCK_STREAM ? LENGTH : 60000;
	char *p = buffer_for(domain);
	int fd[2], i;
	ssize_t n;

	memset(p, 1, LENGTH);
	while (at->sockets < 32) {
		if (!connect_one(how, domain, fd))
			return;
		set_copybreak(fd[1], 0);
		at->sockets++;
		/* a datagram socket takes what its receiver drops, for ever */
		for (i = 0; i < 200; i++) {
			n = send(fd[1], p, part, MSG_DONTWAIT);
			if (n < 0)
				break;
			at->bytes += n;
			if (domain == AF_SNAP)
				at->ref_bytes = sock_stats(fd[1]).tx_ref_bytes;
		}
		settle(fd[0]);
		touch_memory();
	}
	at->done = true;
}

/* A group of 8 MiB, and sockets that would take many times as much. */
TEST_F(memcg, unread_is_bounded)
{
	/* beyond the limit, and seen then, is what one socket can receive */
	const long most = 8 * MIB + 2 * RECEIVE + SLACK;
	struct progress inet, snap;

	inet = run(self->at, 8 * MIB, send_unread, variant, variant->family);
	snap = run(self->at, 8 * MIB, send_unread, variant, AF_SNAP);
	EXPECT_EQ(inet.signal, snap.signal);
	EXPECT_EQ(inet.done, snap.done);
	EXPECT_GT(snap.ref_bytes, 0);
	EXPECT_LE(snap.peak, most);
	TH_LOG("%ld sockets took %ld bytes, peak %ld, signal %d; of AF_INET %ld, %ld, %ld, %d",
	       snap.sockets, snap.bytes, snap.peak, snap.signal, inet.sockets,
	       inet.bytes, inet.peak, inet.signal);
}

/* Who reads can send for ever. */
static void send_and_read(struct progress *at, how how, int domain)
{
	size_t part = how->type == SOCK_STREAM ? 10 * PAGE : 60000, got;
	char *p = buffer_for(domain), *back = malloc(LENGTH);
	int fd[2];

	if (!connect_one(how, domain, fd) || set_timeout(fd[0], 20000))
		return;
	set_copybreak(fd[1], 0);
	while (at->bytes < 32 * MIB) {
		fill_stream(p, part, at->bytes);
		if (send(fd[1], p, part, 0) != (ssize_t)part)
			return;
		memset(p, POISON, part);
		got = recv(fd[0], back, part, MSG_WAITALL);
		if (got != part || differs_stream(back, part, at->bytes) >= 0)
			return;
		at->bytes += part;
	}
	if (domain == AF_SNAP)
		at->ref_bytes = sock_stats(fd[1]).tx_ref_bytes;
	at->done = true;
}

TEST_F(memcg, works_in_little)
{
	struct progress snap;

	snap = run(self->at, 4 * MIB, send_and_read, variant, AF_SNAP);
	EXPECT_EQ(0, snap.signal);
	EXPECT_TRUE(snap.done);
	EXPECT_GE(snap.ref_bytes, 32 * MIB);
	EXPECT_LE(snap.peak, 4 * MIB);
}

TEST_HARNESS_MAIN
