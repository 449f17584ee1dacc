// SPDX-License-Identifier: GPL-2.0-only
/* What the tests of the guest share: sockets.  See snap_test_util.h. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snap_test_util.h"

socklen_t address_set(union address *a, int family, const char *host, int port)
{
	memset(a, 0, sizeof(*a));
	a->sa.sa_family = family;
	if (family == AF_INET6) {
		inet_pton(AF_INET6, host, &a->in6.sin6_addr);
		a->in6.sin6_port = htons(port);
		return sizeof(a->in6);
	}
	inet_pton(AF_INET, host, &a->in.sin_addr);
	a->in.sin_port = htons(port);
	return sizeof(a->in);
}

socklen_t address_any(union address *a, int family)
{
	return address_set(a, family, family == AF_INET6 ? "::" : "0.0.0.0", 0);
}

const char *host_on(const char *netdev, int family)
{
	if (!strcmp(netdev, VIRTIO_NETDEV))
		return family == AF_INET6 ? VIRTIO_HOST6 : VIRTIO_HOST4;
	return family == AF_INET6 ? HOST6 : HOST4;
}

int protocol_of(int family)
{
	return family == AF_INET6 ? SNAPPROTO_IPV6 : SNAPPROTO_IPV4;
}

int udp_socket(int domain, int family)
{
	int fd = domain == AF_SNAP ?
		 socket(AF_SNAP, SOCK_DGRAM | SOCK_CLOEXEC, protocol_of(family)) :
		 socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int udp_on_loopback(int family, union address *at, socklen_t *length)
{
	int fd = udp_socket(family, family);
	int err;

	if (fd < 0)
		return fd;
	*length = address_set(at, family,
			      family == AF_INET6 ? "::1" : "127.0.0.1", 0);
	if (!bind(fd, &at->sa, *length) && !getsockname(fd, &at->sa, length))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/*
 * One datagram of a page less a byte, two pages and a byte: UDP sums it itself if it is
 * more than the MTU, and nobody gets it if the sum is wrong.
 */
static bool spliced_arrives(int tx, int sink, const void *page)
{
	struct iovec iov = { (char *)page + 1, 3 * PAGE };
	static char back[4 * PAGE];
	ssize_t n = -1;
	int fd[2];

	if (pipe(fd))
		return false;
	if (vmsplice(fd[1], &iov, 1, 0) == (ssize_t)iov.iov_len &&
	    splice(fd[0], NULL, tx, NULL, iov.iov_len, 0) == (ssize_t)iov.iov_len)
		n = recv(sink, back, sizeof(back), 0);
	close(fd[0]);
	close(fd[1]);
	return n == (ssize_t)iov.iov_len && !memcmp(back, iov.iov_base, n);
}

/* The exit status: as splice_sums_right(), with 2 for what is negative. */
static int splice_sums_asked(void)
{
	static char pages[4 * PAGE] __attribute__((aligned(4096)));
	union address at;
	socklen_t length;
	int tx, sink;

	if (network_of_lo() || sh("ip link set lo mtu 9000"))
		return 2;
	sink = udp_on_loopback(AF_INET, &at, &length);
	tx = udp_socket(AF_INET, AF_INET);
	if (sink < 0 || tx < 0 || set_timeout(sink, 1000) ||
	    connect(tx, &at.sa, length))
		return 2;
	fill(pages, sizeof(pages), 1);
	return spliced_arrives(tx, sink, pages);
}

int splice_sums_right(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(splice_sums_asked());
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) > 1)
		return -1;
	return WEXITSTATUS(status);
}

int udp_pair(int domain, int family, int *fd)
{
	union address at[2];
	socklen_t length = 0;
	int i;

	for (i = 0; i < 2; i++) {
		fd[i] = udp_socket(domain, family);
		length = address_set(&at[i], family,
				     family == AF_INET6 ? "::1" : "127.0.0.1", 0);
		if (fd[i] < 0 || bind(fd[i], &at[i].sa, length) ||
		    getsockname(fd[i], &at[i].sa, &length))
			return -1;
	}
	for (i = 0; i < 2; i++)
		if (connect(fd[i], &at[!i].sa, length))
			return -1;
	return 0;
}

int tcp_socket(int domain, int family)
{
	int fd = domain == AF_SNAP ?
		 socket(AF_SNAP, SOCK_STREAM | SOCK_CLOEXEC, protocol_of(family)) :
		 socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int tcp_listen_on_loopback(int domain, int family, union address *at,
			   socklen_t *length)
{
	int err, fd = tcp_socket(domain, family);

	if (fd < 0)
		return fd;
	*length = address_set(at, family,
			      family == AF_INET6 ? "::1" : "127.0.0.1", 0);
	if (!bind(fd, &at->sa, *length) && !listen(fd, 128) &&
	    !getsockname(fd, &at->sa, length))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int tcp_pair(int domain, int family, int *fd)
{
	socklen_t length;
	union address at;
	int listener;

	fd[0] = fd[1] = -1;
	listener = tcp_listen_on_loopback(domain, family, &at, &length);
	if (listener < 0)
		return -1;
	fd[1] = tcp_socket(domain, family);
	if (fd[1] >= 0 && !connect(fd[1], &at.sa, length))
		fd[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	if (fd[0] >= 0)
		return 0;
	close(fd[1]);
	return -1;
}

int tcp_connect(int domain, int family, const char *host, int port)
{
	union address at;
	socklen_t length = address_set(&at, family, host, port);
	int err, fd = tcp_socket(domain, family);

	if (fd < 0 || !connect(fd, &at.sa, length))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

void wait_until_still(int fd)
{
	const unsigned int still = 500;		/* ms */
	uint64_t since = now_ms();
	int before = -1, n;

	while (now_ms() - since < still && !ioctl(fd, FIONREAD, &n)) {
		if (n != before)
			since = now_ms();
		before = n;
		sleep_ms(10);
	}
}

int set_timeout(int fd, unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

int set_copybreak(int fd, int bytes)
{
	return setsockopt(fd, SOL_SNAP, SNAP_COPYBREAK, &bytes, sizeof(bytes));
}

struct snap_sock_stats sock_stats(int fd)
{
	struct snap_sock_stats stats = { 0 };
	socklen_t length = sizeof(stats);

	if (getsockopt(fd, SOL_SNAP, SNAP_SOCK_STATS, &stats, &length))
		stats.size = 0;
	return stats;
}

static void echo_loop(int fd)
{
	static char buffer[65536];
	union address from;

	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, &from.sa,
				     &length);

		if (n >= 0)
			sendto(fd, buffer, n, 0, &from.sa, length);
	}
}

int echo_start(int family, union address *at)
{
	socklen_t length;
	int pid, fd = udp_on_loopback(family, at, &length);

	if (fd < 0)
		return fd;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		echo_loop(fd);
	}
	close(fd);
	return pid;
}

void echo_stop(int pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static int port_from(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : 0;
}

int host_echo_port(void)
{
	return port_from("SNAP_HOST_ECHO");
}

int host_stream_port(void)
{
	return port_from("SNAP_HOST_STREAM");
}

int host_stream_sink_port(void)
{
	return port_from("SNAP_HOST_STREAM_SINK");
}

int host_sink_port(void)
{
	return port_from("SNAP_HOST_SINK");
}

int events_until(int fd, int wanted)
{
	struct pollfd poller = {
		.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP,
	};
	uint64_t end = now_ms() + PATIENCE;

	do {
		if (poll(&poller, 1, 100) < 0)
			return -1;
	} while ((poller.revents & wanted) != wanted && now_ms() < end);
	return poller.revents;
}

bool comes_out(int fd, char *back, uint64_t at, size_t length)
{
	while (length) {
		ssize_t n = recv(fd, back, length < STREAM_ROOM ? length : STREAM_ROOM, 0);

		if (n <= 0 || differs_stream(back, n, at) >= 0)
			return false;
		at += n;
		length -= n;
	}
	return true;
}

static void *reader_run(void *arg)
{
	struct reader *reader = arg;

	sleep_ms(reader->delay);
	reader->good = comes_out(reader->fd, reader->back, 0, reader->length);
	return NULL;
}

int reader_start(struct reader *reader)
{
	return -pthread_create(&reader->thread, NULL, reader_run, reader);
}

bool reader_done(struct reader *reader)
{
	pthread_join(reader->thread, NULL);
	return reader->good;
}

int outcome(long result)
{
	return result < 0 ? errno : 0;
}

struct tcp_info tcp_info_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
	return info;
}

int so_error(int fd)
{
	socklen_t size = sizeof(int);
	int err = -1;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
	return err;
}
