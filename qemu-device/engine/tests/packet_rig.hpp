// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A packet queue with a pair of sockets for a tap: what is written to one end
// arrives at the other packet by packet.
#pragma once

#include "rig.hpp"

#include "snap_device.h"
#include "snapmem/snapnet.h"

#include <algorithm>
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

using Bytes = std::vector<std::uint8_t>;
using namespace std::chrono_literals;

inline constexpr std::uint32_t pool_frames = 2048;

// The clock of all queues, which goes only when a test says so.
inline std::atomic<std::int64_t> clock_ns = 0;

// An Ethernet packet of IPv4 and UDP, or of TCP, in which every byte says where
// it is and whose.
inline Bytes packet_of(std::size_t length, unsigned seed,
                       unsigned protocol = 17) {
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
    bool large = false; // in a large frame
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
        std::uint32_t tx_packets = 0;
        int type = SOCK_SEQPACKET;
        std::uint64_t features = 0; // beside those of all
        Net *beside = nullptr;      // of the same device; outlives this
    };

    Net() : Net(Options{}) {}
    explicit Net(const Options &o)
        : vnet_hdr_(o.vnet_hdr), beside_(o.beside),
          free_(beside_ != nullptr ? beside_->free_ : own_free_) {
        const snapmem_config config{o.frames, 1, 0, SNAPMEM_COPY, false, 1};
        mem_ = beside_ != nullptr ? beside_->mem_
                                  : snapmem_new(&config, false, nullptr);
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
                               .clock_ns = [] { return clock_ns.load(); },
                               .hash_key = {},
                               .delay_us = o.delay_us,
                               .tx_packets = o.tx_packets};
        q_ = snapnet_new(&c);
        free_at_rest_ = snapmem_free_frames(mem_);
        if (o.thread) {
            snapnet_ref(q_);
            thread_ = std::thread([q = q_] {
                snapnet_run(q);
                snapnet_unref(q);
            });
        }
        snapnet_start(q_, SNAP_F_RX_CSUM | SNAP_F_RX_LRO | o.features);
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
        if (beside_ == nullptr) {
            snapmem_free(mem_);
        }
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
                snapmem_release(mem_, 0, frames.data(), frames.size(), &done),
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
        const std::size_t head = vnet_hdr_ ? sizeof(snap_offload) : 0;
        Bytes all(head + bytes.size());
        std::ranges::copy(bytes, std::span(all).subspan(head).begin());
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
            if (!frames.empty()) {
                std::memcpy(frames.data(), from, frames.size() * 4);
            }
            from += frames.size() * 4;
            p.bytes.assign(from, from + p.entry.hdr_len);
            std::size_t left = p.entry.payload;
            for (const std::uint32_t f : frames) {
                p.large = (f & SNAP_FRAME_LARGE) != 0;
                const std::size_t size =
                    p.large ? SNAP_LARGE_SIZE : SNAP_FRAME_SIZE;
                const std::size_t n = std::min(left, size);
                p.bytes.insert(p.bytes.end(), frame(f), frame(f) + n);
                EXPECT_TRUE(all_bytes(frame(f) + n, size - n, 0));
                left -= n;
                kept_.push_back(f);
            }
            EXPECT_EQ(left, 0U);
            EXPECT_TRUE(!p.large || (frames.size() == 1 &&
                                     p.entry.payload > SNAP_RX_LARGE_MIN));
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
        EXPECT_EQ(snapmem_release(mem_, 0, kept_.data(), kept_.size(), &done),
                  SNAPMEM_OK);
        kept_.clear();
        snapmem_publish_free_frames(mem_, &free_);
        snapnet_rx_resume(q_);
        if (beside_ != nullptr) {
            snapnet_rx_resume(beside_->q_);
        }
    }

  private:
    [[nodiscard]] std::uint8_t *frame(std::uint32_t f) const {
        return snapmem_pool(mem_) + (f & ~SNAP_FRAME_LARGE) * std::size_t{4096};
    }
    void interrupt() {
        const std::lock_guard<std::mutex> lock(big_lock_);
        if (snapnet_take_interrupt(q_)) {
            ++interrupts_;
        }
    }

    bool vnet_hdr_;
    Net *beside_;
    std::uint32_t own_free_ = 0;
    std::uint32_t &free_;
    snapmem *mem_ = nullptr;
    snapnet *q_ = nullptr;
    int tap_ = -1;
    int wire_ = -1;
    std::uint32_t paused_ = 0;
    std::uint32_t free_at_rest_ = 0;
    std::vector<std::uint32_t> kept_;
    std::mutex big_lock_;
    std::atomic<unsigned> interrupts_ = 0;
    std::thread thread_;
};

} // namespace snapmem_test
