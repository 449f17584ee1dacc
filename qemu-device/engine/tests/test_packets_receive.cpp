// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packet queues: receiving.
#include "packet_rig.hpp"

namespace snapmem_test {
namespace {

// Lengths around all borders, first as they come, then many alike.
const std::array<std::size_t, 16> lengths{
    14,   60,   255,  256,   257,   300,   1514,  4096,
    4138, 4139, 8234, 16384, 30000, 60042, 65535, 65553};

class Receiving : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(By, Receiving, testing::Bool(), [](const auto &info) {
    return info.param ? "thread" : "caller";
});

TEST_P(Receiving, EveryLength) {
    for (const bool vnet_hdr : {true, false}) {
        for (const std::uint64_t features :
             {std::uint64_t{0}, std::uint64_t{SNAP_F_LARGE_FRAMES}}) {
            Net net({.vnet_hdr = vnet_hdr, .features = features});
            if (GetParam()) {
                net.attach();
            }
            unsigned seed = 0;
            for (unsigned round = 0; round < 3; ++round) {
                for (const std::size_t n : lengths) {
                    // Headers of 42 bytes twice, then some of 66.
                    for (const unsigned protocol : {17U, 17U, 6U}) {
                        const Bytes p = packet_of(n, ++seed, protocol);
                        ASSERT_TRUE(GetParam() ? net.to_wire(p) : net.bring(p));
                        const std::vector<Packet> got = net.receive(1);
                        ASSERT_EQ(got.size(), 1U);
                        ASSERT_EQ(got[0].bytes, p) << n;
                        // The thread may have guessed that it needs none.
                        if (!GetParam() || features == 0) {
                            ASSERT_EQ(got[0].large,
                                      features != 0 && got[0].entry.payload >
                                                           SNAP_RX_LARGE_MIN)
                                << n;
                        }
                        ASSERT_EQ(got[0].entry.hdr_len, n <= 256         ? n
                                                        : protocol == 17 ? 42U
                                                                         : 66U);
                    }
                }
            }
            EXPECT_EQ(net.counters().rx_dropped, 0U);
            EXPECT_EQ(net.counters().rx_packets, seed);
            EXPECT_EQ(net.counters().rx_no_large, 0U);
            EXPECT_EQ(net.counters().rx_in_place > 0, GetParam());
        }
    }
}

// Packets that are alike are not moved after the first.
TEST(Receiving, InPlace) {
    for (const unsigned protocol : {17U, 6U}) {
        Net net;
        net.attach();
        for (unsigned i = 0; i < 50; ++i) {
            const Bytes p = packet_of(i % 5 == 4 ? 100 : 20000, i, protocol);
            ASSERT_TRUE(net.to_wire(p));
            ASSERT_EQ(net.receive(1)[0].bytes, p);
        }
        EXPECT_EQ(net.counters().rx_in_place, 39U);
        // What was kept ready goes home when nothing comes.
        EXPECT_TRUE(net.wait([&] { return net.free_frames() == pool_frames; }));
    }
}

// Bulk data comes in large frames without a copy; what is small among it does
// not keep one.
TEST(Receiving, LargeInPlace) {
    Net net({.features = SNAP_F_LARGE_FRAMES});
    net.attach();
    unsigned large = 0;
    for (unsigned i = 0; i < 200; ++i) {
        const Bytes p = packet_of(i % 5 == 4 ? 20000 : 64000, i, 6);
        ASSERT_TRUE(net.to_wire(p));
        const Packet got = net.receive(1)[0];
        ASSERT_EQ(got.bytes, p);
        ASSERT_TRUE(!got.large || p.size() == 64000);
        large += got.large;
    }
    EXPECT_GE(large, 160U - 32U);
    EXPECT_GE(net.counters().rx_in_place, large - 1);
    EXPECT_TRUE(net.wait([&] { return net.free_frames() == pool_frames; }));
}

// A packet with so much payload comes, in one way or the other.
Packet come(Net &net, bool by_thread, std::size_t payload) {
    static unsigned seed = 0;
    const Bytes p = packet_of(42 + payload, ++seed);
    EXPECT_TRUE(by_thread ? net.to_wire(p) : net.bring(p));
    Packet got = net.receive(1)[0];
    EXPECT_EQ(got.bytes, p);
    EXPECT_EQ(got.entry.payload, payload);
    return got;
}

// Packets without frames, as acknowledgements are, say nothing of the others.
TEST(Receiving, LargeAmongAcknowledgements) {
    Net net({.features = SNAP_F_LARGE_FRAMES});
    net.attach();
    unsigned large = 0;
    for (unsigned i = 0; i < 200; ++i) {
        large += come(net, true, i % 4 == 3 ? 64000 : 0).large;
    }
    EXPECT_GE(large, 50U - 32U / 4);
    EXPECT_TRUE(net.wait([&] { return net.free_frames() == pool_frames; }));
}

// As many packets with bulk data as the thread learns from, and one more.
void learn_bulk(Net &net, bool by_thread) {
    for (unsigned i = 0; i < 65; ++i) {
        come(net, by_thread, SNAP_LARGE_SIZE - 1000);
    }
}

// No frame is zero any more; none has anything, and the thread is out of them.
void poison_pool(Net &net) {
    snapnet_halt(net.q(), true);
    std::memset(snapmem_pool(net.mem()), 0xaa, pool_frames * page_bytes);
    snapnet_halt(net.q(), false);
}

// The frames were somebody's: of what was there nothing is left behind the
// payload, which Net::take() sees.
TEST_P(Receiving, TailsAreZero) {
    for (const std::uint64_t features :
         {std::uint64_t{0}, std::uint64_t{SNAP_F_LARGE_FRAMES}}) {
        Net net({.features = features});
        if (GetParam()) {
            net.attach();
        }
        learn_bulk(net, GetParam());
        const std::uint64_t in_place = net.counters().rx_in_place;
        for (const std::size_t payload : {65535, 32769, 60001, 40961, 36864}) {
            poison_pool(net);
            EXPECT_EQ(come(net, GetParam(), payload).large, features != 0);
        }
        EXPECT_EQ(net.counters().rx_in_place - in_place, GetParam() ? 5 : 0);
    }
}

// No packet keeps a large frame for half of it, or for less.
TEST_P(Receiving, LittleKeepsNoLargeFrame) {
    Net net({.features = SNAP_F_LARGE_FRAMES});
    if (GetParam()) {
        net.attach();
    }
    learn_bulk(net, GetParam());
    for (const std::size_t payload : {1000U, 4096U, SNAP_RX_LARGE_MIN}) {
        EXPECT_FALSE(come(net, GetParam(), payload).large) << payload;
        EXPECT_EQ(net.counters().rx_no_large, 0U);
        EXPECT_TRUE(come(net, GetParam(), SNAP_RX_LARGE_MIN + 1).large);
    }
}

// Nowhere are frames in a row free: bulk data comes all the same, and in large
// frames again when there are some.
TEST_P(Receiving, WithoutLargeFrames) {
    Net net({.features = SNAP_F_LARGE_FRAMES});
    if (GetParam()) {
        net.attach();
    }
    std::vector<std::uint32_t> some(pool_frames);
    ASSERT_EQ(snapmem_receive(net.mem(), some.data(), some.size()), SNAPMEM_OK);
    std::vector<std::uint32_t> kept;
    std::vector<std::uint32_t> back;
    for (const std::uint32_t f : some) {
        (f % 16 == 7 ? kept : back).push_back(f);
    }
    snapmem_drop(net.mem(), back.data(), back.size());
    for (unsigned i = 0; i < 200; ++i) {
        if (i == 100) {
            snapmem_drop(net.mem(), kept.data(), kept.size());
        }
        const Bytes p = packet_of(60000, i);
        ASSERT_TRUE(GetParam() ? net.to_wire(p) : net.bring(p));
        const Packet got = net.receive(1)[0];
        ASSERT_EQ(got.bytes, p);
        ASSERT_TRUE(i >= 100 || !got.large);
        ASSERT_TRUE(i < 102 || got.large) << i;
    }
    // The thread wants none before it has learnt that.
    EXPECT_GE(net.counters().rx_no_large, GetParam() ? 68U : 100U);
    EXPECT_LE(net.counters().rx_no_large, GetParam() ? 102U : 100U);
}

TEST_P(Receiving, DropsWhatIsNone) {
    Net net;
    if (GetParam()) {
        net.attach();
    }
    Bytes offload(sizeof(snap_offload) + 100);
    offload[1] = 9; // no such gso_type
    const std::array<Bytes, 5> bad{
        Bytes(5), Bytes(sizeof(snap_offload)), Bytes(sizeof(snap_offload) + 13),
        offload, net.with_offload(packet_of(42 + 17 * 4096 + 1, 1))};
    for (const Bytes &b : bad) {
        ASSERT_TRUE(GetParam() ? net.raw_to_wire(b)
                               : snapnet_receive(net.q(), b.data(), b.size()));
    }
    const Bytes good = packet_of(42 + 17 * 4096, 2);
    ASSERT_TRUE(GetParam() ? net.to_wire(good) : net.bring(good));
    EXPECT_EQ(net.receive(1)[0].bytes, good);
    EXPECT_EQ(net.counters().rx_dropped, bad.size());
}

// Without frames it stalls, and loses nothing.
TEST_P(Receiving, StallsWithoutFrames) {
    Net net({.frames = 200});
    if (GetParam()) {
        net.attach();
    }
    constexpr unsigned packets = 60;
    std::vector<Packet> got;
    std::thread peer;
    if (GetParam()) {
        peer = std::thread([&] {
            for (unsigned i = 0; i < packets; ++i) {
                ASSERT_TRUE(net.to_wire(packet_of(60000, i)));
            }
        });
    }
    unsigned brought = 0;
    std::uint64_t stalls = 0;
    for (unsigned round = 0; got.size() < packets; ++round) {
        ASSERT_LT(round, 100U);
        // Kept until it stalls.
        ASSERT_TRUE(net.wait([&] {
            if (!GetParam() && brought < packets &&
                net.bring(packet_of(60000, brought))) {
                ++brought;
            }
            net.take(got);
            return net.counters().rx_stalls > stalls || got.size() == packets;
        }));
        net.take(got);
        if (net.counters().rx_stalls > stalls) {
            EXPECT_LE(snapmem_free_frames(net.mem()), SNAPNET_RX_RESUME);
        }
        // The next one may come as soon as there are frames.
        stalls = net.counters().rx_stalls;
        net.release_all();
    }
    if (peer.joinable()) {
        peer.join();
    }
    for (unsigned i = 0; i < packets; ++i) {
        ASSERT_EQ(got[i].bytes, packet_of(60000, i)) << i;
    }
    EXPECT_GT(net.counters().rx_stalls, 0U);
    EXPECT_EQ(net.counters().rx_dropped, 0U);
}

// Frames that come home by ways of which nobody tells the queue.
TEST(Receiving, GoesOnByItself) {
    Net net({.frames = 200});
    net.attach();
    std::vector<std::uint32_t> others(190);
    ASSERT_EQ(snapmem_receive(net.mem(), others.data(), others.size()),
              SNAPMEM_OK);
    ASSERT_TRUE(net.to_wire(packet_of(30000, 1)));
    ASSERT_TRUE(net.wait([&] { return net.counters().rx_stalls > 0; }));
    snapmem_drop(net.mem(), others.data(), others.size());
    ASSERT_TRUE(net.wait([&] { return net.counters().rx_packets == 1; }));
    EXPECT_EQ(net.receive(1)[0].bytes, packet_of(30000, 1));
}

// No batch has room: it waits for a TAKE, and for nothing else.
TEST(Receiving, GoesOnAfterTake) {
    constexpr unsigned packets = 1500;
    Net net;
    net.attach();
    std::thread peer([&] {
        for (unsigned i = 0; i < packets; ++i) {
            ASSERT_TRUE(net.to_wire(packet_of(250, i)));
        }
    });
    EXPECT_TRUE(net.wait([&] { return net.counters().rx_stalls > 0; }));
    // It sleeps by now, most often.
    std::this_thread::sleep_for(50ms);
    const std::uint64_t before = net.counters().rx_packets;
    std::vector<Packet> got;
    EXPECT_TRUE(net.take(got));
    EXPECT_TRUE(net.wait([&] { return net.counters().rx_packets > before; }));
    EXPECT_TRUE(net.wait([&] {
        while (net.take(got)) {
        }
        return got.size() == packets;
    }));
    peer.join();
    for (unsigned i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].bytes, packet_of(250, i)) << i;
    }
}

// What another queue drops comes home, and nobody tells this one.
TEST(Receiving, GoesOnWhenAnotherDrops) {
    Net first({.frames = 200});
    Net second({.beside = &first});
    first.attach();
    second.attach();
    for (unsigned i = 0; first.counters().rx_stalls == 0; ++i) {
        ASSERT_TRUE(first.to_wire(packet_of(40000, i)));
        std::this_thread::sleep_for(1ms);
    }
    ASSERT_TRUE(second.to_wire(packet_of(40000, 1)));
    ASSERT_TRUE(second.wait([&] { return second.counters().rx_stalls > 0; }));
    EXPECT_EQ(second.counters().rx_packets, 0U);
    snapnet_reset(first.q());
    ASSERT_TRUE(second.wait([&] { return second.counters().rx_packets == 1; }));
    EXPECT_EQ(second.receive(1)[0].bytes, packet_of(40000, 1));
}

// A guest that has a packet sees what is left, even while others come in.
TEST(Receiving, TakeTellsWhatIsLeft) {
    Net net({.delay_us = 50000});
    net.release_all();
    ASSERT_EQ(net.free_frames(), pool_frames);
    net.attach();
    for (unsigned i = 0; i < 3; ++i) {
        ASSERT_TRUE(net.to_wire(packet_of(40000, i)));
    }
    std::vector<Packet> got;
    ASSERT_TRUE(net.wait([&] { return net.take(got); }));
    // Ten of each packet, and that of the batch.
    EXPECT_LE(net.free_frames(), pool_frames - 10 * got.size() - 1);
}

// Queues of one device, which have too few frames for all.
TEST(Receiving, SharesFramesWithOtherQueues) {
    Net first({.frames = 200});
    Net second({.beside = &first});
    const std::array<Net *, 2> nets{&first, &second};
    constexpr unsigned packets = 200;
    std::array<std::thread, 2> peers;
    for (unsigned i = 0; i < nets.size(); ++i) {
        nets[i]->attach();
        peers[i] = std::thread([net = nets[i], i] {
            for (unsigned n = 0; n < packets; ++n) {
                ASSERT_TRUE(net->to_wire(packet_of(40000, 2 * n + i)));
            }
        });
    }
    std::array<std::vector<Packet>, 2> got;
    ASSERT_TRUE(Net::wait([&] {
        bool all = true;
        for (unsigned i = 0; i < nets.size(); ++i) {
            while (nets[i]->take(got[i])) {
            }
            all = all && got[i].size() == packets;
        }
        // Those of both by one.
        if (first.free_frames() <= SNAPNET_RX_STOP || all) {
            first.release_all();
            second.release_all();
        }
        return all;
    }));
    for (unsigned i = 0; i < nets.size(); ++i) {
        peers[i].join();
        for (unsigned n = 0; n < packets; ++n) {
            ASSERT_EQ(got[i][n].bytes, packet_of(40000, 2 * n + i)) << n;
        }
    }
    EXPECT_GT(first.counters().rx_stalls + second.counters().rx_stalls, 0U);
    EXPECT_TRUE(Net::wait([&] { return first.free_frames() == 200; }));
}

// Frames that others take in the very moment: the packet that was read waits.
TEST(Receiving, KeepsWhatItHasRead) {
    Net net({.frames = 200, .delay_us = 100000});
    net.attach();
    std::vector<std::uint32_t> others(194);
    // The thread waits before it reads, but it may be early or late.
    bool read = false;
    for (unsigned i = 0; !read && i < 100; ++i) {
        const std::uint64_t stalls = net.counters().rx_stalls;
        ASSERT_TRUE(net.to_wire(packet_of(30000, 1)));
        std::this_thread::sleep_for(20ms);
        if (snapmem_receive(net.mem(), others.data(), others.size()) ==
            SNAPMEM_OK) {
            ASSERT_TRUE(
                net.wait([&] { return net.counters().rx_stalls > stalls; }));
            char byte = 0;
            read = recv(net.tap(), &byte, 1, MSG_PEEK) < 0;
            if (!read) {
                snapmem_drop(net.mem(), others.data(), others.size());
                snapnet_rx_resume(net.q());
            }
        }
        if (!read) {
            net.receive(1);
        }
    }
    ASSERT_TRUE(read);
    const std::uint64_t before = net.counters().rx_packets;
    // It is given back with that packet, which stays the first.
    snapnet_detach(net.q());
    EXPECT_FALSE(net.bring(packet_of(100, 2)));
    EXPECT_EQ(net.counters().rx_packets, before);
    snapmem_drop(net.mem(), others.data(), others.size());
    EXPECT_TRUE(snapnet_rx_resume(net.q()));
    EXPECT_TRUE(net.bring(packet_of(100, 2)));
    const std::vector<Packet> got = net.receive(2);
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[0].bytes, packet_of(30000, 1));
    EXPECT_EQ(got[1].bytes, packet_of(100, 2));
}

TEST(Receiving, NothingOfBeforeAReset) {
    Net net;
    net.attach();
    for (unsigned round = 0; round < 100; ++round) {
        ASSERT_TRUE(net.to_wire(packet_of(5000, round)));
        if (round % 2 == 0) {
            std::this_thread::yield();
        }
        // Whatever is in the descriptor still is none of the device's.
        snapnet_reset(net.q());
        EXPECT_EQ(snapnet_take(net.q(), false), SNAP_TAKE_NONE);
        EXPECT_EQ(net.free_frames(), pool_frames);
        snapnet_start(net.q(), 0);
    }
}

TEST(Receiving, InterruptsOncePerArming) {
    Net net;
    net.attach();
    EXPECT_FALSE(snapnet_arm(net.q(), true));
    for (unsigned i = 0; i < 5; ++i) {
        ASSERT_TRUE(net.to_wire(packet_of(100, i)));
    }
    ASSERT_TRUE(net.wait([&] { return net.counters().rx_packets == 5; }));
    ASSERT_TRUE(net.wait([&] { return net.interrupts() == 1; }));
    EXPECT_TRUE(snapnet_arm(net.q(), true)); // there is something already
    EXPECT_EQ(net.receive(5).size(), 5U);
    EXPECT_FALSE(snapnet_arm(net.q(), true));
    EXPECT_FALSE(snapnet_arm(net.q(), false));
    ASSERT_TRUE(net.to_wire(packet_of(100, 6)));
    EXPECT_EQ(net.receive(1).size(), 1U);
    EXPECT_EQ(net.interrupts(), 1U);
}

// Who takes only when interrupted, and until the queue is armed, gets them all.
TEST(Receiving, TakeArmLosesNoInterrupt) {
    constexpr unsigned packets = 2000;
    Net net;
    net.attach();
    std::vector<Packet> got;
    EXPECT_EQ(net.take(got, true), SNAP_TAKE_NONE);
    std::thread sender([&] {
        for (unsigned i = 0; i < packets; ++i) {
            ASSERT_TRUE(net.to_wire(packet_of(100, i)));
        }
    });
    unsigned seen = 0;
    while (got.size() < packets &&
           net.wait([&] { return net.interrupts() != seen; })) {
        seen = net.interrupts();
        std::uint64_t value = 0;
        while ((value & SNAP_TAKE_ARMED) == 0) {
            value = net.take(got, true);
            net.release_all();
        }
    }
    sender.join();
    EXPECT_EQ(got.size(), packets);
    EXPECT_LE(net.interrupts(), packets);
}

// Nothing will come any more: the thread sleeps, and stops.
TEST(Receiving, EndOfTheDescriptor) {
    Net net;
    net.attach();
    ASSERT_TRUE(net.to_wire(packet_of(100, 1)));
    net.close_wire();
    EXPECT_EQ(net.receive(1).size(), 1U);
    timespec before{};
    timespec after{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    std::this_thread::sleep_for(50ms);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    const std::int64_t ns = (after.tv_sec - before.tv_sec) * 1'000'000'000 +
                            after.tv_nsec - before.tv_nsec;
    EXPECT_LT(ns, 25'000'000) << "it does not sleep";
}

} // namespace
} // namespace snapmem_test
