/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the versions of QEMU that the device is built in.  A
 * tree of one version needs only one of each pair.
 */
#ifndef HW_SNAP_COMPAT_H
#define HW_SNAP_COMPAT_H

#include "net/net.h"

#define SNAP_QEMU_SINCE(major, minor)                               \
    (QEMU_VERSION_MAJOR > (major) ||                                \
     (QEMU_VERSION_MAJOR == (major) && QEMU_VERSION_MINOR >= (minor)))

#if SNAP_QEMU_SINCE(10, 1)
typedef const void SnapClassData;
#else
typedef void SnapClassData;
#endif

/* What the backend may leave to the guest: checksums, large TCP packets. */
static inline void snap_set_offload(NetClientState *nc, bool csum, bool lro)
{
#if SNAP_QEMU_SINCE(10, 2)
    NetOffloads offloads = {
        .csum = csum, .tso4 = lro, .tso6 = lro, .ecn = lro,
    };

    qemu_set_offload(nc, &offloads);
#else
    qemu_set_offload(nc, csum, lro, lro, lro, 0, 0, 0);
#endif
}

#endif /* HW_SNAP_COMPAT_H */
