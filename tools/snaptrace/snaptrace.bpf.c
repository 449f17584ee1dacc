// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts at the tracepoints of the snap module, kmod/observe/trace.h, by
 * process or by socket.  Types of the kernel are declared with the members that
 * are used; libbpf finds where they are in the running kernel.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "events.h"

#define SOCK_STREAM 1
#define STATUS_OK 1        /* SNAP_ST_OK of snap_device.h */
#define FRAME_BYTES_MIN 60 /* shorter packets are padded to that */
#define TCP_PSH 0x08
#define PROCESSES_MAX 10240
#define SOCKETS_MAX 16384

#pragma clang attribute push(__attribute__((preserve_access_index)),           \
                             apply_to = record)
struct inode {
    unsigned long i_ino;
};

struct sock;

struct socket {
    struct sock *sk;
};

struct socket_alloc {
    struct socket socket;
    struct inode vfs_inode;
};

struct sock {
    struct socket *sk_socket;
    __u16 sk_type;
};

struct tcp_sock {
    __u32 write_seq;
    __u32 snd_una;
};

struct sk_buff {
    struct sock *sk;
    unsigned int len;
    unsigned char *head;
    unsigned char *data;
    __u16 transport_header;
};
#pragma clang attribute pop

/* As it is on the wire, hence not relocated. */
struct tcp_start {
    __be16 source;
    __be16 dest;
    __be32 seq;
    __be32 ack_seq;
    __u8 offset; /* upper half: words of the header */
    __u8 flags;
};

/* A send whose first packet has not left; by struct sock. */
struct pending {
    struct snaptrace_key key;
    __u64 inode;
    __u64 start; /* ns */
    __u32 seq;   /* of its first byte, for a stream */
    __u32 reserved;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, PROCESSES_MAX);
    __type(key, struct snaptrace_key);
    __type(value, struct snaptrace_counts);
} counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, SOCKETS_MAX);
    __type(key, __u64);
    __type(value, struct pending);
} sends SEC(".maps");

const volatile __u32 only_pid = 0; /* zero: all processes */
const volatile int by_socket = 0;

__u64 lost = 0; /* events for which `counts` had no room */

static const struct snaptrace_counts zero;

static __always_inline __u64 inode_of(const struct sock *sk) {
    struct socket_alloc *alloc = (void *)BPF_CORE_READ(sk, sk_socket);

    return alloc ? BPF_CORE_READ(alloc, vfs_inode.i_ino) : 0;
}

/* False: another process than the one that is wanted. */
static __always_inline int key_of(const struct sock *sk,
                                  struct snaptrace_key *key) {
    key->pid = bpf_get_current_pid_tgid() >> 32;
    key->reserved = 0;
    key->inode = by_socket ? inode_of(sk) : 0;
    return !only_pid || key->pid == only_pid;
}

static __always_inline struct snaptrace_counts *
counts_of(const struct sock *sk) {
    struct snaptrace_counts *c;
    struct snaptrace_key key;

    if (!sk || !key_of(sk, &key))
        return NULL;
    c = bpf_map_lookup_elem(&counts, &key);
    if (c)
        return c;
    /* another processor may be first: then its entry stays */
    bpf_map_update_elem(&counts, &key, &zero, BPF_NOEXIST);
    c = bpf_map_lookup_elem(&counts, &key);
    if (c)
        bpf_get_current_comm(c->comm, sizeof(c->comm));
    else
        __sync_fetch_and_add(&lost, 1);
    return c;
}

SEC("tp_btf/snap_send_ref")
int BPF_PROG(count_ref, struct sock *sk, __u64 bytes) {
    struct snaptrace_counts *c = counts_of(sk);

    if (!c)
        return 0;
    __sync_fetch_and_add(&c->ref_msgs, 1);
    __sync_fetch_and_add(&c->ref_bytes, bytes);
    return 0;
}

SEC("tp_btf/snap_send_copy")
int BPF_PROG(count_copy, struct sock *sk, __u64 bytes, __u32 reason) {
    struct snaptrace_counts *c = counts_of(sk);

    if (!c)
        return 0;
    if (reason >= SNAPTRACE_REASONS)
        reason = SNAPTRACE_REASONS - 1;
    __sync_fetch_and_add(&c->copied_msgs[reason], 1);
    __sync_fetch_and_add(&c->copied_bytes[reason], bytes);
    return 0;
}

SEC("tp_btf/snap_recv")
int BPF_PROG(count_recv, struct sock *sk, __u64 copied, __u64 viewed) {
    struct snaptrace_counts *c = counts_of(sk);

    if (!c)
        return 0;
    __sync_fetch_and_add(&c->rx_msgs, 1);
    __sync_fetch_and_add(&c->rx_copied_bytes, copied);
    if (viewed) {
        __sync_fetch_and_add(&c->rx_viewed_msgs, 1);
        __sync_fetch_and_add(&c->rx_viewed_bytes, viewed);
    }
    return 0;
}

/*
 * Does it still wait for its packet?  Then its first byte is one that TCP
 * keeps, or the next one.
 */
static __always_inline int waits(const struct pending *send, __u64 inode,
                                 const struct tcp_sock *tp) {
    __u32 first = BPF_CORE_READ(tp, snd_una);

    return send->inode == inode &&
           send->seq - first <= BPF_CORE_READ(tp, write_seq) - first;
}

/*
 * A datagram is on its way before the next one of its socket begins, or lost.
 * A stream may keep bytes back for long: until the first byte of the send that
 * is measured has left, or was acknowledged without us, no other is.
 */
SEC("fentry/snap_sock_sendmsg")
int BPF_PROG(send_begins, struct socket *sock) {
    struct sock *sk = BPF_CORE_READ(sock, sk);
    struct pending now = {}, *before;
    __u64 id = (unsigned long)sk;

    if (!key_of(sk, &now.key) || !counts_of(sk))
        return 0;
    now.start = bpf_ktime_get_ns();
    now.inode = inode_of(sk);
    if (BPF_CORE_READ(sk, sk_type) == SOCK_STREAM) {
        struct tcp_sock *tp = (void *)sk;

        now.seq = BPF_CORE_READ(tp, write_seq);
        before = bpf_map_lookup_elem(&sends, &id);
        if (before && waits(before, now.inode, tp))
            return 0;
    }
    bpf_map_update_elem(&sends, &id, &now, BPF_ANY);
    return 0;
}

/* A call that has sent nothing is none: the next one has a time of its own. */
SEC("fexit/snap_sock_sendmsg")
int BPF_PROG(send_ends, struct socket *sock, void *msg, __u64 len, int sent) {
    struct sock *sk = BPF_CORE_READ(sock, sk);
    struct tcp_sock *tp = (void *)sk;
    __u64 id = (unsigned long)sk;
    struct pending *send;

    send = sent < 0 ? bpf_map_lookup_elem(&sends, &id) : NULL;
    /* of a stream, the one that is measured may be one from before */
    if (send && (BPF_CORE_READ(sk, sk_type) != SOCK_STREAM ||
                 send->seq == BPF_CORE_READ(tp, write_seq)))
        bpf_map_delete_elem(&sends, &id);
    return 0;
}

/* Is the byte `seq` in this packet? */
static __always_inline int carries(const struct sk_buff *skb, __u32 seq) {
    unsigned char *head = BPF_CORE_READ(skb, head);
    unsigned char *data = BPF_CORE_READ(skb, data);
    unsigned char *transport = head + BPF_CORE_READ(skb, transport_header);
    struct tcp_start tcp;
    __u32 headers, len = BPF_CORE_READ(skb, len);

    if (bpf_probe_read_kernel(&tcp, sizeof(tcp), transport))
        return 0;
    /* padding behind a bare acknowledgement is no payload */
    if (len <= FRAME_BYTES_MIN && !(tcp.flags & TCP_PSH))
        return 0;
    headers = (transport - data) + (tcp.offset >> 4) * 4;
    return seq - bpf_ntohl(tcp.seq) < len - headers;
}

static __always_inline __u32 slot_of(__u64 ns) {
    __u32 slot = 0;
    int step;

#pragma unroll
    for (step = 32; step; step /= 2) {
        if (ns >> step) {
            ns >>= step;
            slot += step;
        }
    }
    return slot < SNAPTRACE_SLOTS ? slot : SNAPTRACE_SLOTS - 1;
}

SEC("tp_btf/snap_xmit")
int BPF_PROG(doorbell, struct sk_buff *skb, void *netdev, __u32 queue,
             int status) {
    __u64 id, now = bpf_ktime_get_ns();
    struct snaptrace_counts *c;
    struct pending *send;

    /* the verifier wants arguments of tracepoints looked at */
    if (!skb || status != STATUS_OK)
        return 0;
    id = (unsigned long)BPF_CORE_READ(skb, sk);
    send = bpf_map_lookup_elem(&sends, &id);
    if (!send)
        return 0;
    if (BPF_CORE_READ((struct sock *)id, sk_type) == SOCK_STREAM &&
        !carries(skb, send->seq))
        return 0;
    c = bpf_map_lookup_elem(&counts, &send->key);
    if (c)
        __sync_fetch_and_add(&c->latency[slot_of(now - send->start)], 1);
    bpf_map_delete_elem(&sends, &id);
    return 0;
}

char _license[] SEC("license") = "GPL";
