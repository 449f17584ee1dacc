/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine with a snap device: boot, registers, entries, the wire.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/iov.h"
#include "hw/pci/pci_regs.h"
#include "libqos/pci-pc.h"
#include "qobject/qdict.h"
#include "snap-fixture.h"

#define SNAP_SLOT 4
/* Where messages of the vectors go, and what they say. */
#define MESSAGE_AT(v)   (SNAP_TEST_RAM + 0x200000 + 4 * (v))
#define MESSAGE(v)      (0x5a00 + (v))

void snap_map(Snap *s, int devfn)
{
    uint64_t memory;

    s->dev = qpci_device_find(s->bus, devfn);
    g_assert_nonnull(s->dev);
    qpci_device_enable(s->dev);
    s->regs = qpci_iomap(s->dev, SNAP_BAR_REGS, NULL);
    memory = qpci_iomap(s->dev, SNAP_BAR_MEMORY, NULL).addr;
    s->status = memory + snap_get(s, SNAP_REG_STATUS_OFFSET);
    s->slab = memory + snap_get(s, SNAP_REG_SLAB_OFFSET);
    s->slab_bytes = snap_get(s, SNAP_REG_SLAB_BYTES);
    s->pool = memory + snap_get(s, SNAP_REG_POOL_OFFSET);
    s->large = memory + snap_get(s, SNAP_REG_LARGE_OFFSET);
    s->frames = snap_get(s, SNAP_REG_POOL_FRAMES);
    s->window = memory + snap_get(s, SNAP_REG_WINDOW_OFFSET);
    s->window_pages = snap_get(s, SNAP_REG_WINDOW_PAGES);
    s->free_frames = snap_count(s, SNAP_CTR_FREE_FRAMES);
}

QTestState *snap_qemu(const char *machine, const char *options)
{
    return qtest_initf("-machine %s -nodefaults -m 64 %s %s", machine,
                       g_getenv("SNAP_QEMU_OPTIONS") ?: "", options);
}

Snap *snap_boot_on(const char *machine, const char *backend,
                   const char *properties)
{
    Snap *s = g_new0(Snap, 1);
    g_autofree char *options = NULL;

    options = g_strdup_printf("%s -device snap,id=snap0,addr=%d,pool-size=4M"
                              "%s%s", backend, SNAP_SLOT,
                              *backend ? ",netdev=net0" : "", properties);
    s->qts = snap_qemu(machine, options);
    s->sock = -1;
    s->bus = qpci_new_pc(s->qts, NULL);
    snap_map(s, QPCI_DEVFN(SNAP_SLOT, 0));
    return s;
}

Snap *snap_boot(const char *machine, bool backend, const char *properties)
{
    g_autofree char *net = NULL;
    int wire[2];
    Snap *s;

    if (!backend) {
        return snap_boot_on(machine, "", properties);
    }
    g_assert(!socketpair(PF_UNIX, SOCK_STREAM, 0, wire));
    net = g_strdup_printf("-netdev socket,id=net0,fd=%d", wire[1]);
    s = snap_boot_on(machine, net, properties);
    close(wire[1]);
    s->sock = wire[0];
    return s;
}

Snap *snap_run(bool backend, const char *properties)
{
    Snap *s = snap_boot("q35", backend, properties);

    snap_start(s, SNAP_F_SNAPSHOT);
    return s;
}

void snap_halt(Snap *s)
{
    g_free(s->dev);
    qpci_free_pc(s->bus);
    qtest_quit(s->qts);
    if (s->sock >= 0) {
        close(s->sock);
    }
    g_free(s);
}

uint64_t snap_get(Snap *s, uint32_t reg)
{
    return qtest_readq(s->qts, s->regs.addr + reg);
}

void snap_set(Snap *s, uint32_t reg, uint64_t value)
{
    qtest_writeq(s->qts, s->regs.addr + reg, value);
}

uint64_t snap_count(Snap *s, enum snap_counter c)
{
    return snap_get(s, SNAP_REG_COUNTERS + 8 * c);
}

uint64_t snap_queue_count(Snap *s, unsigned queue, enum snap_queue_counter c)
{
    return snap_get(s, SNAP_QUEUE_PAGE(queue) + SNAP_QREG_COUNTERS + 8 * c);
}

struct snap_device_status snap_device_status(Snap *s)
{
    struct snap_device_status status;

    qtest_memread(s->qts, s->status, &status, sizeof(status));
    return status;
}

struct snap_queue_status snap_queue_status(Snap *s, unsigned queue)
{
    struct snap_queue_status status;

    qtest_memread(s->qts, s->status + queue * SNAP_STATUS_LINE, &status,
                  sizeof(status));
    return status;
}

void snap_start(Snap *s, uint64_t features)
{
    snap_set(s, SNAP_REG_DRIVER_FEATURES, features);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_START);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_RUNNING);
}

void snap_assert_all_free(Snap *s)
{
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGIONS), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_SNAPSHOTS_HELD), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_GUEST_FRAMES), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RESERVED_FRAMES), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_FREE_FRAMES), ==, s->free_frames);
    g_assert_cmpuint(snap_device_status(s).free_frames, ==, s->free_frames);
}

uint32_t snap_submit(Snap *s, unsigned queue, void *entry, size_t bytes)
{
    uint64_t at = s->slab + queue * s->slab_bytes;
    struct snap_entry *e = entry;

    qtest_memwrite(s->qts, at, entry, bytes);
    snap_set(s, SNAP_QUEUE_PAGE(queue) + SNAP_QREG_DOORBELL, 0);
    qtest_memread(s->qts, at, entry, bytes);
    return e->status;
}

uint32_t snap_create(Snap *s, uint32_t npages, uint32_t *window_page)
{
    struct snap_region_create c = {
        .e.op = SNAP_OP_REGION_CREATE,
        .npages = npages,
        .quota = SNAP_QUOTA_NONE,
    };

    g_assert_cmpuint(snap_do(s, SNAP_QUEUE_CONTROL, &c), ==, SNAP_ST_OK);
    g_assert_cmpuint(c.region, !=, 0);
    g_assert_cmpuint(c.window_page + npages, <=, s->window_pages);
    *window_page = c.window_page;
    return c.region;
}

uint32_t snap_destroy(Snap *s, uint32_t region)
{
    struct snap_region_destroy d = {
        .e.op = SNAP_OP_REGION_DESTROY,
        .region = region,
    };

    return snap_do(s, SNAP_QUEUE_CONTROL, &d);
}

uint32_t snap_capture(Snap *s, uint32_t handle, uint64_t offset,
                      uint32_t length, struct snap_capture *c)
{
    *c = (struct snap_capture) {
        .e.op = SNAP_OP_CAPTURE,
        .region = handle,
        .offset = offset,
        .length = length,
    };
    return snap_do(s, SNAP_QUEUE_DATA, c);
}

uint32_t snap_release(Snap *s, const uint32_t *frames, uint32_t count)
{
    struct snap_release r = { .e.op = SNAP_OP_RELEASE, .count = count };
    uint32_t status;

    g_assert_cmpuint(count, <=, SNAP_RELEASE_MAX);
    memcpy(r.frame, frames, count * sizeof(*frames));
    status = snap_do(s, SNAP_QUEUE_DATA, &r);
    if (status == SNAP_ST_OK) {
        g_assert_cmpuint(r.done, ==, count);
    }
    return status;
}

void snap_read_frame(Snap *s, uint32_t frame, uint8_t *to)
{
    g_assert_cmpuint(frame, <, s->frames);
    qtest_memread(s->qts, s->pool + (uint64_t)frame * SNAP_FRAME_SIZE, to,
                  SNAP_FRAME_SIZE);
}

void snap_check_frame(Snap *s, uint32_t frame, const uint8_t *want)
{
    uint8_t got[SNAP_FRAME_SIZE];

    snap_read_frame(s, frame, got);
    g_assert_cmpmem(got, sizeof(got), want, sizeof(got));
}

uint32_t snap_snapshot(Snap *s, uint32_t region, uint64_t *version)
{
    struct snap_snapshot_create c = {
        .e.op = SNAP_OP_SNAPSHOT,
        .region = region,
        .quota = SNAP_QUOTA_NONE,
    };

    g_assert_cmpuint(snap_do(s, SNAP_QUEUE_CONTROL, &c), ==, SNAP_ST_OK);
    g_assert_cmpuint(c.snapshot, !=, 0);
    if (version) {
        *version = c.version;
    }
    return c.snapshot;
}

uint32_t snap_drop(Snap *s, uint32_t snapshot)
{
    struct snap_snapshot_drop d = {
        .e.op = SNAP_OP_SNAPSHOT_DROP,
        .snapshot = snapshot,
    };

    return snap_do(s, SNAP_QUEUE_CONTROL, &d);
}

void snap_store(Snap *s, uint32_t page, uint64_t offset, const void *p,
                size_t length)
{
    qtest_memwrite(s->qts, s->window + (uint64_t)page * SNAP_FRAME_SIZE +
                   offset, p, length);
}

void snap_load(Snap *s, uint32_t page, uint64_t offset, void *p,
               size_t length)
{
    qtest_memread(s->qts, s->window + (uint64_t)page * SNAP_FRAME_SIZE +
                  offset, p, length);
}

uint32_t snap_create_as(Snap *s, uint32_t npages, uint16_t flags,
                        uint32_t owner, uint32_t quota,
                        struct snap_region_create *c)
{
    *c = (struct snap_region_create){
        .e = { .op = SNAP_OP_REGION_CREATE, .flags = flags },
        .npages = npages,
        .owner = owner,
        .quota = quota,
    };
    return snap_do(s, SNAP_QUEUE_CONTROL, c);
}

uint32_t snap_create_sparse(Snap *s, uint32_t npages, uint32_t *page)
{
    struct snap_region_create c;

    snap_expect(OK, snap_create_as(s, npages, SNAP_REGION_SPARSE, 0,
                                   SNAP_QUOTA_NONE, &c));
    *page = c.window_page;
    return c.region;
}

uint32_t snap_try_snapshot(Snap *s, uint32_t region, uint32_t quota)
{
    struct snap_snapshot_create c = {
        .e.op = SNAP_OP_SNAPSHOT,
        .region = region,
        .quota = quota,
    };

    return snap_do(s, SNAP_QUEUE_CONTROL, &c);
}

uint32_t snap_try_clone(Snap *s, uint32_t snapshot, uint32_t hint,
                        uint32_t owner, uint32_t quota, struct snap_clone *c)
{
    *c = (struct snap_clone){
        .e.op = SNAP_OP_CLONE,
        .snapshot = snapshot,
        .hint = hint,
        .owner = owner,
        .quota = quota,
    };
    return snap_do(s, SNAP_QUEUE_CONTROL, c);
}

uint32_t snap_clone(Snap *s, uint32_t snapshot, uint32_t *page)
{
    struct snap_clone c;

    snap_expect(OK, snap_try_clone(s, snapshot, SNAP_HINT_NONE, 0,
                                   SNAP_QUOTA_NONE, &c));
    *page = c.window_page;
    return c.region;
}

uint32_t snap_commit(Snap *s, uint32_t region, uint32_t from, uint32_t quota,
                     uint64_t *version)
{
    struct snap_commit c = {
        .e.op = SNAP_OP_COMMIT,
        .region = region,
        .from = from,
        .quota = quota,
        .version = *version,
    };
    uint32_t status = snap_do(s, SNAP_QUEUE_CONTROL, &c);

    *version = c.version;
    return status;
}

uint32_t snap_merge(Snap *s, uint32_t region, uint32_t base, uint32_t from,
                    struct snap_merge *m)
{
    *m = (struct snap_merge){
        .e.op = SNAP_OP_MERGE,
        .region = region,
        .base = base,
        .from = from,
        .quota = SNAP_QUOTA_NONE,
    };
    return snap_do(s, SNAP_QUEUE_CONTROL, m);
}

uint32_t snap_diff(Snap *s, uint32_t a, uint32_t b, uint32_t first,
                   struct snap_diff *d)
{
    *d = (struct snap_diff){
        .e.op = SNAP_OP_DIFF,
        .a = a,
        .b = b,
        .first = first,
    };
    return snap_do(s, SNAP_QUEUE_CONTROL, d);
}

uint32_t snap_discard(Snap *s, uint32_t region, uint32_t first, uint32_t npages)
{
    struct snap_discard d = {
        .e.op = SNAP_OP_DISCARD,
        .region = region,
        .first = first,
        .npages = npages,
    };

    return snap_do(s, SNAP_QUEUE_CONTROL, &d);
}

uint32_t snap_try_info(Snap *s, uint32_t handle, uint32_t owner,
                       struct snap_object *o)
{
    *o = (struct snap_object){
        .e.op = SNAP_OP_INFO,
        .handle = handle,
        .owner = owner,
    };
    return snap_do(s, SNAP_QUEUE_CONTROL, o);
}

struct snap_object snap_info(Snap *s, uint32_t handle)
{
    struct snap_object o;

    snap_expect(OK, snap_try_info(s, handle, 0, &o));
    return o;
}

uint32_t snap_charged(Snap *s, uint32_t owner)
{
    struct snap_object o;

    snap_expect(OK, snap_try_info(s, 0, owner, &o));
    g_assert_cmpuint(o.npages + o.populated + o.reserved_frames, ==, 0);
    return o.charged;
}

void snap_store64(Snap *s, uint32_t page, uint64_t offset, uint64_t value)
{
    snap_store(s, page, offset, &value, sizeof(value));
}

uint64_t snap_load64(Snap *s, uint32_t page, uint64_t offset)
{
    uint64_t value;

    snap_load(s, page, offset, &value, sizeof(value));
    return value;
}

void snap_check_snapshot(Snap *s, uint32_t snapshot, const uint8_t *want,
                         uint32_t npages)
{
    struct snap_capture c;

    snap_expect(OK, snap_capture(s, snapshot, 0, npages * SNAP_FRAME_SIZE, &c));
    g_assert_cmpuint(c.nframes, ==, npages);
    for (unsigned i = 0; i < npages; i++) {
        snap_check_frame(s, c.frame[i], want + i * SNAP_FRAME_SIZE);
    }
    snap_expect(OK, snap_release(s, c.frame, npages));
}

void snap_check_window(Snap *s, uint32_t page, const uint8_t *want,
                       uint32_t npages)
{
    g_autofree uint8_t *got = g_malloc(npages * SNAP_FRAME_SIZE);

    snap_load(s, page, 0, got, npages * SNAP_FRAME_SIZE);
    g_assert_cmpmem(got, npages * SNAP_FRAME_SIZE, want,
                    npages * SNAP_FRAME_SIZE);
}

uint32_t snap_available(Snap *s)
{
    return snap_count(s, SNAP_CTR_FREE_FRAMES) -
           snap_count(s, SNAP_CTR_RESERVED_FRAMES) - s->frames / 8;
}

struct snap_tx snap_tx_of(uint16_t kind, uint64_t addr, uint32_t length)
{
    return (struct snap_tx) {
        .e.op = SNAP_OP_TX,
        .length = length,
        .nsegs = 1,
        .seg[0] = { .addr = addr, .length = length, .kind = kind },
    };
}

uint32_t snap_send(Snap *s, struct snap_tx *tx)
{
    tx->e.status = SNAP_ST_PENDING;
    return snap_do(s, SNAP_QUEUE_DATA, tx);
}

void snap_wire_send(Snap *s, const void *packet, uint32_t length)
{
    uint32_t head = htonl(length);
    struct iovec iov[] = {
        { &head, sizeof(head) },
        { (void *)packet, length },
    };

    g_assert_cmpint(iov_send(s->sock, iov, 2, 0, sizeof(head) + length), ==,
                    sizeof(head) + length);
}

uint32_t snap_wire_receive(Snap *s, void *packet, uint32_t room)
{
    uint32_t length;

    g_assert_cmpint(recv(s->sock, &length, sizeof(length), MSG_WAITALL), ==,
                    sizeof(length));
    length = ntohl(length);
    g_assert_cmpuint(length, <=, room);
    g_assert_cmpint(recv(s->sock, packet, length, MSG_WAITALL), ==, length);
    return length;
}

void snap_expect_packet(Snap *s, const uint8_t *want, uint32_t length)
{
    g_autofree uint8_t *got = g_malloc(SNAP_PACKET_MAX);
    uint32_t n = snap_wire_receive(s, got, SNAP_PACKET_MAX);

    g_assert_cmpmem(got, n, want, length);
}

void snap_wait(Snap *s, enum snap_counter c, uint64_t value)
{
    int64_t end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    uint64_t now;

    while ((now = snap_count(s, c)) != value) {
        if (g_get_monotonic_time() > end) {
            g_error("counter %u is %" PRIu64 ", not %" PRIu64, c, now, value);
        }
        g_usleep(1000);
    }
}

void snap_wait_resumed(Snap *s)
{
    int64_t end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (snap_queue_status(s, SNAP_QUEUE_DATA).tx_paused) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

bool snap_take(Snap *s, SnapReceived *r)
{
    return snap_take_from(s, SNAP_QUEUE_DATA, r);
}

bool snap_take_from(Snap *s, unsigned queue, SnapReceived *r)
{
    uint64_t v = snap_get(s, SNAP_QUEUE_PAGE(queue) + SNAP_QREG_TAKE);

    if (v == SNAP_TAKE_NONE) {
        return false;
    }
    r->batch = SNAP_TAKE_FRAME(v);
    r->packets = SNAP_TAKE_COUNT(v);
    g_assert_cmpuint(r->packets, >, 0);
    snap_read_frame(s, r->batch, r->bytes);
    return true;
}

uint32_t snap_packet(Snap *s, const SnapReceived *r, uint32_t at,
                     uint8_t *packet, uint32_t *frames)
{
    const struct snap_rx *rx = snap_rx_at(r, at);
    const uint8_t *list = (const uint8_t *)(rx + 1);
    const uint8_t *headers = list + 4 * rx->nframes;
    uint32_t left = rx->payload;

    g_assert_cmpuint(at % 8, ==, 0);
    g_assert_cmpuint(rx->size % 8, ==, 0);
    g_assert_cmpuint(at + rx->size, <=, SNAP_FRAME_SIZE);
    g_assert_cmpuint(sizeof(*rx) + 4 * rx->nframes + rx->hdr_len, <=, rx->size);
    g_assert_cmpuint(rx->nframes, ==, DIV_ROUND_UP(left, SNAP_FRAME_SIZE));
    g_assert_cmpuint(rx->hash_type, <=, SNAP_HASH_L4);
    g_assert(rx->hash_type != SNAP_HASH_NONE || !rx->hash);
    memcpy(packet, headers, rx->hdr_len);
    packet += rx->hdr_len;
    for (unsigned i = 0; i < rx->nframes; i++) {
        uint8_t page[SNAP_FRAME_SIZE];
        uint32_t frame, bytes = MIN(left, SNAP_FRAME_SIZE);

        memcpy(&frame, list + 4 * i, sizeof(frame));
        snap_read_frame(s, frame, page);
        memcpy(packet, page, bytes);
        g_assert(buffer_is_zero(page + bytes, sizeof(page) - bytes));
        packet += bytes;
        left -= bytes;
        if (frames) {
            frames[i] = frame;
        }
    }
    return rx->hdr_len + rx->payload;
}

void snap_give_back(Snap *s, const SnapReceived *r)
{
    uint32_t frames[SNAP_RELEASE_MAX], n = 0, at = 0;

    for (unsigned i = 0; i < r->packets; i++) {
        const struct snap_rx *rx = snap_rx_at(r, at);

        g_assert_cmpuint(n + rx->nframes, <, SNAP_RELEASE_MAX);
        memcpy(frames + n, rx + 1, 4 * rx->nframes);
        n += rx->nframes;
        at += rx->size;
    }
    g_assert(at == SNAP_FRAME_SIZE ||
             buffer_is_zero(r->bytes + at, SNAP_FRAME_SIZE - at));
    frames[n++] = r->batch;
    g_assert_cmpuint(snap_release(s, frames, n), ==, SNAP_ST_OK);
}

void snap_pattern(uint8_t *p, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++) {
        p[i] = (i * 7 + (i >> 8) + seed * 31) | 1;
    }
}

void snap_expect_error(const char *want, QDict *response)
{
    QDict *error = qdict_get_qdict(response, "error");

    g_assert_nonnull(error);
    if (!strstr(qdict_get_str(error, "desc"), want)) {
        g_error("expected \"%s\", got \"%s\"", want,
                qdict_get_str(error, "desc"));
    }
    qobject_unref(response);
}

void snap_run_machine(Snap *s, bool run)
{
    qtest_qmp_assert_success(s->qts, "{ 'execute': %s }", run ? "cont" : "stop");
    qtest_qmp_eventwait(s->qts, run ? "RESUME" : "STOP");
}

void snap_set_vectors(Snap *s)
{
    unsigned vectors = snap_get(s, SNAP_REG_VECTORS);

    qpci_msix_enable(s->dev);
    for (unsigned v = 0; v < vectors; v++) {
        uint64_t at = s->dev->msix_table_bar.addr + s->dev->msix_table_off +
                      v * PCI_MSIX_ENTRY_SIZE;

        qtest_writel(s->qts, at + PCI_MSIX_ENTRY_LOWER_ADDR, MESSAGE_AT(v));
        qtest_writel(s->qts, at + PCI_MSIX_ENTRY_UPPER_ADDR, 0);
        qtest_writel(s->qts, at + PCI_MSIX_ENTRY_DATA, MESSAGE(v));
        qtest_writel(s->qts, at + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
        qtest_writel(s->qts, MESSAGE_AT(v), 0);
    }
}

void snap_expect_message(Snap *s, unsigned vector)
{
    int64_t end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    while (!snap_message(s, vector)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

bool snap_message(Snap *s, unsigned vector)
{
    uint32_t data = qtest_readl(s->qts, MESSAGE_AT(vector));

    qtest_writel(s->qts, MESSAGE_AT(vector), 0);
    g_assert(data == 0 || data == MESSAGE(vector));
    return data != 0;
}
