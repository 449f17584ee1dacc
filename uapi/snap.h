/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * AF_SNAP sockets and snapshot memory: what applications and the kernel agree
 * on.  Native byte order.  Documentation/socket-api.rst and memory-api.rst are
 * the prose.  Structures that the kernel fills start with their size: the
 * caller sets `size`, the kernel fills no more than that and stores what it
 * filled, so that both sides may grow.
 */
#ifndef SNAP_H
#define SNAP_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <assert.h>
#include <stddef.h>
#endif
#include <linux/ioctl.h>
#include <linux/types.h>

/* ---- Sockets ------------------------------------------------------------ */

/* The number of AF_ASH, which Linux names and never implemented. */
#define AF_SNAP			18
#define PF_SNAP			AF_SNAP

/* Third argument of socket(2); the type decides between UDP and TCP. */
#define SNAPPROTO_IPV4		0	/* addresses are sockaddr_in */
#define SNAPPROTO_IPV6		1	/* addresses are sockaddr_in6 */

#define SOL_SNAP		0x534e
#define SNAP_COPYBREAK		1	/* int, bytes: shorter messages are copied */
#define SNAP_SOCK_STATS		2	/* struct snap_sock_stats, read-only */

/* Why a message was copied although the socket could send by reference. */
enum snap_copy_reason {
	SNAP_COPY_SHORT,	/* below the copybreak */
	SNAP_COPY_NOT_REGION,	/* the buffer is not in a region */
	SNAP_COPY_SCATTERED,	/* several buffers, or one over several mappings */
	SNAP_COPY_ROUTE,	/* leaves by another device, or by none yet */
	SNAP_COPY_FLAGS,	/* MSG_ZEROCOPY, MSG_MORE, MSG_OOB, corking, control data */
	SNAP_COPY_NO_FRAMES,	/* the device had no free frames */
	SNAP_COPY_QUOTA,	/* the user has its share of frames in flight */
	SNAP_COPY_RACE,		/* a frame was on its way back: rare, harmless */
	SNAP_COPY_DEVICE,	/* the device is going away, or refused */
	SNAP_COPY_REASONS
};

struct snap_sock_stats {
	__u32 size;		/* bytes of this structure */
	__u32 reserved;
	__u64 tx_ref_msgs;
	__u64 tx_ref_bytes;
	__u64 tx_copied_msgs;
	__u64 tx_copied_bytes;
	__u64 rx_msgs;
	__u64 rx_copied_bytes;
	__u64 copied_msgs[SNAP_COPY_REASONS];	/* of tx_copied_msgs, by reason */
	__u64 copied_bytes[SNAP_COPY_REASONS];	/* of tx_copied_bytes, by reason */
};

/* ---- Memory: ioctls on /dev/snap ---------------------------------------- */

#define SNAP_ABI_VERSION	1

struct snap_info {
	__u32 size;		/* bytes of this structure */
	__u32 abi_version;	/* SNAP_ABI_VERSION of the module */
	__u32 device_version;	/* SNAP_VERSION of the device */
	__u32 ifindex;		/* of the device's network interface */
	__u64 features;		/* SNAP_F_* negotiated */
	__u64 pool_frames;
	__u64 free_frames;
	__u64 out_frames;	/* held by sockets, packets and batches */
	__u64 window_pages;
	__u64 quota_frames;	/* of the calling user, for regions */
	__u64 used_frames;	/* by the regions of the calling user */
	__u64 frame_bytes;
};

/* Of all sockets of the caller's network namespace since it was made. */
struct snap_stats {
	__u32 size;		/* bytes of this structure */
	__u32 ncounters;	/* filled in device[] */
	__u64 device[64];	/* enum snap_counter in snap_device.h */
	struct snap_sock_stats sockets;	/* last: reasons may be added */
};

struct snap_region_args {
	__u32 size;		/* bytes of this structure */
	__u32 flags;		/* none defined: zero */
	__u64 length;		/* bytes, a multiple of the page size */
	__u32 hint;		/* enum snap_hint in snap_device.h */
	__u32 reserved;		/* zero */
};

/*
 * The numbers carry no size: the structures carry their own, and may grow.
 * REGION_CREATE takes a struct snap_region_args and returns a new
 * close-on-exec file descriptor; mmap(2) it MAP_SHARED.  INFO and STATS fill
 * a struct snap_info and a struct snap_stats.
 */
#define SNAP_IOC_REGION_CREATE	_IO('S', 0x01)
#define SNAP_IOC_INFO		_IO('S', 0x02)
#define SNAP_IOC_STATS		_IO('S', 0x03)

/* ---- What compilers check ----------------------------------------------- */

#define SNAP_UAPI_ASSERT(c)	static_assert(c, #c)

SNAP_UAPI_ASSERT(sizeof(struct snap_sock_stats) == 56 + 16 * SNAP_COPY_REASONS);
SNAP_UAPI_ASSERT(offsetof(struct snap_sock_stats, tx_ref_msgs) == 8);
SNAP_UAPI_ASSERT(offsetof(struct snap_sock_stats, copied_msgs) == 56);
SNAP_UAPI_ASSERT(sizeof(struct snap_info) == 80);
SNAP_UAPI_ASSERT(offsetof(struct snap_info, features) == 16);
SNAP_UAPI_ASSERT(offsetof(struct snap_info, frame_bytes) == 72);
SNAP_UAPI_ASSERT(offsetof(struct snap_stats, device) == 8);
SNAP_UAPI_ASSERT(offsetof(struct snap_stats, sockets) == 520);
SNAP_UAPI_ASSERT(sizeof(struct snap_region_args) == 24);
SNAP_UAPI_ASSERT(offsetof(struct snap_region_args, length) == 8);

#endif /* SNAP_H */
