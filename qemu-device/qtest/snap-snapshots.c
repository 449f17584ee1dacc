/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot memory NIC seen from the bus: snapshots, clones, sparse regions.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "snap-fixture.h"

#define PAGE SNAP_FRAME_SIZE

/* ---- Snapshots ---------------------------------------------------------- */

/* Stores go through the window, where the trap must stop them. */
static void test_snapshot(const void *mode)
{
    enum { N = 8, ROUNDS = 5 };
    g_autofree char *properties =
        g_strdup_printf(",capture=%s", (const char *)mode);
    Snap *s = snap_run(false, properties);
    static uint8_t bytes[ROUNDS + 1][N * PAGE];
    uint32_t page, region = snap_create(s, N, &page), snapshot[ROUNDS];
    uint64_t version[ROUNDS], again;

    memset(bytes[0], 0, sizeof(bytes[0]));
    for (unsigned i = 0; i < ROUNDS; i++) {
        snapshot[i] = snap_snapshot(s, region, &version[i]);
        g_assert_cmpuint(snap_info(s, region).dirty, ==, 0);
        /* Every other round changes one page only, and a part of it. */
        memcpy(bytes[i + 1], bytes[i], sizeof(bytes[i]));
        if (i % 2) {
            snap_pattern(bytes[i + 1] + PAGE / 2, PAGE, i);
            snap_store(s, page, PAGE / 2, bytes[i + 1] + PAGE / 2, PAGE);
        } else {
            snap_pattern(bytes[i + 1], N * PAGE, i);
            snap_store(s, page, 0, bytes[i + 1], N * PAGE);
        }
        g_assert_cmpuint(snap_info(s, region).dirty, ==, 1);
        for (unsigned j = 0; j <= i; j++) {
            snap_check_snapshot(s, snapshot[j], bytes[j], N);
            g_assert_cmpuint(snap_info(s, snapshot[j]).version, ==, version[j]);
        }
        g_assert(i == 0 || version[i] == version[i - 1] + 1);
    }
    snap_check_window(s, page, bytes[ROUNDS], N);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_SNAPSHOTS), ==, ROUNDS);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_SNAPSHOTS_HELD), ==, ROUNDS);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGIONS), ==, 1);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_WRITE_FAULTS), >=, ROUNDS);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TRAP_ARMS), >=, ROUNDS);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_TRAP_PAGES), >=, 3 * N + 2);

    /* Without a store in between it is the same version. */
    snap_expect(OK, snap_drop(s, snap_snapshot(s, region, &version[0])));
    snap_expect(OK, snap_drop(s, snap_snapshot(s, region, &again)));
    g_assert_cmpuint(again, ==, version[0]);
    g_assert_cmpuint(snap_info(s, region).version, ==, again);

    /* They outlive the region, in any order. */
    snap_expect(OK, snap_drop(s, snapshot[1]));
    snap_expect(OK, snap_destroy(s, region));
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i != 1) {
            snap_check_snapshot(s, snapshot[i], bytes[i], N);
            snap_expect(OK, snap_drop(s, snapshot[i]));
        }
        snap_expect(BAD_REGION, snap_drop(s, snapshot[i]));
    }
    snap_assert_all_free(s);
    snap_halt(s);
}

/* CAPTURE of a snapshot: any range; its frames outlive the snapshot. */
static void test_snapshot_capture(void)
{
    enum { N = 300 };
    Snap *s = snap_run(false, "");
    g_autofree uint8_t *bytes = g_malloc(N * PAGE);
    uint32_t page, region = snap_create(s, N, &page), snapshot;
    uint8_t want[PAGE] = { 0 };
    struct snap_capture c, longest, gone;

    snap_pattern(bytes, N * PAGE, 1);
    snap_store(s, page, 0, bytes, N * PAGE);
    snapshot = snap_snapshot(s, region, NULL);
    snap_expect(OK, snap_destroy(s, region));

    snap_expect(BAD_LENGTH,
                snap_capture(s, snapshot, 0, SNAP_CAPTURE_BYTES_MAX + 1, &c));
    snap_expect(BAD_OFFSET, snap_capture(s, snapshot, N * PAGE - 1, 2, &c));
    snap_expect(BAD_OFFSET, snap_capture(s, snapshot, ~0ull, 2, &c));
    snap_expect(OK,
                snap_capture(s, snapshot, 1, SNAP_CAPTURE_BYTES_MAX, &longest));
    g_assert_cmpuint(longest.nframes, ==, SNAP_CAPTURE_FRAMES_MAX);
    snap_expect(OK, snap_capture(s, snapshot, N * PAGE - 100, 100, &c));
    g_assert_cmpuint(c.nframes, ==, 1);
    snap_expect(OK, snap_drop(s, snapshot));
    snap_expect(BAD_REGION, snap_capture(s, snapshot, 0, 1, &gone));

    memcpy(want + PAGE - 100, bytes + N * PAGE - 100, 100);
    snap_check_frame(s, c.frame[0], want);
    for (unsigned i = 1; i < SNAP_CAPTURE_FRAMES_MAX - 1; i++) {
        snap_check_frame(s, longest.frame[i], bytes + i * PAGE);
    }
    snap_expect(OK, snap_release(s, c.frame, 1));
    snap_expect(OK, snap_release(s, longest.frame, longest.nframes));
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_bad_snapshots(void)
{
    Snap *s = snap_run(false, "");
    uint32_t page, region, filler, snapshot, filler_pages;

    snap_expect_reserved(s, snap_snapshot_create, SNAP_OP_SNAPSHOT, snapshot);
    snap_expect_reserved(s, snap_snapshot_create, SNAP_OP_SNAPSHOT, reserved);
    snap_expect_reserved(s, snap_snapshot_create, SNAP_OP_SNAPSHOT, version);
    snap_expect_reserved(s, snap_snapshot_drop, SNAP_OP_SNAPSHOT_DROP,
                         reserved);

    region = snap_create(s, 8, &page);
    snapshot = snap_snapshot(s, region, NULL);
    /* The handle of the one is not that of the other. */
    g_assert_cmpuint(snapshot, !=, region);
    snap_expect(BAD_REGION, snap_try_snapshot(s, snapshot, SNAP_QUOTA_NONE));
    snap_expect(BAD_REGION, snap_destroy(s, snapshot));
    snap_expect(BAD_REGION, snap_discard(s, snapshot, 0, 1));
    snap_expect(BAD_REGION, snap_drop(s, region));
    snap_expect(BAD_REGION, snap_drop(s, 0));
    snap_expect(BAD_REGION, snap_drop(s, snapshot ^ 0x40000000));
    snap_expect(BAD_REGION, snap_try_snapshot(s, 0, SNAP_QUOTA_NONE));
    snap_expect(OK, snap_drop(s, snapshot));
    snap_expect(OK, snap_destroy(s, region));
    snap_expect(BAD_REGION, snap_try_snapshot(s, region, SNAP_QUOTA_NONE));
    snap_assert_all_free(s);

    /* The frames for later stores must be there at once, or nothing. */
    region = snap_create(s, 8, &page);
    filler_pages = snap_available(s) - 7;
    filler = snap_create(s, filler_pages, &page);
    snap_expect(NO_FRAMES, snap_try_snapshot(s, region, SNAP_QUOTA_NONE));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RESERVED_FRAMES), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_SNAPSHOTS_HELD), ==, 0);
    snap_expect(OK, snap_destroy(s, filler));
    filler = snap_create(s, filler_pages - 1, &page);
    snapshot = snap_snapshot(s, region, NULL);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RESERVED_FRAMES), ==, 8);
    g_assert_cmpuint(snap_available(s), ==, 0);
    snap_expect(OK, snap_drop(s, snapshot));
    snap_expect(OK, snap_destroy(s, filler));
    snap_expect(OK, snap_destroy(s, region));
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_many_snapshots(void)
{
    Snap *s = snap_run(false, "");
    uint32_t page, region = snap_create(s, 1, &page), first, last = 0;

    first = snap_snapshot(s, region, NULL);
    for (unsigned i = 1; i < SNAP_SNAPSHOTS_MAX; i++) {
        last = snap_snapshot(s, region, NULL);
    }
    snap_expect(NO_REGIONS, snap_try_snapshot(s, region, SNAP_QUOTA_NONE));
    snap_expect(OK, snap_drop(s, last));
    /* The same place, another generation. */
    g_assert_cmpuint(snap_snapshot(s, region, NULL), !=, last);
    snap_expect(BAD_REGION, snap_drop(s, last));
    snap_expect(OK, snap_drop(s, first));
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_assert_all_free(s);
    snap_halt(s);
}

/* ---- Sparse regions and discard ----------------------------------------- */

static void test_sparse(void)
{
    enum { N = 64 };
    Snap *s = snap_run(false, "");
    uint32_t page, region = snap_create_sparse(s, N, &page), snapshot;
    uint8_t bytes[3 * PAGE] = { 0 }, zero[PAGE] = { 0 };
    struct snap_region_create create;
    struct snap_capture c;

    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RESERVED_FRAMES), ==, N);
    g_assert_cmpuint(snap_charged(s, 0), ==, N);
    /* Loads take no frames. */
    for (unsigned i = 0; i < N; i++) {
        snap_check_window(s, page + i, zero, 1);
    }
    g_assert_cmpuint(snap_info(s, region).populated, ==, 0);
    g_assert_cmpuint(snap_info(s, region).dirty, ==, 0);
    snap_expect(OK, snap_capture(s, region, PAGE, 4 * PAGE, &c));
    for (unsigned i = 0; i < 4; i++) {
        snap_check_frame(s, c.frame[i], zero);
    }
    snap_expect(OK, snap_release(s, c.frame, 4));

    snapshot = snap_snapshot(s, region, NULL);
    snap_store64(s, page + 1, 16, 0x1122334455667788);
    memcpy(bytes + PAGE + 16, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
    snap_check_window(s, page, bytes, 3);
    g_assert_cmpuint(snap_info(s, region).populated, >=, 1);
    g_assert_cmpuint(snap_info(s, snapshot).populated, ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==,
                     snap_info(s, region).populated);
    memset(bytes, 0, sizeof(bytes));
    snap_check_snapshot(s, snapshot, bytes, 3);
    snap_expect(OK, snap_drop(s, snapshot));
    snap_expect(OK, snap_destroy(s, region));
    snap_assert_all_free(s);

    /* Its frames are promised: none of them is left for others. */
    snap_create_sparse(s, snap_available(s), &page);
    snap_expect(NO_FRAMES, snap_create_as(s, 1, 0, 0, SNAP_QUOTA_NONE,
                                          &create));
    snap_expect(NO_FRAMES, snap_create_as(s, 1, SNAP_REGION_SPARSE, 0,
                                          SNAP_QUOTA_NONE, &create));
    snap_halt(s);
}

static void test_discard(void)
{
    enum { N = 16 };
    Snap *s = snap_run(false, "");
    uint32_t page, region = snap_create(s, N, &page), snapshot;
    static uint8_t bytes[N * PAGE], old[N * PAGE];
    uint64_t version;

    snap_expect_reserved(s, snap_discard, SNAP_OP_DISCARD, reserved);
    snap_expect(BAD_LENGTH, snap_discard(s, region, 0, 0));
    snap_expect(BAD_REGION, snap_discard(s, 0, 0, 1));
    snap_expect(BAD_OFFSET, snap_discard(s, region, N, 1));
    snap_expect(BAD_OFFSET, snap_discard(s, region, N - 1, 2));
    snap_expect(BAD_OFFSET, snap_discard(s, region, 1, ~0u));
    snap_expect(BAD_OFFSET, snap_discard(s, region, ~0u, 1));

    snap_pattern(old, sizeof(old), 1);
    snap_store(s, page, 0, old, sizeof(old));
    snapshot = snap_snapshot(s, region, &version);
    memcpy(bytes, old, sizeof(bytes));
    memset(bytes + 4 * PAGE, 0, 8 * PAGE);
    snap_expect(OK, snap_discard(s, region, 4, 8));
    snap_check_window(s, page, bytes, N);
    snap_check_snapshot(s, snapshot, old, N);
    g_assert_cmpuint(snap_info(s, region).populated, ==, N - 8);
    g_assert_cmpuint(snap_info(s, region).dirty, ==, 1);
    /* Frames that nobody else has come home; stores may come again. */
    snap_expect(OK, snap_drop(s, snapshot));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==, N - 8);
    snap_expect(OK, snap_discard(s, region, 0, N));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGION_FRAMES), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_RESERVED_FRAMES), ==, N);
    g_assert_cmpuint(snap_charged(s, 0), ==, N);
    memset(bytes, 0, sizeof(bytes));
    snap_check_window(s, page, bytes, N);
    snap_store(s, page, 0, old, sizeof(old));
    snap_check_window(s, page, old, N);
    snap_expect(OK, snap_destroy(s, region));
    snap_assert_all_free(s);
    snap_halt(s);
}

/* ---- Clones ------------------------------------------------------------- */

static void test_clone(void)
{
    enum { N = 8 };
    Snap *s = snap_run(false, "");
    static uint8_t old[N * PAGE], here[N * PAGE], there[N * PAGE];
    uint32_t page, region = snap_create(s, N, &page), snapshot;
    uint32_t clone_page, clone;

    snap_pattern(old, sizeof(old), 1);
    snap_store(s, page, 0, old, sizeof(old));
    snapshot = snap_snapshot(s, region, NULL);
    clone = snap_clone(s, snapshot, &clone_page);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_CLONES), ==, 1);
    snap_check_window(s, clone_page, old, N);
    g_assert_cmpuint(snap_info(s, clone).npages, ==, N);
    g_assert_cmpuint(snap_info(s, clone).dirty, ==, 0);

    memcpy(here, old, sizeof(old));
    memcpy(there, old, sizeof(old));
    snap_pattern(here + PAGE, 2 * PAGE, 2);
    snap_pattern(there + 2 * PAGE, 2 * PAGE, 3);
    snap_store(s, page + 1, 0, here + PAGE, 2 * PAGE);
    snap_store(s, clone_page + 2, 0, there + 2 * PAGE, 2 * PAGE);
    snap_check_window(s, page, here, N);
    snap_check_window(s, clone_page, there, N);
    snap_check_snapshot(s, snapshot, old, N);

    snap_expect(OK, snap_destroy(s, region));
    snap_expect(OK, snap_drop(s, snapshot));
    snap_check_window(s, clone_page, there, N);
    snap_expect(OK, snap_destroy(s, clone));
    snap_assert_all_free(s);
    snap_halt(s);
}

static void test_bad_clones(void)
{
    Snap *s = snap_run(false, ",pool-size=16M,window-size=4M");
    uint32_t page, region = snap_create(s, 8, &page), snapshot;
    struct snap_clone c;

    snap_expect_reserved(s, snap_clone, SNAP_OP_CLONE, region);
    snap_expect_reserved(s, snap_clone, SNAP_OP_CLONE, window_page);
    snapshot = snap_snapshot(s, region, NULL);
    snap_expect(BAD_FLAGS, snap_try_clone(s, snapshot, SNAP_HINT_MAX, 0,
                                          SNAP_QUOTA_NONE, &c));
    snap_expect(BAD_REGION,
                snap_try_clone(s, region, 0, 0, SNAP_QUOTA_NONE, &c));
    snap_expect(BAD_REGION, snap_try_clone(s, 0, 0, 0, SNAP_QUOTA_NONE, &c));
    snap_expect(QUOTA, snap_try_clone(s, snapshot, 0, 1, 7, &c));

    /* 1024 window pages are 128 regions of 8. */
    while (snap_try_clone(s, snapshot, 0, 1, SNAP_QUOTA_NONE, &c) ==
           SNAP_ST_OK) {
        g_assert_cmpuint(c.window_page % 8, ==, 0);
    }
    snap_expect(NO_WINDOW, c.e.status);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGIONS), ==, 1024 / 8);
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_assert_all_free(s);

    snap_start(s, SNAP_F_SNAPSHOT);
    region = snap_create(s, 1, &page);
    snapshot = snap_snapshot(s, region, NULL);
    snap_expect(OK, snap_destroy(s, region));
    for (unsigned i = 0; i < SNAP_REGIONS_MAX; i++) {
        snap_expect(OK, snap_try_clone(s, snapshot, 0, 1, SNAP_QUOTA_NONE, &c));
    }
    snap_expect(NO_REGIONS,
                snap_try_clone(s, snapshot, 0, 1, SNAP_QUOTA_NONE, &c));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_REGIONS), ==, SNAP_REGIONS_MAX);
    snap_halt(s);

    /* Each clone wants the frames that its stores may need. */
    s = snap_run(false, ",window-size=64M");
    region = snap_create(s, 256, &page);
    snapshot = snap_snapshot(s, region, NULL);
    g_assert_cmpuint(snap_available(s), <, 2 * 256);
    snap_expect(OK, snap_try_clone(s, snapshot, 0, 1, SNAP_QUOTA_NONE, &c));
    snap_expect(NO_FRAMES,
                snap_try_clone(s, snapshot, 0, 1, SNAP_QUOTA_NONE, &c));
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_assert_all_free(s);
    snap_halt(s);
}

/*
 * A driver that knows steps rings until the answer is another; one that does
 * not has the same with one doorbell.
 */
static void test_steps(void)
{
    const uint32_t npages = 2500, steps = 2;
    Snap *s = snap_boot("q35", false, ",pool-size=64M");
    struct snap_region_create c;
    struct snap_clone clone;
    uint32_t snapshot, available = snap_available(s);

    snap_start(s, SNAP_F_SNAPSHOT | SNAP_F_STEPS);
    for (unsigned i = 0; i < steps; i++) {
        snap_expect(AGAIN, snap_create_as(s, npages, 0, 0, SNAP_QUOTA_NONE,
                                          &c));
        g_assert_cmpuint(c.region, ==, 0);
        g_assert_cmpuint(c.window_page, ==, 0);
        g_assert_cmpuint(snap_available(s), ==, available - npages);
    }
    snap_expect(OK, snap_create_as(s, npages, 0, 0, SNAP_QUOTA_NONE, &c));
    g_assert_cmpuint(snap_count(s, SNAP_CTR_BAD_ENTRY), ==, 0);
    snap_store64(s, c.window_page + npages - 1, 8, 1);
    g_assert_cmpuint(snap_load64(s, c.window_page, 0), ==, 0);
    g_assert_cmpuint(snap_count(s, SNAP_CTR_WRITE_FAULTS), ==, 0);

    /* For another owner, who gets copies; of the same one it is one step. */
    snapshot = snap_snapshot(s, c.region, NULL);
    for (unsigned i = 0; i < steps; i++) {
        snap_expect(AGAIN, snap_try_clone(s, snapshot, 0, 1, SNAP_QUOTA_NONE,
                                          &clone));
    }
    snap_expect(OK, snap_try_clone(s, snapshot, 0, 1, SNAP_QUOTA_NONE, &clone));
    g_assert_cmpuint(snap_load64(s, clone.window_page + npages - 1, 8), ==, 1);
    snap_expect(OK, snap_destroy(s, clone.region));
    snap_expect(OK, snap_try_clone(s, snapshot, 0, 0, SNAP_QUOTA_NONE, &clone));
    snap_expect(OK, snap_destroy(s, clone.region));

    /* What comes between undoes it, and so does a reset. */
    snap_expect(AGAIN, snap_try_clone(s, snapshot, 0, 1, SNAP_QUOTA_NONE,
                                      &clone));
    snap_info(s, snapshot);
    g_assert_cmpuint(snap_charged(s, 1), ==, 0);
    available = snap_available(s);
    snap_expect(AGAIN, snap_create_as(s, npages, 0, 2, SNAP_QUOTA_NONE, &c));
    snap_expect(BAD_FLAGS, snap_create_as(s, npages, 2, 2, SNAP_QUOTA_NONE,
                                          &c));
    g_assert_cmpuint(snap_available(s), ==, available);
    snap_expect(AGAIN, snap_create_as(s, npages, 0, 2, SNAP_QUOTA_NONE, &c));
    snap_expect(AGAIN, snap_create_as(s, npages, 0, 3, SNAP_QUOTA_NONE, &c));
    g_assert_cmpuint(snap_charged(s, 2), ==, 0);
    snap_expect(AGAIN, snap_create_as(s, npages, 0, 3, SNAP_QUOTA_NONE, &c));
    snap_set(s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_assert_all_free(s);

    snap_start(s, SNAP_F_SNAPSHOT);
    snap_expect(OK, snap_create_as(s, npages, 0, 0, SNAP_QUOTA_NONE, &c));
    snap_halt(s);
}

void snap_add_snapshot_tests(void)
{
    qtest_add_func("/snap/steps", test_steps);
    qtest_add_data_func("/snap/snapshot/copy", "copy", test_snapshot);
    qtest_add_data_func("/snap/snapshot/auto", "auto", test_snapshot);
    qtest_add_data_func("/snap/snapshot/share", "share", test_snapshot);
    qtest_add_func("/snap/snapshot/capture", test_snapshot_capture);
    qtest_add_func("/snap/snapshot/bad", test_bad_snapshots);
    qtest_add_func("/snap/snapshot/many", test_many_snapshots);
    qtest_add_func("/snap/sparse", test_sparse);
    qtest_add_func("/snap/discard", test_discard);
    qtest_add_func("/snap/clone", test_clone);
    qtest_add_func("/snap/clone/bad", test_bad_clones);
}
