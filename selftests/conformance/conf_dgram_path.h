/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The same to the host and back: over the device, and over virtio-net beside
 * it, where the bytes of regions are copied.
 */
#ifndef SNAP_CONF_DGRAM_PATH_H
#define SNAP_CONF_DGRAM_PATH_H

#include "conf_dgram.h"

FIXTURE_VARIANT_ADD(udp, inet4_dev) {
	.domain = AF_INET, .family = AF_INET, .netdev = NETDEV,
};
FIXTURE_VARIANT_ADD(udp, snap4_dev) {
	.domain = AF_SNAP, .family = AF_INET, .netdev = NETDEV, .region = true,
};
FIXTURE_VARIANT_ADD(udp, snap6_dev) {
	.domain = AF_SNAP, .family = AF_INET6, .netdev = NETDEV, .region = true,
};
FIXTURE_VARIANT_ADD(udp, inet4_virtio) {
	.domain = AF_INET, .family = AF_INET, .netdev = VIRTIO_NETDEV,
};
FIXTURE_VARIANT_ADD(udp, snap6_virtio) {
	.domain = AF_SNAP, .family = AF_INET6, .netdev = VIRTIO_NETDEV,
	.region = true,
};

#endif /* SNAP_CONF_DGRAM_PATH_H */
