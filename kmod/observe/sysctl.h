/* SPDX-License-Identifier: GPL-2.0-only */
/* The sysctls net.snap.* of a network namespace. */
#ifndef SNAP_SYSCTL_H
#define SNAP_SYSCTL_H

struct ctl_table_header;
struct net;

/**
 * struct snap_sysctl - values; read with READ_ONCE(), written by sysctl
 * @copybreak: bytes, of new sockets
 * @by_reference: send by reference at all
 * @lo_by_reference: also over the loopback device
 * @other_devices: also over devices that are not the region's own
 * @sockets: new sockets can be had
 * @header: of the table in /proc/sys
 */
struct snap_sysctl {
	int copybreak;
	int by_reference;
	int lo_by_reference;
	int other_devices;
	int sockets;
	struct ctl_table_header *header;
};

const struct snap_sysctl *snap_sysctl_of(struct net *net);

int snap_sysctl_init(void);
void snap_sysctl_exit(void);

#endif /* SNAP_SYSCTL_H */
