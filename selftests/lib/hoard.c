// SPDX-License-Identifier: GPL-2.0-only
/* See hoard.h. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hoard.h"
#include "view.h"

#define PAGES		15
#define MESSAGE		(PAGES * PAGE - 64)	/* fits a datagram */
#define SOCKETS		400
#define FILES		20000

int become(int uid)
{
	struct rlimit files = { FILES, FILES };

	return setrlimit(RLIMIT_NOFILE, &files) || setgroups(0, NULL) ||
	       setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ? -1 : 0;
}

int in_child(int (*run)(int arg), int arg)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		status = run(arg);
		fflush(stdout);
		_exit(status);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- Messages ----------------------------------------------------------- */

/* A pair whose receiver has room for as many as the system lets it have. */
static int dgram_pair(int *fd)
{
	int room = 4 << 20;

	if (udp_pair(AF_SNAP, AF_INET, fd))
		return -1;
	setsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return set_copybreak(fd[1], 1);
}

/* Send until the queue is full: what is dropped has gone home. */
static int fill_dgram(int fd, struct region *r, unsigned int *n, unsigned int most)
{
	struct snap_sock_stats s;
	int i;

	for (i = 0; i < 20 && *n < most; i++) {
		/* other frames each time */
		fill(r->p, MESSAGE, *n);
		if (send(fd, r->p, MESSAGE, MSG_DONTWAIT) != MESSAGE)
			break;
		++*n;
	}
	s = sock_stats(fd);
	return s.tx_copied_msgs > 0;
}

int hoard_flight(struct region *r, unsigned int messages)
{
	unsigned int n = 0;
	int fd[2], i;

	for (i = 0; i < SOCKETS && n < messages; i++) {
		if (dgram_pair(fd))
			return i ? 0 : -1;
		if (fill_dgram(fd[1], r, &n, messages))
			return 0;
	}
	return 0;
}

int hoard_pair(int domain, int *fd)
{
	socklen_t length;
	union address at;
	int listener = tcp_listen_on_loopback(domain, AF_INET, &at, &length);

	fd[0] = -1;
	fd[1] = tcp_socket(AF_SNAP, AF_INET);
	if (listener >= 0 && fd[1] >= 0 && !connect(fd[1], &at.sa, length))
		fd[0] = accept(listener, NULL, NULL);
	close(listener);
	return fd[0] < 0 ? -1 : 0;
}

static void hoard_streams(struct region *r, int pairs)
{
	int fd[2], i, round;

	while (pairs-- && !hoard_pair(pairs & 1 ? AF_INET : AF_SNAP, fd)) {
		set_copybreak(fd[1], 1);
		for (i = 0, round = 0; i < 200; i++) {
			fill(r->p, MESSAGE, i);
			if (send(fd[1], r->p, MESSAGE, MSG_DONTWAIT) > 0)
				round = 0;
			else if (round++ == 3)
				break;
		}
		if (sock_stats(fd[1]).copied_msgs[SNAP_COPY_QUOTA])
			break;
	}
}

int hoard_received(int domain, unsigned int messages)
{
	static char buffer[MESSAGE];
	union address to;
	socklen_t length = address_set(&to, AF_INET, HOST4, host_echo_port());
	unsigned int n = 0;
	int fd, i, j;

	for (i = 0; i < SOCKETS && n < messages; i++) {
		fd = udp_socket(domain, AF_INET);
		if (fd < 0)
			return i ? 0 : -1;
		/* as many as the receive buffer that anybody has takes */
		for (j = 0; j < 3; j++)
			if (sendto(fd, buffer, MESSAGE, 0, &to.sa, length) > 0)
				n++;
		sleep_ms(1);
	}
	return 0;
}

/* Incomplete, in a network of one's own that loses every third. */
static int fragments_begin(void)
{
	return network_of_lo() || sh("ip link set lo mtu 1500") ||
	       sh("tc qdisc add dev lo root netem loss 30%%") ? -1 : 0;
}

static void hoard_fragments(int socks[2], struct region *r)
{
	unsigned int n;
	int i;

	for (n = 0; n < 40; n++) {
		fill(r->p, MESSAGE, n);
		i = send(socks[1], r->p, MESSAGE, MSG_DONTWAIT);
		if (i < 0 && errno != ENOBUFS)
			return;
	}
}

/* ---- Views, snapshots, pipes -------------------------------------------- */

int hoard_pin(int pipe, const char *p, size_t length)
{
	struct iovec iov = { (void *)p, length };

	return vmsplice(pipe, &iov, 1, SPLICE_F_NONBLOCK) == length ? 0 : -1;
}

static void hoard_views(struct region *r, int sockets)
{
	static struct view_message m;
	struct view v;
	int fd[2], i, pipes[2];
	bool lazy;

	while (sockets-- && !dgram_pair(fd)) {
		lazy = sockets % 2;
		set_copybreak(fd[0], 1);
		if (view_make(&v, fd[0], 256 * PAGE, lazy ? SNAP_VIEW_LAZY : 0))
			return;
		for (i = 0; i < 16; i++) {
			fill(r->p, MESSAGE, i);
			if (send(fd[1], r->p, MESSAGE, MSG_DONTWAIT) != MESSAGE)
				break;
			view_receive(fd[0], &m, MESSAGE, MSG_DONTWAIT,
				     SNAP_VIEW_PARTS_MAX);
			if (!m.n)
				return;
			/* of some it lets go, but for what a pipe keeps */
			if (lazy && i % 2 && !pipe(pipes)) {
				hoard_pin(pipes[1], v.p + m.part[0].offset, PAGE);
				view_message_release(fd[0], &m);
			}
		}
	}
}

/* What is received goes on into a pipe. */
static void hoard_pipes(struct region *r, int sockets)
{
	int fd[2], i, pipes[2];

	while (sockets-- && !hoard_pair(AF_INET, fd) && !pipe(pipes)) {
		fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20);
		set_copybreak(fd[1], 1);
		for (i = 0; i < 16; i++) {
			fill(r->p, MESSAGE, i);
			if (send(fd[1], r->p, MESSAGE, MSG_DONTWAIT) <= 0)
				break;
			splice(fd[0], NULL, pipes[1], NULL, MESSAGE, SPLICE_F_NONBLOCK);
		}
	}
}

static void hoard_snapshots(int rounds)
{
	struct region r, clone;
	int fd, pipes[2];
	const char *p;

	while (rounds-- && !region_make(&r, 64 * PAGE)) {
		fill(r.p, r.length, rounds);
		fd = snapshot_fd(r.fd, NULL);
		if (fd < 0)
			return;
		fill(r.p, r.length, rounds + 1);
		p = snapshot_map(fd, r.length);
		if (p != MAP_FAILED && !pipe(pipes))
			hoard_pin(pipes[1], p, 8 * PAGE);
		if (clone_make(&clone, fd, r.length))
			return;
		fill(clone.p, clone.length, rounds + 2);
		/* half of them go, and what is pinned stays */
		if (rounds % 2) {
			munmap((void *)p, r.length);
			close(fd);
		}
	}
}

/* What is left of the budget, to the page. */
static void hoard_regions(void)
{
	unsigned int n;

	for (n = 4096; n; n /= 2)
		while (region_fd(n * PAGE, 0) >= 0)
			;
}

/* ---- All of it ---------------------------------------------------------- */

static void hoard_all(int socks[2])
{
	struct region r;

	if (region_make(&r, PAGES * PAGE))
		return;
	hoard_fragments(socks, &r);
	hoard_snapshots(8);
	hoard_views(&r, 10);
	hoard_pipes(&r, 10);
	hoard_streams(&r, 20);
	hoard_flight(&r, 200);
	hoard_received(AF_INET, 600);
	hoard_received(AF_SNAP, 100);
	hoard_regions();
	hoard_flight(&r, 4);
	hoard_views(&r, 1);
}

/* A child that takes all, or regions only, and keeps them. */
static pid_t start(int uid, bool all)
{
	int up[2], home, socks[2];
	char byte;
	pid_t pid;

	if (pipe(up))
		return -1;
	pid = fork();
	if (pid) {
		close(up[1]);
		if (read(up[0], &byte, 1) != 1)
			hoard_stop(pid), pid = -1;
		close(up[0]);
		return pid;
	}
	close(up[0]);
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (all && (home < 0 || fragments_begin() || dgram_pair(socks) ||
		    setns(home, CLONE_NEWNET)))
		_exit(1);
	if (become(uid))
		_exit(2);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (all)
		hoard_all(socks);
	else
		hoard_regions();
	if (write(up[1], "", 1) == 1)
		pause();
	_exit(1);
}

pid_t hoard_start(int uid)
{
	return start(uid, true);
}

pid_t hoard_regions_start(int uid)
{
	return start(uid, false);
}

void hoard_stop(pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}
