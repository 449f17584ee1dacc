/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second half of the plug-in beside the device itself: the structures
 * that it shares with QEMU must be laid out here as they are there.
 *
 * QEMU tells where fields of a PCIDevice are, because it migrates them.  The
 * last lies behind several MemoryRegions, an AddressSpace and the DeviceState.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "hw/pci/pci_device.h"
#include "migration/vmstate.h"

static bool lies_at(const char *name, size_t offset)
{
    const VMStateField *field = vmstate_pci_device.fields;

    while (field->name && !g_str_equal(field->name, name)) {
        field++;
    }
    return field->name && field->offset == offset;
}

static void snap_check_layout(void)
{
    size_t shift = 0;

#ifdef SNAP_QEMU_FAULTS
    shift = g_strcmp0(g_getenv("SNAP_QEMU_FAULT"), "layout") == 0;
#endif
    if (!lies_at("config", offsetof(PCIDevice, config)) ||
        !lies_at("irq_state", offsetof(PCIDevice, irq_state)) ||
        !lies_at("version_id", offsetof(PCIDevice, version_id) + shift)) {
        /* Too early for error_report() and for what exit() would call. */
        fputs("snap-device.so: a PCIDevice of this QEMU is laid out"
              " otherwise: build the plug-in from its source\n", stderr);
        _exit(1);
    }
}

/* When all types are known and before there is a machine. */
migration_init(snap_check_layout);
