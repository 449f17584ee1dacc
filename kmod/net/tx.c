// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transmit: an entry for each packet, one doorbell for those that the stack gives
 * in a row, and their skbs are free.
 *
 * The device takes its own hold on pool frames and copies what lies in guest
 * memory before it stores the status OK, so nothing is kept here and no
 * completion is needed.  What it does not take, because TX is paused, stays in
 * its slot, the queue is stopped, and the doorbell is rung again when it is not.
 */

#include <linux/dma-mapping.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/timer.h>
#include <net/sock.h>

#include "device/batch.h"
#include "device/cmd.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/home.h"
#include "device/queue.h"
#include "net/netdev.h"
#include "observe/trace.h"

/* Who makes do with fewer queues waits so long for those that go. */
#define SNAP_TX_DRAIN	HZ

/* What this processor polls, or NULL; softirqs off. */
static DEFINE_PER_CPU(struct snap_channel *, snap_tx_polled);

static void snap_tx_segment(struct snap_tx *tx, unsigned int i, u16 kind,
			    u64 addr, u32 length)
{
	struct snap_segment *seg = &tx->seg[i];

	seg->addr = cpu_to_le64(addr);
	seg->length = cpu_to_le32(length);
	seg->kind = cpu_to_le16(kind);
	seg->reserved = 0;
}

/* The device is done with the mappings when it has stored a status. */
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
static int snap_tx_segments(struct snap_channel *ch, u32 slot, struct sk_buff *skb,
			    struct snap_tx *tx, struct snap_tx_map *map)
{
	u32 at = SNAP_SLOT_TX_INLINE(slot);
	struct snap_dev *sd = ch->q->sd;
	unsigned int len = skb_headlen(skb);
	u32 run = 0;		/* bytes of the last segment, if it is of frames */
	u64 end = U64_MAX;	/* where it ends in the pool */
	unsigned int i, n = 0;
	dma_addr_t addr;
	u64 offset;

	map->n = 0;
	map->single = false;
	if (len <= SNAP_TX_INLINE_MAX) {
		memcpy(snap_queue_slot(ch->q, at), skb->data, len);
		snap_tx_segment(tx, n++, SNAP_SEG_INLINE, at, len);
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
		if (snap_frames_find(sd->frames, page, &offset)) {
			addr = offset + skb_frag_off(frag);
			if (addr == end) {	/* frames in a row are one segment */
				run += len;
				tx->seg[n - 1].length = cpu_to_le32(run);
			} else {
				run = len;
				snap_tx_segment(tx, n++, SNAP_SEG_FRAME, addr, len);
			}
			end = addr + len;
			continue;
		}
		end = U64_MAX;
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

/* Fill the next slot; false, and nothing is mapped, if it cannot be sent. */
static bool snap_tx_fill(struct snap_channel *ch, struct sk_buff *skb)
{
	u32 slot = ch->tx_end;
	struct snap_tx *tx = snap_queue_slot(ch->q, SNAP_SLOT_TX(slot));
	int n;

	tx->e.op = cpu_to_le16(SNAP_OP_TX);
	tx->e.flags = 0;
	tx->length = cpu_to_le32(skb->len);
	tx->reserved = 0;
	tx->reserved2 = 0;
	if (unlikely(snap_tx_offload(tx, skb)))
		return false;
	n = snap_tx_segments(ch, slot, skb, tx, &ch->tx[slot].map);
	if (unlikely(n < 0))
		return false;
	tx->nsegs = cpu_to_le16(n);
	snap_queue_pending(ch->q, SNAP_SLOT_TX(slot));
	ch->tx[slot].skb = skb;
	WRITE_ONCE(ch->tx_end, slot + 1);
	return true;
}

/* The device has the packet, or does not want it. */
static void snap_tx_done(struct snap_channel *ch, u32 slot, int status)
{
	struct snap_tx_slot *s = &ch->tx[slot];
	struct snap_dev *sd = ch->q->sd;

	snap_tx_unmap(sd, &s->map);
	if (likely(!snap_cmd_errno(sd, SNAP_OP_TX, status))) {
		ch->tx_dma += s->map.n > 0;
		dev_sw_netstats_tx_add(ch->napi.dev, 1, s->skb->len);
		dev_consume_skb_any(s->skb);
	} else {
		dev_core_stats_tx_dropped_inc(ch->napi.dev);
		dev_kfree_skb_any(s->skb);
	}
	s->skb = NULL;
}

static struct netdev_queue *snap_tx_queue(const struct snap_channel *ch)
{
	return netdev_get_tx_queue(ch->napi.dev, snap_channel_index(ch));
}

static bool snap_tx_waiting(const struct snap_channel *ch)
{
	return READ_ONCE(ch->tx_end);
}

/* The device has packets to come, or will not take the next one. */
static void snap_tx_pause(struct snap_channel *ch)
{
	netif_tx_stop_queue(snap_tx_queue(ch));
	/*
	 * The device may have resumed before the queue was stopped, and its
	 * interrupt have found nothing to wake.
	 */
	smp_mb();
	if (!snap_queue_paused(ch->q))
		napi_schedule(&ch->napi);
}

/* Ring for what is in the slots; what the device does not take stays in them. */
static void snap_tx_ring(struct snap_channel *ch)
{
	u32 first = ch->tx_first, end = ch->tx_end;
	unsigned int packets = 0, bytes = 0;
	int status = SNAP_ST_OK;
	/* the device looks at nothing before a doorbell, by which frames may go home */
	bool stopped = first || !end || !snap_home_ring_with(ch->q, end);

	for (; first < end; first++) {
		u32 slot = SNAP_SLOT_TX(first);

		if (stopped)
			snap_queue_ring(ch->q, slot, end - first);
		status = snap_queue_wait(ch->q, slot);
		trace_snap_xmit(ch->tx[first].skb, ch->napi.dev, ch->q->number, status);
		if (unlikely(status == SNAP_ST_BUSY)) {
			snap_queue_pending(ch->q, slot);
			break;
		}
		stopped = snap_queue_stops(status);
		packets++;
		bytes += ch->tx[first].skb->len;
		snap_tx_done(ch, first, status);
	}
	ch->tx_first = first == end ? 0 : first;
	WRITE_ONCE(ch->tx_end, first == end ? 0 : end);
	WRITE_ONCE(ch->tx_bytes, ch->tx_bytes + bytes);
	netdev_tx_completed_queue(snap_tx_queue(ch), packets, bytes);
	if (unlikely(status == SNAP_ST_BUSY || snap_queue_paused(ch->q)))
		snap_tx_pause(ch);
}

/*
 * Whoever has the lock while this cannot get it is in snap_tx_xmit(), or in here.
 * Netpoll does not wait: it may have interrupted it.
 */
void snap_tx_resume(struct snap_channel *ch, bool wait)
{
	struct netdev_queue *txq = snap_tx_queue(ch);

	if (!netif_tx_queue_stopped(txq) || snap_queue_paused(ch->q))
		return;
	if (wait)
		__netif_tx_lock(txq, smp_processor_id());
	else if (!__netif_tx_trylock(txq))
		return;
	snap_tx_ring(ch);
	if (!snap_tx_waiting(ch) && !snap_queue_paused(ch->q))
		netif_tx_wake_queue(txq);
	__netif_tx_unlock(txq);
}

/*
 * Started by the first packet that waits: it is rung for at that time at the latest.
 * By ticks: one of high resolution sets the clock of the machine each time, which
 * costs an exit or two, and as much as several packets.
 */
static void snap_tx_wait(struct snap_channel *ch)
{
	if (!timer_pending(&ch->tx_timer))
		mod_timer(&ch->tx_timer, jiffies + SNAP_BATCH_TICKS);
}

static void snap_tx_end_wait(struct snap_channel *ch)
{
	struct netdev_queue *txq = snap_tx_queue(ch);

	__netif_tx_lock(txq, smp_processor_id());
	/* if it is stopped, snap_tx_resume() does it */
	if (snap_tx_waiting(ch) && !netif_tx_queue_stopped(txq))
		snap_tx_ring(ch);
	__netif_tx_unlock(txq);
}

static void snap_tx_timer(struct timer_list *timer)
{
	snap_tx_end_wait(container_of(timer, struct snap_channel, tx_timer));
}

void snap_tx_poll_begin(struct snap_channel *ch)
{
	this_cpu_write(snap_tx_polled, ch);
}

void snap_tx_poll_end(struct snap_channel *ch)
{
	this_cpu_write(snap_tx_polled, NULL);
	if (snap_tx_waiting(ch))
		snap_tx_end_wait(ch);
}

/*
 * Whoever sends here now is the poll, or netpoll with interrupts off.  With PREEMPT_RT
 * it may be somebody else who has the processor in the middle of a poll, and goes on
 * when that has ended.
 */
static bool snap_tx_in_poll(const struct snap_channel *ch)
{
	return !IS_ENABLED(CONFIG_PREEMPT_RT) && this_cpu_read(snap_tx_polled) == ch &&
	       !irqs_disabled();
}

void snap_tx_init(struct snap_channel *ch)
{
	timer_setup(&ch->tx_timer, snap_tx_timer, 0);
	netdev_queue_set_dql_min_limit(snap_tx_queue(ch), SNAP_TX_BYTES_MAX);
}

int snap_tx_drain(struct snap_channel *ch)
{
	unsigned long end = jiffies + SNAP_TX_DRAIN;

	while (snap_tx_waiting(ch)) {
		if (time_after(jiffies, end))
			return -EBUSY;
		usleep_range(500, 1000);
	}
	return 0;
}

void snap_tx_drop(struct snap_channel *ch)
{
	struct netdev_queue *txq = snap_tx_queue(ch);

	__netif_tx_lock_bh(txq);
	for (; ch->tx_first < ch->tx_end; ch->tx_first++) {
		struct snap_tx_slot *s = &ch->tx[ch->tx_first];

		snap_tx_unmap(ch->q->sd, &s->map);
		dev_core_stats_tx_dropped_inc(ch->napi.dev);
		dev_kfree_skb_any(s->skb);
		s->skb = NULL;
	}
	ch->tx_first = 0;
	WRITE_ONCE(ch->tx_end, 0);
	netdev_tx_reset_queue(txq);
	__netif_tx_unlock_bh(txq);
	/* it finds nothing; who had the lock before may have started it */
	timer_delete_sync(&ch->tx_timer);
}

/*
 * May it wait for the sender's next message?  Not if that may have to wait for this
 * one, for want of room in the socket; nor what TCP sends by the way.
 */
static bool snap_tx_may_wait(const struct sk_buff *skb)
{
	const struct sock *sk = skb->sk;

	return snap_batch_is_here() && sk && sk_is_udp(sk) &&
	       2 * sk_wmem_alloc_get(sk) < READ_ONCE(sk->sk_sndbuf);
}

netdev_tx_t snap_tx_xmit(struct sk_buff *skb, struct net_device *netdev)
{
	struct snap_netdev *sn = netdev_priv(netdev);
	struct snap_channel *ch = &sn->channel[skb_get_queue_mapping(skb)];
	struct netdev_queue *txq = snap_tx_queue(ch);
	bool more = netdev_xmit_more(), poll = snap_tx_in_poll(ch);
	bool now = !more && !poll && !snap_tx_may_wait(skb);

	/* the queue is stopped then, and a caller that does not ask learns it here */
	if (unlikely(ch->tx_end == SNAP_TX_SLOTS))
		return NETDEV_TX_BUSY;
	if (unlikely(skb_shinfo(skb)->nr_frags >= SNAP_TX_SEGMENTS_MAX) &&
	    skb_linearize(skb))
		goto drop;
	if (unlikely(skb_put_padto(skb, ETH_ZLEN)))
		goto dropped;
	if (unlikely(!snap_tx_fill(ch, skb)))
		goto drop;
	/* when the doorbell has been answered, the packet may be at the peer's */
	skb_tx_timestamp(skb);
	now = __netdev_tx_sent_queue(txq, skb->len, !now);
	goto ring;

drop:
	dev_kfree_skb_any(skb);
dropped:
	dev_core_stats_tx_dropped_inc(netdev);
ring:
	if (now || ch->tx_end == SNAP_TX_SLOTS)
		snap_tx_ring(ch);
	else if (!more && !poll)
		snap_tx_wait(ch);
	return NETDEV_TX_OK;
}
