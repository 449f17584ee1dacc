// SPDX-License-Identifier: GPL-2.0-only
/* The network interface; see netdev.h. */

#include <linux/etherdevice.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <net/netdev_queues.h>

#include "device/dev.h"
#include "device/frame.h"
#include "device/part.h"
#include "net/edge.h"
#include "net/netdev.h"

/* A backend that does not read pauses TX, rightly, for longer than a wire does. */
#define SNAP_NETDEV_TX_TIMEOUT	(30 * HZ)

static irqreturn_t snap_netdev_data_irq(int irq, void *arg)
{
	struct snap_channel *ch = arg;

	/* The device has disarmed itself. */
	napi_schedule(&ch->napi);
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
	u32 i;

	schedule_work(&sn->link_work);
	netif_tx_start_all_queues(netdev);
	for (i = 0; i < sn->sd->nqueues; i++) {
		struct snap_channel *ch = &sn->channel[i];

		napi_enable(&ch->napi);
		netif_queue_set_napi(netdev, i, NETDEV_QUEUE_TYPE_RX, &ch->napi);
		netif_queue_set_napi(netdev, i, NETDEV_QUEUE_TYPE_TX, &ch->napi);
		/*
		 * What came while the interface was down is delivered, or dropped by
		 * the stack, at the first poll.
		 */
		snap_queue_write(ch->q, SNAP_QREG_ARM, 1);
	}
	return 0;
}

static int snap_netdev_stop(struct net_device *netdev)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	u32 i;

	netif_tx_stop_all_queues(netdev);
	for (i = 0; i < sn->sd->nqueues; i++) {
		struct snap_channel *ch = &sn->channel[i];

		snap_queue_write(ch->q, SNAP_QREG_ARM, 0);
		napi_disable(&ch->napi);
		snap_rx_drop(ch);
		snap_tx_drop(ch);
	}
	snap_frames_flush(sn->sd->frames);
	return 0;
}

/* The device has taken nothing for long: is it there, and was a wake-up lost? */
static void snap_netdev_tx_timeout(struct net_device *netdev, unsigned int queue)
{
	struct snap_netdev *sn = netdev_priv(netdev);

	DEV_STATS_INC(netdev, tx_errors);
	if (snap_dev_lost(sn->sd))
		snap_dev_lose(sn->sd);
	else
		snap_tx_resume(&sn->channel[queue], true);
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

static void snap_netdev_queue_stats_rx(struct net_device *netdev, int i,
				       struct netdev_queue_stats_rx *rx)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	const struct snap_queue *q = sn->channel[i].q;

	rx->packets = snap_queue_counter(q, SNAP_QCTR_RX_PACKETS);
	rx->bytes = snap_queue_counter(q, SNAP_QCTR_RX_BYTES);
	rx->hw_drops = snap_queue_counter(q, SNAP_QCTR_RX_DROPPED);
}

static void snap_netdev_queue_stats_tx(struct net_device *netdev, int i,
				       struct netdev_queue_stats_tx *tx)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	const struct snap_queue *q = sn->channel[i].q;

	tx->packets = snap_queue_counter(q, SNAP_QCTR_TX_PACKETS);
	tx->bytes = snap_queue_counter(q, SNAP_QCTR_TX_BYTES);
	tx->hw_drops = snap_queue_counter(q, SNAP_QCTR_TX_DROPPED);
}

/* Of the channels that were in use and are not now. */
static void snap_netdev_base_stats(struct net_device *netdev,
				   struct netdev_queue_stats_rx *rx,
				   struct netdev_queue_stats_tx *tx)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	struct netdev_queue_stats_rx r;
	struct netdev_queue_stats_tx t;
	u32 i;

	*rx = (struct netdev_queue_stats_rx){};
	*tx = (struct netdev_queue_stats_tx){};
	for (i = netdev->real_num_tx_queues; i < sn->sd->nqueues; i++) {
		snap_netdev_queue_stats_rx(netdev, i, &r);
		snap_netdev_queue_stats_tx(netdev, i, &t);
		rx->packets += r.packets;
		rx->bytes += r.bytes;
		rx->hw_drops += r.hw_drops;
		tx->packets += t.packets;
		tx->bytes += t.bytes;
		tx->hw_drops += t.hw_drops;
	}
}

static const struct netdev_stat_ops snap_netdev_stat_ops = {
	.get_queue_stats_rx = snap_netdev_queue_stats_rx,
	.get_queue_stats_tx = snap_netdev_queue_stats_tx,
	.get_base_stats = snap_netdev_base_stats,
};

/* Packets leave, and come, by the first @n channels. */
static int snap_netdev_activate(struct snap_dev *sd, u32 n)
{
	if (READ_ONCE(sd->gone))
		return -ENODEV;
	snap_write(sd, SNAP_REG_ACTIVE, n);
	return snap_read(sd, SNAP_REG_ACTIVE) == n ? 0 : -EIO;
}

/* The processors' turns: the first has channel 0, the next 1, and so on. */
static void snap_netdev_spread(struct net_device *netdev, u32 n)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	cpumask_var_t mask;
	unsigned int cpu;
	u32 i, turn;

	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return;		/* slower, no more */
	for (i = 0; i < n; i++) {
		turn = 0;
		cpumask_clear(mask);
		for_each_online_cpu(cpu)
			if (turn++ % n == i)
				cpumask_set_cpu(cpu, mask);
		if (cpumask_empty(mask))
			continue;
		netif_set_xps_queue(netdev, mask, i);
		/* not as a hint, of which the core keeps the address */
		irq_set_affinity(pci_irq_vector(sn->sd->pdev, SNAP_VECTOR_DATA + i),
				 mask);
	}
	free_cpumask_var(mask);
}

static int snap_netdev_fewer(struct net_device *netdev, u32 n)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	u32 was = netdev->real_num_tx_queues;
	int err;
	u32 i;

	/* the core warns of packets from queues that it knows no more */
	WRITE_ONCE(sn->nrecord, n);
	synchronize_net();
	err = netif_set_real_num_queues(netdev, n, n);
	if (!err) {
		/*
		 * The core has emptied the qdiscs of the others, but who had taken a
		 * packet from one before may be on the way to snap_tx_xmit().
		 */
		synchronize_net();
		for (i = n; !err && i < was; i++)
			err = snap_tx_drain(&sn->channel[i]);
		err = err ?: snap_netdev_activate(sn->sd, n);
		if (err)
			netif_set_real_num_queues(netdev, was, was);
	}
	/* that may have failed, too */
	if (err)
		WRITE_ONCE(sn->nrecord, netdev->real_num_rx_queues);
	else
		/* the watchdog looks at all, and nobody would wake them */
		for (i = n; i < was; i++)
			netif_tx_start_queue(netdev_get_tx_queue(netdev, i));
	return err;
}

static int snap_netdev_more(struct net_device *netdev, u32 n)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	int err = snap_netdev_activate(sn->sd, n) ?:
		  netif_set_real_num_queues(netdev, n, n);

	if (err)
		snap_netdev_activate(sn->sd, netdev->real_num_tx_queues);
	else
		WRITE_ONCE(sn->nrecord, n);
	return err;
}

int snap_netdev_set_channels(struct net_device *netdev, u32 n)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	u32 was = netdev->real_num_tx_queues;
	int err = n < was ? snap_netdev_fewer(netdev, n) : snap_netdev_more(netdev, n);

	/* also after an error: the core has forgotten it of those that it closed */
	snap_steer_again(netdev);
	if (!READ_ONCE(sn->sd->gone))
		snap_netdev_spread(netdev, netdev->real_num_tx_queues);
	return err;
}

/*
 * The core lets a flow change to another queue if none of its packets is in one of the
 * kernel's.  Those that the device has taken, and has yet to send, it does not see.
 */
static u16 snap_netdev_select_queue(struct net_device *netdev, struct sk_buff *skb,
				    struct net_device *sb_dev)
{
	skb->ooo_okay = 0;
	return netdev_pick_tx(netdev, skb, sb_dev);
}

static const struct net_device_ops snap_netdev_ops = {
	.ndo_open = snap_netdev_open,
	.ndo_stop = snap_netdev_stop,
	.ndo_start_xmit = snap_tx_xmit,
	.ndo_select_queue = snap_netdev_select_queue,
	.ndo_tx_timeout = snap_netdev_tx_timeout,
	.ndo_get_stats64 = snap_netdev_stats64,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

bool snap_netdev_is(const struct net_device *netdev)
{
	return netdev->netdev_ops == &snap_netdev_ops;
}

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

/* Of the first @n channels, and that of the device. */
static void snap_netdev_free_irqs(struct snap_netdev *sn, u32 n)
{
	struct pci_dev *pdev = sn->sd->pdev;

	while (n--)
		pci_free_irq(pdev, SNAP_VECTOR_DATA + n, &sn->channel[n]);
	pci_free_irq(pdev, SNAP_VECTOR_CONTROL, sn);
	cancel_work_sync(&sn->link_work);
}

static int snap_netdev_request_irqs(struct snap_netdev *sn)
{
	struct pci_dev *pdev = sn->sd->pdev;
	int err;
	u32 i;

	err = pci_request_irq(pdev, SNAP_VECTOR_CONTROL, snap_netdev_control_irq, NULL,
			      sn, "snap-control");
	if (err)
		return err;
	for (i = 0; i < sn->sd->nqueues; i++) {
		err = pci_request_irq(pdev, SNAP_VECTOR_DATA + i, snap_netdev_data_irq,
				      NULL, &sn->channel[i], "snap-data-%u", i);
		if (err) {
			snap_netdev_free_irqs(sn, i);
			return err;
		}
	}
	return 0;
}

static int snap_netdev_create(struct snap_dev *sd)
{
	struct net_device *netdev;
	struct snap_netdev *sn;
	int err;
	u32 i;

	netdev = alloc_etherdev_mq(struct_size(sn, channel, sd->nqueues),
				   sd->nqueues);
	if (!netdev)
		return -ENOMEM;
	SET_NETDEV_DEV(netdev, &sd->pdev->dev);
	strscpy(netdev->name, "snap%d", IFNAMSIZ);
	sd->netdev = netdev;
	sn = netdev_priv(netdev);
	sn->sd = sd;
	sn->nrecord = sd->nqueues;
	INIT_WORK(&sn->link_work, snap_netdev_link_work);
	for (i = 0; i < sd->nqueues; i++) {
		struct snap_channel *ch = &sn->channel[i];

		ch->q = &sd->queue[SNAP_QUEUE_DATA + i];
		netif_napi_add(netdev, &ch->napi, snap_rx_poll);
		snap_tx_init(ch);
	}

	netdev->netdev_ops = &snap_netdev_ops;
	netdev->stat_ops = &snap_netdev_stat_ops;
	netdev->ethtool_ops = &snap_ethtool_ops;
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

	err = snap_netdev_request_irqs(sn);
	if (err)
		free_netdev(netdev);	/* and its NAPIs */
	return err;
}

static int snap_netdev_publish(struct snap_dev *sd)
{
	struct net_device *netdev = sd->netdev;
	int err;

	err = snap_netdev_activate(sd, sd->nqueues) ?: register_netdev(netdev);
	if (err)
		return err;
	rtnl_lock();
	snap_netdev_spread(netdev, netdev->real_num_tx_queues);
	rtnl_unlock();
	return 0;
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

	snap_netdev_free_irqs(sn, sd->nqueues);
	free_netdev(sd->netdev);	/* and its NAPIs */
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
