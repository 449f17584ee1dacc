/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: doorbells, and which command is behind one.
 *
 * The entries of a doorbell are executed one after another, before it returns.
 * Checks go in the order of enum snap_status, as far as they are made here:
 * state, op, flags; the command goes on with reserved fields, counts, lengths
 * and places.
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
    struct snap_region_create region_create;
    struct snap_region_destroy region_destroy;
    struct snap_snapshot_create snapshot;
    struct snap_snapshot_drop snapshot_drop;
    struct snap_clone clone;
    struct snap_commit commit;
    struct snap_merge merge;
    struct snap_diff diff;
    struct snap_discard discard;
    struct snap_object info;
    struct snap_steer steer;
} SnapEntry;

typedef struct SnapCommand {
    bool mailbox;           /* for the control mailbox, not for data queues */
    uint16_t op;
    uint16_t size;          /* of the entry, bytes */
    uint16_t flags;         /* that it knows */
    uint64_t features;      /* that the driver must have accepted */
    bool active;            /* for a queue that is active only */
    SnapExecute *execute;
} SnapCommand;

#define DATA(op, entry, flags, execute) \
    { false, op, sizeof(struct entry), flags, 0, (op) == SNAP_OP_TX, execute }
#define MAILBOX(op, entry, flags, features, execute) \
    { true, op, sizeof(struct entry), flags, features, false, execute }

static const SnapCommand snap_commands[] = {
    DATA(SNAP_OP_CAPTURE, snap_capture, SNAP_CAPTURE_LARGE, snap_capture),
    DATA(SNAP_OP_RELEASE, snap_release, 0, snap_release),
    DATA(SNAP_OP_TX, snap_tx, 0, snap_tx),
    MAILBOX(SNAP_OP_REGION_CREATE, snap_region_create, SNAP_REGION_SPARSE, 0,
            snap_region_create),
    MAILBOX(SNAP_OP_REGION_DESTROY, snap_region_destroy, 0, 0,
            snap_region_destroy),
    MAILBOX(SNAP_OP_SNAPSHOT, snap_snapshot_create, 0, SNAP_F_SNAPSHOT,
            snap_snapshot),
    MAILBOX(SNAP_OP_SNAPSHOT_DROP, snap_snapshot_drop, 0, 0,
            snap_snapshot_drop),
    MAILBOX(SNAP_OP_CLONE, snap_clone, 0, SNAP_F_SNAPSHOT, snap_clone),
    MAILBOX(SNAP_OP_COMMIT, snap_commit, 0, SNAP_F_SNAPSHOT, snap_commit),
    MAILBOX(SNAP_OP_MERGE, snap_merge, 0, SNAP_F_SNAPSHOT, snap_merge),
    MAILBOX(SNAP_OP_DIFF, snap_diff, 0, 0, snap_diff),
    MAILBOX(SNAP_OP_DISCARD, snap_discard, 0, 0, snap_discard),
    MAILBOX(SNAP_OP_INFO, snap_object, 0, 0, snap_info),
    MAILBOX(SNAP_OP_STEER, snap_steer, SNAP_STEER_FREE, SNAP_F_STEER,
            snap_steer),
};

/* NULL if the queue has no such command under the features in force. */
static const SnapCommand *snap_command(SnapState *s, unsigned queue,
                                       uint16_t op)
{
    for (unsigned i = 0; i < ARRAY_SIZE(snap_commands); i++) {
        const SnapCommand *c = &snap_commands[i];

        if (c->op == op && c->mailbox == (queue == SNAP_QUEUE_CONTROL) &&
            !(c->features & ~s->driver_features)) {
            return c;
        }
    }
    return NULL;
}

static void snap_bad_doorbell(SnapState *s, unsigned queue, uint64_t value)
{
    s->counter[SNAP_CTR_BAD_DOORBELL]++;
    trace_snap_bad_doorbell(s, queue, value);
    qemu_log_mask(LOG_GUEST_ERROR, "snap: doorbell of queue %u: no entry at "
                  "0x%" PRIx64 "\n", queue, value);
}

/* What has been done in part keeps no frames from other commands. */
static void snap_abandon(SnapState *s)
{
    s->unfinished_op = 0;
    snapmem_abandon(s->mem);
}

/*
 * The entry at `offset`, which is aligned.  Returns where the next one of the
 * run begins; or 0: the run ends here, those behind it stay PENDING.
 */
static uint64_t snap_entry(SnapState *s, unsigned queue, uint64_t offset)
{
    const SnapCommand *command;
    struct snap_entry *shared;
    SnapEntry entry;
    uint32_t status;

    if (offset >= SNAP_SLAB_BYTES) {
        snap_bad_doorbell(s, queue, offset);
        return 0;
    }
    shared = (struct snap_entry *)(snap_slab(s, queue) + offset);
    memcpy(&entry.e, shared, sizeof(entry.e));
    command = snap_command(s, queue, entry.e.op);
    if (queue == SNAP_QUEUE_CONTROL && s->unfinished_op &&
        entry.e.op != s->unfinished_op) {
        snap_abandon(s);
    }
    if (s->state != SNAP_STATE_RUNNING ||
        (command && command->active && queue > s->active)) {
        status = SNAP_ST_BAD_STATE;
    } else if (!command) {
        status = SNAP_ST_BAD_OP;
    } else if (command->size > SNAP_SLAB_BYTES - offset) {
        snap_bad_doorbell(s, queue, offset);
        return 0;
    } else if (entry.e.flags & ~command->flags) {
        status = SNAP_ST_BAD_FLAGS;
    } else {
        memcpy((uint8_t *)&entry + sizeof(entry.e), shared + 1,
               command->size - sizeof(entry.e));
        status = command->execute(s, queue, &entry, shared);
    }
    if (queue == SNAP_QUEUE_CONTROL) {
        if (status == SNAP_ST_AGAIN) {
            s->unfinished_op = entry.e.op;
        } else if (s->unfinished_op) {
            snap_abandon(s);
        }
    }
    if (status != SNAP_ST_OK && status != SNAP_ST_AGAIN) {
        s->counter[SNAP_CTR_BAD_ENTRY]++;
    }
    /* Running out of something, or a lost race, is no mistake of the guest. */
    if (status >= SNAP_ST_BAD_STATE && status < SNAP_ST_NO_FRAMES) {
        qemu_log_mask(LOG_GUEST_ERROR, "snap: entry at 0x%" PRIx64 " of queue "
                      "%u, op %u: status %u\n", offset, queue, entry.e.op,
                      status);
    }
    trace_snap_status(s, queue, entry.e.op, status);
    /* Whoever sees the status sees what the command left, too. */
    qatomic_store_release(&shared->status, status);
    if (status == SNAP_ST_BUSY || status == SNAP_ST_BAD_STATE ||
        status == SNAP_ST_BAD_OP) {
        return 0;
    }
    return offset + ROUND_UP(command->size, SNAP_ENTRY_ALIGN);
}

void snap_doorbell(SnapState *s, unsigned queue, uint64_t value)
{
    uint64_t offset = SNAP_DOORBELL_OFFSET(value);
    uint64_t n = SNAP_DOORBELL_ENTRIES(value);
    uint64_t most = queue == SNAP_QUEUE_CONTROL ? 1 : SNAP_DOORBELL_ENTRIES_MAX;

    s->counter[SNAP_CTR_DOORBELLS]++;
    trace_snap_doorbell(s, queue, value);
    if (n > most || offset % SNAP_ENTRY_ALIGN) {
        snap_bad_doorbell(s, queue, value);
        return;
    }
    do {
        offset = snap_entry(s, queue, offset);
    } while (offset && --n);
    /* Entries may have given frames back. */
    snap_publish_frames(s);
    snap_rx_resume(s);
}
