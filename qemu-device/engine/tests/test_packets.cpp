// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packet queues: headers, sending, and both directions at once.
#include "level.hpp"
#include "packet_header.hpp"
#include "packet_rig.hpp"

namespace snapmem_test {
namespace {

// ---- Headers

std::size_t header_bytes(const Bytes &packet) {
    return snapmem_impl::parse_header(packet).bytes;
}

TEST(PacketHeader, EndsBehindTheTransport) {
    EXPECT_EQ(header_bytes(packet_of(1000, 1, 17)), 42U);
    EXPECT_EQ(header_bytes(packet_of(1000, 1, 6)), 66U);
    EXPECT_EQ(header_bytes(packet_of(1000, 1, 1)), 34U);
    Bytes fragment = packet_of(1000, 1, 17);
    fragment[21] = 1;
    EXPECT_EQ(header_bytes(fragment), 34U);
    Bytes tagged = packet_of(1000, 1, 17);
    tagged.insert(tagged.begin() + 12, {0x81, 0, 0, 5});
    EXPECT_EQ(header_bytes(tagged), 46U);
    EXPECT_EQ(header_bytes(Bytes(14)), 14U);
    for (std::size_t n = 14; n < 120; ++n) {
        for (const unsigned type : {0x0800U, 0x86ddU, 0x8100U}) {
            Bytes p = packet_of(1000, static_cast<unsigned>(n), 6);
            p[12] = static_cast<std::uint8_t>(type >> 8);
            p[13] = static_cast<std::uint8_t>(type);
            p.resize(n);
            EXPECT_LE(header_bytes(p), n);
        }
    }
}

// As SipHash-1-3 of the same bytes, by another implementation.
constexpr snapmem_impl::FlowKey flow_key{0x0706050403020100,
                                         0x0f0e0d0c0b0a0908};

snap_rx hash_of(const Bytes &packet,
                const snapmem_impl::FlowKey &key = flow_key) {
    snap_rx entry{};
    entry.hash = 1;
    snapmem_impl::hash_flow(snapmem_impl::parse_header(packet), key, entry);
    return entry;
}

// IPv6 and `next`, with what is behind the header.
Bytes ip6_of(unsigned next, const Bytes &rest) {
    Bytes p(14 + 40);
    for (std::size_t i = 0; i < p.size(); ++i) {
        p[i] = static_cast<std::uint8_t>(i);
    }
    p[12] = 0x86;
    p[13] = 0xdd;
    p[20] = static_cast<std::uint8_t>(next);
    p.insert(p.end(), rest.begin(), rest.end());
    return p;
}

TEST(FlowHash, IsOfAddressesAndPorts) {
    for (const unsigned protocol : {6U, 17U}) {
        const Bytes p = packet_of(100, 0, protocol);
        const snap_rx whole = hash_of(p);
        EXPECT_EQ(whole.hash_type, SNAP_HASH_L4);
        for (std::size_t at = 0; at < p.size(); ++at) {
            Bytes other = p;
            other[at] ^= 0x10;
            // A tag, another type, a longer header, a fragment, a protocol.
            if ((at >= 12 && at <= 14) || at == 20 || at == 21 || at == 23) {
                continue;
            }
            EXPECT_EQ(hash_of(other).hash == whole.hash, at < 26 || at >= 38)
                << at;
        }
        // Another key is another hash, wherever it differs.
        EXPECT_NE(hash_of(p, {flow_key[0] ^ 1, flow_key[1]}).hash, whole.hash);
        EXPECT_NE(hash_of(p, {flow_key[0], flow_key[1] ^ 1}).hash, whole.hash);
    }
}

TEST(FlowHash, IsOfAddressesOnly) {
    const std::uint32_t alone = hash_of(packet_of(100, 0, 1)).hash;
    EXPECT_EQ(hash_of(packet_of(100, 0, 1)).hash_type, SNAP_HASH_L3);
    EXPECT_NE(alone, hash_of(packet_of(100, 0, 17)).hash);
    // All fragments of a datagram, the first as well.
    for (const std::size_t at : {20U, 21U}) {
        Bytes p = packet_of(100, 0, 17);
        p[at] = 0x20;
        EXPECT_EQ(hash_of(p).hash_type, SNAP_HASH_L3);
        EXPECT_EQ(hash_of(p).hash, alone);
    }
    // What is cut off before its ports, or has an impossible length of TCP.
    Bytes p = packet_of(100, 0, 17);
    p.resize(41);
    EXPECT_EQ(hash_of(p).hash, alone);
    p = packet_of(60, 0, 6);
    for (const std::uint8_t length : {0x00, 0x40, 0xf0}) {
        p[14 + 20 + 12] = length;
        EXPECT_EQ(hash_of(p).hash, alone);
        EXPECT_EQ(header_bytes(p), 34U);
    }
}

TEST(FlowHash, OfIp6) {
    const Bytes udp{0, 7, 0, 8, 0, 8, 0, 0};
    const snap_rx whole = hash_of(ip6_of(17, udp));
    EXPECT_EQ(whole.hash_type, SNAP_HASH_L4);
    Bytes options{17, 0, 1, 2, 3, 4, 5, 6};
    options.insert(options.end(), udp.begin(), udp.end());
    EXPECT_EQ(hash_of(ip6_of(0, options)).hash, whole.hash);
    const snap_rx fragment = hash_of(ip6_of(44, options));
    EXPECT_EQ(fragment.hash_type, SNAP_HASH_L3);
    EXPECT_EQ(hash_of(ip6_of(58, udp)).hash, fragment.hash);
    for (std::size_t at = 22; at < 58; ++at) {
        Bytes other = ip6_of(17, udp);
        other[at] ^= 1;
        EXPECT_NE(hash_of(other).hash, whole.hash) << at;
    }
}

TEST(FlowHash, IsThatOfOthers) {
    Bytes p = packet_of(100, 0, 17);
    for (std::size_t i = 0; i < 12; ++i) {
        p[26 + i] = static_cast<std::uint8_t>(i);
    }
    EXPECT_EQ(hash_of(p, {0, 0}).hash, 0xf9fe1c2U);
    p[23] = 1;
    EXPECT_EQ(hash_of(p, {0, 0}).hash, 0x7ebe2eeaU);
}

TEST(FlowHash, NoneWithoutIp) {
    for (const snap_rx &rx :
         {hash_of(Bytes(14)), hash_of(Bytes(100)), hash_of(ip6_of(17, {0}))}) {
        if (rx.hash_type == SNAP_HASH_NONE) {
            EXPECT_EQ(rx.hash, 0U);
        }
    }
    EXPECT_EQ(hash_of(Bytes(100)).hash_type, SNAP_HASH_NONE);
    Bytes cut = packet_of(100, 0, 17);
    cut.resize(33);
    EXPECT_EQ(hash_of(cut).hash_type, SNAP_HASH_NONE);
}

TEST(PacketHeader, OffloadsMustBeInForce) {
    const snap_offload none{};
    const snap_offload csum{1, 0, 0, 0, 34, 6, 0};
    const snap_offload behind{1, 0, 0, 0, 93, 6, 0};
    const snap_offload large{0, 1, 0, 100, 0, 0, 0};
    const snap_offload ecn{0, 0x81, 0, 100, 0, 0, 0};
    const snap_offload sizeless{0, 4, 0, 0, 0, 0, 0};
    const snap_offload unknown{0, 3, 0, 100, 0, 0, 0};
    const auto admit = [](snap_offload o, std::uint64_t f) {
        return snapmem_impl::admit_offload(o, f, 100);
    };
    EXPECT_TRUE(admit(none, 0));
    EXPECT_FALSE(admit(csum, 0));
    EXPECT_TRUE(admit(csum, SNAP_F_RX_CSUM));
    EXPECT_FALSE(admit(behind, SNAP_F_RX_CSUM));
    EXPECT_FALSE(admit(large, SNAP_F_RX_CSUM));
    EXPECT_TRUE(admit(ecn, SNAP_F_RX_CSUM | SNAP_F_RX_LRO));
    EXPECT_FALSE(admit(sizeless, SNAP_F_RX_CSUM | SNAP_F_RX_LRO));
    EXPECT_FALSE(admit(unknown, SNAP_F_ALL));
    snap_offload o{2, 0, 9, 0, 0, 0, 7};
    EXPECT_TRUE(snapmem_impl::admit_offload(o, 0, 100));
    EXPECT_EQ(o.flags + o.hdr_len + o.num_buffers, 0);
}

// ---- Sending

class Sending : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(By, Sending, testing::Bool(), [](const auto &info) {
    return info.param ? "reference" : "copy";
});

TEST_P(Sending, KeepsOrder) {
    for (const bool vnet_hdr : {true, false}) {
        Net net({.vnet_hdr = vnet_hdr});
        net.attach();
        std::thread reader([&] {
            for (unsigned i = 0; i < 1000; ++i) {
                const std::optional<Bytes> got = net.from_wire();
                ASSERT_TRUE(got) << i;
                ASSERT_EQ(*got, packet_of(60 + i * 37 % 20000, i)) << i;
            }
        });
        for (unsigned i = 0; i < 1000; ++i) {
            const Bytes p = packet_of(60 + i * 37 % 20000, i);
            ASSERT_TRUE(net.wait(
                [&] { return net.send(p, GetParam() && p.size() > 60); }));
        }
        reader.join();
        EXPECT_TRUE(net.wait([&] {
            return net.free_frames() == snapmem_free_frames(net.mem()) &&
                   net.free_frames() == pool_frames;
        }));
        EXPECT_EQ(net.counters().tx_dropped, 0U);
    }
}

// Full: paused with the packet that filled it; half empty: an interrupt.
TEST_P(Sending, PausesAndResumes) {
    for (const std::size_t length : {60U, 60000U}) {
        Net net;
        net.attach();
        const unsigned n = net.fill(length, GetParam() && length > 60);
        EXPECT_TRUE(net.paused());
        const unsigned interrupts = net.interrupts();
        EXPECT_EQ(interrupts + 1, net.counters().tx_pauses);
        if (GetParam() && length > 60) {
            // Holds of what waits, and of that alone.
            const std::uint32_t held = pool_frames - net.free_frames();
            EXPECT_GE(held, 15U);
            EXPECT_LE(held, SNAPNET_TX_BYTES / 4096 + 20);
        }
        net.expect_in_order(n, length);
        EXPECT_TRUE(
            net.wait([&] { return net.interrupts() == interrupts + 1; }));
        EXPECT_FALSE(net.paused());
        EXPECT_TRUE(net.wait([&] { return net.free_frames() == pool_frames; }));
        EXPECT_TRUE(net.send(packet_of(100, 7)));
        EXPECT_EQ(net.from_wire(), packet_of(100, 7));
    }
}

// A reset with the descriptor full: the packets are dropped, each counted.
TEST_P(Sending, ResetDropsTheRest) {
    Net net;
    net.attach();
    const unsigned n = net.fill(3000, GetParam());
    const unsigned interrupts = net.interrupts();
    snapnet_reset(net.q());
    EXPECT_FALSE(net.paused());
    EXPECT_EQ(net.free_frames(), pool_frames);
    unsigned arrived = 0;
    while (const auto got = net.from_wire(50ms)) {
        EXPECT_EQ(*got, packet_of(3000, arrived++));
    }
    EXPECT_GT(arrived, 0U);
    EXPECT_EQ(arrived + net.counters().tx_dropped, n);
    EXPECT_EQ(net.interrupts(), interrupts);
    // And it goes on.
    snapnet_start(net.q(), 0);
    EXPECT_TRUE(net.send(packet_of(100, 7)));
    EXPECT_EQ(net.from_wire(), packet_of(100, 7));
}

// What the descriptor does not take when it is given back leaves first.
TEST_P(Sending, DetachLeavesTheRest) {
    Net net;
    net.attach();
    const unsigned n = net.fill(3000, GetParam());
    snapnet_detach(net.q());
    unsigned left = 0;
    unsigned parts = 0;
    Bytes first;
    while (const iovec *part = snapnet_tx_next(net.q(), &parts)) {
        if (left == 0) {
            for (unsigned i = 1; i < parts; ++i) {
                const auto *p = static_cast<std::uint8_t *>(part[i].iov_base);
                first.insert(first.end(), p, p + part[i].iov_len);
            }
        }
        ++left;
        snapnet_tx_pop(net.q(), left % 2 == 0);
    }
    ASSERT_GT(left, 0U);
    EXPECT_EQ(net.counters().tx_dropped, left / 2);
    EXPECT_EQ(net.free_frames(), pool_frames);
    EXPECT_FALSE(net.paused());
    net.expect_in_order(n - left, 3000);
    EXPECT_EQ(first, packet_of(3000, n - left));
    EXPECT_FALSE(net.from_wire(20ms));
}

TEST(Sending, HaltedItWaits) {
    Net net;
    net.attach();
    snapnet_halt(net.q(), true);
    for (unsigned i = 0; i < 10; ++i) {
        EXPECT_TRUE(net.send(packet_of(200, i)));
    }
    EXPECT_TRUE(net.to_wire(packet_of(100, 1)));
    EXPECT_FALSE(net.from_wire(20ms));
    EXPECT_EQ(net.counters().rx_packets, 0U);
    snapnet_halt(net.q(), false);
    net.expect_in_order(10, 200);
    EXPECT_EQ(net.receive(1)[0].bytes, packet_of(100, 1));
}

// A queue for few: the last that it has room for pauses it, half of them
// resumes.
TEST(Sending, FewFillASmallQueue) {
    constexpr unsigned few = 3;
    Net net({.tx_packets = few});
    net.attach();
    for (unsigned round = 0; round < 3; ++round) {
        snapnet_halt(net.q(), true);
        for (unsigned i = 0; i < few; ++i) {
            EXPECT_FALSE(net.paused());
            EXPECT_EQ(snapnet_tx_waiting(net.q()), i);
            EXPECT_TRUE(net.send(packet_of(200, i)));
        }
        EXPECT_TRUE(net.paused());
        EXPECT_FALSE(net.send(packet_of(200, few)));
        EXPECT_EQ(snapnet_tx_waiting(net.q()), few);
        snapnet_halt(net.q(), false);
        net.expect_in_order(few, 200);
        EXPECT_TRUE(net.wait([&] { return net.interrupts() == round + 1; }));
        EXPECT_FALSE(net.paused());
        EXPECT_EQ(snapnet_tx_waiting(net.q()), 0U);
    }
}

TEST(Sending, ErrorsAreDrops) {
    Net net;
    net.attach();
    net.close_wire();
    for (unsigned i = 0; i < 500; ++i) {
        const Bytes p = packet_of(1000, i);
        ASSERT_TRUE(net.wait([&] { return net.send(p, true); }));
    }
    EXPECT_TRUE(net.wait([&] { return net.counters().tx_dropped == 500; }));
    EXPECT_TRUE(net.wait([&] { return net.free_frames() == pool_frames; }));
}

// The caller has its lock, for which the interrupt waits: nobody waits for it.
TEST(Sending, QuietWhileAnInterruptWaits) {
    Net net;
    net.attach();
    {
        const std::lock_guard<std::mutex> lock(net.big_lock());
        EXPECT_FALSE(snapnet_arm(net.q(), true));
        ASSERT_TRUE(net.to_wire(packet_of(100, 1)));
        ASSERT_TRUE(net.wait([&] { return net.counters().rx_packets == 1; }));
        std::this_thread::sleep_for(5ms); // it is in interrupt() now
        snapnet_halt(net.q(), true);
        snapnet_halt(net.q(), false);
        snapnet_detach(net.q());
        snapnet_reset(net.q());
        net.attach();
    }
    // A reset takes the interrupt along.
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(net.interrupts(), 0U);
    snapnet_start(net.q(), 0);
    EXPECT_TRUE(net.to_wire(packet_of(100, 2)));
    EXPECT_EQ(net.receive(1)[0].bytes, packet_of(100, 2));
}

// ---- Everything at once

TEST(Packets, ChangesUnderLoad) {
    Net net({.frames = 600});
    net.attach();
    std::atomic<bool> stop = false;
    std::atomic<unsigned> arrived = 0;
    // Of each flow later packets come later, whatever is dropped.
    std::thread reader([&] {
        unsigned last = 0;
        while (const auto got = net.from_wire(stop ? 100ms : 2000ms)) {
            unsigned seed = 0;
            std::memcpy(&seed, got->data(), sizeof(seed));
            ASSERT_GT(seed, last);
            ASSERT_EQ(*got, packet_of(got->size(), seed));
            last = seed;
            ++arrived;
        }
    });
    std::thread writer([&] {
        for (unsigned i = 1; !stop; ++i) {
            const Bytes p = net.with_offload(packet_of(60 + i * 101 % 9000, i));
            while (!stop && !net.raw_to_wire(p)) {
            }
        }
    });
    unsigned seed = 0;
    unsigned last = 0;
    std::uint64_t came = 0;
    const auto end = std::chrono::steady_clock::now() + 1500ms;
    for (unsigned i = 0; std::chrono::steady_clock::now() < end; ++i) {
        const std::lock_guard<std::mutex> lock(net.big_lock());
        if (i % 50 == 49) {
            switch (i / 50 % 4) {
            case 0:
                snapnet_halt(net.q(), true);
                snapnet_halt(net.q(), false);
                break;
            case 1: {
                unsigned n = 0;
                snapnet_detach(net.q());
                while (snapnet_tx_next(net.q(), &n) != nullptr) {
                    snapnet_tx_pop(net.q(), true);
                }
                net.attach();
                break;
            }
            case 2:
                snapnet_reset(net.q());
                EXPECT_EQ(snapnet_take(net.q(), false), SNAP_TAKE_NONE);
                snapnet_start(net.q(), 0);
                break;
            default:
                EXPECT_STREQ(snapmem_check(net.mem()), nullptr);
            }
        }
        if (snapmem_free_frames(net.mem()) > 100) {
            const Bytes p = packet_of(60 + seed * 211 % 12000, seed + 1);
            seed += net.send(p, p.size() > 60 && seed % 3 == 0) ? 1 : 0;
        }
        std::vector<Packet> got;
        net.take(got);
        for (const Packet &p : got) {
            unsigned n = 0;
            std::memcpy(&n, p.bytes.data(), sizeof(n));
            ASSERT_GT(n, last);
            ASSERT_EQ(p.bytes, packet_of(60 + n * 101 % 9000, n));
            last = n;
            ++came;
        }
        net.release_all();
        if (snapnet_arm(net.q(), true) || snapnet_take_interrupt(net.q())) {
            std::this_thread::yield();
        }
    }
    stop = true;
    writer.join();
    reader.join();
    std::printf("  %u sent, %u arrived, %llu came\n", seed, arrived.load(),
                static_cast<unsigned long long>(came));
    EXPECT_GT(arrived, 0U);
    EXPECT_GT(came, 0U);
}

// Nobody who needs the thread waits for it at the end.
TEST(Packets, StopsAtAnyTime) {
    for (unsigned i = 0; i < 40; ++i) {
        Net net;
        net.attach();
        snapnet_arm(net.q(), true);
        for (unsigned k = 0; k < i % 7; ++k) {
            EXPECT_TRUE(net.send(packet_of(4000, k), true));
            EXPECT_TRUE(net.to_wire(packet_of(4000, k)));
        }
    }
}

// ---- Status

// Who has read an older level than the last must not be the last to tell.
TEST(Level, IsTrueInTheEnd) {
    std::uint32_t level = 5;
    std::uint32_t word = 0;
    bool others = true;
    snapmem_impl::publish_level(std::atomic_ref<std::uint32_t>(word), [&] {
        const std::uint32_t read = level;
        if (others) { // change it, and tell of that
            word = level = 7;
            others = false;
        }
        return read;
    });
    EXPECT_EQ(word, 7U);
}

} // namespace
} // namespace snapmem_test
