// SPDX-License-Identifier: GPL-2.0-only
/* See bulk.h. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bulk.h"

#define TRIES	20

int bulk_open(struct bulk *b, int domain)
{
	int big = 8 << 20;

	b->asked = 0;
	b->at = 0;
	b->out = malloc(STREAM_ROOM);
	b->back = malloc(STREAM_ROOM);
	b->fd = tcp_connect(domain, AF_INET, HOST4, host_stream_port());
	return !b->out || !b->back || b->fd < 0 || set_timeout(b->fd, PATIENCE) ||
	       setsockopt(b->fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) ? -1 : 0;
}

void bulk_close(struct bulk *b)
{
	close(b->fd);
	free(b->out);
	free(b->back);
}

bool bulk_ask(struct bulk *b)
{
	fill_stream(b->out, STREAM_ROOM, b->asked);
	if (send(b->fd, b->out, STREAM_ROOM, 0) != STREAM_ROOM)
		return false;
	b->asked += STREAM_ROOM;
	return true;
}

bool bulk_wait(struct bulk *b)
{
	uint64_t end = now_ms() + PATIENCE;
	int bytes = 0;

	if (!bulk_ask(b))
		return false;
	while (!ioctl(b->fd, FIONREAD, &bytes) && bytes < (int)(b->asked - b->at)) {
		if (now_ms() > end)
			return false;
		sleep_ms(1);
	}
	return true;
}

bool bulk_wait_large(struct bulk *b)
{
	int tries = TRIES;
	uint64_t large;

	do {
		large = bulk_large_packets();
		if (!bulk_wait(b))
			return false;
		large = bulk_large_packets() - large;
		if (large >= STREAM_ROOM / SNAP_LARGE_SIZE / 2)
			return true;
	} while (--tries && bulk_drain(b));
	return false;
}

bool bulk_drain(struct bulk *b)
{
	uint64_t at = b->at;

	b->at = b->asked;
	return comes_out(b->fd, b->back, at, b->asked - at);
}

long bulk_echoed(struct bulk *b)
{
	uint64_t before = bulk_large_packets(), end = b->asked + BULK;

	while (b->asked < end)
		if (!bulk_ask(b) || !bulk_drain(b))
			return -1;
	return bulk_large_packets() - before;
}

bool bulk_is_large(struct bulk *b)
{
	/* some come before the device has learnt it, some are small */
	const long enough = BULK / SNAP_LARGE_SIZE / 8;
	long large = 0;
	int i;

	/* a connection that a slow guest has lost segments of takes long to grow again */
	for (i = 0; i < 25 && large >= 0 && large < enough; i++)
		large = bulk_echoed(b);
	return large >= enough;
}

uint64_t bulk_large_packets(void)
{
	return ethtool_counter("driver_rx_large_packets");
}

int bulk_pipe(int pipes[2])
{
	if (pipe(pipes))
		return -1;
	return fcntl(pipes[1], F_SETPIPE_SZ, PAGE) == PAGE ? 0 : -1;
}

static bool received(struct bulk *b, int fd, ssize_t n)
{
	bool good = n >= 0 && read(fd, b->back, n) == n &&
		    differs_stream(b->back, n, b->at) < 0;

	b->at += n;
	return good;
}

/* A pipe gets bytes of so many pages as there is room for pieces; another one, pieces. */
static bool splice_piece(struct bulk *b, const int via[2], const int pipes[2],
			 size_t length)
{
	ssize_t n, piece;
	int tries = TRIES;

	do {
		if (b->at == b->asked && (!tries-- || !bulk_wait(b)))
			return false;
		n = splice(b->fd, NULL, via[1], NULL, length, 0);
		piece = n > 0 ? splice(via[0], NULL, pipes[1], NULL, n, 0) : -1;
		if (piece == (ssize_t)length)
			return true;
	} while (received(b, pipes[0], piece) &&
		 (piece == n || received(b, via[0], n - piece)));
	return false;
}

bool bulk_splice(struct bulk *b, const int pipes[2], size_t length)
{
	int via[2];
	bool good;

	if (pipe(via))
		return false;
	good = splice_piece(b, via, pipes, length);
	close(via[0]);
	close(via[1]);
	return good;
}

bool bulk_view(struct bulk *b, struct view_message *got, const struct view *v,
	       size_t pages)
{
	if (!bulk_wait(b))
		return false;
	view_receive(b->fd, got, RECEIVE_MAX, 0, SNAP_VIEW_PARTS_MAX);
	if (got->bytes <= 0)
		return false;
	view_message_gather(got, v);
	if (differs_stream(got->buffer, got->bytes, b->at) >= 0)
		return false;
	b->at += got->bytes;
	return bulk_drain(b) &&
	       !view_message_release_pages(b->fd, got, pages, RECEIVE_MAX / PAGE);
}

long bulk_keep(struct bulk *b, struct view_message *got, const struct view *v,
	       size_t pages)
{
	if (!bulk_view(b, got, v, pages))
		return -1;
	/* what sockets and the thread of the device keep comes home meanwhile */
	return wait_no_frames_out(300);
}
