/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: registers.
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
        *value = s->abi_version;
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
        *value = s->queues;
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
        *value = s->pool_offset;
        break;
    case SNAP_REG_POOL_FRAMES:
        *value = s->frames;
        break;
    case SNAP_REG_WINDOW_OFFSET:
        *value = s->window_offset;
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
        *value = s->vectors;
        break;
    case SNAP_REG_LARGE_OFFSET:
        *value = s->large_offset;
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
        if (value < 1 || value > s->queues) {
            return false;
        }
        snap_activate(s, value);
        return true;
    default:
        return false;
    }
}

/* Splits an address in a queue's page; false for page 0 and for no queue. */
static bool snap_split(SnapState *s, hwaddr addr, unsigned *queue, hwaddr *reg)
{
    if (addr < SNAP_QUEUE_PAGE(0) || addr >= SNAP_QUEUE_PAGE(1 + s->queues)) {
        return false;
    }
    *queue = addr / 0x1000 - 1;
    *reg = addr % 0x1000;
    return true;
}

static bool snap_has_holdoff(SnapState *s)
{
    return s->state == SNAP_STATE_RUNNING &&
           s->driver_features & SNAP_F_HOLDOFF;
}

/* Page of a queue; false if there is no such register to read. */
static bool snap_read_queue(SnapState *s, unsigned queue, hwaddr reg,
                            uint64_t *value)
{
    SnapQueue *q;

    if (queue == SNAP_QUEUE_CONTROL) {
        return false;
    }
    q = snap_queue(s, queue);
    if (reg >= SNAP_QREG_COUNTERS &&
        reg < SNAP_QREG_COUNTERS + 8 * SNAP_QCTR_MAX) {
        *value = snap_read_queue_counter(q, (reg - SNAP_QREG_COUNTERS) / 8);
        return true;
    }
    switch (reg) {
    case SNAP_QREG_TAKE:
        *value = snap_rx_take(q, false);
        return true;
    case SNAP_QREG_TAKE_ARM:
        if (!(s->driver_features & SNAP_F_TAKE_ARM)) {
            return false;
        }
        *value = snap_rx_take(q, true);
        return true;
    case SNAP_QREG_HOLDOFF:
        if (!snap_has_holdoff(s)) {
            return false;
        }
        *value = q->holdoff;
        return true;
    default:
        return false;
    }
}

/* The same to write, or it does not take the value now. */
static bool snap_write_queue(SnapState *s, unsigned queue, hwaddr reg,
                             uint64_t value)
{
    if (reg == SNAP_QREG_DOORBELL) {
        snap_doorbell(s, queue, value);
        return true;
    }
    if (queue == SNAP_QUEUE_CONTROL) {
        return false;
    }
    switch (reg) {
    case SNAP_QREG_ARM:
        if (value > 1) {
            return false;
        }
        snap_rx_arm(snap_queue(s, queue), value);
        return true;
    case SNAP_QREG_HOLDOFF:
        if (!snap_has_holdoff(s) || value > SNAP_HOLDOFF_MAX) {
            return false;
        }
        snap_rx_set_holdoff(snap_queue(s, queue), value);
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
        (snap_split(s, addr, &queue, &reg) ?
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

    if (size == 8 && addr % 8 == 0 &&
        (snap_split(s, addr, &queue, &reg) ?
         snap_write_queue(s, queue, reg, value) :
         snap_write_device(s, addr, value))) {
        return;
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
