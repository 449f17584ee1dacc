// SPDX-License-Identifier: GPL-2.0-only
/* The module: its parts in the order in which they need each other. */

#include <linux/module.h>
#include <linux/net.h>

#include "device/dev.h"
#include "device/frame.h"
#include "memory/file.h"
#include "memory/misc.h"
#include "net/edge.h"
#include "net/netdev.h"
#include "net/rescue.h"
#include "observe/list.h"
#include "observe/proc.h"
#include "observe/stats.h"
#include "observe/sysctl.h"
#include "snap.h"
#include "socket/sock.h"
#include "socket/view.h"

static int __init snap_init(void)
{
	int err;

	err = snap_stats_init();
	if (err)
		return err;
	err = snap_list_init();
	if (err)
		goto exit_stats;
	err = snap_proc_init();
	if (err)
		goto exit_list;
	err = snap_sysctl_init();
	if (err)
		goto exit_proc;
	err = snap_frames_init();
	if (err)
		goto exit_sysctl;
	err = snap_edge_init();
	if (err)
		goto exit_frames;
	/* who is told of devices, in this order */
	snap_netdev_init();
	snap_files_init();
	snap_views_init();
	err = snap_rescue_init();
	if (err)
		goto exit_views;
	err = snap_pci_register();
	if (err)
		goto exit_rescue;
	err = snap_misc_init();
	if (err)
		goto unregister_pci;
	err = snap_sock_init();
	if (err)
		goto exit_misc;
	return 0;

exit_misc:
	snap_misc_exit();
unregister_pci:
	snap_pci_unregister();
exit_rescue:
	snap_rescue_exit();
exit_views:
	snap_views_exit();
	snap_files_exit();
	snap_netdev_exit();
	snap_edge_exit();
exit_frames:
	snap_frames_exit();
exit_sysctl:
	snap_sysctl_exit();
exit_proc:
	snap_proc_exit();
exit_list:
	snap_list_exit();
exit_stats:
	snap_stats_exit();
	return err;
}

static void __exit snap_exit(void)
{
	snap_sock_exit();
	snap_misc_exit();
	snap_pci_unregister();
	snap_rescue_exit();
	snap_views_exit();
	snap_files_exit();
	snap_netdev_exit();
	snap_edge_exit();
	snap_frames_exit();
	snap_sysctl_exit();
	snap_proc_exit();
	snap_list_exit();
	snap_stats_exit();
}

module_init(snap_init);
module_exit(snap_exit);

MODULE_DESCRIPTION("Snapshot memory network device and AF_SNAP sockets");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.2");	/* LIBSNAP_VERSION, which a test compares */
MODULE_ALIAS_NETPROTO(18);	/* AF_SNAP: the macro wants the digits */
