// SPDX-License-Identifier: LGPL-2.1-or-later
#include "packet_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>

namespace snapmem_impl {
namespace {

Fd make_event() {
    Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) {
        throw_errno("eventfd");
    }
    return event;
}

// A short packet is all header, one that is no packet as well.
PacketHeader split(std::span<const std::uint8_t> packet) {
    PacketHeader header;
    if (packet.size() >= SNAP_TX_BYTES_MIN) {
        header = parse_header(packet);
    }
    if (packet.size() <= SNAP_RX_INLINE_MAX) {
        header.bytes = packet.size();
    }
    return header;
}

// One that may have a large frame.
bool fits_large(std::size_t payload) {
    return payload > SNAP_RX_LARGE_MIN && payload <= SNAP_LARGE_SIZE;
}

void wait_for(std::span<pollfd> what, std::chrono::nanoseconds time) {
    const auto s = std::chrono::duration_cast<std::chrono::seconds>(time);
    const timespec limit{s.count(), (time - s).count()};
    ppoll(what.data(), what.size(), &limit, nullptr);
}

} // namespace

PacketQueue::PacketQueue(const snapnet_config &config)
    : config_(config), event_(make_event()), batches_(config.mem),
      landing_(config.mem, config.vnet_hdr),
      fifo_(config.mem,
            config.tx_packets != 0 ? config.tx_packets : SNAPNET_TX_PACKETS) {}

// ---- Life -------------------------------------------------------------------

void PacketQueue::stop() {
    Lock lock(mutex_);
    if (stopped_) {
        return;
    }
    quiesce(lock);
    forget_all();
    stopped_ = true;
    let_go();
}

void PacketQueue::start(std::uint64_t features) {
    const Lock lock(mutex_);
    features_ = features;
    landing_.allow_large((features & SNAP_F_LARGE_FRAMES) != 0);
    running_ = true;
    wake();
}

void PacketQueue::reset() {
    Lock lock(mutex_);
    quiesce(lock);
    forget_all();
    let_go();
}

void PacketQueue::forget_all() {
    end_sending();
    landing_.forget();
    batches_.clear();
    features_ = 0;
    running_ = false;
    armed_ = false;
    stalled_ = false;
    interrupt_ = false;
    holdoff_ = {};
    announced_ = never;
}

void PacketQueue::attach(int fd) {
    const Lock lock(mutex_);
    fd_ = fd;
    deaf_ = false;
    wake();
}

void PacketQueue::detach() {
    Lock lock(mutex_);
    quiesce(lock);
    flush();
    fd_ = -1;
    let_go();
}

void PacketQueue::halt(bool halted) {
    Lock lock(mutex_);
    quiesce(lock);
    halted_ = halted;
    let_go();
}

void PacketQueue::quiesce(Lock &lock) {
    ++quiesced_;
    wake();
    quiet_.wait(lock, [this] { return !inside_; });
}

void PacketQueue::let_go() {
    --quiesced_;
    store_status();
    wake();
}

void PacketQueue::wake() {
    news_ = true;
    if (asleep_) {
        ring();
    }
}

// Cannot fail: the count is far from its end.
void PacketQueue::ring() const {
    eventfd_write(event_.get(), 1);
}

// ---- The thread -------------------------------------------------------------

void PacketQueue::run(const std::function<void()> &interrupt) {
    Lock lock(mutex_);
    while (!stopped_) {
        news_ = false;
        if (active()) {
            announce_if_due();
        }
        if (interrupt_) {
            leave();
            lock.unlock();
            interrupt();
            lock.lock();
            continue;
        }
        if (!active()) {
            leave();
            sleep(lock);
            continue;
        }
        inside_ = true;
        const bool wrote = send(lock);
        const bool read = receive_some(lock);
        store_status();
        if (!wrote && !read) {
            rest(lock);
        }
    }
    leave();
}

// From here on others may have the descriptor, the landing and all frames.
void PacketQueue::leave() {
    if (inside_) {
        drop_sent_frames();
        landing_.go_home();
        store_status();
        inside_ = false;
    }
    quiet_.notify_all();
}

// True if a packet has left.
bool PacketQueue::send(Lock &lock) {
    bool wrote = false;
    blocked_ = false;
    for (unsigned i = 0; i < burst && active() && !fifo_.empty(); ++i) {
        lock.unlock();
        wait_delay();
        const ssize_t n = write_front();
        const int error = errno;
        lock.lock();
        if (n < 0 && error == EAGAIN) {
            blocked_ = true;
            break;
        }
        sent(n < 0);
        wrote = true;
    }
    if (sent_.size() > sent_frames || fifo_.empty()) {
        drop_sent_frames();
    }
    return wrote;
}

// True if a packet has come.
bool PacketQueue::receive_some(Lock &lock) {
    for (unsigned i = 0; i < burst; ++i) {
        if (!active() || deaf_) {
            return false;
        }
        if (!ready()) {
            landing_.go_home(); // which counts
        }
        if (!ready_or_stall()) {
            return false;
        }
        if (!landing_.holds_packet()) {
            lock.unlock();
            wait_delay();
            landing_.prepare();
            const ssize_t n = landing_.read(fd_);
            const int error = errno;
            lock.lock();
            if (n == 0 || (n < 0 && error != EAGAIN && error != EINTR)) {
                deaf_ = true;
            }
            if (n <= 0) {
                return n < 0 && error == EINTR;
            }
        }
        if (!accept_landed(lock)) {
            return ready_or_stall();
        }
        if (interrupt_) {
            return true;
        }
    }
    return true;
}

void PacketQueue::rest(Lock &lock) {
    if (spin(lock)) {
        return;
    }
    drop_sent_frames();
    landing_.go_home();
    store_status();
    sleep(lock);
}

// Until there is news or a packet. With inside_ the descriptor is looked at.
void PacketQueue::sleep(Lock &lock) {
    // Waiting batches are taken by registers, which tell us.
    const bool stalled = inside_ && stalled_ && !batches_.full();
    // Frames may have come back before anybody could see the stall.
    if (news_ || (stalled && ready())) {
        return;
    }
    std::array<pollfd, 2> wait{{{event_.get(), POLLIN, 0}, {-1, 0, 0}}};
    if (inside_) {
        const bool read = !deaf_ && running_ && !stalled_;
        const bool write = blocked_ && !fifo_.empty();
        const int events = (read ? POLLIN : 0) | (write ? POLLOUT : 0);
        wait[1] = {events != 0 ? fd_ : -1, static_cast<short>(events), 0};
    }
    // Of what is held back, whoever is active reminds himself.
    const auto timeout =
        std::min(inside_ ? held() : forever, stalled ? stalled_pause : forever);
    const auto began = std::chrono::steady_clock::now();
    asleep_ = true;
    lock.unlock();
    wait_for(wait, timeout);
    lock.lock();
    asleep_ = false;
    learn_patience(std::chrono::steady_clock::now() - began);
    if (wait[0].revents != 0) {
        eventfd_t count = 0;
        eventfd_read(event_.get(), &count);
    }
}

void PacketQueue::learn_patience(std::chrono::nanoseconds slept) {
    patience_ = slept < patience_max
                    ? std::clamp(patience_ * 2, patience_min, patience_max)
                : patience_ > patience_min ? patience_ / 2
                                           : std::chrono::nanoseconds{0};
}

// A packet or a doorbell often follows the last one soon: then nobody has to
// wake us. True if it did. How long that pays is learnt from how long it was
// slept, as host kernels do for halted processors.
bool PacketQueue::spin(Lock &lock) {
    const auto patience = std::min(patience_, held());
    if (patience.count() == 0 || blocked_) {
        return false;
    }
    const auto end = std::chrono::steady_clock::now() + patience;
    pollfd wait{!deaf_ && running_ && !stalled_ ? fd_ : -1, POLLIN, 0};
    lock.unlock();
    bool found = false;
    do {
        found = news_ || (wait.fd >= 0 && poll(&wait, 1, 0) > 0);
    } while (!found && std::chrono::steady_clock::now() < end);
    lock.lock();
    return found;
}

void PacketQueue::wait_delay() const {
    if (config_.delay_us != 0) {
        std::this_thread::sleep_for(
            std::chrono::microseconds(config_.delay_us));
    }
}

// ---- Sending ----------------------------------------------------------------

ssize_t PacketQueue::write_front() const {
    const TxFifo::Parts parts = fifo_.front();
    ssize_t n = 0;
    do {
        n = writev(fd_, parts.data(), static_cast<int>(parts.size()));
    } while (n < 0 && errno == EINTR);
    return n;
}

// The front packet is gone.
void PacketQueue::sent(bool dropped) {
    fifo_.pop(sent_);
    if (dropped) {
        ++counters_.tx_dropped;
    }
    if (paused_ && fifo_.half_empty()) {
        paused_ = false;
        store_status();
        interrupt_ = interrupt_ || running_;
    }
}

void PacketQueue::drop_sent_frames() {
    if (!sent_.empty()) {
        snapmem_drop(config_.mem, sent_.data(), sent_.size());
        sent_.clear();
        store_status();
    }
}

// What the descriptor takes at once.
void PacketQueue::flush() {
    while (fd_ >= 0 && !fifo_.empty()) {
        const ssize_t n = write_front();
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        sent(n < 0);
    }
    drop_sent_frames();
}

// The same, and nothing is left.
void PacketQueue::end_sending() {
    flush();
    while (!fifo_.empty()) {
        sent(true);
    }
    drop_sent_frames();
}

std::uint8_t *PacketQueue::tx_room() {
    return paused_ ? nullptr : fifo_.room();
}

void PacketQueue::tx_push(TxFifo::Parts parts) {
    Lock lock(mutex_);
    fifo_.push(parts);
    if (fifo_.full()) {
        paused_ = true;
        ++counters_.tx_pauses;
        store_status();
    }
    news_ = true;
    const bool asleep = asleep_;
    lock.unlock();
    // The thread, once awake, finds the mutex free.
    if (asleep) {
        ring();
    }
}

TxFifo::Parts PacketQueue::tx_next() {
    const Lock lock(mutex_);
    return fifo_.empty() ? TxFifo::Parts() : fifo_.front();
}

void PacketQueue::tx_pop(bool dropped) {
    const Lock lock(mutex_);
    sent(dropped);
    drop_sent_frames();
}

std::uint32_t PacketQueue::tx_waiting() {
    const Lock lock(mutex_);
    return fifo_.packets();
}

// ---- Receiving --------------------------------------------------------------

bool PacketQueue::ready() const {
    return running_ && !batches_.full() &&
           snapmem_free_frames(config_.mem) >
               (stalled_ ? SNAPNET_RX_RESUME : SNAPNET_RX_STOP);
}

void PacketQueue::stall() {
    if (!stalled_ && running_) {
        stalled_ = true;
        ++counters_.rx_stalls;
        // Whoever publishes frames after us sees it.
        store_status();
    }
}

// Once stalled, a caller who brings packets learns its end from rx_resume().
bool PacketQueue::ready_or_stall() {
    if (stalled_) {
        if (fd_ < 0 || !ready()) {
            return false;
        }
        stalled_ = false;
    }
    if (!ready()) {
        stall();
        return false;
    }
    return true;
}

bool PacketQueue::rx_ready() {
    const Lock lock(mutex_);
    return ready_or_stall();
}

bool PacketQueue::rx_resume() {
    if (!stalled_) {
        return false;
    }
    const Lock lock(mutex_);
    if (!stalled_ || !ready()) {
        return false;
    }
    stalled_ = false;
    wake();
    return fd_ < 0;
}

bool PacketQueue::receive(Packet bytes) {
    Lock lock(mutex_);
    if (!ready_or_stall() ||
        (landing_.holds_packet() && !accept_landed(lock))) {
        return false;
    }
    snap_offload offload{};
    if (config_.vnet_hdr) {
        if (bytes.size() < sizeof(offload)) {
            refuse();
            store_status();
            return true;
        }
        std::memcpy(&offload, bytes.data(), sizeof(offload));
        bytes = bytes.subspan(sizeof(offload));
    }
    const bool accepted = accept(bytes, offload, lock);
    store_status();
    return accepted;
}

void PacketQueue::receive_rest() {
    Lock lock(mutex_);
    if (landing_.holds_packet() && ready_or_stall()) {
        accept_landed(lock);
        store_status();
    }
}

bool PacketQueue::accept_landed(Lock &lock) {
    if (!landing_.has_offload()) {
        refuse();
        landing_.forget();
        return true;
    }
    const Packet packet = landing_.packet();
    snap_offload offload = landing_.offload();
    const PacketHeader header = split(packet);
    if (!landing_.in_place(header.bytes)) {
        landing_.make_linear();
        if (packet.size() > SNAP_RX_INLINE_MAX) {
            landing_.go_home(); // the packet may need all that are free
        }
        if (!accept(packet, offload, lock)) {
            return false;
        }
    } else if (!admit_offload(offload, features_, packet.size())) {
        refuse();
    } else {
        const std::span<const Frame> frames = landing_.payload(header.bytes);
        if (!add(packet, header, offload, frames)) {
            landing_.make_linear();
            return false;
        }
        const std::size_t payload = packet.size() - header.bytes;
        ++counters_.rx_in_place;
        counters_.rx_no_large += landing_.lacks_large() && fits_large(payload);
        landing_.learn(header.bytes, payload);
        landing_.forget_frames(frames.size());
    }
    landing_.forget();
    return true;
}

bool PacketQueue::accept(Packet packet, snap_offload offload, Lock &lock) {
    const std::size_t length = packet.size();
    if (length < SNAP_TX_BYTES_MIN ||
        !admit_offload(offload, features_, length)) {
        refuse();
        return true;
    }
    const PacketHeader header = split(packet);
    Packet rest = packet.subspan(header.bytes);
    const std::size_t nframes = (rest.size() + page_bytes - 1) / page_bytes;
    if (nframes > SNAP_RX_FRAMES_MAX) {
        refuse();
        return true;
    }
    landing_.learn(header.bytes, rest.size());
    // Nobody waits for a copy: the frames are ours until they are in a batch.
    const bool large =
        (features_ & SNAP_F_LARGE_FRAMES) != 0 && fits_large(rest.size());
    lock.unlock();
    const bool got = copy_payload(rest, large);
    lock.lock();
    if (!got) {
        stall();
        return false;
    }
    if (!add(packet, header, offload, payload_)) {
        snapmem_drop(config_.mem, payload_.data(), payload_.size());
        return false;
    }
    counters_.rx_no_large += large && payload_.size() > 1;
    return true;
}

// Into frames that are payload_ then: if it shall be, and is free, a large one.
bool PacketQueue::copy_payload(Packet rest, bool large) {
    std::size_t bytes = SNAP_LARGE_SIZE;
    payload_.resize(1);
    if (!large ||
        snapmem_receive_large(config_.mem, payload_.data()) != SNAPMEM_OK) {
        bytes = page_bytes;
        payload_.resize((rest.size() + bytes - 1) / bytes);
        if (!payload_.empty() &&
            snapmem_receive(config_.mem, payload_.data(), payload_.size()) !=
                SNAPMEM_OK) {
            return false;
        }
    }
    for (const Frame f : payload_) {
        std::uint8_t *to =
            snapmem_pool(config_.mem) + (f & ~large_bit) * page_bytes;
        const Packet part = rest.first(std::min(rest.size(), bytes));
        std::memcpy(to, part.data(), part.size());
        std::memset(to + part.size(), 0, bytes - part.size());
        rest = rest.subspan(part.size());
    }
    return true;
}

// A packet whose frames are filled. The caller keeps them if it fails.
bool PacketQueue::add(Packet packet, const PacketHeader &header,
                      const snap_offload &offload,
                      std::span<const Frame> frames) {
    snap_rx entry{};
    entry.payload = static_cast<std::uint32_t>(packet.size() - header.bytes);
    entry.offload = offload;
    hash_flow(header, {config_.hash_key[0], config_.hash_key[1]}, entry);
    if (!batches_.add(entry, packet.first(header.bytes), frames)) {
        // Copies on write have taken the frames since we looked.
        stall();
        return false;
    }
    ++counters_.rx_packets;
    counters_.rx_bytes += packet.size();
    announce_if_due();
    return true;
}

std::uint64_t PacketQueue::take(bool arm) {
    const Lock lock(mutex_);
    const bool full = batches_.full();
    const std::uint64_t value = batches_.take(counters_.rx_frames);
    if (value != SNAP_TAKE_NONE) {
        // A guest that has a packet sees what is left.
        store_status();
    }
    if (full && stalled_) {
        wake(); // from now on it waits for frames only, see sleep()
    }
    if (!arm || !running_ || !batches_.empty()) {
        return value;
    }
    armed_ = true;
    return value | SNAP_TAKE_ARMED;
}

bool PacketQueue::arm(bool armed) {
    const Lock lock(mutex_);
    armed_ = armed && running_;
    const auto wait = held();
    if (wait.count() > 0) {
        if (wait != forever) {
            wake(); // a thread that sleeps knows nothing of it
        }
        return false;
    }
    announce();
    store_status();
    return true;
}

void PacketQueue::set_holdoff(std::chrono::nanoseconds holdoff) {
    const Lock lock(mutex_);
    holdoff_ = holdoff;
    if (held() != forever) {
        wake();
    }
}

std::chrono::nanoseconds PacketQueue::held() const {
    using std::chrono::nanoseconds;
    if (!armed_ || batches_.empty()) {
        return forever;
    }
    // What is more than a batch saves no interrupt by waiting; and while
    // nothing comes, nothing is to be waited for.
    if (holdoff_.count() == 0 || batches_.several() || stalled_) {
        return nanoseconds{0};
    }
    return std::max(nanoseconds{0}, announced_ + holdoff_ - now());
}

void PacketQueue::announce() {
    armed_ = false;
    announced_ = now();
}

void PacketQueue::announce_if_due() {
    if (held().count() == 0) {
        announce();
        interrupt_ = true;
    }
}

// ---- Telling the guest ------------------------------------------------------

bool PacketQueue::take_interrupt() {
    const Lock lock(mutex_);
    announce_if_due();
    const bool due = interrupt_;
    interrupt_ = false;
    return due;
}

std::int64_t PacketQueue::held_ns() {
    const Lock lock(mutex_);
    const auto wait = held();
    return wait == forever ? -1 : wait.count();
}

// The guest reads the words at any time.
void PacketQueue::store_status() const {
    const std::atomic_ref<std::uint32_t> paused(*config_.tx_paused);
    snapmem_publish_free_frames(config_.mem, config_.free_frames);
    // The processor that sends reads the line all the time.
    const std::uint32_t now = paused_ || paused_by_caller_ ? 1 : 0;
    if (paused.load(std::memory_order_relaxed) != now) {
        paused.store(now, std::memory_order_relaxed);
    }
}

void PacketQueue::publish(bool tx_paused) {
    const Lock lock(mutex_);
    paused_by_caller_ = tx_paused;
    store_status();
}

void PacketQueue::get_counters(snapnet_counters &out) {
    const Lock lock(mutex_);
    out = counters_;
}

} // namespace snapmem_impl
