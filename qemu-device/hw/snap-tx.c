/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: transmission.
 *
 * Pool frames are sent from where they are (nobody can change them), everything
 * else from a private copy.  Where a thread has the backend's descriptor, the
 * doorbell leaves the packet to it, with a hold on its frames; when its queue
 * is full, TX answers BUSY.
 *
 * Where it has not, the packet is handed to the backend inside the doorbell,
 * and the guest cannot give up its hold while the BQL is ours.  A backend that
 * cannot take it now gets a copy in QEMU's queue; until that is gone, TX
 * answers BUSY.  So no hold on a frame outlives the doorbell.  We keep another
 * copy, for when QEMU empties its queue.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci.h"
#include "qemu/cutils.h"
#include "qemu/bswap.h"
#include "qemu/iov.h"
#include "net/eth.h"
#include "net/queue.h"
#include "standard-headers/linux/virtio_net.h"
#include "snap.h"
#include "trace.h"

/* Is the header one that the backend may see, under the features in force? */
static bool snap_tx_offload_ok(SnapState *s, const struct snap_offload *o,
                               uint32_t length)
{
    uint64_t f = s->driver_features;
    bool csum = o->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

    if (o->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM || o->num_buffers ||
        o->hdr_len > length) {
        return false;
    }
    if (!(f & SNAP_F_CSUM) &&
        !buffer_is_zero(o, sizeof(*o))) {
        return false;
    }
    if (csum) {
        if ((uint32_t)o->csum_start + o->csum_offset + 2 > length) {
            return false;
        }
    } else if (o->csum_start || o->csum_offset) {
        return false;
    }
    switch (o->gso_type) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return !o->gso_size;
    case VIRTIO_NET_HDR_GSO_TCPV4:
    case VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN:
        return csum && o->gso_size && (f & SNAP_F_TSO4);
    case VIRTIO_NET_HDR_GSO_TCPV6:
    case VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN:
        return csum && o->gso_size && (f & SNAP_F_TSO6);
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return csum && o->gso_size && (f & SNAP_F_USO);
    default:
        return false;
    }
}

static uint32_t snap_tx_check_segment(SnapState *s,
                                      const struct snap_segment *seg)
{
    uint64_t pool_bytes = s->pool_size, first, last;

    if (seg->reserved) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (seg->kind < SNAP_SEG_FRAME || seg->kind > SNAP_SEG_DMA) {
        return SNAP_ST_BAD_SEGMENT;
    }
    if (!seg->length || seg->length > SNAP_TX_BYTES_MAX) {
        return SNAP_ST_BAD_LENGTH;
    }
    switch (seg->kind) {
    case SNAP_SEG_FRAME:
        if (seg->addr >= pool_bytes || seg->length > pool_bytes - seg->addr) {
            return SNAP_ST_BAD_FRAME;
        }
        first = seg->addr / SNAP_FRAME_SIZE;
        last = (seg->addr + seg->length - 1) / SNAP_FRAME_SIZE;
        return snapmem_guest_holds(s->mem, first, last - first + 1) ?
               SNAP_ST_OK : SNAP_ST_BAD_FRAME;
    case SNAP_SEG_INLINE:
        return seg->addr < SNAP_SLAB_BYTES &&
               seg->length <= SNAP_SLAB_BYTES - seg->addr ?
               SNAP_ST_OK : SNAP_ST_BAD_SEGMENT;
    default: /* SNAP_SEG_DMA */
        return seg->addr <= UINT64_MAX - seg->length ?
               SNAP_ST_OK : SNAP_ST_BAD_SEGMENT;
    }
}

static uint32_t snap_tx_check(SnapState *s, const struct snap_tx *tx)
{
    uint64_t sum = 0;

    if (tx->reserved || tx->reserved2) {
        return SNAP_ST_BAD_RESERVED;
    }
    if (!tx->nsegs || tx->nsegs > SNAP_TX_SEGMENTS_MAX) {
        return SNAP_ST_BAD_COUNT;
    }
    if (tx->length < SNAP_TX_BYTES_MIN || tx->length > SNAP_TX_BYTES_MAX) {
        return SNAP_ST_BAD_LENGTH;
    }
    if (!snap_tx_offload_ok(s, &tx->offload, tx->length)) {
        return SNAP_ST_BAD_OFFLOAD;
    }
    for (unsigned i = 0; i < tx->nsegs; i++) {
        uint32_t status = snap_tx_check_segment(s, &tx->seg[i]);

        if (status != SNAP_ST_OK) {
            return status;
        }
        sum += tx->seg[i].length;
    }
    return sum == tx->length ? SNAP_ST_OK : SNAP_ST_BAD_LENGTH;
}

/*
 * QEMU has thrown away the packet that paused us: the machine stops, or we are
 * unplugged.  A backend of streams may have written a part of it, and would go
 * on in the middle of whichever packet comes next, ours or another device's.
 * So the packet goes back to the end of the queue, where it was alone of us, in
 * the backend's own name: then nobody throws it away as long as there is a
 * backend, and nobody is told of its end.
 *
 * tap never begins one, and gets the packet back all the same: if the next
 * device is another model with a shorter header, it leaves malformed.
 */
static void snap_tx_hand_over(SnapQueue *q)
{
    NetClientState *peer = snap_queue_nc(q)->peer;
    struct iovec iov = { q->tx_kept, q->tx_kept_bytes };

    qemu_net_queue_append_iov(peer->incoming_queue, peer,
                              QEMU_NET_PACKET_FLAG_NONE, &iov, 1, NULL);
}

/* The backend has got rid of the packet that paused us (0: thrown away). */
static void snap_tx_resume(NetClientState *nc, ssize_t sent)
{
    SnapQueue *q = snap_queue_of(nc);

    if (!sent) {
        snap_tx_hand_over(q);
    }
    q->tx_paused = false;
    q->tx_unfinished = q->tx_unfinished && !sent;
    trace_snap_tx_resume(q->s, q->number, sent);
    snap_queue_publish(q);
    if (q->s->state == SNAP_STATE_RUNNING) {
        snap_queue_interrupt(q);
    }
}

/* As qemu_sendv_packet_async(); with 0 TX is paused. */
static ssize_t snap_tx_give(SnapQueue *q, const struct iovec *iov, unsigned n)
{
    ssize_t sent = qemu_sendv_packet_async(snap_queue_nc(q), iov, n,
                                           snap_tx_resume);

    if (sent == 0) {
        q->tx_paused = true;
        q->tx_kept_bytes = iov_to_buf(iov, n, 0, q->tx_kept, SNAP_TX_KEPT_MAX);
        snap_queue_publish(q);
    }
    return sent;
}

/*
 * QEMU's stream and socket backends remember how much of a packet they have
 * written, and go on there with the first packet of their next connection,
 * whichever that is: its peer would take the middle of it for a length.  So
 * that first one is a packet that is shorter than what was written, of which
 * nothing is left to write.  Written as a whole, it is an Ethernet frame of
 * ours to ourselves that nobody reads; a shorter one, which some peers end the
 * connection for, would not do.  So where 1 to 17 bytes had been written (the
 * length, 4 bytes, and this header are 18), the peer still gets the rest.
 * False: TX is paused.
 */
static bool snap_tx_realign(SnapQueue *q)
{
    struct snap_offload none = { 0 };
    struct eth_header frame = { .h_proto = cpu_to_be16(0x88b5) };
    struct iovec iov[] = {
        { &none, sizeof(none) },
        { &frame, sizeof(frame) },
    };
    unsigned first = !q->s->vnet_hdr;

    memcpy(frame.h_dest, q->s->conf.macaddr.a, ETH_ALEN);
    memcpy(frame.h_source, q->s->conf.macaddr.a, ETH_ALEN);
    q->tx_realign = false;
    if (!snap_tx_give(q, iov + first, ARRAY_SIZE(iov) - first)) {
        q->tx_unfinished = true;
        /*
         * In QEMU 10.0 to write nothing can count as an error without errno,
         * which the core takes for "later"; now the place is forgotten.
         */
        qemu_flush_queued_packets(snap_queue_nc(q)->peer);
    }
    return !q->tx_paused;
}

void snap_tx_cut_off(SnapQueue *q)
{
    q->tx_realign = q->tx_realign || q->tx_unfinished;
    /*
     * The core drops what it sends to a link that is down, and forgets that
     * the backend refused a packet; calls snap_tx_resume().
     */
    qemu_flush_queued_packets(snap_queue_nc(q)->peer);
}

/*
 * Whoever refused the packet of the device before has a part of it, unless its
 * connection lives and writes the rest.  The link is not watched yet: if the
 * connection has broken, nobody else will know.
 */
void snap_tx_take_over(SnapQueue *q)
{
    NetClientState *peer = snap_queue_nc(q)->peer;

    q->tx_unfinished = peer && peer->receive_disabled;
    if (q->tx_unfinished && !snap_link_up(q->s)) {
        snap_tx_cut_off(q);
    }
}

/*
 * Only RAM: a read of a device's registers could have effects, on this
 * device among others.
 */
static bool snap_tx_dma(SnapState *s, uint64_t addr, void *to, uint32_t length)
{
    const MemTxAttrs attrs = { .memory = true };

    return pci_dma_rw(PCI_DEVICE(s), addr, to, length,
                      DMA_DIRECTION_TO_DEVICE, attrs) == MEMTX_OK;
}

uint32_t snap_tx(SnapState *s, unsigned queue, void *entry, void *out)
{
    SnapQueue *q = snap_queue(s, queue);
    struct snap_tx *tx = entry;
    struct iovec iov[1 + SNAP_TX_SEGMENTS_MAX];
    uint64_t by_kind[SNAP_SEG_DMA + 1] = { 0 };
    uint8_t *copy;
    unsigned n = 0;
    uint32_t status = snap_tx_check(s, tx);
    ssize_t sent = tx->length;

    if (status != SNAP_ST_OK) {
        return status;
    }
    if (!snap_link_up(s)) {
        q->counter[SNAP_QCTR_TX_DROPPED]++;
        return SNAP_ST_LINK_DOWN;
    }
    if (q->tx_paused || (q->tx_realign && !snap_tx_realign(q))) {
        return SNAP_ST_BUSY;
    }
    copy = q->threaded ? snapnet_tx_room(q->packets) : q->tx_copy;
    if (!copy) {
        return SNAP_ST_BUSY;
    }
    if (s->vnet_hdr) {
        memcpy(copy, &tx->offload, sizeof(tx->offload));
        iov[n++] = (struct iovec){ copy, sizeof(tx->offload) };
        copy += sizeof(tx->offload);
    }
    /* The lengths sum up to no more than there is room. */
    for (unsigned i = 0; i < tx->nsegs; i++) {
        const struct snap_segment *seg = &tx->seg[i];

        by_kind[seg->kind] += seg->length;
        if (seg->kind == SNAP_SEG_FRAME) {
            iov[n++] = (struct iovec){ snapmem_pool(s->mem) + seg->addr,
                                       seg->length };
            continue;
        }
        if (seg->kind == SNAP_SEG_INLINE) {
            memcpy(copy, snap_slab(s, queue) + seg->addr, seg->length);
        } else if (!snap_tx_dma(s, seg->addr, copy, seg->length)) {
            return SNAP_ST_DMA_FAULT;
        }
        iov[n++] = (struct iovec){ copy, seg->length };
        copy += seg->length;
    }

    if (q->threaded) {
        snapnet_tx_push(q->packets, iov, n);
    } else {
        sent = snap_tx_give(q, iov, n);
    }
    trace_snap_tx(s, queue, tx->length, tx->nsegs, sent);
    if (sent < 0) {
        q->counter[SNAP_QCTR_TX_DROPPED]++;
        return SNAP_ST_OK;
    }
    q->tx_unfinished = sent == 0;
    if (sent == 0) {
        q->counter[SNAP_QCTR_TX_PAUSES]++;
    }
    q->counter[SNAP_QCTR_TX_PACKETS]++;
    q->counter[SNAP_QCTR_TX_BYTES] += tx->length;
    s->counter[SNAP_CTR_TX_FRAME_BYTES] += by_kind[SNAP_SEG_FRAME];
    s->counter[SNAP_CTR_TX_INLINE_BYTES] += by_kind[SNAP_SEG_INLINE];
    s->counter[SNAP_CTR_TX_DMA_BYTES] += by_kind[SNAP_SEG_DMA];
    return SNAP_ST_OK;
}

/*
 * Not at a reset: a backend that has written the first part of a packet goes
 * on in the middle of whichever comes next, so it gets that one, and TX stays
 * paused until then.
 */
void snap_tx_exit(SnapQueue *q)
{
    /* Calls snap_tx_resume(), which hands over a packet that is still queued. */
    qemu_purge_queued_packets(snap_queue_nc(q));
}
