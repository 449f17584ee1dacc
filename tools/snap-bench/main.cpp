// SPDX-License-Identifier: LGPL-2.1-or-later
// snap-bench: what a datagram costs, AF_SNAP beside AF_INET, in one run.
#include "counters.h"
#include "options.h"

#include "../common/printable.h"

#include <arpa/inet.h>
#include <array>
#include <cstdio>
#include <cstring>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace snapbench {

namespace {

// One way of sending: a socket and a buffer.
class Sender {
  public:
    Sender(const char *name, snap::Socket socket, std::span<std::byte> buffer)
        : name_(name), socket_(std::move(socket)), buffer_(buffer) {}

    // Send `count` datagrams, each rewritten before if asked for.
    void run(const sockaddr_in &to, const Options &options, unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            if (options.rewrite)
                std::memset(buffer_.data(), static_cast<int>(i & 0xff),
                            options.size);
            const auto sent =
                sendto(socket_.fd(), buffer_.data(), options.size, 0,
                       reinterpret_cast<const sockaddr *>(&to), sizeof(to));
            if (sent != static_cast<ssize_t>(options.size))
                throw std::system_error(errno, std::generic_category(), name_);
        }
    }

    const char *name() const { return name_; }
    Counters cost;

  private:
    const char *name_;
    snap::Socket socket_;
    std::span<std::byte> buffer_;
};

snap::Socket inet_socket() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        throw std::system_error(errno, std::generic_category(), "socket");
    return snap::Socket(fd);
}

void print(const Sender &s, const Sender &control, const Options &o) {
    const double n = o.count;
    const auto per = [n](std::uint64_t v) {
        return static_cast<double>(v) / n;
    };
    std::printf("%-16s %9.0f %6.3f %6.2f %6.2f %6.2f %6.3f %9.0f %9.0f %9.0f\n",
                s.name(), per(s.cost.nanoseconds),
                static_cast<double>(s.cost.nanoseconds) /
                    static_cast<double>(control.cost.nanoseconds),
                per(s.cost.exits), per(s.cost.write_faults),
                per(s.cost.interrupts), per(s.cost.page_allocs),
                per(s.cost.ref_bytes), per(s.cost.copied_bytes),
                per(s.cost.device_copied));
}

void bench(const Options &o) {
    const snap::Device device;
    const snap::Region region(device, 16 * SNAP_FRAME_SIZE);
    std::vector<std::byte> plain(size_max + 1);
    std::vector<std::byte> copied(size_max + 1);

    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(o.port);
    if (inet_pton(AF_INET, o.host.c_str(), &to.sin_addr) != 1)
        throw std::system_error(EINVAL, std::generic_category(), o.host);

    std::array senders{
        Sender("inet", inet_socket(), plain),
        Sender("snap, region", snap::Socket(SOCK_DGRAM, SNAPPROTO_IPV4),
               region.bytes()),
        Sender("snap, no region", snap::Socket(SOCK_DGRAM, SNAPPROTO_IPV4),
               copied),
    };
    for (Sender &s : senders)
        s.run(to, o, 100); // warm-up: neighbours, caches, policy
    for (unsigned round = 0; round < rounds; ++round) {
        for (Sender &s : senders) {
            const Counters before = read_counters(device);
            s.run(to, o, o.count / rounds);
            s.cost += read_counters(device) - before;
        }
    }
    std::printf("UDP to %s:%u, %zu bytes, %u messages, buffer %s\n",
                o.host.c_str(), o.port, o.size, o.count,
                o.rewrite ? "rewritten before each" : "unchanged");
    std::printf("%-16s %9s %6s %6s %6s %6s %6s %9s %9s %9s\n", "per message",
                "ns", "/inet", "exits", "faults", "irqs", "pages", "ref B",
                "copied B", "dev.cp B");
    for (const Sender &s : senders)
        print(s, senders[0], o);
}

} // namespace

} // namespace snapbench

int main(int argc, char **argv) {
    try {
        const auto options = snapbench::parse(argc, argv);
        if (options.help)
            std::fputs(snapbench::usage(), stdout);
        else if (options.version)
            std::printf("snap-bench %s\n", snap_version());
        else
            snapbench::bench(options);
        return snapbench::exit_ok;
    } catch (const snapbench::UsageError &error) {
        snaptool::complain("snap-bench", error.what());
        std::fputs("Try 'snap-bench --help'.\n", stderr);
        return snapbench::exit_usage;
    } catch (const std::exception &error) {
        snaptool::complain("snap-bench", error.what());
        return snapbench::exit_failed;
    }
}
