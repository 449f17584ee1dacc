/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot memory NIC seen from the bus: commit, merge, diff, info,
 * quotas, dedup, and a host that cannot trap stores.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "snap-fixture.h"

#define PAGE SNAP_FRAME_SIZE

/* ---- Commit and merge --------------------------------------------------- */

static void test_commit(void)
{
    enum { N = 8 };
    Snap *s = snap_run(false, "");
    static uint8_t bytes[N * PAGE];
    uint32_t page, region = snap_create(s, N, &page), base, from;
    uint32_t clone_page, clone;
    uint64_t version, old, wrong;

    snap_pattern(bytes, sizeof(bytes), 1);
    snap_store(s, page, 0, bytes, sizeof(bytes));
    base = snap_snapshot(s, region, &version);
    clone = snap_clone(s, base, &clone_page);
    snap_pattern(bytes + 3 * PAGE, PAGE, 2);
    snap_store(s, clone_page + 3, 0, bytes + 3 * PAGE, PAGE);
    snap_expect(OK, snap_discard(s, clone, 5, 1));
    memset(bytes + 5 * PAGE, 0, PAGE);
    from = snap_snapshot(s, clone, NULL);

    wrong = version + 1;
    snap_expect(CONFLICT,
                snap_commit(s, region, from, SNAP_QUOTA_NONE, &wrong));
    g_assert_cmpuint(wrong, ==, version + 1);
    old = version;
    snap_expect(OK, snap_commit(s, region, from, SNAP_QUOTA_NONE, &version));
    g_assert_cmpuint(version, >, old);
    g_assert_cmpuint(snap_info(s, region).version, ==, version);
    g_assert_cmpuint(snap_info(s, region).dirty, ==, 0);
    snap_check_window(s, page, bytes, N);
    /* Who is late learns it, and changes nothing. */
    snap_expect(CONFLICT, snap_commit(s, region, base, SNAP_QUOTA_NONE, &old));
    snap_check_window(s, page, bytes, N);

    /* A store is a reason, too; and it does not reach the snapshot. */
    snap_store64(s, page + 3, 0, 7);
    g_assert_cmpuint(snap_info(s, region).dirty, ==, 1);
    snap_expect(CONFLICT,
                snap_commit(s, region, base, SNAP_QUOTA_NONE, &version));
    snap_check_snapshot(s, from, bytes, N);
    memcpy(bytes + 3 * PAGE, "\7\0\0\0\0\0\0", 8);
    snap_check_window(s, page, bytes, N);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_COMMITS), ==, 1);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_CONFLICTS), ==, 3);

    snap_expect(OK, snap_destroy(s, clone));
    snap_expect(OK, snap_destroy(s, region));
    snap_expect(OK, snap_drop(s, base));
    snap_expect(OK, snap_drop(s, from));
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_bad_commits(void)
{
    Snap *s = snap_run(false, "");
    uint32_t page, region = snap_create(s, 8, &page), from, other, longer;
    uint64_t version;

    snap_expect_reserved(s, snap_commit, SNAP_OP_COMMIT, reserved);
    from = snap_snapshot(s, region, &version);
    other = snap_create(s, 9, &page);
    longer = snap_snapshot(s, other, NULL);
    snap_expect(BAD_REGION, snap_commit(s, 0, from, SNAP_QUOTA_NONE, &version));
    snap_expect(BAD_REGION,
                snap_commit(s, region, region, SNAP_QUOTA_NONE, &version));
    snap_expect(BAD_REGION,
                snap_commit(s, from, from, SNAP_QUOTA_NONE, &version));
    snap_expect(BAD_LENGTH,
                snap_commit(s, region, longer, SNAP_QUOTA_NONE, &version));
    snap_expect(OK, snap_drop(s, from));
    snap_expect(BAD_REGION,
                snap_commit(s, region, from, SNAP_QUOTA_NONE, &version));
    snap_halt(s);
}

static void test_merge(void)
{
    enum { N = 4, MANY = SNAP_CONFLICTS_MAX + 20 };
    Snap *s = snap_run(false, "");
    uint32_t page, region = snap_create(s, N, &page), base, from;
    uint32_t clone_page, clone;
    uint64_t version, before;
    struct snap_merge m;

    for (unsigned i = 0; i < N; i++) {
        snap_store64(s, page + i, 0, 100 + i);
    }
    base = snap_snapshot(s, region, &before);
    clone = snap_clone(s, base, &clone_page);
    /* Both change page 1, not the same word; each has one of its own. */
    snap_store64(s, clone_page + 1, 8, 11);
    snap_store64(s, clone_page + 2, 4088, 12);
    snap_store64(s, page + 1, 16, 21);
    snap_store64(s, page + 3, 0, 22);
    /* Both to the same. */
    snap_store64(s, clone_page + 1, 24, 33);
    snap_store64(s, page + 1, 24, 33);
    from = snap_snapshot(s, clone, NULL);
    snap_expect(OK, snap_merge(s, region, base, from, &m));
    g_assert_cmpuint(m.nconflicts, ==, 0);
    g_assert_cmpuint(m.version, >, before);
    g_assert_cmpuint(snap_info(s, region).version, ==, m.version);
    g_assert_cmpuint(snap_load64(s, page, 0), ==, 100);
    g_assert_cmpuint(snap_load64(s, page + 1, 0), ==, 101);
    g_assert_cmpuint(snap_load64(s, page + 1, 8), ==, 11);
    g_assert_cmpuint(snap_load64(s, page + 1, 16), ==, 21);
    g_assert_cmpuint(snap_load64(s, page + 1, 24), ==, 33);
    g_assert_cmpuint(snap_load64(s, page + 2, 0), ==, 102);
    g_assert_cmpuint(snap_load64(s, page + 2, 4088), ==, 12);
    g_assert_cmpuint(snap_load64(s, page + 3, 0), ==, 22);
    /* The clone has not changed, nor has its snapshot. */
    g_assert_cmpuint(snap_load64(s, clone_page + 3, 0), ==, 103);

    /* One word differs in both: nothing changes, the place is told. */
    snap_expect(OK, snap_drop(s, base));
    snap_expect(OK, snap_drop(s, from));
    base = snap_snapshot(s, clone, NULL);
    snap_store64(s, clone_page, 64, 1);
    snap_store64(s, clone_page + 2, 0, 1);
    snap_store64(s, page + 2, 0, 2);
    from = snap_snapshot(s, clone, NULL);
    version = snap_info(s, region).version;
    snap_expect(CONFLICT, snap_merge(s, region, base, from, &m));
    g_assert_cmpuint(m.nconflicts, ==, 1);
    g_assert_cmpuint(m.conflict[0], ==, 2 * PAGE);
    g_assert_cmpuint(m.version, ==, 0);
    g_assert_cmpuint(snap_load64(s, page, 64), ==, 0);
    g_assert_cmpuint(snap_load64(s, page + 2, 0), ==, 2);
    g_assert_cmpuint(snap_info(s, region).version, ==, version);

    /* More of them than an entry holds: the first ones, in order. */
    for (unsigned i = 0; i < MANY; i++) {
        snap_store64(s, clone_page + 3, 8 * i, 1000 + i);
        snap_store64(s, page + 3, 8 * i, 2000 + i);
    }
    snap_expect(OK, snap_drop(s, from));
    from = snap_snapshot(s, clone, NULL);
    snap_expect(CONFLICT, snap_merge(s, region, base, from, &m));
    g_assert_cmpuint(m.nconflicts, ==, SNAP_CONFLICTS_MAX);
    g_assert_cmpuint(m.conflict[0], ==, 2 * PAGE);
    for (unsigned i = 1; i < SNAP_CONFLICTS_MAX; i++) {
        g_assert_cmpuint(m.conflict[i], ==, 3 * PAGE + 8 * (i - 1));
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_MERGES), ==, 1);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_CONFLICTS), ==, 2);

    snap_expect(OK, snap_destroy(s, clone));
    snap_expect(OK, snap_destroy(s, region));
    snap_expect(OK, snap_drop(s, base));
    snap_expect(OK, snap_drop(s, from));
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_bad_merges(void)
{
    Snap *s = snap_run(false, "");
    uint32_t page, region = snap_create(s, 8, &page), other, shot, longer;
    struct snap_merge m;

    snap_expect_reserved(s, snap_merge, SNAP_OP_MERGE, nconflicts);
    snap_expect_reserved(s, snap_merge, SNAP_OP_MERGE, reserved);
    snap_expect_reserved(s, snap_merge, SNAP_OP_MERGE, version);
    shot = snap_snapshot(s, region, NULL);
    other = snap_create(s, 9, &page);
    longer = snap_snapshot(s, other, NULL);
    snap_expect(BAD_REGION, snap_merge(s, 0, shot, shot, &m));
    snap_expect(BAD_REGION, snap_merge(s, region, 0, shot, &m));
    snap_expect(BAD_REGION, snap_merge(s, region, shot, region, &m));
    snap_expect(BAD_LENGTH, snap_merge(s, region, longer, shot, &m));
    snap_expect(BAD_LENGTH, snap_merge(s, region, shot, longer, &m));
    snap_expect(BAD_LENGTH, snap_merge(s, other, shot, shot, &m));
    snap_halt(s);
}

/* ---- Diff and info ------------------------------------------------------ */

static void test_diff(void)
{
    enum { N = 1500 };
    Snap *s = snap_run(false, ",pool-size=16M");
    uint32_t page, region = snap_create_sparse(s, N, &page), a, b, other,
                   longer;
    g_autofree uint8_t *bytes = g_malloc(N * PAGE);
    struct snap_diff d;

    snap_expect_reserved(s, snap_diff, SNAP_OP_DIFF, npages);
    snap_expect_reserved(s, snap_diff, SNAP_OP_DIFF, next);
    snap_expect_reserved(s, snap_diff, SNAP_OP_DIFF, reserved);
    a = snap_snapshot(s, region, NULL);
    snap_store64(s, page + 7, 8, 1);
    snap_store64(s, page + 1400, 8, 1);
    snap_store64(s, page + 9, 8, 0); /* stored to, and the same as before */
    b = snap_snapshot(s, region, NULL);
    snap_expect(OK, snap_diff(s, a, b, 0, &d));
    g_assert_cmpuint(d.npages, ==, 2);
    g_assert_cmpuint(d.page[0], ==, 7);
    g_assert_cmpuint(d.page[1], ==, 1400);
    g_assert_cmphex(d.next, ==, SNAP_DIFF_END);
    snap_expect(OK, snap_diff(s, b, a, 8, &d));
    g_assert_cmpuint(d.npages, ==, 1);
    g_assert_cmpuint(d.page[0], ==, 1400);
    snap_expect(OK, snap_diff(s, a, a, 0, &d));
    g_assert_cmpuint(d.npages, ==, 0);
    g_assert_cmphex(d.next, ==, SNAP_DIFF_END);

    snap_expect(BAD_OFFSET, snap_diff(s, a, b, N, &d));
    snap_expect(BAD_OFFSET, snap_diff(s, a, b, ~0u, &d));
    snap_expect(BAD_REGION, snap_diff(s, a, region, 0, &d));
    snap_expect(BAD_REGION, snap_diff(s, 0, b, 0, &d));
    other = snap_create_sparse(s, 1, &longer);
    longer = snap_snapshot(s, other, NULL);
    snap_expect(BAD_LENGTH, snap_diff(s, a, longer, 0, &d));
    snap_expect(OK, snap_drop(s, longer));
    snap_expect(OK, snap_destroy(s, other));

    /* More pages than an entry names. */
    snap_expect(OK, snap_drop(s, b));
    snap_pattern(bytes, N * PAGE, 1);
    snap_store(s, page, 0, bytes, N * PAGE);
    b = snap_snapshot(s, region, NULL);
    for (uint32_t first = 0, i = 0; first != SNAP_DIFF_END; first = d.next) {
        snap_expect(OK, snap_diff(s, a, b, first, &d));
        g_assert_cmpuint(d.npages, ==, MIN(SNAP_DIFF_MAX, N - i));
        for (unsigned j = 0; j < d.npages; j++, i++) {
            g_assert_cmpuint(d.page[j], ==, i);
        }
        g_assert((i == N) == (d.next == SNAP_DIFF_END));
    }
    snap_expect(OK, snap_drop(s, a));
    snap_expect(BAD_REGION, snap_diff(s, a, b, 0, &d));
    snap_expect(OK, snap_drop(s, b));
    snap_expect(OK, snap_destroy(s, region));
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_info(void)
{
    Snap *s = snap_run(false, ",capture=share");
    struct snap_region_create c;
    struct snap_capture frames;
    struct snap_object o;
    uint32_t snapshot;
    uint64_t version;

    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, npages);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, populated);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, reserved_frames);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, charged);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, version);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, shared_pages);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, copied_pages);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, write_faults);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, dirty);
    snap_expect_reserved(s, snap_object, SNAP_OP_INFO, sharing);
    snap_expect(BAD_REGION, snap_try_info(s, 1, 0, &o));
    snap_expect(OK, snap_create_as(s, 4, 0, 7, SNAP_QUOTA_NONE, &c));
    snap_expect(BAD_RESERVED, snap_try_info(s, c.region, 7, &o));

    o = snap_info(s, c.region);
    g_assert_cmpuint(o.owner, ==, 7);
    g_assert_cmpuint(o.npages, ==, 4);
    g_assert_cmpuint(o.populated, ==, 4);
    g_assert_cmpuint(o.reserved_frames, ==, 0);
    g_assert_cmpuint(o.charged, ==, 4);
    g_assert_cmpuint(o.write_faults, ==, 0);
    g_assert_cmpuint(snap_charged(s, 7), ==, 4);
    g_assert_cmpuint(snap_charged(s, 8), ==, 0);

    /* A page and a half: one shared, one copied. */
    snap_expect(OK, snap_capture(s, c.region, 0, PAGE * 3 / 2, &frames));
    snapshot = snap_snapshot(s, c.region, &version);
    snap_store64(s, c.window_page, 0, 1);
    o = snap_info(s, c.region);
    g_assert_cmpuint(o.shared_pages, ==, 1);
    g_assert_cmpuint(o.copied_pages, ==, 1);
    g_assert_cmpuint(o.write_faults, ==, 1);
    g_assert_cmpuint(o.dirty, ==, 1);
    g_assert_cmpuint(o.version, ==, version);
    g_assert_cmpuint(o.populated + o.reserved_frames, >=, 7);

    o = snap_info(s, snapshot);
    g_assert_cmpuint(o.owner, ==, 7);
    g_assert_cmpuint(o.npages, ==, 4);
    g_assert_cmpuint(o.populated, ==, 4);
    g_assert_cmpuint(o.version, ==, version);
    g_assert_cmpuint(o.charged, ==, snap_charged(s, 7));
    g_assert_cmpuint(o.reserved_frames + o.shared_pages + o.copied_pages +
                         o.write_faults + o.dirty + o.sharing,
                     ==, 0);
    snap_expect(OK, snap_drop(s, snapshot));
    snap_expect(BAD_REGION, snap_try_info(s, snapshot, 0, &o));
    snap_halt(s);
}

/* ---- Quotas ------------------------------------------------------------- */

static void test_quota(void)
{
    enum { OWNER = 5, OTHER = 6 };
    Snap *s = snap_run(false, ",capture=share");
    struct snap_region_create c, sparse, other;
    struct snap_capture frames;
    uint8_t bytes[8 * PAGE];

    snap_pattern(bytes, sizeof(bytes), 1);
    snap_expect(QUOTA, snap_create_as(s, 8, 0, OWNER, 7, &c));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, 0);
    snap_expect(OK, snap_create_as(s, 8, 0, OWNER, 8, &c));
    snap_expect(OK, snap_create_as(s, 8, 0, OTHER, 8, &other));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, 8);

    /* A snapshot counts the frames that stores may come to need. */
    snap_expect(QUOTA, snap_try_snapshot(s, c.region, 15));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, 8);
    snap_expect(OK, snap_try_snapshot(s, c.region, 16));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, 16);
    snap_store(s, c.window_page, 0, bytes, sizeof(bytes));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, 16);
    g_assert_cmpuint(snap_charged(s, OTHER), ==, 8);

    /* So does a sparse region. */
    snap_expect(QUOTA, snap_create_as(s, 8, SNAP_REGION_SPARSE, OWNER, 23,
                                      &sparse));
    snap_expect(OK, snap_create_as(s, 8, SNAP_REGION_SPARSE, OWNER, 24,
                                   &sparse));
    snap_expect(OK, snap_destroy(s, sparse.region));

    /* And what only captures keep, as long as they do. */
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, SNAP_F_SNAPSHOT);
    g_assert_cmpuint(snap_charged(s, OWNER), ==, 0);
    snap_expect(OK, snap_create_as(s, 8, 0, OWNER, 8, &c));
    snap_expect(OK, snap_capture(s, c.region, 0, 2 * PAGE, &frames));
    snap_expect(OK, snap_destroy(s, c.region));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, 2);
    snap_expect(OK, snap_release(s, frames.frame, 2));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, 0);
    snap_assert_all_free(s);

    /* What a dropped snapshot leaves is there when it is needed. */
    snap_expect(OK, snap_create_as(s, 8, 0, OWNER, 8, &c));
    snap_expect(OK, snap_drop(s, snap_snapshot(s, c.region, NULL)));
    snap_expect(OK, snap_create_as(s, 8, 0, OWNER, 16, &other));
    snap_expect(QUOTA, snap_create_as(s, 1, 0, OWNER, 16, &other));
    snap_halt(s);
}

/* Commit and merge take frames for what changes, beyond those promised. */
static void test_commit_quota(void)
{
    enum { N = 16, OWNER = 5 };
    Snap *s = snap_run(false, "");
    struct snap_region_create c;
    uint32_t page, region, zero, one, filler;
    g_autofree uint8_t *bytes = g_malloc(N * PAGE);
    struct snap_merge m = {
        .e.op = SNAP_OP_MERGE,
    };
    uint64_t version;

    region = snap_create(s, N, &page);
    zero = snap_snapshot(s, region, NULL);
    snap_pattern(bytes, N * PAGE, 1);
    snap_store(s, page, 0, bytes, N * PAGE);
    one = snap_snapshot(s, region, NULL);

    /* The promise of a sparse region is enough for the first commit. */
    snap_expect(OK, snap_create_as(s, N, SNAP_REGION_SPARSE, OWNER, N, &c));
    version = snap_info(s, c.region).version;
    snap_expect(OK, snap_commit(s, c.region, one, N, &version));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, N);
    snap_expect(QUOTA, snap_commit(s, c.region, zero, N, &version));
    m.region = c.region;
    m.base = one;
    m.from = zero;
    m.quota = 2 * N - 1;
    snap_expect(QUOTA, snap_do(s, SNAP_QUEUE_CONTROL, &m));
    g_assert_cmpuint(snap_charged(s, OWNER), ==, N);
    snap_check_window(s, c.window_page, bytes, N);

    filler = snap_create(s, snap_available(s) - N + 1, &page);
    snap_expect(NO_FRAMES,
                snap_commit(s, c.region, zero, SNAP_QUOTA_NONE, &version));
    snap_expect(NO_FRAMES, snap_merge(s, c.region, one, zero, &m));
    snap_check_window(s, c.window_page, bytes, N);
    snap_expect(OK, snap_destroy(s, filler));
    snap_expect(OK, snap_commit(s, c.region, zero, 2 * N, &version));
    memset(bytes, 0, N * PAGE);
    snap_check_window(s, c.window_page, bytes, N);
    g_assert_cmpuint(snap_charged(s, OWNER), ==, N);

    snap_expect(OK, snap_drop(s, zero));
    snap_expect(OK, snap_drop(s, one));
    snap_expect(OK, snap_destroy(s, region));
    snap_expect(OK, snap_destroy(s, c.region));
    snap_assert_all_free(s);
    snap_halt(s);
}

/* ---- Dedup -------------------------------------------------------------- */

/* A region of npages equal pages; returns a snapshot of it. */
static uint32_t equal_pages(Snap *s, uint32_t npages, uint32_t owner,
                            struct snap_region_create *c)
{
    uint8_t bytes[PAGE];

    snap_pattern(bytes, PAGE, 1);
    snap_expect(OK, snap_create_as(s, npages, 0, owner, SNAP_QUOTA_NONE, c));
    for (unsigned i = 0; i < npages; i++) {
        snap_store(s, c->window_page + i, 0, bytes, PAGE);
    }
    return snap_snapshot(s, c->region, NULL);
}

static void test_dedup(void)
{
    enum { N = 8 };
    Snap *s = snap_run(false, ",dedup=on");
    struct snap_region_create c, again, other;
    uint8_t old[N * PAGE], new[N * PAGE];
    uint32_t snapshot = equal_pages(s, N, 1, &c);

    /* The snapshot keeps one frame for all; the region goes on with its own. */
    g_assert_cmpuint(snap_count(s, SNAP_CTR_DEDUP_PAGES), ==, N - 1);
    snap_pattern(new, sizeof(new), 2);
    snap_store(s, c.window_page, 0, new, sizeof(new));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==, N + 1);
    for (unsigned i = 0; i < N; i++) {
        snap_pattern(old + i * PAGE, PAGE, 1);
    }
    snap_check_snapshot(s, snapshot, old, N);
    snap_check_window(s, c.window_page, new, N);

    /* Another region finds the page, the region of another owner does not. */
    equal_pages(s, 1, 1, &again);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_DEDUP_PAGES), ==, N);
    equal_pages(s, 1, 2, &other);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_DEDUP_PAGES), ==, N);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_assert_all_free(s);
    snap_halt(s);

    s = snap_run(false, "");
    equal_pages(s, N, 1, &c);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_DEDUP_PAGES), ==, 0);
    snap_halt(s);
}

/* ---- A host that cannot trap stores ------------------------------------- */

/*
 * From here on, this process and its children have no userfaultfd(2), nor one
 * of /dev/userfaultfd.
 */
static void forbid_trap(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[1])),
        /* USERFAULTFD_IOC_NEW */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, _IO(0xaa, 0), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog filter = { ARRAY_SIZE(code), code };

    g_assert(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    g_assert(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

static void without_trap(void)
{
    enum { N = 4 };
    Snap *s = snap_boot("q35", false, "");
    struct snap_region_create c;
    struct snap_capture frames;
    uint8_t old[N * PAGE], new[N * PAGE];

    g_assert_cmphex(snap_get(s, SNAP_REG_FEATURES), ==,
                    SNAP_F_STEPS | SNAP_F_TAKE_ARM | SNAP_F_HOLDOFF |
                    SNAP_F_LARGE_FRAMES);
    snap_set(s, SNAP_REG_DRIVER_FEATURES, SNAP_F_SNAPSHOT);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_START);
    g_assert_cmpuint(snap_get(s, SNAP_REG_CONTROL), ==, SNAP_STATE_REFUSED);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(s, 0);

    /* Sparse is a wish. */
    snap_expect(OK, snap_create_as(s, N, SNAP_REGION_SPARSE, 0,
                                   SNAP_QUOTA_NONE, &c));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==, N);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RESERVED_FRAMES), ==, 0);
    snap_expect(BAD_OP, snap_try_snapshot(s, c.region, SNAP_QUOTA_NONE));
    snap_pattern(old, sizeof(old), 1);
    snap_pattern(new, sizeof(new), 2);
    snap_store(s, c.window_page, 0, old, sizeof(old));
    snap_expect(OK, snap_capture(s, c.region, 0, N * PAGE, &frames));
    snap_store(s, c.window_page, 0, new, sizeof(new));
    snap_expect(OK, snap_discard(s, c.region, 1, 2));
    memset(new + PAGE, 0, 2 * PAGE);
    snap_check_window(s, c.window_page, new, N);
    for (unsigned i = 0; i < N; i++) {
        snap_check_frame(s, frames.frame[i], old + i * PAGE);
    }
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==, N);
    snap_expect(OK, snap_release(s, frames.frame, N));
    snap_expect(OK, snap_destroy(s, c.region));
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_no_trap(void)
{
    if (g_test_subprocess()) {
        forbid_trap();
        without_trap();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
}

void snap_add_version_tests(void)
{
    qtest_add_func("/snap/commit", test_commit);
    qtest_add_func("/snap/commit/bad", test_bad_commits);
    qtest_add_func("/snap/merge", test_merge);
    qtest_add_func("/snap/merge/bad", test_bad_merges);
    qtest_add_func("/snap/diff", test_diff);
    qtest_add_func("/snap/info", test_info);
    qtest_add_func("/snap/quota", test_quota);
    qtest_add_func("/snap/quota/commit", test_commit_quota);
    qtest_add_func("/snap/dedup", test_dedup);
    qtest_add_func("/snap/no-trap", test_no_trap);
}
