// SPDX-License-Identifier: GPL-2.0-only
/*
 * By which channels received flows come.  By itself the device takes the one by which
 * the guest has sent of a flow last, so a flow comes where its sender runs; who has told
 * it otherwise keeps that until he tells it something else, or the device is reset.
 */

#include <linux/ethtool.h>

#include "compat/rxfh.h"
#include "device/cmd.h"
#include "device/dev.h"
#include "net/netdev.h"

bool snap_steer_possible(const struct snap_netdev *sn)
{
	return sn->sd->features & SNAP_F_STEER;
}

void snap_steer_get(struct net_device *netdev, u32 *channel)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	u32 i;

	for (i = 0; i < SNAP_STEER_ENTRIES; i++)
		channel[i] = netif_is_rxfh_configured(netdev) ? sn->steer[i] :
			     ethtool_rxfh_indir_default(i, netdev->real_num_rx_queues);
}

static bool snap_steer_is_equal(const struct net_device *netdev, const u32 *channel)
{
	u32 i;

	for (i = 0; i < SNAP_STEER_ENTRIES; i++)
		if (channel[i] !=
		    ethtool_rxfh_indir_default(i, netdev->real_num_rx_queues))
			return false;
	return true;
}

/* Equal over all channels: as the device likes.  ENETDOWN: it cannot do that. */
static int snap_steer_tell(struct net_device *netdev, const u32 *channel)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	struct snap_steer c = {};
	int err;
	u32 i;

	if (snap_steer_is_equal(netdev, channel))
		c.e.flags = cpu_to_le16(SNAP_STEER_FREE);
	else
		for (i = 0; i < SNAP_STEER_ENTRIES; i++)
			c.queue[i] = SNAP_QUEUE_DATA + channel[i];
	err = snap_dev_enter(sn->sd);
	if (err)
		return err;
	err = snap_cmd_mail(sn->sd, &c.e, sizeof(c), SNAP_OP_STEER);
	snap_dev_leave(sn->sd);
	return err;
}

int snap_steer_set(struct net_device *netdev, const u32 *channel)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	int err;
	u32 i;

	if (!snap_steer_possible(sn))
		return -EOPNOTSUPP;
	err = snap_steer_tell(netdev, channel);
	if (err)
		return err == -ENETDOWN ? -EOPNOTSUPP : err;
	for (i = 0; i < SNAP_STEER_ENTRIES; i++)
		sn->steer[i] = channel[i];
	return 0;
}

void snap_steer_again(struct net_device *netdev)
{
	u32 channel[SNAP_STEER_ENTRIES];

	if (!netif_is_rxfh_configured(netdev))
		return;
	/* the core lets no channel go that the table names */
	snap_steer_get(netdev, channel);
	if (snap_steer_tell(netdev, channel)) {
		/* else the core holds to it when channels are to go */
		ethtool_rxfh_indir_lost(netdev);
		netdev_warn(netdev, "flows come by channels of the device's choice\n");
	}
}
