// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transmit: one entry, one doorbell, and the skb is free.
 *
 * The device takes its own hold on pool frames and copies what lies in guest
 * memory before the doorbell returns, so nothing is kept here and no
 * completion is needed.
 */

#include <linux/dma-mapping.h>
#include <linux/skbuff.h>

#include "device/cmd.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/queue.h"
#include "net/netdev.h"
#include "observe/trace.h"

static void snap_tx_segment(struct snap_tx *tx, unsigned int i, u16 kind,
			    u64 addr, u32 length)
{
	struct snap_segment *seg = &tx->seg[i];

	seg->addr = cpu_to_le64(addr);
	seg->length = cpu_to_le32(length);
	seg->kind = cpu_to_le16(kind);
	seg->reserved = 0;
}

/**
 * struct snap_tx_map - what was mapped for one packet
 * @n: number of mappings
 * @single: the first is of the linear part
 * @addr: of each; the slab is the device's to write, so not read back from it
 * @length: of each, bytes
 */
struct snap_tx_map {
	unsigned int n;
	bool single;
	dma_addr_t addr[SNAP_TX_SEGMENTS_MAX];
	u32 length[SNAP_TX_SEGMENTS_MAX];
};

/* The device is done with the mappings when the doorbell returned. */
static void snap_tx_unmap(struct snap_dev *sd, const struct snap_tx_map *map)
{
	unsigned int i;

	for (i = 0; i < map->n; i++)
		if (!i && map->single)
			dma_unmap_single(&sd->pdev->dev, map->addr[i],
					 map->length[i], DMA_TO_DEVICE);
		else
			dma_unmap_page(&sd->pdev->dev, map->addr[i],
				       map->length[i], DMA_TO_DEVICE);
}

static bool snap_tx_mapped(struct snap_dev *sd, struct snap_tx_map *map,
			   dma_addr_t addr, u32 length)
{
	if (dma_mapping_error(&sd->pdev->dev, addr))
		return false;
	map->addr[map->n] = addr;
	map->length[map->n++] = length;
	return true;
}

/* Segment 0 is the linear part; returns the number of segments or an errno. */
static int snap_tx_fill(struct snap_channel *ch, struct sk_buff *skb,
			struct snap_tx *tx, struct snap_tx_map *map)
{
	struct snap_dev *sd = ch->q->sd;
	unsigned int len = skb_headlen(skb);
	unsigned int i, n = 0;
	dma_addr_t addr;

	map->n = 0;
	map->single = false;
	if (len <= SNAP_TX_INLINE_MAX) {
		memcpy(snap_queue_slot(ch->q, SNAP_SLOT_TX_INLINE(0)), skb->data,
		       len);
		snap_tx_segment(tx, n++, SNAP_SEG_INLINE, SNAP_SLOT_TX_INLINE(0),
				len);
	} else {
		addr = dma_map_single(&sd->pdev->dev, skb->data, len,
				      DMA_TO_DEVICE);
		if (!snap_tx_mapped(sd, map, addr, len))
			return -ENOMEM;
		map->single = true;
		snap_tx_segment(tx, n++, SNAP_SEG_DMA, addr, len);
	}
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
		struct page *page = skb_frag_page(frag);

		if (unlikely(!page)) {	/* memory of a device, which has none */
			snap_tx_unmap(sd, map);
			return -EFAULT;
		}
		len = skb_frag_size(frag);
		if (snap_frames_owns(sd->frames, page)) {
			snap_tx_segment(tx, n++, SNAP_SEG_FRAME,
					snap_frames_offset(sd->frames, page) +
					skb_frag_off(frag), len);
			continue;
		}
		addr = skb_frag_dma_map(&sd->pdev->dev, frag, 0, len,
					DMA_TO_DEVICE);
		if (!snap_tx_mapped(sd, map, addr, len)) {
			snap_tx_unmap(sd, map);
			return -ENOMEM;
		}
		snap_tx_segment(tx, n++, SNAP_SEG_DMA, addr, len);
	}
	return n;
}

static int snap_tx_offload(struct snap_tx *tx, const struct sk_buff *skb)
{
	struct virtio_net_hdr_v1 *hdr = (void *)&tx->offload;
	int err;

	/* the longer header starts with the shorter one */
	err = virtio_net_hdr_from_skb(skb, (struct virtio_net_hdr *)hdr, true,
				      false, 0);
	hdr->num_buffers = 0;
	return err;
}

static struct netdev_queue *snap_tx_queue(const struct snap_channel *ch)
{
	return netdev_get_tx_queue(ch->napi.dev, snap_channel_index(ch));
}

static void snap_tx_pause(struct snap_channel *ch)
{
	netif_tx_stop_queue(snap_tx_queue(ch));
	/*
	 * The device may have resumed before the queue was stopped, and its
	 * interrupt have found nothing to wake.
	 */
	smp_mb();
	if (!snap_queue_paused(ch->q))
		netif_tx_wake_queue(snap_tx_queue(ch));
}

void snap_tx_resume(struct snap_channel *ch)
{
	if (netif_tx_queue_stopped(snap_tx_queue(ch)) && !snap_queue_paused(ch->q))
		netif_tx_wake_queue(snap_tx_queue(ch));
}

netdev_tx_t snap_tx_xmit(struct sk_buff *skb, struct net_device *netdev)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	struct snap_channel *ch = &sn->channel[skb_get_queue_mapping(skb)];
	struct snap_tx *tx = snap_queue_slot(ch->q, SNAP_SLOT_TX(0));
	struct snap_dev *sd = sn->sd;
	unsigned int len = skb->len;
	struct snap_tx_map map;
	int n, status;

	if (unlikely(skb_shinfo(skb)->nr_frags >= SNAP_TX_SEGMENTS_MAX) &&
	    skb_linearize(skb))
		goto drop;
	if (unlikely(skb_put_padto(skb, ETH_ZLEN)))
		goto dropped;
	tx->e.op = cpu_to_le16(SNAP_OP_TX);
	tx->e.flags = 0;
	tx->length = cpu_to_le32(skb->len);
	tx->reserved = 0;
	tx->reserved2 = 0;
	if (unlikely(snap_tx_offload(tx, skb)))
		goto drop;
	n = snap_tx_fill(ch, skb, tx, &map);
	if (unlikely(n < 0))
		goto drop;
	tx->nsegs = cpu_to_le16(n);

	/* when the doorbell has been answered, the packet may be at the peer's */
	skb_tx_timestamp(skb);
	status = snap_queue_execute(ch->q, SNAP_SLOT_TX(0));
	snap_tx_unmap(sd, &map);
	trace_snap_xmit(skb, netdev, ch->q->number, status);
	if (unlikely(status == SNAP_ST_BUSY)) {
		/* comes again, and has been stamped */
		skb_shinfo(skb)->tx_flags &= ~SKBTX_SW_TSTAMP;
		snap_tx_pause(ch);
		return NETDEV_TX_BUSY;
	}
	if (unlikely(snap_cmd_errno(sd, SNAP_OP_TX, status)))
		goto drop;
	ch->tx_dma += map.n > 0;
	dev_sw_netstats_tx_add(netdev, 1, len);
	dev_consume_skb_any(skb);
	if (unlikely(snap_queue_paused(ch->q)))
		snap_tx_pause(ch);
	return NETDEV_TX_OK;

drop:
	dev_kfree_skb_any(skb);
dropped:
	dev_core_stats_tx_dropped_inc(netdev);
	return NETDEV_TX_OK;
}
