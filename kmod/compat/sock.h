/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets and their operations. */
#ifndef SNAP_COMPAT_SOCK_H
#define SNAP_COMPAT_SOCK_H

#include <net/sock.h>

#include "compat/probed.h"

#ifndef SNAP_HAVE_SK_UID	/* 6.16 */
static inline kuid_t sk_uid(const struct sock *sk)
{
	return READ_ONCE(sk->sk_uid);
}
#endif

#ifndef SNAP_HAVE_SK_DROPS_INC	/* 6.18; since then it may be counted by node */
static inline void sk_drops_inc(struct sock *sk)
{
	atomic_inc(&sk->sk_drops);
}
#endif

#ifndef SNAP_HAVE_SOCKADDR_UNSIZED	/* 6.19 */
#define sockaddr_unsized	sockaddr
#endif

#endif /* SNAP_COMPAT_SOCK_H */
