// SPDX-License-Identifier: GPL-2.0-only
/*
 * Datagrams are UDP, the third part: control messages, several messages in a
 * call and several datagrams in a message, here and by way of the host.
 *
 * Machines: share-2 copy-2 debug
 * Paths: thread-* main-*
 */

#define _GNU_SOURCE
#include <netinet/udp.h>
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "conf_dgram_path.h"

/* ---- Control messages --------------------------------------------------- */

/* post() with one control message. */
static ssize_t post_with(int fd, char *p, size_t length, unsigned int seed,
			 int level, int type, const void *data, size_t size)
{
	char control[256] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { p, length };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = CMSG_SPACE(size),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	fill(p, length, seed);
	n = sendmsg(fd, &msg, 0);
	memset(p, POISON, length);
	return n;
}

static ssize_t post_with_int(int fd, char *p, size_t length, unsigned int seed,
			     int level, int type, int value)
{
	return post_with(fd, p, length, seed, level, type, &value,
			 sizeof(value));
}

/* What came in for whom and where, and what goes out from whom and where. */
TEST_F(udp, packet_info)
{
	const struct in6_pktinfo *info6;
	const struct in_pktinfo *info4;
	int index = if_nametoindex(variant->netdev);
	struct in6_pktinfo from6 = { .ipi6_ifindex = index };
	struct in_pktinfo from4 = { .ipi_ifindex = index };
	int level = six(variant) ? IPPROTO_IPV6 : IPPROTO_IP;
	int type = six(variant) ? IPV6_PKTINFO : IP_PKTINFO;
	const void *from = six(variant) ? (void *)&from6 : (void *)&from4;
	size_t size = six(variant) ? sizeof(from6) : sizeof(from4);
	struct received r;
	union address own;
	socklen_t length = sizeof(own);

	ASSERT_EQ(0, getsockname(self->rx, &own.sa, &length));
	ASSERT_EQ(0, set_option(self->rx, level, six(variant) ?
				IPV6_RECVPKTINFO : IP_PKTINFO, 1));
	from6.ipi6_addr = own.in6.sin6_addr;
	from4.ipi_spec_dst = own.in.sin_addr;
	ASSERT_EQ(9000, post_with(self->tx, self->p, 9000, 1, level, type, from,
				  size));
	ASSERT_EQ(9000, receive(&r, self->rx, self->back, 0));
	EXPECT_EQ(-1, differs(self->back, 9000, 1));
	EXPECT_EQ(0, r.msg.msg_flags);
	info6 = control_of(&r, level, type);
	info4 = control_of(&r, level, type);
	ASSERT_NE(NULL, info4);
	if (six(variant)) {
		EXPECT_EQ(index, info6->ipi6_ifindex);
		EXPECT_EQ(0, memcmp(&info6->ipi6_addr, &own.in6.sin6_addr, 16));
	} else {
		EXPECT_EQ(index, info4->ipi_ifindex);
		EXPECT_EQ(own.in.sin_addr.s_addr, info4->ipi_addr.s_addr);
		EXPECT_EQ(own.in.sin_addr.s_addr, info4->ipi_spec_dst.s_addr);
	}
	/* not from an address that is not ours */
	address_set(&own, variant->family, six(variant) ? "2001:db8::1" :
		    "192.0.2.1", 0);
	from6 = (struct in6_pktinfo){ own.in6.sin6_addr, 0 };
	from4 = (struct in_pktinfo){ .ipi_spec_dst = own.in.sin_addr };
	EXPECT_EQ(six(variant) ? EINVAL : ENETUNREACH,
		  outcome(post_with(self->tx, self->p, 9000, 2, level, type,
				    from, size)));
}

/* Lifetime and class: of the socket, of one message, and of what came. */
TEST_F(udp, header_fields)
{
	int level = six(variant) ? IPPROTO_IPV6 : IPPROTO_IP;
	int ttl = six(variant) ? IPV6_HOPLIMIT : IP_TTL;
	int tos = six(variant) ? IPV6_TCLASS : IP_TOS;
	bool local = is_local(variant);	/* otherwise the host sets them anew */
	struct received r;

	ASSERT_EQ(0, set_option(self->rx, level, six(variant) ?
				IPV6_RECVHOPLIMIT : IP_RECVTTL, 1));
	ASSERT_EQ(0, set_option(self->rx, level, six(variant) ?
				IPV6_RECVTCLASS : IP_RECVTOS, 1));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	ASSERT_EQ(9000, receive(&r, self->rx, self->back, 0));
	EXPECT_EQ(64, number_of(&r, level, ttl));
	EXPECT_EQ(0, number_of(&r, level, tos));

	ASSERT_EQ(0, set_option(self->tx, level, six(variant) ?
				IPV6_UNICAST_HOPS : IP_TTL, 7));
	ASSERT_EQ(0, set_option(self->tx, level, tos, 0x28));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 2, 0));
	ASSERT_EQ(9000, receive(&r, self->rx, self->back, 0));
	EXPECT_EQ(-1, differs(self->back, 9000, 2));
	EXPECT_EQ(local ? 7 : 64, number_of(&r, level, ttl));
	EXPECT_EQ(local ? 0x28 : 0, number_of(&r, level, tos));

	ASSERT_EQ(9000, post_with_int(self->tx, self->p, 9000, 3, level, ttl,
				      9));
	ASSERT_EQ(9000, receive(&r, self->rx, self->back, 0));
	EXPECT_EQ(-1, differs(self->back, 9000, 3));
	EXPECT_EQ(local ? 9 : 64, number_of(&r, level, ttl));
	ASSERT_EQ(9000, post_with_int(self->tx, self->p, 9000, 4, level, tos,
				      0x48));
	ASSERT_EQ(9000, receive(&r, self->rx, self->back, 0));
	EXPECT_EQ(local ? 0x48 : 0, number_of(&r, level, tos));
	EXPECT_EQ(EINVAL, outcome(post_with_int(self->tx, self->p, 9000, 5,
						level, ttl, 256)));
	EXPECT_EQ(EINVAL, outcome(post_with_int(self->tx, self->p, 9000, 5,
						level, tos, 256)));
}

TEST_F(udp, bad_control)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct cmsghdr *c = (void *)control;
	struct iovec iov = { self->p, 100 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct received r;
	short little = 1000;

	EXPECT_EQ(EINVAL, outcome(post_with_int(self->tx, self->p, 9000, 1,
						SOL_UDP, 9999, 1)));
	EXPECT_EQ(EINVAL, outcome(post_with_int(self->tx, self->p, 9000, 1,
						SOL_SOCKET, 9999, 1)));
	EXPECT_EQ(EINVAL, outcome(post_with(self->tx, self->p, 9000, 1,
					    six(variant) ? IPPROTO_IPV6 :
							   IPPROTO_IP,
					    six(variant) ? IPV6_PKTINFO :
							   IP_PKTINFO,
					    &little, sizeof(little))));
	/* a size of segments is no int */
	EXPECT_EQ(EINVAL, outcome(post_with_int(self->tx, self->p, 9000, 1,
						SOL_UDP, UDP_SEGMENT, 1000)));
	/* longer than it has room for, and shorter than its head */
	memset(control, 0, sizeof(control));
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = sizeof(control) + 1;
	msg.msg_control = control;
	msg.msg_controllen = sizeof(control);
	EXPECT_EQ(EINVAL, outcome(sendmsg(self->tx, &msg, 0)));
	c->cmsg_len = 3;
	EXPECT_EQ(EINVAL, outcome(sendmsg(self->tx, &msg, 0)));
	msg.msg_control = (void *)8;
	EXPECT_EQ(EFAULT, outcome(sendmsg(self->tx, &msg, 0)));
	msg.msg_controllen = 1 << 30;
	EXPECT_EQ(ENOBUFS, outcome(sendmsg(self->tx, &msg, 0)));
	/* what is of another level is not for UDP */
	ASSERT_EQ(9000, post_with_int(self->tx, self->p, 9000, 2, IPPROTO_TCP,
				      1, 1));
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 2));

	/* too little room for what comes, which the flag says */
	ASSERT_EQ(0, set_option(self->rx, SOL_SOCKET, SO_TIMESTAMPNS, 1));
	ASSERT_EQ(100, post(self->tx, self->p, 100, 3, 0));
	msg.msg_controllen = sizeof(control);
	msg.msg_control = control;
	ASSERT_EQ(100, recvmsg(self->rx, &msg, 0));
	EXPECT_EQ(MSG_CTRUNC, msg.msg_flags);
	ASSERT_EQ(100, post(self->tx, self->p, 100, 4, 0));
	ASSERT_EQ(100, receive(&r, self->rx, self->back, 0));
	EXPECT_EQ(0, r.msg.msg_flags);
}

/* When it came, and when it went: the clock of the machine says the same. */
TEST_F(udp, time_stamps)
{
	int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
		    SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
	int level = six(variant) ? IPPROTO_IPV6 : IPPROTO_IP;
	struct timespec before, after;
	const struct sock_extended_err *err;
	const struct timespec *stamp;
	struct received r;
	int i;

	ASSERT_EQ(0, set_option(self->rx, SOL_SOCKET, SO_TIMESTAMPNS, 1));
	ASSERT_EQ(0, set_option(self->tx, SOL_SOCKET, SO_TIMESTAMPING, flags));
	clock_gettime(CLOCK_REALTIME, &before);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(9000, post(self->tx, self->p, 9000, i, 0));
		ASSERT_EQ(9000, receive(&r, self->rx, self->back, 0));
		EXPECT_EQ(-1, differs(self->back, 9000, i));
		stamp = control_of(&r, SOL_SOCKET, SO_TIMESTAMPNS);
		ASSERT_NE(NULL, stamp);
		clock_gettime(CLOCK_REALTIME, &after);
		EXPECT_GE(stamp->tv_sec, before.tv_sec);
		EXPECT_LE(stamp->tv_sec, after.tv_sec);

		EXPECT_EQ(POLLERR, events_until(self->tx, POLLERR) & POLLERR);
		ASSERT_EQ(0, receive(&r, self->tx, self->back, MSG_ERRQUEUE));
		stamp = control_of(&r, SOL_SOCKET, SCM_TIMESTAMPING);
		err = control_of(&r, level, six(variant) ? IPV6_RECVERR :
							   IP_RECVERR);
		ASSERT_NE(NULL, stamp);
		ASSERT_NE(NULL, err);
		EXPECT_GE(stamp->tv_sec, before.tv_sec);
		EXPECT_LE(stamp->tv_sec, after.tv_sec);
		EXPECT_EQ(ENOMSG, err->ee_errno);
		EXPECT_EQ(SO_EE_ORIGIN_TIMESTAMPING, err->ee_origin);
		EXPECT_EQ(i, err->ee_data);
	}
	EXPECT_EQ(EAGAIN, outcome(receive(&r, self->tx, self->back,
					  MSG_ERRQUEUE)));
}

/* ---- Several messages in a call ----------------------------------------- */

#define MANY	6

/* Messages of which each has a page of `p`. */
static void messages(struct mmsghdr *msgs, struct iovec *iov, char *p)
{
	int i;

	memset(msgs, 0, MANY * sizeof(*msgs));
	for (i = 0; i < MANY; i++) {
		iov[i] = (struct iovec){ p + i * PAGE, PAGE };
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

/* The buffers are different, their bytes all start with the same. */
static int post_messages(int fd, struct mmsghdr *msgs, char *p)
{
	int i, n;

	for (i = 0; i < MANY; i++)
		fill(p + i * PAGE, PAGE, i);
	n = sendmmsg(fd, msgs, MANY, 0);
	memset(p, POISON, MANY * PAGE);
	return n;
}

TEST_F(udp, sendmmsg)
{
	struct mmsghdr msgs[MANY];
	struct iovec iov[MANY];
	int i;

	messages(msgs, iov, self->p);
	iov[1].iov_len = 0;
	iov[2].iov_len = 100;
	ASSERT_EQ(MANY, post_messages(self->tx, msgs, self->p));
	for (i = 0; i < MANY; i++) {
		EXPECT_EQ(iov[i].iov_len, msgs[i].msg_len);
		EXPECT_TRUE(arrives(self->rx, self->back, iov[i].iov_len, i));
	}
	EXPECT_EQ(0, sendmmsg(self->tx, msgs, 0, 0));
	EXPECT_EQ(EFAULT, outcome(sendmmsg(self->tx, (void *)8, 1, 0)));

	/* an error ends it, and is only told if nothing was sent before */
	messages(msgs, iov, self->p);
	iov[2].iov_base = (void *)8;
	ASSERT_EQ(2, post_messages(self->tx, msgs, self->p));
	EXPECT_EQ(0, so_error(self->tx));
	EXPECT_EQ(EFAULT, outcome(sendmmsg(self->tx, msgs + 2, 2, 0)));
	iov[2] = (struct iovec){ self->p, LENGTH };
	ASSERT_EQ(2, post_messages(self->tx, msgs, self->p));
	EXPECT_EQ(EMSGSIZE, outcome(sendmmsg(self->tx, msgs + 2, 2, 0)));
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(arrives(self->rx, self->back, PAGE, i % 2));
	ASSERT_EQ(100, post(self->tx, self->p, 100, 9, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 100, 9));
}

TEST_F(udp, recvmmsg)
{
	struct timespec none = { 0 }, bad = { .tv_nsec = 1000000000 };
	struct timespec long_time = { .tv_sec = PATIENCE };
	struct mmsghdr out[MANY], msgs[MANY];
	struct iovec from[MANY], iov[MANY];
	int i;

	messages(out, from, self->p);
	messages(msgs, iov, self->back);
	EXPECT_EQ(EAGAIN, outcome(recvmmsg(self->rx, msgs, MANY, MSG_DONTWAIT,
					   NULL)));
	EXPECT_EQ(EINVAL, outcome(recvmmsg(self->rx, msgs, MANY, 0, &bad)));
	ASSERT_EQ(MANY, post_messages(self->tx, out, self->p));
	ASSERT_EQ(MANY, recvmmsg(self->rx, msgs, MANY, 0, &long_time));
	EXPECT_LT(long_time.tv_sec, PATIENCE);
	for (i = 0; i < MANY; i++) {
		EXPECT_EQ(PAGE, msgs[i].msg_len);
		EXPECT_EQ(-1, differs(self->back + i * PAGE, PAGE, i));
	}
	/* a time limit is looked at after each datagram */
	ASSERT_EQ(MANY, post_messages(self->tx, out, self->p));
	EXPECT_EQ(1, recvmmsg(self->rx, msgs, MANY, 0, &none));
	/* no more than there are, once one is there */
	for (i = 1; i < MANY; i++)
		EXPECT_EQ(1, recvmmsg(self->rx, msgs, 1, MSG_WAITFORONE, NULL));
	ASSERT_EQ(PAGE, post(self->tx, self->p, PAGE, 1, 0));
	EXPECT_EQ(1, recvmmsg(self->rx, msgs, MANY, MSG_WAITFORONE, NULL));
	ASSERT_EQ(PAGE, post(self->tx, self->p, PAGE, 2, 0));
	EXPECT_EQ(POLLIN, events_until(self->rx, POLLIN) & POLLIN);
	ASSERT_EQ(0, set_timeout(self->rx, 20));
	EXPECT_EQ(1, recvmmsg(self->rx, msgs, MANY, 0, NULL));
	ASSERT_EQ(0, set_timeout(self->rx, PATIENCE));

	/* the error that ended it comes with the next call, once */
	iov[2].iov_base = (void *)8;
	ASSERT_EQ(MANY, post_messages(self->tx, out, self->p));
	EXPECT_EQ(2, recvmmsg(self->rx, msgs, MANY, 0, NULL));
	EXPECT_EQ(EFAULT, outcome(recvmmsg(self->rx, msgs, 1, 0, NULL)));
	for (i = 3; i < MANY; i++)
		EXPECT_TRUE(arrives(self->rx, self->back, PAGE, i));
}

/* ---- One message, many datagrams ---------------------------------------- */

#define SEGMENT		1400
#define SEGMENTS	10

/* Ten segments and a bit, from a buffer in which each begins anew. */
static void fill_segments(char *p)
{
	int i;

	for (i = 0; i < SEGMENTS; i++)
		fill(p + i * SEGMENT, SEGMENT, i);
	fill(p + SEGMENTS * SEGMENT, 99, SEGMENTS);
}

/* By the option or by a control message, which comes first. */
static ssize_t post_segments(int fd, char *p, bool control)
{
	char room[CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8)));
	struct iovec iov = { p, SEGMENTS * SEGMENT + 99 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = (void *)room;
	ssize_t n;

	memset(room, 0, sizeof(room));
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
	*(uint16_t *)CMSG_DATA(c) = SEGMENT;
	if (control) {
		msg.msg_control = room;
		msg.msg_controllen = sizeof(room);
	}
	fill_segments(p);
	n = sendmsg(fd, &msg, 0);
	memset(p, POISON, iov.iov_len);
	return n;
}

TEST_F(udp, segments)
{
	uint16_t tiny = 10;
	int control, i;

	for (control = 0; control < 2; control++) {
		ASSERT_EQ(0, set_option(self->tx, SOL_UDP, UDP_SEGMENT,
					control ? 7 : SEGMENT));
		ASSERT_EQ(SEGMENTS * SEGMENT + 99,
			  post_segments(self->tx, self->p, control));
		for (i = 0; i < SEGMENTS; i++)
			EXPECT_TRUE(arrives(self->rx, self->back, SEGMENT, i));
		EXPECT_TRUE(arrives(self->rx, self->back, 99, SEGMENTS));
	}
	/* too many of them */
	EXPECT_EQ(EINVAL, outcome(post_with(self->tx, self->p, 9000, 1, SOL_UDP,
					    UDP_SEGMENT, &tiny, sizeof(tiny))));
	/* one that is not full is a datagram as any other */
	ASSERT_EQ(5, post(self->tx, self->p, 5, 1, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 5, 1));
	ASSERT_EQ(0, set_option(self->tx, SOL_UDP, UDP_SEGMENT, 0));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 2, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, 9000, 2));
}

/* A receiver that wants it gets them joined again, and how long each was. */
TEST_F(udp, joined_segments)
{
	size_t total = SEGMENTS * SEGMENT + 99, done = 0;
	struct received r;
	ssize_t n;
	char *all;

	ASSERT_EQ(0, set_option(self->rx, SOL_UDP, UDP_GRO, 1));
	ASSERT_EQ((ssize_t)total, post_segments(self->tx, self->p, true));
	all = anonymous(total);
	ASSERT_NE(MAP_FAILED, all);
	while (done < total) {
		n = receive(&r, self->rx, self->back, 0);
		ASSERT_GT(n, 0);
		ASSERT_LE(n, total - done);
		memcpy(all + done, self->back, n);
		done += n;
		/* on the way back from the host they may be alone */
		if (is_local(variant))
			EXPECT_EQ(total, n);
		EXPECT_EQ(n > SEGMENT ? SEGMENT : -1,
			  number_of(&r, SOL_UDP, UDP_GRO));
	}
	fill_segments(self->back);
	EXPECT_EQ(0, memcmp(self->back, all, total));
	ASSERT_EQ(9000, post(self->tx, self->p, 9000, 1, 0));
	ASSERT_EQ(9000, receive(&r, self->rx, self->back, 0));
	EXPECT_EQ(-1, number_of(&r, SOL_UDP, UDP_GRO));
	munmap(all, total);
}

TEST_HARNESS_MAIN
