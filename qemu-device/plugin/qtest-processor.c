/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A processor for the qtest, which has none of its own: "snap-processor" is a
 * thread that uses the registers and the memory of a snap device as a virtual
 * CPU does.  It finds what lies at an address in an RCU read section, and
 * takes the BQL after that, only for registers.  So it meets a device that
 * goes away while it waits.
 *
 * "dma-is-direct" asks whether another device would get a pointer to where the
 * windows are, by which the kernel could store there.
 *
 * It goes on for as long as it exists, whether there is a device or not: what
 * it reads is never believed, and nothing is expected of it.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "hw/pci/pci_device.h"
#include "hw/qdev-core.h"
#include "hw/qdev-properties.h"
#include "standard-headers/linux/snap_device.h"
#include "snap-compat.h"
#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
#else
#include "exec/address-spaces.h"
#endif

#define TYPE_SNAP_PROCESSOR "snap-processor"
OBJECT_DECLARE_SIMPLE_TYPE(SnapProcessor, SNAP_PROCESSOR)

struct SnapProcessor {
    DeviceState parent_obj;

    /* Properties: bus addresses of the device, and who we are */
    uint64_t registers, msix, slab, window;
    uint32_t index;
    bool idle;

    QemuThread thread;
    bool stop;
    uint32_t random;
    uint64_t slab_bytes;
};

/* How far apart processors are in one slab; an entry of every kind fits. */
#define ROOM 0x8000
/* Data queues that the device may have. */
#define QUEUES 3

static uint32_t draw(SnapProcessor *p, uint32_t below)
{
    p->random = p->random * 1664525 + 1013904223;
    return (p->random >> 8) % below;
}

static void store(hwaddr at, const void *from, size_t bytes)
{
    address_space_write(&address_space_memory, at, MEMTXATTRS_UNSPECIFIED,
                        from, bytes);
}

static void load(hwaddr at, void *to, size_t bytes)
{
    address_space_read(&address_space_memory, at, MEMTXATTRS_UNSPECIFIED, to,
                       bytes);
}

static void set(SnapProcessor *p, hwaddr reg, uint64_t value)
{
    store(p->registers + reg, &value, sizeof(value));
}

static uint64_t get(SnapProcessor *p, hwaddr reg)
{
    uint64_t value = 0;

    load(p->registers + reg, &value, sizeof(value));
    return value;
}

/* An entry, its doorbell, and its answer. */
static bool ring(SnapProcessor *p, unsigned queue, void *entry, size_t bytes)
{
    uint64_t place = p->index * ROOM;
    struct snap_entry *e = entry;

    store(p->slab + queue * p->slab_bytes + place, entry, bytes);
    set(p, SNAP_QUEUE_PAGE(queue) + SNAP_QREG_DOORBELL, place);
    load(p->slab + queue * p->slab_bytes + place, entry, bytes);
    return e->status == SNAP_ST_OK;
}

/* A region, a capture, a snapshot, a store that is trapped, a packet. */
static void use(SnapProcessor *p)
{
    uint32_t npages = 1 + draw(p, 8);
    struct snap_region_create create = {
        .e.op = SNAP_OP_REGION_CREATE, .npages = npages,
        .hint = SNAP_HINT_KEEP, .quota = SNAP_QUOTA_NONE,
    };
    struct snap_tx tx = {
        .e.op = SNAP_OP_TX, .length = 60, .nsegs = 1,
        .seg[0] = { .addr = p->index * ROOM, .length = 60,
                    .kind = SNAP_SEG_INLINE },
    };
    struct snap_capture capture = { .e.op = SNAP_OP_CAPTURE };
    struct snap_snapshot_create snapshot = { .e.op = SNAP_OP_SNAPSHOT };
    struct snap_region_destroy destroy = { .e.op = SNAP_OP_REGION_DESTROY };
    /* Maybe of a queue that is not active, or not there. */
    unsigned queue = draw(p, 4) ? SNAP_QUEUE_DATA : 1 + draw(p, QUEUES);

    if (ring(p, SNAP_QUEUE_CONTROL, &create, sizeof(create))) {
        capture.region = create.region;
        capture.length = npages * SNAP_FRAME_SIZE;
        ring(p, queue, &capture, sizeof(capture));
        snapshot.region = create.region;
        snapshot.quota = SNAP_QUOTA_NONE;
        ring(p, SNAP_QUEUE_CONTROL, &snapshot, sizeof(snapshot));
        store(p->window + create.window_page * (hwaddr)SNAP_FRAME_SIZE,
              &p->random, sizeof(p->random));
        if (draw(p, 2)) {
            destroy.region = create.region;
            ring(p, SNAP_QUEUE_CONTROL, &destroy, sizeof(destroy));
        }
    }
    ring(p, queue, &tx, sizeof(tx));
}

static void *snap_processor_run(void *opaque)
{
    SnapProcessor *p = opaque;
    uint32_t word = 0;

    rcu_register_thread();
    while (!qatomic_read(&p->stop)) {
        switch (draw(p, 18)) {
        case 0:
            set(p, SNAP_REG_CONTROL, SNAP_CTL_RESET);
            break;
        case 1:
            set(p, SNAP_REG_DRIVER_FEATURES,
                SNAP_F_SNAPSHOT | SNAP_F_TAKE_ARM | SNAP_F_HOLDOFF);
            set(p, SNAP_REG_CONTROL, SNAP_CTL_START);
            break;
        case 2:
            load(p->msix + 4 * draw(p, 8), &word, sizeof(word));
            break;
        case 3:
            store(p->msix + 4 * draw(p, 8), &word, sizeof(word));
            break;
        case 4:
            load(p->msix + 0x800, &word, sizeof(word));
            break;
        case 5:
            get(p, SNAP_REG_COUNTERS + 8 * draw(p, SNAP_CTR_MAX));
            break;
        case 6:
            set(p, SNAP_QUEUE_PAGE(1) + SNAP_QREG_ARM, 1);
            break;
        case 7 ... 8:
            get(p, SNAP_QUEUE_PAGE(1) + SNAP_QREG_TAKE);
            break;
        case 9:
            get(p, SNAP_QUEUE_PAGE(1) + SNAP_QREG_TAKE_ARM);
            break;
        case 10:
            set(p, SNAP_REG_ACTIVE, 1 + draw(p, QUEUES));
            break;
        case 11:
            set(p, SNAP_QUEUE_PAGE(1) + SNAP_QREG_HOLDOFF,
                draw(p, SNAP_HOLDOFF_MAX));
            break;
        default:
            use(p);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void snap_processor_realize(DeviceState *dev, Error **errp)
{
    SnapProcessor *p = SNAP_PROCESSOR(dev);

    p->slab_bytes = 2 * ROOM;
    p->random = p->index + 1;
    if (!p->idle) {
        qemu_thread_create(&p->thread, "snap-processor", snap_processor_run, p,
                           QEMU_THREAD_JOINABLE);
    }
}

static void snap_processor_unrealize(DeviceState *dev)
{
    SnapProcessor *p = SNAP_PROCESSOR(dev);

    if (p->idle) {
        return;
    }
    qatomic_set(&p->stop, true);
    /* It may wait for the lock that we have. */
    bql_unlock();
    qemu_thread_join(&p->thread);
    bql_lock();
}

static bool snap_processor_dma(Object *obj, Error **errp)
{
    SnapProcessor *p = SNAP_PROCESSOR(obj);
    hwaddr bytes = 1;
    uint8_t before, after;
    uint8_t *pointer;

    load(p->window, &before, 1);
    pointer = address_space_map(&address_space_memory, p->window, &bytes, true,
                                MEMTXATTRS_UNSPECIFIED);
    if (!pointer) {
        error_setg(errp, "no room for DMA");
        return false;
    }
    *pointer = ~before;
    load(p->window, &after, 1);
    address_space_unmap(&address_space_memory, pointer, 1, true, 0);
    return after != before;
}

static const Property snap_processor_properties[] = {
    DEFINE_PROP_UINT64("registers", SnapProcessor, registers, 0),
    DEFINE_PROP_UINT64("msix", SnapProcessor, msix, 0),
    DEFINE_PROP_UINT64("slab", SnapProcessor, slab, 0),
    DEFINE_PROP_UINT64("window", SnapProcessor, window, 0),
    DEFINE_PROP_UINT32("index", SnapProcessor, index, 0),
    DEFINE_PROP_BOOL("idle", SnapProcessor, idle, false),
};

static void snap_processor_class_init(ObjectClass *class, SnapClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(class);

    dc->desc = "Thread that uses a snap device, for the qtest";
    dc->realize = snap_processor_realize;
    dc->unrealize = snap_processor_unrealize;
    device_class_set_props(dc, snap_processor_properties);
    object_class_property_add_bool(class, "dma-is-direct", snap_processor_dma,
                                   NULL);
}

static const TypeInfo snap_processor_info = {
    .name = TYPE_SNAP_PROCESSOR,
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(SnapProcessor),
    .class_init = snap_processor_class_init,
};

static void snap_processor_register(void)
{
    type_register_static(&snap_processor_info);
}
type_init(snap_processor_register)
