// SPDX-License-Identifier: GPL-2.0-only
/* What administrators see of sockets; see diag.h. */

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "diag.h"

unsigned long inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

int proc_lines(char *line, size_t room, unsigned long ino)
{
	FILE *file = fopen("/proc/net/snap", "r");
	unsigned long long found;
	char text[512];
	int lines = 0;

	line[0] = 0;
	while (file && fgets(text, sizeof(text), file)) {
		if (sscanf(text, "%*s %*x %llu", &found) == 1 && found == ino) {
			snprintf(line, room, "%s", text);
			lines++;
		}
	}
	if (file)
		fclose(file);
	return lines;
}

int diag_open(void)
{
	struct timeval second = { .tv_sec = 1 };
	int nl = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);

	if (nl >= 0)
		setsockopt(nl, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	return nl;
}

int diag_send(int nl, const void *req, size_t length, int flags)
{
	struct {
		struct nlmsghdr h;
		char data[64];
	} out = {
		.h = {
			.nlmsg_len = NLMSG_LENGTH(length),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | flags,
		},
	};

	memcpy(out.data, req, length);
	return send(nl, &out, out.h.nlmsg_len, 0) == out.h.nlmsg_len ? 0 : -errno;
}

static void diag_parse(const struct nlmsghdr *h, struct diag_answer *a)
{
	int left = h->nlmsg_len - NLMSG_LENGTH(sizeof(a->msg));
	const struct nlattr *at = NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(a->msg));

	memset(a, 0, sizeof(*a));
	memcpy(&a->msg, NLMSG_DATA(h), sizeof(a->msg));
	while (left >= (int)sizeof(*at)) {
		if (at->nla_type == SNAP_DIAG_STATS &&
		    at->nla_len == NLA_HDRLEN + sizeof(a->stats)) {
			memcpy(&a->stats, at + 1, sizeof(a->stats));
			a->has_stats = true;
		}
		a->has_memory |= at->nla_type == SNAP_DIAG_MEMINFO;
		left -= NLA_ALIGN(at->nla_len);
		at = (const void *)at + NLA_ALIGN(at->nla_len);
	}
}

int diag_each(int nl, void (*see)(void *arg, const struct diag_answer *a), void *arg)
{
	static char buffer[32768];
	const struct nlmsghdr *h;
	struct diag_answer one;
	int n = 0;
	int left;

	for (;;) {
		left = recv(nl, buffer, sizeof(buffer), 0);
		if (left < 0)
			return -errno;
		for (h = (void *)buffer; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return n;
			if (h->nlmsg_type == NLMSG_ERROR)
				return *(int *)NLMSG_DATA(h);
			n++;
			diag_parse(h, &one);
			see(arg, &one);
			if (!(h->nlmsg_flags & NLM_F_MULTI))
				return n;
		}
	}
}

struct diag_search {
	unsigned long ino;
	struct diag_answer *a;
	unsigned int *times;
};

static void diag_look(void *arg, const struct diag_answer *a)
{
	struct diag_search *search = arg;

	if (a->msg.inode != search->ino)
		return;
	*search->a = *a;
	++*search->times;
}

int diag_answers(int nl, unsigned long ino, struct diag_answer *a,
		 unsigned int *times)
{
	struct diag_search search = { .ino = ino, .a = a, .times = times };

	*times = 0;
	return diag_each(nl, diag_look, &search);
}

int diag(int nl, const struct snap_diag_req *req, int flags, unsigned long ino,
	 struct diag_answer *a, unsigned int *times)
{
	int err = diag_send(nl, req, sizeof(*req), flags);

	return err ?: diag_answers(nl, ino, a, times);
}
