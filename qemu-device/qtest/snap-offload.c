/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Offloads of the snapshot memory NIC, on the only backend that has them: a
 * tap device, in a network namespace of our own.  Skipped where that is not
 * allowed.
 */
#include "qemu/osdep.h"
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include "qemu/bswap.h"
#include "standard-headers/linux/virtio_net.h"
#include "snap-fixture.h"

#define TCP_HEADERS     (14 + 20 + 20)
#define UDP_HEADERS     (14 + 20 + 8)
#define CSUM_START      (14 + 20)
#define CSUM_OFFSET     16      /* of TCP */
#define UDP_CSUM_OFFSET 6
#define GSO_SIZE        1000

typedef SnapTap Tap;

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == strlen(text);

    close(fd);
    return ok;
}

bool snap_tap_open(SnapTap *t, int flags)
{
    struct ifreq ifr = {
        .ifr_name = "snaptest0",
        .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags,
    };
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(0x0003), /* ETH_P_ALL */
    };
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int one = 1;

    if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET)) {
        return false;
    }
    write_text("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    t->fd = open("/dev/net/tun", O_RDWR);
    if (t->fd < 0 || ioctl(t->fd, TUNSETIFF, &ifr)) {
        return false;
    }
    t->packet = socket(AF_PACKET, SOCK_RAW, 0);
    g_assert_cmpint(t->packet, >=, 0);
    g_assert(!setsockopt(t->packet, SOL_PACKET, PACKET_VNET_HDR, &one,
                         sizeof(one)));
    /* Tests that come later stay in this namespace, and use it. */
    g_assert(!ioctl(t->packet, SIOCSIFFLAGS, &lo));
    ifr.ifr_flags = IFF_UP;
    g_assert(!ioctl(t->packet, SIOCSIFFLAGS, &ifr));
    g_assert(!ioctl(t->packet, SIOCGIFINDEX, &ifr));
    address.sll_ifindex = ifr.ifr_ifindex;
    g_assert(!bind(t->packet, (struct sockaddr *)&address, sizeof(address)));
    return true;
}

bool snap_tap_boot(SnapTap *t, const char *properties)
{
    g_autofree char *net = NULL;

    if (!snap_tap_open(t, 0)) {
        g_test_skip("no tap device may be made here");
        return false;
    }
    net = g_strdup_printf("-netdev tap,id=net0,fd=%d", t->fd);
    t->s = snap_boot_on("q35", net, properties);
    close(t->fd);
    return true;
}

static bool tap_boot(Tap *t)
{
    return snap_tap_boot(t, "");
}

void snap_tap_halt(SnapTap *t)
{
    snap_halt(t->s);
    close(t->packet);
}

static void restart(Tap *t, uint64_t features)
{
    snap_set(t->s, SNAP_REG_CONTROL, SNAP_CTL_RESET);
    snap_start(t->s, features);
}

/*
 * A packet without checksum, and the header that asks for one: a TCP segment,
 * many of them (VIRTIO_NET_HDR_GSO_TCPV4), or many datagrams (_UDP_L4).
 */
static struct snap_offload build(uint8_t *p, uint32_t length, uint8_t gso)
{
    bool udp = gso == VIRTIO_NET_HDR_GSO_UDP_L4;
    unsigned headers = udp ? UDP_HEADERS : TCP_HEADERS;
    unsigned offset = udp ? UDP_CSUM_OFFSET : CSUM_OFFSET;
    unsigned protocol = udp ? 17 : 6;
    uint32_t sum = 0;

    snap_pattern(p, length, 4);
    p[0] = 0x02;
    p[6] = 0x02;
    stw_be_p(p + 12, 0x0800);
    memset(p + 14, 0, headers - 14);
    p[14] = 0x45;
    stw_be_p(p + 16, length - 14);
    p[22] = 64;
    p[23] = protocol;
    stl_be_p(p + 26, 0x0a000001);
    stl_be_p(p + 30, 0x0a000002);
    for (unsigned i = 14; i < 34; i += 2) {
        sum += lduw_be_p(p + i);
    }
    stw_be_p(p + 24, ~((sum & 0xffff) + (sum >> 16)));
    if (udp) {
        stw_be_p(p + CSUM_START + 4, length - CSUM_START);
    } else {
        p[CSUM_START + 12] = 0x50;
        p[CSUM_START + 13] = 0x10; /* ACK */
    }
    /* The sum over the pseudo header is what the field starts with. */
    sum = 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + protocol + length -
          CSUM_START;
    stw_be_p(p + CSUM_START + offset, (sum & 0xffff) + (sum >> 16));
    return (struct snap_offload) {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = CSUM_START,
        .csum_offset = offset,
        .gso_type = gso,
        .gso_size = gso ? GSO_SIZE : 0,
        .hdr_len = gso ? headers : 0,
    };
}

static uint32_t try_offload(Tap *t, struct snap_offload o, uint32_t length)
{
    struct snap_tx tx = snap_tx_of(SNAP_SEG_DMA, SNAP_TEST_RAM, length);

    tx.offload = o;
    return snap_send(t->s, &tx);
}

static void test_bad_offloads(void)
{
    Tap t;
    uint8_t bytes[4000];
    struct snap_offload csum, gso, udp, o;
    uint64_t all;

    if (!tap_boot(&t)) {
        return;
    }
    all = snap_get(t.s, SNAP_REG_FEATURES);
    /* One queue: there is nothing to steer. */
    g_assert_cmphex(all | SNAP_F_USO, ==, SNAP_F_ALL & ~SNAP_F_STEER);
    udp = build(bytes, sizeof(bytes), VIRTIO_NET_HDR_GSO_UDP_L4);
    csum = build(bytes, 1000, 0);
    gso = build(bytes, sizeof(bytes), VIRTIO_NET_HDR_GSO_TCPV4);
    qtest_memwrite(t.s->qts, SNAP_TEST_RAM, bytes, sizeof(bytes));

#define EXPECT(status, features, base, ...) do { \
        restart(&t, features); \
        o = base; \
        __VA_ARGS__; \
        g_assert_cmpuint(try_offload(&t, o, sizeof(bytes)), ==, \
                         SNAP_ST_ ## status); \
    } while (0)

    EXPECT(OK, all, gso, (void)0);
    EXPECT(OK, all, csum, (void)0);
    EXPECT(OK, SNAP_F_CSUM, csum, (void)0);
    EXPECT(OK, SNAP_F_CSUM | SNAP_F_TSO4, gso, (void)0);
    EXPECT(OK, all, gso, o.gso_type |= VIRTIO_NET_HDR_GSO_ECN);
    EXPECT(BAD_OFFLOAD, 0, csum, (void)0);
    EXPECT(BAD_OFFLOAD, 0, gso, (void)0);
    EXPECT(BAD_OFFLOAD, SNAP_F_TSO4, gso, (void)0);
    EXPECT(BAD_OFFLOAD, SNAP_F_CSUM, gso, (void)0);
    EXPECT(BAD_OFFLOAD, SNAP_F_CSUM | SNAP_F_TSO6, gso, (void)0);
    EXPECT(BAD_OFFLOAD, SNAP_F_CSUM | SNAP_F_TSO4, gso,
           o.gso_type = VIRTIO_NET_HDR_GSO_TCPV6);
    EXPECT(BAD_OFFLOAD, all, gso, o.flags = 0);
    EXPECT(BAD_OFFLOAD, all, gso, o.gso_size = 0);
    EXPECT(BAD_OFFLOAD, all, gso, o.gso_type = VIRTIO_NET_HDR_GSO_NONE);
    EXPECT(BAD_OFFLOAD, all, gso, o.gso_type = VIRTIO_NET_HDR_GSO_UDP);
    if (all & SNAP_F_USO) {
        EXPECT(OK, SNAP_F_CSUM | SNAP_F_USO, udp, (void)0);
        EXPECT(BAD_OFFLOAD, all, udp, o.flags = 0);
        EXPECT(BAD_OFFLOAD, all, udp, o.gso_size = 0);
        EXPECT(BAD_OFFLOAD, all, udp, o.gso_type |= VIRTIO_NET_HDR_GSO_ECN);
    }
    EXPECT(BAD_OFFLOAD, all & ~SNAP_F_USO, udp, (void)0);
    EXPECT(BAD_OFFLOAD, all, gso, o.gso_type = VIRTIO_NET_HDR_GSO_ECN);
    EXPECT(BAD_OFFLOAD, all, gso, o.hdr_len = sizeof(bytes) + 1);
    EXPECT(BAD_OFFLOAD, all, csum, o.flags |= VIRTIO_NET_HDR_F_DATA_VALID);
    EXPECT(BAD_OFFLOAD, all, csum, o.flags = 0x80);
    EXPECT(BAD_OFFLOAD, all, csum, o.flags = 0);
    EXPECT(BAD_OFFLOAD, all, csum, o.num_buffers = 1);
    EXPECT(OK, all, csum, o.csum_start = sizeof(bytes) - 2 - CSUM_OFFSET);
    EXPECT(BAD_OFFLOAD, all, csum,
           o.csum_start = sizeof(bytes) - 1 - CSUM_OFFSET);
    EXPECT(BAD_OFFLOAD, all, csum, o.csum_start = o.csum_offset = 0xffff);
#undef EXPECT
    snap_tap_halt(&t);
}

/* What the host's stack gets from the tap device. */
static void test_tx_offloads(void)
{
    Tap t;
    uint8_t bytes[4000], got[5000];
    struct virtio_net_hdr h;
    struct iovec iov[] = { { &h, sizeof(h) }, { got, sizeof(got) } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
    static const uint8_t kinds[] = {
        0, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_UDP_L4,
    };
    uint64_t all;

    if (!tap_boot(&t)) {
        return;
    }
    all = snap_get(t.s, SNAP_REG_FEATURES);
    snap_start(t.s, all);
    for (unsigned i = 0; i < 2 + !!(all & SNAP_F_USO); i++) {
        uint32_t length = kinds[i] ? sizeof(bytes) : 1000;
        struct snap_offload o = build(bytes, length, kinds[i]);

        qtest_memwrite(t.s->qts, SNAP_TEST_RAM, bytes, length);
        g_assert_cmpuint(try_offload(&t, o, length), ==, SNAP_ST_OK);
        g_assert_cmpint(recvmsg(t.packet, &msg, 0), ==, sizeof(h) + length);
        g_assert_cmpmem(got, length, bytes, length);
        g_assert_cmpuint(h.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
        g_assert_cmpuint(h.csum_start, ==, CSUM_START);
        g_assert_cmpuint(h.csum_offset, ==, o.csum_offset);
        g_assert_cmpuint(h.gso_type, ==, o.gso_type);
        g_assert_cmpuint(h.gso_size, ==, o.gso_size);
    }
    g_assert_cmpuint(snap_count(t.s, SNAP_CTR_TX_DROPPED), ==, 0);
    snap_tap_halt(&t);
}

static void host_sends(Tap *t, const uint8_t *p, uint32_t length,
                       const struct snap_offload *o)
{
    struct iovec iov[] = {
        { (void *)o, sizeof(struct virtio_net_hdr) }, { (void *)p, length },
    };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    g_assert_cmpint(sendmsg(t->packet, &msg, 0), ==,
                    sizeof(struct virtio_net_hdr) + length);
}

/* Large packets come as they are, or cut, as was negotiated. */
static void test_rx_offloads(void)
{
    static const uint64_t features[] = {
        SNAP_F_ALL & ~SNAP_F_USO & ~SNAP_F_STEER, SNAP_F_RX_CSUM, SNAP_F_RX_LRO, 0,
        SNAP_F_RX_CSUM | SNAP_F_RX_LRO,
    };
    Tap t;
    uint8_t bytes[4054], got[5000];
    uint64_t packets = 0;

    if (!tap_boot(&t)) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        bool csum = features[i] & SNAP_F_RX_CSUM;
        bool lro = csum && (features[i] & SNAP_F_RX_LRO);

        restart(&t, features[i]);
        for (unsigned gso = 0; gso < 2; gso++) {
            uint32_t length = gso ? sizeof(bytes) : 1000, payload = 0, at = 0;
            struct snap_offload o = build(bytes, length,
                                          gso ? VIRTIO_NET_HDR_GSO_TCPV4 : 0);
            SnapReceived r;

            packets += gso && !lro ? 4 : 1;
            host_sends(&t, bytes, length, &o);
            snap_wait(t.s, SNAP_CTR_RX_PACKETS, packets);
            g_assert_true(snap_take(t.s, &r));
            g_assert_cmpuint(r.packets, ==, gso && !lro ? 4 : 1);
            for (unsigned j = 0; j < r.packets; j++) {
                const struct snap_rx *rx = snap_rx_at(&r, at);

                payload += snap_packet(t.s, &r, at, got, NULL) - TCP_HEADERS;
                g_assert_cmpuint(rx->offload.flags &
                                 VIRTIO_NET_HDR_F_NEEDS_CSUM, ==,
                                 csum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
                g_assert_cmpuint(rx->offload.gso_type, ==,
                                 lro && gso ? VIRTIO_NET_HDR_GSO_TCPV4 : 0);
                g_assert_cmpuint(rx->offload.num_buffers, ==, 0);
                at += rx->size;
            }
            g_assert_cmpuint(payload, ==, length - TCP_HEADERS);
            snap_give_back(t.s, &r);
        }
    }
    g_assert_cmpuint(snap_count(t.s, SNAP_CTR_RX_DROPPED), ==, 0);
    snap_assert_all_free(t.s);
    snap_tap_halt(&t);
}

void snap_add_offload_tests(void)
{
    qtest_add_func("/snap/offload/bad", test_bad_offloads);
    qtest_add_func("/snap/offload/tx", test_tx_offloads);
    qtest_add_func("/snap/offload/rx", test_rx_offloads);
}
