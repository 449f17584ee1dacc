/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine with a snap device, seen from the bus: for the device's qtests.
 */
#ifndef SNAP_FIXTURE_H
#define SNAP_FIXTURE_H

#include "libqtest.h"
#include "libqos/pci.h"
#include "standard-headers/linux/snap_device.h"

/* Guest memory that the tests may use: 1 MiB from here. */
#define SNAP_TEST_RAM       0x200000

typedef struct Snap {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar regs;
    uint64_t status, slab, pool, large, window; /* bus addresses */
    uint64_t slab_bytes;
    uint32_t frames, window_pages;
    uint32_t free_frames;   /* at the start */
    int sock;               /* our end of the backend, or -1 */
} Snap;

/* A small machine; SNAP_QEMU_OPTIONS of the environment are added. */
QTestState *snap_qemu(const char *machine, const char *options);
/* Boot, map the BARs, read the places; the device stays IDLE. */
Snap *snap_boot(const char *machine, bool backend, const char *properties);
/* The same; `backend` is an option -netdev with id net0, or empty. */
Snap *snap_boot_on(const char *machine, const char *backend,
                   const char *properties);
/* As snap_boot(), and START with snapshots. */
Snap *snap_run(bool backend, const char *properties);
void snap_halt(Snap *s);
/* Find out where everything is, after the function has been enabled. */
void snap_map(Snap *s, int devfn);

uint64_t snap_get(Snap *s, uint32_t reg);
void snap_set(Snap *s, uint32_t reg, uint64_t value);
uint64_t snap_count(Snap *s, enum snap_counter c);
/* Of a data queue, 1 the first. */
uint64_t snap_queue_count(Snap *s, unsigned queue, enum snap_queue_counter c);
struct snap_device_status snap_device_status(Snap *s);
struct snap_queue_status snap_queue_status(Snap *s, unsigned queue);
void snap_start(Snap *s, uint64_t features);
void snap_assert_all_free(Snap *s);

/*
 * Put the entry at offset 0 of the queue's slab, ring, read it back; returns
 * the status.  The macro is for the usual structs.
 */
uint32_t snap_submit(Snap *s, unsigned queue, void *entry, size_t bytes);
#define snap_do(s, queue, entry) snap_submit(s, queue, entry, sizeof(*(entry)))

/* snap_expect(OK, snap_destroy(s, region)) */
#define snap_expect(want, status) \
    g_assert_cmpuint(status, ==, SNAP_ST_##want)

/* An entry of the mailbox with a field that must be zero, and is not. */
#define snap_expect_reserved(s, type, opcode, field) do { \
        struct type entry = { .e.op = opcode }; \
        entry.field = 1; \
        snap_expect(BAD_RESERVED, snap_do(s, SNAP_QUEUE_CONTROL, &entry)); \
    } while (0)

uint32_t snap_create(Snap *s, uint32_t npages, uint32_t *window_page);
uint32_t snap_destroy(Snap *s, uint32_t region);
/* `handle` is of a region or of a snapshot. */
uint32_t snap_capture(Snap *s, uint32_t handle, uint64_t offset,
                      uint32_t length, struct snap_capture *c);
uint32_t snap_release(Snap *s, const uint32_t *frames, uint32_t count);
void snap_read_frame(Snap *s, uint32_t frame, uint8_t *to);
void snap_check_frame(Snap *s, uint32_t frame, const uint8_t *want);

/* A snapshot that must succeed; NULL *version allowed. */
uint32_t snap_snapshot(Snap *s, uint32_t region, uint64_t *version);
uint32_t snap_drop(Snap *s, uint32_t snapshot);

/* What the guest does to a window, `offset` bytes behind a page's start. */
void snap_store(Snap *s, uint32_t page, uint64_t offset, const void *p,
                size_t length);
void snap_load(Snap *s, uint32_t page, uint64_t offset, void *p,
               size_t length);

/* The rest of the mailbox; snap_try_... may fail, snap_clone() may not. */
uint32_t snap_create_as(Snap *s, uint32_t npages, uint16_t flags,
                        uint32_t owner, uint32_t quota,
                        struct snap_region_create *c);
uint32_t snap_create_sparse(Snap *s, uint32_t npages, uint32_t *page);
uint32_t snap_try_snapshot(Snap *s, uint32_t region, uint32_t quota);
uint32_t snap_try_clone(Snap *s, uint32_t snapshot, uint32_t hint,
                        uint32_t owner, uint32_t quota, struct snap_clone *c);
uint32_t snap_clone(Snap *s, uint32_t snapshot, uint32_t *page);
/* *version: expected in, new out. */
uint32_t snap_commit(Snap *s, uint32_t region, uint32_t from, uint32_t quota,
                     uint64_t *version);
uint32_t snap_merge(Snap *s, uint32_t region, uint32_t base, uint32_t from,
                    struct snap_merge *m);
uint32_t snap_diff(Snap *s, uint32_t a, uint32_t b, uint32_t first,
                   struct snap_diff *d);
uint32_t snap_discard(Snap *s, uint32_t region, uint32_t first,
                      uint32_t npages);
uint32_t snap_try_info(Snap *s, uint32_t handle, uint32_t owner,
                       struct snap_object *o);
struct snap_object snap_info(Snap *s, uint32_t handle);
/* What all regions of an owner are charged. */
uint32_t snap_charged(Snap *s, uint32_t owner);
void snap_store64(Snap *s, uint32_t page, uint64_t offset, uint64_t value);
uint64_t snap_load64(Snap *s, uint32_t page, uint64_t offset);
/* The bytes of a snapshot, by capture: whole pages from its start. */
void snap_check_snapshot(Snap *s, uint32_t snapshot, const uint8_t *want,
                         uint32_t npages);
void snap_check_window(Snap *s, uint32_t page, const uint8_t *want,
                       uint32_t npages);
/* Frames that a region could still get. */
uint32_t snap_available(Snap *s);

/* One segment, addressed as its kind wants. */
struct snap_tx snap_tx_of(uint16_t kind, uint64_t addr, uint32_t length);
uint32_t snap_send(Snap *s, struct snap_tx *tx);

/* The other end of the wire. */
void snap_wire_send(Snap *s, const void *packet, uint32_t length);
uint32_t snap_wire_receive(Snap *s, void *packet, uint32_t room);

/* Longer than any packet of the tests. */
#define SNAP_PACKET_MAX     70000
void snap_expect_packet(Snap *s, const uint8_t *want, uint32_t length);

/* A tap device of a network namespace of our own, up and silent. */
typedef struct SnapTap {
    Snap *s;
    int fd;
    int packet;     /* AF_PACKET socket on it, with virtio_net_hdr */
} SnapTap;
/* False if we may not: the test is to be skipped, and with boot it is. */
bool snap_tap_open(SnapTap *t, int flags);
bool snap_tap_boot(SnapTap *t, const char *properties);
void snap_tap_halt(SnapTap *t);

/* Wait until a counter has a value; fails after some seconds. */
void snap_wait(Snap *s, enum snap_counter c, uint64_t value);

void snap_wait_resumed(Snap *s);

/* A received batch, copied out of the pool. */
typedef struct SnapReceived {
    uint32_t batch, packets;
    uint8_t bytes[SNAP_FRAME_SIZE];
} SnapReceived;
bool snap_take(Snap *s, SnapReceived *r);
bool snap_take_from(Snap *s, unsigned queue, SnapReceived *r);
/* Puts the packet at `at` together, checks zero tails; NULL *frames allowed. */
uint32_t snap_packet(Snap *s, const SnapReceived *r, uint32_t at,
                     uint8_t *packet, uint32_t *frames);
static inline const struct snap_rx *snap_rx_at(const SnapReceived *r,
                                               uint32_t at)
{
    return (const struct snap_rx *)(r->bytes + at);
}
/* Give back the batch and all payload frames in it. */
void snap_give_back(Snap *s, const SnapReceived *r);

/* `stop` and `cont`, and wait until it is so. */
void snap_run_machine(Snap *s, bool run);
/* Let all vectors leave messages; has one since we asked last? */
void snap_set_vectors(Snap *s);
bool snap_message(Snap *s, unsigned vector);
/* There is one, or will be: what a thread has done shows before its message. */
void snap_expect_message(Snap *s, unsigned vector);

/* An answer to QMP that must be an error, with these words; it is freed. */
void snap_expect_error(const char *want, struct QDict *response);

void snap_pattern(uint8_t *p, size_t length, unsigned seed);

/* snap-doorbells.c: which entries a doorbell is for */
void snap_add_doorbell_tests(void);
/* snap-snapshots.c: snapshots, clones, sparse regions */
void snap_add_snapshot_tests(void);
/* snap-versions.c: commit, merge, diff, quotas */
void snap_add_version_tests(void);
/* snap-net.c: transmission, reception, interrupts */
void snap_add_net_tests(void);
/* snap-link.c: the link, and backends that come and go */
void snap_add_link_tests(void);
/* snap-offload.c: the same with virtio_net_hdr */
void snap_add_offload_tests(void);
/* snap-path.c: a thread that moves packets */
void snap_add_path_tests(void);
/* snap-queues.c: several data queues */
void snap_add_queue_tests(void);
/* snap-moderation.c: interrupts that are held back */
void snap_add_moderation_tests(void);
/* snap-unplug.c: hot unplug and reset, while processors use the device */
void snap_add_unplug_tests(void);
/* snap-mutate.c: under a way to capture */
void snap_test_mutations(const void *capture);

#endif /* SNAP_FIXTURE_H */
