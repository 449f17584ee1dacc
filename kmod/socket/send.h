/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sending: by reference to captured frames where that is possible, by copy
 * everywhere else, with the reason counted.  send.c has what both types
 * share; dgram.c and stream.c are how each sends.
 */
#ifndef SNAP_SEND_H
#define SNAP_SEND_H

#include <linux/types.h>

#include "snap.h"

struct bio_vec;
struct dst_entry;
struct msghdr;
struct snap_sock;
struct sock;
struct socket;

/* sendmsg(); the address is the inner family's, the contract is UDP's. */
int snap_dgram_send(struct socket *sock, struct msghdr *msg, size_t len);
/* sendmsg(); the contract is TCP's. */
int snap_stream_send(struct socket *sock, struct msghdr *msg, size_t len);

/* The route that a connected socket remembers, with a reference, or NULL. */
struct dst_entry *snap_send_dst(struct sock *sk);

/**
 * snap_send_capture() - capture a buffer for a socket
 * @sk: socket
 * @dst: where the bytes will go
 * @addr: of the buffer
 * @len: bytes, not zero, at most 64 KiB
 * @bvec: room for SNAP_REGION_CAPTURE_PAGES; filled with pieces, for MSG_SPLICE_PAGES:
 *	frames that follow each other in the pool are one, and the kernel goes through
 *	them at once; the caller owns a reference on each page
 *
 * Context: process; takes mmap_lock.
 * Return: number of pieces, or minus one minus an enum snap_copy_reason.
 */
int snap_send_capture(struct sock *sk, const struct dst_entry *dst,
		      const void __user *addr, size_t len, struct bio_vec *bvec);

/*
 * Drop the caller's references; skbs have taken their own.  A piece of other pages than
 * frames has one.
 */
void snap_send_put(const struct bio_vec *bvec, int n);

/* One message more, for the socket, its namespace and the trace. */
void snap_send_count_ref(struct snap_sock *ss, struct sock *sk, size_t bytes);
void snap_send_count_copy(struct snap_sock *ss, struct sock *sk,
			  enum snap_copy_reason reason, size_t bytes);

#endif /* SNAP_SEND_H */
