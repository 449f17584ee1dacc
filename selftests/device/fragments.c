// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fragments of datagrams that are never complete keep no frames, and are charged
 * what they have: the memory for reassembly (ipfrag_high_thresh) takes as many of
 * them as it should.  The host forwards what comes from here back to here.
 *
 * Machines: copy-2 debug newest
 * Paths: *
 */

#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define SOMEBODY4	"10.77.0.77"
#define HIGH_THRESH	"/proc/sys/net/ipv4/ipfrag_high_thresh"
/* Else a datagram is given up when so many fragments of others have come. */
#define MAX_DIST	"/proc/sys/net/ipv4/ipfrag_max_dist"
#define PORT		7011
#define DATAGRAMS	40
#define LENGTH		30000
#define PART		1480	/* at an MTU of 1500 */
#define PARTS		((LENGTH + sizeof(struct udphdr) + PART - 1) / PART)

FIXTURE(fragments)
{
	struct sockaddr_ll host;
	int raw;
	int fd;
};

FIXTURE_SETUP(fragments)
{
	union address at;
	unsigned int mac[6];
	char line[128] = "";
	FILE *arp;
	int i, n;

	if (!host_echo_port() ||
	    sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"))
		SKIP(return, "no host that sends things back");
	arp = popen("ip neigh show to " HOST4 " dev " NETDEV, "r");
	ASSERT_NE(NULL, fgets(line, sizeof(line), arp));
	pclose(arp);
	n = sscanf(strstr(line, "lladdr ") ?: "", "lladdr %x:%x:%x:%x:%x:%x",
		   &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]);
	ASSERT_EQ(6, n);
	self->host = (struct sockaddr_ll){
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = if_nametoindex(NETDEV), .sll_halen = ETH_ALEN,
	};
	for (i = 0; i < 6; i++)
		self->host.sll_addr[i] = mac[i];
	self->raw = socket(AF_PACKET, SOCK_DGRAM, 0);
	ASSERT_GE(self->raw, 0);
	self->fd = udp_socket(AF_SNAP, AF_INET);
	address_set(&at, AF_INET, "0.0.0.0", PORT);
	ASSERT_EQ(0, bind(self->fd, &at.sa, sizeof(at.in)));
	ASSERT_EQ(0, set_timeout(self->fd, PATIENCE));
	ASSERT_EQ(0, write_text(MAX_DIST, "0"));
}

FIXTURE_TEARDOWN(fragments)
{
	EXPECT_EQ(0, write_text(MAX_DIST, "64"));
	close(self->raw);
	close(self->fd);
}

static uint16_t ip_sum(const void *p)
{
	const uint16_t *word = p;
	uint32_t sum = 0;
	int i;

	for (i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

/* A part of a datagram whose bytes are those of the seed that is its number. */
static bool send_part(int raw, const struct sockaddr_ll *host, int datagram,
		      unsigned int part)
{
	static char whole[sizeof(struct udphdr) + LENGTH];
	static int filled = -1;
	struct udphdr *udp = (struct udphdr *)whole;
	size_t from = part * PART, left = sizeof(whole) - from;
	size_t n = left < PART ? left : PART;
	char packet[sizeof(struct iphdr) + PART];
	struct iphdr ip = {
		.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
		.id = htons(1000 + datagram),
		.tot_len = htons(sizeof(ip) + n),
		.frag_off = htons(from / 8 | (n < left ? IP_MF : 0)),
	};
	union address a;

	udp->source = htons(PORT);
	udp->dest = htons(PORT);
	udp->len = htons(sizeof(whole));
	if (filled != datagram)
		fill(whole + sizeof(*udp), LENGTH, datagram);
	filled = datagram;
	address_set(&a, AF_INET, SOMEBODY4, 0);
	ip.saddr = a.in.sin_addr.s_addr;
	address_set(&a, AF_INET, GUEST4, 0);
	ip.daddr = a.in.sin_addr.s_addr;
	ip.check = ip_sum(&ip);
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip), whole + from, n);
	n += sizeof(ip);
	return sendto(raw, packet, n, 0, (struct sockaddr *)host,
		      sizeof(*host)) == (ssize_t)n;
}

/* Incomplete datagrams, and bytes that their parts are charged. */
static long reassembly(long *bytes)
{
	char line[128];
	long n = -1;
	FILE *f = fopen("/proc/net/sockstat", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "FRAG: inuse %ld memory %ld", &n, bytes);
	if (f)
		fclose(f);
	return n;
}

TEST_F(fragments, incomplete)
{
	long high = read_number(HIGH_THRESH), bytes = 0;
	uint64_t small = ethtool_counter("driver_rx_small_bytes");
	static char back[LENGTH];
	unsigned int part;
	uint64_t end;
	int i;

	ASSERT_EQ(0, reassembly(&bytes));
	for (i = 0; i < DATAGRAMS; i++)
		for (part = 0; part < PARTS - 1; part++)
			ASSERT_TRUE(send_part(self->raw, &self->host, i, part));
	end = now_ms() + 10000;
	while (reassembly(&bytes) < DATAGRAMS && now_ms() < end)
		sleep_ms(20);
	sleep_ms(100);
	EXPECT_EQ(DATAGRAMS, reassembly(&bytes));
	TH_LOG("%u datagrams, %zu bytes of parts, charged %ld of %ld", DATAGRAMS,
	       DATAGRAMS * (PARTS - 1) * PART, bytes, high);
	/* twice as much as there is, or a little less */
	EXPECT_LE(bytes, 2 * DATAGRAMS * (PARTS - 1) * PART);
	EXPECT_EQ(0, wait_no_frames_out(5000));
	EXPECT_LE(small + DATAGRAMS * (PARTS - 1) * PART,
		  ethtool_counter("driver_rx_small_bytes"));
	/* and the bytes are right */
	for (i = 0; i < DATAGRAMS; i++) {
		ASSERT_TRUE(send_part(self->raw, &self->host, i, PARTS - 1));
		ASSERT_EQ(LENGTH, recv(self->fd, back, LENGTH, 0));
		EXPECT_EQ(-1, differs(back, LENGTH, i));
	}
	EXPECT_EQ(0, reassembly(&bytes));
}

TEST_HARNESS_MAIN
