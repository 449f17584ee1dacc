/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot memory NIC under a hostile guest: valid entries with some of
 * their fields changed, from a seed (SNAP_SEED, printed), against a model of
 * what the guest holds.  Best run with a QEMU under AddressSanitizer.
 */
#include "qemu/osdep.h"
#include "snap-fixture.h"

#define PAGE        SNAP_FRAME_SIZE
#define ROUNDS      20000
#define EPOCH       1000        /* rounds between two resets */
#define REGION_PAGES 8
#define OWNERS      3

/* A longer one (DIFF) has only results behind this. */
#define ENTRY_BYTES sizeof(struct snap_release)

typedef union Entry {
    struct snap_entry e;
    struct snap_capture capture;
    struct snap_release release;
    struct snap_tx tx;
    struct snap_region_create create;
    struct snap_region_destroy destroy;
    struct snap_snapshot_create snapshot;
    struct snap_snapshot_drop drop;
    struct snap_clone clone;
    struct snap_commit commit;
    struct snap_merge merge;
    struct snap_diff diff;
    struct snap_discard discard;
    struct snap_object info;
    uint8_t bytes[ENTRY_BYTES];
} Entry;

/* Handles that the guest has. */
typedef struct Handles {
    uint32_t handle[SNAP_SNAPSHOTS_MAX];
    uint64_t version[SNAP_SNAPSHOTS_MAX];   /* the last one heard of */
    uint64_t sum[SNAP_SNAPSHOTS_MAX];       /* of snapshots: see sum_of() */
    uint32_t n;
} Handles;

typedef struct Model {
    Snap *s;
    uint64_t random;
    uint64_t seen[SNAP_ST_MAX];
    uint32_t *holds;            /* of the guest, by frame */
    uint32_t held;              /* their sum */
    Handles regions, snapshots;
} Model;

/* xorshift64* */
static uint64_t draw(Model *m)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return m->random * 0x2545f4914f6cdd1dull;
}

static uint32_t below(Model *m, uint32_t n)
{
    return (draw(m) >> 32) % n;
}

static uint32_t some_of(Model *m, const Handles *h)
{
    return h->n ? h->handle[below(m, h->n)] : 1;
}

static uint32_t some_region(Model *m)
{
    return some_of(m, &m->regions);
}

static uint32_t some_snapshot(Model *m)
{
    return some_of(m, &m->snapshots);
}

/* Mostly none, so that the other errors are reached, too. */
static uint32_t some_quota(Model *m)
{
    return below(m, 4) ? SNAP_QUOTA_NONE : below(m, 512);
}

/* A frame that the guest holds, if there is one. */
static uint32_t some_frame(Model *m)
{
    uint32_t at = below(m, m->s->frames);

    for (uint32_t i = 0; m->held && i < m->s->frames; i++) {
        uint32_t frame = (at + i) % m->s->frames;

        if (m->holds[frame]) {
            return frame;
        }
    }
    return at;
}

/* ---- Valid entries ------------------------------------------------------ */

static size_t make_capture(Model *m, Entry *e)
{
    uint32_t offset = below(m, REGION_PAGES * PAGE);

    e->capture = (struct snap_capture) {
        .e.op = SNAP_OP_CAPTURE,
        .region = below(m, 4) ? some_region(m) : some_snapshot(m),
        .offset = offset,
        .length = 1 + below(m, REGION_PAGES * PAGE - offset),
    };
    return sizeof(e->capture);
}

static size_t make_release(Model *m, Entry *e)
{
    uint32_t n = 0, want = 1 + below(m, SNAP_RELEASE_MAX);

    e->release = (struct snap_release) { .e.op = SNAP_OP_RELEASE };
    for (uint32_t f = 0; f < m->s->frames && n < want; f++) {
        for (uint32_t i = 0; i < m->holds[f] && n < want; i++) {
            e->release.frame[n++] = f;
        }
    }
    e->release.count = MAX(n, 1);
    return sizeof(e->release);
}

static size_t make_tx(Model *m, Entry *e)
{
    uint32_t nsegs = 1 + below(m, 4);

    e->tx = (struct snap_tx) { .e.op = SNAP_OP_TX, .nsegs = nsegs };
    for (unsigned i = 0; i < nsegs; i++) {
        struct snap_segment *seg = &e->tx.seg[i];
        uint32_t offset = below(m, PAGE - 64);

        seg->length = 14 + below(m, PAGE - offset - 14);
        if (m->held && below(m, 2)) {
            seg->kind = SNAP_SEG_FRAME;
            seg->addr = (uint64_t)some_frame(m) * PAGE + offset;
        } else if (below(m, 2)) {
            seg->kind = SNAP_SEG_INLINE;
            seg->addr = 0x8000 + offset;
        } else {
            seg->kind = SNAP_SEG_DMA;
            seg->addr = SNAP_TEST_RAM + offset;
        }
        e->tx.length += seg->length;
    }
    return sizeof(e->tx);
}

static size_t make_create(Model *m, Entry *e)
{
    e->create = (struct snap_region_create) {
        .e.op = SNAP_OP_REGION_CREATE,
        .e.flags = below(m, 2) ? SNAP_REGION_SPARSE : 0,
        .npages = REGION_PAGES,
        .hint = below(m, SNAP_HINT_MAX),
        .owner = below(m, OWNERS),
        .quota = some_quota(m),
    };
    return sizeof(e->create);
}

static size_t make_destroy(Model *m, Entry *e)
{
    e->destroy = (struct snap_region_destroy) {
        .e.op = SNAP_OP_REGION_DESTROY,
        .region = some_region(m),
    };
    return sizeof(e->destroy);
}

static size_t make_snapshot(Model *m, Entry *e)
{
    e->snapshot = (struct snap_snapshot_create) {
        .e.op = SNAP_OP_SNAPSHOT,
        .region = some_region(m),
        .quota = some_quota(m),
    };
    return sizeof(e->snapshot);
}

static size_t make_drop(Model *m, Entry *e)
{
    e->drop = (struct snap_snapshot_drop) {
        .e.op = SNAP_OP_SNAPSHOT_DROP,
        .snapshot = some_snapshot(m),
    };
    return sizeof(e->drop);
}

static size_t make_clone(Model *m, Entry *e)
{
    e->clone = (struct snap_clone) {
        .e.op = SNAP_OP_CLONE,
        .snapshot = some_snapshot(m),
        .hint = below(m, SNAP_HINT_MAX),
        .owner = below(m, OWNERS),
        .quota = some_quota(m),
    };
    return sizeof(e->clone);
}

static size_t make_commit(Model *m, Entry *e)
{
    uint32_t i = m->regions.n ? below(m, m->regions.n) : 0;

    e->commit = (struct snap_commit) {
        .e.op = SNAP_OP_COMMIT,
        .region = m->regions.handle[i],
        .from = some_snapshot(m),
        .quota = some_quota(m),
        .version = m->regions.version[i],
    };
    return sizeof(e->commit);
}

static size_t make_merge(Model *m, Entry *e)
{
    e->merge = (struct snap_merge) {
        .e.op = SNAP_OP_MERGE,
        .region = some_region(m),
        .base = some_snapshot(m),
        .from = some_snapshot(m),
        .quota = some_quota(m),
    };
    return sizeof(e->merge);
}

static size_t make_diff(Model *m, Entry *e)
{
    e->diff = (struct snap_diff) {
        .e.op = SNAP_OP_DIFF,
        .a = some_snapshot(m),
        .b = some_snapshot(m),
        .first = below(m, REGION_PAGES),
    };
    return offsetof(struct snap_diff, page);
}

static size_t make_discard(Model *m, Entry *e)
{
    uint32_t first = below(m, REGION_PAGES);

    e->discard = (struct snap_discard) {
        .e.op = SNAP_OP_DISCARD,
        .region = some_region(m),
        .first = first,
        .npages = 1 + below(m, REGION_PAGES - first),
    };
    return sizeof(e->discard);
}

static size_t make_info(Model *m, Entry *e)
{
    e->info = (struct snap_object) { .e.op = SNAP_OP_INFO };
    switch (below(m, 3)) {
    case 0:
        e->info.handle = some_region(m);
        break;
    case 1:
        e->info.handle = some_snapshot(m);
        break;
    default:
        e->info.owner = below(m, OWNERS);
    }
    return sizeof(e->info);
}

/* ---- Mutation ----------------------------------------------------------- */

static uint64_t odd_value(Model *m, uint64_t old)
{
    switch (below(m, 8)) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return ~0ull;
    case 3:
        return old + 1;
    case 4:
        return old - 1;
    case 5:
        return old ^ (1ull << below(m, 64));
    case 6:
        return 1ull << below(m, 64);
    default:
        return draw(m);
    }
}

/* Overwrite an aligned field of 2, 4 or 8 bytes, mostly near the front. */
static void mutate(Model *m, Entry *e, size_t bytes)
{
    size_t width = 2u << below(m, 3);
    size_t span = below(m, 8) ? MIN(bytes, 64) : bytes;
    size_t at = below(m, span / width) * width;
    uint64_t value = 0;

    memcpy(&value, e->bytes + at, width);
    value = odd_value(m, value);
    memcpy(e->bytes + at, &value, width);
}

/* ---- The model ---------------------------------------------------------- */

/* Of the first page of a snapshot; 0: no frame to show that it is zero. */
static uint64_t sum_of(Model *m, uint32_t snapshot)
{
    uint64_t words[PAGE / sizeof(uint64_t)], sum = 1;
    struct snap_capture c;

    if (snap_capture(m->s, snapshot, 0, PAGE, &c) == SNAP_ST_NO_FRAMES) {
        return 0;
    }
    snap_expect(OK, c.e.status);
    snap_read_frame(m->s, c.frame[0], (uint8_t *)words);
    snap_expect(OK, snap_release(m->s, c.frame, 1));
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        sum = (sum ^ words[i]) * 0x100000001b3ull + 1;
    }
    return sum;
}

/* Whatever else has happened, a snapshot has not changed. */
static void check_snapshot(Model *m, uint32_t i)
{
    uint64_t sum = sum_of(m, m->snapshots.handle[i]);

    if (!m->snapshots.sum[i]) {
        m->snapshots.sum[i] = sum;
    } else if (sum) {
        g_assert_cmphex(sum, ==, m->snapshots.sum[i]);
    }
}

static void add_handle(Handles *h, uint32_t max, uint32_t handle,
                       uint64_t version)
{
    g_assert_cmpuint(h->n, <, max);
    g_assert_cmpuint(handle, !=, 0);
    h->handle[h->n] = handle;
    h->sum[h->n] = 0;
    h->version[h->n++] = version;
}

static void set_version(Handles *h, uint32_t handle, uint64_t version)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->handle[i] == handle) {
            g_assert_cmpuint(version, >=, h->version[i]);
            h->version[i] = version;
            return;
        }
    }
    g_assert_not_reached();
}

static void remove_handle(Handles *h, uint32_t handle)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->handle[i] == handle) {
            h->handle[i] = h->handle[--h->n];
            h->version[i] = h->version[h->n];
            h->sum[i] = h->sum[h->n];
            return;
        }
    }
    g_assert_not_reached();
}

/* Of a command of the mailbox that succeeded, or found conflicts. */
static void learn_memory(Model *m, const Entry *sent, const Entry *got)
{
    if (got->e.status == SNAP_ST_CONFLICT && sent->e.op == SNAP_OP_MERGE) {
        g_assert_cmpuint(got->merge.nconflicts, >, 0);
        g_assert_cmpuint(got->merge.nconflicts, <=, SNAP_CONFLICTS_MAX);
        for (uint32_t i = 0; i < got->merge.nconflicts; i++) {
            g_assert_cmpuint(got->merge.conflict[i] % SNAP_MERGE_WORD, ==, 0);
        }
    }
    if (got->e.status != SNAP_ST_OK) {
        return;
    }
    switch (sent->e.op) {
    case SNAP_OP_REGION_CREATE:
        add_handle(&m->regions, SNAP_REGIONS_MAX, got->create.region, 1);
        return;
    case SNAP_OP_REGION_DESTROY:
        remove_handle(&m->regions, sent->destroy.region);
        return;
    case SNAP_OP_SNAPSHOT:
        add_handle(&m->snapshots, SNAP_SNAPSHOTS_MAX, got->snapshot.snapshot,
                   got->snapshot.version);
        set_version(&m->regions, sent->snapshot.region, got->snapshot.version);
        check_snapshot(m, m->snapshots.n - 1);
        return;
    case SNAP_OP_SNAPSHOT_DROP:
        remove_handle(&m->snapshots, sent->drop.snapshot);
        return;
    case SNAP_OP_CLONE:
        add_handle(&m->regions, SNAP_REGIONS_MAX, got->clone.region, 1);
        return;
    case SNAP_OP_COMMIT:
        g_assert_cmpuint(got->commit.version, >, sent->commit.version);
        set_version(&m->regions, sent->commit.region, got->commit.version);
        return;
    case SNAP_OP_MERGE:
        set_version(&m->regions, sent->merge.region, got->merge.version);
        return;
    case SNAP_OP_DIFF:
        g_assert_cmpuint(got->diff.npages, <=, SNAP_DIFF_MAX);
        return;
    }
}

static void learn(Model *m, const Entry *sent, const Entry *got)
{
    uint32_t done;

    switch (sent->e.op) {
    case SNAP_OP_CAPTURE:
        if (got->e.status != SNAP_ST_OK) {
            return;
        }
        g_assert_cmpuint(got->capture.nframes, <=, SNAP_CAPTURE_FRAMES_MAX);
        for (uint32_t i = 0; i < got->capture.nframes; i++) {
            g_assert_cmpuint(got->capture.frame[i], <, m->s->frames);
            m->holds[got->capture.frame[i]]++;
            m->held++;
        }
        return;
    case SNAP_OP_RELEASE:
        done = got->e.status == SNAP_ST_OK ? sent->release.count :
               got->e.status == SNAP_ST_BAD_FRAME ? got->release.done : 0;
        g_assert_cmpuint(done, <=, SNAP_RELEASE_MAX);
        for (uint32_t i = 0; i < done; i++) {
            uint32_t frame = sent->release.frame[i];

            g_assert_cmpuint(frame, <, m->s->frames);
            g_assert_cmpuint(m->holds[frame], >, 0);
            m->holds[frame]--;
            m->held--;
        }
        return;
    case SNAP_OP_TX:
        return;
    default:
        learn_memory(m, sent, got);
    }
}

static unsigned queue_of(const Entry *e)
{
    return e->e.op >= SNAP_OP_REGION_CREATE ? SNAP_QUEUE_CONTROL :
           SNAP_QUEUE_DATA;
}

/* All of it is written, for a mutated op may be that of a longer entry. */
static uint32_t run(Model *m, unsigned queue, Entry *e)
{
    Entry sent = *e;
    uint32_t status = snap_submit(m->s, queue, e, ENTRY_BYTES);

    g_assert_cmpuint(status, >, SNAP_ST_PENDING);
    g_assert_cmpuint(status, <, SNAP_ST_MAX);
    m->seen[status]++;
    if (queue == queue_of(&sent)) {
        learn(m, &sent, e);
    }
    return status;
}

static void one_round(Model *m)
{
    static size_t (*const make[])(Model *, Entry *) = {
        make_create, make_destroy, make_snapshot, make_snapshot, make_drop,
        make_drop, make_clone, make_commit, make_merge, make_diff,
        make_discard, make_info, make_capture, make_capture, make_capture,
        make_release, make_tx, make_tx,
    };
    Entry e = { 0 };
    size_t bytes = make[below(m, ARRAY_SIZE(make))](m, &e);
    unsigned queue = queue_of(&e);

    for (unsigned i = below(m, 4); i; i--) {
        mutate(m, &e, bytes);
    }
    if (!below(m, 64)) {
        queue ^= 1;
    }
    /* What was captured before must not mind. */
    qtest_writeq(m->s->qts, m->s->window + below(m, 64 * PAGE) / 8 * 8,
                 draw(m));
    run(m, queue, &e);
    if (m->snapshots.n) {
        check_snapshot(m, below(m, m->snapshots.n));
    }
}

static void bad_doorbell(Model *m)
{
    uint64_t offset = draw(m) >> below(m, 64);

    if (offset % SNAP_ENTRY_ALIGN || offset >= m->s->slab_bytes) {
        snap_set(m->s, SNAP_QUEUE_PAGE(below(m, 2)) + SNAP_QREG_DOORBELL,
                 offset);
    }
}

static void bad_register(Model *m)
{
    uint32_t reg = below(m, SNAP_REGS_SIZE);

    /* Neither a reset nor a doorbell by accident. */
    if (reg % 8 || (reg >= 0x28 && reg < SNAP_QUEUE_PAGE(0)) ||
        reg >= SNAP_QUEUE_PAGE(2)) {
        snap_set(m->s, reg, draw(m));
        snap_get(m->s, reg);
    }
}

/* Throw away what is on the wire; all of it, until the device is done. */
static void drain(Model *m)
{
    uint8_t bytes[65536];
    ssize_t n;

    do {
        n = recv(m->s->sock, bytes, sizeof(bytes), MSG_DONTWAIT);
    } while (n > 0 || snap_queue_status(m->s, SNAP_QUEUE_DATA).tx_paused);
}

static void release_all(Model *m)
{
    Entry e;

    while (m->held) {
        make_release(m, &e);
        g_assert_cmpuint(run(m, SNAP_QUEUE_DATA, &e), ==, SNAP_ST_OK);
    }
    while (m->snapshots.n) {
        make_drop(m, &e);
        g_assert_cmpuint(run(m, SNAP_QUEUE_CONTROL, &e), ==, SNAP_ST_OK);
    }
    while (m->regions.n) {
        make_destroy(m, &e);
        g_assert_cmpuint(run(m, SNAP_QUEUE_CONTROL, &e), ==, SNAP_ST_OK);
    }
}

/* ---- Situations that mutations alone do not lead to --------------------- */

static void reach_busy(Model *m)
{
    Entry e;

    drain(m);
    do {
        memset(&e, 0, sizeof(e));
        e.tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, 60000);
    } while (run(m, SNAP_QUEUE_DATA, &e) != SNAP_ST_BUSY);
    for (unsigned i = 0; i < 50; i++) {
        one_round(m);
    }
    drain(m);
}

static void reach_link_down(Model *m)
{
    for (unsigned i = 0; i < 2; i++) {
        qtest_qmp_assert_success(m->s->qts, "{ 'execute': 'set_link',"
                                 " 'arguments': { 'name': 'snap0',"
                                 " 'up': %i } }", i);
        for (unsigned j = 0; j < 50; j++) {
            one_round(m);
        }
    }
}

/* Create regions of npages, from none, until the device refuses. */
static void create_all(Model *m, uint32_t npages)
{
    Entry e;

    release_all(m);
    do {
        make_create(m, &e);
        e.create.npages = npages;
        e.create.quota = SNAP_QUOTA_NONE;
    } while (run(m, SNAP_QUEUE_CONTROL, &e) == SNAP_ST_OK);
    for (unsigned i = 0; i < 50; i++) {
        one_round(m);
    }
}

static void reach_no_regions(Model *m)
{
    create_all(m, 1);
}

/* The windows are as large as the pool, part of which is for reception. */
static void reach_no_frames(Model *m)
{
    create_all(m, REGION_PAGES);
}

/* A region that is given its frames in steps, and not to the end. */
static void reach_again(Model *m)
{
    Entry e;

    release_all(m);
    make_create(m, &e);
    e.create.npages = 1500;
    e.create.quota = SNAP_QUOTA_NONE;
    e.e.flags = 0;
    for (unsigned i = 0; i < 4; i++) {
        run(m, SNAP_QUEUE_CONTROL, &e);
    }
    for (unsigned i = 0; i < 50; i++) {
        one_round(m);
    }
}

/* Any other command of the mailbox undoes what is not done. */
static void abandon(Model *m)
{
    Entry e = { .e.op = SNAP_OP_INFO };

    run(m, SNAP_QUEUE_CONTROL, &e);
}

/* ---- Around it ---------------------------------------------------------- */

/* A valid packet each way. */
static void both_ways(Model *m)
{
    Snap *s = m->s;
    uint8_t bytes[3000], got[3000];
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, sizeof(bytes));
    uint64_t packets = snap_count(s, SNAP_CTR_RX_PACKETS);
    SnapReceived r;

    snap_pattern(bytes, sizeof(bytes), draw(m));
    qtest_memwrite(s->qts, SNAP_TEST_RAM, bytes, sizeof(bytes));
    g_assert_cmpuint(snap_send(s, &tx), ==, SNAP_ST_OK);
    g_assert_cmpmem(got, snap_wire_receive(s, got, sizeof(got)), bytes,
                    sizeof(bytes));
    snap_wire_send(s, bytes, sizeof(bytes));
    snap_wait(s, SNAP_CTR_RX_PACKETS, packets + 1);
    g_assert_true(snap_take(s, &r));
    g_assert_cmpmem(got, snap_packet(s, &r, 0, got, NULL), bytes,
                    sizeof(bytes));
    snap_give_back(s, &r);
}

/* By turns: give everything back, or let the device forget it. */
static void new_epoch(Model *m, bool reset)
{
    Entry e;

    drain(m);
    if (reset) {
        snap_set(m->s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
        memset(m->holds, 0, m->s->frames * sizeof(*m->holds));
        m->held = 0;
        m->regions.n = 0;
        m->snapshots.n = 0;
        make_tx(m, &e);
        run(m, SNAP_QUEUE_DATA, &e);
        snap_assert_all_free(m->s);
        snap_start(m->s, SNAP_F_SNAPSHOT | SNAP_F_STEPS);
    } else {
        abandon(m);
        release_all(m);
        snap_assert_all_free(m->s);
    }
    both_ways(m);
}

void snap_test_mutations(const void *capture)
{
    g_autofree char *properties = g_strdup_printf(
        ",pool-size=8M,capture=%s", (const char *)capture);
    static void (*const reach[])(Model *) = {
        reach_busy, reach_link_down, reach_no_regions, reach_no_frames,
        reach_again,
    };
    static const enum snap_counter reached[] = {
        SNAP_CTR_BAD_DOORBELL, SNAP_CTR_BAD_REGISTER, SNAP_CTR_SNAPSHOTS,
        SNAP_CTR_CLONES, SNAP_CTR_COMMITS, SNAP_CTR_MERGES,
        SNAP_CTR_WRITE_FAULTS,
    };
    const char *seed = g_getenv("SNAP_SEED");
    static Model m;

    m = (Model) {
        .s = snap_boot("q35", true, properties),
        .random = seed ? g_ascii_strtoull(seed, NULL, 0) : 20130513,
    };

    snap_start(m.s, SNAP_F_SNAPSHOT | SNAP_F_STEPS);
    g_test_message("SNAP_SEED=%" PRIu64, m.random);
    m.random = m.random ?: 1;
    m.holds = g_new0(uint32_t, m.s->frames);
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % EPOCH == EPOCH - 1) {
            reach[i / EPOCH % ARRAY_SIZE(reach)](&m);
            new_epoch(&m, i / EPOCH % 3 != 1);
        }
        one_round(&m);
        if (i % 16 == 0) {
            drain(&m);
            bad_doorbell(&m);
            bad_register(&m);
        }
    }
    new_epoch(&m, false);
    for (unsigned i = SNAP_ST_OK; i < SNAP_ST_MAX; i++) {
        g_test_message("status %2u: %" PRIu64 " times", i, m.seen[i]);
    }
    for (unsigned i = SNAP_ST_OK; i < SNAP_ST_MAX; i++) {
        g_assert_cmpuint(m.seen[i], >, 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(reached); i++) {
        g_assert_cmpuint(snap_count(m.s, reached[i]), >, 0);
    }
    snap_halt(m.s);
    g_free(m.holds);
}
