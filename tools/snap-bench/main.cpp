// SPDX-License-Identifier: LGPL-2.1-or-later
// snap-bench: what a datagram costs, AF_SNAP beside AF_INET, in one run.
#include "counters.h"

#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <getopt.h>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

namespace snapbench {

namespace {

constexpr std::size_t size_max = 65507; // what UDP over IPv4 carries
constexpr unsigned rounds = 10;         // alternating, against drift

struct Options {
    std::string host = "10.77.0.1";
    std::uint16_t port = 7009;
    std::size_t size = 60000;
    unsigned count = 10000;
    bool rewrite = true;
};

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

void usage(std::FILE *to) {
    std::fputs("usage: snap-bench [-s BYTES] [-n MESSAGES] [-k] [HOST [PORT]]\n"
               "  -s BYTES     of each datagram (60000)\n"
               "  -n MESSAGES  of each sender, a multiple of 10 (10000)\n"
               "  -k           keep the buffer as it is between sends\n"
               "  -h           this text\n"
               "HOST is an IPv4 address that discards (10.77.0.1), PORT 7009\n",
               to);
}

// False: not a number from 1 to max.
template <typename T>
bool number(std::string_view text, T max, T &value) {
    const auto *end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    return result.ec == std::errc() && result.ptr == end && value >= 1 &&
           value <= max;
}

bool parse(int argc, char **argv, Options &o) {
    for (int c = 0; (c = getopt(argc, argv, "s:n:kh")) != -1;) {
        bool good = true;
        switch (c) {
        case 's':
            good = number<std::size_t>(optarg, size_max, o.size);
            break;
        case 'n':
            good = number<unsigned>(optarg, 100000000, o.count) &&
                   o.count % rounds == 0;
            break;
        case 'k':
            o.rewrite = false;
            break;
        case 'h':
            usage(stdout);
            std::exit(0);
        default:
            good = false;
        }
        if (!good)
            return false;
    }
    if (optind < argc)
        o.host = argv[optind++];
    if (optind < argc && !number<std::uint16_t>(argv[optind++], 65535, o.port))
        return false;
    return optind == argc;
}

} // namespace

} // namespace snapbench

// Exit status: 0 measured; 1 a call failed, with a message; 2 usage.
int main(int argc, char **argv) {
    snapbench::Options options;
    if (!snapbench::parse(argc, argv, options)) {
        snapbench::usage(stderr);
        return 2;
    }
    try {
        snapbench::bench(options);
    } catch (const std::exception &e) {
        std::fprintf(stderr, "snap-bench: %s\n", e.what());
        return 1;
    }
    return 0;
}
