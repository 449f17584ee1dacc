// SPDX-License-Identifier: GPL-2.0-only
/* See bulk.h. */

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bulk.h"

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

uint64_t bulk_large_packets(void)
{
	return ethtool_counter("driver_rx_large_packets");
}

long bulk_keep(struct bulk *b, struct view_message *got, const struct view *v,
	       size_t pages)
{
	if (!bulk_wait(b))
		return -1;
	view_receive(b->fd, got, RECEIVE_MAX, 0, SNAP_VIEW_PARTS_MAX);
	if (got->bytes <= 0)
		return -1;
	view_message_gather(got, v);
	if (differs_stream(got->buffer, got->bytes, b->at) >= 0)
		return -1;
	b->at += got->bytes;
	if (!bulk_drain(b) ||
	    view_message_release_pages(b->fd, got, pages, RECEIVE_MAX / PAGE))
		return -1;
	/* what sockets and the thread of the device keep comes home meanwhile */
	return wait_no_frames_out(300);
}
