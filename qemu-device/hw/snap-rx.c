/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: reception, as far as the main loop and the registers
 * have to do with it.  What a packet becomes is the engine's (snapnet.h).
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "snap.h"
#include "trace.h"

static bool snap_rx_ready(SnapState *s)
{
    /* A machine that is stopped does not change: see snap_path_run_state(). */
    return runstate_is_running() && !s->threaded &&
           snapnet_rx_ready(s->packets);
}

bool snap_can_receive(NetClientState *nc)
{
    SnapState *s = qemu_get_nic_opaque(nc);
    bool ready = snap_rx_ready(s);

    s->rx_refused |= !ready;
    return ready;
}

void snap_rx_resume(SnapState *s)
{
    if (snapnet_rx_resume(s->packets)) {
        trace_snap_rx_resume(s, snapmem_free_frames(s->mem));
        /* Not here: the guest waits for its doorbell. */
        qemu_bh_schedule(s->rx_bh);
    }
}

static void snap_rx_interrupt(SnapState *s)
{
    snap_publish(s);
    if (snapnet_take_interrupt(s->packets)) {
        snap_interrupt(s, SNAP_VECTOR_DATA);
    }
}

void snap_rx_bh(void *opaque)
{
    SnapState *s = opaque;

    if (!s->threaded && runstate_is_running()) {
        /* What a thread had in hand comes before what QEMU has. */
        snapnet_receive_rest(s->packets);
        snap_rx_interrupt(s);
    }
    s->rx_refused = false;
    qemu_flush_queued_packets(qemu_get_queue(s->nic));
}

ssize_t snap_receive(NetClientState *nc, const uint8_t *buf, size_t size)
{
    SnapState *s = qemu_get_nic_opaque(nc);
    /* A flush of the queue does not ask first. */
    bool taken = snap_rx_ready(s) && snapnet_receive(s->packets, buf, size);

    trace_snap_receive(s, size, taken);
    if (!taken) {
        s->rx_refused = true;
        return 0;
    }
    snap_rx_interrupt(s);
    return size;
}

uint64_t snap_rx_take(SnapState *s, bool arm)
{
    uint64_t value = snapnet_take(s->packets, arm);

    s->counter[SNAP_CTR_TAKES]++;
    trace_snap_take(s, value);
    snap_rx_resume(s);
    return value;
}

void snap_rx_arm(SnapState *s, bool armed)
{
    s->counter[SNAP_CTR_ARMS]++;
    if (snapnet_arm(s->packets, armed)) {
        snap_interrupt(s, SNAP_VECTOR_DATA);
    }
}
