/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * Device ABI of the snapshot memory NIC: PCI ids, BARs, registers, slab
 * entries, status codes.
 *
 * The only description that driver, device model and device tests compile;
 * Documentation/device-spec.rst is the prose.  All fields are little-endian.
 * Units are in the names or beside the field; a "frame" is SNAP_FRAME_SIZE
 * bytes of the pool and is named by its index in it.
 */
#ifndef SNAP_DEVICE_H
#define SNAP_DEVICE_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <assert.h>
#include <stddef.h>
#endif
#include <linux/types.h>

/* ---- PCI ---------------------------------------------------------------- */

#define SNAP_PCI_VENDOR		0x1234
#define SNAP_PCI_DEVICE		0x5ab0

#define SNAP_BAR_REGS		0	/* 32 bit MMIO, SNAP_REGS_SIZE bytes */
#define SNAP_BAR_MSIX		1
#define SNAP_BAR_MEMORY		2	/* 64 bit, prefetchable: see below */

#define SNAP_FRAME_SHIFT	12
#define SNAP_FRAME_SIZE		4096u

/*
 * The memory BAR holds four areas, whose offsets are read from registers:
 * status area (read-only), slabs (read-write), pool (read-only), windows
 * (read-write where a region is bound).  Stores to a read-only area are
 * discarded.  The pool's offset and size are multiples of SNAP_POOL_ALIGN.
 */
#define SNAP_POOL_ALIGN		(2u << 20)

/*
 * A large frame: so many frames in a row, the first one's number a multiple of that,
 * which are given and given back as one.  Its number is that of the first with the bit.
 */
#define SNAP_FRAME_LARGE	0x80000000u
#define SNAP_LARGE_FRAMES	16
#define SNAP_LARGE_SIZE		(SNAP_LARGE_FRAMES * SNAP_FRAME_SIZE)

/* ---- Registers: 64 bit each, 8-byte accesses only ----------------------- */

#define SNAP_REGS_SIZE		0x80000
#define SNAP_MAGIC		0x0031504d50414e53ull	/* "SNAPMP1" */
#define SNAP_VERSION		3

/* Page 0: the device. */
#define SNAP_REG_MAGIC		0x00	/* R  SNAP_MAGIC */
#define SNAP_REG_VERSION	0x08	/* R  SNAP_VERSION */
#define SNAP_REG_FEATURES	0x10	/* R  SNAP_F_* offered */
#define SNAP_REG_DRIVER_FEATURES 0x18	/* RW SNAP_F_* accepted, before START */
#define SNAP_REG_CONTROL	0x20	/* W  SNAP_CTL_*; R SNAP_STATE_* */
#define SNAP_REG_QUEUES		0x28	/* R  data queues, 1 .. SNAP_QUEUES_MAX */
#define SNAP_REG_STATUS_OFFSET	0x30	/* R  bytes into the memory BAR */
#define SNAP_REG_SLAB_OFFSET	0x38	/* R  bytes into the memory BAR */
#define SNAP_REG_SLAB_BYTES	0x40	/* R  bytes of one queue's slab */
#define SNAP_REG_POOL_OFFSET	0x48	/* R  bytes into the memory BAR */
#define SNAP_REG_POOL_FRAMES	0x50	/* R  frames */
#define SNAP_REG_WINDOW_OFFSET	0x58	/* R  bytes into the memory BAR */
#define SNAP_REG_WINDOW_PAGES	0x60	/* R  pages of SNAP_FRAME_SIZE */
#define SNAP_REG_MAC		0x68	/* R  address, first byte lowest */
#define SNAP_REG_MTU_MAX	0x70	/* R  bytes */
#define SNAP_REG_RX_LOW		0x78	/* R  free frames at which to copy */
#define SNAP_REG_VECTORS	0x80	/* R  MSI-X vectors, at least 2 */
#define SNAP_REG_ACTIVE		0x88	/* RW data queues that carry packets: 1 .. n */
#define SNAP_REG_LARGE_OFFSET	0x90	/* R  bytes into the memory BAR: the pool again */
#define SNAP_REG_COUNTERS	0x400	/* R  SNAP_CTR_*, 8 bytes each */

#define SNAP_CTL_RESET		1
#define SNAP_CTL_START		2

#define SNAP_STATE_IDLE		0	/* after power-on and reset */
#define SNAP_STATE_RUNNING	1
#define SNAP_STATE_REFUSED	2	/* START with a feature not offered */

/*
 * Offload features.  Without SNAP_F_CSUM the driver sends complete checksums
 * and the device delivers packets whose checksum nobody has looked at.
 */
#define SNAP_F_CSUM		0x01ull	/* device completes checksums on TX */
#define SNAP_F_TSO4		0x02ull
#define SNAP_F_TSO6		0x04ull
#define SNAP_F_RX_CSUM		0x08ull	/* RX may carry partial checksums */
#define SNAP_F_RX_LRO		0x10ull	/* RX may carry TCP packets over the MTU */

/* SNAPSHOT, CLONE, COMMIT and MERGE work: the device can trap stores. */
#define SNAP_F_SNAPSHOT		0x20ull

/* REGION_CREATE and CLONE may end with AGAIN: the driver rings again. */
#define SNAP_F_STEPS		0x40ull

/* A data queue has the register TAKE_ARM. */
#define SNAP_F_TAKE_ARM		0x80ull

/* UDP over IPv4 and IPv6, one packet for many datagrams; needs CSUM. */
#define SNAP_F_USO		0x100ull

/* A data queue has the register HOLDOFF. */
#define SNAP_F_HOLDOFF		0x200ull

/* The mailbox knows STEER. */
#define SNAP_F_STEER		0x400ull

/* RX gives large frames, for payload of more than half of one; so may CAPTURE. */
#define SNAP_F_LARGE_FRAMES	0x800ull

#define SNAP_F_ALL		0xfffull

/* Page 1 + q: queue q.  Queue 0 is the control mailbox; data queues from 1 on. */
#define SNAP_QUEUE_PAGE(q)	(0x1000u * (1 + (q)))
#define SNAP_QUEUE_CONTROL	0
#define SNAP_QUEUE_DATA		1
#define SNAP_QUEUES_MAX		64

#define SNAP_QREG_DOORBELL	0x00	/* W  SNAP_DOORBELL() */
#define SNAP_QREG_TAKE		0x08	/* R  seals and returns an RX batch */
#define SNAP_QREG_ARM		0x10	/* W  1: one interrupt, please; 0: none */
#define SNAP_QREG_TAKE_ARM	0x18	/* R  TAKE, and ARM if that was all */
#define SNAP_QREG_HOLDOFF	0x20	/* RW microseconds, 0 .. SNAP_HOLDOFF_MAX */
#define SNAP_QREG_COUNTERS	0x400	/* R  SNAP_QCTR_*, 8 bytes each */

/*
 * Value of DOORBELL: where the first of n entries is in the slab.  Each further
 * one begins at the next multiple of SNAP_ENTRY_ALIGN behind the one before.  n is
 * 1 for the mailbox, else 1 .. SNAP_DOORBELL_ENTRIES_MAX.
 */
#define SNAP_DOORBELL_ENTRIES_MAX 32
#define SNAP_DOORBELL(offset, n) ((__u64)((n) - 1) << 32 | (offset))
#define SNAP_DOORBELL_OFFSET(v)	((__u32)(v))
#define SNAP_DOORBELL_ENTRIES(v) (((__u64)(v) >> 32) + 1)

/*
 * Value of TAKE and TAKE_ARM: batch frame in bits 0-31, packets in it in 32-47;
 * bit 63 only of TAKE_ARM: no packet is left, and the queue is armed.
 */
#define SNAP_TAKE_NONE		(~0ull)
#define SNAP_TAKE_ARMED		0x8000000000000000ull
#define SNAP_TAKE_FRAME(v)	((__u32)(v))
#define SNAP_TAKE_COUNT(v)	((__u32)((v) >> 32) & 0xffffu)

/* Of HOLDOFF: least time from an interrupt for received packets to the next. */
#define SNAP_HOLDOFF_MAX	100000u

#define SNAP_VECTOR_CONTROL	0	/* link state changed */
#define SNAP_VECTOR_DATA	1	/* the first that data queues have */

/* Of data queue q, 1 the first: RX batch not empty, or TX resumed. */
#define SNAP_VECTOR(q, vectors)	(SNAP_VECTOR_DATA + ((q) - 1) % ((vectors) - 1))

enum snap_counter {
	SNAP_CTR_DOORBELLS,		/* every write to a doorbell */
	SNAP_CTR_TAKES,			/* every read of TAKE and TAKE_ARM */
	SNAP_CTR_INTERRUPTS,		/* messages sent */
	SNAP_CTR_BAD_REGISTER,		/* accesses that name no register */
	SNAP_CTR_BAD_DOORBELL,		/* doorbells that name no entry */
	SNAP_CTR_BAD_ENTRY,		/* entries ended by an error status */
	SNAP_CTR_CAPTURES,
	SNAP_CTR_SHARED_BYTES,		/* captured by sharing frames */
	SNAP_CTR_COPIED_BYTES,		/* captured by copying */
	SNAP_CTR_WRITE_FAULTS,		/* stores that hit a shared page */
	SNAP_CTR_COW_COPIES,		/* of those, the ones that copied a page */
	SNAP_CTR_RELEASED,		/* holds given back by the guest */
	SNAP_CTR_TX_PACKETS,
	SNAP_CTR_TX_BYTES,
	SNAP_CTR_TX_FRAME_BYTES,	/* read from pool frames */
	SNAP_CTR_TX_DMA_BYTES,		/* copied from guest memory */
	SNAP_CTR_TX_INLINE_BYTES,	/* read from the slab */
	SNAP_CTR_TX_DROPPED,
	SNAP_CTR_TX_PAUSES,
	SNAP_CTR_RX_PACKETS,
	SNAP_CTR_RX_BYTES,
	SNAP_CTR_RX_FRAMES,		/* payload frames handed to the guest */
	SNAP_CTR_RX_DROPPED,
	SNAP_CTR_RX_STALLS,		/* times reception waited for frames */
	SNAP_CTR_FREE_FRAMES,		/* a level: frames nobody holds */
	SNAP_CTR_GUEST_FRAMES,		/* a level: frames the guest holds */
	SNAP_CTR_REGION_FRAMES,		/* a level: frames of regions and snapshots */
	SNAP_CTR_RESERVED_FRAMES,	/* a level: kept for later stores */
	SNAP_CTR_ARMS,			/* every write to ARM */
	SNAP_CTR_SNAPSHOTS,		/* taken */
	SNAP_CTR_CLONES,
	SNAP_CTR_COMMITS,		/* that succeeded */
	SNAP_CTR_MERGES,		/* that succeeded */
	SNAP_CTR_CONFLICTS,		/* commits and merges that did not */
	SNAP_CTR_TRAP_ARMS,		/* ranges of pages write-protected */
	SNAP_CTR_TRAP_PAGES,		/* pages in them */
	SNAP_CTR_AHEAD_PAGES,		/* copied before a store asked for them */
	SNAP_CTR_DEDUP_PAGES,		/* of snapshots: found to exist already */
	SNAP_CTR_REGIONS,		/* a level */
	SNAP_CTR_SNAPSHOTS_HELD,	/* a level */
	SNAP_CTR_RX_NO_LARGE,		/* packets for which no large frame was free */
	SNAP_CTR_MAX
};

/* Of one data queue. */
enum snap_queue_counter {
	SNAP_QCTR_TX_PACKETS,
	SNAP_QCTR_TX_BYTES,
	SNAP_QCTR_TX_DROPPED,
	SNAP_QCTR_TX_PAUSES,
	SNAP_QCTR_RX_PACKETS,
	SNAP_QCTR_RX_BYTES,
	SNAP_QCTR_RX_DROPPED,
	SNAP_QCTR_RX_STALLS,
	SNAP_QCTR_MAX
};

/* ---- Status area -------------------------------------------------------- */

/*
 * SNAP_STATUS_BYTES: a line for the device, then one for each data queue: that of
 * queue q is at q * SNAP_STATUS_LINE.
 */
#define SNAP_STATUS_LINE	64u
#define SNAP_STATUS_BYTES	8192u

struct snap_device_status {
	__le32 free_frames;	/* what reception may still use */
	__le32 link_up;
	__le32 resets;		/* since power-on */
	__le32 reserved[13];
};

struct snap_queue_status {
	__le32 tx_paused;	/* 1: TX answers BUSY until the queue's vector */
	__le32 reserved[15];
};

/* ---- Slab entries ------------------------------------------------------- */

/*
 * The driver writes entries with status PENDING anywhere in the queue's slab,
 * aligned to SNAP_ENTRY_ALIGN, and rings the doorbell.  The device copies each
 * entry, checks the copy, executes it and stores the status last.  It stops behind
 * an entry that ends with BUSY, BAD_STATE or BAD_OP: those after that stay PENDING.
 * An all-ones status is what a removed device reads as.
 */
#define SNAP_ENTRY_ALIGN	64

enum snap_op {
	/* data queues */
	SNAP_OP_CAPTURE		= 1,
	SNAP_OP_RELEASE		= 2,
	SNAP_OP_TX		= 3,
	/* control mailbox */
	SNAP_OP_REGION_CREATE	= 16,
	SNAP_OP_REGION_DESTROY	= 17,
	SNAP_OP_SNAPSHOT	= 18,
	SNAP_OP_SNAPSHOT_DROP	= 19,
	SNAP_OP_CLONE		= 20,
	SNAP_OP_COMMIT		= 21,
	SNAP_OP_MERGE		= 22,
	SNAP_OP_DIFF		= 23,
	SNAP_OP_DISCARD		= 24,
	SNAP_OP_INFO		= 25,
	SNAP_OP_STEER		= 26,
};

enum snap_status {
	SNAP_ST_PENDING		= 0,
	SNAP_ST_OK		= 1,
	SNAP_ST_BAD_STATE	= 2,	/* device not RUNNING; TX: queue not active */
	SNAP_ST_BAD_OP		= 3,	/* unknown, or not for this queue */
	SNAP_ST_BAD_FLAGS	= 4,
	SNAP_ST_BAD_RESERVED	= 5,	/* a reserved field is not zero */
	SNAP_ST_BAD_COUNT	= 6,	/* number of frames, segments, of a queue */
	SNAP_ST_BAD_LENGTH	= 7,
	SNAP_ST_BAD_OFFSET	= 8,
	SNAP_ST_BAD_REGION	= 9,	/* no such region or snapshot */
	SNAP_ST_BAD_FRAME	= 10,	/* no such frame, or not held by the guest */
	SNAP_ST_BAD_SEGMENT	= 11,	/* kind or place of a TX segment */
	SNAP_ST_BAD_OFFLOAD	= 12,	/* offload header wrong or not negotiated */
	SNAP_ST_NO_FRAMES	= 13,
	SNAP_ST_NO_WINDOW	= 14,	/* no room left in the windows */
	SNAP_ST_NO_REGIONS	= 15,	/* SNAP_REGIONS_MAX, SNAP_SNAPSHOTS_MAX exist */
	SNAP_ST_DMA_FAULT	= 16,	/* guest memory could not be read */
	SNAP_ST_BUSY		= 17,	/* TX paused; nothing was sent */
	SNAP_ST_LINK_DOWN	= 18,	/* TX: dropped; STEER: the backend refuses */
	SNAP_ST_CONFLICT	= 19,	/* COMMIT, MERGE: the region has moved on */
	SNAP_ST_QUOTA		= 20,	/* the owner would pass its quota */
	SNAP_ST_AGAIN		= 21,	/* done in part: ring with the same entry */
	SNAP_ST_MAX,
	SNAP_ST_GONE		= -1	/* never stored by a device */
};

struct snap_entry {
	__le16 op;
	__le16 flags;		/* as the command says; undefined bits are zero */
	__le32 status;		/* PENDING in, result out */
};

#define SNAP_CAPTURE_BYTES_MAX	0x100000u
#define SNAP_CAPTURE_FRAMES_MAX	(SNAP_CAPTURE_BYTES_MAX / SNAP_FRAME_SIZE + 1)

/* Flag: if a large frame would be more than half used, there may be one instead. */
#define SNAP_CAPTURE_LARGE	1

/*
 * CAPTURE: the bytes [offset, offset + length) of a region at this instant,
 * or of a snapshot.  Each page touched yields one frame, in order, holding the bytes at the same
 * offset within the page and zero outside the range.  The guest gets one hold
 * on each frame returned, also on one that it holds already.  Nothing is held
 * after an error.
 */
struct snap_capture {
	struct snap_entry e;
	__le32 region;		/* handle of a region or snapshot */
	__le32 length;		/* bytes, 1 .. SNAP_CAPTURE_BYTES_MAX */
	__le64 offset;		/* bytes into it */
	__le32 nframes;		/* out; zero in */
	__le32 reserved;
	__le32 frame[SNAP_CAPTURE_FRAMES_MAX];	/* out */
	__le32 reserved2;
};

#define SNAP_RELEASE_MAX	512	/* frames */

/*
 * RELEASE: give back one hold for each frame listed (a frame may be listed
 * more than once), SNAP_RELEASE_MAX frames at most, those of large ones counted.  On
 * BAD_FRAME the first `done` were released.
 */
struct snap_release {
	struct snap_entry e;
	__le32 count;		/* 1 .. SNAP_RELEASE_MAX */
	__le32 done;		/* out; zero in */
	__le32 frame[SNAP_RELEASE_MAX];
};

/* The layout and meaning of struct virtio_net_hdr_v1. */
struct snap_offload {
	__u8 flags;
	__u8 gso_type;
	__le16 hdr_len;
	__le16 gso_size;
	__le16 csum_start;
	__le16 csum_offset;
	__le16 num_buffers;	/* zero */
};

enum snap_seg_kind {
	SNAP_SEG_FRAME	= 1,	/* addr: byte offset in the pool, frames held */
	SNAP_SEG_INLINE	= 2,	/* addr: byte offset in this queue's slab */
	SNAP_SEG_DMA	= 3,	/* addr: bus address of guest memory */
};

struct snap_segment {
	__le64 addr;
	__le32 length;		/* bytes, at least 1 */
	__le16 kind;
	__le16 reserved;
};

#define SNAP_TX_SEGMENTS_MAX	20
#define SNAP_TX_BYTES_MAX	(65535u + 18u)
#define SNAP_TX_BYTES_MIN	14u

/*
 * TX: send one Ethernet frame made of the segments in order.  With status OK
 * the device needs neither the entry nor the memory any more, except pool
 * frames, on which it takes its own hold.
 */
struct snap_tx {
	struct snap_entry e;
	__le32 length;		/* bytes, the sum of the segments */
	__le16 nsegs;		/* 1 .. SNAP_TX_SEGMENTS_MAX */
	__le16 reserved;
	struct snap_offload offload;
	__le32 reserved2;
	struct snap_segment seg[SNAP_TX_SEGMENTS_MAX];
};

/*
 * REGION_CREATE: a region of npages zero pages, bound to consecutive pages of
 * the window area.  The handle carries a generation: a stale one is refused.
 *
 * owner is any number: the device counts the frames that the regions of one
 * owner have or may come to need, and refuses with QUOTA what would take them
 * over quota.  Snapshots bring a frame for every four nodes of their maps.
 */
#define SNAP_REGIONS_MAX	1024
#define SNAP_REGION_SPARSE	0x0001	/* e.flags: no frames before the first store */

#define SNAP_QUOTA_NONE		0xffffffffu

enum snap_hint {
	SNAP_HINT_NONE	= 0,
	SNAP_HINT_KEEP	= 1,	/* rarely rewritten: prefer sharing */
	SNAP_HINT_REWRITE = 2,	/* rewritten after each capture: prefer copying */
	SNAP_HINT_MAX
};

struct snap_region_create {
	struct snap_entry e;
	__le32 npages;
	__le32 hint;		/* enum snap_hint */
	__le32 region;		/* out; zero in */
	__le32 window_page;	/* out; zero in */
	__le32 owner;
	__le32 quota;		/* frames, or SNAP_QUOTA_NONE */
};

/* REGION_DESTROY: frames that captures or snapshots hold outlive the region. */
struct snap_region_destroy {
	struct snap_entry e;
	__le32 region;
	__le32 reserved;
};

/*
 * A region has a version: a number that SNAPSHOT, COMMIT and MERGE raise, and
 * that is the region's only as long as nobody has stored to it since.
 */
#define SNAP_SNAPSHOTS_MAX	8192

/* SNAPSHOT: the whole region at this instant, named by a handle. */
struct snap_snapshot_create {
	struct snap_entry e;
	__le32 region;
	__le32 quota;		/* frames, of the region's owner */
	__le32 snapshot;	/* out; zero in */
	__le32 reserved;
	__le64 version;		/* out; zero in */
};

/* SNAPSHOT_DROP: frames that somebody else has outlive the snapshot. */
struct snap_snapshot_drop {
	struct snap_entry e;
	__le32 snapshot;
	__le32 reserved;
};

/* CLONE: a new region that starts as a snapshot, with the same length. */
struct snap_clone {
	struct snap_entry e;
	__le32 snapshot;
	__le32 hint;		/* enum snap_hint */
	__le32 owner;
	__le32 quota;		/* frames */
	__le32 region;		/* out; zero in */
	__le32 window_page;	/* out; zero in */
};

/*
 * COMMIT: make the region what a snapshot is, if the region is still at a
 * version; else CONFLICT, and nothing has changed.  Lengths must be equal.
 */
struct snap_commit {
	struct snap_entry e;
	__le32 region;
	__le32 from;		/* snapshot */
	__le32 quota;		/* frames, of the region's owner */
	__le32 reserved;
	__le64 version;		/* in: expected; out: the new one */
};

#define SNAP_CONFLICTS_MAX	64
#define SNAP_MERGE_WORD		8	/* bytes */

/*
 * MERGE: bring what changed from one snapshot to another into a region, word
 * by word.  A word that the region has changed from the base as well, to
 * something else, is a conflict: then nothing has changed.
 */
struct snap_merge {
	struct snap_entry e;
	__le32 region;
	__le32 base;		/* snapshot */
	__le32 from;		/* snapshot */
	__le32 quota;		/* frames, of the region's owner */
	__le32 nconflicts;	/* out, the first ones; zero in */
	__le32 reserved;
	__le64 version;		/* out; zero in */
	__le64 conflict[SNAP_CONFLICTS_MAX];	/* out: bytes into the region */
};

#define SNAP_DIFF_MAX		1024
#define SNAP_DIFF_END		0xffffffffu

/* DIFF: pages whose bytes differ between two snapshots, in order. */
struct snap_diff {
	struct snap_entry e;
	__le32 a;		/* snapshot */
	__le32 b;		/* snapshot of the same length */
	__le32 first;		/* page to begin at */
	__le32 npages;		/* out; zero in */
	__le32 next;		/* out: where to go on, or DIFF_END; zero in */
	__le32 reserved;
	__le32 page[SNAP_DIFF_MAX];	/* out */
};

/* DISCARD: pages of a region become zero, and give their frames back. */
struct snap_discard {
	struct snap_entry e;
	__le32 region;
	__le32 first;		/* page */
	__le32 npages;		/* at least 1 */
	__le32 reserved;
};

/*
 * INFO: of the region or snapshot with that handle; handle 0: only `charged`,
 * of any owner.
 */
struct snap_object {
	struct snap_entry e;
	__le32 handle;
	__le32 owner;		/* in for handle 0, else out and zero in */
	__le32 npages;		/* this and below: out; zero in */
	__le32 populated;	/* pages with a frame: the others are zero */
	__le32 reserved_frames;	/* kept for later stores to this region */
	__le32 charged;		/* frames that count against the owner's quota */
	__le64 version;
	__le64 shared_pages;	/* captured by sharing */
	__le64 copied_pages;	/* captured by copying */
	__le64 write_faults;
	__le32 dirty;		/* 1: stored to since the version was made */
	__le32 sharing;		/* 1: auto would share the next capture */
};

#define SNAP_STEER_ENTRIES	128
#define SNAP_STEER_FREE		0x0001	/* e.flags: the device chooses, as after reset */

/*
 * STEER: received flows come by the queues of a table.  A flow has one of the entries,
 * which a hash of its addresses and ports chooses.  It holds until ACTIVE is written.
 */
struct snap_steer {
	struct snap_entry e;
	__u8 queue[SNAP_STEER_ENTRIES];	/* 1 .. ACTIVE; zero with FREE */
};

/* ---- RX batches --------------------------------------------------------- */

/*
 * A batch is one frame of entries.  Each is followed by nframes frame numbers
 * (__le32), then hdr_len bytes of packet, then padding to `size`.  The packet
 * is the hdr_len bytes and then payload bytes, frame after frame, each from
 * its start; what lies behind the payload in the last frame is zero.  The
 * guest holds the batch frame and each payload frame once.  A number may be that
 * of a large frame, if the payload is more than SNAP_RX_LARGE_MIN: it has all of it.
 */
struct snap_rx {
	__le16 size;		/* bytes to the next entry, a multiple of 8 */
	__le16 hdr_len;		/* bytes, at least 14 */
	__le16 nframes;		/* 0 .. SNAP_RX_FRAMES_MAX */
	__le16 hash_type;	/* enum snap_hash */
	__le32 payload;		/* bytes in frames */
	struct snap_offload offload;
	__le32 hash;		/* equal for packets of one flow */
};

/* What a hash was made of; the driver makes its own of packets without one. */
enum snap_hash {
	SNAP_HASH_NONE	= 0,	/* hash is zero */
	SNAP_HASH_L3	= 1,	/* addresses */
	SNAP_HASH_L4	= 2,	/* addresses and ports */
};

#define SNAP_RX_FRAMES_MAX	17
#define SNAP_RX_LARGE_MIN	(SNAP_LARGE_SIZE / 2)	/* bytes */
#define SNAP_RX_INLINE_MAX	256u	/* packets up to this have no frames */
#define SNAP_RX_HEADER_MAX	192u	/* bytes of header before frames */

/* ---- What compilers check ----------------------------------------------- */

#define SNAP_ASSERT(c)	static_assert(c, #c)
#define SNAP_ASSERT_AT(t, f, o)	SNAP_ASSERT(offsetof(struct t, f) == (o))

SNAP_ASSERT(sizeof(struct snap_device_status) == SNAP_STATUS_LINE);
SNAP_ASSERT_AT(snap_device_status, link_up, 4);
SNAP_ASSERT_AT(snap_device_status, resets, 8);
SNAP_ASSERT(sizeof(struct snap_queue_status) == SNAP_STATUS_LINE);
SNAP_ASSERT((1 + SNAP_QUEUES_MAX) * SNAP_STATUS_LINE <= SNAP_STATUS_BYTES);
SNAP_ASSERT(SNAP_QUEUE_PAGE(SNAP_QUEUES_MAX + 1) <= SNAP_REGS_SIZE);
SNAP_ASSERT(sizeof(struct snap_entry) == 8);
SNAP_ASSERT_AT(snap_entry, status, 4);
SNAP_ASSERT(sizeof(struct snap_capture) == 32 + 4 * 258);
SNAP_ASSERT_AT(snap_capture, region, 8);
SNAP_ASSERT_AT(snap_capture, length, 12);
SNAP_ASSERT_AT(snap_capture, offset, 16);
SNAP_ASSERT_AT(snap_capture, nframes, 24);
SNAP_ASSERT_AT(snap_capture, frame, 32);
SNAP_ASSERT(sizeof(struct snap_release) == 16 + 4 * 512);
SNAP_ASSERT_AT(snap_release, count, 8);
SNAP_ASSERT_AT(snap_release, done, 12);
SNAP_ASSERT_AT(snap_release, frame, 16);
SNAP_ASSERT(sizeof(struct snap_offload) == 12);
SNAP_ASSERT_AT(snap_offload, csum_start, 6);
SNAP_ASSERT(sizeof(struct snap_segment) == 16);
SNAP_ASSERT_AT(snap_segment, kind, 12);
SNAP_ASSERT(sizeof(struct snap_tx) == 32 + 16 * 20);
SNAP_ASSERT_AT(snap_tx, length, 8);
SNAP_ASSERT_AT(snap_tx, nsegs, 12);
SNAP_ASSERT_AT(snap_tx, offload, 16);
SNAP_ASSERT_AT(snap_tx, seg, 32);
SNAP_ASSERT(sizeof(struct snap_region_create) == 32);
SNAP_ASSERT_AT(snap_region_create, region, 16);
SNAP_ASSERT_AT(snap_region_create, quota, 28);
SNAP_ASSERT(sizeof(struct snap_region_destroy) == 16);
SNAP_ASSERT(sizeof(struct snap_snapshot_create) == 32);
SNAP_ASSERT_AT(snap_snapshot_create, snapshot, 16);
SNAP_ASSERT_AT(snap_snapshot_create, version, 24);
SNAP_ASSERT(sizeof(struct snap_snapshot_drop) == 16);
SNAP_ASSERT(sizeof(struct snap_clone) == 32);
SNAP_ASSERT_AT(snap_clone, region, 24);
SNAP_ASSERT(sizeof(struct snap_commit) == 32);
SNAP_ASSERT_AT(snap_commit, version, 24);
SNAP_ASSERT(sizeof(struct snap_merge) == 40 + 8 * 64);
SNAP_ASSERT_AT(snap_merge, nconflicts, 24);
SNAP_ASSERT_AT(snap_merge, version, 32);
SNAP_ASSERT_AT(snap_merge, conflict, 40);
SNAP_ASSERT(sizeof(struct snap_diff) == 32 + 4 * 1024);
SNAP_ASSERT_AT(snap_diff, next, 24);
SNAP_ASSERT_AT(snap_diff, page, 32);
SNAP_ASSERT(sizeof(struct snap_discard) == 24);
SNAP_ASSERT(sizeof(struct snap_object) == 72);
SNAP_ASSERT_AT(snap_object, version, 32);
SNAP_ASSERT_AT(snap_object, dirty, 64);
SNAP_ASSERT(sizeof(struct snap_steer) == 8 + 128);
SNAP_ASSERT_AT(snap_steer, queue, 8);
SNAP_ASSERT(SNAP_QUEUES_MAX <= 255);
SNAP_ASSERT(sizeof(struct snap_rx) == 28);
SNAP_ASSERT_AT(snap_rx, payload, 8);
SNAP_ASSERT_AT(snap_rx, offload, 12);
SNAP_ASSERT_AT(snap_rx, hash, 24);

#endif /* SNAP_DEVICE_H */
