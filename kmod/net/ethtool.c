// SPDX-License-Identifier: GPL-2.0-only
/* What ethtool(8) asks the interface, and tells it. */

#include <linux/ethtool.h>

#include "compat/probed.h"
#include "device/dev.h"
#include "device/frame.h"
#include "net/edge.h"
#include "net/netdev.h"

static const char snap_ethtool_counter_names[SNAP_CTR_MAX][ETH_GSTRING_LEN] = {
	[SNAP_CTR_DOORBELLS] = "doorbells",
	[SNAP_CTR_TAKES] = "takes",
	[SNAP_CTR_INTERRUPTS] = "interrupts",
	[SNAP_CTR_BAD_REGISTER] = "bad_register",
	[SNAP_CTR_BAD_DOORBELL] = "bad_doorbell",
	[SNAP_CTR_BAD_ENTRY] = "bad_entry",
	[SNAP_CTR_CAPTURES] = "captures",
	[SNAP_CTR_SHARED_BYTES] = "shared_bytes",
	[SNAP_CTR_COPIED_BYTES] = "copied_bytes",
	[SNAP_CTR_WRITE_FAULTS] = "write_faults",
	[SNAP_CTR_COW_COPIES] = "cow_copies",
	[SNAP_CTR_RELEASED] = "released",
	[SNAP_CTR_TX_PACKETS] = "tx_packets",
	[SNAP_CTR_TX_BYTES] = "tx_bytes",
	[SNAP_CTR_TX_FRAME_BYTES] = "tx_frame_bytes",
	[SNAP_CTR_TX_DMA_BYTES] = "tx_dma_bytes",
	[SNAP_CTR_TX_INLINE_BYTES] = "tx_inline_bytes",
	[SNAP_CTR_TX_DROPPED] = "tx_dropped",
	[SNAP_CTR_TX_PAUSES] = "tx_pauses",
	[SNAP_CTR_RX_PACKETS] = "rx_packets",
	[SNAP_CTR_RX_BYTES] = "rx_bytes",
	[SNAP_CTR_RX_FRAMES] = "rx_frames",
	[SNAP_CTR_RX_DROPPED] = "rx_dropped",
	[SNAP_CTR_RX_STALLS] = "rx_stalls",
	[SNAP_CTR_FREE_FRAMES] = "free_frames",
	[SNAP_CTR_GUEST_FRAMES] = "guest_frames",
	[SNAP_CTR_REGION_FRAMES] = "region_frames",
	[SNAP_CTR_RESERVED_FRAMES] = "reserved_frames",
	[SNAP_CTR_ARMS] = "arms",
	[SNAP_CTR_SNAPSHOTS] = "snapshots",
	[SNAP_CTR_CLONES] = "clones",
	[SNAP_CTR_COMMITS] = "commits",
	[SNAP_CTR_MERGES] = "merges",
	[SNAP_CTR_CONFLICTS] = "conflicts",
	[SNAP_CTR_TRAP_ARMS] = "trap_arms",
	[SNAP_CTR_TRAP_PAGES] = "trap_pages",
	[SNAP_CTR_AHEAD_PAGES] = "ahead_pages",
	[SNAP_CTR_DEDUP_PAGES] = "dedup_pages",
	[SNAP_CTR_REGIONS] = "regions",
	[SNAP_CTR_SNAPSHOTS_HELD] = "snapshots_held",
	[SNAP_CTR_RX_NO_LARGE] = "rx_no_large",
};

/* The driver's own counters follow those of the device. */
static const char snap_ethtool_own_names[][ETH_GSTRING_LEN] = {
	"driver_rx_copied_bytes",
	"driver_tx_dma_packets",
	"driver_out_frames",
	"driver_rx_over_bytes",
	"driver_received_frames",
	"driver_rx_small_bytes",
	"driver_rx_large_packets",
	"driver_edge_packets",
	"driver_edge_bytes",
	"driver_edge_dropped",
};

static int snap_ethtool_get_sset_count(struct net_device *netdev, int set)
{
	return set == ETH_SS_STATS ?
	       SNAP_CTR_MAX + ARRAY_SIZE(snap_ethtool_own_names) : -EOPNOTSUPP;
}

static void snap_ethtool_get_strings(struct net_device *netdev, u32 set, u8 *data)
{
	if (set != ETH_SS_STATS)
		return;
	memcpy(data, snap_ethtool_counter_names, sizeof(snap_ethtool_counter_names));
	memcpy(data + sizeof(snap_ethtool_counter_names), snap_ethtool_own_names,
	       sizeof(snap_ethtool_own_names));
}

static void snap_ethtool_get_stats(struct net_device *netdev,
				   struct ethtool_stats *stats, u64 *data)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	u64 rx_copied = 0, rx_over = 0, rx_small = 0, tx_dma = 0, rx_large = 0;
	unsigned int i;

	for (i = 0; i < sn->sd->nqueues; i++) {
		const struct snap_channel *ch = &sn->channel[i];

		rx_copied += READ_ONCE(ch->rx_copied);
		rx_over += READ_ONCE(ch->rx_over);
		rx_small += READ_ONCE(ch->rx_small);
		rx_large += READ_ONCE(ch->rx_large);
		tx_dma += READ_ONCE(ch->tx_dma);
	}
	for (i = 0; i < SNAP_CTR_MAX; i++)
		*data++ = snap_counter(sn->sd, i);
	*data++ = rx_copied;
	*data++ = tx_dma;
	*data++ = snap_frames_out(sn->sd->frames);
	*data++ = rx_over;
	*data++ = snap_frames_received(sn->sd->frames);
	*data++ = rx_small;
	*data++ = rx_large;
	for (i = 0; i < SNAP_EDGE_COUNTERS; i++)
		*data++ = snap_edge_count(i);
}

static void snap_ethtool_get_drvinfo(struct net_device *netdev,
				     struct ethtool_drvinfo *info)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	strscpy(info->driver, "snap", sizeof(info->driver));
	strscpy(info->bus_info, pci_name(sn->sd->pdev), sizeof(info->bus_info));
}

static void snap_ethtool_get_channels(struct net_device *netdev,
				      struct ethtool_channels *channels)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	channels->max_combined = sn->sd->nqueues;
	channels->combined_count = netdev->real_num_tx_queues;
}

/* The core has compared it with what there is. */
static int snap_ethtool_set_channels(struct net_device *netdev,
				     struct ethtool_channels *channels)
{
	return snap_netdev_set_channels(netdev, channels->combined_count);
}

static int snap_ethtool_get_coalesce(struct net_device *netdev,
				     struct ethtool_coalesce *coalesce,
				     struct kernel_ethtool_coalesce *kernel_coalesce,
				     struct netlink_ext_ack *extack)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	if (!(sn->sd->features & SNAP_F_HOLDOFF))
		return -EOPNOTSUPP;
	coalesce->rx_coalesce_usecs = sn->rx_usecs;
	coalesce->use_adaptive_rx_coalesce = sn->rx_adaptive;
	return 0;
}

/* What is in force, which is of its own choice for each if it is adaptive. */
static int snap_ethtool_get_channel_coalesce(struct net_device *netdev, u32 channel,
					     struct ethtool_coalesce *coalesce)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	if (!(sn->sd->features & SNAP_F_HOLDOFF))
		return -EOPNOTSUPP;
	if (channel >= netdev->real_num_rx_queues)
		return -EINVAL;
	coalesce->rx_coalesce_usecs = READ_ONCE(sn->channel[channel].holdoff);
	coalesce->use_adaptive_rx_coalesce = sn->rx_adaptive;
	return 0;
}

static int snap_ethtool_set_coalesce(struct net_device *netdev,
				     struct ethtool_coalesce *coalesce,
				     struct kernel_ethtool_coalesce *kernel_coalesce,
				     struct netlink_ext_ack *extack)
{
	if (coalesce->rx_coalesce_usecs > SNAP_HOLDOFF_MAX) {
		NL_SET_ERR_MSG_FMT(extack, "rx-usecs is at most %u", SNAP_HOLDOFF_MAX);
		return -EINVAL;
	}
	return snap_moderation_set(netdev_priv(netdev), coalesce->rx_coalesce_usecs,
				   coalesce->use_adaptive_rx_coalesce);
}

static u32 snap_ethtool_get_rx_ring_count(struct net_device *netdev)
{
	return netdev->real_num_rx_queues;
}

#ifndef SNAP_HAVE_RX_RING_COUNT	/* newer ones do not ask by this */
static int snap_ethtool_get_rxnfc(struct net_device *netdev, struct ethtool_rxnfc *rxnfc,
				  u32 *rules)
{
	if (rxnfc->cmd != ETHTOOL_GRXRINGS)
		return -EOPNOTSUPP;
	rxnfc->data = snap_ethtool_get_rx_ring_count(netdev);
	return 0;
}
#endif

static u32 snap_ethtool_get_rxfh_indir_size(struct net_device *netdev)
{
	return snap_steer_possible(netdev_priv(netdev)) ? SNAP_STEER_ENTRIES : 0;
}

static int snap_ethtool_get_rxfh(struct net_device *netdev,
				 struct ethtool_rxfh_param *rxfh)
{
	if (!snap_steer_possible(netdev_priv(netdev)))
		return -EOPNOTSUPP;
	if (rxfh->indir)
		snap_steer_get(netdev, rxfh->indir);
	return 0;
}

static int snap_ethtool_set_rxfh(struct net_device *netdev,
				 struct ethtool_rxfh_param *rxfh,
				 struct netlink_ext_ack *extack)
{
	int err;

	if (rxfh->key || rxfh->hfunc != ETH_RSS_HASH_NO_CHANGE || !rxfh->indir) {
		NL_SET_ERR_MSG(extack, "hash and key are the device's");
		return -EOPNOTSUPP;
	}
	err = snap_steer_set(netdev, rxfh->indir);
	if (err == -EOPNOTSUPP)
		NL_SET_ERR_MSG(extack, "the device cannot be told by which channels flows come");
	return err;
}

/* What is behind the device has no speed that it tells us. */
static int snap_ethtool_get_link_ksettings(struct net_device *netdev,
					   struct ethtool_link_ksettings *settings)
{
	settings->base.speed = SPEED_UNKNOWN;
	settings->base.duplex = DUPLEX_FULL;
	settings->base.port = PORT_OTHER;
	return 0;
}

/* Nothing of rings: there are none; EOPNOTSUPP says so. */
const struct ethtool_ops snap_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_RX_USECS |
				     ETHTOOL_COALESCE_USE_ADAPTIVE_RX,
	.get_coalesce = snap_ethtool_get_coalesce,
	.set_coalesce = snap_ethtool_set_coalesce,
	.get_per_queue_coalesce = snap_ethtool_get_channel_coalesce,
	.get_drvinfo = snap_ethtool_get_drvinfo,
	.get_channels = snap_ethtool_get_channels,
	.set_channels = snap_ethtool_set_channels,
#ifdef SNAP_HAVE_RX_RING_COUNT
	.get_rx_ring_count = snap_ethtool_get_rx_ring_count,
#else
	.get_rxnfc = snap_ethtool_get_rxnfc,
#endif
	.get_rxfh_indir_size = snap_ethtool_get_rxfh_indir_size,
	.get_rxfh = snap_ethtool_get_rxfh,
	.set_rxfh = snap_ethtool_set_rxfh,
	.get_link_ksettings = snap_ethtool_get_link_ksettings,
	.get_link = ethtool_op_get_link,
	.get_sset_count = snap_ethtool_get_sset_count,
	.get_strings = snap_ethtool_get_strings,
	.get_ethtool_stats = snap_ethtool_get_stats,
	.get_ts_info = ethtool_op_get_ts_info,
};
