/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: state of one device.
 *
 * uapi/snap_device.h is what the guest sees, snapmem/snapmem.h what owns the
 * frames; this glue lies between them and the net and PCI layers of QEMU.
 *
 * Locking: everything here runs under the BQL, in the thread of a vCPU
 * (registers) or in the main loop (packets, bottom half, monitor).  The
 * engine has a thread and a lock of its own, and so have the packets of each
 * data queue where a thread moves them (snapmem/snapnet.h, snap-path.c).
 *
 * Whatever the guest writes is hostile: an entry is copied out of the slab
 * before it is looked at, and nothing is read from the slab twice.
 *
 * Fields of the ABI are little-endian; so is every host that this device is
 * built for (asserted in snap-pci.c), hence no conversions.
 */
#ifndef HW_SNAP_SNAP_H
#define HW_SNAP_SNAP_H

#include "hw/pci/pci_device.h"
#include "net/net.h"
#include "qemu/units.h"
#include "qom/object.h"
#include "system/runstate.h"
#include "standard-headers/linux/snap_device.h"
#include <snapmem/snapmem.h>
#include <snapmem/snapnet.h>

#define TYPE_SNAP "snap"
OBJECT_DECLARE_SIMPLE_TYPE(SnapState, SNAP)

#define SNAP_SLAB_BYTES     (64 * KiB)

/* Places in the memory BAR; pool, large pool and windows follow the slabs. */
#define SNAP_STATUS_OFFSET  0
#define SNAP_SLAB_OFFSET    (64 * KiB)

/* What takes a backend that passes virtio_net_hdr. */
#define SNAP_F_OFFLOADS     (SNAP_F_CSUM | SNAP_F_TSO4 | SNAP_F_TSO6 | \
                             SNAP_F_RX_CSUM | SNAP_F_RX_LRO)

/* A packet as the backend gets it. */
#define SNAP_TX_KEPT_MAX    (sizeof(struct snap_offload) + SNAP_TX_BYTES_MAX)

/* An Ethernet payload that tap takes: 65535 less the Ethernet header. */
#define SNAP_MTU_MAX        65521

/*
 * Reception stops when no more than SNAPNET_RX_STOP frames are free, which is
 * more than one packet and its batch need, and goes on at SNAPNET_RX_RESUME.
 * That lies below the level at which the driver copies (SNAP_RX_LOW_MIN or
 * more), so frames that unread sockets keep cannot stop reception for ever.
 */
#define SNAP_RX_LOW_MIN     64
#define SNAP_RX_RESERVE_MIN 128

/* Who moves packets between device and backend. */
typedef enum SnapDatapath {
    SNAP_DATAPATH_AUTO,         /* a thread, where it can */
    SNAP_DATAPATH_THREAD,
    SNAP_DATAPATH_MAIN,         /* QEMU's main loop */
} SnapDatapath;

/* A data queue.  Its thread sees `packets` only. */
typedef struct SnapQueue {
    /* Set by realize, constant afterwards */
    SnapState *s;
    unsigned number;            /* 1 is the first: the mailbox is queue 0 */
    snapnet *packets;
    uint8_t *tx_copy;           /* SNAP_TX_KEPT_MAX bytes of one packet */
    uint8_t *tx_kept;           /* the packet that has paused TX */
    QEMUBH *rx_bh;              /* asks the backend for waiting packets */
    QEMUTimer *rx_timer;        /* the end of what is held back */

    uint64_t counter[SNAP_QCTR_MAX]; /* those that `packets` does not keep */
    uint32_t holdoff;           /* microseconds; reset sets 0 */
    bool threaded;              /* a thread has the backend's descriptor */
    bool thread_started;
    bool tap_refuses;           /* its queue cannot be attached or detached */
    uint32_t tx_kept_bytes;
    bool tx_paused;
    bool tx_unfinished;         /* the backend may have begun a packet */
    bool tx_realign;            /* before the next packet, see snap-tx.c */
    bool rx_refused;            /* QEMU may keep a packet for us */
} SnapQueue;

struct SnapState {
    PCIDevice parent_obj;

    /* Properties */
    NICConf conf;
    uint64_t pool_size;         /* bytes */
    uint64_t window_size;       /* bytes; 0: as the pool */
    uint32_t rx_reserve;        /* frames; 0: chosen by the device */
    snapmem_mode capture;
    bool dedup;                 /* equal pages of snapshots share a frame */
    SnapDatapath datapath;
    /* For tests, of threads: */
    uint32_t datapath_delay;    /* microseconds that each packet waits */
    uint32_t datapath_packets;  /* that fill a queue; 0: as many as may wait */
    bool datapath_halted;       /* as in a stopped machine */
    bool large_frames;          /* are offered; for tests */
    uint32_t abi_version;       /* that it says it speaks, for tests */

    /* Set by realize, constant afterwards */
    NICState *nic;
    snapmem *mem;               /* freed in instance_finalize */
    unsigned queues;            /* data queues, as many as the netdev has */
    unsigned vectors;
    uint64_t pool_offset;       /* in the memory BAR */
    uint64_t large_offset;      /* likewise */
    uint64_t window_offset;     /* likewise */
    uint32_t frames;
    uint64_t window_bytes;
    uint32_t window_pages;
    uint32_t rx_low;            /* frames */
    uint64_t features;          /* offered */
    bool vnet_hdr;              /* the backend speaks virtio_net_hdr */
    uint64_t hash_key[2];       /* of flows; nobody else is to know it */
    uint64_t steer_key;         /* nor this: which entry of a table they have */

    MemoryRegion regs;
    MemoryRegion memory;        /* holds the five below */
    MemoryRegion status_area;
    MemoryRegion slabs;
    MemoryRegion pool;
    MemoryRegion large_pool;    /* an alias */
    MemoryRegion windows;
    struct snap_device_status *status; /* those of queues follow */
    uint8_t *slab;              /* of queue 0; the others follow */

    uint32_t state;             /* SNAP_STATE_* */
    uint32_t active;            /* data queues that carry packets */
    uint64_t driver_features;   /* in force while RUNNING */
    uint16_t unfinished_op;     /* of the mailbox, answered with AGAIN; or 0 */
    uint64_t counter[SNAP_CTR_MAX]; /* those that the engine does not keep */

    bool steered;               /* by a table of the guest's */
    bool link_announced;
    GSource *link_source;
    VMChangeStateEntry *run_state;

    SnapQueue queue[SNAP_QUEUES_MAX];
};

#define SNAP_FOREACH_QUEUE(q, s) \
    for (SnapQueue *q = (s)->queue; q < (s)->queue + (s)->queues; q++)

/* snap-pci.c */
void snap_interrupt(SnapState *s, unsigned vector);
void snap_start(SnapState *s);
/* As after power-on, but for counters and the status area's count. */
void snap_reset(SnapState *s);
/* Tell the guest what is free now; after everything that moves frames. */
void snap_publish_frames(SnapState *s);
/* And of the link and all queues. */
void snap_publish(SnapState *s);

/* snap-regs.c */
extern const MemoryRegionOps snap_regs_ops;
/* Of a removed device: reads as all ones, takes no write. */
extern const MemoryRegionOps snap_gone_ops;

/* snap-counters.c: the registers of the device, and of a data queue */
uint64_t snap_read_counter(SnapState *s, enum snap_counter c);
uint64_t snap_read_queue_counter(SnapQueue *q, enum snap_queue_counter c);

/* snap-queue.c: data queues, all of them */
bool snap_queues_init(SnapState *s, Error **errp);
/* Before the NIC goes; and after it. */
void snap_queues_exit(SnapState *s);
void snap_queues_free(SnapState *s);
void snap_queues_reset(SnapState *s);
/* Threads leave all as it is, also while the machine runs. */
void snap_queues_set_halted(SnapState *s, bool halted);
/* Packets that wait for threads. */
uint32_t snap_queues_waiting(SnapState *s);
/* The first n data queues carry packets, the others do not. */
void snap_activate(SnapState *s, unsigned n);
void snap_queue_publish(SnapQueue *q);
void snap_queue_interrupt(SnapQueue *q);

/* `number` is 1 .. s->queues. */
static inline SnapQueue *snap_queue(SnapState *s, unsigned number)
{
    return &s->queue[number - 1];
}

static inline bool snap_queue_active(const SnapQueue *q)
{
    return q->number <= q->s->active;
}

static inline NetClientState *snap_queue_nc(const SnapQueue *q)
{
    return qemu_get_subqueue(q->s->nic, q->number - 1);
}

static inline SnapQueue *snap_queue_of(NetClientState *nc)
{
    SnapState *s = qemu_get_nic_opaque(nc);

    return &s->queue[nc->queue_index];
}

/* snap-doorbell.c */
void snap_doorbell(SnapState *s, unsigned queue, uint64_t value);
static inline uint8_t *snap_slab(SnapState *s, unsigned queue)
{
    return s->slab + queue * SNAP_SLAB_BYTES;
}

static inline struct snap_queue_status *snap_queue_status(SnapState *s,
                                                          unsigned queue)
{
    return (void *)((uint8_t *)s->status + queue * SNAP_STATUS_LINE);
}

static inline uint8_t *snap_frame(SnapState *s, uint32_t frame)
{
    return snapmem_pool(s->mem) + (size_t)frame * SNAP_FRAME_SIZE;
}

/*
 * A command.  `entry` is a private copy of the whole entry, which it may
 * change; `out` is the entry in the slab, to which it only writes.  Returns
 * an enum snap_status.
 */
typedef uint32_t SnapExecute(SnapState *s, unsigned queue, void *entry,
                             void *out);

/* snap-memory.c */
SnapExecute snap_capture, snap_release;
SnapExecute snap_region_create, snap_region_destroy, snap_discard;
SnapExecute snap_snapshot, snap_snapshot_drop, snap_clone, snap_commit;
SnapExecute snap_merge, snap_diff, snap_info;

/* snap-tx.c */
SnapExecute snap_tx;
/* The backend may have had another device, and have begun a packet of it. */
void snap_tx_take_over(SnapQueue *q);
void snap_tx_exit(SnapQueue *q);
/* The backend has lost its connection, maybe within a packet. */
void snap_tx_cut_off(SnapQueue *q);

/* snap-link.c */
bool snap_link_up(SnapState *s);
void snap_link_status_changed(NetClientState *nc);
void snap_link_watch(SnapState *s);
void snap_link_unwatch(SnapState *s);

/* snap-rx.c */
bool snap_can_receive(NetClientState *nc);
ssize_t snap_receive(NetClientState *nc, const uint8_t *buf, size_t size);
/* The registers TAKE and, with arm, TAKE_ARM. */
uint64_t snap_rx_take(SnapQueue *q, bool arm);
void snap_rx_arm(SnapQueue *q, bool armed);
void snap_rx_set_holdoff(SnapQueue *q, uint32_t us);
/* Raise the interrupt that is due, and see to one that is held back. */
void snap_rx_interrupt(SnapQueue *q);
void snap_rx_timer(void *opaque);
/*
 * Frames or batches may have become free, and were published: queues go on
 * receiving if they have waited for that.
 */
void snap_rx_resume(SnapState *s);
void snap_rx_bh(void *opaque);

/* snap-steer.c: by which queue a received flow comes */
SnapExecute snap_steer;
/* Asks the backend; the NIC is there. */
bool snap_steer_possible(SnapState *s);
/* No table of the guest's any more. */
void snap_steer_free(SnapState *s);

/* snap-path.c: the thread that has the backend's descriptor, or has it not */
bool snap_path_check(SnapState *s, Error **errp);
void snap_path_interrupt(snapnet *packets, void *opaque);
void snap_path_exit(SnapQueue *q);
/* Is it time for snap_path_update()? */
bool snap_path_changes(SnapState *s);
void snap_path_update(SnapState *s);

#endif /* HW_SNAP_SNAP_H */
