/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The snapshot memory engine behind a C boundary.
 *
 * The engine owns a pool of frames and a window area of the same process.
 * Frames are 4 KiB and named by index.  A region is a run of window pages;
 * each window page shows one frame, or zeros as long as it has none.  A
 * capture names the frames that hold a range of a region at one instant, a
 * snapshot all of it; they never change afterwards.
 *
 * Thread safety: every function may be called from any thread; one lock
 * inside serialises them with the thread that resolves write faults.  Captures
 * that copy, and releases of such frames, go on at the same time if they come
 * from different queues (any number; those that the engine was not made for
 * share with others).  No function throws; the ones that can fail return a
 * snapmem_status.
 *
 * Accounting: "guest holds" are counted per frame.  A frame is free when no
 * guest hold, no device hold, no region and no snapshot is left on it.  What
 * regions may come to need for stores is promised to them when they share: a
 * store never fails.  Frames and promises of regions count for their owner, a
 * number that the caller chooses, and so do the nodes of the maps that
 * snapshots and regions share, a frame for every 4 of 260 bytes.  All maps have
 * 4 nodes for each frame of the pool at most, and what regions need for
 * themselves: SNAPMEM_NO_MEMORY.  So it is with the mappings of the host that
 * pages may need: owners with a quota get more of them only as long as they
 * have no more than what is left.
 *
 * Units: lengths and offsets are bytes, npages and pages are pages of 4 KiB,
 * frames and quotas are frames.  In the costs below n is the number of pages
 * of the region, k the number of pages that differ or were written.
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
    SNAPMEM_BAD_REGION, /* no such region or snapshot, or a stale handle */
    SNAPMEM_BAD_FRAME,  /* no such frame, or not held by the guest */
    SNAPMEM_NO_FRAMES,
    SNAPMEM_NO_WINDOW,  /* no run of window pages that long is free */
    SNAPMEM_NO_REGIONS, /* SNAPMEM_REGIONS_MAX or SNAPSHOTS_MAX exist */
    SNAPMEM_NO_MEMORY,  /* the host refused memory or a mapping */
    SNAPMEM_QUOTA,      /* the owner would pass its quota */
    SNAPMEM_CONFLICT,   /* the region has moved on */
    SNAPMEM_NO_TRAP,    /* stores cannot be trapped: no snapshots */
    SNAPMEM_AGAIN,      /* done in part */
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
#define SNAPMEM_SNAPSHOTS_MAX 8192u
#define SNAPMEM_QUOTA_NONE UINT32_MAX
#define SNAPMEM_MERGE_WORD 8u
#define SNAPMEM_DIFF_END UINT32_MAX
#define SNAPMEM_CAPTURE_BYTES_MAX (1u << 20)
#define SNAPMEM_STEP_PAGES 1024u

typedef struct snapmem_config {
    uint32_t frames;       /* size of the pool, frames */
    uint32_t window_pages; /* size of the window area, pages */
    uint32_t rx_reserve;   /* frames that only snapmem_receive() may use */
    snapmem_mode mode;
    bool dedup;      /* pages of a new snapshot that exist already are shared */
    uint32_t queues; /* data queues that capture and release; 0 as 1 */
} snapmem_config;

typedef struct snapmem_region_spec {
    uint32_t npages; /* at least 1 */
    snapmem_hint hint;
    bool sparse;    /* pages get their frames with the first store */
    uint32_t owner; /* any number */
    uint32_t quota; /* of the owner, or SNAPMEM_QUOTA_NONE */
} snapmem_region_spec;

typedef struct snapmem_counters {
    uint64_t captures;
    uint64_t shared_bytes; /* captured by sharing */
    uint64_t copied_bytes; /* captured by copying, whole or in part */
    uint64_t write_faults;
    uint64_t cow_copies;
    uint64_t released;  /* guest holds given back */
    uint64_t snapshots; /* taken */
    uint64_t clones;
    uint64_t commits;         /* that succeeded */
    uint64_t merges;          /* that succeeded */
    uint64_t conflicts;       /* commits and merges that did not */
    uint64_t trap_arms;       /* ranges of pages armed */
    uint64_t trap_pages;      /* pages in them */
    uint64_t ahead_pages;     /* copied before a store asked for them */
    uint64_t dedup_pages;     /* of snapshots, found to exist already */
    uint64_t free_frames;     /* level */
    uint64_t guest_frames;    /* level: frames with a guest hold */
    uint64_t region_frames;   /* level: of regions and snapshots */
    uint64_t reserved_frames; /* level: promised to later stores */
    uint64_t regions;         /* level */
    uint64_t snapshots_held;  /* level */
    uint64_t map_bytes;       /* level: memory of all page maps, bytes */
} snapmem_counters;

/* What is known of a region or snapshot; a snapshot has zeros below version. */
typedef struct snapmem_object {
    uint32_t npages;
    uint32_t populated; /* pages with a frame */
    uint32_t owner;
    uint64_t version;
    bool dirty;            /* stored to since the version was made */
    bool sharing;          /* SNAPMEM_AUTO would share the next long capture */
    uint32_t promised;     /* frames, to later stores */
    uint64_t shared_pages; /* captured by sharing */
    uint64_t copied_pages; /* captured by copying */
    uint64_t write_faults;
} snapmem_object;

/*
 * Make an engine. kernel_stores: not only this process's own code stores to
 * the window, but the kernel as well (KVM). *error gets a message of static
 * storage on failure and the return value is NULL: bad sizes, no memory, or
 * SNAPMEM_SHARE without write protection on this host. With SNAPMEM_AUTO the
 * engine then copies always, and snapmem_can_share() is false. O(pool).
 */
snapmem *snapmem_new(const snapmem_config *config, bool kernel_stores,
                     const char **error);
/* What an administrator can do on a host on which there is no trap. */
const char *snapmem_trap_advice(bool kernel_stores);
/* Free everything; no other call may be under way. NULL is allowed. O(pool +
 * window). */
void snapmem_free(snapmem *m);

/* Does the engine have a trap for stores: can it share, and take snapshots?
 * Constant; O(1). */
bool snapmem_can_share(const snapmem *m);

/* Mappings of the host that the window could come to need, full of sparse
 * regions and clones, and the engine may not have: half of vm.max_map_count is
 * for all engines of a process, first come, first served. Constant; O(1). */
uint32_t snapmem_maps_lacking(const snapmem *m);

/* Base of the pool; frames * 4096 bytes. Frames that the guest or a region
 * holds must not be written through it. Constant; O(1). */
uint8_t *snapmem_pool(const snapmem *m);
/* Base of the window area; window_pages * 4096 bytes, readable and writable
 * everywhere: pages outside any region are scratch memory. Constant; O(1). */
uint8_t *snapmem_window(const snapmem *m);

/*
 * A region of zero pages. *region is never 0 and never a snapshot's handle.
 * BAD_LENGTH, NO_WINDOW, NO_REGIONS, NO_FRAMES, QUOTA, NO_MEMORY. A sparse
 * region has the promise of all its frames, too; without a trap it is not
 * sparse. O(n).
 */
snapmem_status snapmem_region_create(snapmem *m,
                                     const snapmem_region_spec *spec,
                                     uint32_t *region, uint32_t *window_page);
/*
 * One step of it: AGAIN means that it is to be called again, with the same
 * spec, after SNAPMEM_STEP_PAGES frames. Until then the region has no handle,
 * and another snapmem_region_create(), snapmem_clone() or step of another
 * region abandons it first, which is O(frames that it has). A step gives and
 * clears SNAPMEM_STEP_PAGES at most; the first and the last are
 * O(window + owners) besides.
 */
snapmem_status snapmem_region_create_step(snapmem *m,
                                          const snapmem_region_spec *spec,
                                          uint32_t *region,
                                          uint32_t *window_page);
/* Abandon what has been begun in steps, if anything. */
void snapmem_abandon(snapmem *m);
/* Frames that are held otherwise survive. BAD_REGION. O(n). */
snapmem_status snapmem_region_destroy(snapmem *m, uint32_t region);

/*
 * Capture [offset, offset + length) of a region, or of a snapshot. frames has
 * room for `room` entries; *nframes of them are filled, one for each page
 * touched, each with one guest hold more than before; pages that have no
 * frame all yield the same frame of zeros. A page that the range covers only
 * in part is always copied and zero outside the range. NO_FRAMES leaves
 * everything as it was; whole pages of a snapshot never end so. BAD_LENGTH
 * also when room is too small. O(pages).
 */
snapmem_status snapmem_capture(snapmem *m, uint32_t queue, uint32_t region,
                               uint64_t offset, uint32_t length,
                               uint32_t *frames, size_t room,
                               uint32_t *nframes);
/*
 * The same, but a range of 9 to 16 pages that is copied may come in one large
 * frame, with a guest hold on each of it: *nframes is 1 then, the pages follow
 * each other in it, and what is behind them is zero.
 */
snapmem_status snapmem_capture_large(snapmem *m, uint32_t queue,
                                     uint32_t region, uint64_t offset,
                                     uint32_t length, uint32_t *frames,
                                     size_t room, uint32_t *nframes);

/*
 * The whole region at this instant. quota is that of the region's owner.
 * *version is the region's version, a new one if it was stored to since the
 * last. A store that races lands wholly before or wholly after. Promises the
 * region one frame for each of its pages; one with holes takes the frame of
 * zeros as well. BAD_REGION, NO_TRAP, NO_FRAMES,
 * QUOTA, NO_REGIONS, NO_MEMORY. O(1), and arming the pages written since the
 * last snapshot: O(k), by extents of 64 pages; with dedup O(k) hashing.
 */
snapmem_status snapmem_snapshot(snapmem *m, uint32_t region, uint32_t quota,
                                uint32_t *snapshot, uint64_t *version);
/* BAD_REGION. O(frames and nodes that nobody else has). */
snapmem_status snapmem_snapshot_drop(snapmem *m, uint32_t snapshot);

/*
 * A new region that starts as the snapshot; spec->npages and sparse are not
 * read. Binding its window costs O(runs of ascending frames), at most O(n). Of
 * another owner's snapshot it gets copies: O(n).
 * Errors as of region_create, and BAD_REGION, NO_TRAP.
 */
snapmem_status snapmem_clone(snapmem *m, uint32_t snapshot,
                             const snapmem_region_spec *spec, uint32_t *region,
                             uint32_t *window_page);
/* One step of it, as of snapmem_region_create_step(), which copies pages; the
 * last one arms all n. For the owner of the snapshot it is one step. */
snapmem_status snapmem_clone_step(snapmem *m, uint32_t snapshot,
                                  const snapmem_region_spec *spec,
                                  uint32_t *region, uint32_t *window_page);

/*
 * Make the region what the snapshot is, if it is still at version *version,
 * not stored to since; then *version becomes the new one. Window pages change
 * one after another, and stores that race with it may be lost or kept: who
 * wants neither keeps them away. BAD_REGION; BAD_LENGTH: not of the same
 * length; CONFLICT: another version; NO_FRAMES, QUOTA, NO_MEMORY. All or
 * nothing, unless the host refuses mappings twice: then the region's content
 * is lost. O(k).
 */
snapmem_status snapmem_commit(snapmem *m, uint32_t region, uint32_t from,
                              uint32_t quota, uint64_t *version);

/*
 * Bring what changed from base to from into the region, by words of
 * SNAPMEM_MERGE_WORD bytes. A word that the region has changed from base, to
 * something else than from has, is a conflict: the places of the first `room`
 * are stored, *nconflicts says how many, and nothing changes. As commit
 * otherwise, but for the version, which is out only. O(k) of base and from.
 */
snapmem_status snapmem_merge(snapmem *m, uint32_t region, uint32_t base,
                             uint32_t from, uint32_t quota, uint64_t *conflicts,
                             size_t room, size_t *nconflicts,
                             uint64_t *version);

/*
 * Pages, from `first` on and in order, whose bytes differ between two
 * snapshots; subtrees that both share are not visited. At most room pages;
 * *next is where to go on, or SNAPMEM_DIFF_END. BAD_REGION; BAD_LENGTH: not
 * of the same length, or room is 0; BAD_OFFSET: first is behind the end. O(k).
 */
snapmem_status snapmem_diff(const snapmem *m, uint32_t a, uint32_t b,
                            uint32_t first, uint32_t *pages, size_t room,
                            size_t *npages, uint32_t *next);

/*
 * Pages of a region become zero and give their frames back; the region keeps
 * the promise of them. Counts as a store. As for stores that race, see
 * commit. BAD_REGION, BAD_LENGTH: npages is 0; BAD_OFFSET; NO_MEMORY: it may
 * be done in part. O(npages).
 */
snapmem_status snapmem_discard(snapmem *m, uint32_t region, uint32_t first,
                               uint32_t npages);

/* BAD_REGION. O(1). */
snapmem_status snapmem_get_object(const snapmem *m, uint32_t handle,
                                  snapmem_object *out);
/* Frames, promises and nodes that count for an owner, in frames. O(owners). */
uint32_t snapmem_charged(const snapmem *m, uint32_t owner);

/*
 * A large frame is SNAPMEM_LARGE_FRAMES frames in a row, the number of the
 * first a multiple of that; its number is that of the first with the bit
 * SNAPMEM_LARGE. The functions that take lists of frames take it, for a hold on
 * each of them.
 */
#define SNAPMEM_LARGE 0x80000000u
#define SNAPMEM_LARGE_FRAMES 16u

/* Drop one guest hold per entry, in order; *done entries were dropped when
 * BAD_FRAME ends it. O(count). */
snapmem_status snapmem_release(snapmem *m, uint32_t queue,
                               const uint32_t *frames, size_t count,
                               size_t *done);

/* Does the guest hold every frame of [first, first + count)? False for
 * frames outside the pool. O(count). */
bool snapmem_guest_holds(const snapmem *m, uint32_t first, uint32_t count);

/*
 * Take count frames from the free ones, the reserve for reception included,
 * each with one device hold. Their content is undefined: the caller fills
 * every byte before it gives them away. All or none: NO_FRAMES. O(count), and a
 * bounded search after a snapshot was dropped when it is short; a frame that
 * it did not come to may be found the next time. So it is in snapmem_capture().
 */
snapmem_status snapmem_receive(snapmem *m, uint32_t *frames, size_t count);
/* The same for a large frame, if frames in such a row are free: else NO_FRAMES.
 * O(1). */
snapmem_status snapmem_receive_large(snapmem *m, uint32_t *large);
/* Turn the device hold of each frame into a guest hold. O(count). */
void snapmem_give(snapmem *m, const uint32_t *frames, size_t count);
/* One more device hold on each frame, which somebody holds; and one less.
 * O(count). */
void snapmem_hold(snapmem *m, const uint32_t *frames, size_t count);
void snapmem_drop(snapmem *m, const uint32_t *frames, size_t count);

/* Frames that snapmem_receive() could take now, at least. Never blocks. O(1).
 */
uint32_t snapmem_free_frames(const snapmem *m);
/* Store that to a word, to which others may store it so at the same time: the
 * last one leaves what is true. Never blocks. O(1). */
void snapmem_publish_free_frames(const snapmem *m, uint32_t *word);

/* As after snapmem_new(), but for counters that only rise and for device
 * holds: regions, snapshots and guest holds are gone. O(pool + window). */
void snapmem_reset(snapmem *m);

/* All of one instant. O(1). */
void snapmem_get_counters(const snapmem *m, snapmem_counters *out);

/* Check every invariant, O(pool + window); a message, or NULL if all hold. */
const char *snapmem_check(const snapmem *m);

#ifdef __cplusplus
}
#endif

#endif /* SNAPMEM_SNAPMEM_H */
