// SPDX-License-Identifier: GPL-2.0-only
/* See view.h. */

#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "view.h"

int view_pair(int type, int fd[2])
{
	int big = 4 << 20;

	return (type == SOCK_STREAM ? tcp_pair(AF_SNAP, AF_INET, fd) :
				      udp_pair(AF_SNAP, AF_INET, fd)) ||
	       set_copybreak(fd[0], 1) || set_copybreak(fd[1], 1) ||
	       set_timeout(fd[0], 10000) || set_timeout(fd[1], 10000) ||
	       setsockopt(fd[0], SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big)) ? -1 : 0;
}

int view_set(int fd, uint64_t length, uint32_t flags)
{
	struct snap_view_args args = {
		.size = sizeof(args), .flags = flags, .length = length,
	};

	return setsockopt(fd, SOL_SNAP, SNAP_VIEW, &args, sizeof(args)) ? -errno : 0;
}

int view_make(struct view *v, int fd, size_t length, uint32_t flags)
{
	int err = view_set(fd, length, flags);

	return err ?: view_map(v, fd, length);
}

int view_make_of(int uid, struct view *v, int fd, size_t length, uint32_t flags)
{
	int err = setresuid(uid, 0, 0) ? -errno : view_make(v, fd, length, flags);

	return setresuid(0, 0, 0) ? -errno : err;
}

int view_map(struct view *v, int fd, size_t length)
{
	void *p = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, SNAP_VIEW_OFFSET);

	if (p == MAP_FAILED)
		return -errno;
	v->p = p;
	v->length = length;
	return 0;
}

void view_drop(struct view *v)
{
	if (v->p)
		munmap((void *)v->p, v->length);
	v->p = NULL;
}

long view_used(int fd)
{
	struct snap_view_args args;
	socklen_t size = sizeof(args);

	if (getsockopt(fd, SOL_SNAP, SNAP_VIEW, &args, &size))
		return -errno;
	return args.used;
}

int view_release(int fd, uint64_t offset, uint64_t length)
{
	struct snap_view_range range = { .offset = offset, .length = length };

	return setsockopt(fd, SOL_SNAP, SNAP_VIEW_RELEASE, &range,
			  sizeof(range)) ? -errno : 0;
}

int view_message_release(int fd, const struct view_message *r)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < r->n; i++)
		err = view_release(fd, r->part[i].offset, r->part[i].length);
	return err;
}

int view_message_release_pages(int fd, const struct view_message *r, size_t first,
			       size_t pages)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < r->n; i++) {
		size_t end = r->part[i].offset + r->part[i].length;
		size_t from = r->part[i].offset / PAGE * PAGE + first * PAGE;
		size_t to = from + pages * PAGE;

		if (from < end)
			err = view_release(fd, from, (to < end ? to : end) - from);
	}
	return err;
}

void view_receive(int fd, struct view_message *r, size_t length, int flags,
	     unsigned int room)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(sizeof(r->part)) + 256];
	} control;

	view_receive_control(fd, r, length, flags, room ? &control : NULL,
			     room ? CMSG_SPACE(room * sizeof(r->part[0])) : 0);
}

void view_receive_control(int fd, struct view_message *r, size_t length, int flags,
			  void *control, size_t size)
{
	struct iovec iov = { r->buffer, length };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = size,
	};
	struct cmsghdr *c;

	memset(r->buffer, POISON, sizeof(r->buffer));
	r->others = 0;
	r->n = 0;
	r->bytes = recvmsg(fd, &msg, flags | MSG_SNAP_VIEW);
	r->flags = msg.msg_flags;
	if (r->bytes < 0) {
		r->bytes = -errno;
		return;
	}
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SNAP || c->cmsg_type != SNAP_VIEW) {
			r->others++;
			continue;
		}
		r->n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(r->part[0]);
		memcpy(r->part, CMSG_DATA(c), r->n * sizeof(r->part[0]));
	}
}

size_t view_message_viewed(const struct view_message *r)
{
	size_t sum = 0;
	unsigned int i;

	for (i = 0; i < r->n; i++)
		sum += r->part[i].length;
	return sum;
}

void view_message_gather(struct view_message *r, const struct view *v)
{
	unsigned int i;

	for (i = 0; i < r->n; i++)
		memcpy(r->buffer + r->part[i].at, v->p + r->part[i].offset,
		       r->part[i].length);
}

size_t view_message_beside(const struct view_message *r, const struct view *v)
{
	size_t at, seen = 0;
	unsigned int i;

	for (i = 0; i < r->n; i++) {
		size_t begin = r->part[i].offset, end = begin + r->part[i].length;

		for (at = begin / PAGE * PAGE; at < begin; at++)
			seen += v->p[at] != 0;
		for (at = end; at % PAGE; at++)
			seen += v->p[at] != 0;
	}
	return seen;
}
