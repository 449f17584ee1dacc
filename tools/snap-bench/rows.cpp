// SPDX-License-Identifier: LGPL-2.1-or-later
#include "row.h"
#include "workload.h"

#include <array>

namespace snapbench {

namespace {

constexpr Nic snap0{"snap0", "10.77.0.1"};
constexpr Nic virtio0{"virtio0", "10.78.0.1"};
constexpr Nic loopback{"lo", "127.0.0.1"};

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

// UDP and TCP of the kernel, over either interface.
constexpr Side over_ours{Family::inet, snap0};
constexpr Side over_virtio{Family::inet, virtio0};
// An AF_SNAP socket over ours.
constexpr Side by_reference{Family::snap, snap0};

constexpr Side with(Side side, Method method) {
    side.method = method;
    return side;
}

constexpr Side with(Side side, Memory memory) {
    side.memory = memory;
    return side;
}

constexpr Side with(Side side, unsigned sockets) {
    side.sockets = sockets;
    return side;
}

// What UDP and TCP of the kernel get from the interfaces.
void add_netdev(std::vector<Row> &all, unsigned mtu) {
    const auto add = [&](const char *name, const Workload &workload,
                         std::size_t bytes, Method method = Method::plain) {
        all.push_back(
            {"netdev-" + std::string(name) + "-mtu" + std::to_string(mtu),
             &workload, mtu, bytes, with(over_ours, method),
             with(over_virtio, method)});
    };
    add("tcp-send-64k", stream_send, 64 * kib);
    add("tcp-sendfile-64k", stream_send, 64 * kib, Method::sendfile);
    add("tcp-receive-64k", stream_receive, 64 * kib);
    add("tcp-splice-64k", forward, 64 * kib, Method::splice);
    add("udp-send-64", datagram_send, 64);
    add("udp-send-1472", datagram_send, 1472);
    add("udp-send-60000", datagram_send, 60000);
    add("udp-receive-64", datagram_receive, 64);
    add("udp-receive-1472", datagram_receive, 1472);
    add("udp-receive-60000", datagram_receive, 60000);
    add("udp-rr-64", datagram_echo, 64);
    add("tcp-rr-64", stream_echo, 64);
}

// AF_SNAP over our interface, beside the ways there are over virtio-net.
void add_sockets(std::vector<Row> &all) {
    constexpr unsigned mtu = 65000;
    const auto add = [&](const std::string &name, const Workload &workload,
                         std::size_t bytes, const Side &ours,
                         const Side &peer) {
        all.push_back({name, &workload, mtu, bytes, ours, peer});
    };
    for (const std::size_t bytes : {64, 1472, 60000})
        add("dgram-send-" + std::to_string(bytes), datagram_send, bytes,
            by_reference, over_virtio);
    const Side zerocopy = with(over_virtio, Method::zerocopy);
    const auto stream = [&](const char *name, const Side &ours,
                            const Side &peer) {
        add("stream-send-64k" + std::string(name), stream_send, 64 * kib, ours,
            peer);
    };
    stream("", by_reference, over_virtio);
    stream("-beside-zerocopy-ring", with(by_reference, Memory::ring),
           with(zerocopy, Memory::ring));
    stream("-beside-zerocopy-waiting", by_reference, zerocopy);
    stream("-unchanged-beside-zerocopy", with(by_reference, Memory::unchanged),
           with(zerocopy, Memory::unchanged));
    const Side uring = with(over_virtio, Method::uring);
    stream("-beside-uring-ring", with(by_reference, Memory::ring),
           with(uring, Memory::ring));
    stream("-beside-uring-waiting", by_reference, uring);
    stream("-unchanged-beside-sendfile", with(by_reference, Memory::unchanged),
           with(over_virtio, Method::sendfile));
    const Side view = with(by_reference, Method::view);
    add("dgram-receive-60000", datagram_receive, 60000, by_reference,
        over_virtio);
    add("dgram-receive-60000-view", datagram_receive, 60000, view, over_virtio);
    add("stream-receive-64k", stream_receive, 64 * kib, by_reference,
        over_virtio);
    add("stream-receive-64k-view", stream_receive, 64 * kib, view, over_virtio);
    const Side mapped = with(over_virtio, Method::zerocopy);
    add("stream-receive-64k-beside-zerocopy", stream_receive, 64 * kib,
        by_reference, mapped);
    add("stream-receive-64k-view-beside-zerocopy", stream_receive, 64 * kib,
        view, mapped);
    add("stream-forward-64k-view", forward, 64 * kib, view, over_virtio);
    add("stream-forward-64k-view-beside-splice", forward, 64 * kib, view,
        with(over_virtio, Method::splice));
}

// AF_VSOCK, to the host and within the machine.
void add_vsock(std::vector<Row> &all) {
    const auto add = [&](const char *name, unsigned mtu, const Nic &ours,
                         const Nic &peer) {
        all.push_back({name, &stream_send_read, mtu, 64 * kib,
                       Side{Family::snap, ours}, Side{Family::vsock, peer}});
    };
    // A device of its own, whose counters nobody shows; orders go by
    // virtio-net.
    constexpr Nic vsock{"", virtio0.host};
    add("stream-send-64k-beside-vsock", 65000, snap0, vsock);
    add("loopback-stream-send-64k-beside-vsock", 0, loopback, loopback);
}

// Sixteen messages by one call.
void add_batches(std::vector<Row> &all) {
    const auto batch = [](Side side) {
        return with(with(side, Method::batch), Memory::ring);
    };
    const auto add = [&](const char *name, unsigned mtu, Side ours) {
        all.push_back(
            {name, &datagram_send, mtu, 64, batch(ours), batch(over_virtio)});
    };
    add("netdev-udp-send-64-batch-mtu1500", 1500, over_ours);
    add("dgram-send-64-batch", 65000, by_reference);
    const Side xdp = with(with(over_virtio, Method::xdp), Memory::ring);
    for (const std::size_t bytes : {64, 1472})
        all.push_back(
            {"dgram-send-" + std::to_string(bytes) + "-batch-beside-xdp",
             &datagram_send, 1500, bytes, batch(by_reference), xdp});
}

// By the size of messages, which the plots draw, and by the number of what
// takes part.
void add_growth(std::vector<Row> &all) {
    constexpr unsigned mtu = 65000;
    const auto add = [&](const char *name, const Workload &workload,
                         std::size_t bytes, const Side &ours) {
        all.push_back(
            {"growth-" + std::string(name) + '-' + std::to_string(bytes),
             &workload, mtu, bytes, ours, over_virtio});
    };
    for (std::size_t bytes = 64; bytes <= mib; bytes *= 4)
        add("stream", stream_send, bytes, by_reference);
    for (std::size_t bytes = 64; bytes <= 16 * kib; bytes *= 4)
        add("dgram", datagram_send, bytes, by_reference);
    add("dgram", datagram_send, 60000, by_reference);
    const auto number = [&](const char *name, const Workload &workload,
                            unsigned count, const Side &ours,
                            const Side &peer) {
        all.push_back({std::string(name) + '-' + std::to_string(count),
                       &workload, mtu, 16 * kib, ours, peer});
    };
    for (const unsigned sockets : {1, 10, 100, 1000})
        number("sockets", stream_send, sockets, with(by_reference, sockets),
               with(over_virtio, sockets));
    const auto regions = [](Side side, unsigned count) {
        side.regions = count;
        return side;
    };
    // A user may have 40 percent of 1024.
    for (const unsigned count : {1, 10, 100, 400})
        number("regions", datagram_send, count, regions(by_reference, count),
               regions(over_virtio, count));
    const auto unread = [](Side side, unsigned count) {
        side.unread = count;
        return side;
    };
    const Side view = with(by_reference, Method::view);
    for (const unsigned count : {0, 10, 100, 500})
        number("unread-views", datagram_receive, count, unread(view, count),
               unread(over_virtio, count));
}

// Threads that send at once, one for each processor: bench.sh has a machine
// with four for these.
void add_processors(std::vector<Row> &all) {
    for (const unsigned processors : {1, 2, 4}) {
        const auto at_once = [&](Side side) {
            side.at_once = true;
            return with(side, processors);
        };
        all.push_back({"processors-" + std::to_string(processors), &stream_send,
                       65000, 64 * kib, at_once(by_reference),
                       at_once(over_virtio)});
    }
}

// Both ends in this machine.
void add_loopback(std::vector<Row> &all) {
    constexpr Side by_reference_here{Family::snap, loopback};
    constexpr Side here{Family::inet, loopback};
    const auto add = [&](const char *name, const Workload &workload,
                         std::size_t bytes) {
        all.push_back({"loopback-" + std::string(name), &workload, 0, bytes,
                       by_reference_here, here});
    };
    add("dgram-send-60000", datagram_send, 60000);
    add("stream-send-64k", stream_send, 64 * kib);
    add("udp-rr-64", datagram_echo, 64);
    add("tcp-rr-64", stream_echo, 64);
}

// Between two machines: bench.sh has such for these, and the other one has the
// host's addresses.
void add_guests(std::vector<Row> &all) {
    const auto add = [&](const char *name, const Workload &workload,
                         unsigned mtu, std::size_t bytes, const Side &ours) {
        all.push_back({"guests-" + std::string(name), &workload, mtu, bytes,
                       ours, over_virtio});
    };
    add("netdev-tcp-send-64k-mtu1500", stream_send, 1500, 64 * kib, over_ours);
    add("netdev-tcp-send-64k", stream_send, 65000, 64 * kib, over_ours);
    add("netdev-tcp-rr-64", stream_echo, 65000, 64, over_ours);
    add("stream-send-64k", stream_send, 65000, 64 * kib, by_reference);
    add("dgram-send-60000", datagram_send, 65000, 60000, by_reference);
    add("dgram-receive-60000", datagram_receive, 65000, 60000, by_reference);
}

// Puts while a snapshot of a region is written to a file, beside fork(2).  The
// interfaces are those whose counters are looked at.
void add_checkpoints(std::vector<Row> &all) {
    for (const std::size_t size : {1, 4, 16})
        all.push_back({"checkpoint-" + std::to_string(size) + "m", &checkpoint,
                       0, size * mib, by_reference, over_virtio});
}

std::vector<Row> make() {
    std::vector<Row> all;
    for (const unsigned mtu : {1500, 9000, 65000})
        add_netdev(all, mtu);
    add_sockets(all);
    add_batches(all);
    add_loopback(all);
    add_vsock(all);
    add_growth(all);
    add_processors(all);
    add_checkpoints(all);
    add_guests(all);
    return all;
}

} // namespace

const std::vector<Row> &rows() {
    static const std::vector<Row> all = make();
    return all;
}

} // namespace snapbench
