// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames reach no other driver: whatever way they take to virtio0, its backend, of
 * vhost-user, gets addresses in its table of memory alone, and the right bytes.
 * Runs in a machine of its own, with peers/vhost-user.sh as the host's end.
 *
 * Machines: copy-2 debug
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/ip.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "bulk.h"
#include "kselftest_harness.h"
#include "vhost_user_seen.h"

#define LENGTH		30000u
#define LARGE_LENGTH	60000u
/* Packets after which the device knows that they are large. */
#define LEARNT		32
#define PAGES		8
/* Neither is an address of this machine; the host sends both to it. */
#define ROUTED4		VIRTIO_HOST4
#define BRIDGED4	"10.77.0.9"
#define VOUCH		"/proc/sys/net/snap/other_devices"
#define TO_VIRTIO	"action mirred egress redirect dev " VIRTIO_NETDEV

FIXTURE(edge)
{
	struct region r;
	int snapshot;
	const char *p;		/* of the snapshot */
	int out;		/* to virtio0 */
	int seen;		/* struct vhost_user_seen, as a file */
	uint64_t packets;	/* before the case, as the two below */
	uint64_t bad;
	uint64_t copied;
};

static uint64_t seen_number(int fd, size_t offset)
{
	uint64_t n = 0;

	return pread(fd, &n, sizeof(n), offset) == sizeof(n) ? n : ~0ull;
}

#define SEEN(self, member) \
	seen_number((self)->seen, offsetof(struct vhost_user_seen, member))

/* Does a packet come out whose payload are these bytes? */
static bool these_came_out(int seen, uint64_t packets, const char *want, size_t length)
{
	static struct vhost_user_seen now;
	uint64_t end = now_ms() + 5000;

	while (now_ms() < end) {
		if (pread(seen, &now, sizeof(now), 0) != sizeof(now))
			return false;
		if (now.packets > packets &&
		    memmem(now.last, now.length, want, length))
			return true;
		sleep_ms(10);
	}
	return false;
}

/* The same with the LENGTH bytes of that seed. */
static bool came_out(int seen, uint64_t packets, unsigned int seed)
{
	static char want[LENGTH];

	fill(want, LENGTH, seed);
	return these_came_out(seen, packets, want, LENGTH);
}

/* A socket whose peer is at the other end of virtio0. */
static int out_socket(void)
{
	int fd = udp_socket(AF_INET, AF_INET), on = 1;
	union address to;
	socklen_t length = address_set(&to, AF_INET, VIRTIO_HOST4, 9);

	if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) ||
	    connect(fd, &to.sa, length)) {
		close(fd);
		return -errno;
	}
	return fd;
}

static int virtio_up(void)
{
	return sh("echo 1 >/proc/sys/net/ipv6/conf/" VIRTIO_NETDEV "/disable_ipv6; "
		  "ip addr replace 10.78.0.2/24 dev " VIRTIO_NETDEV " && "
		  "ip link set " VIRTIO_NETDEV " up && "
		  "ip neigh replace " VIRTIO_HOST4 " lladdr 02:00:00:00:00:01 dev "
		  VIRTIO_NETDEV);
}

FIXTURE_SETUP(edge)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/vhost-user", getenv("SNAP_VM_SHARE"));
	self->seen = open(path, O_RDONLY);
	if (self->seen < 0 || !host_echo_port())
		SKIP(return, "no backend, or no echo server on the host");
	ASSERT_EQ(0, virtio_up());
	ASSERT_EQ(0, region_make(&self->r, PAGES * PAGE));
	fill(self->r.p, LENGTH, 1);
	self->snapshot = snapshot_fd(self->r.fd, NULL);
	ASSERT_GE(self->snapshot, 0);
	self->p = snapshot_map(self->snapshot, PAGES * PAGE);
	ASSERT_NE(MAP_FAILED, self->p);
	self->out = out_socket();
	ASSERT_GE(self->out, 0);
	self->copied = ethtool_counter("driver_edge_bytes");
	self->packets = SEEN(self, packets);
	self->bad = SEEN(self, bad);
}

FIXTURE_TEARDOWN(edge)
{
	sh("tc qdisc del dev " NETDEV " clsact 2>/dev/null; "
	   "tc qdisc del dev lo clsact 2>/dev/null; "
	   "echo 0 >/proc/sys/net/ipv4/ip_forward");
	EXPECT_EQ(0, write_text(VOUCH, "0"));
	close(self->out);
	munmap((void *)self->p, PAGES * PAGE);
	close(self->snapshot);
	region_drop(&self->r);
	close(self->seen);
	EXPECT_EQ(0, wait_no_frames_out(5000));
	EXPECT_EQ(0, ethtool_counter("driver_edge_dropped"));
}

/* All from where the backend can read. */
#define EXPECT_NONE_BAD(self)						\
	EXPECT_EQ((self)->bad, SEEN(self, bad))				\
		TH_LOG("nothing at %llx",				\
		       (unsigned long long)SEEN(self, address))

/* Came as it was sent, too. */
#define EXPECT_CAME_OUT(self, seed) do {				\
	EXPECT_TRUE(came_out((self)->seen, (self)->packets, seed));	\
	EXPECT_NONE_BAD(self);						\
} while (0)

#define EXPECT_COPIED_AT_EDGE(self)					\
	EXPECT_LE((self)->copied + LENGTH, ethtool_counter("driver_edge_bytes"))

#define EXPECT_NOT_COPIED_AT_EDGE(self)					\
	EXPECT_EQ((self)->copied, ethtool_counter("driver_edge_bytes"))

/* ---- What this machine sends -------------------------------------------- */

/* What the completion of a MSG_ZEROCOPY says; -1: there is none. */
static int zerocopy_code(int fd)
{
	char control[128];
	struct msghdr msg = {
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct pollfd ready = { .fd = fd };
	struct cmsghdr *c;

	if (poll(&ready, 1, 5000) != 1 || recvmsg(fd, &msg, MSG_ERRQUEUE) < 0)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	return c ? ((struct sock_extended_err *)CMSG_DATA(c))->ee_code : -1;
}

/* By any user: it takes no more than /dev/snap. */
TEST_F(edge, zerocopy)
{
	ASSERT_EQ(LENGTH, send(self->out, self->p, LENGTH, MSG_ZEROCOPY));
	EXPECT_CAME_OUT(self, 1);
	EXPECT_COPIED_AT_EDGE(self);
	EXPECT_EQ(SO_EE_CODE_ZEROCOPY_COPIED, zerocopy_code(self->out));
}

/* Without it this test could not fail: the backend does see what is wrong. */
TEST_F(edge, vouched)
{
	ASSERT_EQ(0, write_text(VOUCH, "1"));
	ASSERT_EQ(LENGTH, send(self->out, self->p, LENGTH, MSG_ZEROCOPY));
	EXPECT_EQ(0, zerocopy_code(self->out));
	EXPECT_EQ(0, write_text(VOUCH, "0"));
	EXPECT_EQ(self->bad + 1, SEEN(self, bad));
	EXPECT_NOT_COPIED_AT_EDGE(self);
}

TEST_F(edge, other_namespace)
{
	EXPECT_EQ(0, sh("ip netns add there && "
			"ip link set " VIRTIO_NETDEV " netns there && "
			"ip netns exec there ip link set " VIRTIO_NETDEV
			" netns 1; ip netns del there"));
	ASSERT_EQ(0, virtio_up());
	ASSERT_EQ(LENGTH, send(self->out, self->p, LENGTH, MSG_ZEROCOPY));
	EXPECT_CAME_OUT(self, 1);
	EXPECT_COPIED_AT_EDGE(self);
}

/* The frames go on as they are: lo is where they are read. */
TEST_F(edge, loopback)
{
	int tx = udp_socket(AF_SNAP, AF_INET), rx;
	static char back[LENGTH];
	union address at;
	socklen_t length;

	rx = udp_on_loopback(AF_INET, &at, &length);
	ASSERT_EQ(0, connect(tx, &at.sa, length));
	ASSERT_EQ(LENGTH, send(tx, self->r.p, LENGTH, 0));
	ASSERT_EQ(LENGTH, recv(rx, back, LENGTH, 0));
	EXPECT_EQ(1, sock_stats(tx).tx_ref_msgs);
	EXPECT_NOT_COPIED_AT_EDGE(self);
	/* until somebody redirects what lo receives */
	ASSERT_EQ(0, sh("tc qdisc add dev lo clsact && "
			"tc filter add dev lo ingress matchall " TO_VIRTIO));
	ASSERT_EQ(LENGTH, send(tx, self->r.p, LENGTH, 0));
	EXPECT_CAME_OUT(self, 1);
	EXPECT_COPIED_AT_EDGE(self);
	close(tx);
	close(rx);
}

/* TCP keeps a clone of what it sends, which shares the fragments. */
TEST_F(edge, clones)
{
	struct snap_sock_stats stats;
	static char back[LENGTH];
	int fd[2];

	ASSERT_EQ(0, tcp_pair(AF_SNAP, AF_INET, fd));
	ASSERT_EQ(0, sh("tc qdisc add dev lo clsact"));
	ASSERT_EQ(LENGTH, send(fd[1], self->r.p, LENGTH, 0));
	fill(self->r.p, LENGTH, 2);
	ASSERT_EQ(LENGTH, recv(fd[0], back, LENGTH, MSG_WAITALL));
	EXPECT_EQ(-1, differs(back, LENGTH, 1));
	stats = sock_stats(fd[1]);
	EXPECT_EQ(LENGTH, stats.tx_ref_bytes);
	EXPECT_COPIED_AT_EDGE(self);
	close(fd[0]);
	close(fd[1]);
}

TEST_F(edge, tc_egress)
{
	int tx = udp_socket(AF_SNAP, AF_INET);
	union address to;
	socklen_t length = address_set(&to, AF_INET, HOST4, 9);

	ASSERT_EQ(0, connect(tx, &to.sa, length));
	ASSERT_EQ(0, sh("tc qdisc add dev " NETDEV " clsact && tc filter add dev "
			NETDEV " egress protocol ip flower ip_proto udp "
			TO_VIRTIO));
	ASSERT_EQ(LENGTH, send(tx, self->r.p, LENGTH, 0));
	EXPECT_EQ(1, sock_stats(tx).tx_ref_msgs);
	EXPECT_CAME_OUT(self, 1);
	EXPECT_COPIED_AT_EDGE(self);
	close(tx);
}

/* A veth passes them on, unless what its peer receives is redirected. */
TEST_F(edge, veth)
{
	int fd = udp_socket(AF_INET, AF_INET), on = 1;
	union address to;
	socklen_t length = address_set(&to, AF_INET, "10.79.0.9", 9);

	ASSERT_EQ(0, sh("ip link add here type veth peer name there && "
			"ip link set here mtu 65000 up && "
			"ip link set there mtu 65000 up && "
			"ip addr add 10.79.0.1/24 dev here && "
			"ip neigh add 10.79.0.9 lladdr 02:00:00:00:00:01 dev here"));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)));
	ASSERT_EQ(0, connect(fd, &to.sa, length));
	ASSERT_EQ(LENGTH, send(fd, self->p, LENGTH, MSG_ZEROCOPY));
	EXPECT_NOT_COPIED_AT_EDGE(self);
	ASSERT_EQ(0, sh("tc qdisc add dev there clsact && "
			"tc filter add dev there ingress matchall " TO_VIRTIO));
	ASSERT_EQ(LENGTH, send(fd, self->p, LENGTH, MSG_ZEROCOPY));
	EXPECT_CAME_OUT(self, 1);
	EXPECT_COPIED_AT_EDGE(self);
	close(fd);
	EXPECT_EQ(0, sh("ip link del here"));
}

/* ---- What it has received ----------------------------------------------- */

TEST_F(edge, spliced)
{
	int tcp = tcp_connect(AF_INET, AF_INET, HOST4, host_stream_port());
	uint64_t end = now_ms() + 5000;
	int pipes[2], there = 0;
	ssize_t n;

	ASSERT_GE(tcp, 0);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_LT(0, fcntl(pipes[1], F_SETPIPE_SZ, 64 * PAGE));
	fill(self->r.p, LENGTH, 2);
	ASSERT_EQ(LENGTH, send(tcp, self->r.p, LENGTH, 0));
	while (there < LENGTH && now_ms() < end) {
		n = splice(tcp, NULL, pipes[1], NULL, LENGTH - there, 0);
		ASSERT_LT(0, n);
		there += n;
	}
	ASSERT_EQ(LENGTH, splice(pipes[0], NULL, self->out, NULL, LENGTH, 0));
	EXPECT_CAME_OUT(self, 2);
	/* what came in small pieces has been in pages anyway */
	EXPECT_LT(self->copied + LENGTH / 2, ethtool_counter("driver_edge_bytes"));
	close(pipes[0]);
	close(pipes[1]);
	close(tcp);
}

/* One piece of a large frame: all of it is copied. */
TEST_F(edge, spliced_large)
{
	struct bulk b;
	int pipes[2];

	ASSERT_EQ(0, bulk_open(&b, AF_INET));
	ASSERT_EQ(0, bulk_pipe(pipes));
	ASSERT_TRUE(bulk_is_large(&b));
	ASSERT_TRUE(bulk_splice(&b, pipes, LENGTH));
	EXPECT_NOT_COPIED_AT_EDGE(self);
	ASSERT_EQ(LENGTH, splice(pipes[0], NULL, self->out, NULL, LENGTH, 0));
	fill_stream(b.out, LENGTH, b.at);
	EXPECT_TRUE(these_came_out(self->seen, self->packets, b.out, LENGTH));
	EXPECT_NONE_BAD(self);
	EXPECT_COPIED_AT_EDGE(self);
	close(pipes[0]);
	close(pipes[1]);
	bulk_close(&b);
}

/* The host answers to `source`, an address of somebody else. */
static bool ask_for_answer_of(const char *source, const char *p, size_t bytes)
{
	int fd = udp_socket(AF_INET, AF_INET), on = 1;
	union address from, to;
	socklen_t length = address_set(&from, AF_INET, source, 7777);
	bool sent;

	setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof(on));
	sent = !bind(fd, &from.sa, length);
	address_set(&to, AF_INET, HOST4, host_echo_port());
	sent = sent && sendto(fd, p, bytes, 0, &to.sa, length) == bytes;
	close(fd);
	return sent;
}

static bool ask_for_answer(const char *source, const char *p)
{
	return ask_for_answer_of(source, p, LENGTH);
}

TEST_F(edge, forwarded)
{
	ASSERT_EQ(0, sh("echo 1 >/proc/sys/net/ipv4/ip_forward"));
	fill(self->r.p, LENGTH, 3);
	ASSERT_TRUE(ask_for_answer(ROUTED4, self->r.p));
	EXPECT_CAME_OUT(self, 3);
	EXPECT_COPIED_AT_EDGE(self);
}

/* The fragment is a large frame as a whole. */
TEST_F(edge, forwarded_large)
{
	uint64_t large = bulk_large_packets();
	static char p[LARGE_LENGTH];
	int i;

	ASSERT_EQ(0, sh("echo 1 >/proc/sys/net/ipv4/ip_forward"));
	for (i = 0; i < 2 * LEARNT; i++) {
		fill(p, LARGE_LENGTH, 10 + i);
		ASSERT_TRUE(ask_for_answer_of(ROUTED4, p, LARGE_LENGTH));
		EXPECT_TRUE(these_came_out(self->seen, self->packets + i, p,
					   LARGE_LENGTH));
	}
	EXPECT_NONE_BAD(self);
	EXPECT_LE(large + LEARNT / 2, bulk_large_packets());
	EXPECT_LE(self->copied + i * (uint64_t)LARGE_LENGTH,
		  ethtool_counter("driver_edge_bytes"));
}

/* Past the hook of virtio0: copied as it came in. */
TEST_F(edge, tc_ingress)
{
	ASSERT_EQ(0, sh("tc qdisc add dev " NETDEV " clsact && tc filter add dev "
			NETDEV " ingress protocol ip flower ip_proto udp "
			TO_VIRTIO));
	fill(self->r.p, LENGTH, 4);
	ASSERT_TRUE(ask_for_answer(GUEST4, self->r.p));
	EXPECT_CAME_OUT(self, 4);
	EXPECT_NOT_COPIED_AT_EDGE(self);
}

TEST_F(edge, bridged)
{
	/* of what comes out the last is kept: nothing is to follow by itself */
	ASSERT_EQ(0, sh("ip link add bridge0 type bridge mcast_snooping 0 && "
			"echo 1 >/proc/sys/net/ipv6/conf/bridge0/disable_ipv6 && "
			"ip link set " NETDEV " master bridge0 && "
			"ip link set " VIRTIO_NETDEV " master bridge0 && "
			"ip addr flush dev " NETDEV " && "
			"ip addr add " GUEST4 "/24 dev bridge0 && "
			"ip link set bridge0 up"));
	fill(self->r.p, LENGTH, 5);
	ASSERT_TRUE(ask_for_answer(BRIDGED4, self->r.p));
	EXPECT_CAME_OUT(self, 5);
	EXPECT_COPIED_AT_EDGE(self);
	/* redirected by the bridge, as a packet for itself */
	ASSERT_EQ(0, sh("ip link set " VIRTIO_NETDEV " nomaster && "
			"tc qdisc add dev bridge0 clsact && "
			"tc filter add dev bridge0 ingress protocol ip "
			"flower ip_proto udp " TO_VIRTIO));
	self->copied = ethtool_counter("driver_edge_bytes");
	fill(self->r.p, LENGTH, 6);
	ASSERT_TRUE(ask_for_answer(GUEST4, self->r.p));
	EXPECT_CAME_OUT(self, 6);
	EXPECT_NOT_COPIED_AT_EDGE(self);
	EXPECT_EQ(0, sh("ip link del bridge0"));
	EXPECT_EQ(0, netdev_up());
}

TEST_HARNESS_MAIN
