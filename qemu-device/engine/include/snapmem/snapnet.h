/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packets of one data queue: batches of what was received, and a thread
 * that owns the backend's descriptor.  Knows the frames (snapmem.h) and the
 * layout that the guest sees (snap_device.h), nothing of an emulator.
 *
 * Two ways for packets:
 *   attached   a descriptor whose read() and write() move one packet each (a
 *              tap) belongs to the thread in snapnet_run().  Sending queues:
 *              the queue takes holds on frames, and copies all else.
 *   detached   the caller moves packets: snapnet_receive() brings what it has,
 *              and what it sends does not pass here.
 * Received packets go to the same batches both ways.
 *
 * Thread safety.  "The caller" is whoever has the lock that serialises the
 * device, the BQL in QEMU: all functions but snapnet_run(), snapnet_unref()
 * and snapnet_get_counters() are called with it.  One mutex inside stands
 * between caller and thread.  Lock order: the caller's lock, this mutex, the
 * engine's mutex.  The thread makes no system call with the mutex held, but
 * for one that wakes, and holds nothing of the queue while interrupt() runs,
 * which may wait for the caller's lock.
 *
 * Functions that say *quiet* wait until the thread is out of system calls on
 * the descriptor and out of frames, and never for the caller's lock.  At most
 * that is one packet.
 */
#ifndef SNAPMEM_SNAPNET_H
#define SNAPMEM_SNAPNET_H

#include "snapmem.h"

#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct snapnet snapnet;

/* Of one packet to send: the offload header and SNAP_TX_SEGMENTS_MAX. */
#define SNAPNET_PARTS_MAX 21u
/* What waits to be sent is less than both. */
#define SNAPNET_TX_PACKETS 256u
#define SNAPNET_TX_BYTES (1u << 20)
/* Reception stops when no more frames are free than these, and goes on when
 * more are free than those. */
#define SNAPNET_RX_STOP 20u
#define SNAPNET_RX_RESUME 32u

typedef struct snapnet_config {
    snapmem *mem;  /* outlives snapnet_stop() */
    bool vnet_hdr; /* a struct snap_offload comes before each packet */
    /* Words that the guest reads: of the device, to which everybody stores with
     * snapmem_publish_free_frames(); and of the queue, to which nobody else
     * does. */
    uint32_t *free_frames;
    uint32_t *tx_paused;
    /* snapnet_take_interrupt() has something. In the thread, no lock held; if
     * there is nothing to take any more, opaque may be gone. */
    void (*interrupt)(snapnet *q, void *opaque);
    void *opaque;
    /* Nanoseconds from some time on, of a clock that may stand still while the
     * queue is halted. In any thread, with the mutex held. */
    /* NOLINTNEXTLINE(modernize-redundant-void-arg): C has no other way */
    int64_t (*clock_ns)(void);
    uint64_t hash_key[2]; /* of flows: one for all queues, and secret */
    /* For tests: the thread waits before each packet; and so many packets fill
     * the queue, or 0: SNAPNET_TX_PACKETS. */
    uint32_t delay_us;
    uint32_t tx_packets;
} snapnet_config;

typedef struct snapnet_counters {
    uint64_t tx_dropped; /* accepted, but refused by the descriptor, or reset */
    uint64_t tx_pauses;  /* times that the queue was full */
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t rx_frames; /* of payload, handed out */
    uint64_t rx_dropped;
    uint64_t rx_stalls;
    uint64_t rx_in_place; /* packets of payload that were not moved */
    uint64_t rx_no_large; /* packets for which no large frame was free */
} snapnet_counters;

/* ---- Life --------------------------------------------------------------- */

/* With one reference; detached and not running. NULL: no memory, or no
 * descriptor. */
snapnet *snapnet_new(const snapnet_config *config);
/* The thread has a reference of its own, which it drops after
 * snapnet_run(). */
void snapnet_ref(snapnet *q);
void snapnet_unref(snapnet *q);
/* The life of the thread, which one thread may lead; until snapnet_stop(). */
void snapnet_run(snapnet *q);
/* Quiet, for good: all frames are home, and nobody touches frames, status
 * words or `opaque` from now on; interrupt() may be under way, and finds
 * nothing to take. What the descriptor takes at once was written, the rest is
 * dropped. */
void snapnet_stop(snapnet *q);

/* The device runs, with these features (SNAP_F_*). */
void snapnet_start(snapnet *q, uint64_t features);
/* Quiet. The device does not run; sends as snapnet_stop() does; batches are
 * empty, nothing is armed, no interrupt waits. */
void snapnet_reset(snapnet *q);

/* ---- Which way ---------------------------------------------------------- */

/* The descriptor, which must not block, is the thread's. */
void snapnet_attach(snapnet *q, int fd);
/* Quiet; what the descriptor takes at once was written. The rest is to be
 * fetched with snapnet_tx_next(). */
void snapnet_detach(snapnet *q);
/* Halted, the thread leaves everything as it is; quiet. */
void snapnet_halt(snapnet *q, bool halted);

/* ---- Sending, attached -------------------------------------------------- */

/* Room for what is copied of the next packet, offload header included: as much
 * as a packet may have. NULL: paused. Takes no lock. */
uint8_t *snapnet_tx_room(snapnet *q);
/* Send a packet of n parts, which lie in held frames of the pool, or in that
 * room, one after another from its start. */
void snapnet_tx_push(snapnet *q, const struct iovec *part, unsigned n);
/* Detached: the oldest packet that was not sent, or NULL; and that it is gone.
 * Of those that are dropped, the number counts. */
const struct iovec *snapnet_tx_next(snapnet *q, unsigned *n);
void snapnet_tx_pop(snapnet *q, bool dropped);
/* Packets that wait now. */
uint32_t snapnet_tx_waiting(snapnet *q);

/* ---- Receiving ---------------------------------------------------------- */

/* Detached: would a packet be taken? If not, reception stalls. */
bool snapnet_rx_ready(snapnet *q);
/* Detached: false if the packet is to come again later. */
bool snapnet_receive(snapnet *q, const uint8_t *packet, size_t bytes);
/* What the thread had read when it was detached goes first. */
void snapnet_receive_rest(snapnet *q);
/* Batches, or frames of whichever queue, have become free; those have been
 * published. True if reception goes on because of that, and the caller is to
 * bring packets. Takes no lock unless reception has stalled. */
bool snapnet_rx_resume(snapnet *q);
/* The registers TAKE and, with arm, TAKE_ARM. */
uint64_t snapnet_take(snapnet *q, bool arm);
/* The register ARM; true if that is an interrupt at once. */
bool snapnet_arm(snapnet *q, bool armed);
/* The register HOLDOFF. */
void snapnet_set_holdoff(snapnet *q, uint32_t us);

/* ---- Telling the guest -------------------------------------------------- */

/* An interrupt of VECTOR_DATA is due; true once. To be asked after
 * receive, arm, set_holdoff, halt and detach, and in interrupt(). */
bool snapnet_take_interrupt(snapnet *q);
/* Nanoseconds until it is, of one that is held back; or -1. Detached, the
 * caller asks again after that time. */
int64_t snapnet_held_ns(snapnet *q);
/* Store both words. tx_paused: sending is paused by the caller, too. */
void snapnet_publish(snapnet *q, bool tx_paused);
void snapnet_get_counters(snapnet *q, snapnet_counters *out);

#ifdef __cplusplus
}
#endif

#endif /* SNAPMEM_SNAPNET_H */
