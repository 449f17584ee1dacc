// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large receive is a switch: with rx-gro-hw off no packet over the MTU gets past
 * the driver, and the bytes are the same.
 *
 * Machines: auto-2 debug newest
 * Paths: thread-auto-* main-auto-* full-auto-* paused-auto-*
 */

#define _GNU_SOURCE
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define MTU		1500
#define LENGTH		(8 * STREAM_ROOM)
#define FEATURE(name, state) \
	sh("ethtool -k " NETDEV " | grep -qx '" name ": " state "'")

FIXTURE(large_receive)
{
	int taps;		/* sees the packets that NETDEV has received */
	long mtu;
	char *out, *back;	/* STREAM_ROOM each */
};

FIXTURE_VARIANT(large_receive)
{
	int family;
	const char *host;
	int packets;		/* ETH_P_* */
};

FIXTURE_VARIANT_ADD(large_receive, ipv4)
{
	.family = AF_INET, .host = HOST4, .packets = ETH_P_IP,
};

FIXTURE_VARIANT_ADD(large_receive, ipv6)
{
	.family = AF_INET6, .host = HOST6, .packets = ETH_P_IPV6,
};

FIXTURE_SETUP(large_receive)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(variant->packets),
		.sll_ifindex = if_nametoindex(NETDEV),
	};
	int room = 16 << 20;

	if (!host_stream_port())
		SKIP(return, "no echo server for streams at the host");
	self->out = malloc(STREAM_ROOM);
	self->back = malloc(STREAM_ROOM);
	self->mtu = read_number("/sys/class/net/" NETDEV "/mtu");
	ASSERT_EQ(0, sh("ip link set " NETDEV " mtu %d", MTU));
	/* software would join what has been cut */
	ASSERT_EQ(0, sh("ethtool -K " NETDEV " gro off"));
	self->taps = socket(AF_PACKET, SOCK_DGRAM, 0);
	ASSERT_GE(self->taps, 0);
	ASSERT_EQ(0, setsockopt(self->taps, SOL_SOCKET, SO_RCVBUFFORCE, &room,
				sizeof(room)));
	ASSERT_EQ(0, bind(self->taps, (void *)&at, sizeof(at)));
}

FIXTURE_TEARDOWN(large_receive)
{
	if (!self->out)
		return;
	EXPECT_EQ(0, sh("ethtool -K " NETDEV " gro on rx-gro-hw on"));
	EXPECT_EQ(0, sh("ip link set " NETDEV " mtu %ld", self->mtu));
	close(self->taps);
	free(self->out);
	free(self->back);
}

/* Bytes go to the host and come back whole. */
static bool echoed(int fd, char *out, char *back)
{
	uint64_t at;

	for (at = 0; at < LENGTH; at += STREAM_ROOM) {
		fill_stream(out, STREAM_ROOM, at);
		if (send(fd, out, STREAM_ROOM, 0) != STREAM_ROOM ||
		    !comes_out(fd, back, at, STREAM_ROOM))
			return false;
	}
	return true;
}

/* Of what has been received: bytes of IP. */
static ssize_t largest_packet(int taps)
{
	ssize_t most = 0, n;
	char byte;

	while ((n = recv(taps, &byte, 1, MSG_DONTWAIT | MSG_TRUNC)) >= 0)
		most = n > most ? n : most;
	return most;
}

TEST_F(large_receive, can_be_switched_off)
{
	uint64_t copied = ethtool_counter("driver_rx_copied_bytes");
	int fd = tcp_connect(AF_SNAP, variant->family, variant->host,
			     host_stream_port());

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, FEATURE("rx-gro-hw", "on"));
	EXPECT_TRUE(echoed(fd, self->out, self->back));
	EXPECT_LT(MTU, largest_packet(self->taps));

	ASSERT_EQ(0, sh("ethtool -K " NETDEV " rx-gro-hw off"));
	ASSERT_EQ(0, FEATURE("rx-gro-hw", "off"));
	close(fd);
	fd = tcp_connect(AF_SNAP, variant->family, variant->host, host_stream_port());
	ASSERT_GE(fd, 0);
	EXPECT_TRUE(echoed(fd, self->out, self->back));
	EXPECT_EQ(MTU, largest_packet(self->taps));
	EXPECT_LT(copied + LENGTH / 2, ethtool_counter("driver_rx_copied_bytes"));
	EXPECT_EQ(0, wait_no_frames_out(PATIENCE));
	close(fd);
}

TEST_HARNESS_MAIN
