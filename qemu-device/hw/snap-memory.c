/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: the commands on regions, snapshots and frames.
 *
 * What is checked here comes before what the engine checks: reserved fields,
 * then counts, lengths and hints.  Results are stored only where the
 * specification says so.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "snap.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(SNAP_FRAME_SIZE != SNAPMEM_FRAME_BYTES);
QEMU_BUILD_BUG_ON(SNAP_CAPTURE_BYTES_MAX != SNAPMEM_CAPTURE_BYTES_MAX);
QEMU_BUILD_BUG_ON(SNAP_REGIONS_MAX != SNAPMEM_REGIONS_MAX);
QEMU_BUILD_BUG_ON(SNAP_SNAPSHOTS_MAX != SNAPMEM_SNAPSHOTS_MAX);
QEMU_BUILD_BUG_ON(SNAP_QUOTA_NONE != SNAPMEM_QUOTA_NONE);
QEMU_BUILD_BUG_ON(SNAP_MERGE_WORD != SNAPMEM_MERGE_WORD);
QEMU_BUILD_BUG_ON(SNAP_DIFF_END != SNAPMEM_DIFF_END);
QEMU_BUILD_BUG_ON((int)SNAP_HINT_KEEP != (int)SNAPMEM_HINT_KEEP);
QEMU_BUILD_BUG_ON((int)SNAP_HINT_REWRITE != (int)SNAPMEM_HINT_REWRITE);

static uint32_t snap_status_of(snapmem_status status)
{
    switch (status) {
    case SNAPMEM_OK:
        return SNAP_ST_OK;
    case SNAPMEM_BAD_LENGTH:
        return SNAP_ST_BAD_LENGTH;
    case SNAPMEM_BAD_OFFSET:
        return SNAP_ST_BAD_OFFSET;
    case SNAPMEM_BAD_REGION:
        return SNAP_ST_BAD_REGION;
    case SNAPMEM_BAD_FRAME:
        return SNAP_ST_BAD_FRAME;
    case SNAPMEM_NO_WINDOW:
        return SNAP_ST_NO_WINDOW;
    case SNAPMEM_NO_REGIONS:
        return SNAP_ST_NO_REGIONS;
    case SNAPMEM_QUOTA:
        return SNAP_ST_QUOTA;
    case SNAPMEM_CONFLICT:
        return SNAP_ST_CONFLICT;
    case SNAPMEM_NO_TRAP:
        return SNAP_ST_BAD_OP;
    case SNAPMEM_AGAIN:
        return SNAP_ST_AGAIN;
    case SNAPMEM_NO_FRAMES:
    case SNAPMEM_NO_MEMORY:
        break;
    }
    return SNAP_ST_NO_FRAMES;
}

/* ---- Frames ------------------------------------------------------------- */

uint32_t snap_capture(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_capture *c = entry, *to = out;
    uint32_t status, nframes = 0;
    bool large = c->e.flags & SNAP_CAPTURE_LARGE;

    if (large && !(s->driver_features & SNAP_F_LARGE_FRAMES)) {
        return SNAP_ST_BAD_FLAGS;
    }
    if (c->nframes || c->reserved || c->reserved2) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (!c->length || c->length > SNAP_CAPTURE_BYTES_MAX) {
        return SNAP_ST_BAD_LENGTH;
    }
    status = snap_status_of(
        (large ? snapmem_capture_large : snapmem_capture)(
            s->mem, queue, c->region, c->offset, c->length, c->frame,
            ARRAY_SIZE(c->frame), &nframes));
    if (status == SNAP_ST_OK) {
        memcpy(to->frame, c->frame, nframes * sizeof(c->frame[0]));
        to->nframes = nframes;
    }
    trace_snap_capture(s, c->region, c->offset, c->length, nframes);
    return status;
}

static bool snap_release_fits(SnapState *s, const struct snap_release *r)
{
    bool large = s->driver_features & SNAP_F_LARGE_FRAMES;
    uint32_t frames = 0;

    if (!r->count || r->count > SNAP_RELEASE_MAX) {
        return false;
    }
    for (size_t n = 0; n < r->count; n++) {
        frames += large && r->frame[n] & SNAP_FRAME_LARGE ? SNAP_LARGE_FRAMES :
                                                            1;
    }
    return frames <= SNAP_RELEASE_MAX;
}

/* How many of the list come before one that the driver may not name. */
static size_t snap_release_count(SnapState *s, const struct snap_release *r)
{
    size_t n = 0;

    if (s->driver_features & SNAP_F_LARGE_FRAMES) {
        return r->count;
    }
    while (n < r->count && !(r->frame[n] & SNAP_FRAME_LARGE)) {
        n++;
    }
    return n;
}

uint32_t snap_release(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_release *r = entry, *to = out;
    snapmem_status status;
    size_t done = 0, count;

    if (r->done) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (!snap_release_fits(s, r)) {
        return SNAP_ST_BAD_COUNT;
    }
    count = snap_release_count(s, r);
    status = snapmem_release(s->mem, queue, r->frame, count, &done);
    if (status == SNAPMEM_OK && count < r->count) {
        status = SNAPMEM_BAD_FRAME;
    }
    to->done = done;
    trace_snap_release(s, r->count, done);
    return snap_status_of(status);
}

/* ---- Regions ------------------------------------------------------------ */

uint32_t snap_region_create(SnapState *s, unsigned queue, void *entry,
                            void *out)
{
    struct snap_region_create *c = entry, *to = out;
    const snapmem_region_spec spec = {
        .npages = c->npages,
        .hint = (snapmem_hint)c->hint,
        .sparse = c->e.flags & SNAP_REGION_SPARSE,
        .owner = c->owner,
        .quota = c->quota,
    };
    uint32_t status, region = 0, window_page = 0;

    if (c->region || c->window_page) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (!c->npages) {
        return SNAP_ST_BAD_LENGTH;
    }
    /* A hint is a flag word of its own. */
    if (c->hint >= SNAP_HINT_MAX) {
        return SNAP_ST_BAD_FLAGS;
    }
    status = snap_status_of(s->driver_features & SNAP_F_STEPS ?
        snapmem_region_create_step(s->mem, &spec, &region, &window_page) :
        snapmem_region_create(s->mem, &spec, &region, &window_page));
    if (status == SNAP_ST_OK) {
        to->region = region;
        to->window_page = window_page;
    }
    trace_snap_region_create(s, region, c->npages, window_page, c->owner);
    return status;
}

uint32_t snap_region_destroy(SnapState *s, unsigned queue, void *entry,
                             void *out)
{
    struct snap_region_destroy *d = entry;

    if (d->reserved) {
        return SNAP_ST_BAD_RESERVED;
    }
    trace_snap_region_destroy(s, d->region);
    return snap_status_of(snapmem_region_destroy(s->mem, d->region));
}

uint32_t snap_discard(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_discard *d = entry;

    if (d->reserved) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (!d->npages) {
        return SNAP_ST_BAD_LENGTH;
    }
    trace_snap_discard(s, d->region, d->first, d->npages);
    return snap_status_of(snapmem_discard(s->mem, d->region, d->first,
                                          d->npages));
}

/* ---- Snapshots ---------------------------------------------------------- */

uint32_t snap_snapshot(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_snapshot_create *c = entry, *to = out;
    uint32_t status, snapshot = 0;
    uint64_t version = 0;

    if (c->snapshot || c->reserved || c->version) {
        return SNAP_ST_BAD_RESERVED;
    }
    status = snap_status_of(snapmem_snapshot(s->mem, c->region, c->quota,
                                             &snapshot, &version));
    if (status == SNAP_ST_OK) {
        to->snapshot = snapshot;
        to->version = version;
    }
    trace_snap_snapshot(s, c->region, snapshot, version);
    return status;
}

uint32_t snap_snapshot_drop(SnapState *s, unsigned queue, void *entry,
                            void *out)
{
    struct snap_snapshot_drop *d = entry;

    if (d->reserved) {
        return SNAP_ST_BAD_RESERVED;
    }
    trace_snap_snapshot_drop(s, d->snapshot);
    return snap_status_of(snapmem_snapshot_drop(s->mem, d->snapshot));
}

uint32_t snap_clone(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_clone *c = entry, *to = out;
    const snapmem_region_spec spec = {
        .hint = (snapmem_hint)c->hint,
        .owner = c->owner,
        .quota = c->quota,
    };
    uint32_t status, region = 0, window_page = 0;

    if (c->region || c->window_page) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (c->hint >= SNAP_HINT_MAX) {
        return SNAP_ST_BAD_FLAGS;
    }
    status = snap_status_of(s->driver_features & SNAP_F_STEPS ?
        snapmem_clone_step(s->mem, c->snapshot, &spec, &region,
                           &window_page) :
        snapmem_clone(s->mem, c->snapshot, &spec, &region, &window_page));
    if (status == SNAP_ST_OK) {
        to->region = region;
        to->window_page = window_page;
    }
    trace_snap_clone(s, c->snapshot, region, window_page, c->owner);
    return status;
}

uint32_t snap_commit(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_commit *c = entry, *to = out;
    uint64_t version = c->version;
    uint32_t status;

    if (c->reserved) {
        return SNAP_ST_BAD_RESERVED;
    }
    status = snap_status_of(snapmem_commit(s->mem, c->region, c->from,
                                           c->quota, &version));
    if (status == SNAP_ST_OK) {
        to->version = version;
    }
    trace_snap_commit(s, c->region, c->from, c->version, status);
    return status;
}

uint32_t snap_merge(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_merge *m = entry, *to = out;
    uint64_t conflict[SNAP_CONFLICTS_MAX], version = 0;
    size_t nconflicts = 0;
    uint32_t status;

    if (m->nconflicts || m->reserved || m->version) {
        return SNAP_ST_BAD_RESERVED;
    }
    status = snap_status_of(snapmem_merge(s->mem, m->region, m->base, m->from,
                                          m->quota, conflict,
                                          ARRAY_SIZE(conflict), &nconflicts,
                                          &version));
    if (status == SNAP_ST_OK) {
        to->version = version;
    } else if (status == SNAP_ST_CONFLICT) {
        memcpy(to->conflict, conflict, nconflicts * sizeof(conflict[0]));
        to->nconflicts = nconflicts;
    }
    trace_snap_merge(s, m->region, m->base, m->from, nconflicts, status);
    return status;
}

uint32_t snap_diff(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_diff *d = entry, *to = out;
    size_t npages = 0;
    uint32_t status, next = 0;

    if (d->npages || d->next || d->reserved) {
        return SNAP_ST_BAD_RESERVED;
    }
    status = snap_status_of(snapmem_diff(s->mem, d->a, d->b, d->first,
                                         d->page, ARRAY_SIZE(d->page),
                                         &npages, &next));
    if (status == SNAP_ST_OK) {
        memcpy(to->page, d->page, npages * sizeof(d->page[0]));
        to->npages = npages;
        to->next = next;
    }
    trace_snap_diff(s, d->a, d->b, d->first, npages, next);
    return status;
}

/* ---- Either ------------------------------------------------------------- */

uint32_t snap_info(SnapState *s, unsigned queue, void *entry, void *out)
{
    const size_t results = offsetof(struct snap_object, npages);
    struct snap_object *o = entry, *to = out;
    snapmem_object found = { .owner = o->owner };
    uint32_t status;

    if ((o->handle && o->owner) ||
        !buffer_is_zero((uint8_t *)o + results, sizeof(*o) - results)) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (o->handle) {
        status = snap_status_of(snapmem_get_object(s->mem, o->handle, &found));
        if (status != SNAP_ST_OK) {
            return status;
        }
        to->owner = found.owner;
        to->npages = found.npages;
        to->populated = found.populated;
        to->reserved_frames = found.promised;
        to->version = found.version;
        to->shared_pages = found.shared_pages;
        to->copied_pages = found.copied_pages;
        to->write_faults = found.write_faults;
        to->dirty = found.dirty;
        to->sharing = found.sharing;
    }
    to->charged = snapmem_charged(s->mem, found.owner);
    trace_snap_info(s, o->handle, found.owner, found.version);
    return SNAP_ST_OK;
}
