/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts for received packets that the snapshot memory NIC holds back.
 * The machine's clock is the test's: it goes when the test says so.  On a tap
 * by the main loop and by a thread, skipped where none may be made.
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "snap-fixture.h"

#define HEADER      10      /* of an AF_PACKET socket: struct virtio_net_hdr */
#define LENGTH      200
#define HOLDOFF_US  1000
#define HOLDOFF_NS  (HOLDOFF_US * 1000)
#define HOLDOFF     (SNAP_QUEUE_PAGE(SNAP_QUEUE_DATA) + SNAP_QREG_HOLDOFF)

static void arm(Snap *s)
{
    snap_set(s, SNAP_QUEUE_PAGE(SNAP_QUEUE_DATA) + SNAP_QREG_ARM, 1);
}

static void take(Snap *s)
{
    SnapReceived r;

    while (snap_take(s, &r)) {
        snap_give_back(s, &r);
    }
}

static void put_packets(SnapTap *t, unsigned n)
{
    uint64_t before = snap_count(t->s, SNAP_CTR_RX_PACKETS);
    uint8_t p[HEADER + LENGTH] = { 0 };

    p[HEADER + 12] = 0x88;
    p[HEADER + 13] = 0xb5;
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(send(t->packet, p, sizeof(p), 0), ==, sizeof(p));
    }
    snap_wait(t->s, SNAP_CTR_RX_PACKETS, before + n);
}

/* There is no other, after as long as a thread needs for one that is due. */
static void expect_quiet(Snap *s, uint64_t interrupts)
{
    g_usleep(30000);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_INTERRUPTS), ==, interrupts);
}

static void expect_link(Snap *s, bool up)
{
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'set_link', 'arguments': {"
                             " 'name': 'snap0', 'up': %i } }", up);
}

/* Has told of one packet just now, which was taken, and is armed again. */
static bool boot(SnapTap *t, const void *path)
{
    g_autofree char *properties = g_strdup_printf(",datapath=%s",
                                                  (const char *)path);

    if (!snap_tap_boot(t, properties)) {
        return false;
    }
    snap_start(t->s, SNAP_F_HOLDOFF);
    snap_set_vectors(t->s);
    snap_set(t->s, HOLDOFF, HOLDOFF_US);
    g_assert_cmpuint(snap_get(t->s, HOLDOFF), ==, HOLDOFF_US);
    arm(t->s);
    put_packets(t, 1);
    snap_wait(t->s, SNAP_CTR_INTERRUPTS, 1);
    take(t->s);
    arm(t->s);
    return true;
}

static void test_time(const void *path)
{
    SnapTap t;
    Snap *s;

    if (!boot(&t, path)) {
        return;
    }
    s = t.s;
    put_packets(&t, 2);
    qtest_clock_step(s->qts, HOLDOFF_NS - 1);
    expect_quiet(s, 1);
    qtest_clock_step(s->qts, 1);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 2);
    /* Armed when something is there already. */
    arm(s);
    qtest_clock_step(s->qts, HOLDOFF_NS - 1);
    expect_quiet(s, 2);
    qtest_clock_step(s->qts, 1);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 3);
    /* Taken meanwhile; still armed, and nothing to be held back then. */
    take(s);
    arm(s);
    put_packets(&t, 1);
    take(s);
    qtest_clock_step(s->qts, HOLDOFF_NS);
    expect_quiet(s, 3);
    put_packets(&t, 1);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 4);
    /* More than a batch. */
    arm(s);
    put_packets(&t, 100);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 5);
    /* Not any more. */
    take(s);
    arm(s);
    put_packets(&t, 1);
    expect_quiet(s, 5);
    snap_set(s, HOLDOFF, 0);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 6);
    take(s);
    snap_assert_all_free(s);
    snap_tap_halt(&t);
}

/* Whatever happens meanwhile, a packet that waits is told of. */
static void test_changes(const void *path)
{
    SnapTap t;
    Snap *s;

    if (!boot(&t, path)) {
        return;
    }
    s = t.s;
    put_packets(&t, 1);
    snap_run_machine(s, false);
    snap_run_machine(s, true);
    expect_quiet(s, 1);
    qtest_clock_step(s->qts, HOLDOFF_NS);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 2);
    /* The main loop has it now, and then maybe a thread again; two messages
     * more are those of the link. */
    arm(s);
    expect_link(s, false);
    expect_quiet(s, 3);
    qtest_clock_step(s->qts, HOLDOFF_NS);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 4);
    arm(s);
    expect_link(s, true);
    expect_quiet(s, 5);
    qtest_clock_step(s->qts, HOLDOFF_NS);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 6);
    /* But a reset ends it. */
    arm(s);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    qtest_clock_step(s->qts, HOLDOFF_NS);
    expect_quiet(s, 6);
    snap_start(s, SNAP_F_HOLDOFF);
    g_assert_cmpuint(snap_get(s, HOLDOFF), ==, 0);
    for (unsigned n = 7; n < 9; n++) {
        arm(s);
        put_packets(&t, 1);
        snap_wait(s, SNAP_CTR_INTERRUPTS, n);
        take(s);
    }
    snap_assert_all_free(s);
    snap_tap_halt(&t);
}

/* TX that resumes is nothing to wait for. */
static void test_tx(void)
{
    Snap *s = snap_boot("q35", true, "");
    g_autofree uint8_t *bytes = g_malloc0(60000);
    struct snap_tx tx;
    unsigned sent = 0;

    snap_start(s, SNAP_F_HOLDOFF);
    snap_set_vectors(s);
    snap_set(s, HOLDOFF, HOLDOFF_US);
    arm(s);
    for (uint64_t n = 1; n < 3; n++) {
        snap_wire_send(s, bytes, 60);
        snap_wait(s, SNAP_CTR_RX_PACKETS, n);
        take(s);
        arm(s);
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_INTERRUPTS), ==, 1);
    snap_wire_send(s, bytes, 60);
    snap_wait(s, SNAP_CTR_RX_PACKETS, 3);
    for (; !snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused; sent++) {
        tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60000);
        snap_expect(OK, snap_send(s, &tx));
    }
    expect_quiet(s, 1);
    qtest_memread(s->qts, SNAP_TEST_RAM, bytes, 60000);
    while (sent--) {
        snap_expect_packet(s, bytes, 60000);
    }
    snap_wait_resumed(s);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 2);
    expect_quiet(s, 2);
    qtest_clock_step(s->qts, HOLDOFF_NS);
    snap_wait(s, SNAP_CTR_INTERRUPTS, 3);
    snap_halt(s);
}

static void test_register(void)
{
    Snap *s = snap_boot("q35", false, "");
    uint64_t bad = 0;

    snap_start(s, SNAP_F_HOLDOFF);
    snap_set(s, HOLDOFF, SNAP_HOLDOFF_MAX);
    snap_set(s, HOLDOFF, SNAP_HOLDOFF_MAX + 1);
    snap_set(s, HOLDOFF, ~0ull);
    snap_set(s, HOLDOFF, 1ull << 32);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, bad += 3);
    g_assert_cmpuint(snap_get(s, HOLDOFF), ==, SNAP_HOLDOFF_MAX);
    /* Not of a device that does not run. */
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_set(s, SNAP_REG_DRIVER_FEATURES, SNAP_F_HOLDOFF);
    snap_set(s, HOLDOFF, 1);
    g_assert_cmpuint(snap_get(s, HOLDOFF), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, bad += 2);
    /* Nor for a driver that does not know it. */
    snap_start(s, SNAP_F_TAKE_ARM);
    snap_set(s, HOLDOFF, 1);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, bad + 1);
    snap_halt(s);
}

void snap_add_moderation_tests(void)
{
    qtest_add_func("/snap/moderation/register", test_register);
    qtest_add_func("/snap/moderation/tx", test_tx);
    qtest_add_data_func("/snap/moderation/time/thread", "thread", test_time);
    qtest_add_data_func("/snap/moderation/time/main", "main", test_time);
    qtest_add_data_func("/snap/moderation/changes/thread", "auto",
                        test_changes);
    qtest_add_data_func("/snap/moderation/changes/main", "main",
                        test_changes);
}
