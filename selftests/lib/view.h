/* SPDX-License-Identifier: GPL-2.0-only */
/* A socket that receives by view, for the tests of that. */
#ifndef SNAP_SELFTEST_VIEW_H
#define SNAP_SELFTEST_VIEW_H

#include <stddef.h>
#include <sys/socket.h>

#include "snap_test_util.h"

#define RECEIVE_MAX	(64 * 1024u)

/* The window of a socket, mapped. */
struct view {
	const char *p;
	size_t length;		/* bytes */
};

/* What one recvmsg() gave. */
struct view_message {
	ssize_t bytes;		/* result, or a negative errno */
	int flags;		/* MSG_* */
	unsigned int others;	/* control messages that are not of the view */
	unsigned int n;		/* parts in the view */
	struct snap_view_part part[SNAP_VIEW_PARTS_MAX];
	char buffer[RECEIVE_MAX];
};

/*
 * A pair of that type over lo.  fd[0] receives, with room for much; what is short is
 * in frames, too; and neither waits for ever.  0 or -1: then fd may be open.
 */
int view_pair(int type, int fd[2]);

/* The raw option; 0 or a negative errno. */
int view_set(int fd, uint64_t length, uint32_t flags);
/* Give a socket a view and map it; 0 or a negative errno. */
int view_make(struct view *v, int fd, size_t length, uint32_t flags);
/* The same, of this process but on the account of that user, by a root. */
int view_make_of(int uid, struct view *v, int fd, size_t length, uint32_t flags);
/* Map the one that it has. */
int view_map(struct view *v, int fd, size_t length);
void view_drop(struct view *v);
/* Bytes of the pages that are in the view; negative errno. */
long view_used(int fd);
int view_release(int fd, uint64_t offset, uint64_t length);
/* Release all that was received; 0 or a negative errno. */
int view_message_release(int fd, const struct view_message *r);
/* Of each part so many pages, but for those before the first of them. */
int view_message_release_pages(int fd, const struct view_message *r, size_t first,
			       size_t pages);

/* recvmsg() by view of at most so many bytes, with room for so many parts. */
void view_receive(int fd, struct view_message *r, size_t length, int flags,
	     unsigned int room);
/* The same with that control buffer. */
void view_receive_control(int fd, struct view_message *r, size_t length, int flags,
			  void *control, size_t size);
/* Bytes of the message that are in the view. */
size_t view_message_viewed(const struct view_message *r);
/* Put the message together, into r->buffer. */
void view_message_gather(struct view_message *r, const struct view *v);
/* Bytes of the view's pages outside of the parts that are not zero. */
size_t view_message_beside(const struct view_message *r, const struct view *v);

#endif /* SNAP_SELFTEST_VIEW_H */
