/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: a table of the guest's that says by which data queue a
 * received flow comes.
 *
 * The tap spreads flows, before anybody here sees a packet, by a program that
 * it is given (TUNSETSTEERINGEBPF), or as it likes without one.  The program
 * hashes addresses and ports with a secret key and looks into the table, which
 * is a part of it: a new table is a new program, and a packet meets the old one
 * or the new one.  What it answers is the place of a queue among those that are
 * attached to the tap, which are the active ones in their order (snap-queue.c).
 *
 * Programs are loaded by who may (CAP_BPF, and CAP_PERFMON since it looks into its
 * stack by a number).  If that is not us, the guest is not offered the command.
 */
#include "qemu/osdep.h"
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <sys/syscall.h>
#include "snap.h"
#include "trace.h"

#define SNAP_STEER_INSNS 256
#define SNAP_STEER_TRIES 8

typedef struct SnapProgram {
    struct bpf_insn insn[SNAP_STEER_INSNS];
    unsigned n;
} SnapProgram;

/* Registers: what the verifier wants, and ours. */
enum { ANSWER = 0, PACKET = 1, AT = 2, LOADED = 6, HASH = 7, OFFSET = 8,
       KEY = 9, STACK = 10 };

/* The next instruction; where it is. */
static unsigned snap_emit(SnapProgram *p, uint8_t code, unsigned dst,
                          unsigned src, int off, int32_t imm)
{
    g_assert(p->n < SNAP_STEER_INSNS);
    p->insn[p->n] = (struct bpf_insn) {
        .code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm,
    };
    return p->n++;
}

static unsigned snap_jump_if(SnapProgram *p, uint8_t test, uint32_t value)
{
    return snap_emit(p, BPF_JMP | test | BPF_K, ANSWER, 0, 0, value);
}

static unsigned snap_jump(SnapProgram *p)
{
    return snap_emit(p, BPF_JMP | BPF_JA, 0, 0, 0, 0);
}

/* The jump at `from` leads to what comes next. */
static void snap_land(SnapProgram *p, unsigned from)
{
    p->insn[from].off = p->n - from - 1;
}

/* Of the packet; one that is too short comes by the first queue. */
static void snap_load(SnapProgram *p, uint8_t size, uint32_t at)
{
    snap_emit(p, BPF_LD | BPF_ABS | size, 0, 0, 0, at);
}

static void snap_multiply(SnapProgram *p)
{
    snap_emit(p, BPF_ALU64 | BPF_MUL | BPF_X, HASH, KEY, 0, 0);
}

/*
 * The upper half works on the lower one: without that, ports that are counted
 * up would walk through the table in equal steps, which some keys make tiny.
 */
static void snap_fold(SnapProgram *p)
{
    snap_multiply(p);
    snap_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, AT, HASH, 0, 0);
    snap_emit(p, BPF_ALU64 | BPF_RSH | BPF_K, AT, 0, 0, 32);
    snap_emit(p, BPF_ALU64 | BPF_XOR | BPF_X, HASH, AT, 0, 0);
}

static void snap_mix(SnapProgram *p)
{
    snap_fold(p);
    snap_emit(p, BPF_ALU64 | BPF_ADD | BPF_X, HASH, ANSWER, 0, 0);
}

/* Unless the protocol, which the packet has there, is TCP or UDP. */
static unsigned snap_jump_without_ports(SnapProgram *p, uint32_t at)
{
    unsigned tcp, udp, other;

    snap_load(p, BPF_B, at);
    tcp = snap_jump_if(p, BPF_JEQ, IPPROTO_TCP);
    udp = snap_jump_if(p, BPF_JEQ, IPPROTO_UDP);
    other = snap_jump(p);
    snap_land(p, tcp);
    snap_land(p, udp);
    return other;
}

/* Without ports, if it is a fragment or neither TCP nor UDP. */
static void snap_hash_ip4(SnapProgram *p)
{
    unsigned fragment, other;

    for (unsigned at = 12; at < 20; at += 4) {
        snap_load(p, BPF_W, ETH_HLEN + at);
        snap_mix(p);
    }
    snap_load(p, BPF_H, ETH_HLEN + 6);
    fragment = snap_jump_if(p, BPF_JSET, 0x3fff);
    other = snap_jump_without_ports(p, ETH_HLEN + 9);
    snap_load(p, BPF_B, ETH_HLEN);
    snap_emit(p, BPF_ALU64 | BPF_AND | BPF_K, ANSWER, 0, 0, 0xf);
    snap_emit(p, BPF_ALU64 | BPF_LSH | BPF_K, ANSWER, 0, 0, 2);
    snap_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, OFFSET, ANSWER, 0, 0);
    snap_emit(p, BPF_LD | BPF_IND | BPF_W, 0, OFFSET, 0, ETH_HLEN);
    snap_mix(p);
    snap_land(p, fragment);
    snap_land(p, other);
}

/* Without ports, if anything is between it and TCP or UDP. */
static void snap_hash_ip6(SnapProgram *p)
{
    unsigned other;

    for (unsigned at = 8; at < 40; at += 4) {
        snap_load(p, BPF_W, ETH_HLEN + at);
        snap_mix(p);
    }
    other = snap_jump_without_ports(p, ETH_HLEN + 6);
    snap_load(p, BPF_W, ETH_HLEN + 40);
    snap_mix(p);
    snap_land(p, other);
}

/* What is no IP has the first entry. */
static void snap_assemble(SnapProgram *p, uint64_t key,
                          const uint8_t queue[SNAP_STEER_ENTRIES])
{
    unsigned ip4, ip6, other, end;

    p->n = 0;
    snap_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, LOADED, PACKET, 0, 0);
    for (unsigned i = 0; i < SNAP_STEER_ENTRIES; i += 4) {
        uint8_t place[4];
        int32_t four;

        for (unsigned j = 0; j < 4; j++) {
            place[j] = queue[i + j] - 1;
        }
        memcpy(&four, place, sizeof(four));
        snap_emit(p, BPF_ST | BPF_MEM | BPF_W, STACK, 0,
                  (int)i - SNAP_STEER_ENTRIES, four);
    }
    snap_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, HASH, 0, 0, 0);
    /* Two of them are one instruction. */
    snap_emit(p, BPF_LD | BPF_IMM | BPF_DW, KEY, 0, 0, key | 1);
    snap_emit(p, 0, 0, 0, 0, key >> 32);
    snap_load(p, BPF_H, ETH_HLEN - 2);
    ip4 = snap_jump_if(p, BPF_JEQ, ETH_P_IP);
    ip6 = snap_jump_if(p, BPF_JEQ, ETH_P_IPV6);
    other = snap_jump(p);
    snap_land(p, ip4);
    snap_hash_ip4(p);
    end = snap_jump(p);
    snap_land(p, ip6);
    snap_hash_ip6(p);
    snap_land(p, end);
    snap_land(p, other);
    snap_fold(p);
    snap_multiply(p);
    /* The upper bits, on which all others have worked. */
    QEMU_BUILD_BUG_ON(SNAP_STEER_ENTRIES != 1 << (64 - 57));
    snap_emit(p, BPF_ALU64 | BPF_RSH | BPF_K, HASH, 0, 0, 57);
    snap_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, AT, STACK, 0, 0);
    snap_emit(p, BPF_ALU64 | BPF_ADD | BPF_X, AT, HASH, 0, 0);
    snap_emit(p, BPF_LDX | BPF_MEM | BPF_B, ANSWER, AT, -SNAP_STEER_ENTRIES, 0);
    snap_emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/*
 * A descriptor, or -1.  The kernel that examines a program leaves off for any
 * signal and says EAGAIN.
 */
static int snap_load_program(const SnapProgram *p)
{
    union bpf_attr attr = { };
    int fd;

    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = (uintptr_t)p->insn;
    attr.insn_cnt = p->n;
    attr.license = (uintptr_t)"GPL";
    for (unsigned tries = 0; tries < SNAP_STEER_TRIES; tries++) {
        fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
        if (fd >= 0 || errno != EAGAIN) {
            break;
        }
    }
    return fd;
}

/* NULL: as the tap likes.  False, and nothing has changed: it does not. */
static bool snap_steer_by(SnapState *s, const uint8_t *queue)
{
    NetClientState *peer = qemu_get_queue(s->nic)->peer;
    SnapProgram program;
    int fd = -1;
    bool done;

    if (!peer || s->nic->peer_deleted || !peer->info->set_steering_ebpf) {
        return false;
    }
    if (queue) {
        snap_assemble(&program, s->steer_key, queue);
        fd = snap_load_program(&program);
        if (fd < 0) {
            return false;
        }
    }
    /* It keeps the program, as long as it has no other. */
    done = peer->info->set_steering_ebpf(peer, fd);
    if (queue) {
        close(fd);
    }
    return done;
}

bool snap_steer_possible(SnapState *s)
{
    uint8_t queue[SNAP_STEER_ENTRIES];

    memset(queue, 1, sizeof(queue));
    return s->queues > 1 && snap_steer_by(s, queue) && snap_steer_by(s, NULL);
}

void snap_steer_free(SnapState *s)
{
    if (s->steered) {
        snap_steer_by(s, NULL);
        s->steered = false;
    }
}

uint32_t snap_steer(SnapState *s, unsigned queue, void *entry, void *out)
{
    struct snap_steer *e = entry;
    bool free = e->e.flags & SNAP_STEER_FREE;

    for (unsigned i = 0; i < SNAP_STEER_ENTRIES; i++) {
        if (free && e->queue[i]) {
            return SNAP_ST_BAD_RESERVED;
        }
        if (!free && (e->queue[i] < 1 || e->queue[i] > s->active)) {
            return SNAP_ST_BAD_COUNT;
        }
    }
    if (free) {
        snap_steer_free(s);
    } else if (snap_steer_by(s, e->queue)) {
        s->steered = true;
    } else {
        return SNAP_ST_LINK_DOWN;
    }
    trace_snap_steer(s, s->steered);
    return SNAP_ST_OK;
}
