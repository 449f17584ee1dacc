// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams for longer: a gigabyte over a bad network whose sender overwrites
 * its only buffer all the time, a call of a gigabyte that must not take the
 * pool, thousands of connections.  In a machine of its own.
 *
 * A capture is either shared or copied, whoever chooses: hence not with auto.
 *
 * Machines: share-2 copy-2
 */

#define _GNU_SOURCE
#include <endian.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define GIB		(1ull << 30)
#define REGION		(4096 * PAGE)
#define STOP_EVERY	(256ull << 20)
#define CYCLES		10000
#define SOCKETS		200

/*
 * What comes out until the end is the stream, of which REGION bytes repeat.  It
 * stops reading now and then.
 */
static bool reads_stream(int rx, uint64_t length, bool repeats)
{
	const size_t room = 1 << 20;
	char *back = malloc(room);
	uint64_t at = 0, stop = STOP_EVERY;
	bool good = true;

	while (good) {
		ssize_t n = recv(rx, back, room, 0);
		size_t first = n;

		if (n <= 0)
			break;
		if (repeats && at % REGION + n > REGION)
			first = REGION - at % REGION;
		good = differs_stream(back, first, repeats ? at % REGION : at) < 0 &&
		       differs_stream(back + first, n - first, 0) < 0;
		at += n;
		if (at >= stop) {
			wait_until_still(rx);
			stop += STOP_EVERY;
		}
	}
	free(back);
	return good && at == length;
}

/* A child that reads all; its exit status is the verdict. */
static pid_t child_reads(const int *fd, uint64_t length, bool repeats)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fd[1]);
		_exit(!reads_stream(fd[0], length, repeats));
	}
	return pid;
}

static bool ends_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

FIXTURE(stream_long)
{
	struct region r;
	int fd[2];	/* fd[0] has accepted fd[1] */
};

FIXTURE_SETUP(stream_long)
{
	ASSERT_EQ(0, region_make(&self->r, REGION));
	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, self->fd));
	signal(SIGPIPE, SIG_IGN);
}

FIXTURE_TEARDOWN(stream_long)
{
	sh("tc qdisc del dev lo root 2>/dev/null");
	sh("tc qdisc del dev " NETDEV " root 2>/dev/null");
	region_drop(&self->r);
	EXPECT_EQ(0, wait_no_guest_frames(20000));
}

/* Losses, packets that come too early: the peers on this interface see both. */
static int bad_network(const char *netdev)
{
	return sh("tc qdisc add dev %s root netem limit 10000 delay 1ms reorder 10%% loss 1%%",
		  netdev);
}

/* A gigabyte from the same `step` bytes, written again after each call. */
static bool send_gigabyte(int fd, const struct region *r, size_t step)
{
	uint64_t at;

	for (at = 0; at < GIB; at += step) {
		fill_stream(r->p, step, at);
		if (send(fd, r->p, step, 0) != (ssize_t)step)
			return false;
	}
	memset(r->p, POISON, step);
	return true;
}

/* What has to be true of the sender afterwards; else nothing was tried. */
static void by_reference_and_bad(struct __test_metadata *_metadata, int fd)
{
	struct snap_sock_stats stats = sock_stats(fd);
	struct tcp_info info = tcp_info_of(fd);

	EXPECT_EQ(GIB, stats.tx_ref_bytes + stats.tx_copied_bytes);
	EXPECT_GT(stats.tx_ref_bytes, GIB / 10 * 9);
	EXPECT_GT(info.tcpi_total_retrans, 0);
	EXPECT_GT(info.tcpi_reord_seen, 0);
	EXPECT_GT(info.tcpi_rwnd_limited, 200000);	/* us */
	TH_LOG("%llu bytes by reference, %llu copied; %u packets again, %u early, %llu ms without room",
	       stats.tx_ref_bytes, stats.tx_copied_bytes, info.tcpi_total_retrans,
	       info.tcpi_reord_seen, info.tcpi_rwnd_limited / 1000);
}

/* Promise 1 where TCP sends again, and where nobody reads for a while. */
TEST_F_TIMEOUT(stream_long, overwritten_and_lost, 300)
{
	pid_t pid;

	ASSERT_EQ(0, bad_network("lo"));
	pid = child_reads(self->fd, GIB, false);
	ASSERT_GT(pid, 0);
	close(self->fd[0]);
	EXPECT_TRUE(send_gigabyte(self->fd[1], &self->r, REGION));
	by_reference_and_bad(_metadata, self->fd[1]);
	close(self->fd[1]);
	EXPECT_TRUE(ends_well(pid));
}

/*
 * The same to the host, who says how many bytes were right.  Nor did the qdisc
 * copy: the device took from frames whatever went by reference.
 */
TEST_F_TIMEOUT(stream_long, overwritten_and_lost_by_device, 300)
{
	uint64_t from_frames = dev_counter(SNAP_CTR_TX_FRAME_BYTES), right = 0;
	int fd;

	close(self->fd[0]);
	close(self->fd[1]);
	if (!host_stream_sink_port())
		SKIP(return, "no sink on the host");
	fd = tcp_connect(AF_SNAP, AF_INET, HOST4, host_stream_sink_port());
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, bad_network(NETDEV));
	EXPECT_TRUE(send_gigabyte(fd, &self->r, 256 * PAGE));
	ASSERT_EQ(0, shutdown(fd, SHUT_WR));
	ASSERT_EQ(sizeof(right), recv(fd, &right, sizeof(right), MSG_WAITALL));
	EXPECT_EQ(GIB, be64toh(right));
	by_reference_and_bad(_metadata, fd);
	from_frames = dev_counter(SNAP_CTR_TX_FRAME_BYTES) - from_frames;
	EXPECT_GE(from_frames, sock_stats(fd).tx_ref_bytes);
	close(fd);
}

/* Somebody else gets what the host sends back, all of it. */
static int other_user(void)
{
	union address at;
	socklen_t length = address_set(&at, AF_INET, HOST4, host_echo_port());
	int i, fd = udp_socket(AF_SNAP, AF_INET);
	static char text[40000], back[40000];

	if (setgid(65534) || setuid(65534) || set_timeout(fd, 5000) ||
	    connect(fd, &at.sa, length))
		return 1;
	for (i = 0; i < 50; i++) {
		fill(text, sizeof(text), i);
		if (send(fd, text, sizeof(text), 0) != sizeof(text) ||
		    recv(fd, back, sizeof(back), 0) != sizeof(back) ||
		    differs(back, sizeof(back), i) >= 0)
			return 2 + i;
	}
	return 0;
}

/* A call of a gigabyte holds what TCP may have under way, and no more. */
TEST_F_TIMEOUT(stream_long, call_is_bounded, 300)
{
	struct iovec iov[GIB / REGION];
	struct snap_info info;
	pid_t sender, other, reader;
	size_t i;

	ASSERT_NE(0, host_echo_port());
	fill_stream(self->r.p, REGION, 0);
	for (i = 0; i < GIB / REGION; i++)
		iov[i] = (struct iovec){ self->r.p, REGION };
	sender = fork();
	ASSERT_GE(sender, 0);
	if (!sender) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(self->fd[0]);
		_exit(writev(self->fd[1], iov, i) != (ssize_t)GIB);
	}
	close(self->fd[1]);

	/* nobody reads: it waits, full */
	sleep_ms(1000);
	ASSERT_EQ(0, dev_info(&info));
	EXPECT_GT(info.out_frames, 0);
	EXPECT_LT(info.out_frames, info.pool_frames / 2);
	EXPECT_GT(info.free_frames, info.pool_frames / 4);
	other = fork();
	ASSERT_GE(other, 0);
	if (!other)
		_exit(other_user());
	EXPECT_TRUE(ends_well(other));
	EXPECT_EQ(0, waitpid(sender, NULL, WNOHANG));

	reader = child_reads((int[]){ self->fd[0], -1 }, GIB, true);
	ASSERT_GT(reader, 0);
	close(self->fd[0]);
	EXPECT_TRUE(ends_well(sender));
	EXPECT_TRUE(ends_well(reader));
}

/* ---- Many connections --------------------------------------------------- */

/* How many TCP sockets the kernel has, of all kinds. */
static long tcp_sockets(void)
{
	FILE *f = fopen("/proc/net/sockstat", "r");
	long alloc = -1, tw = 0;
	char line[200];

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "TCP: inuse %*d orphan %*d tw %ld alloc %ld", &tw, &alloc);
	if (f)
		fclose(f);
	return alloc < 0 ? alloc : alloc + tw;
}

/* kB that the kernel cannot reclaim. */
static long slab_kb(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[200];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "SUnreclaim: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

static int listed(void)
{
	FILE *f = fopen("/proc/net/snap", "r");
	char line[400];
	int n = -1;	/* the heading */

	while (f && fgets(line, sizeof(line), f))
		n++;
	if (f)
		fclose(f);
	return n;
}

/* Connect, send by reference, accept, read, close: by reset, without a trace. */
static bool cycle(int listener, const union address *at, socklen_t length,
		  const struct region *r)
{
	const size_t bytes = 2 * PAGE;
	struct linger reset = { .l_onoff = 1 };
	static char back[2 * PAGE];
	int tx = tcp_socket(AF_SNAP, AF_INET), rx = -1;
	bool good;

	good = tx >= 0 && !connect(tx, &at->sa, length) &&
	       send(tx, r->p, bytes, 0) == (ssize_t)bytes &&
	       (rx = accept(listener, NULL, NULL)) >= 0 &&
	       recv(rx, back, bytes, MSG_WAITALL) == (ssize_t)bytes &&
	       !memcmp(back, r->p, bytes) &&
	       sock_stats(tx).tx_ref_bytes == bytes &&
	       !setsockopt(tx, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(tx);
	close(rx);
	return good;
}

TEST_F_TIMEOUT(stream_long, cycles, 300)
{
	long sockets, kb, grown = 0;
	socklen_t length;
	union address at;
	int i, listener;

	listener = tcp_listen_on_loopback(AF_SNAP, AF_INET, &at, &length);
	ASSERT_GE(listener, 0);
	ASSERT_EQ(0, set_copybreak(listener, 0));
	fill_stream(self->r.p, REGION, 0);
	/* caches have grown after the first ones */
	for (i = 0; i < CYCLES / 10; i++)
		ASSERT_TRUE(cycle(listener, &at, length, &self->r));
	sockets = tcp_sockets();
	kb = slab_kb();
	for (; i < CYCLES; i++)
		ASSERT_TRUE(cycle(listener, &at, length, &self->r));
	for (i = 0; i < 100; i++) {
		grown = slab_kb() - kb;
		if (tcp_sockets() <= sockets && grown < 1024)
			break;
		sleep_ms(100);
	}
	EXPECT_LE(tcp_sockets(), sockets);
	EXPECT_EQ(3, listed());	/* the listener and the fixture's pair */
	/* a leak of any object would be of 9,000 of them */
	if (!debug_kernel())
		EXPECT_LT(grown, 1024);
	close(listener);
	close(self->fd[0]);
	close(self->fd[1]);
}

TEST_F_TIMEOUT(stream_long, many_at_once, 300)
{
	static int pair[SOCKETS][2];
	static char back[2 * PAGE];
	long sockets = tcp_sockets();
	int i;

	for (i = 0; i < SOCKETS; i++) {
		ASSERT_EQ(0, tcp_pair(AF_SNAP, i % 2 ? AF_INET : AF_INET6, pair[i]));
		fill(self->r.p, sizeof(back), i);
		ASSERT_EQ((ssize_t)sizeof(back),
			  send(pair[i][1], self->r.p, sizeof(back), 0));
	}
	memset(self->r.p, POISON, sizeof(back));
	EXPECT_EQ(2 * SOCKETS + 2, listed());
	for (i = 0; i < SOCKETS; i++) {
		struct linger reset = { .l_onoff = 1 };

		ASSERT_EQ((ssize_t)sizeof(back),
			  recv(pair[i][0], back, sizeof(back), MSG_WAITALL));
		ASSERT_EQ(-1, differs(back, sizeof(back), i));
		ASSERT_EQ(sizeof(back), sock_stats(pair[i][1]).tx_ref_bytes);
		setsockopt(pair[i][0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(pair[i][0]);
		close(pair[i][1]);
	}
	for (i = 0; i < 100 && tcp_sockets() > sockets; i++)
		sleep_ms(100);
	EXPECT_LE(tcp_sockets(), sockets);
	close(self->fd[0]);
	close(self->fd[1]);
}

TEST_HARNESS_MAIN
