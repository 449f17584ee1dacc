// SPDX-License-Identifier: GPL-2.0-only
/* What is unread when a device goes; see rescue.h. */

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <linux/workqueue.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "compat/sock.h"
#include "compat/udp.h"
#include "device/deferred.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/part.h"
#include "net/frags.h"
#include "net/rescue.h"
#include "net/walk.h"

/* How long who is at work with frames has to finish. */
#define SNAP_RESCUE_TIME	HZ
#define SNAP_RESCUE_STEP_MS	20
/*
 * Pages at hand where nobody may wait for memory, and copied while softirqs wait: more
 * than a packet takes, without what follows.
 */
#define SNAP_RESCUE_SPARE	64
/*
 * The same for pieces of large frames that a packet cannot have page by page: all that
 * one may have.  So the last packet of a turn takes up to 1088 KiB more.
 */
#define SNAP_RESCUE_LARGE	MAX_SKB_FRAGS

/* Ends streams that cannot be ended where nobody may wait for their users. */
static struct workqueue_struct *snap_rescue_wq;

/**
 * struct snap_rescue_abort - the end of a stream
 * @work: in snap_rescue_wq
 * @sk: holds a reference
 */
struct snap_rescue_abort {
	struct work_struct work;
	struct sock *sk;
};

/**
 * struct snap_rescue - of a device
 * @sd: device
 * @lost: the bytes are gone
 * @left: the socket at hand has lost something
 * @refused: and its protocol did not let go of it
 * @budget: bytes that may still be copied while softirqs wait
 * @spare: pages
 * @nspare: how many
 * @large: for large frames: SNAP_LARGE_SIZE in a row each; none before one is missed
 * @nlarge: how many
 * @missed: this turn left a packet as it was for want of one
 * @poor: there was no memory for another one, in this walk
 */
struct snap_rescue {
	struct snap_dev *sd;
	bool lost;
	bool left;
	bool refused;
	int budget;
	struct page *spare[SNAP_RESCUE_SPARE];
	unsigned int nspare;
	struct page *large[SNAP_RESCUE_LARGE];
	unsigned int nlarge;
	bool missed;
	bool poor;
};

/* Before each turn with softirqs off. */
static void snap_rescue_provide(struct snap_rescue *r)
{
	struct page *page;

	cond_resched();
	r->budget = SNAP_RESCUE_SPARE * PAGE_SIZE;
	r->missed = false;
	while (!r->lost && r->nspare < SNAP_RESCUE_SPARE) {
		page = alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
		if (!page)
			break;
		r->spare[r->nspare++] = page;
	}
}

/* Large ones, as many as there is memory for; false: not one more. */
static bool snap_rescue_provide_large(struct snap_rescue *r)
{
	unsigned int before = r->nlarge;
	struct page *page;

	while (!r->lost && !r->poor && r->nlarge < SNAP_RESCUE_LARGE) {
		page = alloc_pages(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN |
				   __GFP_COMP, get_order(SNAP_LARGE_SIZE));
		if (page)
			r->large[r->nlarge++] = page;
		r->poor = !page;
	}
	return r->nlarge > before;
}

/*
 * After it: is there more to do, and can more be done?  One that copied nothing comes
 * again with more large pages only, of which there are not without end.
 */
static bool snap_rescue_again(struct snap_rescue *r)
{
	return r->budget <= 0 || (r->missed && snap_rescue_provide_large(r));
}

static struct page *snap_rescue_page(size_t bytes, void *arg)
{
	struct snap_rescue *r = arg;

	if (bytes <= PAGE_SIZE)
		return r->nspare ? r->spare[--r->nspare] :
				   alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	if (r->nlarge && bytes <= SNAP_LARGE_SIZE)
		return r->large[--r->nlarge];
	r->missed = true;
	return NULL;
}

static void snap_rescue_put_page(struct snap_rescue *r, struct page *page)
{
	if (PageCompound(page))
		r->large[r->nlarge++] = page;	/* whence it came */
	else
		__free_page(page);
}

/* ---- Packets ------------------------------------------------------------ */

static bool snap_rescue_owns(const skb_frag_t *frag, void *arg)
{
	const struct snap_rescue *r = arg;
	struct page *page = skb_frag_page(frag);

	return page && snap_frames_owns(r->sd->frames, page);
}

static bool snap_rescue_concerns(struct snap_rescue *r,
				 const struct sk_buff *skb)
{
	const struct sk_buff *part;
	int i;

	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++)
		if (snap_rescue_owns(&skb_shinfo(skb)->frags[i], r))
			return true;
	skb_walk_frags(skb, part)
		if (snap_rescue_concerns(r, part))
			return true;
	return false;
}

/* The fragments of a packet that nobody else sees; false: all as it was. */
static bool snap_rescue_frags(struct snap_rescue *r, struct sk_buff *skb)
{
	struct snap_frags fs = {
		.replaces = snap_rescue_owns,
		.get = snap_rescue_page,
		.arg = r,
	};
	bool ok = snap_frags_copy(&fs, skb);
	unsigned int i;

	/* What was read of memory that is not there is worth nothing. */
	if (ok && snap_dev_lost(r->sd)) {
		r->lost = true;
		ok = false;
	}
	if (ok) {
		snap_frags_swap(&fs, skb);
		r->budget -= fs.bytes;
		return true;
	}
	for_each_set_bit(i, fs.copied, MAX_SKB_FRAGS)
		snap_rescue_put_page(r, skb_frag_page(&fs.frag[i]));
	return false;
}

/*
 * The caller sees to it that nobody takes the packet meanwhile.  Who has a clone
 * of it, or a part, keeps the frames, and has a turn of its own.
 */
static void snap_rescue_skb(struct snap_rescue *r, struct sk_buff *skb)
{
	unsigned int truesize = skb->truesize;
	struct sk_buff *part, *own, **link;

	if (r->lost || r->budget <= 0 || !snap_rescue_concerns(r, skb) ||
	    skb_shared(skb) || skb_unclone(skb, GFP_ATOMIC))
		return;
	skb->truesize = truesize;	/* what its socket was charged */
	if (!snap_rescue_frags(r, skb))
		return;
	for (link = &skb_shinfo(skb)->frag_list; *link; link = &(*link)->next) {
		part = *link;
		if (skb_shared(part)) {
			own = skb_clone(part, GFP_ATOMIC);
			if (!own)
				return;
			own->next = part->next;
			*link = own;
			consume_skb(part);
		}
		snap_rescue_skb(r, *link);
	}
}

/* One that somebody looks at gives its place to a clone, unless it is charged. */
static void snap_rescue_queue(struct snap_rescue *r, struct sk_buff_head *queue)
{
	struct sk_buff *skb, *next, *own;

	skb_queue_walk_safe(queue, skb, next) {
		if (skb_shared(skb) && !skb->destructor &&
		    snap_rescue_concerns(r, skb)) {
			own = skb_clone(skb, GFP_ATOMIC);
			if (!own)
				continue;
			__skb_queue_after(queue, skb, own);
			__skb_unlink(skb, queue);
			consume_skb(skb);
			skb = own;
		}
		snap_rescue_skb(r, skb);
	}
}

static void snap_rescue_tree(struct snap_rescue *r, struct rb_root *tree)
{
	struct sk_buff *skb;

	skb_rbtree_walk(skb, tree)
		snap_rescue_skb(r, skb);
}

static bool snap_rescue_left_in_queue(struct snap_rescue *r,
				      const struct sk_buff_head *queue)
{
	const struct sk_buff *skb;

	skb_queue_walk(queue, skb)
		if (snap_rescue_concerns(r, skb))
			return true;
	return false;
}

static bool snap_rescue_left_in_tree(struct snap_rescue *r,
				     const struct rb_root *tree)
{
	const struct sk_buff *skb;

	skb_rbtree_walk(skb, tree)
		if (snap_rescue_concerns(r, skb))
			return true;
	return false;
}

/* ---- Sockets ------------------------------------------------------------ */

/*
 * With the lock that softirqs take.  Not if a process uses the socket: it may do
 * so for long, so nobody waits for it.
 */
static void snap_rescue_locked(struct snap_rescue *r, struct sock *sk,
			       void (*then)(struct snap_rescue *r, struct sock *sk))
{
	local_bh_disable();
	bh_lock_sock(sk);
	if (!sock_owned_by_user(sk))
		then(r, sk);
	bh_unlock_sock(sk);
	local_bh_enable();
}

/* What waits for recvmsg(MSG_ERRQUEUE) is of either. */
static void snap_rescue_errors(struct snap_rescue *r, struct sock *sk)
{
	unsigned long flags;

	spin_lock_irqsave(&sk->sk_error_queue.lock, flags);
	snap_rescue_queue(r, &sk->sk_error_queue);
	spin_unlock_irqrestore(&sk->sk_error_queue.lock, flags);
}

static void snap_rescue_stream(struct snap_rescue *r, struct sock *sk)
{
	snap_rescue_queue(r, &sk->sk_receive_queue);
	snap_rescue_tree(r, &tcp_sk(sk)->out_of_order_queue);
	snap_rescue_tree(r, &sk->tcp_rtx_queue);
	snap_rescue_queue(r, &sk->sk_write_queue);
	snap_rescue_errors(r, sk);
}

static void snap_rescue_tcp(struct sock *sk, void *arg)
{
	struct snap_rescue *r = arg;

	do {
		snap_rescue_provide(r);
		snap_rescue_locked(r, sk, snap_rescue_stream);
	} while (snap_rescue_again(r));
}

static void snap_rescue_corked(struct snap_rescue *r, struct sock *sk)
{
	snap_rescue_queue(r, &sk->sk_write_queue);
	snap_rescue_errors(r, sk);
}

/* All that has arrived into one queue, as recvmsg() does, under its lock. */
static void snap_rescue_gather(struct sock *sk, struct sk_buff_head *queue)
{
	lockdep_assert_held(&queue->lock);
	spin_lock(&sk->sk_receive_queue.lock);
	skb_queue_splice_tail_init(&sk->sk_receive_queue, queue);
	spin_unlock(&sk->sk_receive_queue.lock);
}

static void snap_rescue_udp(struct sock *sk, void *arg)
{
	struct sk_buff_head *queue = &udp_sk(sk)->reader_queue;
	struct snap_rescue *r = arg;

	do {
		snap_rescue_provide(r);
		spin_lock_bh(&queue->lock);
		snap_rescue_gather(sk, queue);
		snap_rescue_queue(r, queue);
		spin_unlock_bh(&queue->lock);
		snap_rescue_locked(r, sk, snap_rescue_corked);
	} while (snap_rescue_again(r));
}

static bool snap_rescue_left_in_stream(struct snap_rescue *r, struct sock *sk)
{
	return snap_rescue_left_in_queue(r, &sk->sk_receive_queue) ||
	       snap_rescue_left_in_tree(r, &tcp_sk(sk)->out_of_order_queue) ||
	       snap_rescue_left_in_tree(r, &sk->tcp_rtx_queue) ||
	       snap_rescue_left_in_queue(r, &sk->sk_write_queue);
}

static void snap_rescue_abort_work(struct work_struct *work)
{
	struct snap_rescue_abort *ra =
		container_of(work, struct snap_rescue_abort, work);

	tcp_abort(ra->sk, EIO);	/* not twice */
	sock_put(ra->sk);
	kfree(ra);
}

/* Without memory the next turn does it. */
static void snap_rescue_abort_later(struct sock *sk)
{
	struct snap_rescue_abort *ra = kmalloc(sizeof(*ra), GFP_KERNEL);

	if (!ra)
		return;
	INIT_WORK(&ra->work, snap_rescue_abort_work);
	sock_hold(sk);
	ra->sk = sk;
	queue_work(snap_rescue_wq, &ra->work);
}

/*
 * A stream with a hole is none: it ends, with an error at both ends.  Under one lock,
 * so that nothing comes after the hole, and by what its protocol has for the holder
 * of that lock: tcp_abort() takes it, and would wait for a process that has it.
 * TLS refuses, because it keeps its place in the queue.  There the end may come
 * after the hole: what is read across it is not authentic.
 */
static void snap_rescue_end_stream(struct snap_rescue *r, struct sock *sk)
{
	r->left = snap_rescue_left_in_stream(r, sk);
	if (!r->left || sock_flag(sk, SOCK_DEAD))
		return;
	/* resets the peer, empties the queues, and forgets what came to their end */
	if (sk->sk_prot->disconnect(sk, 0)) {
		r->refused = sk->sk_state != TCP_CLOSE;
		return;
	}
	WRITE_ONCE(sk->sk_err, EIO);
	WRITE_ONCE(sk->sk_shutdown, SHUTDOWN_MASK);
	sk_error_report(sk);
	sk->sk_state_change(sk);
}

/* What waits for recvmsg(MSG_ERRQUEUE).  False: none of it was of the device. */
static bool snap_rescue_drop_errors(struct snap_rescue *r, struct sock *sk)
{
	struct sk_buff_head *queue = &sk->sk_error_queue, lost;
	struct sk_buff *skb, *next;
	unsigned long flags;
	bool any;

	__skb_queue_head_init(&lost);
	spin_lock_irqsave(&queue->lock, flags);
	skb_queue_walk_safe(queue, skb, next) {
		if (!snap_rescue_concerns(r, skb))
			continue;
		__skb_unlink(skb, queue);
		__skb_queue_tail(&lost, skb);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	any = !skb_queue_empty(&lost);
	__skb_queue_purge(&lost);
	return any;
}

static void snap_rescue_end_tcp(struct sock *sk, void *arg)
{
	struct snap_rescue *r = arg;

	snap_rescue_drop_errors(r, sk);
	r->left = false;
	r->refused = false;
	snap_rescue_locked(r, sk, snap_rescue_end_stream);
	/* no process has an orphan, or its lock */
	if (r->left && sock_flag(sk, SOCK_DEAD))
		tcp_abort(sk, EIO);
	else if (r->refused)
		snap_rescue_abort_later(sk);
}

/* What is corked makes one datagram, which is lost as a whole. */
static void snap_rescue_drop_corked(struct snap_rescue *r, struct sock *sk)
{
	struct udp_sock *up = udp_sk(sk);

	if (!snap_rescue_left_in_queue(r, &sk->sk_write_queue))
		return;
	r->left = true;
	if (up->pending == AF_INET) {
		snap_udp_flush_corked(sk);
#if IS_ENABLED(CONFIG_IPV6)
	} else if (up->pending) {
		up->len = 0;
		WRITE_ONCE(up->pending, 0);
		ip6_flush_pending_frames(sk);
#endif
	}
}

/* Datagrams get lost; that these did is said once. */
static void snap_rescue_end_udp(struct sock *sk, void *arg)
{
	struct sk_buff_head *queue = &udp_sk(sk)->reader_queue;
	struct snap_rescue *r = arg;
	struct sk_buff *skb, *next;

	spin_lock_bh(&queue->lock);
	snap_rescue_gather(sk, queue);
	r->left = false;
	skb_queue_walk_safe(queue, skb, next) {
		if (!snap_rescue_concerns(r, skb))
			continue;
		r->left = true;
		__skb_unlink(skb, queue);
		snap_udp_uncharge(sk, skb);
		sk_drops_inc(sk);
		kfree_skb(skb);
	}
	spin_unlock_bh(&queue->lock);
	r->left |= snap_rescue_drop_errors(r, sk);
	snap_rescue_locked(r, sk, snap_rescue_drop_corked);
	if (r->left) {
		WRITE_ONCE(sk->sk_err, EIO);
		sk_error_report(sk);
	}
}

/* ---- The device --------------------------------------------------------- */

/* Once more for those that a process uses, and for what is on its way to a socket. */
static void snap_rescue_end(struct snap_rescue *r)
{
	unsigned long end = jiffies + SNAP_RESCUE_TIME;

	while (true) {
		snap_walk(snap_rescue_end_tcp, snap_rescue_end_udp, r);
		snap_skbs_free_deferred();
		if (!snap_frames_out(r->sd->frames) || time_after(jiffies, end))
			break;
		msleep(SNAP_RESCUE_STEP_MS);
	}
}

static void snap_rescue_give_up(struct snap_dev *sd)
{
	struct snap_rescue *r;
	unsigned long end;

	snap_skbs_free_deferred();
	if (!snap_frames_out(sd->frames))
		return;
	r = kzalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return;
	r->sd = sd;
	/* what a reset has emptied answers again, but has not what was in it */
	r->lost = READ_ONCE(sd->given_up) || snap_dev_lost(sd);
	end = jiffies + SNAP_RESCUE_TIME;
	while (!r->lost) {
		r->poor = false;
		snap_walk(snap_rescue_tcp, snap_rescue_udp, r);
		snap_skbs_free_deferred();
		if (!snap_frames_out(sd->frames) || time_after(jiffies, end))
			break;
		msleep(SNAP_RESCUE_STEP_MS);
	}
	if (snap_frames_out(sd->frames))
		snap_rescue_end(r);
	while (r->nlarge)
		__free_pages(r->large[--r->nlarge],
			     get_order(SNAP_LARGE_SIZE));
	while (r->nspare)
		__free_page(r->spare[--r->nspare]);
	kfree(r);
}

static struct snap_part snap_rescue_part = {
	.give_up = snap_rescue_give_up,
};

int __init snap_rescue_init(void)
{
	snap_rescue_wq = alloc_workqueue("snap_rescue", WQ_UNBOUND, 0);
	if (!snap_rescue_wq)
		return -ENOMEM;
	snap_part_register(&snap_rescue_part);
	return 0;
}

void snap_rescue_exit(void)
{
	snap_part_unregister(&snap_rescue_part);
	destroy_workqueue(snap_rescue_wq);	/* ends what is in it */
}
