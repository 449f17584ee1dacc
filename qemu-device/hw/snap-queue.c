/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: its data queues, as many as the netdev has.
 *
 * They share frames and regions, the link and the features, and nothing else:
 * what one does waits for no other.  The guest says how many of them carry
 * packets; the others are cut off from the backend, which would spread flows
 * over all of them.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/guest-random.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "net/tap.h"
#include "snap.h"
#include "trace.h"

void snap_queue_publish(SnapQueue *q)
{
    snapnet_publish(q->packets, q->tx_paused);
}

void snap_queue_interrupt(SnapQueue *q)
{
    snap_interrupt(q->s, SNAP_VECTOR(q->number, q->s->vectors));
}

/*
 * A stopped machine neither sends nor receives: threads keep what they have,
 * and the main loop asks again for what was refused meanwhile.
 */
static void snap_queues_halt(SnapState *s, bool halted)
{
    SNAP_FOREACH_QUEUE(q, s) {
        snapnet_halt(q->packets, halted);
        if (!halted) {
            qemu_bh_schedule(q->rx_bh);
        }
    }
}

static void snap_queues_run_state(void *opaque, bool running, RunState state)
{
    SnapState *s = opaque;

    snap_queues_halt(s, !running || s->datapath_halted);
}

void snap_queues_set_halted(SnapState *s, bool halted)
{
    s->datapath_halted = halted;
    /* Else there are none yet, or no more. */
    if (DEVICE(s)->realized) {
        snap_queues_halt(s, !runstate_is_running() || halted);
    }
}

uint32_t snap_queues_waiting(SnapState *s)
{
    uint32_t sum = 0;

    if (DEVICE(s)->realized) {
        SNAP_FOREACH_QUEUE(q, s) {
            sum += snapnet_tx_waiting(q->packets);
        }
    }
    return sum;
}

/* Packets that wait for an interrupt wait in the machine's time. */
static int64_t snap_queue_clock_ns(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static bool snap_queue_init(SnapQueue *q, Error **errp)
{
    SnapState *s = q->s;
    const snapnet_config config = {
        .mem = s->mem,
        .vnet_hdr = s->vnet_hdr,
        .free_frames = &s->status->free_frames,
        .tx_paused = &snap_queue_status(s, q->number)->tx_paused,
        .interrupt = snap_path_interrupt,
        .opaque = q,
        .clock_ns = snap_queue_clock_ns,
        .hash_key = { s->hash_key[0], s->hash_key[1] },
        .delay_us = s->datapath_delay,
        .tx_packets = s->datapath_packets,
    };

    q->packets = snapnet_new(&config);
    if (!q->packets) {
        error_setg(errp, "snap: no memory or no descriptor for packets");
        return false;
    }
    snapnet_halt(q->packets, !runstate_is_running() || s->datapath_halted);
    q->tx_copy = g_malloc(SNAP_TX_KEPT_MAX);
    q->tx_kept = g_malloc(SNAP_TX_KEPT_MAX);
    q->rx_bh = qemu_bh_new_guarded(snap_rx_bh, q,
                                   &DEVICE(s)->mem_reentrancy_guard);
    q->rx_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, snap_rx_timer, q);
    snap_tx_take_over(q);
    return true;
}

/* The status area is there, and so is the NIC. */
bool snap_queues_init(SnapState *s, Error **errp)
{
    if (qemu_guest_getrandom(s->hash_key, sizeof(s->hash_key), errp) ||
        qemu_guest_getrandom(&s->steer_key, sizeof(s->steer_key), errp)) {
        return false;
    }
    SNAP_FOREACH_QUEUE(q, s) {
        q->s = s;
        q->number = 1 + (q - s->queue);
        if (!snap_queue_init(q, errp)) {
            snap_queues_free(s);
            return false;
        }
    }
    s->run_state = qemu_add_vm_change_state_handler(snap_queues_run_state, s);
    return true;
}

void snap_queues_exit(SnapState *s)
{
    qemu_del_vm_change_state_handler(s->run_state);
    SNAP_FOREACH_QUEUE(q, s) {
        snap_path_exit(q);
        timer_del(q->rx_timer);
        snap_tx_exit(q);
    }
}

void snap_queues_free(SnapState *s)
{
    SNAP_FOREACH_QUEUE(q, s) {
        if (!q->packets) {
            break;
        }
        qemu_bh_delete(q->rx_bh);
        timer_free(q->rx_timer);
        snapnet_unref(q->packets);
        g_free(q->tx_copy);
        g_free(q->tx_kept);
    }
}

void snap_queues_reset(SnapState *s)
{
    SNAP_FOREACH_QUEUE(q, s) {
        snapnet_reset(q->packets);
        q->holdoff = 0;
        timer_del(q->rx_timer);
    }
    snap_activate(s, 1);
}

/*
 * Several queues are those of a tap (snap_check_queues()), which can be told that
 * one is not read.  An interface that somebody has deleted refuses, and each time
 * QEMU logs that: the guest does not get to fill the log.
 */
static void snap_queue_attach(SnapQueue *q, bool attach)
{
    NetClientState *peer = snap_queue_nc(q)->peer;

    if (q->s->queues == 1 || !peer || q->s->nic->peer_deleted ||
        q->tap_refuses) {
        return;
    }
    q->tap_refuses = (attach ? tap_enable(peer) : tap_disable(peer)) < 0;
    if (attach) {
        qemu_bh_schedule(q->rx_bh);
    }
}

void snap_activate(SnapState *s, unsigned n)
{
    trace_snap_activate(s, n);
    /* It may name queues that go, and places among them change. */
    snap_steer_free(s);
    s->active = n;
    /* A thread lets go of a queue before the tap does. */
    snap_path_update(s);
    SNAP_FOREACH_QUEUE(q, s) {
        snap_queue_attach(q, snap_queue_active(q));
    }
    snap_rx_resume(s);
}
