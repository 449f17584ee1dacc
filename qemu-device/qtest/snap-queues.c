/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several data queues of the snapshot memory NIC, on a tap that has as many:
 * which of them carry packets, that none waits for another, and order in each.
 * Skipped where no tap may be made.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "qobject/qdict.h"
#include "snap-fixture.h"

#define QUEUES          3
#define LENGTH          200
#define VNET_HEADER     10      /* of an AF_PACKET socket */
#define TAG             60      /* where a packet says which it is */
#define FLOWS           64

/* What a packet says: the queue or flow that it is of, and its number. */
typedef struct Tag {
    uint32_t of, n;
} Tag;

/* The hash that came with a flow, 0 none yet; each has one, in all queues. */
static uint32_t hash_of_flow[FLOWS];

static bool boot(SnapTap *t, unsigned queues, const char *properties)
{
    g_autofree char *net = NULL;

    if (!snap_tap_open(t, IFF_MULTI_QUEUE)) {
        g_test_skip("no tap device may be made here");
        return false;
    }
    /* A queue, too, which keeps the interface until QEMU has its own. */
    g_assert(!fcntl(t->fd, F_SETFD, FD_CLOEXEC));
    net = g_strdup_printf("-netdev tap,id=net0,ifname=snaptest0,script=no,"
                          "downscript=no,vnet_hdr=on,queues=%u", queues);
    t->s = snap_boot_on("q35", net, properties);
    close(t->fd);
    return true;
}

/* By the main loop, by threads; and running, with all queues. */
static bool run(SnapTap *t, const void *path, const char *more)
{
    g_autofree char *properties = g_strdup_printf(",datapath=%s%s",
                                                  (const char *)path, more);

    if (!boot(t, QUEUES, properties)) {
        return false;
    }
    snap_start(t->s, SNAP_F_SNAPSHOT);
    snap_set_vectors(t->s);
    snap_set(t->s, SNAP_REG_ACTIVE, QUEUES);
    memset(hash_of_flow, 0, sizeof(hash_of_flow));
    return true;
}

/* UDP of a flow, there or back. */
static void make_packet(uint8_t *p, uint32_t flow, bool back, Tag tag)
{
    static const uint8_t head[] = {
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
        0x45, 0, 0, LENGTH - 14, 0, 0, 0, 0, 64, 17, 0, 0,
        10, 0, 0, 1, 10, 0, 0, 1,
        0, 7, 0, 7, 0, LENGTH - 34, 0, 0,
    };

    memset(p, 0, LENGTH);
    memcpy(p, head, sizeof(head));
    p[back ? 33 : 29] = 2;
    stw_be_p(p + (back ? 36 : 34), 1000 + flow);
    memcpy(p + TAG, &tag, sizeof(tag));
}

static uint32_t send_flow(Snap *s, unsigned queue, uint32_t flow, uint32_t n)
{
    struct snap_tx tx = snap_tx_of(SNAP_SEG_INLINE, 0x8000, LENGTH);
    uint8_t packet[LENGTH];

    make_packet(packet, flow, false, (Tag) { queue, n });
    qtest_memwrite(s->qts, s->slab + queue * s->slab_bytes + 0x8000, packet,
                   LENGTH);
    return snap_do(s, queue, &tx);
}

/* What left the machine; false if there is nothing for a while. */
static bool get_packet(SnapTap *t, Tag *tag)
{
    struct timeval patience = { .tv_sec = 2 };
    uint8_t got[VNET_HEADER + LENGTH + 1];

    g_assert(!setsockopt(t->packet, SOL_SOCKET, SO_RCVTIMEO, &patience,
                         sizeof(patience)));
    if (recv(t->packet, got, sizeof(got), 0) != VNET_HEADER + LENGTH) {
        return false;
    }
    memcpy(tag, got + VNET_HEADER + TAG, sizeof(*tag));
    return true;
}

static void put_packet(SnapTap *t, uint32_t flow, uint32_t n)
{
    uint8_t p[VNET_HEADER + LENGTH] = { 0 };

    make_packet(p + VNET_HEADER, flow, true, (Tag) { flow, n });
    g_assert_cmpint(send(t->packet, p, sizeof(p), 0), ==, sizeof(p));
}

static void check_hash(const struct snap_rx *rx, const Tag *tag)
{
    g_assert_cmpuint(rx->hash_type, ==, SNAP_HASH_L4);
    g_assert_cmpuint(tag->of, <, FLOWS);
    if (hash_of_flow[tag->of]) {
        g_assert_cmphex(rx->hash, ==, hash_of_flow[tag->of]);
    }
    hash_of_flow[tag->of] = rx->hash;
}

/* What a queue has received, all of it: how many, and of the last its tag. */
static unsigned take_all(Snap *s, unsigned queue, Tag *tag)
{
    unsigned packets = 0;
    SnapReceived r;

    while (snap_take_from(s, queue, &r)) {
        uint32_t at = 0;

        for (unsigned i = 0; i < r.packets; i++) {
            uint8_t packet[LENGTH];

            g_assert_cmpuint(snap_rx_at(&r, at)->hdr_len, ==, LENGTH);
            snap_packet(s, &r, at, packet, NULL);
            memcpy(tag, packet + TAG, sizeof(*tag));
            check_hash(snap_rx_at(&r, at), tag);
            at += snap_rx_at(&r, at)->size;
        }
        packets += r.packets;
        snap_give_back(s, &r);
    }
    return packets;
}

static void arm(Snap *s, unsigned queue)
{
    snap_set(s, SNAP_QUEUE_PAGE(queue) + SNAP_QREG_ARM, 1);
}

/* ---- Which queues there are --------------------------------------------- */

static void test_registers(void)
{
    struct snap_capture c[QUEUES];
    uint32_t page, region;
    uint64_t bad;
    SnapTap t;
    Snap *s;

    if (!boot(&t, QUEUES, "")) {
        return;
    }
    s = t.s;
    g_assert_cmpuint(snap_get(s, SNAP_REG_QUEUES), ==, QUEUES);
    g_assert_cmpuint(snap_get(s, SNAP_REG_VECTORS), ==, 1 + QUEUES);
    g_assert_cmpuint(snap_get(s, SNAP_REG_ACTIVE), ==, 1);
    bad = snap_count(s, SNAP_CTR_BAD_REGISTER);
    snap_set(s, SNAP_REG_ACTIVE, 0);
    snap_set(s, SNAP_REG_ACTIVE, QUEUES + 1);
    snap_set(s, SNAP_REG_ACTIVE, ~0ull);
    g_assert_cmphex(snap_get(s, SNAP_QUEUE_PAGE(QUEUES + 1) + SNAP_QREG_TAKE),
                    ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, bad + 4);
    g_assert_cmpuint(snap_get(s, SNAP_REG_ACTIVE), ==, 1);
    /* In every state. */
    snap_set(s, SNAP_REG_ACTIVE, QUEUES);
    snap_start(s, SNAP_F_SNAPSHOT);
    g_assert_cmpuint(snap_get(s, SNAP_REG_ACTIVE), ==, QUEUES);
    snap_set(s, SNAP_REG_ACTIVE, 2);
    g_assert_cmpuint(snap_get(s, SNAP_REG_ACTIVE), ==, 2);
    /* Frames are the device's, by whichever queue they come and go. */
    region = snap_create(s, 1, &page);
    for (unsigned q = 1; q <= QUEUES; q++) {
        c[q - 1] = (struct snap_capture) {
            .e.op = SNAP_OP_CAPTURE, .region = region, .length = 1,
        };
        snap_expect(OK, snap_do(s, q, &c[q - 1]));
    }
    for (unsigned q = 1; q <= QUEUES; q++) {
        struct snap_release r = {
            .e.op = SNAP_OP_RELEASE, .count = 1,
            .frame[0] = c[QUEUES - q].frame[0],
        };

        snap_expect(OK, snap_do(s, q, &r));
    }
    snap_expect(OK, snap_destroy(s, region));
    snap_assert_all_free(s);
    /* Packets are for active queues. */
    snap_expect(OK, send_flow(s, 2, 0, 0));
    snap_expect(BAD_STATE, send_flow(s, 3, 0, 0));
    g_assert_cmphex(snap_get(s, SNAP_QUEUE_PAGE(3) + SNAP_QREG_TAKE), ==,
                    SNAP_TAKE_NONE);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    g_assert_cmpuint(snap_get(s, SNAP_REG_ACTIVE), ==, 1);
    snap_start(s, 0);
    snap_expect(OK, send_flow(s, 1, 0, 0));
    snap_expect(BAD_STATE, send_flow(s, 2, 0, 0));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_REGISTER), ==, bad + 4);
    snap_tap_halt(&t);
}

/* As many as there may be; and one more. */
static void test_many(void)
{
    QTestState *qts;
    QDict *response;
    SnapTap t;
    Snap *s;
    Tag tag;

    if (!boot(&t, SNAP_QUEUES_MAX, "")) {
        return;
    }
    s = t.s;
    g_assert_cmpuint(snap_get(s, SNAP_REG_QUEUES), ==, SNAP_QUEUES_MAX);
    g_assert_cmpuint(snap_get(s, SNAP_REG_VECTORS), ==, 1 + SNAP_QUEUES_MAX);
    snap_start(s, 0);
    snap_set(s, SNAP_REG_ACTIVE, SNAP_QUEUES_MAX);
    for (unsigned q = 1; q <= SNAP_QUEUES_MAX; q++) {
        snap_expect(OK, send_flow(s, q, q, q));
        g_assert_true(get_packet(&t, &tag));
        g_assert_cmpuint(tag.of, ==, q);
        g_assert_cmpuint(snap_queue_count(s, q, SNAP_QCTR_TX_PACKETS), ==, 1);
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TX_PACKETS), ==, SNAP_QUEUES_MAX);
    snap_tap_halt(&t);
    qts = snap_qemu("pc", "-netdev tap,id=net0,script=no,downscript=no,"
                    "queues=65");
    response = qtest_qmp(qts, "{ 'execute': 'device_add', 'arguments': {"
                         " 'driver': 'snap', 'netdev': 'net0' } }");
    snap_expect_error("netdev 'net0' has 65 queues, the device takes 64",
                      response);
    qtest_quit(qts);
}

/* ---- Packets ------------------------------------------------------------ */

/* All packets of all queues arrive; those of one queue in their order. */
static void test_tx(const void *path)
{
    const unsigned n = 60;
    uint32_t next[1 + QUEUES] = { 0 };
    SnapTap t;
    Tag tag;

    if (!run(&t, path, "")) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        for (unsigned q = 1; q <= QUEUES; q++) {
            snap_expect(OK, send_flow(t.s, q, i, i));
        }
    }
    for (unsigned i = 0; i < n * QUEUES; i++) {
        g_assert_true(get_packet(&t, &tag));
        g_assert_cmpuint(tag.of, <=, QUEUES);
        g_assert_cmpuint(tag.n, ==, next[tag.of]);
        next[tag.of]++;
    }
    for (unsigned q = 1; q <= QUEUES; q++) {
        g_assert_cmpuint(snap_queue_count(t.s, q, SNAP_QCTR_TX_PACKETS), ==, n);
        g_assert_cmpuint(snap_queue_count(t.s, q, SNAP_QCTR_TX_BYTES), ==,
                         n * LENGTH);
    }
    g_assert_cmpuint(snap_count(t.s, SNAP_CTR_TX_PACKETS), ==, n * QUEUES);
    g_assert_cmpuint(snap_count(t.s, SNAP_CTR_TX_BYTES), ==,
                     n * QUEUES * LENGTH);
    snap_tap_halt(&t);
}

/*
 * A flow comes to the queue that it leaves by, as its vector says; and to the
 * others when that queue carries no packets.
 */
static void test_rx(const void *path)
{
    uint32_t packets = 0;
    uint64_t messages;
    SnapTap t;
    Snap *s;
    Tag tag;

    if (!run(&t, path, "")) {
        return;
    }
    s = t.s;
    for (unsigned flow = 0; flow < FLOWS; flow++) {
        unsigned to = 1 + flow % QUEUES;

        snap_expect(OK, send_flow(s, to, flow, 0));
        g_assert_true(get_packet(&t, &tag));
        for (unsigned q = 1; q <= QUEUES; q++) {
            arm(s, q);
        }
        messages = snap_count(s, SNAP_CTR_INTERRUPTS);
        put_packet(&t, flow, flow);
        snap_wait(s, SNAP_CTR_RX_PACKETS, ++packets);
        /* a thread counts the packet before it sends the message */
        snap_wait(s, SNAP_CTR_INTERRUPTS, messages + 1);
        for (unsigned q = 1; q <= QUEUES; q++) {
            g_assert_cmpint(snap_message(s, SNAP_VECTOR(q, 1 + QUEUES)), ==,
                            q == to);
            g_assert_cmpuint(take_all(s, q, &tag), ==, q == to);
        }
        g_assert_cmpuint(tag.n, ==, flow);
        g_assert_cmpuint(snap_queue_count(s, to, SNAP_QCTR_RX_PACKETS), ==,
                         1 + flow / QUEUES);
    }
    snap_set(s, SNAP_REG_ACTIVE, 1);
    for (unsigned flow = 0; flow < FLOWS; flow++) {
        put_packet(&t, flow, flow);
        snap_wait(s, SNAP_CTR_RX_PACKETS, ++packets);
        g_assert_cmpuint(take_all(s, 1, &tag), ==, 1);
    }
    snap_set(s, SNAP_REG_ACTIVE, QUEUES);
    for (unsigned flow = 0; flow < FLOWS; flow++) {
        put_packet(&t, flow, flow);
    }
    snap_wait(s, SNAP_CTR_RX_PACKETS, packets + FLOWS);
    for (unsigned q = 1; q <= QUEUES; q++) {
        unsigned n = take_all(s, q, &tag);

        /* The host spreads flows that it does not know. */
        g_assert_cmpuint(n, >, 0);
        packets += n;
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RX_PACKETS), ==, packets);
    snap_assert_all_free(s);
    snap_tap_halt(&t);
}

/* A queue that is full does not keep another from sending. */
static void test_full(void)
{
    unsigned n = 0, others = 0;
    SnapTap t;
    Tag tag;

    if (!run(&t, "thread", ",x-datapath-delay=10000")) {
        return;
    }
    while (!snap_queue_status(t.s, 2).tx_paused) {
        snap_expect(OK, send_flow(t.s, 2, 0, n++));
    }
    snap_expect(BUSY, send_flow(t.s, 2, 0, 0));
    for (unsigned q = 1; q <= QUEUES; q++) {
        if (q != 2) {
            g_assert_cmpuint(snap_queue_status(t.s, q).tx_paused, ==, 0);
            snap_expect(OK, send_flow(t.s, q, q, 0));
        }
        g_assert_cmpuint(snap_queue_count(t.s, q, SNAP_QCTR_TX_PAUSES), ==,
                         q == 2);
        g_assert_false(snap_message(t.s, SNAP_VECTOR(q, 1 + QUEUES)));
    }
    for (unsigned i = 0; i < n + 2; i++) {
        g_assert_true(get_packet(&t, &tag));
        others += tag.of != 2;
        /* Not behind those that wait. */
        g_assert_true(i < n / 2 || others == 2);
    }
    snap_expect_message(t.s, SNAP_VECTOR(2, 1 + QUEUES));
    g_assert_false(snap_message(t.s, SNAP_VECTOR(1, 1 + QUEUES)));
    g_assert_false(snap_message(t.s, SNAP_VECTOR(3, 1 + QUEUES)));
    snap_tap_halt(&t);
}

/* Frames that one queue gives back let all others go on. */
static void test_stall(const void *path)
{
    struct snap_capture c;
    uint32_t page, region, packets = 0, got = 0;
    int64_t end;
    SnapTap t;
    Snap *s;
    Tag tag;

    if (!run(&t, path, ",capture=copy")) {
        return;
    }
    s = t.s;
    region = snap_create(s, 256, &page);
    while (snap_capture(s, region, 0, 16 * SNAP_FRAME_SIZE, &c) == SNAP_ST_OK) {
        continue;
    }
    for (unsigned flow = 0; flow < FLOWS; flow++) {
        snap_expect(OK, send_flow(s, 1 + flow % QUEUES, flow, 0));
        g_assert_true(get_packet(&t, &tag));
    }
    /* Batches take what was reserved. */
    while (snap_device_status(s).free_frames > 32) {
        g_assert_cmpuint(packets, <, 10000);
        for (unsigned flow = 0; flow < FLOWS; flow++) {
            put_packet(&t, flow, packets++);
        }
    }
    end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    for (unsigned q = 1; q <= QUEUES; q++) {
        while (!snap_queue_count(s, q, SNAP_QCTR_RX_STALLS)) {
            put_packet(&t, q - 1, packets++);
            g_assert_cmpint(g_get_monotonic_time(), <, end);
        }
    }
    end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    while (got < packets) {
        for (unsigned q = 1; q <= QUEUES; q++) {
            got += take_all(s, q, &tag);
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    g_assert_cmpuint(got, ==, packets);
    snap_tap_halt(&t);
}

/* Flows differ, and so do the hashes that two devices give to one. */
static void test_hash(void)
{
    uint32_t before[FLOWS] = { 0 };

    for (unsigned device = 0; device < 2; device++) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        unsigned alike = 0;
        SnapTap t;
        Tag tag;

        if (!run(&t, "main", "")) {
            return;
        }
        for (unsigned flow = 0; flow < FLOWS; flow++) {
            put_packet(&t, flow, 0);
        }
        snap_wait(t.s, SNAP_CTR_RX_PACKETS, FLOWS);
        for (unsigned q = 1; q <= QUEUES; q++) {
            take_all(t.s, q, &tag);
        }
        for (unsigned flow = 0; flow < FLOWS; flow++) {
            g_hash_table_add(seen, GUINT_TO_POINTER(hash_of_flow[flow]));
            alike += hash_of_flow[flow] == before[flow];
        }
        g_assert_cmpuint(g_hash_table_size(seen), >, FLOWS / 2);
        g_assert_cmpuint(alike, <, FLOWS / 2);
        memcpy(before, hash_of_flow, sizeof(before));
        snap_tap_halt(&t);
    }
}

/* ---- Tables ------------------------------------------------------------- */

static uint32_t steer(Snap *s, struct snap_steer e)
{
    e.e.op = SNAP_OP_STEER;
    return snap_do(s, SNAP_QUEUE_CONTROL, &e);
}

/* All entries name one queue. */
static struct snap_steer table_of(uint8_t queue)
{
    struct snap_steer e = { };

    memset(e.queue, queue, sizeof(e.queue));
    return e;
}

/* A packet of each flow: how many came by each queue. */
static void spread(SnapTap *t, unsigned came[1 + QUEUES])
{
    uint64_t packets = snap_count(t->s, SNAP_CTR_RX_PACKETS);
    Tag tag;

    for (unsigned flow = 0; flow < FLOWS; flow++) {
        put_packet(t, flow, 0);
    }
    snap_wait(t->s, SNAP_CTR_RX_PACKETS, packets + FLOWS);
    for (unsigned q = 1; q <= QUEUES; q++) {
        came[q] = take_all(t->s, q, &tag);
    }
}

static void expect_all(SnapTap *t, unsigned queue)
{
    unsigned came[1 + QUEUES];

    spread(t, came);
    g_assert_cmpuint(came[queue], ==, FLOWS);
}

/* The kernel follows: flows come by the queue by which they have left. */
static void expect_free(SnapTap *t, unsigned turn)
{
    unsigned queue = 1 + turn % snap_get(t->s, SNAP_REG_ACTIVE);
    unsigned came[1 + QUEUES];
    Tag tag;

    for (unsigned flow = 0; flow < FLOWS; flow++) {
        snap_expect(OK, send_flow(t->s, queue, flow, 0));
        g_assert_true(get_packet(t, &tag));
    }
    spread(t, came);
    g_assert_cmpuint(came[queue], ==, FLOWS);
}

/* May this process load a program that answers 0? */
static bool programs_are_taken(void)
{
    const struct bpf_insn insns[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT },
    };
    union bpf_attr attr = { };
    int fd;

    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = (uintptr_t)insns;
    attr.insn_cnt = ARRAY_SIZE(insns);
    attr.license = (uintptr_t)"GPL";
    fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
    if (fd < 0) {
        return false;
    }
    close(fd);
    return true;
}

static void forbid_programs(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { ARRAY_SIZE(code), code };

    g_assert(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    g_assert(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

static bool has_fd(pid_t pid, unsigned fd)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%u", pid, fd);
    struct stat st;

    return !lstat(path, &st);
}

/* The descriptor that a process gets next, which is one more than all that it has. */
static unsigned next_fd(pid_t pid)
{
    unsigned fd = 0;

    while (has_fd(pid, fd)) {
        fd++;
    }
    for (unsigned more = 1; more < 64; more++) {
        g_assert(!has_fd(pid, fd + more));
    }
    return fd;
}

/*
 * May QEMU open anything, such as a program that it has loaded?  It polls no more
 * descriptors than the limit allows, so that is the next one, and not 0.
 */
static void let_open(Snap *s, bool yes)
{
    pid_t pid = qtest_pid(s->qts);
    struct rlimit limit;

    g_assert(!prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
    limit.rlim_cur = yes ? limit.rlim_max : next_fd(pid);
    g_assert(!prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
}

/* Who may load none offers none, and all else works. */
static void test_no_steer(void)
{
    SnapTap t;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    forbid_programs();
    if (!run(&t, "main", "")) {
        return;
    }
    g_assert_cmphex(snap_get(t.s, SNAP_REG_FEATURES) & SNAP_F_STEER, ==, 0);
    snap_expect(BAD_OP, steer(t.s, table_of(1)));
    expect_free(&t, 1);
    expect_free(&t, 2);
    snap_tap_halt(&t);
}

static void test_steer(const void *path)
{
    struct snap_steer e = { };
    unsigned came[1 + QUEUES], again[1 + QUEUES];
    SnapTap t;
    Snap *s;

    if (!programs_are_taken()) {
        g_test_skip("no program for a tap may be loaded here");
        return;
    }
    if (!run(&t, path, "")) {
        return;
    }
    s = t.s;
    /* Not without the feature. */
    g_assert_cmphex(snap_get(s, SNAP_REG_FEATURES) & SNAP_F_STEER, !=, 0);
    snap_expect(BAD_OP, steer(s, table_of(1)));
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, SNAP_F_STEER);
    snap_set(s, SNAP_REG_ACTIVE, QUEUES);
    expect_free(&t, QUEUES);
    for (unsigned q = 1; q <= QUEUES; q++) {
        snap_expect(OK, steer(s, table_of(q)));
        expect_all(&t, q);
    }
    /* What makes no sense changes nothing. */
    e = table_of(1);
    e.queue[SNAP_STEER_ENTRIES - 1] = 0;
    snap_expect(BAD_COUNT, steer(s, e));
    e.queue[SNAP_STEER_ENTRIES - 1] = QUEUES + 1;
    snap_expect(BAD_COUNT, steer(s, e));
    snap_expect(BAD_COUNT, steer(s, table_of(255)));
    e = table_of(1);
    e.e.flags = SNAP_STEER_FREE;
    snap_expect(BAD_RESERVED, steer(s, e));
    e.e.flags = SNAP_STEER_FREE << 1;
    snap_expect(BAD_FLAGS, steer(s, e));
    expect_all(&t, QUEUES);
    /* Nor does what the host refuses. */
    let_open(s, false);
    snap_expect(LINK_DOWN, steer(s, table_of(1)));
    expect_all(&t, QUEUES);
    let_open(s, true);
    /* A quarter, three quarters, and the same flows again. */
    e = table_of(2);
    memset(e.queue, 1, SNAP_STEER_ENTRIES / 4);
    snap_expect(OK, steer(s, e));
    spread(&t, came);
    g_assert_cmpuint(came[1], >, 0);
    g_assert_cmpuint(came[1], <, FLOWS / 2);
    g_assert_cmpuint(came[1] + came[2], ==, FLOWS);
    spread(&t, again);
    g_assert_cmpuint(came[1], ==, again[1]);
    /* A link that is down and up again keeps it. */
    for (unsigned i = 0; i < 2; i++) {
        qtest_qmp_assert_success(s->qts, "{ 'execute': 'set_link',"
                                 " 'arguments': { 'name': 'snap0', 'up': %i } }",
                                 i);
    }
    spread(&t, again);
    g_assert_cmpuint(came[1], ==, again[1]);
    /* Nor is it left when it names queues that go, or ends. */
    snap_set(s, SNAP_REG_ACTIVE, 2);
    snap_expect(BAD_COUNT, steer(s, table_of(QUEUES)));
    expect_free(&t, 1);
    expect_free(&t, 2);
    /* The same one again may be refused, though it was not before. */
    let_open(s, false);
    snap_expect(LINK_DOWN, steer(s, table_of(2)));
    expect_free(&t, 1);
    let_open(s, true);
    snap_expect(OK, steer(s, table_of(2)));
    expect_all(&t, 2);
    e = (struct snap_steer) { .e.flags = SNAP_STEER_FREE };
    snap_expect(OK, steer(s, e));
    expect_free(&t, 2);
    snap_expect(OK, steer(s, table_of(2)));
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, SNAP_F_STEER);
    snap_set(s, SNAP_REG_ACTIVE, QUEUES);
    expect_free(&t, QUEUES);
    expect_free(&t, QUEUES + 2);
    /* No backend. */
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'netdev_del', 'arguments': {"
                             " 'id': 'net0' } }");
    snap_expect(LINK_DOWN, steer(s, table_of(1)));
    snap_assert_all_free(s);
    snap_tap_halt(&t);
}

/* ---- Quiet -------------------------------------------------------------- */

/* Packets under way in all queues, and what makes them all quiet at once. */
static void test_quiet(const void *path)
{
    uint32_t left = 0, n;
    SnapTap t;
    Snap *s;
    Tag tag;

    if (!run(&t, path, ",x-datapath-delay=2000")) {
        return;
    }
    s = t.s;
    for (n = 0; n < 20; n++) {
        for (unsigned q = 1; q <= QUEUES; q++) {
            snap_expect(OK, send_flow(s, q, n, n));
            put_packet(&t, n, n);
        }
    }
    snap_run_machine(s, false);
    snap_run_machine(s, true);
    for (unsigned i = 0; i < 2; i++) {
        qtest_qmp_assert_success(s->qts, "{ 'execute': 'set_link',"
                                 " 'arguments': { 'name': 'snap0', 'up': %i } }",
                                 i);
        for (unsigned q = 1; q <= QUEUES; q++) {
            uint32_t status = send_flow(s, q, n, n);

            g_assert_cmpuint(status, ==, i ? SNAP_ST_OK : SNAP_ST_LINK_DOWN);
            left += i;
        }
    }
    snap_set(s, SNAP_REG_ACTIVE, 2);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_assert_all_free(s);
    for (unsigned q = 1; q <= QUEUES; q++) {
        g_assert_cmphex(snap_get(s, SNAP_QUEUE_PAGE(q) + SNAP_QREG_TAKE), ==,
                        SNAP_TAKE_NONE);
        g_assert_cmpuint(snap_queue_status(s, q).tx_paused, ==, 0);
    }
    for (left = 0; get_packet(&t, &tag); left++) {
        g_assert_cmpuint(tag.of, <=, QUEUES);
    }
    g_assert_cmpuint(left + snap_count(s, SNAP_CTR_TX_DROPPED), ==,
                     QUEUES * (n + 2));
    snap_start(s, 0);
    snap_set(s, SNAP_REG_ACTIVE, QUEUES);
    for (unsigned q = 1; q <= QUEUES; q++) {
        snap_expect(OK, send_flow(s, q, n, n));
        g_assert_true(get_packet(&t, &tag));
        g_assert_cmpuint(tag.of, ==, q);
    }
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'netdev_del', 'arguments': {"
                             " 'id': 'net0' } }");
    for (unsigned q = 1; q <= QUEUES; q++) {
        snap_expect(LINK_DOWN, send_flow(s, q, n, n));
    }
    snap_set(s, SNAP_REG_ACTIVE, 1);
    snap_set(s, SNAP_REG_ACTIVE, QUEUES);
    snap_expect(LINK_DOWN, send_flow(s, QUEUES, n, n));
    snap_assert_all_free(s);
    snap_tap_halt(&t);
}

void snap_add_queue_tests(void)
{
    qtest_add_func("/snap/queues/registers", test_registers);
    qtest_add_func("/snap/queues/many", test_many);
    qtest_add_data_func("/snap/queues/tx/thread", "thread", test_tx);
    qtest_add_data_func("/snap/queues/tx/main", "main", test_tx);
    qtest_add_data_func("/snap/queues/rx/thread", "thread", test_rx);
    qtest_add_data_func("/snap/queues/rx/main", "main", test_rx);
    qtest_add_func("/snap/queues/full", test_full);
    qtest_add_func("/snap/queues/hash", test_hash);
    qtest_add_data_func("/snap/queues/stall/thread", "thread", test_stall);
    qtest_add_data_func("/snap/queues/stall/main", "main", test_stall);
    qtest_add_func("/snap/queues/no-steer", test_no_steer);
    qtest_add_data_func("/snap/queues/steer/thread", "thread", test_steer);
    qtest_add_data_func("/snap/queues/steer/main", "main", test_steer);
    qtest_add_data_func("/snap/queues/quiet/thread", "thread", test_quiet);
    qtest_add_data_func("/snap/queues/quiet/main", "main", test_quiet);
}
