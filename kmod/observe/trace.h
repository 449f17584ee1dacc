/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints, system "snap"; Documentation/observing.rst is the prose.
 *
 * A socket is named by the address of its struct sock (skaddr), which joins
 * the events of one socket and is printed hashed, and by its inode, which is
 * what /proc/PID/fd shows.  Bytes are payload.  Off, each costs a no-op.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM snap

#if !defined(SNAP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define SNAP_TRACE_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/tracepoint.h>
#include <net/sock.h>

#include "snap.h"

/* For the tools that read the formats, then for the printing. */
TRACE_DEFINE_ENUM(SNAP_COPY_SHORT);
TRACE_DEFINE_ENUM(SNAP_COPY_NOT_REGION);
TRACE_DEFINE_ENUM(SNAP_COPY_SCATTERED);
TRACE_DEFINE_ENUM(SNAP_COPY_ROUTE);
TRACE_DEFINE_ENUM(SNAP_COPY_FLAGS);
TRACE_DEFINE_ENUM(SNAP_COPY_NO_FRAMES);
TRACE_DEFINE_ENUM(SNAP_COPY_QUOTA);
TRACE_DEFINE_ENUM(SNAP_COPY_RACE);
TRACE_DEFINE_ENUM(SNAP_COPY_DEVICE);
TRACE_DEFINE_ENUM(SNAP_COPY_CHECKSUM);

#define SNAP_TRACE_REASONS			\
	{ SNAP_COPY_SHORT, "short" },		\
	{ SNAP_COPY_NOT_REGION, "not_region" },	\
	{ SNAP_COPY_SCATTERED, "scattered" },	\
	{ SNAP_COPY_ROUTE, "route" },		\
	{ SNAP_COPY_FLAGS, "flags" },		\
	{ SNAP_COPY_NO_FRAMES, "no_frames" },	\
	{ SNAP_COPY_QUOTA, "quota" },		\
	{ SNAP_COPY_RACE, "race" },		\
	{ SNAP_COPY_DEVICE, "device" },		\
	{ SNAP_COPY_CHECKSUM, "checksum" }

/* Bits, whose numbers __print_flags() needs as such. */
#define SNAP_TRACE_RECV_REASONS			\
	{ 1u << 0, "not_asked" },		\
	{ 1u << 1, "not_frames" },		\
	{ 1u << 2, "short" },			\
	{ 1u << 3, "shared" },			\
	{ 1u << 4, "scattered" },		\
	{ 1u << 5, "flags" },			\
	{ 1u << 6, "control" },			\
	{ 1u << 7, "full" },			\
	{ 1u << 8, "quota" }

/* Every event of a socket begins so. */
#define SNAP_TRACE_SOCK				\
	__field(const void *, skaddr)		\
	__field(u64, ino)			\
	__field(u16, family)			\
	__field(u16, type)

#define SNAP_TRACE_SOCK_ASSIGN(sk) do {		\
	__entry->skaddr = sk;			\
	__entry->ino = sock_i_ino(sk);		\
	__entry->family = sk->sk_family;	\
	__entry->type = sk->sk_type;		\
} while (0)

#define SNAP_TRACE_SOCK_FORMAT	"sk=%p ino=%llu family=%u type=%u "
#define SNAP_TRACE_SOCK_ARGS	\
	__entry->skaddr, __entry->ino, __entry->family, __entry->type

/*
 * A capture for a send; @result: zero, or minus one minus the reason for which
 * there is none.
 */
TRACE_EVENT(snap_capture,
	TP_PROTO(struct sock *sk, size_t bytes, u32 pages, int result),
	TP_ARGS(sk, bytes, pages, result),
	TP_STRUCT__entry(
		SNAP_TRACE_SOCK
		__field(u64, bytes)
		__field(u32, pages)
		__field(s32, result)
	),
	TP_fast_assign(
		SNAP_TRACE_SOCK_ASSIGN(sk);
		__entry->bytes = bytes;
		__entry->pages = pages;
		__entry->result = result;
	),
	TP_printk(SNAP_TRACE_SOCK_FORMAT "bytes=%llu pages=%u result=%s",
		  SNAP_TRACE_SOCK_ARGS, __entry->bytes, __entry->pages,
		  __entry->result ? __print_symbolic(-1 - __entry->result,
						     SNAP_TRACE_REASONS) :
				    "captured")
);

TRACE_EVENT(snap_send_ref,
	TP_PROTO(struct sock *sk, size_t bytes),
	TP_ARGS(sk, bytes),
	TP_STRUCT__entry(
		SNAP_TRACE_SOCK
		__field(u64, bytes)
	),
	TP_fast_assign(
		SNAP_TRACE_SOCK_ASSIGN(sk);
		__entry->bytes = bytes;
	),
	TP_printk(SNAP_TRACE_SOCK_FORMAT "bytes=%llu",
		  SNAP_TRACE_SOCK_ARGS, __entry->bytes)
);

TRACE_EVENT(snap_send_copy,
	TP_PROTO(struct sock *sk, size_t bytes, u32 reason),
	TP_ARGS(sk, bytes, reason),
	TP_STRUCT__entry(
		SNAP_TRACE_SOCK
		__field(u64, bytes)
		__field(u32, reason)
	),
	TP_fast_assign(
		SNAP_TRACE_SOCK_ASSIGN(sk);
		__entry->bytes = bytes;
		__entry->reason = reason;
	),
	TP_printk(SNAP_TRACE_SOCK_FORMAT "bytes=%llu reason=%s",
		  SNAP_TRACE_SOCK_ARGS, __entry->bytes,
		  __print_symbolic(__entry->reason, SNAP_TRACE_REASONS))
);

/* @why: bits 1 << enum snap_recv_reason of what was copied. */
TRACE_EVENT(snap_recv,
	TP_PROTO(struct sock *sk, size_t copied, size_t viewed, u32 why),
	TP_ARGS(sk, copied, viewed, why),
	TP_STRUCT__entry(
		SNAP_TRACE_SOCK
		__field(u64, copied)
		__field(u64, viewed)
		__field(u32, why)
	),
	TP_fast_assign(
		SNAP_TRACE_SOCK_ASSIGN(sk);
		__entry->copied = copied;
		__entry->viewed = viewed;
		__entry->why = why;
	),
	TP_printk(SNAP_TRACE_SOCK_FORMAT "copied=%llu viewed=%llu why=%s",
		  SNAP_TRACE_SOCK_ARGS, __entry->copied, __entry->viewed,
		  __print_flags(__entry->why, "|", SNAP_TRACE_RECV_REASONS))
);

/*
 * A doorbell was answered; the packet is the caller's still.  @status is
 * enum snap_status.  The packet's socket may be NULL, or no AF_SNAP socket.
 */
TRACE_EVENT(snap_xmit,
	TP_PROTO(const struct sk_buff *skb, const struct net_device *netdev,
		 u32 queue, int status),
	TP_ARGS(skb, netdev, queue, status),
	TP_STRUCT__entry(
		__field(const void *, skbaddr)
		__field(const void *, skaddr)
		__field(u32, length)
		__field(u32, frags)
		__field(u32, queue)
		__field(s32, status)
		__string(name, netdev->name)
	),
	TP_fast_assign(
		__entry->skbaddr = skb;
		__entry->skaddr = skb->sk;
		__entry->length = skb->len;
		__entry->frags = skb_shinfo(skb)->nr_frags;
		__entry->queue = queue;
		__entry->status = status;
		__assign_str(name);
	),
	TP_printk("dev=%s queue=%u skb=%p sk=%p length=%u frags=%u status=%d",
		  __get_str(name), __entry->queue, __entry->skbaddr,
		  __entry->skaddr, __entry->length, __entry->frags,
		  __entry->status)
);

/* A batch of frames went home with one doorbell. */
TRACE_EVENT(snap_release,
	TP_PROTO(u32 frames),
	TP_ARGS(frames),
	TP_STRUCT__entry(
		__field(u32, frames)
	),
	TP_fast_assign(
		__entry->frames = frames;
	),
	TP_printk("frames=%u", __entry->frames)
);

#endif /* SNAP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH observe
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
