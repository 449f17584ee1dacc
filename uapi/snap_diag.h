/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * AF_SNAP sockets over NETLINK_SOCK_DIAG: what snap_diag.ko and its users
 * agree on.  Native byte order but for ports and addresses.
 *
 * A request of type SOCK_DIAG_BY_FAMILY carries a struct snap_diag_req; each
 * socket is answered by a struct snap_diag_msg with attributes behind it.
 * Documentation/observing.rst is the prose.
 */
#ifndef SNAP_DIAG_H
#define SNAP_DIAG_H

#include "snap.h"

/* What to add to the answers: struct snap_diag_req.show. */
#define SNAP_DIAG_SHOW_STATS	0x0001
#define SNAP_DIAG_SHOW_MEMINFO	0x0002

/*
 * With NLM_F_DUMP all sockets of the caller's network namespace that are of
 * one of these types and in one of these states; otherwise the one with that
 * cookie.
 */
struct snap_diag_req {
	__u8 family;		/* AF_SNAP */
	__u8 protocol;		/* zero */
	__u16 reserved;		/* zero */
	__u32 types;		/* bits 1 << SOCK_*; zero: all */
	__u32 states;		/* bits 1 << TCP_*; zero: all */
	__u32 show;		/* SNAP_DIAG_SHOW_* */
	__u64 cookie;		/* zero with NLM_F_DUMP */
};

struct snap_diag_addr {
	__u8 addr[16];		/* AF_INET: the first four bytes */
	__be16 port;
	__u16 reserved;		/* zero */
	__u32 scope_id;		/* AF_INET6: interface of a link-local address */
};

struct snap_diag_msg {
	__u8 family;		/* AF_SNAP */
	__u8 inner_family;	/* AF_INET or AF_INET6 */
	__u8 type;		/* SOCK_* */
	__u8 state;		/* TCP_* */
	__u32 uid;		/* in the user namespace of the caller */
	__u32 ifindex;		/* bound to this interface; zero: to none */
	__u32 copybreak;	/* bytes */
	__u64 inode;
	__u64 cookie;
	__u32 rx_queue;		/* bytes; listening: connections */
	__u32 tx_queue;		/* bytes; listening: most connections */
	struct snap_diag_addr local;
	struct snap_diag_addr remote;
};

enum snap_diag_attribute {
	SNAP_DIAG_NONE,
	SNAP_DIAG_STATS,	/* struct snap_sock_stats */
	SNAP_DIAG_MEMINFO,	/* __u32[SK_MEMINFO_VARS], as INET_DIAG_SKMEMINFO */
};

SNAP_UAPI_ASSERT(sizeof(struct snap_diag_req) == 24);
SNAP_UAPI_ASSERT(offsetof(struct snap_diag_req, cookie) == 16);
SNAP_UAPI_ASSERT(sizeof(struct snap_diag_addr) == 24);
SNAP_UAPI_ASSERT(offsetof(struct snap_diag_addr, port) == 16);
SNAP_UAPI_ASSERT(sizeof(struct snap_diag_msg) == 88);
SNAP_UAPI_ASSERT(offsetof(struct snap_diag_msg, inode) == 16);
SNAP_UAPI_ASSERT(offsetof(struct snap_diag_msg, local) == 40);

#endif /* SNAP_DIAG_H */
