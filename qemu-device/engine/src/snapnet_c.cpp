// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The C boundary of packet queues. Only snapnet_new() can fail, by memory or
// descriptors; all that is needed later is there then.
#include "snapmem/snapnet.h"

#include "packet_queue.hpp"

#include <atomic>
#include <memory>

struct snapnet {
    explicit snapnet(const snapnet_config &c) : config(c), queue(c) {}

    const snapnet_config config;
    std::atomic<unsigned> references = 1;
    snapmem_impl::PacketQueue queue;
};

extern "C" {

snapnet *snapnet_new(const snapnet_config *config) {
    try {
        return std::make_unique<snapnet>(*config).release();
    } catch (...) {
        return nullptr;
    }
}

void snapnet_ref(snapnet *q) {
    ++q->references;
}

void snapnet_unref(snapnet *q) {
    if (--q->references == 0) {
        const std::unique_ptr<snapnet> gone(q);
    }
}

void snapnet_run(snapnet *q) {
    q->queue.run([q] { q->config.interrupt(q, q->config.opaque); });
}

void snapnet_stop(snapnet *q) {
    q->queue.stop();
}

void snapnet_start(snapnet *q, uint64_t features) {
    q->queue.start(features);
}

void snapnet_reset(snapnet *q) {
    q->queue.reset();
}

void snapnet_attach(snapnet *q, int fd) {
    q->queue.attach(fd);
}

void snapnet_detach(snapnet *q) {
    q->queue.detach();
}

void snapnet_halt(snapnet *q, bool halted) {
    q->queue.halt(halted);
}

uint8_t *snapnet_tx_room(snapnet *q) {
    return q->queue.tx_room();
}

void snapnet_tx_push(snapnet *q, const struct iovec *part, unsigned n) {
    q->queue.tx_push({part, n});
}

const struct iovec *snapnet_tx_next(snapnet *q, unsigned *n) {
    const std::span<const iovec> parts = q->queue.tx_next();
    *n = static_cast<unsigned>(parts.size());
    return parts.empty() ? nullptr : parts.data();
}

void snapnet_tx_pop(snapnet *q, bool dropped) {
    q->queue.tx_pop(dropped);
}

uint32_t snapnet_tx_waiting(snapnet *q) {
    return q->queue.tx_waiting();
}

bool snapnet_rx_ready(snapnet *q) {
    return q->queue.rx_ready();
}

bool snapnet_receive(snapnet *q, const uint8_t *packet, size_t bytes) {
    return q->queue.receive({packet, bytes});
}

void snapnet_receive_rest(snapnet *q) {
    q->queue.receive_rest();
}

bool snapnet_rx_resume(snapnet *q) {
    return q->queue.rx_resume();
}

uint64_t snapnet_take(snapnet *q, bool arm) {
    return q->queue.take(arm);
}

bool snapnet_arm(snapnet *q, bool armed) {
    return q->queue.arm(armed);
}

void snapnet_set_holdoff(snapnet *q, uint32_t us) {
    q->queue.set_holdoff(std::chrono::microseconds(us));
}

int64_t snapnet_held_ns(snapnet *q) {
    return q->queue.held_ns();
}

bool snapnet_take_interrupt(snapnet *q) {
    return q->queue.take_interrupt();
}

void snapnet_publish(snapnet *q, bool tx_paused) {
    q->queue.publish(tx_paused);
}

void snapnet_get_counters(snapnet *q, snapnet_counters *out) {
    q->queue.get_counters(*out);
}

} // extern "C"
