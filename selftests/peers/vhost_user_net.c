// SPDX-License-Identifier: GPL-2.0-only
/*
 * vhost_user_net SOCKET FILE - the backend of a virtio NIC that checks addresses.
 *
 * Speaks as much of vhost-user as it takes to get the table of the guest's memory
 * and the NIC's transmit queue (QEMU's docs/interop/vhost-user.rst), connects to
 * QEMU at SOCKET, and reads each packet that the guest sends.  FILE has a struct
 * vhost_user_seen, which says how many came, how many of them had a part at an
 * address outside the table, and the bytes of the last one.  A backend in earnest
 * stops for good at such an address; this one goes on, so as to count.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost_user_seen.h"

#define QUEUES		2	/* receive, transmit */
#define TX		1
#define REGIONS		8

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
};

#define FLAG_VERSION		1u
#define FLAG_REPLY		4u
#define FLAG_NEED_REPLY		8u
#define NO_DESCRIPTOR		0x100u	/* of SET_VRING_KICK, SET_VRING_CALL */

/* What the guest may leave to us; CSUM is what lets Linux send fragments. */
#define FEATURES	(1ull << VIRTIO_F_VERSION_1 | \
			 1ull << VIRTIO_NET_F_CSUM | \
			 1ull << VIRTIO_NET_F_HOST_TSO4 | \
			 1ull << 30)	/* protocol features */

struct region {
	uint64_t guest;		/* address that the guest uses */
	uint64_t size;
	uint64_t user;		/* address in QEMU, of the rings */
	uint64_t offset;	/* in the file */
	char *p;		/* of offset 0 */
};

/* The first HEAD bytes and those from `number` on follow each other. */
struct message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	union {
		uint64_t number;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct {
			uint32_t n;
			uint32_t padding;
			struct {
				uint64_t guest;
				uint64_t size;
				uint64_t user;
				uint64_t offset;
			} region[REGIONS];
		} table;
	};
};

#define HEAD	(3 * sizeof(uint32_t))

struct queue {
	unsigned int num;
	uint16_t next;		/* in the ring of what is available */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	int kick;
	int call;
};

static struct region region[REGIONS];
static unsigned int nregions;
static struct queue queue[QUEUES] = {
	{ .kick = -1, .call = -1 }, { .kick = -1, .call = -1 },
};
static struct vhost_user_seen *seen;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Of the guest's memory, if all of it is in one region; else NULL. */
static void *at_guest(uint64_t guest, uint64_t size)
{
	unsigned int i;

	for (i = 0; i < nregions; i++)
		if (guest >= region[i].guest && size <= region[i].size &&
		    guest - region[i].guest <= region[i].size - size)
			return region[i].p + region[i].offset + guest -
			       region[i].guest;
	return NULL;
}

static void *at_user(uint64_t user)
{
	unsigned int i;

	for (i = 0; i < nregions; i++)
		if (user >= region[i].user && user - region[i].user < region[i].size)
			return region[i].p + region[i].offset + user -
			       region[i].user;
	return NULL;
}

static void set_table(const struct message *m, const int *fd)
{
	unsigned int i;

	for (i = 0; i < nregions; i++)
		munmap(region[i].p, region[i].offset + region[i].size);
	nregions = m->table.n < REGIONS ? m->table.n : REGIONS;
	for (i = 0; i < nregions; i++) {
		struct region *r = &region[i];

		r->guest = m->table.region[i].guest;
		r->size = m->table.region[i].size;
		r->user = m->table.region[i].user;
		r->offset = m->table.region[i].offset;
		r->p = mmap(NULL, r->offset + r->size, PROT_READ | PROT_WRITE,
			    MAP_SHARED, fd[i], 0);
		if (r->p == MAP_FAILED)
			die("mmap");
		close(fd[i]);
	}
}

/* The packet of a chain of descriptors, less the header of virtio-net. */
static void look_at_packet(const struct queue *q, unsigned int head)
{
	size_t skip = sizeof(struct virtio_net_hdr_v1), length = 0;
	const struct vring_desc *d = &q->desc[head % q->num];
	bool bad = false;

	for (;;) {
		const char *p = at_guest(d->addr, d->len);
		size_t from = d->len < skip ? d->len : skip;
		size_t n = d->len - from;

		skip -= from;
		if (!p) {
			bad = true;
			seen->address = d->addr;
		} else if (length + n <= sizeof(seen->last)) {
			memcpy(seen->last + length, p + from, n);
		}
		length += n;
		if (!(d->flags & VRING_DESC_F_NEXT))
			break;
		d = &q->desc[d->next % q->num];
	}
	seen->length = length;
	seen->bad += bad;
	/* who waits for it looks at the rest then */
	__atomic_fetch_add(&seen->packets, 1, __ATOMIC_RELEASE);
}

static void transmit(struct queue *q)
{
	uint64_t one = 1;

	if (!q->avail || !q->num)
		return;
	while (q->next != __atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE)) {
		unsigned int head = q->avail->ring[q->next++ % q->num];
		struct vring_used_elem *e =
			&q->used->ring[q->used->idx % q->num];

		look_at_packet(q, head);
		e->id = head;
		e->len = 0;
		__atomic_store_n(&q->used->idx, q->used->idx + 1,
				 __ATOMIC_RELEASE);
	}
	if (q->call >= 0 && write(q->call, &one, sizeof(one)) < 0)
		die("call");
}

static void reply(int sock, struct message *m, uint32_t size)
{
	struct iovec iov[] = { { m, HEAD }, { &m->number, size } };

	m->flags = FLAG_VERSION | FLAG_REPLY;
	m->size = size;
	if (writev(sock, iov, 2) != (ssize_t)(HEAD + size))
		die("reply");
}

static void set_event(int *event, const struct message *m, const int *fd)
{
	if (*event >= 0)
		close(*event);
	*event = m->number & NO_DESCRIPTOR ? -1 : fd[0];
}

static void set_addr(const struct vhost_vring_addr *addr)
{
	struct queue *q = &queue[addr->index % QUEUES];

	q->desc = at_user(addr->desc_user_addr);
	q->avail = at_user(addr->avail_user_addr);
	q->used = at_user(addr->used_user_addr);
	if (!q->desc || !q->avail || !q->used)
		q->avail = NULL;
}

static void handle(int sock, struct message *m, const int *fd)
{
	struct queue *q = &queue[m->state.index % QUEUES];

	switch (m->request) {
	case GET_FEATURES:
		m->number = FEATURES;
		return reply(sock, m, sizeof(m->number));
	case GET_PROTOCOL_FEATURES:
		m->number = 0;
		return reply(sock, m, sizeof(m->number));
	case GET_QUEUE_NUM:
		m->number = 1;
		return reply(sock, m, sizeof(m->number));
	case GET_VRING_BASE:
		m->state.num = q->next;
		q->avail = NULL;
		return reply(sock, m, sizeof(m->state));
	case SET_MEM_TABLE:
		set_table(m, fd);
		break;
	case SET_VRING_NUM:
		q->num = m->state.num;
		break;
	case SET_VRING_ADDR:
		set_addr(&m->addr);
		break;
	case SET_VRING_BASE:
		q->next = m->state.num;
		break;
	case SET_VRING_KICK:
		set_event(&queue[m->number % QUEUES].kick, m, fd);
		break;
	case SET_VRING_CALL:
		set_event(&queue[m->number % QUEUES].call, m, fd);
		break;
	}
	if (m->flags & FLAG_NEED_REPLY) {
		m->number = 0;
		reply(sock, m, sizeof(m->number));
	}
}

/* One message; ends the program with QEMU. */
static void receive(int sock)
{
	char control[CMSG_SPACE(REGIONS * sizeof(int))];
	struct message m = { 0 };
	struct iovec iov = { &m, HEAD };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fd[REGIONS];

	memset(fd, -1, sizeof(fd));
	if (recvmsg(sock, &msg, MSG_WAITALL) != (ssize_t)HEAD)
		exit(0);
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	if (m.size > sizeof(m) - offsetof(struct message, number) ||
	    (m.size &&
	     recv(sock, &m.number, m.size, MSG_WAITALL) != (ssize_t)m.size))
		die("message");
	handle(sock, &m, fd);
}

static int connect_to(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	/* QEMU has yet to begin */
	while (connect(sock, (struct sockaddr *)&at, sizeof(at)))
		usleep(50000);
	return sock;
}

static struct vhost_user_seen *make_seen(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	void *p;

	if (fd < 0 || ftruncate(fd, sizeof(*seen)))
		die(path);
	p = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

int main(int argc, char **argv)
{
	struct pollfd ready[2];
	uint64_t kicks;

	if (argc != 3)
		return 2;
	seen = make_seen(argv[2]);
	ready[0].fd = connect_to(argv[1]);
	ready[0].events = POLLIN;
	ready[1].events = POLLIN;
	for (;;) {
		ready[1].fd = queue[TX].kick;
		if (poll(ready, 2, -1) < 0)
			die("poll");
		if (ready[0].revents)
			receive(ready[0].fd);
		else if (ready[1].revents &&
			 read(ready[1].fd, &kicks, sizeof(kicks)) > 0)
			transmit(&queue[TX]);
	}
}
