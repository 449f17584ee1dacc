/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that moves packets of the snapshot memory NIC: when it has the
 * backend, order, and a queue that is full.  On a tap, skipped where none may
 * be made.
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "snap-fixture.h"

#define HEADER  10      /* of an AF_PACKET socket: struct virtio_net_hdr */

static bool threaded(Snap *s)
{
    QDict *answer = qtest_qmp(s->qts, "{ 'execute': 'qom-get', 'arguments': {"
                              " 'path': 'snap0', 'property': 'threaded' } }");
    bool value = qdict_get_bool(answer, "return");

    qobject_unref(answer);
    return value;
}

static void wait_threaded(Snap *s, bool value)
{
    int64_t end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (threaded(s) != value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

/* Packet `n`, of a type that nobody else sends. */
static void make_packet(uint8_t *p, uint32_t length, uint32_t n)
{
    snap_pattern(p, length, n);
    p[0] = p[6] = 0x02;
    p[12] = 0x88;
    p[13] = 0xb5;
    memcpy(p + 14, &n, sizeof(n));
}

static uint32_t send_packet(Snap *s, uint32_t length, uint32_t n)
{
    g_autofree uint8_t *p = g_malloc(length);
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, length);

    make_packet(p, length, n);
    qtest_memwrite(s->qts, SNAP_TEST_RAM, p, length);
    return snap_send(s, &tx);
}

/* The next one that leaves; false if there is none for a while. */
static bool get_packet(SnapTap *t, uint32_t length, uint32_t *n)
{
    g_autofree uint8_t *want = g_malloc(length);
    g_autofree uint8_t *got = g_malloc(SNAP_PACKET_MAX);
    struct timeval patience = { .tv_sec = 2 };
    ssize_t bytes;

    g_assert(!setsockopt(t->packet, SOL_SOCKET, SO_RCVTIMEO, &patience,
                         sizeof(patience)));
    bytes = recv(t->packet, got, SNAP_PACKET_MAX, 0);
    if (bytes < 0) {
        return false;
    }
    memcpy(n, got + HEADER + 14, sizeof(*n));
    make_packet(want, length, *n);
    g_assert_cmpmem(got + HEADER, bytes - HEADER, want, length);
    return true;
}

static void expect_packets(SnapTap *t, uint32_t length, uint32_t first,
                           uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        uint32_t n;

        g_assert_true(get_packet(t, length, &n));
        g_assert_cmpuint(n, ==, i);
    }
}

/* One that comes arrives, whoever moves it. */
static void receive_packet(SnapTap *t, uint32_t length, uint32_t n)
{
    uint64_t before = snap_count(t->s, SNAP_CTR_RX_PACKETS);
    g_autofree uint8_t *p = g_malloc0(HEADER + length);
    g_autofree uint8_t *got = g_malloc(SNAP_PACKET_MAX);
    SnapReceived r;

    make_packet(p + HEADER, length, n);
    g_assert_cmpint(send(t->packet, p, HEADER + length, 0), ==,
                    HEADER + length);
    snap_wait(t->s, SNAP_CTR_RX_PACKETS, before + 1);
    g_assert_true(snap_take(t->s, &r));
    g_assert_cmpuint(r.packets, ==, 1);
    g_assert_cmpmem(got, snap_packet(t->s, &r, 0, got, NULL), p + HEADER,
                    length);
    snap_give_back(t->s, &r);
}

/* Full: the one that fills it is accepted, the next is not. */
static void test_full(void)
{
    const uint32_t length = 1514;
    uint32_t n = 0;
    SnapTap t;

    if (!snap_tap_boot(&t, ",datapath=thread,x-datapath-delay=10000")) {
        return;
    }
    g_assert_true(threaded(t.s));
    snap_start(t.s, SNAP_F_SNAPSHOT);
    snap_set_vectors(t.s);
    while (!snap_queue_status(t.s, SNAP_QUEUE_DATA).tx_paused) {
        snap_expect(OK, send_packet(t.s, length, n));
        n++;
    }
    g_assert_cmpuint(n, >=, 256);
    snap_expect(BUSY, send_packet(t.s, length, n));
    g_assert_cmpuint(snap_count(t.s, SNAP_CTR_TX_PAUSES), ==, 1);
    g_assert_false(snap_message(t.s, SNAP_VECTOR_DATA));
    expect_packets(&t, length, 0, n);
    snap_wait_resumed(t.s);
    snap_expect_message(t.s, SNAP_VECTOR_DATA);
    snap_expect(OK, send_packet(t.s, length, n));
    expect_packets(&t, length, n, n + 1);
    g_assert_cmpuint(snap_count(t.s, SNAP_CTR_TX_DROPPED), ==, 0);
    snap_tap_halt(&t);
}

static void set_halted(Snap *s, bool value)
{
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'qom-set', 'arguments': {"
                             " 'path': 'snap0', 'property':"
                             " 'x-datapath-halted', 'value': %i } }", value);
}

static int64_t waiting(Snap *s)
{
    QDict *answer = qtest_qmp(s->qts, "{ 'execute': 'qom-get', 'arguments': {"
                              " 'path': 'snap0',"
                              " 'property': 'x-datapath-waiting' } }");
    int64_t value = qdict_get_int(answer, "return");

    qobject_unref(answer);
    return value;
}

/*
 * Halted: nothing leaves or comes, also after a stop of the machine; few fill
 * a queue that has room for few.
 */
static void test_halted(void)
{
    SnapTap t;

    if (!snap_tap_boot(&t, ",datapath=thread,x-datapath-packets=4")) {
        return;
    }
    snap_start(t.s, SNAP_F_SNAPSHOT);
    snap_set_vectors(t.s);
    set_halted(t.s, true);
    for (uint32_t n = 0; n < 4; n++) {
        g_assert_cmpuint(snap_queue_status(t.s, SNAP_QUEUE_DATA).tx_paused, ==,
                         0);
        g_assert_cmpint(waiting(t.s), ==, n);
        snap_expect(OK, send_packet(t.s, 1514, n));
    }
    snap_expect(BUSY, send_packet(t.s, 1514, 4));
    qtest_qmp_assert_success(t.s->qts, "{ 'execute': 'stop' }");
    qtest_qmp_assert_success(t.s->qts, "{ 'execute': 'cont' }");
    g_assert_cmpint(waiting(t.s), ==, 4);
    g_assert_true(threaded(t.s));
    g_assert_false(snap_message(t.s, SNAP_VECTOR_DATA));
    set_halted(t.s, false);
    expect_packets(&t, 1514, 0, 4);
    snap_wait_resumed(t.s);
    snap_expect_message(t.s, SNAP_VECTOR_DATA);
    g_assert_cmpint(waiting(t.s), ==, 0);
    receive_packet(&t, 1500, 5);
    snap_tap_halt(&t);
}

/* What is under way when a reset comes leaves or is dropped, and counted. */
static void test_reset(void)
{
    uint32_t arrived = 0, n;
    SnapTap t;

    if (!snap_tap_boot(&t, ",datapath=thread,x-datapath-delay=20000")) {
        return;
    }
    snap_start(t.s, SNAP_F_SNAPSHOT);
    snap_set_vectors(t.s);
    for (n = 0; n < 10; n++) {
        snap_expect(OK, send_packet(t.s, 1514, n));
    }
    snap_set(t.s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_assert_all_free(t.s);
    g_assert_cmpuint(snap_queue_status(t.s, SNAP_QUEUE_DATA).tx_paused, ==, 0);
    for (; get_packet(&t, 1514, &n); arrived++) {
        g_assert_cmpuint(n, ==, arrived);
    }
    g_assert_cmpuint(arrived + snap_count(t.s, SNAP_CTR_TX_DROPPED), ==, 10);
    snap_start(t.s, SNAP_F_SNAPSHOT);
    receive_packet(&t, 1500, 1);
    snap_expect(OK, send_packet(t.s, 60, 1));
    expect_packets(&t, 60, 1, 2);
    snap_assert_all_free(t.s);
    snap_tap_halt(&t);
}

static void qmp(Snap *s, const char *command)
{
    qtest_qmp_assert_success(s->qts, "%p", qobject_from_json(command, NULL));
}

/*
 * The backend changes hands with packets under way: none is lost, but for a
 * link that is down, and none overtakes another.
 */
static void test_changes(void)
{
    static const struct {
        const char *away, *back;
    } changes[] = {
        { "{ 'execute': 'object-add', 'arguments': { 'qom-type':"
          " 'filter-dump', 'id': 'f0', 'netdev': 'net0',"
          " 'file': '/dev/null' } }",
          "{ 'execute': 'object-del', 'arguments': { 'id': 'f0' } }" },
        { "{ 'execute': 'set_link', 'arguments': { 'name': 'snap0',"
          " 'up': false } }",
          "{ 'execute': 'set_link', 'arguments': { 'name': 'snap0',"
          " 'up': true } }" },
        { "{ 'execute': 'set_link', 'arguments': { 'name': 'net0',"
          " 'up': false } }",
          "{ 'execute': 'set_link', 'arguments': { 'name': 'net0',"
          " 'up': true } }" },
    };
    uint32_t n = 0;
    SnapTap t;

    if (!snap_tap_boot(&t, ",x-datapath-delay=5000")) {
        return;
    }
    snap_start(t.s, SNAP_F_SNAPSHOT);
    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
        uint32_t first = n;

        wait_threaded(t.s, true);
        for (; n < first + 5; n++) {
            snap_expect(OK, send_packet(t.s, 2000, n));
        }
        qmp(t.s, changes[i].away);
        wait_threaded(t.s, false);
        if (i == 0) {
            for (; n < first + 10; n++) {
                snap_expect(OK, send_packet(t.s, 2000, n));
            }
            receive_packet(&t, 1500, n);
        } else {
            snap_expect(LINK_DOWN, send_packet(t.s, 2000, n));
        }
        qmp(t.s, changes[i].back);
        wait_threaded(t.s, true);
        for (; n < first + 15; n++) {
            snap_expect(OK, send_packet(t.s, 2000, n));
        }
        expect_packets(&t, 2000, first, n);
        receive_packet(&t, 1500, n);
    }
    /* A stopped machine keeps what it has. */
    for (; n < 100; n++) {
        snap_expect(OK, send_packet(t.s, 1000, n));
    }
    snap_run_machine(t.s, false);
    snap_run_machine(t.s, true);
    g_assert_true(threaded(t.s));
    snap_expect(OK, send_packet(t.s, 1000, n));
    expect_packets(&t, 1000, 45, n + 1);
    receive_packet(&t, 1500, n);
    qmp(t.s, "{ 'execute': 'netdev_del', 'arguments': { 'id': 'net0' } }");
    g_assert_false(threaded(t.s));
    snap_expect(LINK_DOWN, send_packet(t.s, 1000, n));
    snap_assert_all_free(t.s);
    snap_tap_halt(&t);
}

/* As asked: the main loop, with the same packets. */
static void test_main(void)
{
    SnapTap t;

    if (!snap_tap_boot(&t, ",datapath=main")) {
        return;
    }
    g_assert_false(threaded(t.s));
    snap_start(t.s, SNAP_F_SNAPSHOT);
    for (uint32_t n = 0; n < 20; n++) {
        snap_expect(OK, send_packet(t.s, 60 + 100 * n, n));
        expect_packets(&t, 60 + 100 * n, n, n + 1);
        receive_packet(&t, 60 + 70 * n, n);
    }
    g_assert_false(threaded(t.s));
    snap_assert_all_free(t.s);
    snap_tap_halt(&t);
}

void snap_add_path_tests(void)
{
    qtest_add_func("/snap/path/full", test_full);
    qtest_add_func("/snap/path/halted", test_halted);
    qtest_add_func("/snap/path/reset", test_reset);
    qtest_add_func("/snap/path/changes", test_changes);
    qtest_add_func("/snap/path/main", test_main);
}
