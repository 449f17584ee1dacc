// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receive: one read of TAKE seals a batch and returns it, an immutable frame
 * of headers and frame numbers.  Payload frames become skb fragments.
 */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/skbuff.h>
#include <net/gso.h>

#include "device/dev.h"
#include "device/frame.h"
#include "device/queue.h"
#include "device/user.h"
#include "net/edge.h"
#include "net/netdev.h"

/*
 * Bytes of payload that are copied out of their frame: half of one.  So a packet
 * keeps, and is charged, at most twice the bytes that it has.  As whole frames
 * 21 fragments of 1,480 bytes would be charged as three times their bytes, and
 * 40 datagrams that are never complete would fill ipfrag_high_thresh.
 */
#define SNAP_RX_SMALL	(PAGE_SIZE / 2)

/*
 * A poll that delivers no more than this is taken for one of many such: the next
 * one asks to be interrupted with the read that takes what there is.  If more came,
 * interrupts would find NAPI at work, so then it polls until there is nothing.
 */
#define SNAP_RX_CALM	4

/* Frames are short: return payload frames at once, so that reception goes on
 * however many sockets are left unread.
 */
static bool snap_rx_short(const struct snap_dev *sd)
{
	return le32_to_cpu(READ_ONCE(sd->status->free_frames)) <= sd->rx_low;
}

/*
 * Received packets keep what is their share at most.  Where others have all they
 * can get, it is what reception has for itself: what is kept back is not theirs.
 */
static bool snap_rx_over(const struct snap_dev *sd)
{
	u32 received = snap_frames_received(sd->frames);

	return received > snap_user_reception_quota(snap_frames_count(sd->frames)) ||
	       (received > sd->rx_low &&
		le32_to_cpu(READ_ONCE(sd->status->free_frames)) <= snap_user_kept(sd));
}

static void snap_rx_put_pages(struct page **page, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (page[i])
			put_page(page[i]);
}

/* Replace a frame by an ordinary page with the same bytes; NULL: no memory. */
static struct page *snap_rx_copy(struct snap_channel *ch, struct page *frame,
				 u32 len, bool over)
{
	struct page *page = dev_alloc_page();

	if (page) {
		memcpy(page_address(page), page_address(frame), len);
		ch->rx_copied += len;
		ch->rx_over += over ? len : 0;
	}
	put_page(frame);
	return page;
}

/* The same for a large frame: ordinary pages become the fragments. */
static bool snap_rx_copy_large(struct snap_channel *ch, struct sk_buff *skb,
			       struct page *large, u32 payload, bool over)
{
	u32 at, len;
	struct page *page;
	int i = 0;

	for (at = 0; at < payload; at += len) {
		len = min_t(u32, payload - at, PAGE_SIZE);
		page = dev_alloc_page();
		if (!page)
			break;
		memcpy(page_address(page), page_address(large) + at, len);
		skb_add_rx_frag(skb, i++, page, 0, len, PAGE_SIZE);
	}
	ch->rx_copied += at;
	ch->rx_over += over ? at : 0;
	put_page(large);
	return at == payload;
}

/* There are frames.  Consumes the references to all, also on failure. */
static bool snap_rx_payload(struct snap_channel *ch, struct sk_buff *skb,
			    struct page **page, u32 nframes, u32 payload)
{
	bool over = snap_rx_over(ch->q->sd);
	/* a program of tc may redirect it past the edge */
	bool copy = over || snap_rx_short(ch->q->sd) ||
		    snap_edge_diverts(ch->napi.dev);
	u32 i, len;

	if (PageCompound(page[0])) {
		if (copy)
			return snap_rx_copy_large(ch, skb, page[0], payload, over);
		ch->rx_large++;
		skb_add_rx_frag(skb, 0, page[0], 0, payload, SNAP_LARGE_SIZE);
		skb_shinfo(skb)->flags |= SKBFL_SHARED_FRAG;
		return true;
	}
	for (i = 0; i < nframes; i++) {
		len = min_t(u32, payload, PAGE_SIZE);
		if (copy)
			page[i] = snap_rx_copy(ch, page[i], len, over);
		if (!page[i])
			goto drop;
		/* truesize is the whole frame: that is what it keeps busy */
		skb_add_rx_frag(skb, i, page[i], 0, len, PAGE_SIZE);
		payload -= len;
	}
	/* In-place writers such as ESP must copy: stores into frames vanish. */
	skb_shinfo(skb)->flags |= SKBFL_SHARED_FRAG;
	return true;

drop:
	snap_rx_put_pages(page + i + 1, nframes - i - 1);
	return false;
}

/* The only frame, if any, of a packet that has room for the bytes in its head. */
static void snap_rx_small(struct snap_channel *ch, struct sk_buff *skb,
			  struct page *frame, u32 payload)
{
	skb_put_data(skb, page_address(frame), payload);
	put_page(frame);
	ch->rx_small += payload;
}

static void snap_rx_pass(struct snap_channel *ch, struct sk_buff *skb)
{
	struct snap_netdev *sn = netdev_priv(ch->napi.dev);

	dev_sw_netstats_rx_add(ch->napi.dev, skb->len);
	ch->rx_bytes += skb->len;
	skb->protocol = eth_type_trans(skb, ch->napi.dev);
	if (snap_channel_index(ch) < READ_ONCE(sn->nrecord))
		skb_record_rx_queue(skb, snap_channel_index(ch));
	napi_gro_receive(&ch->napi, skb);
}

/*
 * Cut a large packet into those that were sent: the device cannot be told to
 * deliver no large ones while it runs.  Their bytes are copied, as those of the
 * small packets that they are, and the frames go home.  Consumes the packet, but
 * not on failure.
 */
static bool snap_rx_cut(struct snap_channel *ch, struct sk_buff *skb)
{
	int depth = ETH_HLEN;
	struct sk_buff *segments, *next;

	skb->protocol = ((struct ethhdr *)skb->data)->h_proto;
	if (eth_type_vlan(skb->protocol) &&
	    !vlan_get_protocol_and_depth(skb, skb->protocol, &depth))
		return false;
	skb_set_network_header(skb, depth);
	/* checksums stay as the device vouches for them; no NETIF_F_SG: copies */
	segments = __skb_gso_segment(skb, NETIF_F_HW_CSUM, false);
	if (IS_ERR_OR_NULL(segments))
		return false;
	ch->rx_copied += skb->data_len;
	consume_skb(skb);
	skb_list_walk_safe(segments, skb, next) {
		skb_mark_not_on_list(skb);
		snap_rx_pass(ch, skb);
	}
	return true;
}

/* GRO and RPS take it for their own; of what has none they make one. */
static void snap_rx_hash(struct sk_buff *skb, const struct snap_rx *rx)
{
	u16 type = le16_to_cpu(rx->hash_type);

	if (type == SNAP_HASH_L3 || type == SNAP_HASH_L4)
		skb_set_hash(skb, le32_to_cpu(rx->hash), type == SNAP_HASH_L4 ?
			     PKT_HASH_TYPE_L4 : PKT_HASH_TYPE_L3);
}

static void snap_rx_deliver(struct snap_channel *ch, const struct snap_rx *rx,
			    const void *head, struct page **page)
{
	const struct virtio_net_hdr *hdr = (const void *)&rx->offload;
	u32 nframes = le16_to_cpu(rx->nframes);
	u32 hdr_len = le16_to_cpu(rx->hdr_len);
	u32 payload = le32_to_cpu(rx->payload);
	struct net_device *netdev = ch->napi.dev;
	bool small = payload <= SNAP_RX_SMALL;
	struct sk_buff *skb;

	skb = napi_alloc_skb(&ch->napi, hdr_len + (small ? payload : 0));
	if (unlikely(!skb)) {
		snap_rx_put_pages(page, nframes);
		goto dropped;
	}
	skb_put_data(skb, head, hdr_len);
	if (small && nframes)
		snap_rx_small(ch, skb, page[0], payload);
	else if (nframes && !snap_rx_payload(ch, skb, page, nframes, payload))
		goto drop;
	snap_rx_hash(skb, rx);
	if (hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (virtio_net_hdr_to_skb(skb, hdr, true)) {
		DEV_STATS_INC(netdev, rx_frame_errors);
		goto drop;
	}
	if (likely(!skb_is_gso(skb) || netdev->features & NETIF_F_GRO_HW))
		snap_rx_pass(ch, skb);
	else if (!snap_rx_cut(ch, skb))
		goto drop;
	return;

drop:
	kfree_skb(skb);
dropped:
	dev_core_stats_rx_dropped_inc(netdev);
}

/* Is an entry what a device may write? */
static bool snap_rx_valid(const struct snap_rx *rx, u32 room)
{
	u32 nframes = le16_to_cpu(rx->nframes);
	u32 hdr_len = le16_to_cpu(rx->hdr_len);
	u32 payload = le32_to_cpu(rx->payload);
	u32 size = le16_to_cpu(rx->size);

	return nframes <= SNAP_RX_FRAMES_MAX && hdr_len >= ETH_HLEN &&
	       size <= room && size % 8 == 0 &&
	       sizeof(*rx) + nframes * sizeof(__le32) + hdr_len <= size &&
	       (DIV_ROUND_UP(payload, (u32)PAGE_SIZE) == nframes ||
		(nframes == 1 && payload <= SNAP_LARGE_SIZE));
}

/**
 * snap_rx_next() - the next entry of the batch
 * @ch: channel with a batch that has entries left
 * @rx: filled with the entry.  The batch is immutable as long as the device is
 *	there; what is checked is read once all the same
 * @page: filled with the payload's pages; the caller owns a reference on each
 * @ok: set if they are all there
 *
 * Return: the packet's headers; NULL, and no entries left, if the batch makes no
 * sense.
 */
static const void *snap_rx_next(struct snap_channel *ch, struct snap_rx *rx,
				struct page **page, bool *ok)
{
	const void *entry = page_address(ch->batch) + ch->batch_pos;
	u32 room = PAGE_SIZE - ch->batch_pos;
	const __le32 *number = entry + sizeof(*rx);
	u32 frame[SNAP_RX_FRAMES_MAX];
	u32 i, nframes, payload;
	int err;

	if (room < sizeof(*rx))
		goto unusable;
	memcpy(rx, entry, sizeof(*rx));
	if (!snap_rx_valid(rx, room))
		goto unusable;
	nframes = le16_to_cpu(rx->nframes);
	payload = le32_to_cpu(rx->payload);
	for (i = 0; i < nframes; i++)
		frame[i] = le32_to_cpu(READ_ONCE(number[i]));
	/* if one is large it is the only one, and has much */
	if (nframes && payload > nframes * PAGE_SIZE) {
		if (!(frame[0] & SNAP_FRAME_LARGE) || payload <= SNAP_RX_LARGE_MIN)
			goto unusable;
	} else if (nframes && frame[0] & SNAP_FRAME_LARGE) {
		goto unusable;
	}
	err = snap_frames_adopt_received(ch->q->sd->frames, frame, nframes, page);
	if (err && err != -EAGAIN)
		goto unusable;
	ch->batch_pos += le16_to_cpu(rx->size);
	ch->batch_left--;
	*ok = !err;
	return number + nframes;

unusable:
	dev_err_ratelimited(&ch->q->sd->pdev->dev, "bad entry in a batch\n");
	DEV_STATS_INC(ch->napi.dev, rx_errors);
	ch->batch_left = 0;
	return NULL;
}

/* Deliver the next entry of the batch. */
static void snap_rx_entry(struct snap_channel *ch)
{
	struct page *page[SNAP_RX_FRAMES_MAX];
	const void *head;
	struct snap_rx rx;
	bool ok;

	head = snap_rx_next(ch, &rx, page, &ok);
	if (!head)
		return;
	if (ok) {
		snap_rx_deliver(ch, &rx, head, page);
	} else {
		/* rmmod has begun, or the device gave a frame twice */
		snap_rx_put_pages(page, le16_to_cpu(rx.nframes));
		dev_core_stats_rx_dropped_inc(ch->napi.dev);
	}
}

void snap_rx_drop(struct snap_channel *ch)
{
	struct page *page[SNAP_RX_FRAMES_MAX];
	struct snap_rx rx;
	bool ok;

	if (!ch->batch)
		return;
	/* the guest holds the frames of entries that nobody has read, too */
	while (ch->batch_left) {
		if (snap_rx_next(ch, &rx, page, &ok))
			snap_rx_put_pages(page, le16_to_cpu(rx.nframes));
	}
	put_page(ch->batch);
	ch->batch = NULL;
}

/* If interrupts are held back, one comes for all that NAPI has not found by itself. */
static bool snap_rx_wants_arm(const struct snap_channel *ch)
{
	return ch->calm || READ_ONCE(ch->holdoff);
}

/* Get the next batch; false if there is none. */
static bool snap_rx_take(struct snap_channel *ch)
{
	struct snap_dev *sd = ch->q->sd;
	bool arm = sd->features & SNAP_F_TAKE_ARM && snap_rx_wants_arm(ch);
	u64 v = snap_queue_read(ch->q, arm ? SNAP_QREG_TAKE_ARM : SNAP_QREG_TAKE);
	u32 frame = SNAP_TAKE_FRAME(v);

	ch->armed = arm && v & SNAP_TAKE_ARMED;
	if (v == SNAP_TAKE_NONE)
		return false;
	/* no batch is empty, but registers of a lost device may read as zero */
	if (!SNAP_TAKE_COUNT(v)) {
		dev_err_ratelimited(&sd->pdev->dev, "empty batch\n");
		if (snap_dev_lost(sd))
			snap_dev_lose(sd);
		return false;
	}
	if (snap_frames_adopt(sd->frames, &frame, 1, NULL, &ch->batch)) {
		dev_err_ratelimited(&sd->pdev->dev, "bad batch frame %u\n", frame);
		ch->batch = NULL;
		return false;
	}
	ch->batch_pos = 0;
	ch->batch_left = SNAP_TAKE_COUNT(v);
	return true;
}

/* As NAPI wants it: how much was done; the whole budget: there may be more. */
static int snap_rx_work(struct snap_channel *ch, int budget)
{
	struct snap_dev *sd = ch->q->sd;
	int done = 0;

	ch->armed = false;
	while (done < budget) {
		if (!ch->batch && (ch->armed || !snap_rx_take(ch)))
			break;
		/* also an empty batch is work: a device may send only such */
		do {
			if (ch->batch_left)
				snap_rx_entry(ch);
			done++;
		} while (done < budget && ch->batch_left);
		if (!ch->batch_left)
			snap_rx_drop(ch);
	}
	if (snap_rx_short(sd))
		snap_frames_reclaim(sd->frames);
	ch->calm = done <= SNAP_RX_CALM;
	if (done == budget)
		return done;
	snap_moderation_learn(ch);
	if (!napi_complete_done(&ch->napi, done))
		/* whoever polls on, or will, asks for no interrupt meanwhile */
		ch->calm = false;
	else if (!ch->armed)
		/* interrupts at once if something came since the last TAKE */
		snap_queue_write(ch->q, SNAP_QREG_ARM, 1);
	return done;
}

int snap_rx_poll(struct napi_struct *napi, int budget)
{
	struct snap_channel *ch = container_of(napi, struct snap_channel, napi);
	int done;

	snap_tx_resume(ch, budget);
	/* netpoll: only for what has been sent, and with interrupts off */
	if (!budget)
		return 0;
	snap_tx_poll_begin(ch);
	done = snap_rx_work(ch, budget);
	snap_tx_poll_end(ch);
	return done;
}
