/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: registers and counters.
 *
 * What names no register (holes, the wrong direction or size, values that
 * a register does not know) reads as zero, changes nothing and is counted.
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "snap.h"
#include "trace.h"

static void snap_bad_register(SnapState *s, const char *what, hwaddr addr,
                              unsigned size, uint64_t value)
{
    s->counter[SNAP_CTR_BAD_REGISTER]++;
    trace_snap_bad_register(s, what, addr, size, value);
    qemu_log_mask(LOG_GUEST_ERROR, "snap: bad %s of %u bytes at register 0x%"
                  HWADDR_PRIx "\n", what, size, addr);
}

static uint64_t snap_read_counter(SnapState *s, enum snap_counter c)
{
    snapmem_counters m;
    snapnet_counters p;

    snapmem_get_counters(s->mem, &m);
    snapnet_get_counters(s->packets, &p);
    switch (c) {
    case SNAP_CTR_CAPTURES:
        return m.captures;
    case SNAP_CTR_SHARED_BYTES:
        return m.shared_bytes;
    case SNAP_CTR_COPIED_BYTES:
        return m.copied_bytes;
    case SNAP_CTR_WRITE_FAULTS:
        return m.write_faults;
    case SNAP_CTR_COW_COPIES:
        return m.cow_copies;
    case SNAP_CTR_RELEASED:
        return m.released;
    case SNAP_CTR_FREE_FRAMES:
        return m.free_frames;
    case SNAP_CTR_GUEST_FRAMES:
        return m.guest_frames;
    case SNAP_CTR_REGION_FRAMES:
        return m.region_frames;
    case SNAP_CTR_RESERVED_FRAMES:
        return m.reserved_frames;
    case SNAP_CTR_SNAPSHOTS:
        return m.snapshots;
    case SNAP_CTR_CLONES:
        return m.clones;
    case SNAP_CTR_COMMITS:
        return m.commits;
    case SNAP_CTR_MERGES:
        return m.merges;
    case SNAP_CTR_CONFLICTS:
        return m.conflicts;
    case SNAP_CTR_TRAP_ARMS:
        return m.trap_arms;
    case SNAP_CTR_TRAP_PAGES:
        return m.trap_pages;
    case SNAP_CTR_AHEAD_PAGES:
        return m.ahead_pages;
    case SNAP_CTR_DEDUP_PAGES:
        return m.dedup_pages;
    case SNAP_CTR_REGIONS:
        return m.regions;
    case SNAP_CTR_SNAPSHOTS_HELD:
        return m.snapshots_held;
    case SNAP_CTR_TX_DROPPED:
        return s->counter[c] + p.tx_dropped;
    case SNAP_CTR_TX_PAUSES:
        return s->counter[c] + p.tx_pauses;
    case SNAP_CTR_RX_PACKETS:
        return p.rx_packets;
    case SNAP_CTR_RX_BYTES:
        return p.rx_bytes;
    case SNAP_CTR_RX_FRAMES:
        return p.rx_frames;
    case SNAP_CTR_RX_DROPPED:
        return p.rx_dropped;
    case SNAP_CTR_RX_STALLS:
        return p.rx_stalls;
    default:
        return s->counter[c];
    }
}

/* Of a data queue. */
static uint64_t snap_read_queue_counter(SnapState *s, unsigned queue,
                                        enum snap_queue_counter c)
{
    static const enum snap_counter of_device[SNAP_QCTR_MAX] = {
        [SNAP_QCTR_TX_PACKETS] = SNAP_CTR_TX_PACKETS,
        [SNAP_QCTR_TX_BYTES] = SNAP_CTR_TX_BYTES,
        [SNAP_QCTR_TX_DROPPED] = SNAP_CTR_TX_DROPPED,
        [SNAP_QCTR_TX_PAUSES] = SNAP_CTR_TX_PAUSES,
        [SNAP_QCTR_RX_PACKETS] = SNAP_CTR_RX_PACKETS,
        [SNAP_QCTR_RX_BYTES] = SNAP_CTR_RX_BYTES,
        [SNAP_QCTR_RX_DROPPED] = SNAP_CTR_RX_DROPPED,
        [SNAP_QCTR_RX_STALLS] = SNAP_CTR_RX_STALLS,
    };

    /* There is one. */
    return snap_read_counter(s, of_device[c]);
}

static uint64_t snap_read_mac(SnapState *s)
{
    uint64_t value = 0;

    memcpy(&value, s->conf.macaddr.a, sizeof(s->conf.macaddr.a));
    return value;
}

/* Page 0; false if there is no such register to read. */
static bool snap_read_device(SnapState *s, hwaddr addr, uint64_t *value)
{
    if (addr >= SNAP_REG_COUNTERS &&
        addr < SNAP_REG_COUNTERS + 8 * SNAP_CTR_MAX) {
        *value = snap_read_counter(s, (addr - SNAP_REG_COUNTERS) / 8);
        return true;
    }
    switch (addr) {
    case SNAP_REG_MAGIC:
        *value = SNAP_MAGIC;
        break;
    case SNAP_REG_VERSION:
        *value = SNAP_VERSION;
        break;
    case SNAP_REG_FEATURES:
        *value = s->features;
        break;
    case SNAP_REG_DRIVER_FEATURES:
        *value = s->driver_features;
        break;
    case SNAP_REG_CONTROL:
        *value = s->state;
        break;
    case SNAP_REG_QUEUES:
        *value = SNAP_DATA_QUEUES;
        break;
    case SNAP_REG_STATUS_OFFSET:
        *value = SNAP_STATUS_OFFSET;
        break;
    case SNAP_REG_SLAB_OFFSET:
        *value = SNAP_SLAB_OFFSET;
        break;
    case SNAP_REG_SLAB_BYTES:
        *value = SNAP_SLAB_BYTES;
        break;
    case SNAP_REG_POOL_OFFSET:
        *value = SNAP_POOL_OFFSET;
        break;
    case SNAP_REG_POOL_FRAMES:
        *value = s->frames;
        break;
    case SNAP_REG_WINDOW_OFFSET:
        *value = SNAP_POOL_OFFSET + s->pool_size;
        break;
    case SNAP_REG_WINDOW_PAGES:
        *value = s->window_pages;
        break;
    case SNAP_REG_MAC:
        *value = snap_read_mac(s);
        break;
    case SNAP_REG_MTU_MAX:
        *value = SNAP_MTU_MAX;
        break;
    case SNAP_REG_RX_LOW:
        *value = s->rx_low;
        break;
    case SNAP_REG_VECTORS:
        *value = SNAP_VECTORS;
        break;
    case SNAP_REG_ACTIVE:
        *value = s->active;
        break;
    default:
        return false;
    }
    return true;
}

/* False if there is no such register, or it does not take the value now. */
static bool snap_write_device(SnapState *s, hwaddr addr, uint64_t value)
{
    switch (addr) {
    case SNAP_REG_DRIVER_FEATURES:
        if (s->state != SNAP_STATE_IDLE) {
            return false;
        }
        s->driver_features = value;
        return true;
    case SNAP_REG_CONTROL:
        if (value == SNAP_CTL_RESET) {
            snap_reset(s);
            return true;
        }
        if (value == SNAP_CTL_START && s->state == SNAP_STATE_IDLE) {
            snap_start(s);
            return true;
        }
        return false;
    case SNAP_REG_ACTIVE:
        if (value < 1 || value > SNAP_DATA_QUEUES) {
            return false;
        }
        s->active = value;
        return true;
    default:
        return false;
    }
}

/* Splits an address in a queue's page; false for page 0 and for no queue. */
static bool snap_queue_of(hwaddr addr, unsigned *queue, hwaddr *reg)
{
    if (addr < SNAP_QUEUE_PAGE(0) || addr >= SNAP_QUEUE_PAGE(SNAP_QUEUES)) {
        return false;
    }
    *queue = addr / 0x1000 - 1;
    *reg = addr % 0x1000;
    return true;
}

/* Page of a queue; false if there is no such register to read. */
static bool snap_read_queue(SnapState *s, unsigned queue, hwaddr reg,
                            uint64_t *value)
{
    if (queue == SNAP_QUEUE_CONTROL) {
        return false;
    }
    if (reg >= SNAP_QREG_COUNTERS &&
        reg < SNAP_QREG_COUNTERS + 8 * SNAP_QCTR_MAX) {
        *value = snap_read_queue_counter(s, queue,
                                         (reg - SNAP_QREG_COUNTERS) / 8);
        return true;
    }
    switch (reg) {
    case SNAP_QREG_TAKE:
        *value = snap_rx_take(s, false);
        return true;
    case SNAP_QREG_TAKE_ARM:
        if (!(s->driver_features & SNAP_F_TAKE_ARM)) {
            return false;
        }
        *value = snap_rx_take(s, true);
        return true;
    default:
        return false;
    }
}

static uint64_t snap_regs_read(void *opaque, hwaddr addr, unsigned size)
{
    SnapState *s = opaque;
    unsigned queue;
    hwaddr reg;
    uint64_t value = 0;

    if (size == 8 && addr % 8 == 0 &&
        (snap_queue_of(addr, &queue, &reg) ?
         snap_read_queue(s, queue, reg, &value) :
         snap_read_device(s, addr, &value))) {
        return value;
    }
    snap_bad_register(s, "read", addr, size, 0);
    return 0;
}

static void snap_regs_write(void *opaque, hwaddr addr, uint64_t value,
                            unsigned size)
{
    SnapState *s = opaque;
    unsigned queue;
    hwaddr reg;

    if (size == 8 && addr % 8 == 0) {
        if (snap_queue_of(addr, &queue, &reg)) {
            if (reg == SNAP_QREG_DOORBELL) {
                snap_doorbell(s, queue, value);
                return;
            }
            if (queue != SNAP_QUEUE_CONTROL && reg == SNAP_QREG_ARM &&
                value <= 1) {
                snap_rx_arm(s, value);
                return;
            }
        } else if (snap_write_device(s, addr, value)) {
            return;
        }
    }
    snap_bad_register(s, "write", addr, size, value);
}

/* Every size comes here, so that the wrong ones are counted. */
#define SNAP_ANY_ACCESS { \
    .min_access_size = 1, \
    .max_access_size = 8, \
    .unaligned = true, \
}

const MemoryRegionOps snap_regs_ops = {
    .read = snap_regs_read,
    .write = snap_regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = SNAP_ANY_ACCESS,
    .impl = SNAP_ANY_ACCESS,
};

static uint64_t snap_gone_read(void *opaque, hwaddr addr, unsigned size)
{
    return UINT64_MAX;
}

static void snap_gone_write(void *opaque, hwaddr addr, uint64_t value,
                            unsigned size)
{
}

const MemoryRegionOps snap_gone_ops = {
    .read = snap_gone_read,
    .write = snap_gone_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = SNAP_ANY_ACCESS,
    .impl = SNAP_ANY_ACCESS,
};
