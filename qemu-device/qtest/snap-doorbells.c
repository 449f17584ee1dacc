/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doorbells of the snapshot memory NIC: which entries one is for, and what
 * becomes of those behind an entry that fails.
 */
#include "qemu/osdep.h"
#include "snap-fixture.h"

/* From one TX of a run to the next. */
#define STEP            ROUND_UP(sizeof(struct snap_tx), SNAP_ENTRY_ALIGN)

static void ring(Snap *s, unsigned queue, uint64_t value)
{
    snap_set(s, SNAP_QUEUE_PAGE(queue) + SNAP_QREG_DOORBELL, value);
}

static void test_bad_doorbells(void)
{
    static const uint64_t nowhere[] = {
        1, 8, 32, 63, 65, 0x10000, 0x10040, 0x20000, 0xffffffc0,
        SNAP_DOORBELL(8, 2), SNAP_DOORBELL(0x10000, 2),
        SNAP_DOORBELL(0, SNAP_DOORBELL_ENTRIES_MAX + 1),
        ~0ull, ~0ull << 6, 1ull << 63,
    };
    Snap *s = snap_run(false, "");
    struct snap_entry e = { .op = SNAP_OP_RELEASE };
    uint64_t at = s->slab + s->slab_bytes, last = s->slab_bytes - 64;
    uint64_t bad = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++) {
        ring(s, SNAP_QUEUE_DATA, nowhere[i]);
        ring(s, SNAP_QUEUE_CONTROL, nowhere[i]);
        bad += 2;
        g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_DOORBELL), ==, bad);
    }
    /* The mailbox takes one at a time. */
    ring(s, SNAP_QUEUE_CONTROL, SNAP_DOORBELL(0, 2));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_DOORBELL), ==, ++bad);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_ENTRY), ==, 0);
    /* An entry that would leave the slab gets no status. */
    qtest_memwrite(s->qts, at + last, &e, sizeof(e));
    ring(s, SNAP_QUEUE_DATA, last);
    qtest_memread(s->qts, at + last, &e, sizeof(e));
    g_assert_cmpuint(e.status, ==, SNAP_ST_PENDING);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_DOORBELL), ==, ++bad);
    /* One that does not name an op is short enough to get it. */
    e.op = 999;
    qtest_memwrite(s->qts, at + last, &e, sizeof(e));
    ring(s, SNAP_QUEUE_DATA, last);
    qtest_memread(s->qts, at + last, &e, sizeof(e));
    g_assert_cmpuint(e.status, ==, SNAP_ST_BAD_OP);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_DOORBELL), ==, bad);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_DOORBELLS), ==, bad + 1);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_ENTRY), ==, 1);
    snap_halt(s);
}

/* Every op of every queue, by the answer to flags that it does not know. */
static void check_ops(Snap *s, bool snapshots)
{
    static const struct {
        uint16_t op, flags;
        bool mailbox, snapshots;
    } known[] = {
        { SNAP_OP_CAPTURE },
        { SNAP_OP_RELEASE },
        { SNAP_OP_TX },
        { SNAP_OP_REGION_CREATE, SNAP_REGION_SPARSE, true },
        { SNAP_OP_REGION_DESTROY, 0, true },
        { SNAP_OP_SNAPSHOT, 0, true, true },
        { SNAP_OP_SNAPSHOT_DROP, 0, true },
        { SNAP_OP_CLONE, 0, true, true },
        { SNAP_OP_COMMIT, 0, true, true },
        { SNAP_OP_MERGE, 0, true, true },
        { SNAP_OP_DIFF, 0, true },
        { SNAP_OP_DISCARD, 0, true },
        { SNAP_OP_INFO, 0, true },
    };

    for (unsigned op = 0; op < 32; op++) {
        for (unsigned q = 0; q < 2; q++) {
            uint32_t want = SNAP_ST_BAD_OP;
            uint16_t flags = 0;

            for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
                if (known[i].op == op && known[i].mailbox == !q &&
                    (snapshots || !known[i].snapshots)) {
                    want = SNAP_ST_BAD_FLAGS;
                    flags = known[i].flags;
                }
            }
            for (unsigned bit = 0; bit < 16; bit++) {
                struct snap_entry e = { .op = op, .flags = 1u << bit };

                if (!(e.flags & flags)) {
                    g_assert_cmpuint(snap_do(s, q, &e), ==, want);
                }
            }
        }
    }
}

static void test_ops(void)
{
    Snap *s = snap_run(false, "");

    check_ops(s, true);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, 0);
    check_ops(s, false);
    snap_halt(s);
}

/* ---- Several entries ---------------------------------------------------- */

static void put(Snap *s, uint64_t offset, const void *entry, size_t bytes)
{
    qtest_memwrite(s->qts, s->slab + s->slab_bytes + offset, entry, bytes);
}

static uint32_t status_at(Snap *s, uint64_t offset)
{
    struct snap_entry e;

    qtest_memread(s->qts, s->slab + s->slab_bytes + offset, &e, sizeof(e));
    return e.status;
}

/* TX of nothing, which ends with BAD_COUNT, again and again. */
static void put_run(Snap *s, uint64_t offset, unsigned n)
{
    const struct snap_tx tx = { .e.op = SNAP_OP_TX };

    for (unsigned i = 0; i < n; i++) {
        put(s, offset + i * STEP, &tx, sizeof(tx));
    }
}

static void check_statuses(Snap *s, uint64_t offset, unsigned n,
                           uint32_t want)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(status_at(s, offset + i * STEP), ==, want);
    }
}

/* Each begins behind the one before, as long as that is, and has its status. */
static void test_several(void)
{
    Snap *s = snap_run(false, "");
    uint32_t page, region = snap_create(s, 4, &page);
    const struct snap_capture capture = {
        .e.op = SNAP_OP_CAPTURE, .region = region, .length = 4,
    };
    const struct snap_capture bad_flags = {
        .e = { .op = SNAP_OP_CAPTURE, .flags = 1 },
    };
    const uint64_t step = ROUND_UP(sizeof(capture), SNAP_ENTRY_ALIGN);
    struct snap_release release = { .e.op = SNAP_OP_RELEASE, .count = 2 };
    struct snap_capture done;

    put(s, 64, &capture, sizeof(capture));
    put_run(s, 64 + step, 1);
    put(s, 64 + step + STEP, &bad_flags, sizeof(bad_flags));
    put(s, 64 + 2 * step + STEP, &capture, sizeof(capture));
    put_run(s, 64 + 3 * step + STEP, 1);
    ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(64, 4));
    snap_expect(OK, status_at(s, 64));
    snap_expect(BAD_COUNT, status_at(s, 64 + step));
    snap_expect(BAD_FLAGS, status_at(s, 64 + step + STEP));
    snap_expect(OK, status_at(s, 64 + 2 * step + STEP));
    snap_expect(PENDING, status_at(s, 64 + 3 * step + STEP));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_DOORBELLS), ==, 2);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_CAPTURES), ==, 2);
    for (unsigned i = 0; i < 2; i++) {
        qtest_memread(s->qts, s->slab + s->slab_bytes + 64 +
                      i * (2 * step + STEP), &done, sizeof(done));
        g_assert_cmpuint(done.nframes, ==, 1);
        release.frame[i] = done.frame[0];
    }
    put(s, 64, &release, sizeof(release));
    put_run(s, 64 + ROUND_UP(sizeof(release), SNAP_ENTRY_ALIGN), 1);
    ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(64, 2));
    snap_expect(OK, status_at(s, 64));
    snap_expect(BAD_COUNT, status_at(s, 64 + ROUND_UP(sizeof(release),
                                                      SNAP_ENTRY_ALIGN)));
    snap_expect(OK, snap_destroy(s, region));
    snap_assert_all_free(s);

    put_run(s, 0, SNAP_DOORBELL_ENTRIES_MAX + 1);
    ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(0, SNAP_DOORBELL_ENTRIES_MAX));
    check_statuses(s, 0, SNAP_DOORBELL_ENTRIES_MAX, SNAP_ST_BAD_COUNT);
    snap_expect(PENDING, status_at(s, SNAP_DOORBELL_ENTRIES_MAX * STEP));
    snap_halt(s);
}

/* A run may end at the slab's end, and not go on there. */
static void test_several_at_end(void)
{
    Snap *s = snap_run(false, "");
    const uint64_t end = s->slab_bytes - 3 * STEP;
    struct snap_entry e = { .op = SNAP_OP_TX };

    put_run(s, end, 3);
    ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(end, 3));
    check_statuses(s, end, 3, SNAP_ST_BAD_COUNT);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_DOORBELL), ==, 0);
    put_run(s, end, 3);
    ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(end, 4));
    check_statuses(s, end, 3, SNAP_ST_BAD_COUNT);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_DOORBELL), ==, 1);
    /* The third would leave it. */
    put_run(s, end + 64, 2);
    put(s, end + 64 + 2 * STEP, &e, sizeof(e));
    ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(end + 64, 3));
    check_statuses(s, end + 64, 2, SNAP_ST_BAD_COUNT);
    snap_expect(PENDING, status_at(s, end + 64 + 2 * STEP));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_DOORBELL), ==, 2);
    snap_halt(s);
}

/* Behind an entry of which the device cannot tell how long it is. */
static void test_several_stop(void)
{
    Snap *s = snap_run(false, "");
    struct snap_entry e = { .op = SNAP_OP_INFO };

    put_run(s, 0, 4);
    put(s, 2 * STEP, &e, sizeof(e));
    ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(0, 4));
    check_statuses(s, 0, 2, SNAP_ST_BAD_COUNT);
    snap_expect(BAD_OP, status_at(s, 2 * STEP));
    snap_expect(PENDING, status_at(s, 3 * STEP));
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    put_run(s, 0, 4);
    ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(0, 4));
    snap_expect(BAD_STATE, status_at(s, 0));
    check_statuses(s, STEP, 3, SNAP_ST_PENDING);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_DOORBELL), ==, 0);
    snap_halt(s);
}

/* TX that pauses in the middle: nothing overtakes the packet that waits. */
static void test_several_busy(void)
{
    const unsigned n = 8;
    Snap *s = snap_run(true, "");
    g_autofree uint8_t *bytes = g_malloc(60000);
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60000);
    unsigned sent = 0, i;
    uint32_t status;

    snap_pattern(bytes, 60000, 1);
    qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, 60000);
    do {
        for (i = 0; i < n; i++) {
            put(s, i * STEP, &tx, sizeof(tx));
        }
        ring(s, SNAP_QUEUE_DATA, SNAP_DOORBELL(0, n));
        for (i = 0; i < n; i++) {
            status = status_at(s, i * STEP);
            if (status != SNAP_ST_OK) {
                break;
            }
            sent++;
        }
        g_assert_cmpuint(sent, <, 10000);
    } while (status == SNAP_ST_OK);
    snap_expect(BUSY, status);
    while (++i < n) {
        snap_expect(PENDING, status_at(s, i * STEP));
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_PACKETS), ==, sent);
    while (sent--) {
        snap_expect_packet(s, bytes, 60000);
    }
    snap_halt(s);
}

void snap_add_doorbell_tests(void)
{
    qtest_add_func("/snap/doorbells/bad", test_bad_doorbells);
    qtest_add_func("/snap/ops", test_ops);
    qtest_add_func("/snap/doorbells/several", test_several);
    qtest_add_func("/snap/doorbells/at-end", test_several_at_end);
    qtest_add_func("/snap/doorbells/stop", test_several_stop);
    qtest_add_func("/snap/doorbells/busy", test_several_busy);
}
