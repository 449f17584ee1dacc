/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The network interface: no rings.  Transmit is one doorbell, after which
 * the skbs are free; receive takes batches that the device filled.
 */
#ifndef SNAP_NETDEV_H
#define SNAP_NETDEV_H

#include <linux/netdevice.h>
#include <linux/virtio_net.h>

#include "device/queue.h"

struct snap_dev;

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

/* A packet that the device has not answered for. */
struct snap_tx_slot {
	struct sk_buff *skb;
	struct snap_tx_map map;
};

/**
 * struct snap_channel - a data queue as the network stack sees it
 * @q: the device's queue, @index + SNAP_QUEUE_DATA
 * @napi: polls TAKE
 * @batch: page of the batch being read, or NULL; NAPI only
 * @batch_pos: byte offset of the next entry in it
 * @batch_left: entries left in it
 * @calm: little came last time, and interrupts were wanted after it; NAPI only
 * @armed: this poll has taken what there was, and has armed; NAPI only
 * @rx_copied: payload bytes copied because frames were short, or
 * @rx_over: of them, because received packets keep their share
 * @rx_large: packets that got a large frame
 * @rx_small: payload bytes copied because they fill no more than half a frame
 * @rx_bytes: of packets received; NAPI only
 * @holdoff: what HOLDOFF is: NAPI if the interface is adaptive, else RTNL
 * @bytes_before: sent and received until the last poll that was completed; NAPI only
 * @bulk_turns: such polls in a row that ask for another @holdoff; NAPI only
 * @tx: packets whose entries are in the slots TX; transmit lock
 * @tx_first: the first of them that the device has not taken; likewise
 * @tx_end: behind the last one; 0 if there is none; written under the transmit lock
 * @tx_timer: rings for packets that others were to follow soon
 * @tx_bytes: of packets that the device has taken; written under the transmit lock
 * @tx_dma: skbs that had segments in guest memory; transmit lock
 */
struct snap_channel {
	struct snap_queue *q;
	struct napi_struct napi;
	struct page *batch;
	u32 batch_pos;
	u32 batch_left;
	bool calm;
	bool armed;
	u64 rx_copied;
	u64 rx_over;
	u64 rx_large;
	u64 rx_small;
	u64 rx_bytes;
	u32 holdoff;
	u64 bytes_before;
	u32 bulk_turns;
	/* another processor may receive meanwhile */
	struct snap_tx_slot tx[SNAP_TX_SLOTS] ____cacheline_aligned_in_smp;
	u32 tx_first;
	u32 tx_end;
	struct timer_list tx_timer;
	u64 tx_bytes;
	u64 tx_dma;
} ____cacheline_aligned_in_smp;

/**
 * struct snap_netdev - private part of the net_device
 * @sd: the device; valid as long as the interface
 * @link_work: reads the status area after a control interrupt
 * @nrecord: channels below are those of which packets say by which they came
 * @rx_usecs: least time between interrupts for received packets, unless
 * @rx_adaptive: each channel has one of its own, which follows its traffic
 * @steer: by which channel flows of each entry come, as long as the core has it that
 *	somebody has set that; RTNL
 * @channel: sd->nqueues of them
 */
struct snap_netdev {
	struct snap_dev *sd;
	struct work_struct link_work;
	u32 nrecord;
	u32 rx_usecs;
	bool rx_adaptive;
	u8 steer[SNAP_STEER_ENTRIES];
	struct snap_channel channel[];
};

/* Counts the interface's queues from 0; the device's data queues start with 1. */
static inline u32 snap_channel_index(const struct snap_channel *ch)
{
	return ch->q->number - SNAP_QUEUE_DATA;
}

/* Each device gets an interface; see device/part.h. */
void snap_netdev_init(void);
void snap_netdev_exit(void);
/* Is it one of them? */
bool snap_netdev_is(const struct net_device *netdev);

/**
 * snap_netdev_set_channels() - use the first @n channels
 * @netdev: interface, running or not
 * @n: 1 to sd->nqueues
 *
 * What the device has received for the others is delivered, and what they have been
 * given is sent; what waits in their qdiscs is dropped by the core, and the backend
 * may lose what waits there.
 *
 * Context: RTNL.
 * Return: 0; EBUSY if the device takes nothing, and an errno otherwise: then they
 * are as they were.
 */
int snap_netdev_set_channels(struct net_device *netdev, u32 n);

/* moderation.c: the time between interrupts */
/*
 * snap_moderation_set() - of all channels, used or not
 * @rx_usecs: up to SNAP_HOLDOFF_MAX; what is in force when @rx_adaptive ends
 *
 * Context: RTNL.  Return: 0, or EOPNOTSUPP if the device cannot.
 */
int snap_moderation_set(struct snap_netdev *sn, u32 rx_usecs, bool rx_adaptive);
/* A poll of NAPI is complete. */
void snap_moderation_learn(struct snap_channel *ch);

/* steer.c: by which channels received flows come; context: RTNL */
/* Can the device be told? */
bool snap_steer_possible(const struct snap_netdev *sn);
/* Fills SNAP_STEER_ENTRIES; what is equal if the device chooses by itself. */
void snap_steer_get(struct net_device *netdev, u32 *channel);
/*
 * snap_steer_set() - tell the device; equal over all channels: it chooses
 * Return: 0; EOPNOTSUPP if it cannot, and another errno: as it was.
 */
int snap_steer_set(struct net_device *netdev, const u32 *channel);
/* The number of channels has changed, or was to: the device has forgotten. */
void snap_steer_again(struct net_device *netdev);

/* ethtool.c */
extern const struct ethtool_ops snap_ethtool_ops;

/* tx.c; context: transmit lock held, softirqs off */
netdev_tx_t snap_tx_xmit(struct sk_buff *skb, struct net_device *netdev);
void snap_tx_init(struct snap_channel *ch);
/*
 * If the device takes packets again, give it those that wait, and wake the queue.
 * @wait for the transmit lock: softirq; else any context.
 */
void snap_tx_resume(struct snap_channel *ch, bool wait);
/* No packet comes any more: until the device has taken all, or EBUSY.  May sleep. */
int snap_tx_drain(struct snap_channel *ch);
/*
 * What is sent by the channel between begin and end, on this processor, may wait for
 * the end: answers to what a poll delivers share a doorbell.  NAPI.
 */
void snap_tx_poll_begin(struct snap_channel *ch);
void snap_tx_poll_end(struct snap_channel *ch);
/* Nor does the device get any: free them.  NAPI is disabled. */
void snap_tx_drop(struct snap_channel *ch);

/* rx.c */
int snap_rx_poll(struct napi_struct *napi, int budget);
/* Drop the batch that was being read; NAPI is disabled. */
void snap_rx_drop(struct snap_channel *ch);

/* struct snap_offload on the wire is struct virtio_net_hdr_v1. */
static_assert(sizeof(struct snap_offload) == sizeof(struct virtio_net_hdr_v1));

#endif /* SNAP_NETDEV_H */
