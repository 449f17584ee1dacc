// SPDX-License-Identifier: GPL-2.0-only
/*
 * Promise 6, users against each other: what one holds in whatever way is on one
 * account, each holder pays for what it holds, and received packets have a share
 * of their own.
 *
 * Machines: auto-2 share-2 copy-1
 * Paths: thread-auto-* main-auto-*
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bulk.h"
#include "kselftest_harness.h"
#include "hoard.h"

#define ALICE		1001
#define BOB		1002
#define MALLORY		1003
#define MANY		8
#define INSIDE		100000	/* ids of a user namespace, outside */
#define LENGTH		(15 * PAGE)	/* with headers under a datagram's limit */

/* What anybody has when one other user and the network take all they can get. */
#define MINIMUM_PCT	10
#define ADMIN_PCT	5

#define UDP_MEM		"/proc/sys/net/ipv4/udp_mem"

FIXTURE(accounts)
{
	struct snap_info before;
	char udp_mem[64];
	uint64_t rx_over;
};

static int read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "r");
	int err = !f || !fgets(line, size, f);

	if (f)
		fclose(f);
	return err ? -1 : 0;
}

FIXTURE_SETUP(accounts)
{
	ASSERT_EQ(0, wait_no_guest_frames(5000));
	ASSERT_EQ(0, dev_info(&self->before));
	ASSERT_EQ(0, read_line(UDP_MEM, self->udp_mem, sizeof(self->udp_mem)));
	self->rx_over = ethtool_counter("driver_rx_over_bytes");
}

/* Whatever was done, all frames are home after the bound that is written down. */
FIXTURE_TEARDOWN(accounts)
{
	EXPECT_EQ(0, write_text(UDP_MEM, self->udp_mem));
	EXPECT_EQ(0, write_text(USER_QUOTA, USER_QUOTA_DEFAULT));
	EXPECT_EQ(0, wait_no_guest_frames(HOARD_HOME_MS));
	EXPECT_LE(self->before.free_frames,
		  wait_free_frames(self->before.free_frames, 1000));
}

static uint64_t percent_of_pool(unsigned int percent)
{
	struct snap_info info;

	return dev_info(&info) ? 0 : info.pool_frames * percent / 100;
}

/* ---- One account -------------------------------------------------------- */

/* Half of the budget is a region: messages have what is left, and no more. */
static int region_and_flight(int pct)
{
	uint64_t out, most = percent_of_pool(pct);
	struct snap_info info;
	struct region r;

	if (become(ALICE) || region_make(&r, most / 2 * PAGE) ||
	    hoard_flight(&r, 4 * most / 15))
		return 1;
	if (dev_info(&info))
		return 2;
	out = info.out_frames;
	/* other things have some, but it is no more than a few */
	if (out > most - most / 2 + 32) {
		printf("# %llu frames out, of a budget of %llu\n",
		       (unsigned long long)out, (unsigned long long)(most - most / 2));
		return 3;
	}
	if (out < most / 8)
		return 4;	/* else nothing was tried */
	/* and the other way round */
	return region_fd((most - most / 2) * PAGE, 0) == -EDQUOT ? 0 : 5;
}

TEST_F(accounts, of_regions_and_flight)
{
	EXPECT_EQ(0, in_child(region_and_flight, read_number(USER_QUOTA)));
}

/* One of the ids in a namespace of that user's, or of root's: who has its region? */
static int inside(int uid)
{
	int up[2], down[2], fd, status;
	struct snap_object_info object;
	char byte, map[64];
	pid_t pid;

	if (pipe(up) || pipe(down))
		return 1;
	pid = fork();
	if (!pid) {
		if ((uid && become(uid)) || unshare(CLONE_NEWUSER) ||
		    write(up[1], "", 1) != 1 || read(down[0], &byte, 1) != 1 ||
		    setresuid(7, 7, 7))
			_exit(2);
		fd = region_fd(PAGE, 0);
		if (fd < 0 || object_info(fd, &object))
			_exit(3);
		_exit(object.owner == (uid ? uid : INSIDE) ? 0 : 4);
	}
	snprintf(map, sizeof(map), "/proc/%d/uid_map", pid);
	if (read(up[0], &byte, 1) != 1 || write_text(map, "0 100000 10") ||
	    write(down[1], "", 1) != 1)
		return 5;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 6;
}

/*
 * Whoever is root in one may be many users there, and has one account: that of who
 * made it; in a container that root made, its own root's.
 */
TEST_F(accounts, of_user_namespaces)
{
	EXPECT_EQ(0, in_child(inside, ALICE));
	EXPECT_EQ(0, in_child(inside, 0));
}

/* Each finds half of what the one before has left: there is no last one. */
TEST_F(accounts, of_many_users)
{
	uint64_t admin = percent_of_pool(ADMIN_PCT), free;
	struct snap_info info;
	pid_t pid[MANY];
	int i, fd;

	free = self->before.free_frames;
	for (i = 0; i < MANY; i++) {
		pid[i] = hoard_regions_start(MALLORY + i);
		ASSERT_LT(0, pid[i]);
		ASSERT_EQ(0, dev_info(&info));
		EXPECT_GT(free, info.free_frames);
		free = info.free_frames;
	}
	fd = region_fd(admin * PAGE, 0);
	EXPECT_LE(0, fd);
	close(fd);
	for (i = 0; i < MANY; i++)
		hoard_stop(pid[i]);
}

/* ---- Each holder -------------------------------------------------------- */

#define VIEW		(128 * PAGE)
#define KEPT_MAX	40	/* messages */
#define KEPT_PAGES	2	/* of each part of them */

/*
 * Pages that have been in a view, and that somebody else keeps: the view that has
 * let go of them does not pay for them.
 */
static int views_let_go(int rounds)
{
	struct view_message *m = malloc(sizeof(*m));
	struct view v;
	struct region r;
	int fd[2], i, pipes[2];

	if (!m || udp_pair(AF_SNAP, AF_INET, fd) || region_make(&r, LENGTH) ||
	    set_copybreak(fd[0], 1) || set_copybreak(fd[1], 1))
		return 1;
	/* the sender is root, whom quotas do not bind: the view is Bob's */
	if (view_make_of(BOB, &v, fd[0], VIEW, SNAP_VIEW_LAZY))
		return 2;
	for (i = 0; i < rounds; i++) {
		fill(r.p, LENGTH, i);
		if (send(fd[1], r.p, LENGTH - 64, 0) != LENGTH - 64)
			return 3;
		view_receive(fd[0], m, LENGTH, 0, SNAP_VIEW_PARTS_MAX);
		if (view_message_viewed(m) != LENGTH - 64) {
			printf("# round %d: %zu bytes in the view\n", i,
			       view_message_viewed(m));
			return 4;
		}
		/* a pipe keeps them, as a queue of the sender may */
		if (pipe(pipes) || hoard_pin(pipes[1], v.p + m->part[0].offset, LENGTH))
			return 5;
		if (view_message_release(fd[0], m))
			return 6;
	}
	return 0;
}

/* In a child, while a user may have one percent of the pool; 0 if all went well. */
static int in_child_of_few(int (*body)(int), int arg)
{
	int status;

	if (write_text(USER_QUOTA, "1"))
		return -1;
	status = in_child(body, arg);
	return write_text(USER_QUOTA, USER_QUOTA_DEFAULT) ?: status;
}

/* Twice what the viewer may have. */
TEST_F(accounts, a_view_pays_for_what_it_holds)
{
	EXPECT_EQ(0, in_child_of_few(views_let_go, 2 * percent_of_pool(1) / 15));
}

/* What Bob has kept of messages that came in large frames. */
struct kept {
	struct bulk bulk;
	struct view v;
	struct view_message m[2 * KEPT_MAX];
	int n;
};

/*
 * Keep pages of more messages until the view gets no more for want of frames: as many
 * are out as Bob may have.
 */
static int keep_until_refused(struct kept *k)
{
	uint64_t most = percent_of_pool(1);
	uint64_t refused = sock_stats(k->bulk.fd).recv_msgs[SNAP_RECV_QUOTA];
	int end = k->n + KEPT_MAX;
	long out = 0;

	while (sock_stats(k->bulk.fd).recv_msgs[SNAP_RECV_QUOTA] == refused) {
		if (k->n == end)
			return printf("# never refused: %ld frames are out\n", out);
		out = bulk_keep(&k->bulk, &k->m[k->n++], &k->v, KEPT_PAGES);
		if (out < 0)
			return 1;
	}
	/* other things have some, but it is no more than a few */
	if (out >= most / 2 && out <= most + 32)
		return 0;
	return printf("# refused with %ld frames out, of %llu\n", out,
		      (unsigned long long)most);
}

/* So many pages of each part, but for those before the first of them. */
static int let_go(struct kept *k, size_t first, size_t pages)
{
	int i, err = 0;

	for (i = 0; !err && i < k->n; i++)
		err = view_message_release_pages(k->bulk.fd, &k->m[i], first, pages);
	return err;
}

static int keep_pages_of_large_frames(int arg)
{
	struct kept *k = calloc(1, sizeof(*k));

	if (!k || bulk_open(&k->bulk, AF_SNAP) || set_copybreak(k->bulk.fd, 1) ||
	    view_make_of(BOB, &k->v, k->bulk.fd, VIEW, 0) || !bulk_is_large(&k->bulk))
		return 1;
	if (keep_until_refused(k))
		return 2;
	/* one page keeps a large frame as well as two */
	if (let_go(k, 0, 1) || keep_until_refused(k))
		return 3;
	if (let_go(k, 0, KEPT_PAGES) || wait_no_frames_out(1000))
		return 4;
	k->n = 0;
	return keep_until_refused(k) ? 5 : 0;
}

TEST_F(accounts, a_page_costs_the_large_frame_that_it_keeps)
{
	if (!host_stream_port())
		SKIP(return, "no echo server for streams at the host");
	EXPECT_EQ(0, in_child_of_few(keep_pages_of_large_frames, 0));
}

/* What Alice's view gets of a page of each part; she keeps it. */
static int hand_on(const struct view_message *m, const struct view *v, const int *fd,
		   struct view_message *got)
{
	unsigned int i;

	for (i = 0; i < m->n; i++) {
		size_t offset = m->part[i].offset, length = PAGE - offset % PAGE;

		if (length > m->part[i].length)
			length = m->part[i].length;
		if (send(fd[1], v->p + offset, length, 0) != (ssize_t)length)
			return -1;
		view_receive(fd[0], got, RECEIVE_MAX, 0, SNAP_VIEW_PARTS_MAX);
		if (got->bytes != (ssize_t)length)
			return -1;
	}
	return 0;
}

/* Bob hands on to Alice what he lets go of: she is refused at some time, and he is not. */
static int keep_what_others_let_go(int arg)
{
	struct view_message *got = calloc(1, sizeof(*got));
	struct kept *k = calloc(1, sizeof(*k));
	uint64_t large;
	struct view v;
	int fd[2], n;

	if (!k || !got || bulk_open(&k->bulk, AF_SNAP) ||
	    set_copybreak(k->bulk.fd, 1) || view_make_of(BOB, &k->v, k->bulk.fd, VIEW, 0) ||
	    view_pair(SOCK_DGRAM, fd) || view_make_of(ALICE, &v, fd[0], 8 * VIEW, 0) ||
	    !bulk_is_large(&k->bulk))
		return 1;
	large = bulk_large_packets();
	for (n = 0; !sock_stats(fd[0]).recv_msgs[SNAP_RECV_QUOTA]; n++) {
		if (n == KEPT_MAX)
			return printf("# Alice is never refused\n");
		if (bulk_keep(&k->bulk, &k->m[0], &k->v, 1) < 0 ||
		    hand_on(&k->m[0], &k->v, fd, got) ||
		    view_message_release(k->bulk.fd, &k->m[0]))
			return 2;
		if (sock_stats(k->bulk.fd).recv_msgs[SNAP_RECV_QUOTA])
			return printf("# Bob is refused after %d\n", n);
	}
	if (bulk_large_packets() == large)
		return printf("# no packet was large\n");
	return n < 2 ? printf("# Alice is refused after %d\n", n) : 0;
}

TEST_F(accounts, who_keeps_a_large_frame_pays_for_it)
{
	if (!host_stream_port())
		SKIP(return, "no echo server for streams at the host");
	EXPECT_EQ(0, in_child_of_few(keep_what_others_let_go, 0));
}

/* ---- Reception ---------------------------------------------------------- */

/* Unread sockets of one family or the other get several times the share. */
static int unread(int domain)
{
	uint64_t most = percent_of_pool(read_number(RX_QUOTA));
	struct snap_info info;

	if (become(ALICE) || hoard_received(domain, 3 * most / 15))
		return 1;
	sleep_ms(100);
	if (dev_info(&info))
		return 2;
	if (info.out_frames > most + 64) {
		printf("# %llu frames out, where %llu are the share\n",
		       (unsigned long long)info.out_frames, (unsigned long long)most);
		return 3;
	}
	return info.out_frames > most / 2 ? 0 : 4;
}

TEST_F(accounts, of_reception)
{
	if (!host_echo_port())
		SKIP(return, "no echo server on the host");
	EXPECT_EQ(0, in_child(unread, AF_INET));
	EXPECT_LT(self->rx_over, ethtool_counter("driver_rx_over_bytes"));
	EXPECT_EQ(0, wait_no_guest_frames(HOARD_HOME_MS));
	EXPECT_EQ(0, ethtool_counter("driver_received_frames"));
	EXPECT_EQ(0, in_child(unread, AF_SNAP));
}

/* ---- TCP_ZEROCOPY_RECEIVE ----------------------------------------------- */

/* Bytes of frames that it maps: none, and then the call is read() as ever. */
static int zerocopy_of(int domain)
{
	struct tcp_zerocopy_receive zc = { .length = 16 * PAGE };
	static char buffer[16 * PAGE];
	socklen_t size = sizeof(zc);
	struct region r;
	int fd[2];
	char *p;

	if (become(ALICE) || hoard_pair(domain, fd))
		return 1;
	if (region_make(&r, 16 * PAGE))
		return 2;
	fill_stream(r.p, r.length, 0);
	if (set_copybreak(fd[1], 1) || send(fd[1], r.p, r.length, 0) != r.length)
		return 3;
	wait_until_still(fd[0]);
	p = mmap(NULL, 16 * PAGE, PROT_READ, MAP_SHARED, fd[0], 0);
	if (p == MAP_FAILED)
		return 4;
	zc.address = (unsigned long)p;
	if (getsockopt(fd[0], IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &size))
		return 5;
	if (zc.length) {
		printf("# %u bytes are mapped\n", zc.length);
		return 6;
	}
	if (!zc.recv_skip_hint || sock_stats(fd[1]).tx_ref_msgs != 1)
		return 7;
	return comes_out(fd[0], buffer, 0, 16 * PAGE) ? 0 : 8;
}

TEST_F(accounts, nobody_maps_frames_past_them)
{
	EXPECT_EQ(0, in_child(zerocopy_of, AF_INET));
	EXPECT_EQ(0, in_child(zerocopy_of, AF_SNAP));
}

/* ---- All together ------------------------------------------------------- */

/* What a user who begins now can have. */
static int begins(int uid)
{
	uint64_t pages = percent_of_pool(MINIMUM_PCT) * 3 / 4;
	static char buffer[LENGTH];
	struct region r;
	int fd[2], i;

	if (become(uid))
		return 1;
	i = region_make(&r, pages * PAGE);
	if (i) {
		printf("# a region of %llu pages: %d\n", (unsigned long long)pages, i);
		return 2;
	}
	if (udp_pair(AF_SNAP, AF_INET, fd) || set_copybreak(fd[1], 1))
		return 3;
	for (i = 0; i < 20; i++) {
		fill(r.p, LENGTH, i);
		if (send(fd[1], r.p, LENGTH - 64, 0) != LENGTH - 64 ||
		    recv(fd[0], buffer, LENGTH, 0) != LENGTH - 64 ||
		    differs(buffer, LENGTH - 64, i) >= 0)
			return 4;
	}
	return sock_stats(fd[1]).tx_ref_msgs == 20 ? 0 : 5;
}

/* Sent to the host, and back; again if its queue was full with what others sent. */
static bool echoes(int fd, int seed)
{
	static char buffer[LENGTH];
	int try;

	for (try = 0; try < 5; try++) {
		fill(buffer, LENGTH, seed);
		if (send(fd, buffer, LENGTH - 64, 0) != LENGTH - 64)
			return false;
		while (recv(fd, buffer, LENGTH, 0) == LENGTH - 64)
			if (differs(buffer, LENGTH - 64, seed) < 0)
				return true;
	}
	return false;
}

/* What reception is: whole datagrams from the host, whoever asks. */
static int receives(int uid)
{
	int fd = udp_socket(AF_INET, AF_INET), i;
	union address to;

	if (become(uid) || fd < 0 ||
	    connect(fd, &to.sa, address_set(&to, AF_INET, HOST4, host_echo_port())) ||
	    set_timeout(fd, 1000))
		return 1;
	for (i = 0; i < 20; i++)
		if (!echoes(fd, i))
			return 2;
	return 0;
}

/* What so many leave. */
static int tell(struct __test_metadata *_metadata, const char *users,
		struct snap_info *info)
{
	int error = dev_info(info);

	TH_LOG("%s: %llu of %llu frames free, %llu out, %llu of them received", users,
	       (unsigned long long)info->free_frames,
	       (unsigned long long)info->pool_frames,
	       (unsigned long long)info->out_frames,
	       (unsigned long long)ethtool_counter("driver_received_frames"));
	return error;
}

TEST_F(accounts, of_all_ways_at_once)
{
	uint64_t admin = percent_of_pool(ADMIN_PCT);
	pid_t mallory, alice;
	struct snap_info info;
	int fd;

	if (!host_echo_port())
		SKIP(return, "no echo server on the host");
	/*
	 * The kernel's own limit on what unread datagrams of all users take together
	 * is another one, and lower in a machine as small as this.
	 */
	ASSERT_EQ(0, write_text(UDP_MEM, "99999 99999 99999"));
	mallory = hoard_start(MALLORY);
	ASSERT_LT(0, mallory);
	ASSERT_EQ(0, tell(_metadata, "one user", &info));
	/* else nothing was tried */
	EXPECT_GT(info.pool_frames * 3 / 5, info.free_frames);
	EXPECT_EQ(0, in_child(begins, BOB));
	EXPECT_EQ(0, in_child(receives, BOB));
	/* two: a third still finds something, the administrator what is kept */
	alice = hoard_start(ALICE);
	ASSERT_LT(0, alice);
	ASSERT_EQ(0, tell(_metadata, "two users", &info));
	EXPECT_EQ(0, in_child(receives, BOB));
	fd = region_fd(admin * PAGE, 0);
	EXPECT_LE(0, fd);
	close(fd);
	hoard_stop(mallory);
	hoard_stop(alice);
}

TEST_HARNESS_MAIN
