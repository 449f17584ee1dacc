/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot memory NIC seen from the bus: registers, regions, captures,
 * reset, and life in a machine.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "hw/pci/pci_regs.h"
#include "libqos/pci-pc.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "snap-fixture.h"

#define PAGE SNAP_FRAME_SIZE

/* ---- Registers ---------------------------------------------------------- */

/* As firmware finds it out; of one below 4 GiB. */
static uint32_t bar_size(QPCIDevice *dev, uint8_t at)
{
    uint32_t place = qpci_config_readl(dev, at), size;

    qpci_config_writel(dev, at, UINT32_MAX);
    size = -(qpci_config_readl(dev, at) & PCI_BASE_ADDRESS_MEM_MASK);
    qpci_config_writel(dev, at, place);
    return size;
}

static void test_identity(const void *machine)
{
    Snap *s = snap_boot(machine, false, ",mac=52:54:00:12:34:56");

    g_assert_cmphex(qpci_config_readw(s->dev, PCI_VENDOR_ID), ==,
                    SNAP_PCI_VENDOR);
    g_assert_cmphex(qpci_config_readw(s->dev, PCI_DEVICE_ID), ==,
                    SNAP_PCI_DEVICE);
    g_assert_cmphex(qpci_config_readw(s->dev, PCI_CLASS_DEVICE), ==, 0x200);
    g_assert_cmpint(qpci_find_capability(s->dev, PCI_CAP_ID_EXP, 0) != 0, ==,
                    g_str_equal(machine, "q35"));
    g_assert_cmphex(bar_size(s->dev, PCI_BASE_ADDRESS_0), ==, SNAP_REGS_SIZE);
    g_assert_cmphex(snap_get(s, SNAP_REG_MAGIC), ==, SNAP_MAGIC);
    g_assert_cmpuint(snap_get(s, SNAP_REG_VERSION), ==, SNAP_VERSION);
    /* No backend with virtio_net_hdr, but a host that can trap stores. */
    g_assert_cmphex(snap_get(s, SNAP_REG_FEATURES), ==,
                    SNAP_F_SNAPSHOT | SNAP_F_STEPS | SNAP_F_TAKE_ARM |
                    SNAP_F_HOLDOFF | SNAP_F_LARGE_FRAMES);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_IDLE);
    g_assert_cmpuint(snap_get(s, SNAP_REG_QUEUES), ==, 1);
    g_assert_cmpuint(snap_get(s, SNAP_REG_VECTORS), ==, 2);
    g_assert_cmpuint(snap_get(s, SNAP_REG_ACTIVE), ==, 1);
    g_assert_cmphex(snap_get(s, SNAP_REG_MAC), ==, 0x563412005452);
    g_assert_cmpuint(snap_get(s, SNAP_REG_MTU_MAX) + 14, <=,
                     SNAP_TX_BYTES_MAX);
    g_assert_cmpuint(s->frames, ==, 1024);
    g_assert_cmpuint(s->window_pages, ==, 1024);
    g_assert_cmpuint(snap_get(s, SNAP_REG_LARGE_OFFSET) % SNAP_POOL_ALIGN, ==,
                     0);
    g_assert_cmpuint(snap_get(s, SNAP_REG_POOL_OFFSET) % SNAP_POOL_ALIGN, ==,
                     0);
    g_assert_cmpuint(snap_get(s, SNAP_REG_RX_LOW), >=, 32);
    g_assert_cmpuint(s->free_frames, ==, s->frames);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, 0);
    snap_halt(s);
}

/* In D3hot nothing is there; in D0 everything is as it was. */
static void test_power(void)
{
    Snap *s = snap_run(false, "");
    uint8_t at = qpci_find_capability(s->dev, PCI_CAP_ID_PM, 0);
    uint32_t page, region = snap_create(s, 4, &page);

    g_assert_cmpint(at, !=, 0);
    qpci_config_writew(s->dev, at + PCI_PM_CTRL, 3);
    g_assert_cmphex(snap_get(s, SNAP_REG_MAGIC), !=, SNAP_MAGIC);
    qpci_config_writew(s->dev, at + PCI_PM_CTRL, 0);
    g_assert_cmphex(snap_get(s, SNAP_REG_MAGIC), ==, SNAP_MAGIC);
    snap_expect(OK, snap_destroy(s, region));
    snap_halt(s);
}

/* Everything that names no register: counted, no effect, reads as zero. */
static void test_bad_registers(void)
{
    static const uint32_t read_only[] = {
        SNAP_REG_MAGIC, SNAP_REG_VERSION, SNAP_REG_FEATURES, SNAP_REG_QUEUES,
        SNAP_REG_STATUS_OFFSET, SNAP_REG_SLAB_OFFSET, SNAP_REG_SLAB_BYTES,
        SNAP_REG_POOL_OFFSET, SNAP_REG_POOL_FRAMES, SNAP_REG_WINDOW_OFFSET,
        SNAP_REG_WINDOW_PAGES, SNAP_REG_MAC, SNAP_REG_MTU_MAX,
        SNAP_REG_RX_LOW, SNAP_REG_VECTORS, SNAP_REG_LARGE_OFFSET,
        SNAP_REG_COUNTERS,
        SNAP_QUEUE_PAGE(1) + SNAP_QREG_COUNTERS,
    };
    static const uint32_t holes[] = {
        0x98, 0x3f8, SNAP_REG_COUNTERS + 8 * SNAP_CTR_MAX, 0xff8, 4,
        SNAP_REG_COUNTERS + 1, SNAP_REG_COUNTERS + 4,
        SNAP_REG_COUNTERS + 8 * SNAP_CTR_MAX - 4,
        SNAP_QUEUE_PAGE(0) + SNAP_QREG_TAKE,
        SNAP_QUEUE_PAGE(0) + SNAP_QREG_TAKE_ARM,
        SNAP_QUEUE_PAGE(0) + SNAP_QREG_HOLDOFF,
        SNAP_QUEUE_PAGE(0) + SNAP_QREG_COUNTERS,
        /* not accepted */
        SNAP_QUEUE_PAGE(1) + SNAP_QREG_TAKE_ARM,
        SNAP_QUEUE_PAGE(1) + SNAP_QREG_HOLDOFF,
        SNAP_QUEUE_PAGE(1) + 0x28,
        SNAP_QUEUE_PAGE(1) + SNAP_QREG_ARM, SNAP_QUEUE_PAGE(1) + 0xff8,
        SNAP_QUEUE_PAGE(1), SNAP_QUEUE_PAGE(1) + 0x3f8,
        SNAP_QUEUE_PAGE(1) + SNAP_QREG_COUNTERS + 4,
        SNAP_QUEUE_PAGE(1) + SNAP_QREG_COUNTERS + 8 * SNAP_QCTR_MAX,
        SNAP_QUEUE_PAGE(2) + SNAP_QREG_TAKE,
        SNAP_QUEUE_PAGE(2) + SNAP_QREG_COUNTERS,
        SNAP_QUEUE_PAGE(SNAP_QUEUES_MAX) + SNAP_QREG_TAKE,
        SNAP_REGS_SIZE - 8,
    };
    Snap *s = snap_run(false, "");
    uint64_t base = s->regs.addr, bad = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(read_only); i++) {
        uint64_t before = snap_get(s, read_only[i]);

        snap_set(s, read_only[i], ~before);
        g_assert_cmphex(snap_get(s, read_only[i]), ==, before);
        g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, ++bad);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(holes); i++) {
        g_assert_cmphex(snap_get(s, holes[i]), ==, 0);
        g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, ++bad);
    }
    snap_set(s, SNAP_QUEUE_PAGE(2) + SNAP_QREG_DOORBELL, 0);
    snap_set(s, SNAP_QUEUE_PAGE(1) + SNAP_QREG_ARM, 2);
    snap_set(s, SNAP_QUEUE_PAGE(0) + SNAP_QREG_ARM, 1);
    snap_set(s, SNAP_REG_CONTROL, 0);
    snap_set(s, SNAP_REG_CONTROL, 77);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_START);  /* runs already */
    snap_set(s, SNAP_REG_DRIVER_FEATURES, 1);       /* too late */
    snap_set(s, SNAP_REG_ACTIVE, 0);
    snap_set(s, SNAP_REG_ACTIVE, 2);                /* more than there are */
    snap_set(s, SNAP_REG_ACTIVE, 1ull << 32 | 1);
    bad += 10;
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, bad);
    g_assert_cmphex(snap_get(s, SNAP_REG_DRIVER_FEATURES), ==,
                    SNAP_F_SNAPSHOT);
    g_assert_cmpuint(snap_get(s, SNAP_REG_ACTIVE), ==, 1);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_RUNNING);
    snap_set(s, SNAP_REG_ACTIVE, 1);

    /* Other sizes than 8 bytes */
    g_assert_cmphex(qtest_readb(s->qts, base + SNAP_REG_MAGIC), ==, 0);
    g_assert_cmphex(qtest_readw(s->qts, base + SNAP_REG_MAGIC), ==, 0);
    g_assert_cmphex(qtest_readl(s->qts, base + SNAP_REG_MAGIC), ==, 0);
    g_assert_cmphex(qtest_readl(s->qts, base + SNAP_REG_MAGIC + 4), ==, 0);
    qtest_writeb(s->qts, base + SNAP_REG_CONTROL, SNAP_CTL_RESET);
    qtest_writew(s->qts, base + SNAP_REG_CONTROL, SNAP_CTL_RESET);
    qtest_writel(s->qts, base + SNAP_REG_CONTROL, SNAP_CTL_RESET);
    qtest_writel(s->qts, base + SNAP_QUEUE_PAGE(1), 0);
    bad += 8;
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, bad);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_RUNNING);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_DOORBELLS), ==, 0);
    snap_halt(s);
}

static void test_start(void)
{
    struct snap_release r = { .e.op = SNAP_OP_RELEASE, .count = 1 };
    Snap *s = snap_boot("q35", false, "");

    g_assert_cmpuint(snap_do(s, SNAP_QUEUE_DATA, &r), ==, SNAP_ST_BAD_STATE);
    g_assert_cmpuint(snap_destroy(s, 1), ==, SNAP_ST_BAD_STATE);
    /* No backend with virtio_net_hdr, so it is not offered. */
    snap_set(s, SNAP_REG_DRIVER_FEATURES, SNAP_F_CSUM);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_START);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_REFUSED);
    g_assert_cmpuint(snap_destroy(s, 1), ==, SNAP_ST_BAD_STATE);
    /* Only a reset helps. */
    snap_set(s, SNAP_REG_DRIVER_FEATURES, 0);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_START);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_REFUSED);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_IDLE);
    g_assert_cmphex(snap_get(s, SNAP_REG_DRIVER_FEATURES), ==, 0);
    snap_start(s, 0);
    g_assert_cmpuint(snap_destroy(s, 1), ==, SNAP_ST_BAD_REGION);
    snap_halt(s);
}

/* ---- Regions and captures ----------------------------------------------- */

static uint32_t try_create(Snap *s, uint32_t npages, uint32_t hint)
{
    struct snap_region_create c = {
        .e.op = SNAP_OP_REGION_CREATE, .npages = npages, .hint = hint,
        .quota = SNAP_QUOTA_NONE,
    };

    return snap_do(s, SNAP_QUEUE_CONTROL, &c);
}

static void test_regions(void)
{
    Snap *s = snap_run(false, "");
    struct snap_region_create c;
    struct snap_region_destroy d = { .e.op = SNAP_OP_REGION_DESTROY };
    struct snap_capture capture;
    uint32_t region, page, npages = 16;

    for (unsigned i = 0; i < 2; i++) {
        c = (struct snap_region_create) {
            .e.op = SNAP_OP_REGION_CREATE, .npages = 1,
        };
        *(i == 0 ? &c.region : &c.window_page) = 1;
        g_assert_cmpuint(snap_do(s, SNAP_QUEUE_CONTROL, &c), ==,
                         SNAP_ST_BAD_RESERVED);
    }
    g_assert_cmpuint(try_create(s, 0, 0), ==, SNAP_ST_BAD_LENGTH);
    g_assert_cmpuint(try_create(s, 1, SNAP_HINT_MAX), ==, SNAP_ST_BAD_FLAGS);
    g_assert_cmpuint(try_create(s, ~0u, 0), ==, SNAP_ST_NO_WINDOW);
    g_assert_cmpuint(try_create(s, s->window_pages + 1, 0), ==,
                     SNAP_ST_NO_WINDOW);
    /* The windows are as large as the pool, which has its reserve. */
    g_assert_cmpuint(try_create(s, s->window_pages, 0), ==,
                     SNAP_ST_NO_FRAMES);
    snap_assert_all_free(s);

    region = snap_create(s, npages, &page);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==, npages);
    d.region = region;
    d.reserved = 1;
    g_assert_cmpuint(snap_do(s, SNAP_QUEUE_CONTROL, &d), ==,
                     SNAP_ST_BAD_RESERVED);
    g_assert_cmpuint(snap_destroy(s, region ^ 0x80000000), ==,
                     SNAP_ST_BAD_REGION);
    g_assert_cmpuint(snap_destroy(s, 0), ==, SNAP_ST_BAD_REGION);
    g_assert_cmpuint(snap_destroy(s, region), ==, SNAP_ST_OK);
    g_assert_cmpuint(snap_destroy(s, region), ==, SNAP_ST_BAD_REGION);
    g_assert_cmpuint(snap_capture(s, region, 0, 1, &capture), ==,
                     SNAP_ST_BAD_REGION);
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_many_regions(void)
{
    Snap *s = snap_run(false, ",pool-size=16M");
    uint32_t page;

    for (unsigned i = 0; i < SNAP_REGIONS_MAX; i++) {
        snap_create(s, 1, &page);
    }
    g_assert_cmpuint(try_create(s, 1, 0), ==, SNAP_ST_NO_REGIONS);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_assert_all_free(s);
    snap_halt(s);
}

/* What was captured stays, whatever is stored afterwards. */
static void test_capture(const void *mode)
{
    g_autofree char *properties = g_strdup_printf(",capture=%s",
                                                  (const char *)mode);
    Snap *s = snap_run(false, properties);
    uint8_t old[4 * PAGE], new[4 * PAGE], want[PAGE];
    struct snap_capture c, again, part;
    uint32_t page, region;

    snap_pattern(old, sizeof(old), 1);
    snap_pattern(new, sizeof(new), 2);
    region = snap_create(s, 4, &page);
    /* Fresh pages are zero. */
    snap_load(s, page, 0, want, PAGE);
    g_assert(buffer_is_zero(want, PAGE));

    snap_store(s, page, 0, old, sizeof(old));
    g_assert_cmpuint(snap_capture(s, region, 0, sizeof(old), &c), ==,
                     SNAP_ST_OK);
    g_assert_cmpuint(c.nframes, ==, 4);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_GUEST_FRAMES), ==, 4);
    /* A second one of the same bytes, then partial pages: 1.5 + 0.25. */
    g_assert_cmpuint(snap_capture(s, region, 0, sizeof(old), &again), ==,
                     SNAP_ST_OK);
    g_assert_cmpuint(snap_capture(s, region, PAGE / 2, PAGE * 3 / 4, &part),
                     ==, SNAP_ST_OK);
    g_assert_cmpuint(part.nframes, ==, 2);

    snap_store(s, page, 0, new, sizeof(new));
    for (unsigned i = 0; i < 4; i++) {
        snap_check_frame(s, c.frame[i], old + i * PAGE);
        snap_check_frame(s, again.frame[i], old + i * PAGE);
    }
    memset(want, 0, PAGE);
    memcpy(want + PAGE / 2, old + PAGE / 2, PAGE / 2);
    snap_check_frame(s, part.frame[0], want);
    memset(want, 0, PAGE);
    memcpy(want, old + PAGE, PAGE / 4);
    snap_check_frame(s, part.frame[1], want);
    /* The region has the new bytes. */
    for (unsigned i = 0; i < 4; i++) {
        snap_load(s, page + i, 0, want, PAGE);
        g_assert_cmpmem(want, PAGE, new + i * PAGE, PAGE);
    }
    if (g_str_equal(mode, "share")) {
        g_assert_cmpuint(snap_count(s, SNAP_CTR_SHARED_BYTES), >=, 8 * PAGE);
        g_assert_cmpuint(snap_count(s, SNAP_CTR_COW_COPIES), >=, 4);
    } else if (g_str_equal(mode, "copy")) {
        g_assert_cmpuint(snap_count(s, SNAP_CTR_SHARED_BYTES), ==, 0);
        g_assert_cmpuint(snap_count(s, SNAP_CTR_WRITE_FAULTS), ==, 0);
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_CAPTURES), ==, 3);

    /* Captures outlive their region. */
    g_assert_cmpuint(snap_destroy(s, region), ==, SNAP_ST_OK);
    snap_check_frame(s, c.frame[3], old + 3 * PAGE);
    g_assert_cmpuint(snap_release(s, c.frame, 4), ==, SNAP_ST_OK);
    snap_check_frame(s, again.frame[3], old + 3 * PAGE);
    g_assert_cmpuint(snap_release(s, again.frame, 4), ==, SNAP_ST_OK);
    g_assert_cmpuint(snap_release(s, part.frame, 2), ==, SNAP_ST_OK);
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_bad_captures(void)
{
    Snap *s = snap_run(false, ",capture=copy");
    struct snap_capture c;
    uint32_t page, region = snap_create(s, 300, &page), held = 0, frame[8][300];

    g_assert_cmpuint(snap_capture(s, region, 0, 0, &c), ==,
                     SNAP_ST_BAD_LENGTH);
    g_assert_cmpuint(snap_capture(s, region, 0, SNAP_CAPTURE_BYTES_MAX + 1,
                                  &c), ==, SNAP_ST_BAD_LENGTH);
    g_assert_cmpuint(snap_capture(s, region, 0, ~0u, &c), ==,
                     SNAP_ST_BAD_LENGTH);
    g_assert_cmpuint(snap_capture(s, region, 300 * PAGE, 1, &c), ==,
                     SNAP_ST_BAD_OFFSET);
    g_assert_cmpuint(snap_capture(s, region, 300 * PAGE - 1, 2, &c), ==,
                     SNAP_ST_BAD_OFFSET);
    g_assert_cmpuint(snap_capture(s, region, ~0ull, 2, &c), ==,
                     SNAP_ST_BAD_OFFSET);
    g_assert_cmpuint(snap_capture(s, 0, 0, 1, &c), ==, SNAP_ST_BAD_REGION);
    for (unsigned i = 0; i < 3; i++) {
        c = (struct snap_capture) {
            .e.op = SNAP_OP_CAPTURE, .region = region, .length = 1,
        };
        *(i == 0 ? &c.nframes : i == 1 ? &c.reserved : &c.reserved2) = 1;
        g_assert_cmpuint(snap_do(s, SNAP_QUEUE_DATA, &c), ==,
                         SNAP_ST_BAD_RESERVED);
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_GUEST_FRAMES), ==, 0);

    /* The longest one, unaligned, until the frames are used up. */
    while (snap_capture(s, region, 1, SNAP_CAPTURE_BYTES_MAX, &c) ==
           SNAP_ST_OK) {
        g_assert_cmpuint(c.nframes, ==, SNAP_CAPTURE_FRAMES_MAX);
        memcpy(frame[held++], c.frame, sizeof(c.frame));
    }
    g_assert_cmpuint(c.e.status, ==, SNAP_ST_NO_FRAMES);
    g_assert_cmpuint(held, ==, 2);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_GUEST_FRAMES), ==,
                     held * SNAP_CAPTURE_FRAMES_MAX);
    while (held--) {
        g_assert_cmpuint(snap_release(s, frame[held],
                                      SNAP_CAPTURE_FRAMES_MAX), ==,
                         SNAP_ST_OK);
    }
    g_assert_cmpuint(snap_destroy(s, region), ==, SNAP_ST_OK);
    snap_assert_all_free(s);
    snap_halt(s);
}

/* Asked for, once that is agreed, a range that is copied comes in one frame. */
static void test_large_captures(void)
{
    Snap *s = snap_run(false, ",capture=copy");
    const unsigned length = 9 * PAGE + 5;   /* from the middle of a page */
    g_autofree uint8_t *bytes = g_malloc0(SNAP_LARGE_SIZE);
    g_autofree uint8_t *got = g_malloc(SNAP_LARGE_SIZE);
    struct snap_capture c = {
        .e.op = SNAP_OP_CAPTURE, .e.flags = SNAP_CAPTURE_LARGE,
    };
    uint32_t page, frame;

    c.region = snap_create(s, 20, &page);
    c.length = length;
    c.offset = PAGE / 2;
    snap_expect(BAD_FLAGS, snap_do(s, SNAP_QUEUE_DATA, &c));

    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, SNAP_F_LARGE_FRAMES);
    c.region = snap_create(s, 20, &page);
    snap_pattern(bytes + PAGE / 2, length, 1);
    snap_store(s, page, PAGE / 2, bytes + PAGE / 2, length);
    for (unsigned i = 0; i < 3; i++) {
        c.e.flags = SNAP_CAPTURE_LARGE;
        c.nframes = 0;
        snap_expect(OK, snap_do(s, SNAP_QUEUE_DATA, &c));
        g_assert_cmpuint(c.nframes, ==, 1);
        frame = c.frame[0];
        g_assert_true(frame & SNAP_FRAME_LARGE);
        g_assert_cmpuint(frame % SNAP_LARGE_FRAMES, ==, 0);
        g_assert_cmpuint(snap_count(s, SNAP_CTR_GUEST_FRAMES), ==,
                         SNAP_LARGE_FRAMES);
        qtest_memread(s->qts, s->large +
                      (uint64_t)(frame & ~SNAP_FRAME_LARGE) * PAGE,
                      got, SNAP_LARGE_SIZE);
        g_assert_cmpmem(got, SNAP_LARGE_SIZE, bytes, SNAP_LARGE_SIZE);
        snap_expect(OK, snap_release(s, &frame, 1));
        snap_expect(BAD_FRAME, snap_release(s, &frame, 1));
    }
    /* A flag, not a rule. */
    snap_expect(OK, snap_capture(s, c.region, 0, 16 * PAGE, &c));
    g_assert_cmpuint(c.nframes, ==, 16);
    snap_expect(OK, snap_release(s, c.frame, 16));
    g_assert_cmpuint(snap_destroy(s, c.region), ==, SNAP_ST_OK);
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_release(void)
{
    Snap *s = snap_run(false, "");
    struct snap_release r = { .e.op = SNAP_OP_RELEASE };
    struct snap_capture c;
    uint32_t page, region = snap_create(s, 4, &page);

    g_assert_cmpuint(snap_do(s, SNAP_QUEUE_DATA, &r), ==, SNAP_ST_BAD_COUNT);
    r.count = SNAP_RELEASE_MAX + 1;
    g_assert_cmpuint(snap_do(s, SNAP_QUEUE_DATA, &r), ==, SNAP_ST_BAD_COUNT);
    r.count = 1;
    r.done = 1;
    g_assert_cmpuint(snap_do(s, SNAP_QUEUE_DATA, &r), ==,
                     SNAP_ST_BAD_RESERVED);
    r.done = 0;
    for (unsigned i = 0; i < 3; i++) {
        r.frame[0] = i == 0 ? 0 : i == 1 ? s->frames : ~0u;
        g_assert_cmpuint(snap_do(s, SNAP_QUEUE_DATA, &r), ==,
                         SNAP_ST_BAD_FRAME);
    }
    /* Two are good, the third is released twice, the fourth never. */
    g_assert_cmpuint(snap_capture(s, region, 0, 4 * PAGE, &c), ==, SNAP_ST_OK);
    r = (struct snap_release) { .e.op = SNAP_OP_RELEASE, .count = 4 };
    memcpy(r.frame, c.frame, 4 * 4);
    r.frame[2] = r.frame[0];
    g_assert_cmpuint(snap_do(s, SNAP_QUEUE_DATA, &r), ==, SNAP_ST_BAD_FRAME);
    g_assert_cmpuint(r.done, ==, 2);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_GUEST_FRAMES), ==, 2);
    g_assert_cmpuint(snap_release(s, c.frame + 2, 2), ==, SNAP_ST_OK);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RELEASED), ==, 4);
    g_assert_cmpuint(snap_destroy(s, region), ==, SNAP_ST_OK);
    snap_assert_all_free(s);
    snap_halt(s);
}

/* Stores to the pool and to the status area are discarded. */
static void test_read_only(void)
{
    Snap *s = snap_run(false, "");
    uint8_t before[SNAP_STATUS_BYTES], zero[SNAP_STATUS_BYTES] = { 0 };
    uint8_t page[PAGE], ones[PAGE];
    struct snap_capture c;
    uint32_t window_page, region = snap_create(s, 1, &window_page);

    snap_pattern(page, PAGE, 3);
    memset(ones, 0xff, PAGE);
    snap_store(s, window_page, 0, page, PAGE);
    g_assert_cmpuint(snap_capture(s, region, 0, PAGE, &c), ==, SNAP_ST_OK);
    qtest_memwrite(s->qts, s->pool + (uint64_t)c.frame[0] * PAGE, ones, PAGE);
    qtest_writeq(s->qts, s->pool + (uint64_t)c.frame[0] * PAGE + 8, 0);
    snap_check_frame(s, c.frame[0], page);
    qtest_memread(s->qts, s->status, before, sizeof(before));
    g_assert_false(buffer_is_zero(before, sizeof(before)));
    qtest_memwrite(s->qts, s->status, zero, sizeof(zero));
    qtest_memread(s->qts, s->status, zero, sizeof(zero));
    g_assert_cmpmem(before, sizeof(before), zero, sizeof(zero));
    snap_halt(s);
}

/* ---- Life --------------------------------------------------------------- */

/* After a reset of the function its BARs are gone, too. */
static void remap(Snap *s)
{
    int devfn = s->dev->devfn;
    uint32_t free_frames = s->free_frames;

    g_free(s->dev);
    qpci_free_pc(s->bus);
    s->bus = qpci_new_pc(s->qts, NULL);
    snap_map(s, devfn);
    s->free_frames = free_frames;
}

static void reset_by_register(Snap *s)
{
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
}

static void reset_function(Snap *s)
{
    uint8_t at = qpci_find_capability(s->dev, PCI_CAP_ID_EXP, 0);

    g_assert(qpci_config_readl(s->dev, at + PCI_EXP_DEVCAP) &
             PCI_EXP_DEVCAP_FLR);
    qpci_config_writew(s->dev, at + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
    remap(s);
}

static void reset_system(Snap *s)
{
    qtest_system_reset(s->qts);
    remap(s);
}

static void test_reset(void)
{
    static void (*const reset[])(Snap *) = {
        reset_by_register, reset_function, reset_system, reset_by_register,
    };
    Snap *s = snap_run(false, "");
    struct snap_capture c;
    uint32_t page, region = 0, snapshot, resets;
    uint8_t bytes[PAGE];

    for (unsigned i = 0; i < ARRAY_SIZE(reset); i++) {
        region = snap_create(s, 8, &page);
        snap_pattern(bytes, PAGE, i);
        snap_store(s, page, PAGE, bytes, PAGE);
        g_assert_cmpuint(snap_capture(s, region, 5, 7 * PAGE, &c), ==,
                         SNAP_ST_OK);
        snapshot = snap_snapshot(s, region, NULL);
        snap_store(s, page, 0, bytes, PAGE);
        resets = snap_device_status(s).resets;
        reset[i](s);
        g_assert_cmpuint(snap_device_status(s).resets, ==, resets + 1);
        g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_IDLE);
        snap_assert_all_free(s);
        snap_start(s, SNAP_F_SNAPSHOT);
        /* Nothing of before is known any more, but the counters. */
        g_assert_cmpuint(snap_destroy(s, region), ==, SNAP_ST_BAD_REGION);
        g_assert_cmpuint(snap_drop(s, snapshot), ==, SNAP_ST_BAD_REGION);
        g_assert_cmpuint(snap_release(s, c.frame, 1), ==, SNAP_ST_BAD_FRAME);
        g_assert_cmpuint(snap_count(s, SNAP_CTR_CAPTURES), ==, i + 1);
        g_assert_cmpuint(snap_count(s, SNAP_CTR_SNAPSHOTS), ==, i + 1);
    }
    snap_halt(s);
}

/* What QEMU's tools see without a machine that has the device. */
static void check_introspection(QTestState *qts)
{
    QDict *response = qtest_qmp(qts, "{ 'execute': 'device-list-properties',"
                                " 'arguments': { 'typename': 'snap' } }");
    QListEntry *entry;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(response, "return"), entry) {
        QDict *property = qobject_to(QDict, qlist_entry_obj(entry));

        if (g_str_equal(qdict_get_str(property, "name"), "capture")) {
            g_assert_cmpstr(qdict_get_str(property, "type"), ==,
                            "SnapCapture");
            g_assert_cmpstr(qdict_get_str(property, "default-value"), ==,
                            "auto");
            found = true;
        }
    }
    g_assert_true(found);
    qobject_unref(response);
}

static void test_properties(void)
{
    static const struct {
        const char *arguments, *error;
    } bad[] = {
        { "'pool-size': 3145728", "pool-size=3145728" },
        { "'pool-size': 2097152", "pool-size=2097152" },
        { "'pool-size': 34359738368", "pool-size=34359738368" },
        { "'window-size': 5242880", "window-size=5242880" },
        { "'capture': 'never'", "'capture' does not accept value 'never'" },
        { "'rx-reserve': 1", "rx-reserve=1" },
        { "'dedup': 'maybe'", "dedup" },
        { "'rx-reserve': 999999", "rx-reserve=999999" },
        { "'mac': 'nonsense'", "mac" },
        { "'netdev': 'nobody'", "nobody" },
    };
    QTestState *qts = snap_qemu("pc", "");
    QDict *response;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *line = g_strdup_printf(
            "{ 'execute': 'device_add', 'arguments': {"
            " 'driver': 'snap', 'id': 'snap0', %s } }", bad[i].arguments);

        qtest_qmp_send_raw(qts, "%s", line);
        snap_expect_error(bad[i].error, qtest_qmp_receive(qts));
    }
    /* A device that failed leaves nothing behind. */
    qtest_qmp_device_add(qts, "snap", "snap0", "{'pool-size': 4194304}");
    /* What was not given stays as it was, and nothing changes afterwards. */
    response = qtest_qmp(qts, "{ 'execute': 'qom-get', 'arguments': {"
                         " 'path': '/machine/peripheral/snap0',"
                         " 'property': 'window-size' } }");
    g_assert_cmpint(qdict_get_int(response, "return"), ==, 0);
    qobject_unref(response);
    snap_expect_error("capture cannot change any more",
                      qtest_qmp(qts, "{ 'execute': 'qom-set', 'arguments': {"
                                " 'path': '/machine/peripheral/snap0',"
                                " 'property': 'capture', 'value': 'copy' } }"));
    check_introspection(qts);
    qtest_quit(qts);
}

static void expect_no_state(QTestState *qts, const char *command)
{
    QDict *response = qtest_qmp(qts, "{ 'execute': 'human-monitor-command',"
                                " 'arguments': { 'command-line': %s } }",
                                command);

    g_assert_nonnull(strstr(qdict_get_str(response, "return"),
                            "non-migratable device"));
    qobject_unref(response);
}

/* No state may leave the machine, and none may come, however old. */
static void test_migration_blocked(void)
{
    QTestState *qts = snap_qemu("pc", "-drive if=none,id=d0,driver=null-co,"
                                "read-zeroes=on,snapshot=on");

    qtest_qmp_assert_success(qts, "{ 'execute': 'human-monitor-command',"
                             " 'arguments': { 'command-line': 'savevm x' } }");
    qtest_qmp_device_add(qts, "snap", "snap0", "{'pool-size': 4194304}");
    snap_expect_error("non-migratable device",
                      qtest_qmp(qts, "{ 'execute': 'migrate', 'arguments': {"
                                " 'uri': 'exec:cat >/dev/null' } }"));
    expect_no_state(qts, "savevm y");
    expect_no_state(qts, "loadvm x");
    qtest_quit(qts);
}

/* Plugged, used, and unplugged with regions, captures and snapshots left. */
static void test_hotplug(void)
{
    Snap *s = g_new0(Snap, 1);

    s->sock = -1;
    s->qts = snap_qemu("pc", "");
    for (unsigned i = 0; i < 3; i++) {
        struct snap_capture c;
        uint32_t page, region;

        s->bus = qpci_new_pc(s->qts, NULL);
        qtest_qmp_device_add(s->qts, "snap", "hot", "{'pool-size': 4194304,"
                             " 'addr': '6'}");
        snap_map(s, QPCI_DEVFN(6, 0));
        snap_start(s, SNAP_F_SNAPSHOT);
        region = snap_create(s, 4, &page);
        g_assert_cmpuint(snap_capture(s, region, 0, 4 * PAGE, &c), ==,
                         SNAP_ST_OK);
        snap_snapshot(s, region, NULL);
        snap_store(s, page, 0, "changed", 7);
        g_free(s->dev);
        qpci_free_pc(s->bus);
        qpci_unplug_acpi_device_test(s->qts, "hot", 6);
    }
    qtest_quit(s->qts);
    g_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_data_func("/snap/identity/pc", "pc", test_identity);
    qtest_add_data_func("/snap/identity/q35", "q35", test_identity);
    qtest_add_func("/snap/power", test_power);
    qtest_add_func("/snap/registers/bad", test_bad_registers);
    qtest_add_func("/snap/start", test_start);
    qtest_add_func("/snap/regions", test_regions);
    qtest_add_func("/snap/regions/many", test_many_regions);
    qtest_add_data_func("/snap/capture/copy", "copy", test_capture);
    qtest_add_data_func("/snap/capture/auto", "auto", test_capture);
    qtest_add_data_func("/snap/capture/share", "share", test_capture);
    qtest_add_func("/snap/capture/bad", test_bad_captures);
    qtest_add_func("/snap/capture/large", test_large_captures);
    qtest_add_func("/snap/release", test_release);
    qtest_add_func("/snap/read-only", test_read_only);
    qtest_add_func("/snap/reset", test_reset);
    qtest_add_func("/snap/properties", test_properties);
    qtest_add_func("/snap/migration-blocked", test_migration_blocked);
    qtest_add_func("/snap/hotplug", test_hotplug);
    snap_add_doorbell_tests();
    snap_add_snapshot_tests();
    snap_add_version_tests();
    snap_add_net_tests();
    snap_add_link_tests();
    snap_add_offload_tests();
    snap_add_path_tests();
    snap_add_queue_tests();
    snap_add_moderation_tests();
    snap_add_unplug_tests();
    qtest_add_data_func("/snap/mutations/copy", "copy", snap_test_mutations);
    qtest_add_data_func("/snap/mutations/auto", "auto", snap_test_mutations);
    qtest_add_data_func("/snap/mutations/share", "share", snap_test_mutations);
    return g_test_run();
}
