/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: reception into batches.
 *
 * A small packet lies in the batch as a whole; of a larger one the headers
 * do, and the payload starts at the beginning of a fresh frame.  Every byte
 * of a frame that the guest gets has been written here: packet or zero.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "net/eth.h"
#include "standard-headers/linux/virtio_net.h"
#include "snap.h"
#include "trace.h"

#define SNAP_RX_ENTRY_MAX \
    (sizeof(struct snap_rx) + 4 * SNAP_RX_FRAMES_MAX + SNAP_RX_INLINE_MAX)

QEMU_BUILD_BUG_ON(ROUND_UP(SNAP_RX_ENTRY_MAX, 8) > SNAP_FRAME_SIZE);
QEMU_BUILD_BUG_ON(SNAP_RX_HEADER_MAX > SNAP_RX_INLINE_MAX);

static SnapBatch *snap_batch(SnapState *s, uint32_t i)
{
    return &s->batch[(s->batch_first + i) % (SNAP_BATCHES + 1)];
}

static SnapBatch *snap_open_batch(SnapState *s)
{
    return snap_batch(s, s->batch_sealed);
}

/* The open batch has packets and becomes the newest sealed one. */
static void snap_seal(SnapState *s)
{
    SnapBatch *b = snap_open_batch(s);

    memset(snap_frame(s, b->frame[0]) + b->used, 0, SNAP_FRAME_SIZE - b->used);
    s->batch_sealed++;
    snap_open_batch(s)->nframes = 0;
}

static bool snap_rx_ready(SnapState *s)
{
    return s->state == SNAP_STATE_RUNNING && s->batch_sealed < SNAP_BATCHES &&
           snapmem_free_frames(s->mem) >
           (s->rx_stalled ? SNAP_RX_RESUME : SNAP_RX_STOP);
}

static void snap_rx_stall(SnapState *s)
{
    if (!s->rx_stalled && s->state == SNAP_STATE_RUNNING) {
        s->rx_stalled = true;
        s->counter[SNAP_CTR_RX_STALLS]++;
        trace_snap_rx_stall(s, snapmem_free_frames(s->mem), s->batch_sealed);
    }
}

bool snap_can_receive(NetClientState *nc)
{
    SnapState *s = qemu_get_nic_opaque(nc);

    /* A machine that is stopped does not change: see snap_rx_continue(). */
    if (!runstate_is_running()) {
        return false;
    }
    /* Once stalled, only snap_rx_resume() ends it, so that it is seen. */
    if (s->rx_stalled) {
        return false;
    }
    if (!snap_rx_ready(s)) {
        snap_rx_stall(s);
        return false;
    }
    return true;
}

void snap_rx_resume(SnapState *s)
{
    if (s->rx_stalled && snap_rx_ready(s)) {
        s->rx_stalled = false;
        trace_snap_rx_resume(s, snapmem_free_frames(s->mem));
        /* Not here: the guest waits for its doorbell. */
        qemu_bh_schedule(s->rx_bh);
    }
}

void snap_rx_bh(void *opaque)
{
    SnapState *s = opaque;

    qemu_flush_queued_packets(qemu_get_queue(s->nic));
}

/* What was refused while the machine was stopped is asked for again. */
void snap_rx_continue(void *opaque, bool running, RunState state)
{
    SnapState *s = opaque;

    if (running) {
        qemu_bh_schedule(s->rx_bh);
    }
}

/* Where the UDP or TCP payload begins in an IP packet at `at`. */
static size_t snap_transport_end(const uint8_t *p, size_t at, size_t limit,
                                 unsigned protocol)
{
    if (protocol == IP_PROTO_UDP && at + 8 <= limit) {
        return at + 8;
    }
    if (protocol == IP_PROTO_TCP && at + 20 <= limit) {
        size_t bytes = (p[at + 12] >> 4) * 4;

        if (bytes >= 20 && at + bytes <= limit) {
            return at + bytes;
        }
    }
    return at;
}

static size_t snap_ip4_end(const uint8_t *p, size_t at, size_t limit)
{
    size_t bytes;

    if (at + 20 > limit) {
        return at;
    }
    bytes = (p[at] & 0xf) * 4;
    if (bytes < 20 || at + bytes > limit) {
        return at;
    }
    if (lduw_be_p(p + at + 6) & 0x3fff) { /* a fragment */
        return at + bytes;
    }
    return snap_transport_end(p, at + bytes, limit, p[at + 9]);
}

static size_t snap_ip6_end(const uint8_t *p, size_t at, size_t limit)
{
    unsigned next;

    if (at + 40 > limit) {
        return at;
    }
    next = p[at + 6];
    at += 40;
    while (at + 8 <= limit) {
        size_t bytes = (p[at + 1] + 1) * 8;

        if (next == IP6_FRAGMENT) {
            return at + 8;
        }
        if (next != IP6_HOP_BY_HOP && next != IP6_ROUTING &&
            next != IP6_DESTINATON) {
            break;
        }
        if (at + bytes > limit) {
            return at;
        }
        next = p[at];
        at += bytes;
    }
    return snap_transport_end(p, at, limit, next);
}

/*
 * Bytes of headers, at least those of Ethernet.  Whatever is not understood
 * counts as payload.
 */
static size_t snap_header_bytes(const uint8_t *p, size_t length)
{
    size_t limit = MIN(length, SNAP_RX_HEADER_MAX), at = ETH_HLEN;
    unsigned type = lduw_be_p(p + at - 2);

    for (unsigned tags = 0; tags < 2 && at + 4 <= limit &&
         (type == ETH_P_VLAN || type == ETH_P_DVLAN); tags++) {
        type = lduw_be_p(p + at + 2);
        at += 4;
    }
    switch (type) {
    case ETH_P_IP:
        return snap_ip4_end(p, at, limit);
    case ETH_P_IPV6:
        return snap_ip6_end(p, at, limit);
    default:
        return at;
    }
}

/*
 * What of the backend's header goes to the guest.  False if the packet makes
 * no sense without an offload that is not in force: it may stem from a time
 * before START.
 */
static bool snap_rx_offload(SnapState *s, struct snap_offload *o,
                            size_t length)
{
    uint64_t f = s->driver_features;
    bool csum = f & SNAP_F_RX_CSUM;

    o->num_buffers = 0;
    o->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
    switch (o->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        break;
    case VIRTIO_NET_HDR_GSO_TCPV4:
    case VIRTIO_NET_HDR_GSO_TCPV6:
        if (!csum || !(f & SNAP_F_RX_LRO) || !o->gso_size) {
            return false;
        }
        break;
    default:
        return false;
    }
    if (o->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        return csum &&
               (uint32_t)o->csum_start + o->csum_offset + 2 <= length;
    }
    if (!csum) {
        memset(o, 0, sizeof(*o));
    }
    return true;
}

/*
 * Room for an entry of `bytes` and nframes payload frames in the open batch;
 * NULL if there are no frames.  *frames are the payload frames.
 */
static struct snap_rx *snap_rx_reserve(SnapState *s, size_t bytes,
                                       uint32_t nframes, uint32_t **frames)
{
    SnapBatch *b = snap_open_batch(s);
    uint32_t fresh;
    struct snap_rx *rx;

    if (b->nframes && b->used + bytes > SNAP_FRAME_SIZE) {
        snap_seal(s);
        b = snap_open_batch(s);
    }
    fresh = b->nframes ? 0 : 1;
    if (snapmem_receive(s->mem, b->frame + b->nframes, fresh + nframes)) {
        return NULL;
    }
    if (fresh) {
        b->used = 0;
        b->packets = 0;
    }
    *frames = b->frame + b->nframes + fresh;
    b->nframes += fresh + nframes;
    rx = (struct snap_rx *)(snap_frame(s, b->frame[0]) + b->used);
    b->used += bytes;
    b->packets++;
    return rx;
}

static void snap_rx_fill(SnapState *s, struct snap_rx *rx,
                         const uint32_t *frames, const uint8_t *packet)
{
    uint8_t *headers = (uint8_t *)(rx + 1) + 4 * rx->nframes;
    size_t left = rx->payload;

    memcpy(rx + 1, frames, 4 * rx->nframes);
    memcpy(headers, packet, rx->hdr_len);
    memset(headers + rx->hdr_len, 0,
           (uint8_t *)rx + rx->size - headers - rx->hdr_len);
    packet += rx->hdr_len;
    for (unsigned i = 0; i < rx->nframes; i++) {
        uint8_t *to = snap_frame(s, frames[i]);
        size_t bytes = MIN(left, SNAP_FRAME_SIZE);

        memcpy(to, packet, bytes);
        memset(to + bytes, 0, SNAP_FRAME_SIZE - bytes);
        packet += bytes;
        left -= bytes;
    }
}

static ssize_t snap_rx_drop(SnapState *s, size_t size, const char *why)
{
    s->counter[SNAP_CTR_RX_DROPPED]++;
    trace_snap_rx_drop(s, size, why);
    return size;
}

ssize_t snap_receive(NetClientState *nc, const uint8_t *buf, size_t size)
{
    SnapState *s = qemu_get_nic_opaque(nc);
    struct snap_offload offload = { 0 };
    const uint8_t *packet = buf;
    size_t length = size, header, payload, bytes;
    uint32_t nframes, *frames;
    struct snap_rx *rx;

    /* A flush of the queue does not ask first. */
    if (!snap_can_receive(nc)) {
        return 0;
    }
    if (s->vnet_hdr) {
        if (size < sizeof(offload)) {
            return snap_rx_drop(s, size, "no offload header");
        }
        memcpy(&offload, buf, sizeof(offload));
        packet += sizeof(offload);
        length -= sizeof(offload);
    }
    if (length < ETH_HLEN) {
        return snap_rx_drop(s, size, "too short");
    }
    if (!snap_rx_offload(s, &offload, length)) {
        return snap_rx_drop(s, size, "offload not negotiated");
    }
    header = length <= SNAP_RX_INLINE_MAX ? length :
             snap_header_bytes(packet, length);
    payload = length - header;
    nframes = DIV_ROUND_UP(payload, SNAP_FRAME_SIZE);
    if (nframes > SNAP_RX_FRAMES_MAX) {
        return snap_rx_drop(s, size, "too long");
    }
    bytes = ROUND_UP(sizeof(*rx) + 4 * nframes + header, 8);
    rx = snap_rx_reserve(s, bytes, nframes, &frames);
    if (!rx) {
        /* Copies on write have taken the frames since we looked. */
        snap_rx_stall(s);
        return 0;
    }
    *rx = (struct snap_rx) {
        .size = bytes,
        .hdr_len = header,
        .nframes = nframes,
        .payload = payload,
        .offload = offload,
    };
    snap_rx_fill(s, rx, frames, packet);
    s->counter[SNAP_CTR_RX_PACKETS]++;
    s->counter[SNAP_CTR_RX_BYTES] += length;
    trace_snap_rx(s, length, header, nframes, snap_open_batch(s)->frame[0]);
    snap_publish(s);
    if (s->rx_armed) {
        s->rx_armed = false;
        snap_interrupt(s, SNAP_VECTOR_DATA);
    }
    return size;
}

uint64_t snap_rx_take(SnapState *s)
{
    SnapBatch *b;
    uint64_t value;

    s->counter[SNAP_CTR_TAKES]++;
    if (!s->batch_sealed) {
        if (!snap_open_batch(s)->nframes) {
            trace_snap_take(s, SNAP_TAKE_NONE);
            return SNAP_TAKE_NONE;
        }
        snap_seal(s);
    }
    b = snap_batch(s, 0);
    snapmem_give(s->mem, b->frame, b->nframes);
    s->counter[SNAP_CTR_RX_FRAMES] += b->nframes - 1;
    value = b->frame[0] | (uint64_t)b->packets << 32;
    b->nframes = 0;
    s->batch_first = (s->batch_first + 1) % (SNAP_BATCHES + 1);
    s->batch_sealed--;
    trace_snap_take(s, value);
    snap_rx_resume(s);
    return value;
}

static bool snap_rx_waits(SnapState *s)
{
    return s->batch_sealed || snap_open_batch(s)->nframes;
}

uint64_t snap_rx_take_arm(SnapState *s)
{
    uint64_t value = snap_rx_take(s);

    if (s->state != SNAP_STATE_RUNNING || snap_rx_waits(s)) {
        return value;
    }
    s->rx_armed = true;
    return value | SNAP_TAKE_ARMED;
}

void snap_rx_arm(SnapState *s, bool armed)
{
    s->counter[SNAP_CTR_ARMS]++;
    s->rx_armed = armed && s->state == SNAP_STATE_RUNNING;
    if (s->rx_armed && snap_rx_waits(s)) {
        s->rx_armed = false;
        snap_interrupt(s, SNAP_VECTOR_DATA);
    }
}

void snap_rx_reset(SnapState *s)
{
    for (uint32_t i = 0; i <= s->batch_sealed; i++) {
        SnapBatch *b = snap_batch(s, i);

        snapmem_drop(s->mem, b->frame, b->nframes);
        b->nframes = 0;
    }
    s->batch_first = 0;
    s->batch_sealed = 0;
    s->rx_armed = false;
    s->rx_stalled = false;
}
