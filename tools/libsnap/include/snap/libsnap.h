/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libsnap: snapshot memory and AF_SNAP sockets for C programs.  libsnap(3) and
 * libsnap_memory(3) are the reference.
 *
 * Functions that can fail return a negative errno and leave errno alone; the
 * heap's are like malloc() instead.  Lengths and offsets are bytes.  Results
 * are stored on success only, unless said otherwise.
 *
 * Threads: all functions may run at once, also on one object; only freeing
 * or destroying it is the caller's to order after all other uses of it.
 *
 * fork(2): regions and snapshots are shared with the child.  What hands out
 * their memory, buffers and heaps, and views of sockets belong to the process
 * that made them: in a child they fail with -EPERM and change nothing, and
 * freeing a region, heap or view ends it for the child only.
 * snap_region_adopt() is for a child that takes over.
 */
#ifndef SNAP_LIBSNAP_H
#define SNAP_LIBSNAP_H

/* Before the kernel's headers, which want offsetof(). */
#include <stddef.h> // NOLINT
#include <stdint.h> // NOLINT
#include <sys/socket.h>
#include <sys/types.h>

#include "snap.h"
#include "snap_device.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define LIBSNAP_VERSION "0.2"

/* Alignment and granularity of buffers: captures share whole pages. */
#define SNAP_BUFFER_ALIGN 4096

/* Where the module offers its memory, unless $SNAP_DEVICE says otherwise. */
#define SNAP_DEVICE_PATH "/dev/snap"

/* The library's version at run time, a static string. */
const char *snap_version(void);

/*
 * Declares a structure that says its size, which is set, all else being zero:
 *	SNAP_STRUCT(snap_info, info);
 * C++ has snap::sized<snap_info>().
 */
#define SNAP_STRUCT(type, name) struct type name = {.size = sizeof(struct type)}

/* ---- The device --------------------------------------------------------- */

struct snap_handle;

/*
 * Opens /dev/snap, close-on-exec, and checks that the module's ABI version is
 * not older than this library needs.
 * -ENOENT: the module is not loaded; -EACCES: not for this user;
 * -EPROTONOSUPPORT: the module is older; -EINVAL: handle is NULL; -EMFILE,
 * -ENFILE, -ENOMEM.  A module without a device opens.
 */
int snap_open(struct snap_handle **handle);

/* Regions made from the handle stay.  NULL is allowed. */
void snap_close(struct snap_handle *handle);

/* The descriptor behind the handle, still owned by it; -EINVAL for NULL. */
int snap_fd(const struct snap_handle *handle);

/*
 * Declare them with SNAP_STRUCT(): size bytes are filled at most, what the
 * module does not know is zero, and size becomes what it filled.  -EINVAL:
 * NULL or too small a size; -E2BIG: size is over 4096, or bytes that this
 * library does not know are not zero, as if nobody had set it; -ENODEV: there
 * is no device to inform about.  Statistics of sockets need none: ncounters is
 * 0 then.
 */
int snap_get_info(struct snap_handle *handle, struct snap_info *info);
int snap_get_stats(struct snap_handle *handle, struct snap_stats *stats);

/* ---- Regions ------------------------------------------------------------ */

/* Made by the library only; later versions add fields at the end. */
struct snap_region {
    int fd;        /* owned by the region; may be passed to other processes */
    void *address; /* of the mapping, read-write, page-aligned */
    size_t length; /* bytes, a multiple of the page size */
};

/*
 * Creates a region of zeros and maps it.  length is rounded up to pages.
 * -EINVAL: length 0 or too large, hint unknown; -EDQUOT: over the user's
 * quota; -ENOSPC: no frames or no window left; -ENODEV, -ENOMEM, -EMFILE.
 */
int snap_region_create(struct snap_handle *handle, size_t length,
                       enum snap_hint hint, struct snap_region **region);

/*
 * The same with flags: SNAP_REGION_ARGS_SPARSE, pages take their frame from
 * the device with the first store (they are reserved all the same: a store
 * never fails).  -EINVAL also for an unknown flag.
 */
int snap_region_create_flags(struct snap_handle *handle, size_t length,
                             enum snap_hint hint, unsigned int flags,
                             struct snap_region **region);

/*
 * Maps a region that another process created and passed as a descriptor.
 * Takes fd over when it succeeds.  length, a multiple of the page size, may
 * be less than the whole; snap_get_object_info() tells that.
 * -EINVAL, -EBADF, -EACCES, -ENOMEM.
 */
int snap_region_from_fd(int fd, size_t length, struct snap_region **region);

/*
 * Unmaps and closes.  The region's memory goes when the last descriptor and
 * mapping of any process is gone; what was sent from it arrives all the same.
 * NULL is allowed.
 */
void snap_region_free(struct snap_region *region);

/*
 * After fork(2), in the child: buffers and heaps of the region are its own from
 * now on, as they were then.  For a child whose parent ends or lets them be, as
 * with daemon(3), or that has mapped a clone in the region's place; no other
 * thread of the parent may have been allocating meanwhile.  -EINVAL: NULL.
 */
int snap_region_adopt(struct snap_region *region);

/*
 * Makes the pages of [offset, offset + length), multiples of the page size,
 * zero for everybody, and gives their frames back to the device.  Loads and
 * stores of others see all of it or nothing.
 * -EINVAL: not in the region, not whole pages, or length 0; -ENODEV.
 */
int snap_region_discard(struct snap_region *region, size_t offset,
                        size_t length);

/* ---- Snapshots ---------------------------------------------------------- */

/* Made by the library only; later versions add fields at the end. */
struct snap_snapshot {
    int fd; /* owned by the snapshot; may be passed to other processes */
    const void *address; /* of the mapping, read-only; NULL before map */
    size_t length;       /* bytes, of the region it was taken of */
    uint64_t version;    /* of the region at that instant */
};

/*
 * The whole region at this instant, in a time that does not depend on its
 * length.  A store by another thread is in it wholly or not at all.  Frames
 * for the stores that may follow are reserved now, against the quota of the
 * region's owner.
 * -EINVAL: NULL; -ENOSPC: no frames, or too many snapshots; -EDQUOT;
 * -EOPNOTSUPP: the device cannot trap stores; -ENODEV, -ENOMEM, -EMFILE.
 */
int snap_snapshot_take(struct snap_region *region,
                       struct snap_snapshot **snapshot);

/*
 * A snapshot that another process passed as a descriptor.  Takes fd over when
 * it succeeds.  -EINVAL: that of a region; -EBADF, -ENODEV, -ENOMEM;
 * -ENOTTY: of something else.
 */
int snap_snapshot_from_fd(int fd, struct snap_snapshot **snapshot);

/*
 * Maps it, the first time, and sets address; does nothing after that.  The
 * mapping lasts as long as the snapshot.  -EINVAL: NULL; -ENODEV, -ENOMEM.
 */
int snap_snapshot_map(struct snap_snapshot *snapshot);

/*
 * Unmaps and closes.  Frames that no other snapshot, region or message has
 * go back to the device with the last descriptor and mapping.  NULL is
 * allowed.
 */
void snap_snapshot_free(struct snap_snapshot *snapshot);

/*
 * A new region that starts as the snapshot, mapped; owned by the caller's
 * user, and charged to it.  Errors as snap_region_create() and
 * snap_snapshot_take().
 */
int snap_snapshot_clone(const struct snap_snapshot *snapshot,
                        enum snap_hint hint, struct snap_region **clone);

/*
 * Offsets of the pages from *offset on whose bytes differ between two
 * snapshots of the same length, in order: stores up to room of them in
 * pages[] and returns how many.  *offset moves to where the next call goes
 * on, to the length when there are no more; 0 pages alone do not say that.
 * Time: by the pages that differ, not by the length, if one of the snapshots
 * comes from the other.
 * -EINVAL: NULL, lengths differ, *offset not that of a page or of the end, room
 * 0; -ENODEV.
 */
int snap_snapshot_diff(const struct snap_snapshot *a,
                       const struct snap_snapshot *b, uint64_t *offset,
                       uint64_t *pages, size_t room);

/* ---- Versions of a region ----------------------------------------------- */

/*
 * The region becomes what `from` is, for everybody at once, if it is still at
 * *version and nobody has stored to it since; *version becomes the new one.
 * -ESTALE: it is not, and nothing has changed; -EINVAL: NULL, or lengths
 * differ; -ENOSPC, -EDQUOT, -EOPNOTSUPP, -ENODEV.
 */
int snap_region_commit(struct snap_region *region,
                       const struct snap_snapshot *from, uint64_t *version);

/*
 * Brings what changed from `base` to `from` into the region, word by word of
 * 8 bytes, for everybody at once.  -ESTALE: the region has changed words of
 * these to something else; nothing has changed, and the offsets of the first
 * *nconflicts of them are in conflicts[].  *nconflicts is its room before and
 * how many were stored after, also for success (0); version may be NULL, else
 * gets the new one.  -EINVAL, -ENOSPC, -EDQUOT, -EOPNOTSUPP, -ENODEV.
 */
int snap_region_merge(struct snap_region *region,
                      const struct snap_snapshot *base,
                      const struct snap_snapshot *from, uint64_t *conflicts,
                      size_t *nconflicts, uint64_t *version);

/*
 * What the descriptor of a region or snapshot is.  info as above.
 * -EINVAL, -E2BIG, -EBADF, -ENODEV; -ENOTTY: neither of them.
 */
int snap_get_object_info(int fd, struct snap_object_info *info);

/* ---- Buffers in a region ------------------------------------------------ */

/*
 * A piece of the region, aligned to SNAP_BUFFER_ALIGN and at least length
 * bytes, content unspecified.  Buffers never share a page.
 * -EINVAL: NULL or length 0; -ENOSPC: no gap that large; -ENOMEM; -EPERM: in a
 * child of fork(2).
 */
int snap_buffer_alloc(struct snap_region *region, size_t length, void **buffer);

/*
 * NULL is allowed; -EINVAL: not the start of a buffer of this region; -EPERM:
 * in a child of fork(2).
 */
int snap_buffer_free(struct snap_region *region, void *buffer);

/* ---- A heap in a region ------------------------------------------------- */

/*
 * malloc() and its relatives for memory of a region: pieces of any size, many
 * to a page.  What is in use is noted in the process, not in the region: the
 * heap survives a commit or discard, which change the content of its pieces
 * only, and other processes cannot break it, nor allocate from it.  Small
 * pieces share pages: use buffers for what is sent often.
 */
struct snap_heap;

/*
 * Takes pages as it needs them, as snap_buffer_alloc() does, so that heaps
 * and buffers may be in one region, which must outlive them.
 * -EINVAL: NULL; -ENOMEM.
 */
int snap_heap_create(struct snap_region *region, struct snap_heap **heap);

/* Gives its pages back; what was allocated is gone.  NULL is allowed. */
void snap_heap_destroy(struct snap_heap *heap);

/*
 * NULL and errno: ENOMEM, no room in the region; EINVAL, heap is NULL,
 * alignment is no power of two or over SNAP_BUFFER_ALIGN, or piece is not of
 * this heap; EPERM, this is a child of fork(2).  alloc and realloc align as
 * malloc() does.  length 0 gives a piece of its own.  realloc keeps the old
 * piece if it fails; NULL allocates. The content of new bytes is unspecified.
 */
void *snap_heap_alloc(struct snap_heap *heap, size_t length);
void *snap_heap_aligned_alloc(struct snap_heap *heap, size_t alignment,
                              size_t length);
void *snap_heap_realloc(struct snap_heap *heap, void *piece, size_t length);

/* Bytes that a piece has, at least those asked for; 0: none of this heap. */
size_t snap_heap_room(struct snap_heap *heap, const void *piece);

/*
 * NULL is allowed; -EINVAL: not the start of a piece of this heap; -EPERM: in a
 * child of fork(2).
 */
int snap_heap_free(struct snap_heap *heap, void *piece);

/* ---- Sockets ------------------------------------------------------------ */

/*
 * socket(AF_SNAP, type | SOCK_CLOEXEC, protocol): a descriptor, owned by the
 * caller.  protocol: SNAPPROTO_IPV4 or SNAPPROTO_IPV6.  -EAFNOSUPPORT: the
 * module is not loaded; -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -EMFILE, ...
 */
int snap_socket(int type, int protocol);

/*
 * What went by reference and what was copied on this socket, and why.  stats
 * as above.  -EINVAL, -E2BIG, -EBADF, -ENOTSOCK, -ENOPROTOOPT: not an AF_SNAP
 * socket.
 */
int snap_socket_stats(int fd, struct snap_sock_stats *stats);

/*
 * Messages shorter than this many bytes are copied.  get returns the value.
 * -EINVAL: negative; -EBADF, -ENOTSOCK, -ENOPROTOOPT.
 */
int snap_set_copybreak(int fd, int bytes);
int snap_get_copybreak(int fd);

/* ---- Views of sockets --------------------------------------------------- */

/* Made by the library only; later versions add fields at the end. */
struct snap_view {
    int fd;              /* the socket, still owned by the caller */
    const void *address; /* of the window, read-only */
    size_t length;       /* bytes, a multiple of the page size */
};

/*
 * Gives the socket its view, for once and all, and maps it.  length is rounded
 * up to pages; flags: SNAP_VIEW_NEXT: a receive releases what the ones before
 * it gave; SNAP_VIEW_LAZY: it maps nothing, which is left to page faults, and
 * pages that those map can be pinned (vmsplice(2), MSG_ZEROCOPY, O_DIRECT). The
 * socket must outlive the view.  The view is of this process alone: in others
 * that have the socket, a child of fork(2) for one, recvmsg(2) copies
 * everything, and the functions below fail with -EPERM. -EINVAL: NULL, length 0
 * or over SNAP_VIEW_LENGTH_MAX, flags unknown; -EEXIST: it has one; -ENOMEM;
 * -EBADF, -ENOTSOCK, -ENOPROTOOPT: not an AF_SNAP socket.
 */
int snap_view_create(int fd, size_t length, unsigned int flags,
                     struct snap_view **view);

/*
 * Releases all there is in the view and unmaps it; in another process than the
 * one that made it, it only unmaps.  NULL is allowed.
 */
void snap_view_free(struct snap_view *view);

/*
 * recvfrom() of at most length bytes: their number, 0 at the end of a stream;
 * with MSG_TRUNC in flags, a datagram's whole length.  from may be NULL.
 * parts[] says which of them are in the view; the others are in the buffer, at
 * their places. *nparts: room in parts[], at most SNAP_VIEW_PARTS_MAX is used;
 * then how many there are.  Other control messages that the socket was asked
 * for, such as IP_PKTINFO, take from the room: up to 8 more are enough, or
 * parts are copied into the buffer. -EINVAL: NULL, or no room; -EPERM: in a
 * child of fork(2); and the errors of recvmsg(2), -EAGAIN for one.
 */
ssize_t snap_view_receive(struct snap_view *view, void *buffer, size_t length,
                          int flags, struct sockaddr *from,
                          socklen_t *from_length, struct snap_view_part *parts,
                          size_t *nparts);

/*
 * The pages of these parts are gone from the view.  Parts that follow each
 * other in the window go by one call of the kernel, whatever messages they are
 * of: some at a time cost less.  -EINVAL; -EPERM: in another process than the
 * one that made it.
 */
int snap_view_release(struct snap_view *view,
                      const struct snap_view_part *parts, size_t nparts);

/* ---- Names -------------------------------------------------------------- */

/*
 * Static strings: "short", "not_region", ... and "doorbells", "takes", ...
 * NULL for a number that this version does not know.
 */
const char *snap_copy_reason_name(unsigned int reason);
const char *snap_copy_reason_text(unsigned int reason); /* one sentence */
/* The same of bytes that were received and copied: enum snap_recv_reason. */
const char *snap_recv_reason_name(unsigned int reason);
const char *snap_recv_reason_text(unsigned int reason);
const char *snap_counter_name(unsigned int counter);

/* 1 if the counter is a level, which falls as well as rises; else 0. */
int snap_counter_is_level(unsigned int counter);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* SNAP_LIBSNAP_H */
