// SPDX-License-Identifier: GPL-2.0-only
/* What UDP does to its own sockets; see udp.h. */

#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/inet_sock.h>
#include <net/sock.h>

#include "compat/udp.h"

void snap_udp_uncharge(struct sock *sk, const struct sk_buff *skb)
{
	struct sk_buff_head *queue = &sk->sk_receive_queue;
	struct udp_sock *up = udp_sk(sk);

	lockdep_assert_held(&up->reader_queue.lock);
	up->forward_deficit += skb->truesize;
	if (up->forward_deficit < READ_ONCE(up->forward_threshold) &&
	    !skb_queue_empty(&up->reader_queue))
		return;
	spin_lock(&queue->lock);	/* guards what is allocated in advance */
	sk_forward_alloc_add(sk, up->forward_deficit);
	/* whole pages, but for the last byte, as UDP does */
	if (sk->sk_forward_alloc > PAGE_SIZE)
		__sk_mem_reclaim(sk, sk->sk_forward_alloc - 1);
	atomic_sub(up->forward_deficit, &sk->sk_rmem_alloc);
	up->forward_deficit = 0;
	skb_queue_splice_tail_init(queue, &up->reader_queue);
	spin_unlock(&queue->lock);
}

void snap_udp_flush_corked(struct sock *sk)
{
	struct inet_cork *cork = &inet_sk(sk)->cork.base;
	struct udp_sock *up = udp_sk(sk);

	up->len = 0;
	WRITE_ONCE(up->pending, 0);
	__skb_queue_purge(&sk->sk_write_queue);
	cork->flags &= ~IPCORK_OPT;
	kfree(cork->opt);
	cork->opt = NULL;
	dst_release(cork->dst);
	cork->dst = NULL;
}
