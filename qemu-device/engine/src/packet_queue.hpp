// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The packets of one data queue: the lock, the thread, who may do what when.
#pragma once

#include "os.hpp"
#include "packet_header.hpp"
#include "rx_batches.hpp"
#include "rx_landing.hpp"
#include "tx_fifo.hpp"

#include "snapmem/snapnet.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

namespace snapmem_impl {

// snapnet.h says who calls what, with which locks; the functions are those of
// the same names there.
//
// Locking: mutex_ guards everything that is not constant, but for two things
// that the thread uses without it while inside_ is true: landing_, and the
// front packet of fifo_. Whoever has the mutex and finds inside_ false has
// those as well; quiesce() waits for that. The room in fifo_ is the caller's.
class PacketQueue {
  public:
    explicit PacketQueue(const snapnet_config &config);
    PacketQueue(const PacketQueue &) = delete;
    PacketQueue &operator=(const PacketQueue &) = delete;
    ~PacketQueue() { stop(); }

    // interrupt: as in snapnet_config.
    void run(const std::function<void()> &interrupt);
    void stop();
    void start(std::uint64_t features);
    void reset();

    void attach(int fd);
    void detach();
    void halt(bool halted);

    std::uint8_t *tx_room();
    void tx_push(TxFifo::Parts parts);
    TxFifo::Parts tx_next();
    void tx_pop(bool dropped);
    std::uint32_t tx_waiting();

    bool rx_ready();
    bool receive(std::span<const std::uint8_t> bytes);
    void receive_rest();
    bool rx_resume();
    std::uint64_t take(bool arm);
    bool arm(bool armed);
    void set_holdoff(std::chrono::nanoseconds holdoff);

    bool take_interrupt();
    std::int64_t held_ns();
    void publish(bool tx_paused);
    void get_counters(snapnet_counters &out);

  private:
    using Lock = std::unique_lock<std::mutex>;
    using Packet = std::span<const std::uint8_t>;

    // Packets that one direction moves before it is the turn of the other.
    static constexpr unsigned burst = 32;
    // Frames that were sent and are still held, at most, plus a packet's.
    static constexpr std::size_t sent_frames = 128;

    // Frames come home to all queues, and who brings them looks at those that
    // have stalled; but none does at those of packets that have left.
    static constexpr std::chrono::nanoseconds stalled_pause{10'000'000};

    // Of spin().
    static constexpr std::chrono::nanoseconds patience_min{2000};
    static constexpr std::chrono::nanoseconds patience_max{30000};

    static constexpr auto forever = std::chrono::nanoseconds::max();
    // Long enough ago for any holdoff.
    static constexpr std::chrono::nanoseconds never =
        -std::chrono::microseconds(SNAP_HOLDOFF_MAX);

    // All below: the caller holds mutex_. Those with a Lock give it up
    // meanwhile.

    // Of the thread.
    [[nodiscard]] bool active() const {
        return fd_ >= 0 && !halted_ && !stopped_ && quiesced_ == 0;
    }
    void leave();
    bool send(Lock &lock);
    bool receive_some(Lock &lock);
    void rest(Lock &lock);
    bool spin(Lock &lock);
    void sleep(Lock &lock);
    void learn_patience(std::chrono::nanoseconds slept);
    void wait_delay() const;

    // Wait until the thread is quiet, and let it go on.
    void quiesce(Lock &lock);
    void let_go();
    // As before the first start(); quiet.
    void forget_all();
    void wake();
    void ring() const;
    void end_sending();
    void flush();
    ssize_t write_front() const;
    void sent(bool dropped);
    void drop_sent_frames();

    [[nodiscard]] bool ready() const;
    bool ready_or_stall();
    // A packet of the landing; false if it stays there.
    bool accept_landed(Lock &lock);
    // Into payload_; false if there are no frames for it.
    bool copy_payload(Packet rest, bool large);
    bool accept(Packet packet, snap_offload offload, Lock &lock);
    bool add(Packet packet, const PacketHeader &header,
             const snap_offload &offload, std::span<const Frame> frames);
    void refuse() { ++counters_.rx_dropped; }
    void stall();

    // How long the interrupt for what was received is held back still; or
    // forever: there is none.
    [[nodiscard]] std::chrono::nanoseconds held() const;
    // It is under way; and that, if it is time.
    void announce();
    void announce_if_due();
    [[nodiscard]] std::chrono::nanoseconds now() const {
        return std::chrono::nanoseconds(config_.clock_ns());
    }
    void store_status() const;

    const snapnet_config config_;
    const Fd event_; // wakes the thread
    // Callers read these without the mutex, at each doorbell and of all queues:
    // beside what is seldom written. Stored with the mutex.
    std::atomic<bool> stalled_ = false;
    std::atomic<bool> paused_ = false; // by fifo_
    std::condition_variable quiet_;

    std::mutex mutex_;
    // The thread is in a system call on fd_, or uses what is above.
    bool inside_ = false;
    bool asleep_ = false; // in poll(), which the event ends
    bool stopped_ = false;
    bool halted_ = false;
    unsigned quiesced_ = 0; // by that many callers
    int fd_ = -1;
    bool deaf_ = false;    // nothing will ever be read from fd_
    bool blocked_ = false; // fd_ took no more
    // There is something to do, or not to do any more. Stored with the mutex.
    std::atomic<bool> news_ = false;
    std::chrono::nanoseconds patience_{0}; // of spin()

    std::uint64_t features_ = 0;
    bool running_ = false;
    bool armed_ = false;
    bool interrupt_ = false;
    std::chrono::nanoseconds holdoff_{0};
    // When received packets were announced last.
    std::chrono::nanoseconds announced_ = never;
    bool paused_by_caller_ = false;
    RxBatches batches_;
    RxLanding landing_;
    TxFifo fifo_;
    std::vector<Frame> sent_;    // held, of packets that are gone
    std::vector<Frame> payload_; // of the packet that is copied; numbers
    snapnet_counters counters_{};
};

} // namespace snapmem_impl
