/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot memory NIC taken away, and reset, while two processors use it:
 * they are threads of QEMU (plugin/qtest-processor.c), because the qtest has
 * no processors.  Also what is read where a device was.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "hw/pci/pci_regs.h"
#include "libqos/pci-pc.h"
#include "qobject/qdict.h"
#include "snap-fixture.h"

#define SLOT        6
#define PROCESSORS  2
/* Two seconds; SNAP_UNPLUG_CYCLES of the environment is another number. */
#define CYCLES      100

/* What the processors have done to all the devices. */
typedef struct Done {
    uint64_t resets, snapshots, trapped, packets;
} Done;

/* net0 takes no packet, so that TX pauses with the first; net1 takes all. */
#define BACKENDS "-netdev hubport,id=net0,hubid=0 " \
                 "-netdev socket,id=net1,udp=127.0.0.1:9,localaddr=127.0.0.1:0 "
/* Both of several queues. */
#define TAPS     "-netdev tap,id=net0,script=no,downscript=no,queues=3 " \
                 "-netdev tap,id=net1,script=no,downscript=no,queues=2 "

static void plug(Snap *s, const char *netdev)
{
    s->bus = qpci_new_pc(s->qts, NULL);
    qtest_qmp_device_add(s->qts, "snap", "hot", "{ 'pool-size': 4194304,"
                         " 'addr': '6', 'netdev': %s, 'capture': 'share',"
                         " 'mac': '52:54:00:12:34:56' }", netdev);
    snap_map(s, QPCI_DEVFN(SLOT, 0));
    qpci_msix_enable(s->dev);
}

static void add_up(Snap *s, Done *done)
{
    done->resets += snap_device_status(s).resets;
    done->snapshots += snap_count(s, SNAP_CTR_SNAPSHOTS);
    done->trapped += snap_count(s, SNAP_CTR_WRITE_FAULTS);
    done->packets += snap_count(s, SNAP_CTR_TX_PACKETS);
}

static void unplug(Snap *s)
{
    g_free(s->dev);
    qpci_free_pc(s->bus);
    qpci_unplug_acpi_device_test(s->qts, "hot", SLOT);
}

static unsigned cycles(void)
{
    const char *text = g_getenv("SNAP_UNPLUG_CYCLES");
    unsigned n = CYCLES;

    g_assert(!text || !qemu_strtoui(text, NULL, 10, &n));
    return n;
}

static Snap *boot(const char *backends, const char *options)
{
    Snap *s = g_new0(Snap, 1);
    g_autofree char *all = g_strdup_printf("%s %s", backends, options);

    s->sock = -1;
    s->qts = snap_qemu("pc", all);
    return s;
}

static void halt(Snap *s)
{
    qtest_quit(s->qts);
    g_free(s);
}

/* Options for processors that use the device where it will be. */
static char *processors(void)
{
    GString *options = g_string_new(NULL);
    Snap *s = boot(BACKENDS, "");

    plug(s, "net0");
    for (unsigned i = 0; i < PROCESSORS; i++) {
        g_string_append_printf(options, " -device snap-processor,id=cpu%u,index=%u,"
                               "registers=0x%" PRIx64 ",msix=0x%" PRIx64 ","
                               "slab=0x%" PRIx64 ",window=0x%" PRIx64, i, i,
                               s->regs.addr, s->dev->msix_table_bar.addr,
                               s->slab, s->window);
    }
    unplug(s);
    halt(s);
    return g_string_free(options, false);
}

static void use_and_unplug(const char *backends)
{
    g_autofree char *options = NULL;
    Done done = { 0 };
    unsigned n = cycles();
    Snap *s;

    if (!qtest_has_device("snap-processor")) {
        g_test_skip("this QEMU has no snap-processor");
        return;
    }
    options = processors();
    s = boot(backends, options);
    for (unsigned i = 0; i < n; i++) {
        plug(s, i % 2 ? "net1" : "net0");
        /* The machine's reset comes to a device in use as well. */
        if (i % 32 == 31) {
            qtest_qmp_assert_success(s->qts, "{ 'execute': 'system_reset' }");
            qtest_qmp_eventwait(s->qts, "RESET");
        } else {
            g_usleep(1000);
        }
        add_up(s, &done);
        unplug(s);
    }
    g_test_message("%u times unplugged, %" PRIu64 " resets, %" PRIu64
                   " snapshots, %" PRIu64 " trapped stores, %" PRIu64
                   " packets", n, done.resets, done.snapshots, done.trapped,
                   done.packets);
    g_assert_cmpuint(done.resets, >, n);
    g_assert_cmpuint(done.packets, >, n);
    halt(s);
}

static void test_processors(void)
{
    use_and_unplug(BACKENDS);
}

/* With threads, and queues that come and go. */
static void test_processors_queues(void)
{
    SnapTap t;

    if (!snap_tap_open(&t, 0)) {
        g_test_skip("no tap device may be made here");
        return;
    }
    /* What counts is the network namespace. */
    close(t.fd);
    close(t.packet);
    use_and_unplug(TAPS);
}

/* Other devices have no pointer to where the windows are. */
static void test_dma(void)
{
    g_autofree char *options = NULL, *idle = NULL;
    QDict *response;
    Snap *s;

    if (!qtest_has_device("snap-processor")) {
        g_test_skip("this QEMU has no snap-processor");
        return;
    }
    options = processors();
    idle = g_strdup_printf("%s -global snap-processor.idle=on", options);
    s = boot(BACKENDS, idle);
    plug(s, "net0");
    response = qtest_qmp(s->qts, "{ 'execute': 'qom-get', 'arguments': {"
                         " 'path': '/machine/peripheral/cpu0',"
                         " 'property': 'dma-is-direct' } }");
    g_assert_true(qdict_haskey(response, "return"));
    g_assert_false(qdict_get_bool(response, "return"));
    qobject_unref(response);
    unplug(s);
    halt(s);
}

/* Where the device was, nothing is: no magic, no batch, no status. */
static void test_nothing_there(void)
{
    Snap *s = boot(BACKENDS, "");
    uint64_t registers, slab;

    plug(s, "net0");
    registers = s->regs.addr;
    slab = s->slab;
    g_assert_cmphex(qtest_readq(s->qts, registers), ==, SNAP_MAGIC);
    unplug(s);
    g_assert_cmphex(qtest_readq(s->qts, registers + SNAP_REG_MAGIC), ==, 0);
    g_assert_cmpuint(SNAP_TAKE_COUNT(qtest_readq(s->qts, registers +
                     SNAP_QUEUE_PAGE(SNAP_QUEUE_DATA) + SNAP_QREG_TAKE)), ==, 0);
    g_assert_cmpuint(qtest_readl(s->qts, slab + 4), ==, 0);
    qtest_writeq(s->qts, registers + SNAP_REG_CONTROL, SNAP_CTL_RESET);
    plug(s, "net0");
    unplug(s);
    halt(s);
}

void snap_add_unplug_tests(void)
{
    qtest_add_func("/snap/unplug/nothing-there", test_nothing_there);
    qtest_add_func("/snap/dma", test_dma);
    qtest_add_func("/snap/unplug/processors", test_processors);
    qtest_add_func("/snap/unplug/queues", test_processors_queues);
}
