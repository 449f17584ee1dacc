/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libsnap: snapshot memory and AF_SNAP sockets for C programs.  libsnap(3) is
 * the reference.
 *
 * Functions that can fail return a negative errno and leave errno alone.
 * Lengths are bytes.  Functions on different objects may run at once; so may
 * snap_buffer_alloc() and snap_buffer_free() on one region, and the queries
 * on one handle.  Creating and freeing an object is the caller's to order.
 */
#ifndef SNAP_LIBSNAP_H
#define SNAP_LIBSNAP_H

/* Before the kernel's headers, which want offsetof(). */
#include <stddef.h> // NOLINT
#include <stdint.h> // NOLINT

#include "snap.h"
#include "snap_device.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define LIBSNAP_VERSION "0.1"

/* Alignment and granularity of buffers: captures share whole pages. */
#define SNAP_BUFFER_ALIGN 4096

/* Where the module offers its memory, unless $SNAP_DEVICE says otherwise. */
#define SNAP_DEVICE_PATH "/dev/snap"

/* The library's version at run time, a static string. */
const char *snap_version(void);

/* ---- The device --------------------------------------------------------- */

struct snap_handle;

/*
 * Opens /dev/snap, close-on-exec, and checks the module's ABI version.
 * -ENOENT: the module is not loaded; -EACCES: not for this user;
 * -EPROTONOSUPPORT: the module speaks another ABI version; -EINVAL: handle is
 * NULL; -EMFILE, -ENFILE, -ENOMEM.  A module without a device opens.
 */
int snap_open(struct snap_handle **handle);

/* Regions made from the handle stay.  NULL is allowed. */
void snap_close(struct snap_handle *handle);

/* The descriptor behind the handle, still owned by it; -EINVAL for NULL. */
int snap_fd(const struct snap_handle *handle);

/*
 * Set info->size and stats->size to their sizeof: that much is filled at
 * most, what the module does not know is zero, and size becomes what it
 * filled.  -EINVAL: NULL or too small a size; -ENODEV: there is no device to
 * inform about.  Statistics of sockets need none: ncounters is 0 then.
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
 * Maps a region that another process created and passed as a descriptor.
 * Takes fd over when it succeeds.  length, a multiple of the page size, is
 * the creator's to tell.  -EINVAL, -EBADF, -EACCES, -ENOMEM.
 */
int snap_region_from_fd(int fd, size_t length, struct snap_region **region);

/*
 * Unmaps and closes.  The region's memory goes when the last descriptor and
 * mapping of any process is gone; what was sent from it arrives all the same.
 * NULL is allowed.
 */
void snap_region_free(struct snap_region *region);

/* ---- Buffers in a region ------------------------------------------------ */

/*
 * A piece of the region, aligned to SNAP_BUFFER_ALIGN and at least length
 * bytes, content unspecified.  Buffers never share a page.
 * -EINVAL: NULL or length 0; -ENOSPC: no gap that large; -ENOMEM.
 */
int snap_buffer_alloc(struct snap_region *region, size_t length, void **buffer);

/* NULL is allowed; -EINVAL: not the start of a buffer of this region. */
int snap_buffer_free(struct snap_region *region, void *buffer);

/* ---- Sockets ------------------------------------------------------------ */

/*
 * socket(AF_SNAP, type | SOCK_CLOEXEC, protocol): a descriptor, owned by the
 * caller.  protocol: SNAPPROTO_IPV4 or SNAPPROTO_IPV6.  -EAFNOSUPPORT: the
 * module is not loaded; -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -EMFILE, ...
 */
int snap_socket(int type, int protocol);

/*
 * What went by reference and what was copied on this socket, and why.  Set
 * stats->size as above.  -EINVAL, -EBADF, -ENOTSOCK, -ENOPROTOOPT: not an
 * AF_SNAP socket.
 */
int snap_socket_stats(int fd, struct snap_sock_stats *stats);

/*
 * Messages shorter than this many bytes are copied.  get returns the value.
 * -EINVAL: negative; -EBADF, -ENOTSOCK, -ENOPROTOOPT.
 */
int snap_set_copybreak(int fd, int bytes);
int snap_get_copybreak(int fd);

/* ---- Names -------------------------------------------------------------- */

/*
 * Static strings: "short", "not_region", ... and "doorbells", "takes", ...
 * NULL for a number that this version does not know.
 */
const char *snap_copy_reason_name(unsigned int reason);
const char *snap_copy_reason_text(unsigned int reason); /* one sentence */
const char *snap_counter_name(unsigned int counter);

/* 1 if the counter is a level, which falls as well as rises; else 0. */
int snap_counter_is_level(unsigned int counter);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* SNAP_LIBSNAP_H */
