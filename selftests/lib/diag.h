/* SPDX-License-Identifier: GPL-2.0-only */
/* What administrators see of sockets: by socket diagnosis and in /proc/net/snap. */
#ifndef DIAG_H
#define DIAG_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

#include "snap_diag.h"

struct diag_answer {
	struct snap_diag_msg msg;
	struct snap_sock_stats stats;
	bool has_stats;
	bool has_memory;
};

unsigned long inode_of(int fd);
/* Lines of that inode; the last is stored. */
int proc_lines(char *line, size_t room, unsigned long ino);

/* NETLINK_SOCK_DIAG, with a timeout. */
int diag_open(void);
/* 0 or a negative errno. */
int diag_send(int nl, const void *req, size_t length, int flags);
/* All answers to a request: how many, or a negative errno. */
int diag_each(int nl, void (*see)(void *arg, const struct diag_answer *a), void *arg);
/* The same: the one with that inode is stored; *times says how often it came. */
int diag_answers(int nl, unsigned long ino, struct diag_answer *a,
		 unsigned int *times);
int diag(int nl, const struct snap_diag_req *req, int flags, unsigned long ino,
	 struct diag_answer *a, unsigned int *times);

#endif /* DIAG_H */
