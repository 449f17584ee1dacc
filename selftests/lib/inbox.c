// SPDX-License-Identifier: GPL-2.0-only
/* Unread messages; see inbox.h. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inbox.h"

#define LENGTH		INBOX_LENGTH
#define DRIVER		"/sys/bus/pci/drivers/snap/"

static bool is_stream(int kind)
{
	return kind >= TCP_SNAP;
}

/* Does the beginning of what is unread look as it did?  Errors do not count. */
static void *look(void *arg)
{
	struct inbox *in = arg;
	char *back = malloc(LENGTH);
	long n;

	while (!*in->stop) {
		n = recv(in->fd[0], back, LENGTH, MSG_PEEK | MSG_DONTWAIT);
		if (n <= 0)
			continue;
		in->looks++;
		in->wrong += is_stream(in->kind) ? differs_stream(back, n, 0) >= 0 :
						   differs(back, n, 0) >= 0;
	}
	free(back);
	return NULL;
}

/* The sender is AF_SNAP, whatever the receiver is. */
static int connect_pair(struct inbox *in)
{
	int domain = in->kind == UDP_SNAP || in->kind == TCP_SNAP ? AF_SNAP : AF_INET;
	union address at;
	socklen_t length;
	int listener;

	if (is_stream(in->kind)) {
		listener = tcp_listen_on_loopback(domain, AF_INET, &at, &length);
		in->fd[1] = tcp_socket(AF_SNAP, AF_INET);
		if (connect(in->fd[1], &at.sa, length))
			return -1;
		in->fd[0] = accept(listener, NULL, NULL);
		close(listener);
		return in->fd[0] < 0 ? -1 : 0;
	}
	length = address_set(&at, AF_INET, "127.0.0.1", 0);
	in->fd[0] = udp_socket(domain, AF_INET);
	in->fd[1] = udp_socket(AF_SNAP, AF_INET);
	return bind(in->fd[0], &at.sa, length) ||
	       getsockname(in->fd[0], &at.sa, &length) ||
	       connect(in->fd[1], &at.sa, length) ? -1 : 0;
}

static int inbox_open(struct inbox *in, struct region *r)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int big = 4 << 20, i;

	if (connect_pair(in))
		return -1;
	setsockopt(in->fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	setsockopt(in->fd[1], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	for (i = 0; i < INBOX_MESSAGES; i++) {
		if (is_stream(in->kind))
			fill_stream(r->p, LENGTH, (uint64_t)i * LENGTH);
		else
			fill(r->p, LENGTH, i);
		if (send(in->fd[1], r->p, LENGTH, 0) != LENGTH)
			return -1;
	}
	if (in->kind == UDP_PORTLESS && connect(in->fd[0], &none, sizeof(none)))
		return -1;
	if (in->kind == TCP_CLOSED && shutdown(in->fd[0], SHUT_WR))
		return -1;
	if (in->kind >= TCP_ENDED && shutdown(in->fd[1], SHUT_WR))
		return -1;
	return sock_stats(in->fd[1]).tx_ref_msgs ? 0 : -1;
}

static int find_device(char *pci, size_t room)
{
	char link[256];
	ssize_t n = readlink("/sys/class/net/" NETDEV "/device", link,
			     sizeof(link) - 1);

	if (n <= 0)
		return -1;
	link[n] = 0;
	snprintf(pci, room, "%.60s", strrchr(link, '/') + 1);
	return 0;
}

int inboxes_open(struct inboxes *all)
{
	struct snap_info info;
	int i;

	memset(all, 0, sizeof(*all));
	for (i = 0; i < INBOX_KINDS; i++)
		all->of[i] = (struct inbox){
			.fd = { -1, -1 }, .kind = i, .stop = &all->stop,
		};
	if (find_device(all->pci, sizeof(all->pci)) || wait_no_frames_out(5000) ||
	    region_make(&all->r, 16 * PAGE))
		return -1;
	for (i = 0; i < INBOX_KINDS; i++)
		if (inbox_open(&all->of[i], &all->r))
			return -1;
	if (dev_info(&info) || info.out_frames <= INBOX_KINDS * INBOX_MESSAGES *
						  (LENGTH / PAGE) / 2)
		return -1;
	for (i = 0; i < INBOX_KINDS; i++)
		if (pthread_create(&all->of[i].thread, NULL, look, &all->of[i]))
			return -1;
	sleep_ms(200);
	return 0;
}

bool inboxes_stop(struct inboxes *all)
{
	bool good = true;
	struct inbox *in;

	sleep_ms(200);
	all->stop = true;
	for (in = all->of; in < all->of + INBOX_KINDS; in++) {
		pthread_join(in->thread, NULL);
		if (in->looks && !in->wrong)
			continue;
		printf("# kind %d: %u of %u looks\n", in->kind, in->wrong, in->looks);
		good = false;
	}
	return good;
}

void inboxes_close(struct inboxes *all)
{
	int i;

	region_drop(&all->r);
	for (i = 0; i < INBOX_KINDS; i++) {
		close(all->of[i].fd[0]);
		close(all->of[i].fd[1]);
	}
}

static bool inbox_has_all(struct inbox *in)
{
	static char back[STREAM_ROOM];
	int i;

	if (is_stream(in->kind))
		return comes_out(in->fd[0], back, 0, INBOX_MESSAGES * LENGTH);
	for (i = 0; i < INBOX_MESSAGES; i++)
		if (recv(in->fd[0], back, LENGTH, MSG_DONTWAIT) != LENGTH ||
		    differs(back, LENGTH, i) != -1)
			return false;
	return true;
}

bool inboxes_have_all(struct inboxes *all)
{
	bool good = true;
	struct inbox *in;

	for (in = all->of; in < all->of + INBOX_KINDS; in++) {
		if (inbox_has_all(in))
			continue;
		printf("# kind %d: not what was sent\n", in->kind);
		good = false;
	}
	return good;
}

bool inboxes_have_errors(struct inboxes *all)
{
	static char back[LENGTH];
	bool good = true;
	struct inbox *in;
	int i, err;
	long n;

	for (in = all->of; in < all->of + INBOX_KINDS; in++) {
		errno = 0;
		n = recv(in->fd[0], back, LENGTH, MSG_DONTWAIT);
		err = errno;
		for (i = 0; n == -1 && err == EIO && i < INBOX_MESSAGES; i++)
			if (recv(in->fd[0], back, LENGTH, MSG_DONTWAIT) > 0)
				n = 0;
		if (n == -1 && err == EIO)
			continue;
		printf("# kind %d: %ld, errno %d\n", in->kind, n, err);
		good = false;
	}
	return good;
}

static int other_processors(bool online)
{
	return sh("grep -q 'QEMU TCG' /proc/cpuinfo || exit 0; failed=0; "
		  "for f in /sys/devices/system/cpu/cpu[1-9]*/online; do "
		  "[ ! -e $f ] || echo %d >$f || failed=1; done; exit $failed", online);
}

/* If not all can be taken away, all are there. */
static int alone(void)
{
	if (!other_processors(false))
		return 0;
	other_processors(true);
	return -1;
}

int pci_reset(const char *pci)
{
	char path[128];
	int err;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", pci);
	if (alone())
		return -1;
	err = write_text(path, "1");
	return other_processors(true) || err ? -1 : 0;
}

static int write_memory_decoding(const char *pci, bool on)
{
	char path[128];
	uint16_t command;
	int fd, ok;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", pci);
	fd = open(path, O_RDWR);
	ok = pread(fd, &command, 2, 4) == 2;
	command = on ? command | 2 : command & ~2;
	ok = ok && pwrite(fd, &command, 2, 4) == 2;
	close(fd);
	return ok ? 0 : -1;
}

int pci_memory_decoding(const char *pci, bool on)
{
	int err;

	if (alone())
		return -1;
	err = write_memory_decoding(pci, on);
	return other_processors(true) || err ? -1 : 0;
}

int pci_unbind(const char *pci)
{
	return write_text(DRIVER "unbind", pci) ? -1 : 0;
}

int pci_bind(const char *pci)
{
	return write_text(DRIVER "bind", pci) || netdev_up() ||
	       sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null") ? -1 : 0;
}

int pci_bind_again(const char *pci)
{
	return pci_unbind(pci) || pci_bind(pci) ? -1 : 0;
}

int log_count(const char *text)
{
	char command[128];
	int n = -1;
	FILE *f;

	snprintf(command, sizeof(command), "dmesg | grep -c '%s'", text);
	f = popen(command, "r");
	if (f && fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

bool log_reaches(const char *text, int count)
{
	uint64_t end = now_ms() + 10000;

	while (log_count(text) < count) {
		if (now_ms() > end)
			return false;
		sleep_ms(100);
	}
	return log_count(text) == count;
}
