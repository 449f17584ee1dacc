// SPDX-License-Identifier: GPL-2.0-only
/* The network interface; see netdev.h. */

#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "device/dev.h"
#include "device/frame.h"
#include "device/part.h"
#include "net/edge.h"
#include "net/netdev.h"

/* A backend that does not read pauses TX, rightly, for longer than a wire does. */
#define SNAP_NETDEV_TX_TIMEOUT	(30 * HZ)

static irqreturn_t snap_netdev_data_irq(int irq, void *arg)
{
	struct snap_netdev *sn = arg;

	/* The device has disarmed itself. */
	napi_schedule(&sn->napi);
	return IRQ_HANDLED;
}

static irqreturn_t snap_netdev_control_irq(int irq, void *arg)
{
	struct snap_netdev *sn = arg;

	schedule_work(&sn->link_work);
	return IRQ_HANDLED;
}

/*
 * The only one who reads the link's state and sets the carrier, and never runs
 * twice at a time: what was read last is what is set last.
 */
static void snap_netdev_link_work(struct work_struct *work)
{
	struct snap_netdev *sn = container_of(work, struct snap_netdev, link_work);
	struct snap_dev *sd = sn->sd;

	if (!READ_ONCE(sd->gone) && le32_to_cpu(READ_ONCE(sd->status->link_up)))
		netif_carrier_on(sd->netdev);
	else
		netif_carrier_off(sd->netdev);
}

static int snap_netdev_open(struct net_device *netdev)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	napi_enable(&sn->napi);
	schedule_work(&sn->link_work);
	netif_start_queue(netdev);
	/* What came while the interface was down is delivered, or dropped by
	 * the stack, at the first poll.
	 */
	snap_write(sn->sd, SNAP_QUEUE_PAGE(SNAP_QUEUE_DATA) + SNAP_QREG_ARM, 1);
	return 0;
}

static int snap_netdev_stop(struct net_device *netdev)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	snap_write(sn->sd, SNAP_QUEUE_PAGE(SNAP_QUEUE_DATA) + SNAP_QREG_ARM, 0);
	netif_stop_queue(netdev);
	napi_disable(&sn->napi);
	snap_rx_drop(sn);
	snap_frames_flush(sn->sd->frames);
	return 0;
}

/* The device has taken nothing for long: is it there, and was a wake-up lost? */
static void snap_netdev_tx_timeout(struct net_device *netdev, unsigned int queue)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	netdev->stats.tx_errors++;
	if (snap_dev_lost(sn->sd))
		snap_dev_lose(sn->sd);
	else
		snap_tx_resume(sn);
}

static void snap_netdev_stats64(struct net_device *netdev,
				struct rtnl_link_stats64 *stats)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	netdev_stats_to_stats64(stats, &netdev->stats);
	dev_fetch_sw_netstats(stats, netdev->tstats);
	/* 0 once the device is gone */
	stats->rx_missed_errors = snap_counter(sn->sd, SNAP_CTR_RX_DROPPED);
}

static const struct net_device_ops snap_netdev_ops = {
	.ndo_open = snap_netdev_open,
	.ndo_stop = snap_netdev_stop,
	.ndo_start_xmit = snap_tx_xmit,
	.ndo_tx_timeout = snap_netdev_tx_timeout,
	.ndo_get_stats64 = snap_netdev_stats64,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

bool snap_netdev_is(const struct net_device *netdev)
{
	return netdev->netdev_ops == &snap_netdev_ops;
}

static const char snap_netdev_counter_names[SNAP_CTR_MAX][ETH_GSTRING_LEN] = {
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
};

/* The driver's own counters follow those of the device. */
static const char snap_netdev_own_names[][ETH_GSTRING_LEN] = {
	"driver_rx_copied_bytes",
	"driver_tx_dma_packets",
	"driver_out_frames",
	"driver_rx_over_bytes",
	"driver_received_frames",
	"driver_rx_small_bytes",
	"driver_edge_packets",
	"driver_edge_bytes",
	"driver_edge_dropped",
};

static int snap_netdev_get_sset_count(struct net_device *netdev, int set)
{
	return set == ETH_SS_STATS ?
	       SNAP_CTR_MAX + ARRAY_SIZE(snap_netdev_own_names) : -EOPNOTSUPP;
}

static void snap_netdev_get_strings(struct net_device *netdev, u32 set, u8 *data)
{
	if (set != ETH_SS_STATS)
		return;
	memcpy(data, snap_netdev_counter_names, sizeof(snap_netdev_counter_names));
	memcpy(data + sizeof(snap_netdev_counter_names), snap_netdev_own_names,
	       sizeof(snap_netdev_own_names));
}

static void snap_netdev_get_ethtool_stats(struct net_device *netdev,
					  struct ethtool_stats *stats, u64 *data)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	unsigned int i;

	for (i = 0; i < SNAP_CTR_MAX; i++)
		*data++ = snap_counter(sn->sd, i);
	*data++ = sn->rx_copied;
	*data++ = sn->tx_dma;
	*data++ = snap_frames_out(sn->sd->frames);
	*data++ = sn->rx_over;
	*data++ = snap_frames_received(sn->sd->frames);
	*data++ = sn->rx_small;
	for (i = 0; i < SNAP_EDGE_COUNTERS; i++)
		*data++ = snap_edge_count(i);
}

static void snap_netdev_get_drvinfo(struct net_device *netdev,
				    struct ethtool_drvinfo *info)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	strscpy(info->driver, "snap", sizeof(info->driver));
	strscpy(info->bus_info, pci_name(sn->sd->pdev), sizeof(info->bus_info));
}

static void snap_netdev_get_channels(struct net_device *netdev,
				     struct ethtool_channels *channels)
{
	channels->max_combined = 1;
	channels->combined_count = 1;
}

/* What is behind the device has no speed that it tells us. */
static int snap_netdev_get_link_ksettings(struct net_device *netdev,
					  struct ethtool_link_ksettings *settings)
{
	settings->base.speed = SPEED_UNKNOWN;
	settings->base.duplex = DUPLEX_FULL;
	settings->base.port = PORT_OTHER;
	return 0;
}

/* Nothing of rings: there are none, and EOPNOTSUPP says so. */
static const struct ethtool_ops snap_netdev_ethtool_ops = {
	.get_drvinfo = snap_netdev_get_drvinfo,
	.get_channels = snap_netdev_get_channels,
	.get_link_ksettings = snap_netdev_get_link_ksettings,
	.get_link = ethtool_op_get_link,
	.get_sset_count = snap_netdev_get_sset_count,
	.get_strings = snap_netdev_get_strings,
	.get_ethtool_stats = snap_netdev_get_ethtool_stats,
	.get_ts_info = ethtool_op_get_ts_info,
};

static netdev_features_t snap_netdev_features(u64 negotiated)
{
	netdev_features_t f = NETIF_F_SG | NETIF_F_HIGHDMA;

	if (negotiated & SNAP_F_CSUM)
		f |= NETIF_F_HW_CSUM;
	if (negotiated & SNAP_F_TSO4)
		f |= NETIF_F_TSO | NETIF_F_TSO_ECN;
	if (negotiated & SNAP_F_TSO6)
		f |= NETIF_F_TSO6;
	if (negotiated & SNAP_F_USO)
		f |= NETIF_F_GSO_UDP_L4;
	return f;
}

static void snap_netdev_set_mac(struct snap_dev *sd)
{
	u64 mac = snap_read(sd, SNAP_REG_MAC);
	u8 addr[ETH_ALEN];
	int i;

	for (i = 0; i < ETH_ALEN; i++)
		addr[i] = mac >> (8 * i);
	if (is_valid_ether_addr(addr))
		eth_hw_addr_set(sd->netdev, addr);
	else
		eth_hw_addr_random(sd->netdev);
}

static int snap_netdev_create(struct snap_dev *sd)
{
	struct net_device *netdev;
	struct snap_netdev *sn;
	int err;

	netdev = alloc_etherdev(sizeof(*sn));
	if (!netdev)
		return -ENOMEM;
	SET_NETDEV_DEV(netdev, &sd->pdev->dev);
	strscpy(netdev->name, "snap%d", IFNAMSIZ);
	sd->netdev = netdev;
	sn = netdev_priv(netdev);
	sn->sd = sd;
	INIT_WORK(&sn->link_work, snap_netdev_link_work);
	netif_napi_add(netdev, &sn->napi, snap_rx_poll);

	netdev->netdev_ops = &snap_netdev_ops;
	netdev->ethtool_ops = &snap_netdev_ethtool_ops;
	netdev->watchdog_timeo = SNAP_NETDEV_TX_TIMEOUT;
	/* the device asks nobody for whom a packet is */
	netdev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	netdev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	netdev->hw_features = snap_netdev_features(sd->features);
	netdev->features = netdev->hw_features;
	netdev->vlan_features = netdev->hw_features;
	/* off: rx.c cuts what the device delivers large all the same */
	if (sd->features & SNAP_F_RX_LRO) {
		netdev->hw_features |= NETIF_F_GRO_HW;
		netdev->features |= NETIF_F_GRO_HW;
	}
	if (sd->features & SNAP_F_RX_CSUM)
		netdev->features |= NETIF_F_RXCSUM;
	netdev->min_mtu = ETH_MIN_MTU;
	netdev->max_mtu = min_t(u64, snap_read(sd, SNAP_REG_MTU_MAX), ETH_MAX_MTU);
	netdev->mtu = min_t(u32, ETH_DATA_LEN, netdev->max_mtu);
	snap_netdev_set_mac(sd);
	netif_carrier_off(netdev);

	err = request_irq(pci_irq_vector(sd->pdev, SNAP_VECTOR_CONTROL),
			  snap_netdev_control_irq, 0, "snap-control", sn);
	if (err)
		goto free_netdev;
	err = request_irq(pci_irq_vector(sd->pdev, SNAP_VECTOR_DATA),
			  snap_netdev_data_irq, 0, "snap-data", sn);
	if (err)
		goto free_control_irq;
	return 0;

free_control_irq:
	free_irq(pci_irq_vector(sd->pdev, SNAP_VECTOR_CONTROL), sn);
	cancel_work_sync(&sn->link_work);
free_netdev:
	netif_napi_del(&sn->napi);
	free_netdev(netdev);
	return err;
}

static int snap_netdev_publish(struct snap_dev *sd)
{
	return register_netdev(sd->netdev);
}

/* It cannot be set up again: no packet is read of a device that is away. */
static void snap_netdev_detach(struct snap_dev *sd)
{
	struct net_device *netdev = sd->netdev;

	rtnl_lock();
	/* else the device is lost while it is removed: see withdraw */
	if (netdev->reg_state == NETREG_REGISTERED) {
		netif_device_detach(netdev);
		netif_carrier_off(netdev);
		dev_close(netdev);
	}
	rtnl_unlock();
}

/*
 * Closes the sockets' way to the device: no skb leaves after this.  Nor does the
 * carrier change: the core would look at the interface when it has been freed.
 * Interrupts, which there are until the end, schedule nothing any more.
 */
static void snap_netdev_withdraw(struct snap_dev *sd)
{
	struct snap_netdev *sn = netdev_priv(sd->netdev);

	disable_work_sync(&sn->link_work);
	unregister_netdev(sd->netdev);
}

static void snap_netdev_destroy(struct snap_dev *sd)
{
	struct snap_netdev *sn = netdev_priv(sd->netdev);

	free_irq(pci_irq_vector(sd->pdev, SNAP_VECTOR_DATA), sn);
	free_irq(pci_irq_vector(sd->pdev, SNAP_VECTOR_CONTROL), sn);
	cancel_work_sync(&sn->link_work);
	netif_napi_del(&sn->napi);
	free_netdev(sd->netdev);
}

static struct snap_part snap_netdev_part = {
	.create = snap_netdev_create,
	.publish = snap_netdev_publish,
	.detach = snap_netdev_detach,
	.withdraw = snap_netdev_withdraw,
	.destroy = snap_netdev_destroy,
};

void __init snap_netdev_init(void)
{
	snap_part_register(&snap_netdev_part);
}

void snap_netdev_exit(void)
{
	snap_part_unregister(&snap_netdev_part);
}
