// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users who have a page of one large frame in views, each of whom pays for it as long as
 * he has it: whoever lets go first, and whatever allocation fails.
 *
 * Machines: share-2 debug
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bulk.h"
#include "kselftest_harness.h"

#define USERS		4
#define ORDERS		24	/* in which they let go */
#define ALICE		1001
#define WINDOW		(128 * PAGE)
#define FAIL_NTH	"/proc/self/fail-nth"
#define FAILSLAB	"/sys/kernel/debug/failslab/"
#define ALLOCATIONS_MAX	100

/*
 * Has a view of his own, and gets what is sent to him by view; the first is the bulk.  In
 * every other one there are PARTs once he looks.
 */
struct viewer {
	int fd[2];		/* fd[0] receives */
	struct view v;
	struct view_message got;
};

FIXTURE(viewers)
{
	struct bulk bulk;
	struct viewer viewer[USERS];
};

FIXTURE_SETUP(viewers)
{
	int i;

	self->bulk.fd = -1;
	if (!host_stream_port())
		SKIP(return, "no echo server for streams at the host");
	ASSERT_EQ(0, wait_no_guest_frames(10000));
	ASSERT_EQ(0, write_text(USER_QUOTA, "1"));
	ASSERT_EQ(0, bulk_open(&self->bulk, AF_SNAP));
	ASSERT_EQ(0, set_copybreak(self->bulk.fd, 1));
	self->viewer[0].fd[0] = self->bulk.fd;
	for (i = 1; i < USERS; i++)
		ASSERT_EQ(0, view_pair(SOCK_DGRAM, self->viewer[i].fd));
	for (i = 0; i < USERS; i++)
		ASSERT_EQ(0, view_make_of(ALICE + i, &self->viewer[i].v,
					  self->viewer[i].fd[0], WINDOW,
					  i % 2 ? SNAP_VIEW_LAZY : 0));
	ASSERT_TRUE(bulk_is_large(&self->bulk));
}

FIXTURE_TEARDOWN(viewers)
{
	int i;

	if (self->bulk.fd < 0)
		return;
	for (i = 0; i < USERS; i++)
		view_drop(&self->viewer[i].v);
	for (i = 1; i < USERS; i++) {
		close(self->viewer[i].fd[0]);
		close(self->viewer[i].fd[1]);
	}
	bulk_close(&self->bulk);
	EXPECT_EQ(0, write_text(USER_QUOTA, USER_QUOTA_DEFAULT));
	EXPECT_EQ(0, wait_no_guest_frames(10000));
}

/* The first has a page of the next bytes in his view, and nothing else. */
static bool first_gets(struct bulk *b, struct viewer *first)
{
	return bulk_view(b, &first->got, &first->v, 1) && first->got.n;
}

/* What there is of the first part in that page: it is sent from there. */
static size_t first_has(const struct viewer *first)
{
	size_t room = PAGE - first->got.part[0].offset % PAGE;
	size_t length = first->got.part[0].length;

	return length < room ? length : room;
}

static const char *first_at(const struct viewer *first)
{
	return first->v.p + first->got.part[0].offset;
}

static bool is_sent(const struct viewer *first, const struct viewer *to)
{
	ssize_t length = first_has(first);

	return send(to->fd[1], first_at(first), length, 0) == length;
}

/* What was received is that. */
static bool has_come(const struct viewer *first, struct viewer *to)
{
	size_t length = first_has(first);

	if (to->got.bytes != (ssize_t)length)
		return false;
	view_message_gather(&to->got, &to->v);
	return !memcmp(to->got.buffer, first_at(first), length);
}

/* Another one gets the page, too: by view, or as a copy if he cannot have it. */
static bool gets(struct viewer *v, const struct viewer *first)
{
	if (!is_sent(first, v))
		return false;
	view_receive(v->fd[0], &v->got, RECEIVE_MAX, 0, SNAP_VIEW_PARTS_MAX);
	return has_come(first, v);
}

static bool has(const struct viewer *v)
{
	return v->got.n > 0;
}

static bool lets_go(struct viewer *v)
{
	bool good = !view_message_release(v->fd[0], &v->got);

	v->got.n = 0;
	return good;
}

/* Is order the i-th of ORDERS?  Each takes one of those that are left. */
static void order_of(unsigned int i, unsigned int order[USERS])
{
	unsigned int left[USERS], n, k, take;

	for (n = 0; n < USERS; n++)
		left[n] = n;
	for (n = USERS; n; n--) {
		take = i % n;
		i /= n;
		order[USERS - n] = left[take];
		for (k = take; k < n - 1; k++)
			left[k] = left[k + 1];
	}
}

/* Nobody has ever too much: in each order each lets go of what he had. */
TEST_F(viewers, let_go_in_any_order)
{
	uint64_t large = bulk_large_packets();
	struct viewer *first = &self->viewer[0];
	unsigned int i, k, order[USERS];

	for (i = 0; i < ORDERS; i++) {
		ASSERT_TRUE(first_gets(&self->bulk, first));
		for (k = 1; k < USERS; k++) {
			ASSERT_TRUE(gets(&self->viewer[k], first));
			EXPECT_TRUE(has(&self->viewer[k])) TH_LOG("order %u", i);
		}
		order_of(i, order);
		for (k = 0; k < USERS; k++)
			ASSERT_TRUE(lets_go(&self->viewer[order[k]]));
	}
	for (k = 0; k < USERS; k++)
		EXPECT_EQ(0, sock_stats(self->viewer[k].fd[0]).recv_msgs[SNAP_RECV_QUOTA]);
	EXPECT_LE(large + ORDERS, bulk_large_packets());
}

/* That allocation of what this process does next fails, or none. */
static int fail_nth(unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return write_text(FAIL_NTH, text);
}

/*
 * The other gets the page, and lets go; had he it in his view, and did
 * the n-th allocation fail?
 */
static bool gets_without(struct viewer *other, const struct viewer *first, unsigned int n,
			 bool *viewed, bool *failed)
{
	bool good;

	if (!is_sent(first, other) || fail_nth(n))
		return false;
	view_receive(other->fd[0], &other->got, RECEIVE_MAX, 0, SNAP_VIEW_PARTS_MAX);
	*failed = !read_number(FAIL_NTH);
	if (fail_nth(0))
		return false;
	*viewed = has(other);
	good = has_come(first, other);
	return lets_go(other) && good;
}

/*
 * Of those that may not wait one after another fails, until there are no more: who finds
 * no memory has a copy, and does not pay for what he does not have.
 */
TEST_F(viewers, no_memory_for_one_more)
{
	struct viewer *first = &self->viewer[0], *other = &self->viewer[1];
	bool viewed, failed = true;
	unsigned int n, i, copied = 0;

	if (access(FAIL_NTH, W_OK) || access(FAILSLAB, F_OK))
		SKIP(return, "a kernel whose allocations do not fail to order");
	ASSERT_EQ(0, write_text(FAILSLAB "verbose", "0"));
	ASSERT_TRUE(first_gets(&self->bulk, first));
	for (n = 1; failed && n < ALLOCATIONS_MAX; n++) {
		ASSERT_TRUE(gets_without(other, first, n, &viewed, &failed));
		if (viewed)
			continue;
		copied++;
		for (i = 0; i < ORDERS; i++)
			ASSERT_TRUE(gets_without(other, first, n, &viewed, &failed));
	}
	TH_LOG("%u allocations, of which %u cost a copy", n - 1, copied);
	EXPECT_FALSE(failed);
	EXPECT_LT(0, copied);
	ASSERT_TRUE(gets(other, first));
	EXPECT_TRUE(has(other));
	EXPECT_TRUE(lets_go(other));
	EXPECT_TRUE(lets_go(first));
}

TEST_HARNESS_MAIN
