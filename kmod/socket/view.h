/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Receiving by view: what arrives in frames stays there, and the frames are mapped
 * read-only into the receiver.  view.c has the window of a socket and its pages,
 * view_map.c maps it, view_take.c takes a message apart, view_recv.c is recvmsg() of
 * each type.
 *
 * A page of the window has a frame from the receive that filled it to its release, and
 * a reference on it.  What a receive tells of is mapped with it, all at once, unless the
 * view is SNAP_VIEW_LAZY; page faults are for what that leaves out.  The window lives as
 * long as its socket, which each mapping of it keeps.  It is that of one process: who else
 * has the descriptor neither receives into it, nor maps it, nor releases anything.
 */
#ifndef SNAP_VIEW_H
#define SNAP_VIEW_H

#include <linux/list.h>
#include <linux/rwsem.h>
#include <linux/skbuff.h>
#include <linux/sockptr.h>
#include <linux/types.h>

#include "observe/stats.h"
#include "snap.h"

/* Nothing but windows is mapped from here on: see snap_view_mmaps(). */
#define SNAP_VIEW_PGOFF		(SNAP_VIEW_OFFSET >> PAGE_SHIFT)

struct mm_struct;
struct msghdr;
struct net_device;
struct snap_sock;
struct snap_user;
struct sock;
struct socket;
struct vm_area_struct;

/**
 * struct snap_view - the window of a socket
 * @lock: who maps or sends pages reads it, what changes below writes it
 * @list: in the list of all views, once a socket has it
 * @mapping: of the socket's inode, from SNAP_VIEW_OFFSET on
 * @mm: of the process that made it; holds a reference, not its memory
 * @start: where the newest mapping of all of it by @mm began; 0: none.  A guess: what
 *	is there now, snap_view_map() looks.  Guarded by mmap_lock
 * @user: answers for the frames; holds a reference
 * @flags: SNAP_VIEW_*, as made
 * @npages: length
 * @used: pages that have a frame
 * @mapped: some of them may be in page tables; readers set it, writers clear it
 * @next: where to look first for room
 * @page: the frames, with a reference each, where there are any
 * @taken: bit by bit: there is a frame
 */
struct snap_view {
	struct rw_semaphore lock;	/* guards all below but list, start, constants */
	struct list_head list;
	struct address_space *mapping;
	struct mm_struct *mm;
	unsigned long start;
	struct snap_user *user;
	u32 flags;
	u32 npages;
	u32 used;
	bool mapped;
	u32 next;
	struct page **page;
	unsigned long *taken;
};

/* A row of frames that make up contiguous bytes, all but the ends whole. */
struct snap_view_run {
	struct page *page[MAX_SKB_FRAGS];
	unsigned int npages;
	unsigned int offset;	/* bytes into the first */
	size_t length;		/* bytes */
};

/**
 * struct snap_view_take - a message while it is taken apart
 * @view: where its frames go
 * @sk: socket
 * @msg: its iterator is where the message has come to
 * @copybreak: bytes; shorter rows of frames are copied
 * @room: how many parts may be told
 * @n: how many there are
 * @at: bytes of the message that are done
 * @got: where they went
 * @part: of the message, in the view
 */
struct snap_view_take {
	struct snap_view *view;
	struct sock *sk;
	struct msghdr *msg;
	size_t copybreak;
	unsigned int room;
	unsigned int n;
	size_t at;
	struct snap_received got;
	struct snap_view_part part[SNAP_VIEW_PARTS_MAX];
};

/* The view of a socket, or NULL.  Once there it stays. */
struct snap_view *snap_view_of(const struct snap_sock *ss);

/**
 * snap_view_create() - SNAP_VIEW
 * @sock: socket that has none yet
 * @optval: struct snap_view_args
 * @optlen: bytes of it
 *
 * Return: 0; EFAULT, E2BIG, ENOMEM; EINVAL for flags or a length that cannot
 * be; EEXIST if there is one; EOPNOTSUPP for a thread of the kernel.
 */
int snap_view_create(struct socket *sock, sockptr_t optval, unsigned int optlen);
/* What a view is, for getsockopt(). */
void snap_view_describe(struct snap_view *view, struct snap_view_args *args);
/*
 * May somebody pin what is mapped of it?  Then the mappings have references of their
 * own, on pages of one frame each.
 */
bool snap_view_pinnable(const struct snap_view *view);
/* Are there frames on all these pages?  Below its lock. */
bool snap_view_has(const struct snap_view *view, pgoff_t first, u32 n);
/* Is it the view of this process? */
bool snap_view_mine(const struct snap_view *view);
/* SNAP_VIEW_RELEASE: 0; EFAULT, EINVAL; ENODATA without a view; EPERM: not ours. */
int snap_view_release(struct snap_sock *ss, sockptr_t optval, unsigned int optlen);
/* Of a socket that nobody uses any more. */
void snap_view_destroy(struct snap_view *view);

/* Does a mapping of a socket begin, or end, where the window is? */
bool snap_view_mmaps(struct vm_area_struct *vma);
/* 0; ENODEV without a view, EPERM, EINVAL. */
int snap_view_mmap(struct snap_view *view, struct vm_area_struct *vma);

/* Is it a mapping of a window? */
bool snap_view_maps(const struct vm_area_struct *vma);

/**
 * snap_view_send() - the pages of a buffer that is in a view: nobody changes them
 * @vma: mapping of a window, with mmap_lock held
 * @addr: of the buffer, all of which is mapped there
 * @length: bytes, at most 64 KiB
 * @netdev: the device that the frames will leave by; NULL: any will do
 * @page: filled with the pages; the caller owns a reference on each
 *
 * The view may let go of them at once.  What was received is on the account of its
 * user for longer then: until they are home.
 *
 * Return: number of pages, or minus one minus an enum snap_copy_reason.
 */
int snap_view_send(struct vm_area_struct *vma, unsigned long addr, size_t length,
		   const struct net_device *netdev, struct page **page);

/**
 * snap_view_place() - put frames into the view
 * @view: view
 * @sk: its socket, whose receive buffer bounds what is in the view
 * @run: frames; the caller has a reference on each, and keeps it
 * @offset: filled: bytes into the view, of the first byte of the run
 *
 * Context: process.
 * Return: 0, or minus one minus an enum snap_recv_reason: there is no room, or the
 * user has its share.
 */
int snap_view_place(struct snap_view *view, const struct sock *sk,
		    const struct snap_view_run *run, u64 *offset);
/**
 * snap_view_map() - map parts where the process has the view
 * @view: of this process
 * @part: parts that were told of, in their order
 * @n: how many
 *
 * So that a load takes no fault.  Nothing comes of it if that would have to wait, or
 * the window is not mapped as a whole: then faults map what is looked at, as they do
 * where this is not called.
 *
 * Context: process, no lock held.
 */
void snap_view_map(struct snap_view *view, const struct snap_view_part *part,
		   unsigned int n);
/* Release the pages that a range touches; it lies in the view. */
void snap_view_put(struct snap_view *view, u64 offset, u64 length);
void snap_view_put_all(struct snap_view *view);

/**
 * snap_view_take() - take bytes of a packet: frames into the view, the rest by copy
 * @take: the message; goes on by @length bytes
 * @skb: packet whose bytes all are the receiver's
 * @offset: bytes into it
 * @length: bytes
 *
 * Return: 0; or EFAULT, and @take is what it was.
 */
int snap_view_take(struct snap_view_take *take, const struct sk_buff *skb,
		   int offset, size_t length);
/* The message is lost: release what the view has of it. */
void snap_view_take_back(struct snap_view_take *take);

/**
 * snap_view_recv() - recvmsg() of a socket that has a view
 * @sock: socket
 * @view: of it
 * @msg: as of recvmsg()
 * @len: bytes at most
 * @flags: MSG_*, none of MSG_PEEK, MSG_ERRQUEUE and MSG_SNAP_VIEW
 * @got: filled: where the bytes of the result went
 *
 * Return: as the inner family's recvmsg(); MSG_SNAP_VIEW is in @msg->msg_flags if
 * there are such bytes.
 */
int snap_view_recv(struct socket *sock, struct snap_view *view,
		   struct msghdr *msg, size_t len, int flags,
		   struct snap_received *got);

/* Devices take their frames out of all views when they go. */
void snap_views_init(void);
void snap_views_exit(void);

#endif /* SNAP_VIEW_H */
