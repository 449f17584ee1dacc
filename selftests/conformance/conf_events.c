// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readiness and signals: who waits for an AF_SNAP socket is told as of UDP and
 * TCP, by poll, by epoll in all its modes, by SIGIO and by EINTR.
 *
 * Machines: auto-2 debug
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "conf_socket.h"

#define ALL_EVENTS	(POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

static int events_of(int fd)
{
	struct pollfd poller = { .fd = fd, .events = ALL_EVENTS };

	return poll(&poller, 1, 0) < 0 ? -errno : poller.revents;
}

/* Both come to have these events; -1: whatever, but the same. */
static bool both_have(int fd, int control, int want)
{
	uint64_t end = now_ms() + PATIENCE;
	int got, other;

	do {
		got = events_of(fd);
		other = events_of(control);
		if (got == other && (want < 0 || got == want))
			return true;
		sleep_ms(1);
	} while (now_ms() < end);
	fprintf(stderr, "# events %x, control %x, wanted %x\n", got, other, want);
	return false;
}

/* ---- poll --------------------------------------------------------------- */

TEST_F(sock, poll)
{
	int fd[] = { self->rx, self->tx }, control[2], i;
	bool stream = variant->type == SOCK_STREAM;
	int fresh = conf_socket(), other = conf_control();

	EXPECT_TRUE(both_have(fresh, other, stream ? POLLOUT | POLLHUP : POLLOUT));
	ASSERT_EQ(0, conf_control_pair(control));
	EXPECT_TRUE(both_have(fd[0], control[0], POLLOUT));
	for (i = 0; i < 2; i++) {
		int *pair = i ? control : fd;

		ASSERT_EQ(MESSAGE, send(pair[1], self->p, MESSAGE, 0));
		ASSERT_EQ(MESSAGE, send(pair[0], self->p, MESSAGE, 0));
	}
	EXPECT_TRUE(both_have(fd[0], control[0], POLLIN | POLLOUT));
	EXPECT_TRUE(both_have(fd[1], control[1], POLLIN | POLLOUT));
	EXPECT_TRUE(arrives(fd[0], self->back, MESSAGE, 0));
	EXPECT_TRUE(arrives(control[0], self->back, MESSAGE, 0));
	EXPECT_TRUE(both_have(fd[0], control[0], POLLOUT));

	ASSERT_EQ(0, shutdown(fd[1], SHUT_WR));
	ASSERT_EQ(0, shutdown(control[1], SHUT_WR));
	EXPECT_TRUE(both_have(fd[0], control[0],
			      stream ? POLLIN | POLLOUT | POLLRDHUP : POLLOUT));
	EXPECT_TRUE(both_have(fd[1], control[1], POLLIN | POLLOUT));
	ASSERT_EQ(0, shutdown(fd[1], SHUT_RD));
	ASSERT_EQ(0, shutdown(control[1], SHUT_RD));
	EXPECT_TRUE(both_have(fd[1], control[1],
			      POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
	ASSERT_EQ(0, shutdown(fd[0], SHUT_RDWR));
	ASSERT_EQ(0, shutdown(control[0], SHUT_RDWR));
	EXPECT_TRUE(both_have(fd[0], control[0],
			      POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
	for (i = 0; i < 2; i++)
		close(control[i]);
	close(fresh);
	close(other);
}

/* The peer goes with unread bytes: a stream is reset, a datagram refused. */
TEST_F(sock, poll_error)
{
	bool stream = variant->type == SOCK_STREAM;
	int control[2], gone;

	ASSERT_EQ(0, conf_control_pair(control));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	ASSERT_EQ(MESSAGE, send(control[1], self->p, MESSAGE, 0));
	ASSERT_EQ(POLLIN, await(self->rx, POLLIN));
	ASSERT_EQ(POLLIN, await(control[0], POLLIN));
	close(self->rx);
	close(control[0]);
	if (!stream) {
		ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
		ASSERT_EQ(MESSAGE, send(control[1], self->p, MESSAGE, 0));
	}
	EXPECT_TRUE(both_have(self->tx, control[1], stream ?
			      POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP :
			      POLLOUT | POLLERR));
	gone = outcome(recv(control[1], self->back, 1, 0));
	EXPECT_EQ(gone, outcome(recv(self->tx, self->back, 1, 0)));
	EXPECT_TRUE(both_have(self->tx, control[1], -1));
	close(control[1]);
	self->rx = conf_socket();
}

/* ---- epoll -------------------------------------------------------------- */

static int watch(int ep, int command, int fd, unsigned int events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return outcome(epoll_ctl(ep, command, fd, &event));
}

/* The events of the one that is watched; 0 if there is none in time. */
static unsigned int wait_for(int ep, int ms)
{
	struct epoll_event event = { 0 };

	return epoll_wait(ep, &event, 1, ms) == 1 ? event.events : 0;
}

TEST_F(sock, epoll_level)
{
	int ep = epoll_create1(0);

	ASSERT_EQ(0, watch(ep, EPOLL_CTL_ADD, self->rx, EPOLLIN));
	EXPECT_EQ(EEXIST, watch(ep, EPOLL_CTL_ADD, self->rx, EPOLLIN));
	EXPECT_EQ(0, wait_for(ep, 0));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_EQ(EPOLLIN, wait_for(ep, PATIENCE));
	EXPECT_EQ(EPOLLIN, wait_for(ep, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	EXPECT_EQ(0, wait_for(ep, 0));
	ASSERT_EQ(0, watch(ep, EPOLL_CTL_MOD, self->rx, EPOLLIN | EPOLLOUT));
	EXPECT_EQ(EPOLLOUT, wait_for(ep, 0));
	/* the last descriptor takes itself off the list */
	close(self->rx);
	EXPECT_EQ(0, wait_for(ep, 0));
	EXPECT_EQ(EBADF, watch(ep, EPOLL_CTL_DEL, self->rx, 0));
	close(ep);
	self->rx = conf_socket();
}

/* Told of what is new, not of what is there. */
TEST_F(sock, epoll_edge)
{
	int ep = epoll_create1(0), i;

	ASSERT_EQ(0, watch(ep, EPOLL_CTL_ADD, self->rx, EPOLLIN | EPOLLET));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
		EXPECT_EQ(EPOLLIN, wait_for(ep, PATIENCE));
		/* a stream may come in several packets */
		while (wait_for(ep, 20))
			;
		EXPECT_EQ(POLLIN, await(self->rx, POLLIN));
	}
	close(ep);
}

/* Room is told of when there was none: of a stream, after its peer has read. */
TEST_F(sock, epoll_edge_of_room)
{
	int ep = epoll_create1(0);

	ASSERT_EQ(0, watch(ep, EPOLL_CTL_ADD, self->tx, EPOLLOUT | EPOLLET));
	EXPECT_EQ(EPOLLOUT, wait_for(ep, PATIENCE));
	EXPECT_EQ(0, wait_for(ep, 0));
	if (variant->type == SOCK_STREAM) {
		while (send(self->tx, self->p, LENGTH, MSG_DONTWAIT) > 0)
			;
		EXPECT_EQ(EAGAIN, errno);
		/* acknowledgements may have made some */
		while (wait_for(ep, 20))
			send(self->tx, self->p, LENGTH, MSG_DONTWAIT);
		while (recv(self->rx, self->back, LENGTH, MSG_DONTWAIT) > 0 ||
		       events_of(self->rx) & POLLIN)
			;
		EXPECT_EQ(EPOLLOUT, wait_for(ep, PATIENCE));
	}
	close(ep);
}

TEST_F(sock, epoll_oneshot)
{
	int ep = epoll_create1(0);

	ASSERT_EQ(0, watch(ep, EPOLL_CTL_ADD, self->rx, EPOLLIN | EPOLLONESHOT));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_EQ(EPOLLIN, wait_for(ep, PATIENCE));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_EQ(0, wait_for(ep, 20));
	ASSERT_EQ(0, watch(ep, EPOLL_CTL_MOD, self->rx, EPOLLIN | EPOLLONESHOT));
	EXPECT_EQ(EPOLLIN, wait_for(ep, PATIENCE));
	close(ep);
}

TEST_F(sock, epoll_rdhup)
{
	bool stream = variant->type == SOCK_STREAM;
	int ep = epoll_create1(0);

	ASSERT_EQ(0, watch(ep, EPOLL_CTL_ADD, self->rx, EPOLLRDHUP));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	ASSERT_EQ(POLLIN, await(self->rx, POLLIN));
	EXPECT_EQ(0, wait_for(ep, 0));
	ASSERT_EQ(0, shutdown(self->tx, SHUT_WR));
	/* datagrams have no end that the peer hears of */
	EXPECT_EQ(stream ? EPOLLRDHUP : 0, wait_for(ep, stream ? PATIENCE : 20));
	ASSERT_EQ(0, shutdown(self->rx, SHUT_RD));
	EXPECT_EQ(EPOLLRDHUP, wait_for(ep, PATIENCE));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	close(ep);
}

/* Two wait with EPOLLEXCLUSIVE, each with an epoll of its own. */
struct waiter {
	pthread_t thread;
	int fd;
	char *back;
	atomic_size_t *bytes;	/* of both */
	size_t wanted;
	int err;
};

static void *wait_exclusively(void *arg)
{
	struct waiter *w = arg;
	int ep = epoll_create1(0);
	uint64_t end = now_ms() + PATIENCE;

	w->err = watch(ep, EPOLL_CTL_ADD, w->fd, EPOLLIN | EPOLLEXCLUSIVE);
	while (!w->err && *w->bytes < w->wanted && now_ms() < end) {
		ssize_t n;

		if (!wait_for(ep, 20))
			continue;
		n = recv(w->fd, w->back, LENGTH, MSG_DONTWAIT);
		if (n > 0)
			*w->bytes += n;
		else if (errno != EAGAIN)
			w->err = errno;
	}
	close(ep);
	return NULL;
}

TEST_F(sock, epoll_exclusive)
{
	atomic_size_t bytes = 0;
	struct waiter w[2];
	int ep = epoll_create1(0), i;

	EXPECT_EQ(EINVAL, watch(ep, EPOLL_CTL_ADD, self->rx,
				EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
	ASSERT_EQ(0, watch(ep, EPOLL_CTL_ADD, self->rx, EPOLLIN | EPOLLEXCLUSIVE));
	EXPECT_EQ(EINVAL, watch(ep, EPOLL_CTL_MOD, self->rx, EPOLLIN));
	close(ep);
	for (i = 0; i < 2; i++) {
		w[i] = (struct waiter){
			.fd = self->rx, .bytes = &bytes, .wanted = 10 * MESSAGE,
			.back = malloc(LENGTH),
		};
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, wait_exclusively,
					    &w[i]));
	}
	for (i = 0; i < 10; i++) {
		uint64_t end = now_ms() + PATIENCE;

		ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
		/* datagrams that nobody reads would be dropped */
		while (bytes < (i + 1) * MESSAGE && now_ms() < end)
			sleep_ms(1);
	}
	for (i = 0; i < 2; i++) {
		pthread_join(w[i].thread, NULL);
		EXPECT_EQ(0, w[i].err);
		free(w[i].back);
	}
	EXPECT_EQ(10 * MESSAGE, bytes);
}

/* ---- Signals ------------------------------------------------------------ */

static int next_signal(int signal, siginfo_t *info, int ms)
{
	struct timespec limit = { ms / 1000, ms % 1000 * 1000000L };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	return sigtimedwait(&set, info, &limit);
}

TEST_F(sock, sigio)
{
	struct f_owner_ex owner = { F_OWNER_TID, gettid() }, got;
	int off = 0, signal = SIGRTMIN;
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, signal);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(0, fcntl(self->rx, F_SETFL, O_ASYNC));
	ASSERT_EQ(0, fcntl(self->rx, F_SETOWN, getpid()));
	EXPECT_EQ(getpid(), fcntl(self->rx, F_GETOWN));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_EQ(SIGIO, next_signal(SIGIO, &info, PATIENCE));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));

	ASSERT_EQ(0, fcntl(self->rx, F_SETOWN_EX, &owner));
	ASSERT_EQ(0, fcntl(self->rx, F_GETOWN_EX, &got));
	EXPECT_EQ(owner.pid, got.pid);
	ASSERT_EQ(0, fcntl(self->rx, F_SETSIG, signal));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_EQ(signal, next_signal(signal, &info, PATIENCE));
	EXPECT_EQ(self->rx, info.si_fd);
	EXPECT_EQ(POLL_IN, info.si_code);
	EXPECT_TRUE(info.si_band & POLLIN);
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));

	ASSERT_EQ(0, ioctl(self->rx, FIOASYNC, &off));
	while (next_signal(signal, &info, 0) == signal ||
	       next_signal(SIGIO, &info, 0) == SIGIO)
		;
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	ASSERT_EQ(POLLIN, await(self->rx, POLLIN));
	EXPECT_EQ(-1, next_signal(signal, &info, 20));
}

/* Signals come until the call has ended, or so many times; then a message. */
struct pest {
	pthread_t thread;
	pthread_t victim;
	atomic_bool stop;
	int times;		/* 0: until told to stop */
	int fd;
	const char *p;
};

static atomic_int handled;

static void on_signal(int signal)
{
	handled++;
}

static void *pester(void *arg)
{
	struct pest *pest = arg;
	int i;

	for (i = 0; !pest->stop && (!pest->times || handled < pest->times); i++) {
		sleep_ms(5);
		pthread_kill(pest->victim, SIGUSR1);
	}
	if (pest->times)
		send(pest->fd, pest->p, MESSAGE, 0);
	return NULL;
}

static int pest_start(struct pest *pest, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	handled = 0;
	pest->stop = false;
	pest->victim = pthread_self();
	return sigaction(SIGUSR1, &action, NULL) ||
	       pthread_create(&pest->thread, NULL, pester, pest);
}

static void pest_stop(struct pest *pest)
{
	pest->stop = true;
	pthread_join(pest->thread, NULL);
}

TEST_F(sock, interrupted)
{
	struct pest pest = { .fd = self->tx, .p = self->p };

	ASSERT_EQ(0, set_timeout(self->rx, 0));
	ASSERT_EQ(0, pest_start(&pest, 0));
	EXPECT_EQ(EINTR, outcome(recv(self->rx, self->back, 1, 0)));
	pest_stop(&pest);
	if (variant->type == SOCK_STREAM) {
		ASSERT_EQ(0, pest_start(&pest, 0));
		while (send(self->tx, self->p, LENGTH, 0) > 0)
			;
		EXPECT_EQ(EINTR, errno);
		pest_stop(&pest);
	}
}

TEST_F(sock, restarted)
{
	struct pest pest = { .times = 3, .fd = self->tx, .p = self->p };

	ASSERT_EQ(0, set_timeout(self->rx, 0));
	ASSERT_EQ(0, pest_start(&pest, SA_RESTART));
	EXPECT_EQ(1, recv(self->rx, self->back, 1, 0));
	EXPECT_LE(3, handled);
	pest_stop(&pest);
}

TEST_HARNESS_MAIN
