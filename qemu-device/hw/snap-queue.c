/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: doorbells and the commands behind them.
 *
 * A command is executed before the doorbell returns.  Checks go in the order
 * of enum snap_status, as far as they are made here: state, op, flags,
 * reserved fields, then counts, lengths and places.
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/log.h"
#include "snap.h"
#include "trace.h"

typedef union SnapEntry {
    struct snap_entry e;
    struct snap_capture capture;
    struct snap_release release;
    struct snap_tx tx;
    struct snap_region_create create;
    struct snap_region_destroy destroy;
} SnapEntry;

/* Bytes of an entry; 0 if the queue knows no such op. */
static size_t snap_entry_size(unsigned queue, unsigned op)
{
    if (queue == SNAP_QUEUE_CONTROL) {
        switch (op) {
        case SNAP_OP_REGION_CREATE:
            return sizeof(struct snap_region_create);
        case SNAP_OP_REGION_DESTROY:
            return sizeof(struct snap_region_destroy);
        }
    } else {
        switch (op) {
        case SNAP_OP_CAPTURE:
            return sizeof(struct snap_capture);
        case SNAP_OP_RELEASE:
            return sizeof(struct snap_release);
        case SNAP_OP_TX:
            return sizeof(struct snap_tx);
        }
    }
    return 0;
}

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
    case SNAPMEM_NO_FRAMES:
    case SNAPMEM_NO_MEMORY:
        break;
    }
    return SNAP_ST_NO_FRAMES;
}

/*
 * The functions below get a private copy of an entry, which they may change,
 * and the entry in the slab, to which they only write.
 */
static uint32_t snap_capture(SnapState *s, struct snap_capture *c,
                             struct snap_capture *out)
{
    uint32_t status, nframes = 0;

    if (c->nframes || c->reserved || c->reserved2) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (!c->length || c->length > SNAP_CAPTURE_BYTES_MAX) {
        return SNAP_ST_BAD_LENGTH;
    }
    status = snap_status_of(snapmem_capture(s->mem, c->region, c->offset,
                                            c->length, c->frame,
                                            ARRAY_SIZE(c->frame), &nframes));
    if (status == SNAP_ST_OK) {
        memcpy(out->frame, c->frame, nframes * sizeof(c->frame[0]));
        out->nframes = nframes;
    }
    trace_snap_capture(s, c->region, c->offset, c->length, nframes);
    return status;
}

static uint32_t snap_release(SnapState *s, struct snap_release *r,
                             struct snap_release *out)
{
    snapmem_status status;
    size_t done = 0;

    if (r->done) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (!r->count || r->count > SNAP_RELEASE_MAX) {
        return SNAP_ST_BAD_COUNT;
    }
    status = snapmem_release(s->mem, r->frame, r->count, &done);
    out->done = done;
    trace_snap_release(s, r->count, done);
    snap_rx_resume(s);
    return snap_status_of(status);
}

static uint32_t snap_region_create(SnapState *s, struct snap_region_create *c,
                                   struct snap_region_create *out)
{
    uint32_t status, region = 0, window_page = 0;

    if (c->region || c->window_page || c->reserved) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (!c->npages) {
        return SNAP_ST_BAD_LENGTH;
    }
    /* A hint is a flag word of its own. */
    if (c->hint >= SNAP_HINT_MAX) {
        return SNAP_ST_BAD_FLAGS;
    }
    status = snap_status_of(snapmem_region_create(s->mem, c->npages,
                                                  (snapmem_hint)c->hint,
                                                  &region, &window_page));
    if (status == SNAP_ST_OK) {
        out->region = region;
        out->window_page = window_page;
    }
    trace_snap_region_create(s, region, c->npages, window_page);
    return status;
}

static uint32_t snap_region_destroy(SnapState *s,
                                    struct snap_region_destroy *d)
{
    snapmem_status status;

    if (d->reserved) {
        return SNAP_ST_BAD_RESERVED;
    }
    trace_snap_region_destroy(s, d->region);
    status = snapmem_region_destroy(s->mem, d->region);
    snap_rx_resume(s);
    return snap_status_of(status);
}

static uint32_t snap_execute(SnapState *s, unsigned queue, SnapEntry *entry,
                             void *out)
{
    if (entry->e.flags) {
        return SNAP_ST_BAD_FLAGS;
    }
    switch (entry->e.op) {
    case SNAP_OP_CAPTURE:
        return snap_capture(s, &entry->capture, out);
    case SNAP_OP_RELEASE:
        return snap_release(s, &entry->release, out);
    case SNAP_OP_TX:
        return snap_tx(s, queue, &entry->tx);
    case SNAP_OP_REGION_CREATE:
        return snap_region_create(s, &entry->create, out);
    case SNAP_OP_REGION_DESTROY:
        return snap_region_destroy(s, &entry->destroy);
    default:
        return SNAP_ST_BAD_OP;
    }
}

static void snap_bad_doorbell(SnapState *s, unsigned queue, uint64_t offset)
{
    s->counter[SNAP_CTR_BAD_DOORBELL]++;
    trace_snap_bad_doorbell(s, queue, offset);
    qemu_log_mask(LOG_GUEST_ERROR, "snap: doorbell of queue %u: no entry at "
                  "0x%" PRIx64 "\n", queue, offset);
}

void snap_doorbell(SnapState *s, unsigned queue, uint64_t offset)
{
    struct snap_entry *shared;
    SnapEntry entry;
    size_t size;
    uint32_t status;

    s->counter[SNAP_CTR_DOORBELLS]++;
    trace_snap_doorbell(s, queue, offset);
    if (offset >= SNAP_SLAB_BYTES || offset % SNAP_ENTRY_ALIGN) {
        snap_bad_doorbell(s, queue, offset);
        return;
    }
    shared = (struct snap_entry *)(snap_slab(s, queue) + offset);
    memcpy(&entry.e, shared, sizeof(entry.e));
    size = snap_entry_size(queue, entry.e.op);
    if (s->state != SNAP_STATE_RUNNING) {
        status = SNAP_ST_BAD_STATE;
    } else if (!size) {
        status = SNAP_ST_BAD_OP;
    } else if (size > SNAP_SLAB_BYTES - offset) {
        snap_bad_doorbell(s, queue, offset);
        return;
    } else {
        memcpy((uint8_t *)&entry + sizeof(entry.e), shared + 1,
               size - sizeof(entry.e));
        status = snap_execute(s, queue, &entry, shared);
    }
    if (status != SNAP_ST_OK) {
        s->counter[SNAP_CTR_BAD_ENTRY]++;
    }
    /* Running out of something is no mistake of the guest. */
    if (status >= SNAP_ST_BAD_STATE && status < SNAP_ST_NO_FRAMES) {
        qemu_log_mask(LOG_GUEST_ERROR, "snap: entry at 0x%" PRIx64 " of queue "
                      "%u, op %u: status %u\n", offset, queue, entry.e.op,
                      status);
    }
    trace_snap_status(s, queue, entry.e.op, status);
    snap_publish(s);
    /* Whoever sees the status sees what the command left, too. */
    qatomic_store_release(&shared->status, status);
}
