// SPDX-License-Identifier: GPL-2.0-only
/* The socket family; see sock.h. */

#include <linux/in6.h>
#include <linux/module.h>
#include <net/inet_common.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>

#include "compat/sock.h"
#include "compat/splice.h"
#include "observe/list.h"
#include "observe/sysctl.h"
#include "observe/trace.h"
#include "socket/send.h"
#include "socket/sock.h"
#include "socket/view.h"

/* Just under 400 bytes: kmalloc() would take 512 for each socket. */
static struct kmem_cache *snap_sock_cache;

struct snap_sock *snap_sock_of(const struct socket *sock)
{
	return SOCK_INODE((struct socket *)sock)->i_private;
}

/*
 * Addresses have the inner family, and nothing translates them: what security
 * modules see of them is what is bound and connected.
 */

static int snap_sock_bind(struct socket *sock, struct sockaddr_unsized *addr,
			  int len)
{
	return snap_sock_of(sock)->base->bind(sock, addr, len);
}

static int snap_sock_connect(struct socket *sock, struct sockaddr_unsized *addr,
			     int len, int flags)
{
	return snap_sock_of(sock)->base->connect(sock, addr, len, flags);
}

static int snap_sock_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	return sock->type == SOCK_STREAM ? snap_stream_send(sock, msg, len) :
					   snap_dgram_send(sock, msg, len);
}

static int snap_sock_recvmsg(struct socket *sock, struct msghdr *msg,
			     size_t len, int flags)
{
	struct snap_sock *ss = snap_sock_of(sock);
	bool look = flags & (MSG_PEEK | MSG_ERRQUEUE);
	struct snap_view *view = NULL;
	struct snap_received got = { };
	size_t copied;
	int ret;

	/* who does not ask, or has no view, finds all bytes in his buffers */
	if (flags & MSG_SNAP_VIEW && !look)
		view = snap_view_of(ss);
	if (view && !snap_view_mine(view))
		view = NULL;
	flags &= ~MSG_SNAP_VIEW;
	ret = view ? snap_view_recv(sock, view, msg, len, flags, &got) :
		     ss->base->recvmsg(sock, msg, len, flags);
	/* no bytes: a datagram may have none, a stream has none at its end */
	if (look || ret < 0 || (!ret && sock->type == SOCK_STREAM))
		return ret;
	copied = min_t(size_t, ret, len) - got.viewed;	/* MSG_TRUNC */
	if (!view)
		got.copied[SNAP_RECV_NOT_ASKED] = copied;
	snap_counts_receive(&ss->shown.counts, &got);
	snap_counts_receive(snap_counts_of(sock_net(sock->sk)), &got);
	trace_snap_recv(sock->sk, copied, got.viewed, snap_received_why(&got));
	return ret;
}

static int snap_sock_set_copybreak(struct snap_sock *ss, sockptr_t optval,
				   unsigned int optlen)
{
	int value;

	if (optlen < sizeof(value))
		return -EINVAL;
	if (copy_from_sockptr(&value, optval, sizeof(value)))
		return -EFAULT;
	if (value < 0)
		return -EINVAL;
	WRITE_ONCE(ss->shown.copybreak, value);
	return 0;
}

static int snap_sock_set_snap(struct socket *sock, int optname,
			      sockptr_t optval, unsigned int optlen)
{
	struct snap_sock *ss = snap_sock_of(sock);

	switch (optname) {
	case SNAP_COPYBREAK:
		return snap_sock_set_copybreak(ss, optval, optlen);
	case SNAP_VIEW:
		return snap_view_create(sock, optval, optlen);
	case SNAP_VIEW_RELEASE:
		return snap_view_release(ss, optval, optlen);
	default:
		return -ENOPROTOOPT;
	}
}

static int snap_sock_setsockopt(struct socket *sock, int level, int optname,
				sockptr_t optval, unsigned int optlen)
{
	struct snap_sock *ss = snap_sock_of(sock);

	if (level == SOL_SNAP)
		return snap_sock_set_snap(sock, optname, optval, optlen);
	/* They would put other operations in place of ours. */
	if ((level == SOL_IPV6 && optname == IPV6_ADDRFORM) ||
	    (level == SOL_TCP && optname == TCP_ULP))
		return -ENOPROTOOPT;
	return ss->base->setsockopt(sock, level, optname, optval, optlen);
}

/* What SOL_SNAP has to read; each structure has its size in front. */
union snap_sock_value {
	int copybreak;
	u32 size;
	struct snap_sock_stats stats;
	struct snap_view_args view;
};

/* Bytes of the value, or an error. */
static int snap_sock_read_snap(struct snap_sock *ss, int optname,
			       union snap_sock_value *value)
{
	struct snap_view *view;

	switch (optname) {
	case SNAP_COPYBREAK:
		value->copybreak = READ_ONCE(ss->shown.copybreak);
		return sizeof(value->copybreak);
	case SNAP_SOCK_STATS:
		snap_counts_read(&ss->shown.counts, &value->stats);
		return sizeof(value->stats);
	case SNAP_VIEW:
		view = snap_view_of(ss);
		if (!view)
			return -ENODATA;
		snap_view_describe(view, &value->view);
		return sizeof(value->view);
	default:
		return -ENOPROTOOPT;
	}
}

static int snap_sock_get_snap(struct snap_sock *ss, int optname,
			      char __user *optval, int __user *optlen)
{
	union snap_sock_value value;
	int len, size;

	if (get_user(len, optlen))
		return -EFAULT;
	size = snap_sock_read_snap(ss, optname, &value);
	if (size < 0)
		return size;
	/* whole numbers only: nobody wants a part of one */
	if (len < min(size, 8))
		return -EINVAL;
	size = min(size, len);
	if (optname != SNAP_COPYBREAK)
		value.size = size;
	if (put_user(size, optlen) || copy_to_user(optval, &value, size))
		return -EFAULT;
	return 0;
}

static int snap_sock_getsockopt(struct socket *sock, int level, int optname,
				char __user *optval, int __user *optlen)
{
	struct snap_sock *ss = snap_sock_of(sock);

	if (level == SOL_SNAP)
		return snap_sock_get_snap(ss, optname, optval, optlen);
	return ss->base->getsockopt(sock, level, optname, optval, optlen);
}

/*
 * The new socket has its struct snap_sock before the inner accept() gives it a
 * sock.  If that fails it is taken back: kernel_accept() has not given the
 * socket our operations yet, and would not call our release.
 */
static int snap_sock_accept(struct socket *sock, struct socket *newsock,
			    struct proto_accept_arg *arg)
{
	const struct snap_sock *listener = snap_sock_of(sock);
	struct snap_sock *ss = kmem_cache_zalloc(snap_sock_cache, GFP_KERNEL);
	int err;

	if (!ss)
		return -ENOMEM;
	ss->base = listener->base;
	ss->prot = listener->prot;
	ss->shown.copybreak = READ_ONCE(listener->shown.copybreak);
	SOCK_INODE(newsock)->i_private = ss;
	err = ss->base->accept(sock, newsock, arg);
	if (err) {
		SOCK_INODE(newsock)->i_private = NULL;
		kmem_cache_free(snap_sock_cache, ss);
		return err;
	}
	snap_list_add(&ss->shown, newsock->sk);
	return 0;
}

static int snap_sock_release(struct socket *sock)
{
	struct inode *inode = SOCK_INODE(sock);
	struct snap_sock *ss = inode->i_private;
	int ret;

	/* accept() makes a socket before it asks us, and may drop it unused. */
	if (!ss)
		return 0;
	snap_list_remove(&ss->shown);
	ret = ss->base->release(sock);
	inode->i_private = NULL;
	snap_view_destroy(ss->view);
	kmem_cache_free(snap_sock_cache, ss);
	return ret;
}

/*
 * The rest goes straight to the inner family, whose operations are not all
 * exported.
 */

static int snap_sock_getname(struct socket *sock, struct sockaddr *addr, int peer)
{
	return snap_sock_of(sock)->base->getname(sock, addr, peer);
}

static __poll_t snap_sock_poll(struct file *file, struct socket *sock,
			       struct poll_table_struct *wait)
{
	return snap_sock_of(sock)->base->poll(file, sock, wait);
}

static int snap_sock_ioctl(struct socket *sock, unsigned int cmd,
			   unsigned long arg)
{
	return snap_sock_of(sock)->base->ioctl(sock, cmd, arg);
}

#ifdef CONFIG_COMPAT
static int snap_sock_compat_ioctl(struct socket *sock, unsigned int cmd,
				  unsigned long arg)
{
	return snap_sock_of(sock)->base->compat_ioctl(sock, cmd, arg);
}
#endif

static void snap_sock_splice_eof(struct socket *sock)
{
	const struct proto_ops *base = snap_sock_of(sock)->base;

	if (base->splice_eof)
		base->splice_eof(sock);
}

static int snap_sock_set_peek_off(struct sock *sk, int val)
{
	return snap_sock_of(sk->sk_socket)->base->set_peek_off(sk, val);
}

static int snap_sock_listen(struct socket *sock, int backlog)
{
	return snap_sock_of(sock)->base->listen(sock, backlog);
}

/*
 * The window is far out; a stream's other mappings are for TCP_ZEROCOPY_RECEIVE,
 * which maps no frames (device/frame.c).
 */
static int snap_sock_mmap(struct file *file, struct socket *sock,
			  struct vm_area_struct *vma)
{
	struct snap_sock *ss = snap_sock_of(sock);

	return snap_view_mmaps(vma) ? snap_view_mmap(snap_view_of(ss), vma) :
				      ss->base->mmap(file, sock, vma);
}

static ssize_t snap_sock_splice_read(struct socket *sock, loff_t *ppos,
				     struct pipe_inode_info *pipe, size_t len,
				     unsigned int flags)
{
	return snap_sock_of(sock)->base->splice_read(sock, ppos, pipe, len, flags);
}

/* The lock of the sock, which the callers of these hold, keeps its socket. */

static int snap_sock_sendmsg_locked(struct sock *sk, struct msghdr *msg,
				    size_t len)
{
	return snap_sock_of(sk->sk_socket)->base->sendmsg_locked(sk, msg, len);
}

static int snap_sock_read_sock(struct sock *sk, read_descriptor_t *desc,
			       sk_read_actor_t actor)
{
	return snap_sock_of(sk->sk_socket)->base->read_sock(sk, desc, actor);
}

static int snap_sock_read_skb(struct sock *sk, skb_read_actor_t actor)
{
	return snap_sock_of(sk->sk_socket)->base->read_skb(sk, actor);
}

static int snap_sock_peek_len(struct socket *sock)
{
	return snap_sock_of(sock)->base->peek_len(sock);
}

static int snap_sock_set_rcvlowat(struct sock *sk, int val)
{
	return snap_sock_of(sk->sk_socket)->base->set_rcvlowat(sk, val);
}

#ifdef SNAP_HAVE_SET_RCVBUF
static void snap_sock_set_rcvbuf(struct sock *sk, int val)
{
	snap_sock_of(sk->sk_socket)->base->set_rcvbuf(sk, val);
}
#endif

static const struct proto_ops snap_sock_stream_ops = {
	.family		= PF_SNAP,
	.owner		= THIS_MODULE,
	.release	= snap_sock_release,
	.bind		= snap_sock_bind,
	.connect	= snap_sock_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= snap_sock_accept,
	.getname	= snap_sock_getname,
	.poll		= snap_sock_poll,
	.ioctl		= snap_sock_ioctl,
	.gettstamp	= sock_gettstamp,
	.listen		= snap_sock_listen,
	.shutdown	= inet_shutdown,
	.setsockopt	= snap_sock_setsockopt,
	.getsockopt	= snap_sock_getsockopt,
	.sendmsg	= snap_sock_sendmsg,
	.recvmsg	= snap_sock_recvmsg,
	.sendmsg_locked	= snap_sock_sendmsg_locked,
	.read_sock	= snap_sock_read_sock,
	.read_skb	= snap_sock_read_skb,
	.mmap		= snap_sock_mmap,
	.splice_eof	= snap_sock_splice_eof,
	.splice_read	= snap_sock_splice_read,
	.peek_len	= snap_sock_peek_len,
	.set_peek_off	= snap_sock_set_peek_off,
	.set_rcvlowat	= snap_sock_set_rcvlowat,
#ifdef SNAP_HAVE_SET_RCVBUF
	.set_rcvbuf	= snap_sock_set_rcvbuf,
#endif
#ifdef CONFIG_COMPAT
	.compat_ioctl	= snap_sock_compat_ioctl,
#endif
};

/*
 * Of UDP over both: not exported by itself.  Nobody holds the lock here, so the
 * sock's socket may be on its way out.
 */
static int snap_sock_dgram_read_skb(struct sock *sk, skb_read_actor_t actor)
{
	return inet_dgram_ops.read_skb(sk, actor);
}

static const struct proto_ops snap_sock_dgram_ops = {
	.family		= PF_SNAP,
	.owner		= THIS_MODULE,
	.release	= snap_sock_release,
	.bind		= snap_sock_bind,
	.connect	= snap_sock_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= snap_sock_getname,
	.poll		= snap_sock_poll,
	.ioctl		= snap_sock_ioctl,
	.gettstamp	= sock_gettstamp,
	.listen		= sock_no_listen,
	.shutdown	= inet_shutdown,
	.setsockopt	= snap_sock_setsockopt,
	.getsockopt	= snap_sock_getsockopt,
	.sendmsg	= snap_sock_sendmsg,
	.recvmsg	= snap_sock_recvmsg,
	.read_skb	= snap_sock_dgram_read_skb,
	.mmap		= snap_sock_mmap,
	.splice_eof	= snap_sock_splice_eof,
	.set_peek_off	= snap_sock_set_peek_off,
#ifdef CONFIG_COMPAT
	.compat_ioctl	= snap_sock_compat_ioctl,
#endif
};

/* Move the sock over; its first struct socket is not needed again. */
static void snap_sock_adopt(struct socket *sock, struct snap_sock *ss,
			    struct socket *inner)
{
	struct sock *sk = inner->sk;

	ss->base = READ_ONCE(inner->ops);
	ss->prot = READ_ONCE(sk->sk_prot);
	ss->shown.copybreak = READ_ONCE(snap_sysctl_of(sock_net(sk))->copybreak);
	SOCK_INODE(sock)->i_private = ss;
	/* what the protocol can do: zerocopy, socket options of its own */
	sock->flags |= inner->flags;
	inner->sk = NULL;
	sock_graft(sk, sock);
	sock->ops = sock->type == SOCK_STREAM ? &snap_sock_stream_ops :
						&snap_sock_dgram_ops;
	sock->state = SS_UNCONNECTED;
	sock_release(inner);
	snap_list_add(&ss->shown, sk);
}

static int snap_sock_create(struct net *net, struct socket *sock, int protocol,
			    int kern)
{
	int inner_protocol = sock->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	int family = protocol == SNAPPROTO_IPV6 ? PF_INET6 : PF_INET;
	struct socket *inner;
	struct snap_sock *ss;
	int err;

	if (protocol != SNAPPROTO_IPV4 && protocol != SNAPPROTO_IPV6)
		return -EPROTONOSUPPORT;
	if (sock->type != SOCK_DGRAM && sock->type != SOCK_STREAM)
		return -ESOCKTNOSUPPORT;
	/* as if the family were not there; those of the kernel are nobody's */
	if (!kern && !READ_ONCE(snap_sysctl_of(net)->sockets))
		return -EAFNOSUPPORT;
	ss = kmem_cache_zalloc(snap_sock_cache, GFP_KERNEL);
	if (!ss)
		return -ENOMEM;
	err = kern ? sock_create_kern(net, family, sock->type, inner_protocol, &inner) :
		     sock_create(family, sock->type, inner_protocol, &inner);
	if (err) {
		kmem_cache_free(snap_sock_cache, ss);
		return err;
	}
	snap_sock_adopt(sock, ss, inner);
	return 0;
}

static const struct net_proto_family snap_sock_family = {
	.family = PF_SNAP,
	.create = snap_sock_create,
	.owner = THIS_MODULE,
};

/*
 * What UDP or TCP can do and our sockets cannot would merely be missed; what ours
 * pass on has to be there.
 */
static int __init snap_sock_check(const char *name, const struct proto_ops *ours,
				  const struct proto_ops *inner)
{
	const size_t first = offsetof(struct proto_ops, release) / sizeof(void *);
	void *const *a = (void *const *)ours, *const *b = (void *const *)inner;
	size_t i;

	for (i = first; i < sizeof(*ours) / sizeof(void *); i++) {
		if (!a[i] == !b[i])
			continue;
		pr_err("snap: this kernel cannot be served: operation %zu is one of %s sockets and not of AF_SNAP sockets, or the other way round\n",
		       i - first, name);
		return -EOPNOTSUPP;
	}
	return 0;
}

int __init snap_sock_init(void)
{
	int err;

	err = snap_sock_check("TCP", &snap_sock_stream_ops, &inet_stream_ops) ?:
	      snap_sock_check("UDP", &snap_sock_dgram_ops, &inet_dgram_ops);
	if (!err)
		err = snap_splice_init();
	if (err)
		return err;
	snap_sock_cache = KMEM_CACHE(snap_sock, SLAB_ACCOUNT);
	if (!snap_sock_cache)
		return -ENOMEM;
	err = sock_register(&snap_sock_family);
	if (err)
		kmem_cache_destroy(snap_sock_cache);
	return err;
}

void snap_sock_exit(void)
{
	sock_unregister(PF_SNAP);
	kmem_cache_destroy(snap_sock_cache);
}
