// SPDX-License-Identifier: GPL-2.0-only
/* Generic netlink, family netdev, and calls of ethtool; see qstats.h. */

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qstats.h"
#include "snap_test_util.h"

/* <linux/netdev.h>, which installed headers may lack */
#define CMD_QSTATS_GET		12
#define ATTR_IFINDEX		1
#define ATTR_QUEUE_TYPE		2
#define ATTR_QUEUE_ID		3
#define ATTR_SCOPE		4
#define ATTR_RX_PACKETS		8
#define ATTR_RX_BYTES		9
#define ATTR_TX_PACKETS		10
#define ATTR_TX_BYTES		11
#define SCOPE_QUEUE		1
#define TYPE_RX			0

struct request {
	struct nlmsghdr nl;
	struct genlmsghdr genl;
	char attr[64];
};

static void add(struct request *r, int type, const void *value, int length)
{
	struct nlattr *a = (void *)r + NLMSG_ALIGN(r->nl.nlmsg_len);

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + length;
	memcpy((char *)a + NLA_HDRLEN, value, length);
	r->nl.nlmsg_len = NLMSG_ALIGN(r->nl.nlmsg_len) + NLA_ALIGN(a->nla_len);
}

static struct request request_of(int family, int command, int flags)
{
	struct request r = {
		.nl = {
			.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST | flags,
		},
		.genl = { .cmd = command, .version = 1 },
	};

	return r;
}

/* Calls back with the attributes of each message until the answer ends. */
static int ask(int fd, struct request *r, void (*each)(void *, struct nlattr **),
	       void *arg)
{
	static char buffer[1 << 16];
	struct nlattr *at[32];
	struct nlmsghdr *nl;
	struct nlattr *a;
	int left, n;

	if (send(fd, r, r->nl.nlmsg_len, 0) < 0)
		return -errno;
	while (1) {
		n = recv(fd, buffer, sizeof(buffer), 0);
		if (n < 0)
			return -errno;
		for (nl = (void *)buffer; NLMSG_OK(nl, n); nl = NLMSG_NEXT(nl, n)) {
			if (nl->nlmsg_type == NLMSG_DONE)
				return 0;
			if (nl->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(nl))->error;
			memset(at, 0, sizeof(at));
			a = NLMSG_DATA(nl) + GENL_HDRLEN;
			left = nl->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN);
			while (left >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN) {
				if ((a->nla_type & NLA_TYPE_MASK) < 32)
					at[a->nla_type & NLA_TYPE_MASK] = a;
				left -= NLA_ALIGN(a->nla_len);
				a = (void *)a + NLA_ALIGN(a->nla_len);
			}
			each(arg, at);
			if (!(r->nl.nlmsg_flags & NLM_F_DUMP))
				return 0;
		}
	}
}

static uint64_t number(const struct nlattr *a)
{
	uint64_t v64;
	uint32_t v32;

	if (!a)
		return 0;
	if (a->nla_len == NLA_HDRLEN + sizeof(v64)) {
		memcpy(&v64, (const char *)a + NLA_HDRLEN, sizeof(v64));
		return v64;
	}
	memcpy(&v32, (const char *)a + NLA_HDRLEN, sizeof(v32));
	return v32;
}

static void family_id(void *arg, struct nlattr **at)
{
	uint16_t id;

	if (!at[CTRL_ATTR_FAMILY_ID])
		return;
	memcpy(&id, (char *)at[CTRL_ATTR_FAMILY_ID] + NLA_HDRLEN, sizeof(id));
	*(int *)arg = id;
}

static void collect(void *arg, struct nlattr **at)
{
	unsigned int id = number(at[ATTR_QUEUE_ID]);
	struct qstats *q = arg;

	if (number(at[ATTR_IFINDEX]) != if_nametoindex(NETDEV) || id >= QSTATS_QUEUES)
		return;
	if (at[ATTR_RX_PACKETS]) {
		q->queue[id].rx_packets = number(at[ATTR_RX_PACKETS]);
		q->queue[id].rx_bytes = number(at[ATTR_RX_BYTES]);
		q->nrx++;
	}
	if (at[ATTR_TX_PACKETS]) {
		q->queue[id].tx_packets = number(at[ATTR_TX_PACKETS]);
		q->queue[id].tx_bytes = number(at[ATTR_TX_BYTES]);
		q->ntx++;
	}
}

static int get(struct qstats *q, bool each)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), family = 0, err;
	uint32_t scope = SCOPE_QUEUE, ifindex = if_nametoindex(NETDEV);
	struct request r = request_of(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);

	memset(q, 0, sizeof(*q));
	if (fd < 0)
		return -errno;
	add(&r, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"));
	err = ask(fd, &r, family_id, &family);
	if (!err && !family)
		err = -ENOENT;
	if (!err) {
		r = request_of(family, CMD_QSTATS_GET, NLM_F_DUMP);
		add(&r, ATTR_IFINDEX, &ifindex, sizeof(ifindex));
		if (each)
			add(&r, ATTR_SCOPE, &scope, sizeof(scope));
		err = ask(fd, &r, collect, q);
	}
	close(fd);
	return err;
}

int qstats_get(struct qstats *q)
{
	return get(q, true);
}

int qstats_get_all(struct qstats *q)
{
	return get(q, false);
}

/* An ethtool command on NETDEV; 0 or a negative errno. */
static int ethtool(void *command)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), err;
	struct ifreq r = { .ifr_data = command };

	strcpy(r.ifr_name, NETDEV);
	err = ioctl(fd, SIOCETHTOOL, &r) ? -errno : 0;
	close(fd);
	return err;
}

int channels_get(unsigned int *most, unsigned int *used)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };
	int err = ethtool(&c);

	*most = c.max_combined;
	*used = c.combined_count;
	return err;
}

int channels_set(unsigned int n)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_SCHANNELS, .combined_count = n };

	return ethtool(&c);
}

long rings_get(void)
{
	struct ethtool_rxnfc c = { .cmd = ETHTOOL_GRXRINGS };

	return ethtool(&c) ?: (long)c.data;
}

bool table_possible(void)
{
	return !sh("ethtool -x " NETDEV " >/dev/null 2>&1");
}

int table_set(const char *words)
{
	return sh("ethtool -X " NETDEV " %s 2>/dev/null", words);
}

int table_shows(const char *entries)
{
	return sh("ethtool -x " NETDEV " | tr -s ' ' | grep -q '^ *0: %s'", entries);
}
