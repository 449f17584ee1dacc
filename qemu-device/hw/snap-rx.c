/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: reception, as far as the main loop and the registers
 * have to do with it.  What a packet becomes is the engine's (snapnet.h).
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "snap.h"
#include "trace.h"

static bool snap_rx_ready(SnapQueue *q)
{
    /* A machine that is stopped does not change: see snap-queue.c. */
    return runstate_is_running() && !q->threaded && snap_queue_active(q) &&
           snapnet_rx_ready(q->packets);
}

bool snap_can_receive(NetClientState *nc)
{
    SnapQueue *q = snap_queue_of(nc);
    bool ready = snap_rx_ready(q);

    if (!ready) {
        q->rx_refused = true;
        /* A stall ends what is held back. */
        snap_rx_interrupt(q);
    }
    return ready;
}

void snap_rx_resume(SnapState *s)
{
    /* Also what a thread had read for a queue that is not active any more. */
    SNAP_FOREACH_QUEUE(q, s) {
        if (snapnet_rx_resume(q->packets)) {
            trace_snap_rx_resume(s, q->number, snapmem_free_frames(s->mem));
            /* Not here: the guest waits for its doorbell. */
            qemu_bh_schedule(q->rx_bh);
        }
    }
}

/* The thread remembers by itself what it holds back. */
static void snap_rx_remember(SnapQueue *q)
{
    int64_t wait = q->threaded || !q->holdoff ? -1 :
                   snapnet_held_ns(q->packets);

    if (wait >= 0) {
        timer_mod_ns(q->rx_timer,
                     qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + wait);
    }
}

void snap_rx_interrupt(SnapQueue *q)
{
    if (snapnet_take_interrupt(q->packets)) {
        snap_queue_interrupt(q);
    }
    snap_rx_remember(q);
}

/* Whoever moves packets by now: what is due is due. */
void snap_rx_timer(void *opaque)
{
    snap_rx_interrupt(opaque);
}

void snap_rx_bh(void *opaque)
{
    SnapQueue *q = opaque;

    if (!q->threaded && runstate_is_running()) {
        /* What a thread had in hand comes before what QEMU has. */
        snapnet_receive_rest(q->packets);
        snap_rx_interrupt(q);
    }
    q->rx_refused = false;
    qemu_flush_queued_packets(snap_queue_nc(q));
}

ssize_t snap_receive(NetClientState *nc, const uint8_t *buf, size_t size)
{
    SnapQueue *q = snap_queue_of(nc);
    /* A flush of the queue does not ask first. */
    bool taken = snap_rx_ready(q) && snapnet_receive(q->packets, buf, size);

    trace_snap_receive(q->s, q->number, size, taken);
    if (!taken) {
        q->rx_refused = true;
        size = 0;
    }
    snap_rx_interrupt(q);
    return size;
}

uint64_t snap_rx_take(SnapQueue *q, bool arm)
{
    SnapState *s = q->s;
    uint64_t value = snapnet_take(q->packets, arm);

    s->counter[SNAP_CTR_TAKES]++;
    trace_snap_take(s, q->number, value);
    snap_rx_resume(s);
    return value;
}

void snap_rx_arm(SnapQueue *q, bool armed)
{
    q->s->counter[SNAP_CTR_ARMS]++;
    if (snapnet_arm(q->packets, armed)) {
        snap_queue_interrupt(q);
    } else if (armed) {
        snap_rx_remember(q);
    }
}

void snap_rx_set_holdoff(SnapQueue *q, uint32_t us)
{
    q->holdoff = us;
    snapnet_set_holdoff(q->packets, us);
    snap_rx_interrupt(q);
}
