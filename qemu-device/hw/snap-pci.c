/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: the PCI function, its properties and its life.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "net/eth.h"
#include "system/kvm.h"
#include "system/replay.h"
#include "standard-headers/linux/virtio_net.h"
#include "snap.h"
#include "snap-compat.h"
#include "trace.h"

#define SNAP_POOL_SIZE_MIN  (4 * MiB)
#define SNAP_POOL_SIZE_MAX  (16 * GiB)
#define SNAP_PCIE_CAP       0xe0

/* The ABI is little-endian, and the code copies its structs as they are. */
QEMU_BUILD_BUG_ON(HOST_BIG_ENDIAN);
/* What the backend puts before a packet is what the ABI calls offload. */
QEMU_BUILD_BUG_ON(sizeof(struct snap_offload) !=
                  sizeof(struct virtio_net_hdr_mrg_rxbuf));
QEMU_BUILD_BUG_ON(sizeof(struct snap_offload) !=
                  sizeof(struct virtio_net_hdr_v1));
QEMU_BUILD_BUG_ON(SNAPNET_RX_STOP <= SNAP_RX_FRAMES_MAX + 1);
QEMU_BUILD_BUG_ON(SNAPNET_RX_RESUME >= SNAP_RX_LOW_MIN);
QEMU_BUILD_BUG_ON(SNAPNET_PARTS_MAX != 1 + SNAP_TX_SEGMENTS_MAX);
QEMU_BUILD_BUG_ON(SNAP_STATUS_OFFSET + SNAP_STATUS_BYTES > SNAP_SLAB_OFFSET);
QEMU_BUILD_BUG_ON(SNAP_MTU_MAX + ETH_HLEN + 4 > SNAP_TX_BYTES_MAX);

void snap_interrupt(SnapState *s, unsigned vector)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (msix_enabled(pdev)) {
        s->counter[SNAP_CTR_INTERRUPTS]++;
        trace_snap_interrupt(s, vector);
        msix_notify(pdev, vector);
    }
}

void snap_publish_frames(SnapState *s)
{
    snapmem_publish_free_frames(s->mem, &s->status->free_frames);
}

void snap_publish(SnapState *s)
{
    snap_publish_frames(s);
    SNAP_FOREACH_QUEUE(q, s) {
        snap_queue_publish(q);
    }
    qatomic_set(&s->status->link_up, snap_link_up(s));
}

void snap_start(SnapState *s)
{
    uint64_t f = s->driver_features;

    if (f & ~s->features) {
        s->state = SNAP_STATE_REFUSED;
        trace_snap_start(s, f, s->state);
        return;
    }
    if (s->vnet_hdr) {
        bool csum = f & SNAP_F_RX_CSUM;
        bool lro = csum && (f & SNAP_F_RX_LRO);

        snap_set_offload(qemu_get_queue(s->nic)->peer, csum, lro);
    }
    s->state = SNAP_STATE_RUNNING;
    trace_snap_start(s, f, s->state);
    SNAP_FOREACH_QUEUE(q, s) {
        snapnet_start(q->packets, f);
        /* Packets may have waited for us. */
        qemu_bh_schedule(q->rx_bh);
    }
}

void snap_reset(SnapState *s)
{
    s->state = SNAP_STATE_IDLE;
    s->driver_features = 0;
    s->unfinished_op = 0;
    snap_queues_reset(s);
    snapmem_reset(s->mem);
    s->status->resets++;
    snap_publish(s);
    trace_snap_reset(s, s->status->resets);
}

static void snap_reset_hold(Object *obj, ResetType type)
{
    snap_reset(SNAP(obj));
}

static void snap_write_config(PCIDevice *pdev, uint32_t addr, uint32_t value,
                              int length)
{
    pci_default_write_config(pdev, addr, value, length);
    if (pdev->exp.exp_cap) {
        pcie_cap_flr_write_config(pdev, addr, value, length);
        pcie_aer_write_config(pdev, addr, value, length);
    }
}

static NetClientInfo snap_net_info = {
    .type = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NICState),
    .can_receive = snap_can_receive,
    .receive = snap_receive,
    .link_status_changed = snap_link_status_changed,
};

static bool snap_check_size(const char *name, uint64_t size, Error **errp)
{
    if (size < SNAP_POOL_SIZE_MIN || size > SNAP_POOL_SIZE_MAX ||
        size % SNAP_POOL_ALIGN) {
        error_setg(errp, "snap: %s=%" PRIu64 ": must be a multiple of 2 MiB "
                   "from 4 MiB to 16 GiB", name, size);
        return false;
    }
    return true;
}

/* A data queue for each of the backend, and one without a backend. */
static bool snap_check_queues(SnapState *s, Error **errp)
{
    if (s->conf.peers.queues > SNAP_QUEUES_MAX) {
        error_setg(errp, "snap: netdev '%s' has %d queues, the device takes "
                   "%d: give it queues=%d or less", s->conf.peers.ncs[0]->name,
                   s->conf.peers.queues, SNAP_QUEUES_MAX, SNAP_QUEUES_MAX);
        return false;
    }
    if (s->conf.peers.queues > 1 &&
        s->conf.peers.ncs[0]->info->type != NET_CLIENT_DRIVER_TAP) {
        error_setg(errp, "snap: netdev '%s' has %d queues, and only those of a "
                   "tap can be left out where the guest uses fewer: give it "
                   "queues=1", s->conf.peers.ncs[0]->name,
                   s->conf.peers.queues);
        return false;
    }
    s->queues = MAX(1, s->conf.peers.queues);
    s->vectors = SNAP_VECTOR_DATA + s->queues;
    return true;
}

/* Mappings of this process, which all devices share, are known only now. */
static void snap_check_mappings(SnapState *s)
{
    uint32_t lacking = snapmem_maps_lacking(s->mem);

    if (snapmem_can_share(s->mem) && lacking) {
        warn_report("snap: %u of %u window pages have no mapping of the host, "
                    "sparse regions and clones of many pages will fail "
                    "(NO_FRAMES): raise vm.max_map_count by %" PRIu64,
                    MIN(lacking, s->window_pages), s->window_pages,
                    2 * (uint64_t)lacking);
    }
}

/* Check all properties and make the engine from them. */
static bool snap_make_engine(SnapState *s, Error **errp)
{
    const char *why = NULL;
    snapmem_config config = { };
    uint32_t reserve;

    s->window_bytes = s->window_size ? s->window_size : s->pool_size;
    if (!snap_check_size("pool-size", s->pool_size, errp) ||
        !snap_check_size("window-size", s->window_bytes, errp) ||
        !snap_check_queues(s, errp) || !snap_path_check(s, errp)) {
        return false;
    }
    s->frames = s->pool_size / SNAP_FRAME_SIZE;
    s->window_pages = s->window_bytes / SNAP_FRAME_SIZE;
    reserve = s->rx_reserve ? s->rx_reserve : MIN(1024, s->frames / 8);
    if (reserve < SNAP_RX_RESERVE_MIN || reserve > s->frames / 2) {
        error_setg(errp, "snap: rx-reserve=%u: must be from %u to %u, half "
                   "of the frames of the pool", reserve,
                   SNAP_RX_RESERVE_MIN, s->frames / 2);
        return false;
    }
    s->rx_low = MAX(SNAP_RX_LOW_MIN, reserve / 2);

    config.frames = s->frames;
    config.window_pages = s->window_pages;
    config.rx_reserve = reserve;
    config.mode = s->capture;
    config.dedup = s->dedup;
    config.queues = s->queues;
    s->mem = snapmem_new(&config, kvm_enabled(), &why);
    if (!s->mem) {
        error_setg(errp, "snap: no snapshot memory: %s", why);
        return false;
    }
    s->features |= SNAP_F_STEPS | SNAP_F_TAKE_ARM | SNAP_F_HOLDOFF;
    if (s->large_frames) {
        s->features |= SNAP_F_LARGE_FRAMES;
    }
    if (snapmem_can_share(s->mem)) {
        s->features |= SNAP_F_SNAPSHOT;
    } else {
        warn_report("snap: captures copy, and there are no snapshots: %s",
                    snapmem_trap_advice(kvm_enabled()));
    }
    snap_check_mappings(s);
    return true;
}

/*
 * The memory BAR.  Status area and slabs are ordinary RAM of QEMU; pool and
 * windows belong to the engine.
 */
static bool snap_make_memory(SnapState *s, Error **errp)
{
    Object *owner = OBJECT(s);
    uint64_t slab_bytes = (1 + s->queues) * SNAP_SLAB_BYTES, end;

    s->pool_offset = ROUND_UP(SNAP_SLAB_OFFSET + slab_bytes, SNAP_POOL_ALIGN);
    s->large_offset = s->pool_offset + s->pool_size;
    s->window_offset = s->large_offset + s->pool_size;
    end = s->window_offset + s->window_bytes;
    memory_region_init(&s->memory, owner, "snap.memory", pow2ceil(end));
    if (!memory_region_init_rom_nomigrate(&s->status_area, owner,
                                          "snap.status", SNAP_STATUS_BYTES,
                                          errp) ||
        !memory_region_init_ram_nomigrate(&s->slabs, owner, "snap.slabs",
                                          slab_bytes, errp)) {
        return false;
    }
    memory_region_init_ram_ptr(&s->pool, owner, "snap.pool", s->pool_size,
                               snapmem_pool(s->mem));
    memory_region_set_readonly(&s->pool, true);
    memory_region_init_alias(&s->large_pool, owner, "snap.large-pool",
                             &s->pool, 0, s->pool_size);
    /*
     * Nobody but processors may store to the windows from where they are:
     * whoever had a pointer into them, a block device with O_DIRECT say,
     * would let the kernel store behind the trap.  DMA to memory of this kind
     * goes through a bounce buffer.
     */
    memory_region_init_ram_device_ptr(&s->windows, owner, "snap.windows",
                                      s->window_bytes,
                                      snapmem_window(s->mem));

    memory_region_add_subregion(&s->memory, SNAP_STATUS_OFFSET,
                                &s->status_area);
    memory_region_add_subregion(&s->memory, SNAP_SLAB_OFFSET, &s->slabs);
    memory_region_add_subregion(&s->memory, s->pool_offset, &s->pool);
    memory_region_add_subregion(&s->memory, s->large_offset, &s->large_pool);
    memory_region_add_subregion(&s->memory, s->window_offset, &s->windows);
    s->status = memory_region_get_ram_ptr(&s->status_area);
    s->slab = memory_region_get_ram_ptr(&s->slabs);
    return true;
}

/* Each area holds a reference on its owner, us, for as long as it is in. */
static void snap_unmake_memory(SnapState *s)
{
    MemoryRegion *area[] = {
        &s->status_area, &s->slabs, &s->large_pool, &s->pool, &s->windows,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(area); i++) {
        if (area[i]->container) {
            memory_region_del_subregion(&s->memory, area[i]);
        }
    }
}

/*
 * As every PCI Express function has it: D0 and D3hot, in which QEMU turns the
 * BARs off.  All that the device has stays as it is meanwhile.
 */
static bool snap_add_power_management(PCIDevice *pdev, Error **errp)
{
    int at = pci_pm_init(pdev, 0, errp);

    if (at < 0) {
        return false;
    }
    pci_set_word(pdev->config + at + PCI_PM_PMC, PCI_PM_CAP_VER_1_2);
    pci_set_word(pdev->config + at + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
    pci_set_word(pdev->wmask + at + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
    return true;
}

static void snap_make_nic(SnapState *s)
{
    DeviceState *dev = DEVICE(s);
    NetClientState *nc;

    qemu_macaddr_default_if_unset(&s->conf.macaddr);
    s->nic = qemu_new_nic(&snap_net_info, &s->conf,
                          object_get_typename(OBJECT(s)), dev->id,
                          &dev->mem_reentrancy_guard, s);
    nc = qemu_get_queue(s->nic);
    qemu_format_nic_info_str(nc, s->conf.macaddr.a);
    s->vnet_hdr = qemu_has_vnet_hdr_len(nc->peer, sizeof(struct snap_offload));
    for (unsigned i = 0; i < s->queues; i++) {
        nc = qemu_get_subqueue(s->nic, i);
        nc->do_not_pad = true;
        if (s->vnet_hdr) {
            qemu_set_vnet_hdr_len(nc->peer, sizeof(struct snap_offload));
        }
    }
    if (s->vnet_hdr) {
        s->features |= SNAP_F_OFFLOADS;
        if (qemu_has_uso(nc->peer)) {
            s->features |= SNAP_F_USO;
        }
    }
}

/*
 * The machine's state is not to come from elsewhere.  vmstate_snap refuses
 * the state itself, whenever it comes; this says so before anybody waits.
 */
static bool snap_check_machine(Error **errp)
{
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "snap: the snapshot memory NIC does not support "
                   "migration: start without -incoming");
        return false;
    }
    if (replay_mode != REPLAY_MODE_NONE) {
        error_setg(errp, "snap: the snapshot memory NIC does not support "
                   "record and replay: its thread and its backend are not "
                   "recorded");
        return false;
    }
    return true;
}

static void snap_realize(PCIDevice *pdev, Error **errp)
{
    SnapState *s = SNAP(pdev);

    if (!snap_check_machine(errp)) {
        return;
    }
    /*
     * Pages of the windows change under their RAMBlock, without telling
     * anybody: whoever pins guest memory (device assignment) would keep the
     * old ones.
     */
    if (ram_block_discard_require(true)) {
        error_setg(errp, "snap: cannot share a machine with assigned devices "
                   "or whatever else pins guest memory");
        return;
    }
    if (!snap_make_engine(s, errp) || !snap_make_memory(s, errp)) {
        goto allow_pinning;
    }
    memory_region_init_io(&s->regs, OBJECT(s), &snap_regs_ops, s,
                          "snap.registers", SNAP_REGS_SIZE);
    pci_register_bar(pdev, SNAP_BAR_REGS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->regs);
    pci_register_bar(pdev, SNAP_BAR_MEMORY,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->memory);
    if (pci_bus_is_express(pci_get_bus(pdev))) {
        if (pcie_endpoint_cap_init(pdev, SNAP_PCIE_CAP) < 0) {
            error_setg(errp, "snap: no room for the PCI Express capability");
            goto unmake_memory;
        }
        pcie_cap_flr_init(pdev);
        if (!snap_add_power_management(pdev, errp)) {
            goto unmake_memory;
        }
        if (pcie_aer_init(pdev, PCI_ERR_VER, PCI_CONFIG_SPACE_SIZE,
                          PCI_ERR_SIZEOF, errp) < 0) {
            goto unmake_memory;
        }
    }
    if (msix_init_exclusive_bar(pdev, s->vectors, SNAP_BAR_MSIX, errp)) {
        goto drop_errors;
    }
    for (unsigned i = 0; i < s->vectors; i++) {
        msix_vector_use(pdev, i);
    }
    snap_make_nic(s);
    if (!snap_queues_init(s, errp)) {
        goto drop_nic;
    }
    if (snap_steer_possible(s)) {
        s->features |= SNAP_F_STEER;
    }
    snap_activate(s, 1);
    snap_link_watch(s);
    snap_publish(s);
    return;

drop_nic:
    qemu_del_nic(s->nic);
    msix_uninit_exclusive_bar(pdev);
drop_errors:
    pcie_aer_exit(pdev);
unmake_memory:
    snap_unmake_memory(s);
allow_pinning:
    ram_block_discard_require(false);
}

/*
 * A processor may have found a register of ours and wait for the BQL, which
 * the one that unplugs us has: it gets here when everything below is freed.
 * The MemoryRegions live until nobody can find them any more.  The table of
 * MSI-X is QEMU's, but no less of ours: its own operations would abort.
 */
static void snap_close_registers(SnapState *s)
{
    MemoryRegion *region[] = {
        &s->regs, &s->parent_obj.msix_table_mmio, &s->parent_obj.msix_pba_mmio,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(region); i++) {
        region[i]->ops = &snap_gone_ops;
    }
}

static void snap_exit(PCIDevice *pdev)
{
    SnapState *s = SNAP(pdev);

    snap_close_registers(s);
    /* First, so that dropping packets below raises no interrupt. */
    s->state = SNAP_STATE_IDLE;
    snap_link_unwatch(s);
    /* A tap may outlive us. */
    snap_steer_free(s);
    snap_queues_exit(s);
    qemu_del_nic(s->nic);
    snap_queues_free(s);
    msix_uninit_exclusive_bar(pdev);
    pcie_aer_exit(pdev);
    snap_unmake_memory(s);
    ram_block_discard_require(false);
}

static void snap_instance_init(Object *obj)
{
    /* A PCI Express function where the bus is one; the bus decides. */
    PCI_DEVICE(obj)->cap_present |= QEMU_PCI_CAP_EXPRESS;
}

static void snap_instance_finalize(Object *obj)
{
    /* Only now no MemoryRegion is left that leads to the engine's memory. */
    snapmem_free(SNAP(obj)->mem);
}

/* Nothing can be saved: the state of a machine with this device is refused. */
static const VMStateDescription vmstate_snap = {
    .name = TYPE_SNAP,
    .unmigratable = 1,
};

static const Property snap_properties[] = {
    DEFINE_NIC_PROPERTIES(SnapState, conf),
    DEFINE_PROP_SIZE("pool-size", SnapState, pool_size, 64 * MiB),
    DEFINE_PROP_SIZE("window-size", SnapState, window_size, 0),
    DEFINE_PROP_UINT32("rx-reserve", SnapState, rx_reserve, 0),
    DEFINE_PROP_BOOL("dedup", SnapState, dedup, false),
    DEFINE_PROP_UINT32("x-datapath-delay", SnapState, datapath_delay, 0),
    DEFINE_PROP_UINT32("x-datapath-packets", SnapState, datapath_packets, 0),
    DEFINE_PROP_BOOL("x-large-frames", SnapState, large_frames, true),
    DEFINE_PROP_UINT32("x-abi-version", SnapState, abi_version, SNAP_VERSION),
};

static const QEnumLookup snap_capture_lookup = {
    .array = (const char *const[]) {
        [SNAPMEM_AUTO] = "auto",
        [SNAPMEM_SHARE] = "share",
        [SNAPMEM_COPY] = "copy",
    },
    .size = SNAPMEM_COPY + 1,
};

static int snap_get_capture(Object *obj, Error **errp)
{
    return SNAP(obj)->capture;
}

static void snap_set_capture(Object *obj, int value, Error **errp)
{
    if (DEVICE(obj)->realized) {
        error_setg(errp, "snap: capture cannot change any more");
        return;
    }
    SNAP(obj)->capture = value;
}

static const QEnumLookup snap_datapath_lookup = {
    .array = (const char *const[]) {
        [SNAP_DATAPATH_AUTO] = "auto",
        [SNAP_DATAPATH_THREAD] = "thread",
        [SNAP_DATAPATH_MAIN] = "main",
    },
    .size = SNAP_DATAPATH_MAIN + 1,
};

static int snap_get_datapath(Object *obj, Error **errp)
{
    return SNAP(obj)->datapath;
}

static void snap_set_datapath(Object *obj, int value, Error **errp)
{
    if (DEVICE(obj)->realized) {
        error_setg(errp, "snap: datapath cannot change any more");
        return;
    }
    SNAP(obj)->datapath = value;
}

static bool snap_get_threaded(Object *obj, Error **errp)
{
    SnapState *s = SNAP(obj);
    bool threaded = s->active > 0;

    for (unsigned i = 1; i <= s->active; i++) {
        threaded &= snap_queue(s, i)->threaded;
    }
    return threaded;
}

/*
 * For tests, while the machine runs: the threads leave all as it is, as they do
 * in a machine that is stopped; and how many packets wait for them.
 */
static bool snap_get_halted(Object *obj, Error **errp)
{
    return SNAP(obj)->datapath_halted;
}

static void snap_set_halted(Object *obj, bool value, Error **errp)
{
    snap_queues_set_halted(SNAP(obj), value);
}

static void snap_get_waiting(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    uint32_t waiting = snap_queues_waiting(SNAP(obj));

    visit_type_uint32(v, name, &waiting, errp);
}

static void snap_class_init(ObjectClass *class, SnapClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(class);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(class);
    ResettableClass *rc = RESETTABLE_CLASS(class);
    ObjectProperty *capture, *datapath;

    k->realize = snap_realize;
    k->exit = snap_exit;
    k->config_write = snap_write_config;
    k->vendor_id = SNAP_PCI_VENDOR;
    k->device_id = SNAP_PCI_DEVICE;
    k->revision = SNAP_VERSION;
    k->class_id = PCI_CLASS_NETWORK_ETHERNET;
    rc->phases.hold = snap_reset_hold;
    dc->desc = "Snapshot memory NIC";
    dc->vmsd = &vmstate_snap;
    device_class_set_props(dc, snap_properties);
    set_bit(DEVICE_CATEGORY_NETWORK, dc->categories);

    capture = object_class_property_add_enum(class, "capture", "SnapCapture",
                                             &snap_capture_lookup,
                                             snap_get_capture,
                                             snap_set_capture);
    object_property_set_default_str(capture, "auto");
    datapath = object_class_property_add_enum(class, "datapath",
                                              "SnapDatapath",
                                              &snap_datapath_lookup,
                                              snap_get_datapath,
                                              snap_set_datapath);
    object_property_set_default_str(datapath, "auto");
    object_class_property_add_bool(class, "threaded", snap_get_threaded, NULL);
    object_class_property_add_bool(class, "x-datapath-halted", snap_get_halted,
                                   snap_set_halted);
    object_class_property_add(class, "x-datapath-waiting", "uint32",
                              snap_get_waiting, NULL, NULL, NULL);
    object_class_property_set_description(class, "threaded",
        "Do threads move the packets of all active queues now?");
    object_class_property_set_description(class, "datapath",
        "Who moves packets: thread (of each queue of a tap), main (loop) or "
        "auto");
    object_class_property_set_description(class, "pool-size",
        "Memory for snapshots and received packets, a multiple of 2 MiB");
    object_class_property_set_description(class, "window-size",
        "Address space for regions (default: as pool-size)");
    object_class_property_set_description(class, "capture",
        "How to capture what is sent: auto, share or copy");
    object_class_property_set_description(class, "rx-reserve",
        "Frames of the pool that only reception may use");
    object_class_property_set_description(class, "dedup",
        "Let equal pages of snapshots of one owner share a frame");
}

static void snap_register_types(void)
{
    static InterfaceInfo interfaces[] = {
        { INTERFACE_PCIE_DEVICE },
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    };
    static const TypeInfo info = {
        .name = TYPE_SNAP,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(SnapState),
        .instance_init = snap_instance_init,
        .instance_finalize = snap_instance_finalize,
        .class_init = snap_class_init,
        .interfaces = interfaces,
    };

    type_register_static(&info);
}
type_init(snap_register_types)
