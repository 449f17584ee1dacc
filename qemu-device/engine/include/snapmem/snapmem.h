/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The snapshot memory engine behind a C boundary.
 *
 * The engine owns a pool of frames and a window area of the same process.
 * Frames are 4 KiB and named by index.  A region is a run of window pages;
 * each window page is backed by one frame.  A capture names the frames that
 * hold a range of a region at one instant; they never change afterwards.
 *
 * Thread safety: every function may be called from any thread; one mutex
 * inside serialises them with the thread that resolves write faults.  No
 * function throws; the ones that can fail return a snapmem_status.
 *
 * Accounting: "guest holds" are counted per frame.  A frame is free when no
 * guest hold, no device hold and no region is left on it.
 */
#ifndef SNAPMEM_SNAPMEM_H
#define SNAPMEM_SNAPMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SNAPMEM_FRAME_BYTES 4096u

typedef struct snapmem snapmem;

typedef enum snapmem_status {
    SNAPMEM_OK = 0,
    SNAPMEM_BAD_LENGTH, /* zero, or past SNAPMEM_CAPTURE_BYTES_MAX */
    SNAPMEM_BAD_OFFSET, /* the range leaves the region */
    SNAPMEM_BAD_REGION, /* no such region, or a stale handle */
    SNAPMEM_BAD_FRAME,  /* no such frame, or not held by the guest */
    SNAPMEM_NO_FRAMES,
    SNAPMEM_NO_WINDOW,  /* no run of window pages that long is free */
    SNAPMEM_NO_REGIONS, /* SNAPMEM_REGIONS_MAX exist */
    SNAPMEM_NO_MEMORY,  /* the host refused memory or a mapping */
} snapmem_status;

typedef enum snapmem_mode {
    SNAPMEM_AUTO = 0,
    SNAPMEM_SHARE = 1,
    SNAPMEM_COPY = 2,
} snapmem_mode;

typedef enum snapmem_hint {
    SNAPMEM_HINT_NONE = 0,
    SNAPMEM_HINT_KEEP = 1,
    SNAPMEM_HINT_REWRITE = 2,
} snapmem_hint;

#define SNAPMEM_REGIONS_MAX 1024u
#define SNAPMEM_CAPTURE_BYTES_MAX (1u << 20)

typedef struct snapmem_config {
    uint32_t frames;       /* size of the pool, frames */
    uint32_t window_pages; /* size of the window area, pages */
    uint32_t rx_reserve;   /* frames that only snapmem_receive() may use */
    snapmem_mode mode;
} snapmem_config;

typedef struct snapmem_counters {
    uint64_t captures;
    uint64_t shared_bytes; /* captured by sharing */
    uint64_t copied_bytes; /* captured by copying, whole or in part */
    uint64_t write_faults;
    uint64_t cow_copies;
    uint64_t released;        /* guest holds given back */
    uint64_t free_frames;     /* level */
    uint64_t guest_frames;    /* level: frames with a guest hold */
    uint64_t region_frames;   /* level */
    uint64_t reserved_frames; /* level: promised to later stores */
} snapmem_counters;

/*
 * Make an engine. *error gets a message of static storage on failure and the
 * return value is NULL: bad sizes, no memory, or SNAPMEM_SHARE without write
 * protection on this host. With SNAPMEM_AUTO the engine then copies always,
 * and snapmem_can_share() is false. O(pool).
 */
snapmem *snapmem_new(const snapmem_config *config, const char **error);
/* Free everything; no other call may be under way. NULL is allowed. */
void snapmem_free(snapmem *m);

bool snapmem_can_share(const snapmem *m);

/* Base of the pool; frames * 4096 bytes. Frames that the guest or a region
 * holds must not be written through it. */
uint8_t *snapmem_pool(const snapmem *m);
/* Base of the window area; window_pages * 4096 bytes, readable and writable
 * everywhere: pages outside any region are scratch memory. */
uint8_t *snapmem_window(const snapmem *m);

/* A region of npages zero pages. *region is never 0. O(npages). */
snapmem_status snapmem_region_create(snapmem *m, uint32_t npages,
                                     snapmem_hint hint, uint32_t *region,
                                     uint32_t *window_page);
/* Frames that are held otherwise survive. O(npages). */
snapmem_status snapmem_region_destroy(snapmem *m, uint32_t region);

/*
 * Capture [offset, offset + length) of a region. frames has room for
 * `room` entries; *nframes of them are filled, one for each page touched,
 * each with one guest hold more than before. A page that the range covers
 * only in part is always copied and zero outside the range. NO_FRAMES leaves
 * everything as it was. BAD_LENGTH also when room is too small.
 */
snapmem_status snapmem_capture(snapmem *m, uint32_t region, uint64_t offset,
                               uint32_t length, uint32_t *frames, size_t room,
                               uint32_t *nframes);

/* Drop one guest hold per entry, in order; *done entries were dropped when
 * BAD_FRAME ends it. O(count). */
snapmem_status snapmem_release(snapmem *m, const uint32_t *frames, size_t count,
                               size_t *done);

/* Does the guest hold every frame of [first, first + count)? False for
 * frames outside the pool. */
bool snapmem_guest_holds(const snapmem *m, uint32_t first, uint32_t count);

/*
 * Take count frames from the free ones, the reserve for reception included,
 * each with one device hold. Their content is undefined: the caller fills
 * every byte before it gives them away. All or none: NO_FRAMES.
 */
snapmem_status snapmem_receive(snapmem *m, uint32_t *frames, size_t count);
/* Turn the device hold of each frame into a guest hold. */
void snapmem_give(snapmem *m, const uint32_t *frames, size_t count);
/* One more device hold on a frame somebody holds; and one less. */
void snapmem_hold(snapmem *m, const uint32_t *frames, size_t count);
void snapmem_drop(snapmem *m, const uint32_t *frames, size_t count);

/* Frames that snapmem_receive() could take now. Never blocks long. */
uint32_t snapmem_free_frames(const snapmem *m);

/* As after snapmem_new(), but for counters that only rise and for device
 * holds: regions and guest holds are gone. */
void snapmem_reset(snapmem *m);

void snapmem_get_counters(const snapmem *m, snapmem_counters *out);

/* Check every invariant, O(pool + window); a message, or NULL if all hold. */
const char *snapmem_check(const snapmem *m);

#ifdef __cplusplus
}
#endif

#endif /* SNAPMEM_SNAPMEM_H */
