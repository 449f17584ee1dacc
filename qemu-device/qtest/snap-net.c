/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot memory NIC seen from the bus and from the wire: transmission,
 * reception, interrupts.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "net/eth.h"
#include "hw/pci/pci_regs.h"
#include "snap-fixture.h"

#define PAGE            SNAP_FRAME_SIZE

/* ---- Transmission ------------------------------------------------------- */

static void test_tx(void)
{
    static const uint32_t lengths[] = { 14, 60, 1514, 9014, SNAP_TX_BYTES_MAX };
    Snap *s = snap_run(true, "");
    g_autofree uint8_t *bytes = g_malloc(SNAP_PACKET_MAX);
    struct snap_capture c;
    struct snap_tx tx;
    uint32_t page, region = snap_create(s, 2, &page), at = 0, packets = 0;
    uint64_t total = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        snap_pattern(bytes, lengths[i], i);
        qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, lengths[i]);
        tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, lengths[i]);
        g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
        snap_expect_packet(s, bytes, lengths[i]);
        total += lengths[i];
        packets++;
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_DMA_BYTES), ==, total);

    snap_pattern(bytes, 2 * PAGE, 9);
    qtest_memwrite(s->qts, s->slab + s->slab_bytes + 0x8000, bytes, 1000);
    tx = snap_tx_of(SNAP_SEG_INLINE, 0x8000, 1000);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    snap_expect_packet(s, bytes, 1000);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_INLINE_BYTES), ==, 1000);

    /* From a captured frame, whose page has changed since. */
    qtest_memwrite(s->qts, s->window + page * (uint64_t)PAGE, bytes, PAGE);
    g_assert_cmpuint(snap_capture(s, region, 0, PAGE, &c), ==, SNAP_ST_OK);
    qtest_memset(s->qts, s->window + page * (uint64_t)PAGE, 0xee, PAGE);
    tx = snap_tx_of(SNAP_SEG_FRAME, (uint64_t)c.frame[0] * PAGE + 100, 3000);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    snap_expect_packet(s, bytes + 100, 3000);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_FRAME_BYTES), ==, 3000);

    /* As many segments as there may be, of all kinds. */
    qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, PAGE);
    qtest_memwrite(s->qts, s->slab + s->slab_bytes + 0x8000, bytes, PAGE);
    tx = snap_tx_of(0, 0, 0);
    tx.nsegs = SNAP_TX_SEGMENTS_MAX;
    for (unsigned i = 0; i < tx.nsegs; i++) {
        static const uint16_t kind[] = {
            SNAP_SEG_INLINE, SNAP_SEG_FRAME, SNAP_SEG_DMA,
        };
        uint64_t base[] = {
            0x8000, (uint64_t)c.frame[0] * PAGE, SNAP_TEST_RAM,
        };

        tx.seg[i] = (struct snap_segment) {
            .addr = base[i % 3] + at, .length = 1 + 17 * i, .kind = kind[i % 3],
        };
        at += tx.seg[i].length;
    }
    tx.length = at;
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    snap_expect_packet(s, bytes, at);

    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_PACKETS), ==, packets + 3);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_BYTES), ==,
                     total + 4000 + at);
    g_assert_cmpuint(snap_queue_count(s, SNAP_QUEUE_DATA, SNAP_QCTR_TX_PACKETS),
                     ==, packets + 3);
    g_assert_cmpuint(snap_queue_count(s, SNAP_QUEUE_DATA, SNAP_QCTR_TX_BYTES),
                     ==, total + 4000 + at);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_ENTRY), ==, 0);
    g_assert_cmpuint(snap_release(s, c.frame, 1), ==, SNAP_ST_OK);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_BAD_FRAME);
    g_assert_cmpuint(snap_destroy(s, region), ==, SNAP_ST_OK);
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_bad_tx(void)
{
    Snap *s = snap_run(true, "");
    struct snap_tx tx;
    uint8_t bytes[60];
    uint64_t pool_bytes = (uint64_t)s->frames * PAGE;

#define EXPECT(status, ...) do { \
        tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60); \
        __VA_ARGS__; \
        g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_ ## status); \
    } while (0)

    EXPECT(BAD_FLAGS, tx.e.flags = 1);
    EXPECT(BAD_RESERVED, tx.reserved = 1);
    EXPECT(BAD_RESERVED, tx.reserved2 = 1);
    EXPECT(BAD_RESERVED, tx.seg[0].reserved = 1);
    EXPECT(BAD_COUNT, tx.nsegs = 0);
    EXPECT(BAD_COUNT, tx.nsegs = SNAP_TX_SEGMENTS_MAX + 1);
    EXPECT(BAD_LENGTH, tx.length = tx.seg[0].length = SNAP_TX_BYTES_MIN - 1);
    EXPECT(BAD_LENGTH, tx.length = tx.seg[0].length = SNAP_TX_BYTES_MAX + 1);
    EXPECT(BAD_LENGTH, tx.length = 61);
    EXPECT(BAD_LENGTH, tx.seg[0].length = 0);
    EXPECT(BAD_LENGTH, tx.seg[0].length = ~0u);
    EXPECT(BAD_LENGTH, tx.nsegs = 2; tx.seg[1] = tx.seg[0]);
    EXPECT(BAD_SEGMENT, tx.seg[0].kind = 0);
    EXPECT(BAD_SEGMENT, tx.seg[0].kind = SNAP_SEG_DMA + 1);
    EXPECT(BAD_SEGMENT, tx.seg[0].addr = ~0ull);
    EXPECT(BAD_SEGMENT, tx.seg[0].kind = SNAP_SEG_INLINE;
           tx.seg[0].addr = s->slab_bytes - 59);
    EXPECT(BAD_SEGMENT, tx.seg[0].kind = SNAP_SEG_INLINE;
           tx.seg[0].addr = ~0ull - 20);
    EXPECT(BAD_FRAME, tx.seg[0].kind = SNAP_SEG_FRAME; tx.seg[0].addr = 0);
    EXPECT(BAD_FRAME, tx.seg[0].kind = SNAP_SEG_FRAME;
           tx.seg[0].addr = pool_bytes - 59);
    EXPECT(BAD_FRAME, tx.seg[0].kind = SNAP_SEG_FRAME;
           tx.seg[0].addr = pool_bytes);
    EXPECT(BAD_FRAME, tx.seg[0].kind = SNAP_SEG_FRAME;
           tx.seg[0].addr = ~0ull - 20);
    /* No feature is in force: the offload header must be zero. */
    EXPECT(BAD_OFFLOAD, tx.offload.flags = 1; tx.offload.csum_start = 14);
    EXPECT(BAD_OFFLOAD, tx.offload.gso_type = 1; tx.offload.gso_size = 1000);
    EXPECT(BAD_OFFLOAD, tx.offload.hdr_len = 14);
    EXPECT(BAD_OFFLOAD, tx.offload.num_buffers = 1);
    EXPECT(BAD_OFFLOAD, tx.offload.csum_offset = 1);
    /* Nothing there, and a device's registers: ours. */
    EXPECT(DMA_FAULT, tx.seg[0].addr = 0x700000000000);
    EXPECT(DMA_FAULT, tx.seg[0].addr = s->regs.addr);
#undef EXPECT
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_PACKETS), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_ENTRY), ==, 28);

    snap_pattern(bytes, 60, 1);
    qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, 60);
    tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    snap_expect_packet(s, bytes, 60);
    snap_halt(s);
}

/* ---- Interrupts --------------------------------------------------------- */

static void arm(Snap *s, uint64_t value)
{
    snap_set(s, SNAP_QUEUE_PAGE(SNAP_QUEUE_DATA) + SNAP_QREG_ARM, value);
}

static void test_tx_busy(void)
{
    Snap *s = snap_run(true, "");
    g_autofree uint8_t *bytes = g_malloc(60000);
    struct snap_tx tx;
    unsigned sent = 0;

    snap_set_vectors(s);
    snap_pattern(bytes, 60000, 1);
    qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, 60000);
    while (!snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused) {
        tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60000);
        g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
        g_assert_cmpuint(++sent, <, 10000);
    }
    tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60000);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_BUSY);
    /* Bad ones are bad even now. */
    tx.reserved = 1;
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_BAD_RESERVED);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_PAUSES), ==, 1);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    /* The packet that paused us was accepted: its bytes are safe. */
    qtest_memset(s->qts, SNAP_TEST_RAM, 0xee, 60000);
    while (sent--) {
        snap_expect_packet(s, bytes, 60000);
    }
    snap_wait_resumed(s);
    snap_expect_message(s, SNAP_VECTOR_DATA);
    tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 600);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    memset(bytes, 0xee, 600);
    snap_expect_packet(s, bytes, 600);

    /* A reset leaves the packet where it is; nobody is told of its end. */
    snap_pattern(bytes, 60000, 2);
    qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, 60000);
    for (sent = 0; !snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused; sent++) {
        tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60000);
        g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    }
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    while (sent--) {
        snap_expect_packet(s, bytes, 60000);
    }
    snap_wait_resumed(s);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    snap_halt(s);
}

static void test_interrupts(void)
{
    Snap *s = snap_run(true, "");
    uint8_t bytes[60] = { 0 };
    SnapReceived r;

    snap_set_vectors(s);
    /* Armed, one message for the first packet only. */
    arm(s, 1);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 1);
    snap_expect_message(s, SNAP_VECTOR_DATA);
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 2);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    /* Armed when something is there already: at once. */
    arm(s, 1);
    snap_expect_message(s, SNAP_VECTOR_DATA);
    g_assert_true(snap_take(s, &r));
    g_assert_cmpuint(r.packets, ==, 2);
    snap_give_back(s, &r);
    /* Armed and disarmed. */
    arm(s, 1);
    arm(s, 0);
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 3);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_INTERRUPTS), ==, 2);
    /* A reset disarms. */
    g_assert_true(snap_take(s, &r));
    snap_give_back(s, &r);
    arm(s, 1);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    arm(s, 1);
    snap_start(s, 0);
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 4);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    g_assert_cmpuint(snap_queue_count(s, SNAP_QUEUE_DATA, SNAP_QCTR_RX_PACKETS),
                     ==, 4);
    g_assert_cmpuint(snap_queue_count(s, SNAP_QUEUE_DATA, SNAP_QCTR_RX_BYTES),
                     ==, 240);
    snap_halt(s);
}

/* One register takes the last batch and arms. */
static void test_take_arm(void)
{
    const uint64_t reg = SNAP_QUEUE_PAGE(SNAP_QUEUE_DATA) + SNAP_QREG_TAKE_ARM;
    Snap *s = snap_run(true, "");
    uint8_t bytes[2000] = { 0 };
    uint32_t frame;
    uint64_t got, sent = 0;

    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, SNAP_F_TAKE_ARM);
    snap_set_vectors(s);
    /* Nothing there: armed. */
    g_assert_cmphex(snap_get(s, reg), ==, SNAP_TAKE_NONE);
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, ++sent);
    snap_expect_message(s, SNAP_VECTOR_DATA);
    /* The only batch: taken, and armed. */
    got = snap_get(s, reg);
    g_assert_cmphex(got & ~(uint64_t)UINT32_MAX, ==,
                    SNAP_TAKE_ARMED | 1ull << 32);
    frame = SNAP_TAKE_FRAME(got);
    snap_expect(OK, snap_release(s, &frame, 1));
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, ++sent);
    snap_expect_message(s, SNAP_VECTOR_DATA);
    /* More than a batch has room for: not armed before the last. */
    while (sent < 100) {
        snap_wire_send(s, bytes, 250);
        snap_wait(s, SNAP_CTR_RX_PACKETS, ++sent);
    }
    for (sent = 0; sent < 99; sent += SNAP_TAKE_COUNT(got)) {
        got = snap_get(s, reg);
        g_assert_cmphex(got, !=, SNAP_TAKE_NONE);
        frame = SNAP_TAKE_FRAME(got);
        snap_expect(OK, snap_release(s, &frame, 1));
        g_assert_cmpint(!!(got & SNAP_TAKE_ARMED), ==,
                        sent + SNAP_TAKE_COUNT(got) == 99);
        g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_ARMS), ==, 0);
    /* Not of a device that does not run. */
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_set(s, SNAP_REG_DRIVER_FEATURES, SNAP_F_TAKE_ARM);
    g_assert_cmphex(snap_get(s, reg), ==, SNAP_TAKE_NONE);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_START);
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 101);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    snap_halt(s);
}

/* Nothing is received while the machine does not run; after that all goes on. */
static void test_stopped(void)
{
    Snap *s = snap_run(true, "");
    uint8_t bytes[1500] = { 0 };
    SnapReceived r;
    unsigned sent = 0;
    uint64_t got;

    /* Until it waits: for TAKE, or for frames. */
    while (!snap_count(s, SNAP_CTR_RX_STALLS)) {
        snap_wire_send(s, bytes, sizeof(bytes));
        g_assert_cmpuint(++sent, <, 5000);
    }
    snap_wire_send(s, bytes, sizeof(bytes));
    sent++;
    snap_run_machine(s, false);
    got = snap_count(s, SNAP_CTR_RX_PACKETS);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(snap_take(s, &r));
        snap_give_back(s, &r);
    }
    g_usleep(20000);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RX_PACKETS), ==, got);
    snap_run_machine(s, true);
    /* One was in QEMU's queue, which is emptied at a stop. */
    snap_wait(s, SNAP_CTR_RX_PACKETS, sent - 1);
    snap_halt(s);
}

/* No DMA and no messages, but everything else. */
static void test_bus_master_off(void)
{
    Snap *s = snap_run(true, "");
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60);
    uint8_t bytes[60];
    SnapReceived r;

    snap_set_vectors(s);
    qpci_config_writew(s->dev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_DMA_FAULT);
    snap_pattern(bytes, 60, 1);
    qtest_memwrite(s->qts, s->slab + s->slab_bytes + 0x8000, bytes, 60);
    tx = snap_tx_of(SNAP_SEG_INLINE, 0x8000, 60);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    snap_expect_packet(s, bytes, 60);
    arm(s, 1);
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 1);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    g_assert_true(snap_take(s, &r));
    snap_give_back(s, &r);
    qpci_config_writew(s->dev, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    snap_assert_all_free(s);
    snap_halt(s);
}

/* ---- Reception ---------------------------------------------------------- */

typedef struct Shape {
    const char *name;
    unsigned tags;          /* VLAN */
    uint16_t type;
    uint8_t extensions;     /* IPv6: hop-by-hop headers of 8 bytes */
    uint8_t protocol;
    uint8_t transport;      /* bytes of TCP or UDP header */
    bool fragment;
    uint32_t header;        /* what the device must split at */
} Shape;

static const Shape shapes[] = {
    { "udp4", 0, 0x0800, 0, 17, 8, false, 14 + 20 + 8 },
    { "tcp4", 0, 0x0800, 0, 6, 20, false, 14 + 20 + 20 },
    { "tcp4 with options", 0, 0x0800, 0, 6, 60, false, 14 + 20 + 60 },
    { "tcp4 in a vlan", 1, 0x0800, 0, 6, 32, false, 18 + 20 + 32 },
    { "udp4 in two vlans", 2, 0x0800, 0, 17, 8, false, 22 + 20 + 8 },
    { "a fragment", 0, 0x0800, 0, 17, 8, true, 14 + 20 },
    { "icmp", 0, 0x0800, 0, 1, 0, false, 14 + 20 },
    { "udp6", 0, 0x86dd, 0, 17, 8, false, 14 + 40 + 8 },
    { "tcp6 behind extensions", 1, 0x86dd, 3, 6, 20, false, 18 + 64 + 20 },
    { "more extensions than fit", 0, 0x86dd, 200, 17, 8, false, 14 + 40 + 136 },
    { "a broken tcp header", 0, 0x0800, 0, 6, 4, false, 14 + 20 },
    { "neither", 0, 0x88b5, 0, 0, 0, false, 14 },
};

static void build(const Shape *shape, uint8_t *p, uint32_t length)
{
    uint32_t at = 12;

    snap_pattern(p, length, 5);
    for (unsigned i = 0; i < shape->tags; i++) {
        stw_be_p(p + at, 0x8100);
        at += 4;
    }
    stw_be_p(p + at, shape->type);
    at += 2;
    if (shape->type == 0x0800) {
        p[at] = 0x45;
        stw_be_p(p + at + 6, shape->fragment ? 0x2000 : 0x4000);
        p[at + 9] = shape->protocol;
        at += 20;
    } else if (shape->type == 0x86dd) {
        p[at + 6] = shape->extensions ? 0 : shape->protocol;
        at += 40;
        for (unsigned i = 0; i < shape->extensions; i++) {
            p[at] = i + 1 < shape->extensions ? 0 : shape->protocol;
            p[at + 1] = 0;
            at += 8;
        }
    }
    if (shape->protocol == 6) {
        p[at + 12] = shape->transport / 4 << 4;
    }
}

static void test_rx_shapes(void)
{
    static const uint32_t lengths[] = { 1500, 4096, 9000, 65000, 65553 };
    Snap *s = snap_run(true, "");
    g_autofree uint8_t *sent = g_malloc(SNAP_PACKET_MAX);
    g_autofree uint8_t *got = g_malloc(SNAP_PACKET_MAX);
    uint64_t packets = 0, frames = 0;
    SnapReceived r;

    for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
        const Shape *shape = &shapes[i];

        g_test_message("%s", shape->name);
        for (unsigned j = 0; j < ARRAY_SIZE(lengths); j++) {
            build(shape, sent, MAX(lengths[j], 2000));
            snap_wire_send(s, sent, lengths[j]);
            snap_wait(s, SNAP_CTR_RX_PACKETS, ++packets);
            g_assert_true(snap_take(s, &r));
            g_assert_cmpuint(r.packets, ==, 1);
            g_assert_cmpuint(snap_rx_at(&r, 0)->hdr_len, ==, shape->header);
            g_assert_cmpmem(got, snap_packet(s, &r, 0, got, NULL),
                            sent, lengths[j]);
            frames += snap_rx_at(&r, 0)->nframes;
            snap_give_back(s, &r);
            g_assert_false(snap_take(s, &r));
        }
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RX_FRAMES), ==, frames);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RX_DROPPED), ==, 0);
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_rx_small(void)
{
    Snap *s = snap_run(true, "");
    uint8_t sent[300], got[300];
    uint32_t at;
    SnapReceived r;

    /* Too short to be a packet */
    snap_wire_send(s, sent, 13);
    snap_wait(s, SNAP_CTR_RX_DROPPED, 1);
    g_assert_false(snap_take(s, &r));
    for (uint32_t n = 14; n <= SNAP_RX_INLINE_MAX; n++) {
        snap_pattern(sent, n, n);
        snap_wire_send(s, sent, n);
    }
    snap_wait(s, SNAP_CTR_RX_PACKETS, SNAP_RX_INLINE_MAX - 13);
    for (uint32_t n = 14; n <= SNAP_RX_INLINE_MAX;) {
        g_assert_true(snap_take(s, &r));
        at = 0;
        for (unsigned i = 0; i < r.packets; i++, n++) {
            const struct snap_rx *rx = snap_rx_at(&r, at);

            snap_pattern(sent, n, n);
            g_assert_cmpuint(rx->nframes, ==, 0);
            g_assert_cmpuint(rx->hdr_len, ==, n);
            g_assert_cmpmem(got, snap_packet(s, &r, at, got, NULL), sent, n);
            at += rx->size;
        }
        snap_give_back(s, &r);
    }
    g_assert_false(snap_take(s, &r));
    snap_assert_all_free(s);
    snap_halt(s);
}

/* Take and give back everything; packets carry their number at 100. */
static uint32_t drain(Snap *s, uint32_t next, uint32_t until)
{
    int64_t end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    uint8_t got[2000];
    SnapReceived r;

    while (next < until) {
        uint32_t at = 0;

        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!snap_take(s, &r)) {
            g_usleep(1000);
            continue;
        }
        for (unsigned i = 0; i < r.packets; i++) {
            snap_packet(s, &r, at, got, NULL);
            g_assert_cmpuint(ldl_le_p(got + 32), ==, next);
            next++;
            at += snap_rx_at(&r, at)->size;
        }
        snap_give_back(s, &r);
    }
    return next;
}

/*
 * More packets than there is room for: reception stops and goes on when
 * frames come back; nothing is lost, nothing overtakes.
 */
static void test_rx_full(const void *length_arg)
{
    uint32_t length = GPOINTER_TO_UINT(length_arg);
    /*
     * A little more than a 4 MiB pool or 64 batches hold; the rest must fit
     * into the buffers of the socket.
     */
    uint32_t count = length > SNAP_RX_INLINE_MAX ? 1010 : 2970;
    Snap *s = snap_run(true, "");
    g_autofree uint8_t *bytes = g_malloc0(length);
    uint32_t next;

    for (next = 0; next < count; next++) {
        stl_le_p(bytes + 32, next);
        snap_wire_send(s, bytes, length);
    }
    snap_wait(s, SNAP_CTR_RX_STALLS, 1);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RX_PACKETS), <, count);
    if (length > SNAP_RX_INLINE_MAX) {
        g_assert_cmpuint(snap_count(s, SNAP_CTR_FREE_FRAMES), >, 0);
        g_assert_cmpuint(snap_count(s, SNAP_CTR_FREE_FRAMES), <=, 20);
    }
    drain(s, 0, count);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RX_PACKETS), ==, count);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RX_DROPPED), ==, 0);
    snap_assert_all_free(s);
    snap_halt(s);
}

/* Batches that nobody took are the device's: a reset frees them. */
static void test_rx_reset(void)
{
    Snap *s = snap_run(true, "");
    uint8_t bytes[1000] = { 0 };
    SnapReceived r;

    for (unsigned i = 0; i < 200; i++) {
        snap_wire_send(s, bytes, i % 2 ? 60 : 1000);
    }
    snap_wait(s, SNAP_CTR_RX_PACKETS, 200);
    g_assert_true(snap_take(s, &r));
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    g_assert_false(snap_take(s, &r));
    snap_assert_all_free(s);
    snap_start(s, 0);
    g_assert_false(snap_take(s, &r));
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 201);
    g_assert_true(snap_take(s, &r));
    snap_give_back(s, &r);
    snap_assert_all_free(s);
    snap_halt(s);
}

/* What comes before START waits in the backend. */
static void test_rx_before_start(void)
{
    Snap *s = snap_boot("q35", true, "");
    uint8_t bytes[60] = { 0 };
    SnapReceived r;

    snap_wire_send(s, bytes, 60);
    g_usleep(50 * 1000);
    g_assert_false(snap_take(s, &r));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RX_PACKETS), ==, 0);
    snap_start(s, 0);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 1);
    snap_halt(s);
}

/* A packet in the only frame of its entry, which is large or not. */
static void expect_large(Snap *s, const uint8_t *want, uint32_t length, bool large,
                         SnapReceived *r, uint32_t *frame)
{
    g_autofree uint8_t *got = g_malloc(SNAP_LARGE_SIZE);
    const struct snap_rx *rx;

    g_assert_true(snap_take(s, r));
    rx = snap_rx_at(r, 0);
    memcpy(frame, rx + 1, sizeof(*frame));
    g_assert_cmpint(!!(*frame & SNAP_FRAME_LARGE), ==, large);
    if (!large) {
        g_assert_cmpuint(rx->nframes, ==,
                         DIV_ROUND_UP(rx->payload, SNAP_FRAME_SIZE));
        return;
    }
    g_assert_cmpuint(rx->nframes, ==, 1);
    g_assert_cmpuint(rx->hdr_len + rx->payload, ==, length);
    g_assert_cmpuint(*frame % SNAP_LARGE_FRAMES, ==, 0);
    /* The same bytes in both places. */
    for (unsigned i = 0; i < 2; i++) {
        qtest_memread(s->qts, (i ? s->large : s->pool) +
                      (uint64_t)(*frame & ~SNAP_FRAME_LARGE) * PAGE,
                      got, SNAP_LARGE_SIZE);
        g_assert_cmpmem(got, rx->payload, want + rx->hdr_len, rx->payload);
        g_assert_true(buffer_is_zero(got + rx->payload,
                                     SNAP_LARGE_SIZE - rx->payload));
    }
}

static void test_rx_large(void)
{
    Snap *s = snap_run(true, "");
    g_autofree uint8_t *sent = g_malloc(SNAP_PACKET_MAX);
    uint32_t frame, bad, many[SNAP_RELEASE_MAX / SNAP_LARGE_FRAMES + 1];
    SnapReceived r;

    /* Not asked for: none comes, and none can be given back. */
    snap_pattern(sent, SNAP_PACKET_MAX, 1);
    memset(sent + 12, 0, 2);    /* no protocol: 14 bytes of header */
    snap_wire_send(s, sent, 60000);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 1);
    expect_large(s, sent, 60000, false, &r, &frame);
    bad = 0 | SNAP_FRAME_LARGE;
    snap_expect(BAD_FRAME, snap_release(s, &bad, 1));
    snap_give_back(s, &r);

    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, SNAP_F_LARGE_FRAMES);
    snap_wire_send(s, sent, 14 + SNAP_RX_LARGE_MIN);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 2);
    expect_large(s, sent, 14 + SNAP_RX_LARGE_MIN, false, &r, &frame);
    snap_give_back(s, &r);
    snap_wire_send(s, sent, 14 + SNAP_RX_LARGE_MIN + 1);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 3);
    expect_large(s, sent, 14 + SNAP_RX_LARGE_MIN + 1, true, &r, &frame);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_GUEST_FRAMES), ==,
                     1 + SNAP_LARGE_FRAMES);
    /* Discarded, there as well. */
    qtest_writeb(s->qts, s->large +
                 (uint64_t)(frame & ~SNAP_FRAME_LARGE) * PAGE, ~sent[14]);
    g_assert_cmpuint(qtest_readb(s->qts, s->pool +
                     (uint64_t)(frame & ~SNAP_FRAME_LARGE) * PAGE), ==, sent[14]);
    bad = frame + 1;
    snap_expect(BAD_FRAME, snap_release(s, &bad, 1));
    bad = s->frames | SNAP_FRAME_LARGE;
    snap_expect(BAD_FRAME, snap_release(s, &bad, 1));
    /* Frames count, not their numbers. */
    for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
        many[i] = bad;
    }
    snap_expect(BAD_COUNT, snap_release(s, many, ARRAY_SIZE(many)));
    snap_expect(BAD_FRAME, snap_release(s, many, ARRAY_SIZE(many) - 1));
    snap_give_back(s, &r);
    snap_expect(BAD_FRAME, snap_release(s, &frame, 1));
    snap_assert_all_free(s);
    snap_halt(s);
}

/* Not offered: a driver that wants them is refused, and another one has none. */
static void test_rx_not_large(void)
{
    Snap *s = snap_run(true, ",x-large-frames=off");
    g_autofree uint8_t *sent = g_malloc0(SNAP_PACKET_MAX);
    uint64_t held;
    uint32_t frame;
    SnapReceived r;

    g_assert_cmphex(snap_get(s, SNAP_REG_FEATURES) & SNAP_F_LARGE_FRAMES, ==, 0);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_set(s, SNAP_REG_DRIVER_FEATURES, SNAP_F_LARGE_FRAMES);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_START);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_REFUSED);

    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, 0);
    snap_wire_send(s, sent, 60000);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 1);
    expect_large(s, sent, 60000, false, &r, &frame);
    held = snap_count(s, SNAP_CTR_GUEST_FRAMES);
    /* not even that which has frames of the guest */
    frame = frame / SNAP_LARGE_FRAMES * SNAP_LARGE_FRAMES | SNAP_FRAME_LARGE;
    snap_expect(BAD_FRAME, snap_release(s, &frame, 1));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_GUEST_FRAMES), ==, held);
    snap_give_back(s, &r);
    snap_assert_all_free(s);
    snap_halt(s);
}

void snap_add_net_tests(void)
{
    qtest_add_func("/snap/tx", test_tx);
    qtest_add_func("/snap/tx/bad", test_bad_tx);
    qtest_add_func("/snap/tx/busy", test_tx_busy);
    qtest_add_func("/snap/interrupts", test_interrupts);
    qtest_add_func("/snap/take-arm", test_take_arm);
    qtest_add_func("/snap/bus-master-off", test_bus_master_off);
    qtest_add_func("/snap/rx/shapes", test_rx_shapes);
    qtest_add_func("/snap/rx/small", test_rx_small);
    qtest_add_func("/snap/rx/large", test_rx_large);
    qtest_add_func("/snap/rx/not-large", test_rx_not_large);
    qtest_add_data_func("/snap/rx/no-frames", GUINT_TO_POINTER(1000),
                        test_rx_full);
    qtest_add_data_func("/snap/rx/no-batches", GUINT_TO_POINTER(60),
                        test_rx_full);
    qtest_add_func("/snap/rx/stopped", test_stopped);
    qtest_add_func("/snap/rx/reset", test_rx_reset);
    qtest_add_func("/snap/rx/before-start", test_rx_before_start);
}
