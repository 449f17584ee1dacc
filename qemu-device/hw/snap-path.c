/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: who moves packets, threads or the main loop.
 *
 * A thread for each data queue takes over a descriptor of a tap, as vhost does:
 * the main loop no longer looks at it, and all packets of both directions pass
 * the thread, which needs the BQL for nothing but interrupts.  Everything that
 * QEMU does between a backend and a NIC is passed by, so this is for where it
 * does nothing: no filters, and the link is up.  As soon as that is no longer
 * so, the main loop gets the descriptor back.
 *
 * Packets stay in order when that changes: what QEMU still keeps, of either
 * direction, goes before the thread takes over, and what the thread still has
 * goes before anything else when it ends.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "net/tap.h"
#include "snap.h"
#include "trace.h"

/* NULL, or why no thread can have the descriptor. */
static const char *snap_path_obstacle(NetClientState *peer)
{
    if (!peer) {
        return "there is no netdev";
    }
    if (peer->info->type != NET_CLIENT_DRIVER_TAP) {
        return "the netdev is no tap";
    }
    return QTAILQ_EMPTY(&peer->filters) ? NULL : "the netdev has filters";
}

/* Before realize makes anything. */
bool snap_path_check(SnapState *s, Error **errp)
{
    /* What holds for one queue of a netdev holds for all. */
    const char *obstacle = snap_path_obstacle(s->conf.peers.ncs[0]);

    if (s->datapath_packets > SNAPNET_TX_PACKETS) {
        error_setg(errp, "snap: x-datapath-packets=%u: at most %u may wait",
                   s->datapath_packets, SNAPNET_TX_PACKETS);
        return false;
    }
    if (s->datapath == SNAP_DATAPATH_THREAD && obstacle) {
        error_setg(errp, "snap: datapath=thread is not possible: %s",
                   obstacle);
        return false;
    }
    return true;
}

static bool snap_path_wants_thread(SnapQueue *q)
{
    NetClientState *nc = snap_queue_nc(q);
    SnapState *s = q->s;

    if (s->datapath == SNAP_DATAPATH_MAIN || !snap_queue_active(q) ||
        !snap_link_up(s) || snap_path_obstacle(nc->peer) ||
        !QTAILQ_EMPTY(&nc->filters)) {
        return false;
    }
    /* The queues that QEMU has for us and for the backend are empty. */
    return q->threaded ||
           !(q->rx_refused || nc->receive_disabled ||
             q->tx_paused || q->tx_unfinished || q->tx_realign ||
             nc->peer->receive_disabled);
}

bool snap_path_changes(SnapState *s)
{
    SNAP_FOREACH_QUEUE(q, s) {
        if (snap_path_wants_thread(q) != q->threaded) {
            return true;
        }
    }
    return false;
}

/* In the thread.  With nothing to take, the device may be gone. */
void snap_path_interrupt(snapnet *packets, void *opaque)
{
    bql_lock();
    if (snapnet_take_interrupt(packets)) {
        snap_queue_interrupt(opaque);
    }
    bql_unlock();
}

static void *snap_path_thread(void *opaque)
{
    rcu_register_thread();
    snapnet_run(opaque);
    rcu_unregister_thread();
    snapnet_unref(opaque);
    return NULL;
}

static void snap_path_take_over(SnapQueue *q)
{
    NetClientState *peer = snap_queue_nc(q)->peer;

    if (!q->thread_started) {
        g_autofree char *name = g_strdup_printf("snap-packets-%u", q->number);
        QemuThread thread;

        q->thread_started = true;
        snapnet_ref(q->packets);
        /* It ends by itself, and nobody waits for that with the BQL. */
        qemu_thread_create(&thread, name, snap_path_thread, q->packets,
                           QEMU_THREAD_DETACHED);
    }
    peer->info->poll(peer, false);
    q->threaded = true;
    snapnet_attach(q->packets, tap_get_fd(peer));
    trace_snap_path(q->s, q->number, true, 0);
}

/* To QEMU, which keeps what the backend does not take. */
static unsigned snap_path_hand_over(SnapQueue *q)
{
    bool drop = !snap_link_up(q->s) || !snap_queue_active(q);
    const struct iovec *iov;
    unsigned n, packets = 0;

    for (; (iov = snapnet_tx_next(q->packets, &n)); packets++) {
        if (!drop) {
            qemu_sendv_packet_async(snap_queue_nc(q), iov, n, NULL);
        }
        snapnet_tx_pop(q->packets, drop);
    }
    return packets;
}

static void snap_path_give_back(SnapQueue *q)
{
    NetClientState *peer = snap_queue_nc(q)->peer;
    unsigned left;

    snapnet_detach(q->packets);
    q->threaded = false;
    left = snap_path_hand_over(q);
    peer->info->poll(peer, true);
    snap_queue_publish(q);
    snap_rx_interrupt(q);
    qemu_bh_schedule(q->rx_bh);
    trace_snap_path(q->s, q->number, false, left);
}

void snap_path_update(SnapState *s)
{
    SNAP_FOREACH_QUEUE(q, s) {
        if (snap_path_wants_thread(q) == q->threaded) {
            continue;
        }
        if (q->threaded) {
            snap_path_give_back(q);
        } else {
            snap_path_take_over(q);
        }
    }
}

void snap_path_exit(SnapQueue *q)
{
    NetClientState *peer = snap_queue_nc(q)->peer;

    snapnet_stop(q->packets);
    if (q->threaded) {
        q->threaded = false;
        peer->info->poll(peer, true);
    }
}
