/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot memory NIC and its backend: the link, connections that break
 * or are cut short within a packet.
 */
#include "qemu/osdep.h"
#include <sys/un.h>
#include "libqos/pci-pc.h"
#include "net/eth.h"
#include "qobject/qdict.h"
#include "snap-fixture.h"

#define SLOT    6
/* Bytes of a packet that fills a connection. */
#define FULL    60000

static void set_link(Snap *s, bool up)
{
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'set_link', 'arguments': {"
                             " 'name': 'snap0', 'up': %i } }", up);
}

static void test_link(void)
{
    Snap *s = snap_run(true, "");
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60);

    snap_set_vectors(s);
    g_assert_cmpuint(snap_device_status(s).link_up, ==, 1);
    set_link(s, false);
    g_assert_cmpuint(snap_device_status(s).link_up, ==, 0);
    snap_expect_message(s, SNAP_VECTOR_CONTROL);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_LINK_DOWN);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_DROPPED), ==, 1);
    set_link(s, true);
    g_assert_cmpuint(snap_device_status(s).link_up, ==, 1);
    snap_expect_message(s, SNAP_VECTOR_CONTROL);
    g_assert_false(snap_message(s, SNAP_VECTOR_DATA));
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    /* A backend that goes away takes the link with it. */
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'netdev_del', 'arguments':"
                             " { 'id': 'net0' } }");
    g_assert_cmpuint(snap_device_status(s).link_up, ==, 0);
    snap_expect_message(s, SNAP_VECTOR_CONTROL);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_LINK_DOWN);
    snap_halt(s);

    /* Without a backend the link is down for good. */
    s = snap_run(false, "");
    g_assert_cmpuint(snap_device_status(s).link_up, ==, 0);
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_LINK_DOWN);
    snap_halt(s);
}

/* An end for -netdev stream, and what QEMU is told to connect to. */
static int listen_at(const char *folder, char **netdev)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/wire", folder);
    g_assert(!bind(sock, (struct sockaddr *)&address, sizeof(address)));
    g_assert(!listen(sock, 1));
    *netdev = g_strdup_printf("-netdev stream,id=net0,server=off,"
                              "addr.type=unix,addr.path=%s,reconnect-ms=10",
                              address.sun_path);
    return sock;
}

/* A connection or a packet that does not come is an error, soon. */
static void be_impatient(int sock)
{
    struct timeval patience = { .tv_sec = 20 };

    g_assert(!setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience,
                         sizeof(patience)));
}

static int accept_wire(int sock)
{
    int wire;

    be_impatient(sock);
    wire = accept(sock, NULL, NULL);
    g_assert_cmpint(wire, >=, 0);
    be_impatient(wire);
    return wire;
}

static void wait_link(Snap *s, bool up)
{
    int64_t end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (snap_device_status(s).link_up != up) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static Snap *run_stream(const char *folder, int *sock)
{
    g_autofree char *netdev = NULL;
    Snap *s;

    *sock = listen_at(folder, &netdev);
    s = snap_boot_on("q35", netdev, "");
    snap_start(s, SNAP_F_SNAPSHOT);
    s->sock = accept_wire(*sock);
    wait_link(s, true);
    snap_set_vectors(s);
    return s;
}

static void halt_stream(Snap *s, const char *folder, int sock)
{
    g_autofree char *path = g_strdup_printf("%s/wire", folder);

    snap_halt(s);
    close(sock);
    unlink(path);
    rmdir(folder);
}

/* What comes first may be a frame of the device to itself. */
static void check_first(Snap *s, uint32_t length)
{
    g_autofree uint8_t *bytes = g_malloc(length);
    g_autofree uint8_t *got = g_malloc(SNAP_PACKET_MAX);
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, length);
    uint32_t n;

    snap_pattern(bytes, length, length);
    qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, length);
    snap_expect(OK, snap_send(s, &tx));
    n = snap_wire_receive(s, got, SNAP_PACKET_MAX);
    if (n == ETH_HLEN) {
        g_assert_cmpmem(got, ETH_ALEN, got + ETH_ALEN, ETH_ALEN);
        n = snap_wire_receive(s, got, SNAP_PACKET_MAX);
    }
    g_assert_cmpmem(got, n, bytes, length);
}

/*
 * Send packets until the backend has a part of one and takes no more; returns
 * how many, the last included.
 */
static unsigned fill_wire(Snap *s, uint8_t *bytes)
{
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, FULL);
    unsigned sent = 0;

    snap_pattern(bytes, FULL, 3);
    qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, FULL);
    do {
        snap_expect(OK, snap_send(s, &tx));
        sent++;
    } while (!snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused);
    return sent;
}

/* All of them arrive whole, and so does what comes after them. */
static void drain_wire(Snap *s, const uint8_t *bytes, unsigned sent)
{
    while (sent--) {
        snap_expect_packet(s, bytes, FULL);
    }
    snap_wait_resumed(s);
    check_first(s, 1500);
    check_first(s, 60);
}

/* A reset within a packet whose connection lives: the peer reads it whole. */
static void test_link_reset(void)
{
    g_autofree char *folder = g_dir_make_tmp("snap-XXXXXX", NULL);
    g_autofree uint8_t *bytes = g_malloc(FULL);
    int sock;
    Snap *s = run_stream(folder, &sock);
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, FULL);
    unsigned sent = fill_wire(s, bytes);

    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, SNAP_F_SNAPSHOT);
    /* No more than before: a guest that resets does not fill QEMU's queue. */
    snap_expect(BUSY, snap_send(s, &tx));
    g_assert_cmpuint(snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused, ==, 1);
    drain_wire(s, bytes, sent);
    snap_expect_message(s, SNAP_VECTOR_DATA);
    halt_stream(s, folder, sock);
}

/*
 * QEMU empties its queues when the machine stops: the packet that is cut off
 * arrives all the same, then or later, and those behind it as they are.
 */
static void test_link_stopped(void)
{
    g_autofree char *folder = g_dir_make_tmp("snap-XXXXXX", NULL);
    g_autofree uint8_t *bytes = g_malloc(FULL);
    int sock;
    Snap *s = run_stream(folder, &sock);
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, FULL);
    unsigned sent = fill_wire(s, bytes);

    snap_run_machine(s, false);
    snap_run_machine(s, true);
    /* The wire is as full as before; once more, with two packets there. */
    snap_expect(OK, snap_send(s, &tx));
    g_assert_cmpuint(snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused, ==, 1);
    sent++;
    snap_run_machine(s, false);
    snap_run_machine(s, true);
    drain_wire(s, bytes, sent);

    sent = fill_wire(s, bytes);
    snap_run_machine(s, false);
    while (sent--) {
        snap_expect_packet(s, bytes, FULL);
    }
    snap_run_machine(s, true);
    drain_wire(s, bytes, 0);
    halt_stream(s, folder, sock);
}

static void plug(Snap *s)
{
    qtest_qmp_device_add(s->qts, "snap", "hot", "{ 'pool-size': 4194304,"
                         " 'addr': '6', 'netdev': 'net0',"
                         " 'mac': '52:54:00:12:34:56' }");
    s->bus = qpci_new_pc(s->qts, NULL);
    snap_map(s, QPCI_DEVFN(SLOT, 0));
    snap_start(s, SNAP_F_SNAPSHOT);
}

static void unplug(Snap *s)
{
    g_free(s->dev);
    qpci_free_pc(s->bus);
    qpci_unplug_acpi_device_test(s->qts, "hot", SLOT);
}

/* So it is when the device goes, and the next one has the same backend. */
static void test_link_unplugged(void)
{
    g_autofree char *folder = g_dir_make_tmp("snap-XXXXXX", NULL);
    g_autofree uint8_t *bytes = g_malloc(FULL);
    g_autofree char *netdev = NULL;
    int sock = listen_at(folder, &netdev);
    Snap *s = g_new0(Snap, 1);
    unsigned sent;

    s->qts = snap_qemu("pc", netdev);
    s->sock = accept_wire(sock);
    plug(s);
    wait_link(s, true);
    sent = fill_wire(s, bytes);
    unplug(s);
    plug(s);
    drain_wire(s, bytes, sent);

    /* The connection breaks within a packet of the device before. */
    fill_wire(s, bytes);
    unplug(s);
    plug(s);
    close(s->sock);
    wait_link(s, false);
    s->sock = accept_wire(sock);
    wait_link(s, true);
    check_first(s, 1500);
    check_first(s, 60);
    halt_stream(s, folder, sock);
}

/* The connection breaks while nobody has the backend, and stays away. */
static void test_link_replugged(void)
{
    g_autofree char *folder = g_dir_make_tmp("snap-XXXXXX", NULL);
    g_autofree char *path = g_strdup_printf("%s/wire", folder);
    g_autofree char *away = g_strdup_printf("%s/away", folder);
    g_autofree uint8_t *bytes = g_malloc(FULL);
    g_autofree char *netdev = NULL;
    int sock = listen_at(folder, &netdev);
    Snap *s = g_new0(Snap, 1);

    s->qts = snap_qemu("pc", netdev);
    s->sock = accept_wire(sock);
    plug(s);
    wait_link(s, true);
    fill_wire(s, bytes);
    unplug(s);
    /* Whoever tries to connect again finds nobody until it is back. */
    g_assert(!rename(path, away));
    close(s->sock);
    qtest_qmp_eventwait(s->qts, "NETDEV_STREAM_DISCONNECTED");
    plug(s);
    g_assert_cmpuint(snap_device_status(s).link_up, ==, 0);
    g_assert(!rename(away, path));
    s->sock = accept_wire(sock);
    wait_link(s, true);
    check_first(s, 1500);
    g_assert_cmpuint(snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused, ==,
                     0);
    /* A stop empties queues: nothing is left from before. */
    snap_run_machine(s, false);
    snap_run_machine(s, true);
    check_first(s, 60);
    halt_stream(s, folder, sock);
}

/* The connection breaks within a packet, and the next one begins with one. */
static void test_reconnect(void)
{
    g_autofree char *folder = g_dir_make_tmp("snap-XXXXXX", NULL);
    int sock;
    Snap *s = run_stream(folder, &sock);
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, FULL);

    for (unsigned i = 0; i < 4; i++) {
        snap_message(s, SNAP_VECTOR_CONTROL);
        snap_message(s, SNAP_VECTOR_DATA);
        while (!snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused) {
            snap_expect(OK, snap_send(s, &tx));
        }
        if (i == 2) {
            /* Which a reset in between does not make the device forget. */
            snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
            snap_start(s, SNAP_F_SNAPSHOT);
        } else if (i == 3) {
            /* The packet is gone before its connection is. */
            snap_run_machine(s, false);
            g_assert_cmpuint(snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused, ==,
                             0);
            snap_run_machine(s, true);
        }
        close(s->sock);
        wait_link(s, false);
        snap_expect_message(s, SNAP_VECTOR_CONTROL);
        g_assert_cmpuint(snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused, ==,
                         0);
        snap_expect_message(s, SNAP_VECTOR_DATA);
        s->sock = accept_wire(sock);
        wait_link(s, true);
        snap_expect_message(s, SNAP_VECTOR_CONTROL);
        check_first(s, i ? 60 : FULL);
        check_first(s, 1500);
    }
    halt_stream(s, folder, sock);
}

void snap_add_link_tests(void)
{
    qtest_add_func("/snap/link", test_link);
    qtest_add_func("/snap/link/reset", test_link_reset);
    qtest_add_func("/snap/link/reconnect", test_reconnect);
    qtest_add_func("/snap/link/stopped", test_link_stopped);
    qtest_add_func("/snap/link/unplugged", test_link_unplugged);
    qtest_add_func("/snap/link/replugged", test_link_replugged);
}
