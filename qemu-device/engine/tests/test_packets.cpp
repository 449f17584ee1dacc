// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Packet queues, with a pair of sockets for a tap: what is written to one end
// arrives at the other packet by packet.
#include "packet_header.hpp"
#include "rig.hpp"

#include "snap_device.h"
#include "snapmem/snapnet.h"

#include <array>
#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace snapmem_test {
namespace {

using Bytes = std::vector<std::uint8_t>;
using namespace std::chrono_literals;

constexpr std::uint32_t pool_frames = 2048;

// An Ethernet packet of IPv4 and UDP, or of TCP, in which every byte says where
// it is and whose.
Bytes packet_of(std::size_t length, unsigned seed, unsigned protocol = 17) {
    Bytes p(length);
    for (std::size_t i = 0; i < length; ++i) {
        p[i] = static_cast<std::uint8_t>(i * 7 + seed * 31 + i / 256);
    }
    if (length >= 14 + 20 + 20) {
        p[12] = 0x08;
        p[13] = 0;
        p[14] = 0x45;
        p[20] = p[21] = 0;
        p[23] = static_cast<std::uint8_t>(protocol);
        p[14 + 20 + 12] = 8 << 4; // TCP: 32 bytes of header
    }
    if (length >= 60) {
        std::memcpy(p.data(), &seed, sizeof(seed));
    }
    return p;
}

struct Packet {
    snap_rx entry;
    Bytes bytes;
};

// A queue, its engine, its thread and the other end of its descriptor; and the
// caller's lock.
class Net {
  public:
    struct Options {
        bool vnet_hdr = true;
        bool thread = true;
        std::uint32_t frames = pool_frames;
        std::uint32_t delay_us = 0;
        int type = SOCK_SEQPACKET;
    };

    Net() : Net(Options{}) {}
    explicit Net(const Options &o) : vnet_hdr_(o.vnet_hdr) {
        const snapmem_config config{o.frames, 1, 0, SNAPMEM_COPY, false};
        mem_ = snapmem_new(&config, false, nullptr);
        std::array<int, 2> ends{};
        EXPECT_EQ(socketpair(AF_UNIX, o.type | SOCK_NONBLOCK, 0, ends.data()),
                  0);
        tap_ = ends[0];
        wire_ = ends[1];
        const snapnet_config c{.mem = mem_,
                               .vnet_hdr = o.vnet_hdr,
                               .free_frames = &free_,
                               .tx_paused = &paused_,
                               .interrupt =
                                   [](snapnet *, void *net) {
                                       static_cast<Net *>(net)->interrupt();
                                   },
                               .opaque = this,
                               .delay_us = o.delay_us};
        q_ = snapnet_new(&c);
        free_at_rest_ = snapmem_free_frames(mem_);
        if (o.thread) {
            snapnet_ref(q_);
            thread_ = std::thread([q = q_] {
                snapnet_run(q);
                snapnet_unref(q);
            });
        }
        snapnet_start(q_, SNAP_F_RX_CSUM | SNAP_F_RX_LRO);
    }
    Net(const Net &) = delete;
    Net &operator=(const Net &) = delete;
    ~Net() {
        release_all();
        snapnet_stop(q_);
        EXPECT_EQ(snapmem_free_frames(mem_), free_at_rest_);
        EXPECT_STREQ(snapmem_check(mem_), nullptr);
        snapnet_unref(q_);
        if (thread_.joinable()) {
            thread_.join();
        }
        snapmem_free(mem_);
        close(tap_);
        close_wire();
    }

    [[nodiscard]] snapnet *q() const { return q_; }
    [[nodiscard]] snapmem *mem() const { return mem_; }
    [[nodiscard]] int tap() const { return tap_; }
    std::mutex &big_lock() { return big_lock_; }
    [[nodiscard]] unsigned interrupts() const { return interrupts_; }
    void attach() { snapnet_attach(q_, tap_); }
    void close_wire() {
        if (wire_ >= 0) {
            close(wire_);
        }
        wire_ = -1;
    }

    [[nodiscard]] std::uint32_t free_frames() const {
        return std::atomic_ref<const std::uint32_t>(free_).load();
    }
    [[nodiscard]] bool paused() const {
        return std::atomic_ref<const std::uint32_t>(paused_).load() != 0;
    }
    [[nodiscard]] snapnet_counters counters() const {
        snapnet_counters c;
        snapnet_get_counters(q_, &c);
        return c;
    }

    static bool wait(const std::function<bool()> &what) {
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (!what()) {
            if (std::chrono::steady_clock::now() > end) {
                return false;
            }
            std::this_thread::sleep_for(100us);
        }
        return true;
    }

    // ---- Sending: copied, or by reference.
    [[nodiscard]] bool send(const Bytes &bytes, bool by_reference = false) {
        std::uint8_t *room = snapnet_tx_room(q_);
        if (room == nullptr) {
            return false;
        }
        std::vector<iovec> parts;
        if (vnet_hdr_) {
            std::memset(room, 0, sizeof(snap_offload));
            parts.push_back({room, sizeof(snap_offload)});
            room += sizeof(snap_offload);
        }
        const std::size_t head = by_reference ? 60 : bytes.size();
        std::memcpy(room, bytes.data(), head);
        parts.push_back({room, head});
        std::vector<std::uint32_t> frames((bytes.size() - head + 4095) / 4096);
        if (!frames.empty()) {
            EXPECT_EQ(snapmem_receive(mem_, frames.data(), frames.size()),
                      SNAPMEM_OK);
            snapmem_give(mem_, frames.data(), frames.size());
        }
        std::size_t at = head;
        for (const std::uint32_t f : frames) {
            const std::size_t n =
                std::min<std::size_t>(4096, bytes.size() - at);
            std::uint8_t *to = snapmem_pool(mem_) + f * std::size_t{4096};
            std::memcpy(to, bytes.data() + at, n);
            parts.push_back({to, n});
            at += n;
        }
        snapnet_tx_push(q_, parts.data(), static_cast<unsigned>(parts.size()));
        // As a guest that gives up its holds at once.
        if (!frames.empty()) {
            std::size_t done = 0;
            EXPECT_EQ(
                snapmem_release(mem_, frames.data(), frames.size(), &done),
                SNAPMEM_OK);
        }
        snapnet_publish(q_, false);
        return true;
    }
    // What comes out of the other end within the time.
    std::optional<Bytes> from_wire(std::chrono::milliseconds patience = 20s) {
        pollfd p{wire_, POLLIN, 0};
        if (poll(&p, 1, static_cast<int>(patience.count())) != 1) {
            return std::nullopt;
        }
        Bytes bytes(70000);
        const ssize_t n = read(wire_, bytes.data(), bytes.size());
        if (n <= 0) {
            return std::nullopt;
        }
        bytes.resize(static_cast<std::size_t>(n));
        if (vnet_hdr_) {
            EXPECT_GE(bytes.size(), sizeof(snap_offload));
            bytes.erase(bytes.begin(), bytes.begin() + sizeof(snap_offload));
        }
        return bytes;
    }
    // Fill descriptor and queue; returns how many were accepted.
    unsigned fill(std::size_t length, bool by_reference) {
        unsigned n = 0;
        std::uint64_t pauses = 0;
        do {
            pauses = counters().tx_pauses;
            while (send(packet_of(length, n), by_reference)) {
                ++n;
            }
            std::this_thread::sleep_for(20ms);
        } while (!paused() || counters().tx_pauses != pauses);
        return n;
    }
    void expect_in_order(unsigned n, std::size_t length) {
        for (unsigned i = 0; i < n; ++i) {
            const std::optional<Bytes> got = from_wire();
            ASSERT_TRUE(got) << i;
            ASSERT_EQ(*got, packet_of(length, i)) << i;
        }
    }

    // ---- Receiving
    [[nodiscard]] Bytes with_offload(const Bytes &bytes) const {
        Bytes all(vnet_hdr_ ? sizeof(snap_offload) : 0);
        all.insert(all.end(), bytes.begin(), bytes.end());
        return all;
    }
    bool to_wire(const Bytes &bytes) {
        return raw_to_wire(with_offload(bytes));
    }
    bool raw_to_wire(const Bytes &bytes) {
        return wait([&] {
            return write(wire_, bytes.data(), bytes.size()) ==
                   static_cast<ssize_t>(bytes.size());
        });
    }
    bool bring(const Bytes &bytes) {
        const Bytes all = with_offload(bytes);
        return snapnet_receive(q_, all.data(), all.size());
    }
    // TAKE, all batches, appended to `packets`; frames are kept.
    bool take(std::vector<Packet> &packets) {
        return take(packets, false) != SNAP_TAKE_NONE;
    }
    // TAKE or TAKE_ARM, and what it returns.
    std::uint64_t take(std::vector<Packet> &packets, bool arm) {
        const std::uint64_t value = snapnet_take(q_, arm);
        if (value == SNAP_TAKE_NONE) {
            return value;
        }
        kept_.push_back(SNAP_TAKE_FRAME(value));
        const std::uint8_t *const batch = frame(SNAP_TAKE_FRAME(value));
        std::size_t at = 0;
        for (unsigned i = 0; i < SNAP_TAKE_COUNT(value); ++i) {
            Packet p{};
            std::memcpy(&p.entry, batch + at, sizeof(p.entry));
            std::vector<std::uint32_t> frames(p.entry.nframes);
            const std::uint8_t *from = batch + at + sizeof(p.entry);
            std::memcpy(frames.data(), from, frames.size() * 4);
            from += frames.size() * 4;
            p.bytes.assign(from, from + p.entry.hdr_len);
            std::size_t left = p.entry.payload;
            for (const std::uint32_t f : frames) {
                const std::size_t n = std::min<std::size_t>(left, 4096);
                p.bytes.insert(p.bytes.end(), frame(f), frame(f) + n);
                EXPECT_TRUE(all_bytes(frame(f) + n, 4096 - n, 0));
                left -= n;
                kept_.push_back(f);
            }
            EXPECT_EQ(left, 0U);
            at += p.entry.size;
            packets.push_back(std::move(p));
        }
        EXPECT_TRUE(all_bytes(batch + at, 4096 - at, 0));
        return value;
    }
    // The next n packets.
    std::vector<Packet> receive(std::size_t n, bool keep = false) {
        std::vector<Packet> packets;
        EXPECT_TRUE(wait([&] {
            take(packets);
            if (!keep) {
                release_all();
            }
            return packets.size() >= n;
        })) << packets.size();
        return packets;
    }
    void release_all() {
        std::size_t done = 0;
        EXPECT_EQ(snapmem_release(mem_, kept_.data(), kept_.size(), &done),
                  SNAPMEM_OK);
        kept_.clear();
        snapnet_rx_resume(q_);
        snapnet_publish(q_, false);
    }

  private:
    [[nodiscard]] std::uint8_t *frame(std::uint32_t f) const {
        return snapmem_pool(mem_) + f * std::size_t{4096};
    }
    void interrupt() {
        const std::lock_guard<std::mutex> lock(big_lock_);
        if (snapnet_take_interrupt(q_)) {
            ++interrupts_;
        }
    }

    bool vnet_hdr_;
    snapmem *mem_ = nullptr;
    snapnet *q_ = nullptr;
    int tap_ = -1;
    int wire_ = -1;
    std::uint32_t free_ = 0;
    std::uint32_t paused_ = 0;
    std::uint32_t free_at_rest_ = 0;
    std::vector<std::uint32_t> kept_;
    std::mutex big_lock_;
    std::atomic<unsigned> interrupts_ = 0;
    std::thread thread_;
};

// ---- Headers

TEST(PacketHeader, EndsBehindTheTransport) {
    EXPECT_EQ(snapmem_impl::header_bytes(packet_of(1000, 1, 17)), 42U);
    EXPECT_EQ(snapmem_impl::header_bytes(packet_of(1000, 1, 6)), 66U);
    EXPECT_EQ(snapmem_impl::header_bytes(packet_of(1000, 1, 1)), 34U);
    Bytes fragment = packet_of(1000, 1, 17);
    fragment[21] = 1;
    EXPECT_EQ(snapmem_impl::header_bytes(fragment), 34U);
    Bytes tagged = packet_of(1000, 1, 17);
    tagged.insert(tagged.begin() + 12, {0x81, 0, 0, 5});
    EXPECT_EQ(snapmem_impl::header_bytes(tagged), 46U);
    EXPECT_EQ(snapmem_impl::header_bytes(Bytes(14)), 14U);
    for (std::size_t n = 14; n < 120; ++n) {
        for (const unsigned type : {0x0800U, 0x86ddU, 0x8100U}) {
            Bytes p = packet_of(1000, static_cast<unsigned>(n), 6);
            p[12] = static_cast<std::uint8_t>(type >> 8);
            p[13] = static_cast<std::uint8_t>(type);
            p.resize(n);
            EXPECT_LE(snapmem_impl::header_bytes(p), n);
        }
    }
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

// ---- Receiving

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
        Net net({.vnet_hdr = vnet_hdr});
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
                    ASSERT_EQ(got[0].entry.hdr_len, n <= 256         ? n
                                                    : protocol == 17 ? 42U
                                                                     : 66U);
                }
            }
        }
        EXPECT_EQ(net.counters().rx_dropped, 0U);
        EXPECT_EQ(net.counters().rx_packets, seed);
        EXPECT_EQ(net.counters().rx_in_place > 0, GetParam());
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
    for (unsigned round = 0; got.size() < packets; ++round) {
        ASSERT_LT(round, 100U);
        // Kept until it stalls.
        const std::uint64_t stalls = net.counters().rx_stalls;
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

} // namespace
} // namespace snapmem_test
