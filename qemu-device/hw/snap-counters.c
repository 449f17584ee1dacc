/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: counters.  Some are kept by the engine, some by the
 * packets of each queue, the others here; what a device counts of queues is
 * the sum of what they count.
 */
#include "qemu/osdep.h"
#include "snap.h"

/* Those that the engine keeps; false for the others. */
static bool snap_engine_counter(SnapState *s, enum snap_counter c,
                                uint64_t *value)
{
#define AT(field) (1 + offsetof(snapmem_counters, field))
    static const uint8_t place[SNAP_CTR_MAX] = {
        [SNAP_CTR_CAPTURES] = AT(captures),
        [SNAP_CTR_SHARED_BYTES] = AT(shared_bytes),
        [SNAP_CTR_COPIED_BYTES] = AT(copied_bytes),
        [SNAP_CTR_WRITE_FAULTS] = AT(write_faults),
        [SNAP_CTR_COW_COPIES] = AT(cow_copies),
        [SNAP_CTR_RELEASED] = AT(released),
        [SNAP_CTR_FREE_FRAMES] = AT(free_frames),
        [SNAP_CTR_GUEST_FRAMES] = AT(guest_frames),
        [SNAP_CTR_REGION_FRAMES] = AT(region_frames),
        [SNAP_CTR_RESERVED_FRAMES] = AT(reserved_frames),
        [SNAP_CTR_SNAPSHOTS] = AT(snapshots),
        [SNAP_CTR_CLONES] = AT(clones),
        [SNAP_CTR_COMMITS] = AT(commits),
        [SNAP_CTR_MERGES] = AT(merges),
        [SNAP_CTR_CONFLICTS] = AT(conflicts),
        [SNAP_CTR_TRAP_ARMS] = AT(trap_arms),
        [SNAP_CTR_TRAP_PAGES] = AT(trap_pages),
        [SNAP_CTR_AHEAD_PAGES] = AT(ahead_pages),
        [SNAP_CTR_DEDUP_PAGES] = AT(dedup_pages),
        [SNAP_CTR_REGIONS] = AT(regions),
        [SNAP_CTR_SNAPSHOTS_HELD] = AT(snapshots_held),
    };
#undef AT
    snapmem_counters m;

    QEMU_BUILD_BUG_ON(sizeof(m) > UINT8_MAX);
    if (!place[c]) {
        return false;
    }
    snapmem_get_counters(s->mem, &m);
    *value = *(uint64_t *)((uint8_t *)&m + place[c] - 1);
    return true;
}

uint64_t snap_read_queue_counter(SnapQueue *q, enum snap_queue_counter c)
{
    snapnet_counters p;

    snapnet_get_counters(q->packets, &p);
    switch (c) {
    case SNAP_QCTR_TX_DROPPED:
        return q->counter[c] + p.tx_dropped;
    case SNAP_QCTR_TX_PAUSES:
        return q->counter[c] + p.tx_pauses;
    case SNAP_QCTR_RX_PACKETS:
        return p.rx_packets;
    case SNAP_QCTR_RX_BYTES:
        return p.rx_bytes;
    case SNAP_QCTR_RX_DROPPED:
        return p.rx_dropped;
    case SNAP_QCTR_RX_STALLS:
        return p.rx_stalls;
    default:
        return q->counter[c];
    }
}

static uint64_t snap_sum(SnapState *s, enum snap_queue_counter c)
{
    uint64_t sum = 0;

    SNAP_FOREACH_QUEUE(q, s) {
        sum += snap_read_queue_counter(q, c);
    }
    return sum;
}

/* Those that queues do not show. */
static snapnet_counters snap_sum_packets(SnapState *s)
{
    snapnet_counters sum = { 0 };

    SNAP_FOREACH_QUEUE(q, s) {
        snapnet_counters p;

        snapnet_get_counters(q->packets, &p);
        sum.rx_frames += p.rx_frames;
        sum.rx_no_large += p.rx_no_large;
    }
    return sum;
}

uint64_t snap_read_counter(SnapState *s, enum snap_counter c)
{
    uint64_t value;

    if (snap_engine_counter(s, c, &value)) {
        return value;
    }
    switch (c) {
    case SNAP_CTR_TX_PACKETS:
        return snap_sum(s, SNAP_QCTR_TX_PACKETS);
    case SNAP_CTR_TX_BYTES:
        return snap_sum(s, SNAP_QCTR_TX_BYTES);
    case SNAP_CTR_TX_DROPPED:
        return snap_sum(s, SNAP_QCTR_TX_DROPPED);
    case SNAP_CTR_TX_PAUSES:
        return snap_sum(s, SNAP_QCTR_TX_PAUSES);
    case SNAP_CTR_RX_PACKETS:
        return snap_sum(s, SNAP_QCTR_RX_PACKETS);
    case SNAP_CTR_RX_BYTES:
        return snap_sum(s, SNAP_QCTR_RX_BYTES);
    case SNAP_CTR_RX_FRAMES:
        return snap_sum_packets(s).rx_frames;
    case SNAP_CTR_RX_DROPPED:
        return snap_sum(s, SNAP_QCTR_RX_DROPPED);
    case SNAP_CTR_RX_STALLS:
        return snap_sum(s, SNAP_QCTR_RX_STALLS);
    case SNAP_CTR_RX_NO_LARGE:
        return snap_sum_packets(s).rx_no_large;
    default:
        return s->counter[c];
    }
}
