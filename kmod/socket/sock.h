/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The socket family.
 *
 * An AF_SNAP socket is the kernel's own TCP or UDP socket with our proto_ops:
 * the struct sock comes from PF_INET or PF_INET6 and is grafted under the
 * struct socket that the application made.  Every operation that is not ours
 * is the real one; see Documentation/dataflow.rst.
 */
#ifndef SNAP_SOCK_H
#define SNAP_SOCK_H

#include <linux/net.h>

#include "observe/list.h"

struct snap_view;

/**
 * struct snap_sock - what is known of a socket beside its struct sock
 * @base: the operations of the inner family
 * @prot: the protocol that the sock was made with; another one in its place
 *	belongs to sockmap and the like
 * @view: to receive by, or NULL; see snap_view_of()
 * @shown: what others may see of it
 *
 * Lives in the i_private of the socket's inode, from create or accept to
 * release.
 */
struct snap_sock {
	const struct proto_ops *base;
	const struct proto *prot;
	struct snap_view *view;
	struct snap_shown shown;
};

struct snap_sock *snap_sock_of(const struct socket *sock);

int snap_sock_init(void);
void snap_sock_exit(void);

#endif /* SNAP_SOCK_H */
