// SPDX-License-Identifier: GPL-2.0-only
/*
 * Promise 8: frames come home after close, kill, link down and up, unbinding
 * the driver, and reloading the module; and while they are out they hold the
 * module.  These tests take the device away and bring it back, so they run
 * after all others, in the order of the file.
 *
 * Machines: share-2 copy-2 share-1 asan debug newest
 * Paths: thread-* main-* *-share-*
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define DRIVER	"/sys/bus/pci/drivers/snap/"
#define LENGTH	60000

/* Where the device sits; found once, before it goes. */
static char pci_name[64];
static char buffer[LENGTH];

static bool find_device(void)
{
	char link[256];
	ssize_t n = readlink("/sys/class/net/" NETDEV "/device", link,
			     sizeof(link) - 1);

	if (n <= 0)
		return false;
	link[n] = 0;
	snprintf(pci_name, sizeof(pci_name), "%.60s", strrchr(link, '/') + 1);
	return true;
}

/* An AF_SNAP socket that is left unread, and messages for it by reference. */
struct unread {
	int fd;
	int from;
	struct region r;
};

/* Frames are out afterwards; 0 or -1. */
static int unread_make(struct unread *u, int messages)
{
	union address at;
	socklen_t length = address_set(&at, AF_INET, "127.0.0.1", 0);
	int size = 1 << 22;

	u->fd = udp_socket(AF_SNAP, AF_INET);
	u->from = udp_socket(AF_SNAP, AF_INET);
	if (u->fd < 0 || u->from < 0 || region_make(&u->r, 16 * PAGE) ||
	    bind(u->fd, &at.sa, length) || getsockname(u->fd, &at.sa, &length) ||
	    setsockopt(u->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		return -1;
	while (messages--) {
		fill(u->r.p, LENGTH, messages);
		if (sendto(u->from, u->r.p, LENGTH, 0, &at.sa, length) != LENGTH)
			return -1;
	}
	return sock_stats(u->from).tx_ref_msgs ? 0 : -1;
}

static int unread_connect(struct unread *u)
{
	union address at;
	socklen_t length = sizeof(at);

	return getsockname(u->fd, &at.sa, &length) || connect(u->from, &at.sa, length);
}

/* Let go of everything but the unread messages. */
static void unread_keep_only_messages(struct unread *u)
{
	close(u->from);
	region_drop(&u->r);
	u->from = -1;
}

static void unread_drop(struct unread *u)
{
	if (u->from >= 0)
		unread_keep_only_messages(u);
	close(u->fd);
}

FIXTURE(frames)
{
	struct snap_info before;
	uint64_t bad_entries;
};

FIXTURE_SETUP(frames)
{
	ASSERT_TRUE(find_device());
	ASSERT_EQ(0, wait_no_frames_out(5000));
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	ASSERT_EQ(0, dev_info(&self->before));
	self->bad_entries = dev_counter(SNAP_CTR_BAD_ENTRY);
}

FIXTURE_TEARDOWN(frames)
{
	struct snap_info after;

	EXPECT_EQ(0, wait_no_frames_out(5000));
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	EXPECT_LE(self->before.free_frames,
		  wait_free_frames(self->before.free_frames, 2000));
	EXPECT_EQ(0, dev_info(&after));
	EXPECT_EQ(self->before.used_frames, after.used_frames);
	EXPECT_EQ(0, dev_counter(SNAP_CTR_REGION_FRAMES) - after.used_frames);
	EXPECT_EQ(0, dev_counter(SNAP_CTR_RESERVED_FRAMES));
	EXPECT_EQ(self->bad_entries, dev_counter(SNAP_CTR_BAD_ENTRY));
}

TEST_F(frames, after_close)
{
	struct unread u;
	struct snap_info info;

	ASSERT_EQ(0, unread_make(&u, 20));
	ASSERT_EQ(0, dev_info(&info));
	EXPECT_GE(info.out_frames, 20 * LENGTH / PAGE);
	EXPECT_GE(dev_counter(SNAP_CTR_GUEST_FRAMES), 20 * LENGTH / PAGE);
	unread_drop(&u);
}

/* How many are to go out and come home. */
static uint64_t many_frames(void)
{
	const char *text = getenv("SNAP_MANY_FRAMES");

	if (text)
		return strtoull(text, NULL, 0);
	return debug_kernel() ? 5000 : 50000;
}

/* Message after message, of pages that are stored to meanwhile, and all are home. */
TEST_F_TIMEOUT(frames, many, 3000)
{
	uint64_t before = dev_counter(SNAP_CTR_RELEASED), end = before + many_frames();
	struct unread u;
	int i = 0;

	ASSERT_EQ(0, unread_make(&u, 1));
	ASSERT_EQ(LENGTH, recv(u.fd, buffer, LENGTH, 0));
	ASSERT_EQ(0, unread_connect(&u));
	while (dev_counter(SNAP_CTR_RELEASED) < end) {
		int last = i + 100;

		for (; i < last; i++) {
			fill(u.r.p + i % 14 * PAGE, PAGE, i);
			ASSERT_EQ(LENGTH, send(u.from, u.r.p, LENGTH, 0));
			ASSERT_EQ(LENGTH, recv(u.fd, buffer, LENGTH, 0));
		}
		ASSERT_EQ(0, memcmp(buffer, u.r.p, LENGTH));
	}
	unread_drop(&u);
	TH_LOG("%lu frames", dev_counter(SNAP_CTR_RELEASED) - before);
}

TEST_F(frames, after_kill)
{
	int pipes[2];
	char byte = 1;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (!pid) {
		struct unread u[5];
		int i;

		for (i = 0; i < 5; i++)
			if (unread_make(&u[i], 5))
				byte = 0;
		if (write(pipes[1], &byte, 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	EXPECT_EQ(1, byte);
	EXPECT_GT(dev_counter(SNAP_CTR_GUEST_FRAMES), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Packets in a qdisc go with the link. */
TEST_F(frames, after_link_down)
{
	struct unread u;
	union address to;
	socklen_t length = address_set(&to, AF_INET, HOST4, 9);
	int i;

	ASSERT_EQ(0, unread_make(&u, 1));
	ASSERT_EQ(2, sendto(u.from, "hi", 2, 0, &to.sa, length));
	sleep_ms(100);
	ASSERT_EQ(0, sh("tc qdisc add dev " NETDEV " root netem delay 30s"));
	for (i = 0; i < 5; i++)
		ASSERT_EQ(LENGTH, sendto(u.from, u.r.p, LENGTH, 0, &to.sa, length));
	unread_drop(&u);
	EXPECT_GE(qdisc_bytes(NETDEV), 5 * LENGTH);
	EXPECT_GT(dev_counter(SNAP_CTR_GUEST_FRAMES), 0);
	EXPECT_EQ(0, sh("ip link set " NETDEV " down"));
	EXPECT_EQ(0, wait_no_guest_frames(5000));
	EXPECT_EQ(0, sh("ip link set " NETDEV " up"));
	EXPECT_EQ(0, sh("tc qdisc del dev " NETDEV " root"));
	EXPECT_EQ(0, sh("ip addr replace " GUEST6 "/64 dev " NETDEV " nodad"));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
}

/* The device asks nobody for whom a packet is. */
TEST_F(frames, address_changes_while_up)
{
	const char *address = "52:54:00:12:34:99";
	char before[32];
	FILE *f = fopen("/sys/class/net/" NETDEV "/address", "r");

	ASSERT_NE(NULL, f);
	ASSERT_NE(NULL, fgets(before, sizeof(before), f));
	fclose(f);
	before[strcspn(before, "\n")] = 0;
	EXPECT_EQ(0, sh("ip link set " NETDEV " address %s", address));
	EXPECT_EQ(0, sh("ip link show " NETDEV " | grep -q %s", address));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	EXPECT_EQ(0, sh("ip link set " NETDEV " address %s", before));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
}

static int unload(void)
{
	sh("rmmod snap_diag 2>/dev/null");
	return sh("rmmod snap 2>/dev/null");
}

static bool reload_works(void)
{
	return !module_load() && !netdev_up() &&
	       !sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null");
}

/* Nothing but frames holds the module. */
TEST_F(frames, hold_the_module)
{
	struct unread u;
	struct unread other;
	union address to;
	socklen_t length;
	int plain = udp_on_loopback(AF_INET, &to, &length);

	/* a plain UDP socket has the frames: no AF_SNAP socket is left */
	ASSERT_GE(plain, 0);
	ASSERT_EQ(0, unread_make(&other, 1));
	ASSERT_EQ(LENGTH, sendto(other.from, other.r.p, LENGTH, 0, &to.sa, length));
	unread_drop(&other);
	EXPECT_GT(dev_counter(SNAP_CTR_GUEST_FRAMES), 0);
	EXPECT_NE(0, unload());
	EXPECT_EQ(0, sh("rmmod snap 2>&1 | grep -q 'in use'"));
	EXPECT_EQ(LENGTH, recv(plain, buffer, LENGTH, 0));
	close(plain);
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	/* the same with a packet in a qdisc */
	ASSERT_EQ(0, sh("tc qdisc add dev lo root netem delay 30s"));
	ASSERT_EQ(0, unread_make(&u, 1));
	unread_drop(&u);
	EXPECT_NE(0, unload());
	EXPECT_EQ(0, sh("tc qdisc del dev lo root"));
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	/* and then it goes */
	EXPECT_EQ(0, unload());
	EXPECT_TRUE(reload_works());
}

TEST_F(frames, after_rmmod_and_insmod)
{
	struct unread u;
	int round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, unread_make(&u, 3));
		EXPECT_NE(0, unload());
		unread_drop(&u);
		ASSERT_EQ(0, wait_no_guest_frames(5000));
		ASSERT_EQ(0, unload());
		ASSERT_TRUE(reload_works());
	}
}

static int unbind(void)
{
	return write_text(DRIVER "unbind", pci_name);
}

static int bind_device(void)
{
	return write_text(DRIVER "bind", pci_name);
}

static int messages_in_log(const char *text)
{
	char command[200];
	int n = -1;
	FILE *f;

	snprintf(command, sizeof(command), "dmesg | grep -c '%s'", text);
	f = popen(command, "r");
	if (!f || fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

TEST_F(frames, after_unbind)
{
	int round, before = messages_in_log("frames in use");

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, unbind());
		EXPECT_NE(0, sh("ip link show " NETDEV " >/dev/null 2>&1"));
		ASSERT_EQ(0, bind_device());
		ASSERT_EQ(0, netdev_up());
	}
	EXPECT_EQ(before, messages_in_log("frames in use"));
}

/* Without the device: what there is of it answers, and sockets copy. */
static int use_without_device(struct region *r)
{
	struct snap_info info;
	struct snap_stats stats;
	char text[100] = "copied";
	int fd = udp_socket(AF_SNAP, AF_INET);
	union address at;
	socklen_t length = address_set(&at, AF_INET, "127.0.0.1", 0);

	if (dev_info(&info) != -ENODEV || region_fd(PAGE, 0) != -ENODEV)
		return 1;
	if (dev_stats(&stats) || stats.ncounters)
		return 2;
	if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r->fd, 0) != MAP_FAILED ||
	    errno != ENODEV)
		return 3;
	if (fd < 0 || bind(fd, &at.sa, length) ||
	    getsockname(fd, &at.sa, &length) || set_copybreak(fd, 0))
		return 4;
	if (sendto(fd, text, 100, 0, &at.sa, length) != 100 ||
	    recv(fd, text, 100, 0) != 100)
		return 5;
	if (sendto(fd, r->p, 100, 0, &at.sa, length) != -1 || errno != EFAULT)
		return 6;
	close(fd);
	return 0;
}

/* What is unread goes on without the device, which is free for a new driver. */
TEST_F(frames, unbind_with_frames_out)
{
	int before = messages_in_log("frames in use");
	struct unread u;
	int i;

	ASSERT_EQ(0, unread_make(&u, 3));
	ASSERT_EQ(0, unbind());
	EXPECT_EQ(before, messages_in_log("frames in use"));
	EXPECT_EQ(0, use_without_device(&u.r));
	/* the mapping is there, the memory is not */
	EXPECT_TRUE(store_is_fatal(u.r.p, SIGBUS));
	EXPECT_EQ(LENGTH, recv(u.fd, buffer, LENGTH, 0));
	EXPECT_EQ(-1, differs(buffer, LENGTH, 2));
	EXPECT_NE(0, unload());		/* descriptors hold the module */
	ASSERT_EQ(0, bind_device());
	ASSERT_EQ(0, netdev_up());
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	for (i = 1; i >= 0; i--) {
		EXPECT_EQ(LENGTH, recv(u.fd, buffer, LENGTH, MSG_DONTWAIT));
		EXPECT_EQ(-1, differs(buffer, LENGTH, i));
	}
	unread_drop(&u);
}

/* A region of the old binding is closed after the device came back. */
TEST_F(frames, old_region_new_binding)
{
	struct region old, new;

	ASSERT_EQ(0, region_make(&old, 8 * PAGE));
	ASSERT_EQ(0, unbind());
	ASSERT_EQ(0, bind_device());
	ASSERT_EQ(0, netdev_up());
	ASSERT_EQ(0, region_make(&new, 8 * PAGE));
	fill(new.p, new.length, 1);
	region_drop(&old);
	EXPECT_EQ(-1, differs(new.p, new.length, 1));
	region_drop(&new);
	EXPECT_EQ(0, unload());
	EXPECT_TRUE(reload_works());
}

/* A region that was stored to after a snapshot of it, which is mapped. */
struct view {
	struct region r;
	int fd;
	const char *p;
};

static int view_make(struct view *v, size_t length)
{
	if (region_make(&v->r, length))
		return -1;
	fill(v->r.p, length, 1);
	v->fd = snapshot_fd(v->r.fd, NULL);
	v->p = snapshot_map(v->fd, length);
	if (v->fd < 0 || v->p == MAP_FAILED)
		return -1;
	fill(v->r.p, length, 2);
	return differs(v->p, length, 1) < 0 ? 0 : -1;
}

static void view_drop(struct view *v)
{
	munmap((void *)v->p, v->r.length);
	close(v->fd);
	region_drop(&v->r);
}

/* What a snapshot and its region answer without their device. */
static int use_view_without_device(struct view *v)
{
	struct snap_region_args clone = { .size = sizeof(clone) };
	struct snap_object_info info;
	uint64_t version = 1;
	char value[32];
	char byte;

	if (!load_is_fatal(v->p, SIGBUS) || !store_is_fatal(v->r.p, SIGBUS))
		return 1;
	if (pread(v->fd, &byte, 1, 0) != -1 || errno != ENODEV)
		return 2;
	if (snapshot_map(v->fd, PAGE) != MAP_FAILED || errno != ENODEV)
		return 3;
	if (snapshot_fd(v->r.fd, NULL) != -ENODEV ||
	    commit(v->r.fd, v->fd, &version) != -ENODEV ||
	    discard(v->r.fd, 0, PAGE) != -ENODEV ||
	    object_info(v->fd, &info) != -ENODEV)
		return 4;
	if (ioctl(v->fd, SNAP_IOC_CLONE, &clone) != -1 || errno != ENODEV)
		return 5;
	/* what the module knows by itself, and no more */
	if (fdinfo_value(v->fd, "snap-kind", value, sizeof(value)) ||
	    strcmp(value, "snapshot") ||
	    !fdinfo_value(v->fd, "snap-version", value, sizeof(value)))
		return 6;
	return 0;
}

/* Mapped frames come home with the device: nothing is left behind. */
TEST_F(frames, unbind_with_snapshots)
{
	int before = messages_in_log("frames in use");
	struct view v;

	ASSERT_EQ(0, view_make(&v, 100 * PAGE));
	EXPECT_GE(dev_counter(SNAP_CTR_GUEST_FRAMES), 100);
	EXPECT_NE(0, unload());
	ASSERT_EQ(0, unbind());
	EXPECT_EQ(before, messages_in_log("frames in use"));
	EXPECT_EQ(0, use_view_without_device(&v));
	EXPECT_NE(0, unload());		/* descriptors hold the module */
	ASSERT_EQ(0, bind_device());
	ASSERT_EQ(0, netdev_up());
	EXPECT_EQ(0, use_view_without_device(&v));	/* of another binding */
	view_drop(&v);
}

/* Until the driver, which waited for its frames, is bound again: 0 or -1. */
static int wait_bound(void)
{
	int tries;

	for (tries = 0; tries < 200; tries++) {
		if (!sh("ip link show " NETDEV " >/dev/null 2>&1"))
			return 0;
		sleep_ms(10);
	}
	return -1;
}

/* A pinned page keeps what it had, and the device waits for it. */
TEST_F(frames, unbind_with_pinned_snapshots)
{
	int before = messages_in_log("frames in use");
	int last = messages_in_log("last orphaned frame");
	struct snap_info info;
	struct iovec iov;
	struct view v;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, view_make(&v, 20 * PAGE));
	iov.iov_base = (void *)v.p;
	iov.iov_len = 4 * PAGE;
	ASSERT_EQ(4 * PAGE, vmsplice(pipes[1], &iov, 1, 0));
	ASSERT_EQ(0, unbind());
	EXPECT_EQ(before + 1, messages_in_log("frames in use"));
	EXPECT_EQ(0, use_view_without_device(&v));
	EXPECT_NE(0, bind_device());
	EXPECT_EQ(-ENODEV, dev_info(&info));
	EXPECT_NE(0, unload());
	EXPECT_EQ(4 * PAGE, read(pipes[0], buffer, 4 * PAGE));
	EXPECT_EQ(-1, differs(buffer, 4 * PAGE, 1));
	/* nobody binds it but the last page that is dropped */
	EXPECT_EQ(0, wait_bound());
	EXPECT_EQ(last + 1, messages_in_log("last orphaned frame"));
	ASSERT_EQ(0, netdev_up());
	view_drop(&v);
	close(pipes[0]);
	close(pipes[1]);
}

/* What is of the old binding does not fit into what is of the new one. */
TEST_F(frames, old_snapshot_new_binding)
{
	struct view old, new;
	uint64_t version;
	char byte;

	ASSERT_EQ(0, view_make(&old, 8 * PAGE));
	ASSERT_EQ(0, unbind());
	ASSERT_EQ(0, bind_device());
	ASSERT_EQ(0, netdev_up());
	ASSERT_EQ(0, view_make(&new, 8 * PAGE));
	close(snapshot_fd(new.r.fd, &version));
	EXPECT_EQ(-EINVAL, commit(new.r.fd, old.fd, &version));
	view_drop(&old);
	EXPECT_EQ(1, pread(new.fd, &byte, 1, 0));
	EXPECT_EQ(-1, differs(new.p, new.r.length, 1));
	EXPECT_EQ(-1, differs(new.r.p, new.r.length, 2));
	view_drop(&new);
}

TEST_HARNESS_MAIN
