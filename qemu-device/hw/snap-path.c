/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: who moves packets, a thread or the main loop.
 *
 * A thread takes over the descriptor of a tap, as vhost does: the main loop no
 * longer looks at it, and all packets of both directions pass the thread, which
 * needs the BQL for nothing but interrupts.  Everything that QEMU does between
 * a backend and a NIC is passed by, so this is for where it does nothing: no
 * filters, and the link is up.  As soon as that is no longer so, the main loop
 * gets the descriptor back.
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
    const char *obstacle = snap_path_obstacle(s->conf.peers.ncs[0]);

    if (s->datapath == SNAP_DATAPATH_THREAD && obstacle) {
        error_setg(errp, "snap: datapath=thread is not possible: %s",
                   obstacle);
        return false;
    }
    return true;
}

static bool snap_path_wants_thread(SnapState *s)
{
    NetClientState *nc = qemu_get_queue(s->nic);

    if (s->datapath == SNAP_DATAPATH_MAIN || !snap_link_up(s) ||
        snap_path_obstacle(nc->peer) || !QTAILQ_EMPTY(&nc->filters)) {
        return false;
    }
    /* The queues that QEMU has for us and for the backend are empty. */
    return s->threaded ||
           !(s->rx_refused || nc->receive_disabled ||
             s->tx_paused || s->tx_unfinished || s->tx_realign ||
             nc->peer->receive_disabled);
}

bool snap_path_changes(SnapState *s)
{
    return snap_path_wants_thread(s) != s->threaded;
}

/* In the thread.  With nothing to take, the device may be gone. */
static void snap_path_interrupt(snapnet *packets, void *opaque)
{
    bql_lock();
    if (snapnet_take_interrupt(packets)) {
        snap_interrupt(opaque, SNAP_VECTOR_DATA);
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

static void snap_path_take_over(SnapState *s)
{
    NetClientState *peer = qemu_get_queue(s->nic)->peer;

    if (!s->thread_started) {
        QemuThread thread;

        s->thread_started = true;
        snapnet_ref(s->packets);
        /* It ends by itself, and nobody waits for that with the BQL. */
        qemu_thread_create(&thread, "snap-packets", snap_path_thread,
                           s->packets, QEMU_THREAD_DETACHED);
    }
    peer->info->poll(peer, false);
    s->threaded = true;
    snapnet_attach(s->packets, tap_get_fd(peer));
    trace_snap_path(s, true, 0);
}

/* To QEMU, which keeps what the backend does not take. */
static unsigned snap_path_hand_over(SnapState *s)
{
    bool drop = !snap_link_up(s);
    const struct iovec *iov;
    unsigned n, packets = 0;

    for (; (iov = snapnet_tx_next(s->packets, &n)); packets++) {
        if (!drop) {
            qemu_sendv_packet_async(qemu_get_queue(s->nic), iov, n, NULL);
        }
        snapnet_tx_pop(s->packets, drop);
    }
    return packets;
}

static void snap_path_give_back(SnapState *s)
{
    NetClientState *peer = qemu_get_queue(s->nic)->peer;
    unsigned left;

    snapnet_detach(s->packets);
    s->threaded = false;
    left = snap_path_hand_over(s);
    peer->info->poll(peer, true);
    snap_publish(s);
    if (snapnet_take_interrupt(s->packets)) {
        snap_interrupt(s, SNAP_VECTOR_DATA);
    }
    qemu_bh_schedule(s->rx_bh);
    trace_snap_path(s, false, left);
}

void snap_path_update(SnapState *s)
{
    if (!snap_path_changes(s)) {
        return;
    }
    if (s->threaded) {
        snap_path_give_back(s);
    } else {
        snap_path_take_over(s);
    }
}

/*
 * A stopped machine neither sends nor receives: the thread keeps what it has,
 * and the main loop asks again for what was refused meanwhile.
 */
static void snap_path_run_state(void *opaque, bool running, RunState state)
{
    SnapState *s = opaque;

    snapnet_halt(s->packets, !running);
    if (running) {
        qemu_bh_schedule(s->rx_bh);
    }
}

/* The status area is there, and so is the NIC. */
bool snap_path_init(SnapState *s, Error **errp)
{
    const snapnet_config config = {
        .mem = s->mem,
        .vnet_hdr = s->vnet_hdr,
        .free_frames = &s->status->free_frames,
        .tx_paused = &snap_queue_status(s, SNAP_QUEUE_DATA)->tx_paused,
        .interrupt = snap_path_interrupt,
        .opaque = s,
        .delay_us = s->datapath_delay,
    };

    s->packets = snapnet_new(&config);
    if (!s->packets) {
        error_setg(errp, "snap: no memory or no descriptor for packets");
        return false;
    }
    snapnet_halt(s->packets, !runstate_is_running());
    s->run_state = qemu_add_vm_change_state_handler(snap_path_run_state, s);
    return true;
}

void snap_path_exit(SnapState *s)
{
    NetClientState *peer = qemu_get_queue(s->nic)->peer;

    qemu_del_vm_change_state_handler(s->run_state);
    snapnet_stop(s->packets);
    if (s->threaded) {
        s->threaded = false;
        peer->info->poll(peer, true);
    }
}
