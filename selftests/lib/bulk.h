/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bulk data: a stream of fill_stream() that the host sends back, by NETDEV.  Where the
 * device has large frames, it comes in them.
 */
#ifndef SNAP_SELFTEST_BULK_H
#define SNAP_SELFTEST_BULK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "view.h"

/* Until the device has learnt that the packets are large, and more. */
#define BULK		(64 * STREAM_ROOM)

struct bulk {
	int fd;
	uint64_t asked;		/* bytes that have gone out */
	uint64_t at;		/* of them: that have been received */
	char *out, *back;	/* STREAM_ROOM each */
};

/* Connect; with room for much that is unread. 0 or -1: then bulk_close() does no harm. */
int bulk_open(struct bulk *b, int domain);
void bulk_close(struct bulk *b);
/* Send STREAM_ROOM bytes. */
bool bulk_ask(struct bulk *b);
/* The same, and wait until they are unread. */
bool bulk_wait(struct bulk *b);
/* The same, until most of what is unread is in large frames; other bytes are received. */
bool bulk_wait_large(struct bulk *b);
/* Receive what was asked for: are the bytes right? */
bool bulk_drain(struct bulk *b);
/* BULK goes out and comes back whole: how many packets were in large frames; or -1. */
long bulk_echoed(struct bulk *b);
/*
 * The same, until so many of the packets were that most are now: not the first time on a
 * busy machine, where segments are short at first.
 */
bool bulk_is_large(struct bulk *b);
/* Packets that were, so far. */
uint64_t bulk_large_packets(void);

/* A pipe that takes one piece; 0 or -1. */
int bulk_pipe(int pipes[2]);
/*
 * Splice that many of the next bytes, more than a page, into a pipe of bulk_pipe(): so
 * they are a piece of a large frame.  Others are received before, and `at` is behind the
 * last of them then.
 */
bool bulk_splice(struct bulk *b, const int pipes[2], size_t length);

/* Receive by view what comes next, keep the first pages of each part, drain the rest. */
bool bulk_view(struct bulk *b, struct view_message *got, const struct view *v,
	       size_t pages);
/* The same: how many frames are out then, or -1. */
long bulk_keep(struct bulk *b, struct view_message *got, const struct view *v,
	       size_t pages);

#endif /* SNAP_SELFTEST_BULK_H */
