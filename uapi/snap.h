/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * AF_SNAP sockets and snapshot memory: what applications and the kernel agree
 * on.  Native byte order.  Documentation/socket-api.rst and memory-api.rst are
 * the prose.  Structures may grow at their end, and start with their size, which
 * the caller sets.  The kernel fills no more than that, and stores what it filled;
 * of those that it reads it takes any size from that of the first version on,
 * SNAP_*_SIZE_VER0: what the caller does not have is zero, and what the kernel does
 * not know has to be.  Fields marked "out" of these are in the first version.
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
#define SNAP_VIEW		3	/* struct snap_view_args, written once */
#define SNAP_VIEW_RELEASE	4	/* struct snap_view_range, write-only */

/* Why a message was copied although the socket could send by reference. */
enum snap_copy_reason {
	SNAP_COPY_SHORT,	/* below the copybreak */
	SNAP_COPY_NOT_REGION,	/* the buffer is not in a region, nor in a view */
	SNAP_COPY_SCATTERED,	/* over several mappings, or in too many buffers */
	SNAP_COPY_ROUTE,	/* leaves by another device, or none yet, or a sysctl forbids */
	SNAP_COPY_FLAGS,	/* MSG_ZEROCOPY, MSG_OOB, control data; datagrams: corking */
	SNAP_COPY_NO_FRAMES,	/* the device had no free frames */
	SNAP_COPY_QUOTA,	/* the user has its share of frames in flight */
	SNAP_COPY_RACE,		/* a frame was on its way back: rare, harmless */
	SNAP_COPY_DEVICE,	/* the device is going away, or refused */
	SNAP_COPY_CHECKSUM,	/* this kernel would get its checksum wrong */
	SNAP_COPY_REASONS
};

/* Why bytes that were received were copied. */
enum snap_recv_reason {
	SNAP_RECV_NOT_ASKED,	/* no MSG_SNAP_VIEW, or no view of this process */
	SNAP_RECV_NOT_FRAMES,	/* they arrived elsewhere than in frames */
	SNAP_RECV_SHORT,	/* a row of frames below the copybreak */
	SNAP_RECV_SHARED,	/* the frame has other bytes beside them */
	SNAP_RECV_SCATTERED,	/* packets put together twice: hardly ever */
	SNAP_RECV_FLAGS,	/* for UDP or TCP itself: flags, options, sockmap */
	SNAP_RECV_CONTROL,	/* no room to tell of them */
	SNAP_RECV_FULL,		/* no room in the window, or over SO_RCVBUF */
	SNAP_RECV_QUOTA,	/* the maker of the view has his share of frames */
	SNAP_RECV_REASONS
};

/* Room for reasons to come, so that none moves what follows; zero until then. */
#define SNAP_REASONS_ROOM	16

struct snap_sock_stats {
	__u32 size;		/* bytes of this structure */
	__u32 reserved;		/* zero */
	__u64 tx_ref_msgs;
	__u64 tx_ref_bytes;
	__u64 tx_copied_msgs;
	__u64 tx_copied_bytes;
	__u64 rx_msgs;
	__u64 rx_copied_bytes;
	__u64 rx_viewed_msgs;	/* of rx_msgs: some of their bytes by view */
	__u64 rx_viewed_bytes;
	__u64 copied_msgs[SNAP_REASONS_ROOM];	/* of tx_copied_msgs, by reason */
	__u64 copied_bytes[SNAP_REASONS_ROOM];	/* of tx_copied_bytes, by reason */
	__u64 recv_msgs[SNAP_REASONS_ROOM];	/* of rx_msgs: with bytes copied for it */
	__u64 recv_bytes[SNAP_REASONS_ROOM];	/* of rx_copied_bytes, by reason */
};

/*
 * A view belongs to the process that makes it.  It maps the socket from
 * SNAP_VIEW_OFFSET on, read-only, and its recvmsg(2) with MSG_SNAP_VIEW leaves what
 * lies in frames where it is.  The answer has MSG_SNAP_VIEW in msg_flags then, and a
 * control message SOL_SNAP, SNAP_VIEW of struct snap_view_part says which bytes of
 * the message these are; the others are in the buffers, each at its place.  Without
 * that flag in the call, or without a view, all of them are.
 */
#define MSG_SNAP_VIEW		0x10000000
#define SNAP_VIEW_OFFSET	0x80000000000ull	/* bytes; for mmap(2) */

/* A receive with MSG_SNAP_VIEW releases what is in the view. */
#define SNAP_VIEW_NEXT		0x0001
/* A page is mapped when it is looked at, and can be pinned: for who hardly looks at any. */
#define SNAP_VIEW_LAZY		0x0002

#define SNAP_VIEW_LENGTH_MAX	0x10000000u	/* bytes */
#define SNAP_VIEW_PARTS_MAX	32u	/* in one control message */

struct snap_view_args {
	__u32 size;		/* bytes of this structure */
	__u32 flags;		/* SNAP_VIEW_NEXT, _LAZY */
	__u64 length;		/* bytes, a multiple of the page size */
	__u64 used;		/* out: bytes of the pages in the view; zero in */
};

#define SNAP_VIEW_ARGS_SIZE_VER0	24

struct snap_view_part {
	__u64 offset;		/* bytes into the view */
	__u32 at;		/* bytes into the message */
	__u32 length;		/* bytes */
};

/* Pages that the range touches are released; of empty ones nothing happens. */
struct snap_view_range {
	__u64 offset;		/* bytes into the view */
	__u64 length;		/* bytes, not zero */
};

/* ---- Memory: ioctls on /dev/snap ---------------------------------------- */

/*
 * Rises with what is added; what a version has, all later ones have.  Callers
 * ask for the oldest that has what they need, not for equality.  With version 3
 * a receive by view is asked for in the call (MSG_SNAP_VIEW).
 */
#define SNAP_ABI_VERSION	3

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
	__u64 quota_frames;	/* of the calling user, at most */
	__u64 used_frames;	/* of it: regions and snapshots, and kept for stores */
	__u64 frame_bytes;
};

/* Of all sockets of the caller's network namespace since it was made. */
struct snap_stats {
	__u32 size;		/* bytes of this structure */
	__u32 ncounters;	/* filled in device[] */
	__u64 device[64];	/* enum snap_counter in snap_device.h */
	struct snap_sock_stats sockets;	/* last: it may grow, too */
};

/* A struct snap_region_args.flags: pages take no frame before the first store. */
#define SNAP_REGION_ARGS_SPARSE	0x0001

struct snap_region_args {
	__u32 size;		/* bytes of this structure */
	__u32 flags;		/* SNAP_REGION_ARGS_* */
	__u64 length;		/* bytes, a multiple of the page size; CLONE: zero */
	__u32 hint;		/* enum snap_hint in snap_device.h */
	__u32 reserved;		/* zero */
};

#define SNAP_REGION_ARGS_SIZE_VER0	24

/*
 * The numbers carry no size: the structures carry their own, and may grow.
 * REGION_CREATE takes a struct snap_region_args and returns a new
 * close-on-exec file descriptor; mmap(2) it MAP_SHARED.  INFO and STATS fill
 * a struct snap_info and a struct snap_stats.
 */
#define SNAP_IOC_MAGIC		0xef	/* free in Linux's ioctl-number.rst */

#define SNAP_IOC_REGION_CREATE	_IO(SNAP_IOC_MAGIC, 0x01)
#define SNAP_IOC_INFO		_IO(SNAP_IOC_MAGIC, 0x02)
#define SNAP_IOC_STATS		_IO(SNAP_IOC_MAGIC, 0x03)

/* ---- Memory: ioctls on regions and snapshots ---------------------------- */

/* SNAPSHOT, on a region: returns a close-on-exec descriptor, read-only. */
struct snap_snapshot_args {
	__u32 size;		/* bytes of this structure */
	__u32 flags;		/* none defined: zero */
	__u64 version;		/* out: of the region at that instant */
};

#define SNAP_SNAPSHOT_ARGS_SIZE_VER0	16

/*
 * COMMIT, on a region: it becomes what the snapshot `from` is, at once for
 * everybody who has it mapped; ESTALE if it is not at `version` any more.
 */
struct snap_commit_args {
	__u32 size;		/* bytes of this structure */
	__s32 from;		/* descriptor of a snapshot of the same length */
	__u64 version;		/* in: expected; out: the new one */
};

#define SNAP_COMMIT_ARGS_SIZE_VER0	16

/*
 * MERGE, on a region: what changed from `base` to `from` is brought in, word
 * by word of 8 bytes.  ESTALE for conflicts: nothing changes then, and the
 * places of the first ones are stored.
 */
struct snap_merge_args {
	__u32 size;		/* bytes of this structure */
	__s32 base;		/* descriptor of a snapshot of the same length */
	__s32 from;		/* likewise */
	__u32 nconflicts;	/* in: room; out: how many were stored */
	__u64 conflicts;	/* pointer to __u64: bytes into the region */
	__u64 version;		/* out: the new one */
};

#define SNAP_MERGE_ARGS_SIZE_VER0	32

/* DISCARD, on a region: pages become zero and give their frames back. */
struct snap_discard_args {
	__u32 size;		/* bytes of this structure */
	__u32 flags;		/* none defined: zero */
	__u64 offset;		/* bytes, a multiple of the page size */
	__u64 length;		/* bytes, a multiple of the page size, not zero */
};

#define SNAP_DISCARD_ARGS_SIZE_VER0	24

/* DIFF, on a snapshot: pages whose bytes differ from another snapshot. */
struct snap_diff_args {
	__u32 size;		/* bytes of this structure */
	__s32 other;		/* descriptor of a snapshot of the same length */
	__u64 offset;		/* in: bytes, where to begin; out: where to go on */
	__u64 pages;		/* pointer to __u64: bytes into the snapshots */
	__u32 npages;		/* in: room; out: how many were stored */
	__u32 done;		/* out: 1 if there are no more */
};

#define SNAP_DIFF_ARGS_SIZE_VER0	32

enum snap_object_kind {
	SNAP_OBJECT_REGION	= 1,
	SNAP_OBJECT_SNAPSHOT	= 2,
};

/* OBJECT_INFO, on a region or snapshot. */
struct snap_object_info {
	__u32 size;		/* bytes of this structure */
	__u32 kind;		/* enum snap_object_kind */
	__u64 length;		/* bytes */
	__u64 version;
	__u64 populated_frames;	/* pages that have one; the others are zero */
	__u64 reserved_frames;	/* kept for later stores to this region */
	__u64 shared_pages;	/* captured by sharing */
	__u64 copied_pages;	/* captured by copying */
	__u64 write_faults;	/* stores that hit a page shared or without frame */
	__u32 handle;		/* the device's name for it */
	__u32 owner;		/* user id, in the initial user namespace */
	__u32 dirty;		/* region: stored to since it had that version */
	__u32 sharing;		/* region: capture=auto shares at the moment */
};

/* CLONE, on a snapshot, takes a struct snap_region_args and returns a region. */
#define SNAP_IOC_SNAPSHOT	_IO(SNAP_IOC_MAGIC, 0x10)
#define SNAP_IOC_CLONE		_IO(SNAP_IOC_MAGIC, 0x11)
#define SNAP_IOC_COMMIT		_IO(SNAP_IOC_MAGIC, 0x12)
#define SNAP_IOC_MERGE		_IO(SNAP_IOC_MAGIC, 0x13)
#define SNAP_IOC_DIFF		_IO(SNAP_IOC_MAGIC, 0x14)
#define SNAP_IOC_DISCARD	_IO(SNAP_IOC_MAGIC, 0x15)
#define SNAP_IOC_OBJECT_INFO	_IO(SNAP_IOC_MAGIC, 0x16)

/* ---- What compilers check ----------------------------------------------- */

#define SNAP_UAPI_ASSERT(c)	static_assert(c, #c)

SNAP_UAPI_ASSERT(SNAP_COPY_REASONS <= SNAP_REASONS_ROOM);
SNAP_UAPI_ASSERT(SNAP_RECV_REASONS <= SNAP_REASONS_ROOM);
SNAP_UAPI_ASSERT(sizeof(struct snap_sock_stats) == 584);
SNAP_UAPI_ASSERT(offsetof(struct snap_sock_stats, tx_ref_msgs) == 8);
SNAP_UAPI_ASSERT(offsetof(struct snap_sock_stats, copied_msgs) == 72);
SNAP_UAPI_ASSERT(offsetof(struct snap_sock_stats, recv_msgs) == 328);
SNAP_UAPI_ASSERT(sizeof(struct snap_view_args) == 24);
SNAP_UAPI_ASSERT(offsetof(struct snap_view_args, length) == 8);
SNAP_UAPI_ASSERT(sizeof(struct snap_view_part) == 16);
SNAP_UAPI_ASSERT(offsetof(struct snap_view_part, at) == 8);
SNAP_UAPI_ASSERT(sizeof(struct snap_view_range) == 16);
SNAP_UAPI_ASSERT(sizeof(struct snap_info) == 80);
SNAP_UAPI_ASSERT(offsetof(struct snap_info, features) == 16);
SNAP_UAPI_ASSERT(offsetof(struct snap_info, frame_bytes) == 72);
SNAP_UAPI_ASSERT(offsetof(struct snap_stats, device) == 8);
SNAP_UAPI_ASSERT(offsetof(struct snap_stats, sockets) == 520);
SNAP_UAPI_ASSERT(sizeof(struct snap_stats) == 1104);
SNAP_UAPI_ASSERT(sizeof(struct snap_region_args) == 24);
SNAP_UAPI_ASSERT(offsetof(struct snap_region_args, length) == 8);
SNAP_UAPI_ASSERT(sizeof(struct snap_snapshot_args) == 16);
SNAP_UAPI_ASSERT(offsetof(struct snap_snapshot_args, version) == 8);
SNAP_UAPI_ASSERT(sizeof(struct snap_commit_args) == 16);
SNAP_UAPI_ASSERT(offsetof(struct snap_commit_args, version) == 8);
SNAP_UAPI_ASSERT(sizeof(struct snap_merge_args) == 32);
SNAP_UAPI_ASSERT(offsetof(struct snap_merge_args, conflicts) == 16);
SNAP_UAPI_ASSERT(sizeof(struct snap_discard_args) == 24);
SNAP_UAPI_ASSERT(offsetof(struct snap_discard_args, offset) == 8);
SNAP_UAPI_ASSERT(sizeof(struct snap_diff_args) == 32);
SNAP_UAPI_ASSERT(offsetof(struct snap_diff_args, pages) == 16);
SNAP_UAPI_ASSERT(sizeof(struct snap_object_info) == 80);
SNAP_UAPI_ASSERT(offsetof(struct snap_object_info, handle) == 64);

#endif /* SNAP_H */
