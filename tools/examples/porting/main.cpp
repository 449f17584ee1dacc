// SPDX-License-Identifier: LGPL-2.1-or-later
// porting ADDRESS PORT: the program of Documentation/porting.rst, after.
//
// Sends 64 blocks of 64 KiB to a TCP server and uses one buffer for all of
// them. Without the module it is an AF_INET program, without the device one
// that copies.
#include <snap/libsnap.hpp>

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <span>
#include <sys/socket.h>
#include <vector>

namespace {

constexpr size_t block = 65536;
constexpr int blocks = 64;

// A buffer in a region, or in ordinary memory if there is no device.
class Buffer {
  public:
    Buffer() {
        try {
            const snap::Device device;
            region_ = std::make_unique<snap::Region>(device, block);
        } catch (const std::exception &e) {
            std::fprintf(stderr, "porting: %s: sending copies\n", e.what());
            plain_.resize(block);
        }
    }

    std::span<std::byte> bytes() {
        return region_ ? region_->bytes() : std::span(plain_);
    }

  private:
    std::unique_ptr<snap::Region> region_;
    std::vector<std::byte> plain_;
};

// AF_SNAP where the module is, AF_INET where it is not.
snap::Socket stream_socket() {
    int fd = snap_socket(SOCK_STREAM, SNAPPROTO_IPV4);
    if (fd == -EAFNOSUPPORT)
        fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return snap::Socket(snap::check(fd < 0 ? -errno : fd, "socket"));
}

void send_all(int fd, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        snap::check(n < 0 ? -errno : 0, "send");
        bytes = bytes.subspan(static_cast<size_t>(n));
    }
}

// What became of the bytes, and for which reasons they were copied.
void report(const snap::Socket &socket) {
    auto stats = snap::sized<snap_sock_stats>();
    if (snap_socket_stats(socket.fd(), &stats) == -ENOPROTOOPT) {
        std::puts("AF_INET");
        return;
    }
    std::printf("%llu bytes by reference, %llu copied\n", stats.tx_ref_bytes,
                stats.tx_copied_bytes);
    for (unsigned reason = 0; reason < SNAP_COPY_REASONS; ++reason)
        if (stats.copied_bytes[reason] != 0)
            std::printf("  %llu: %s\n", stats.copied_bytes[reason],
                        snap_copy_reason_text(reason));
}

void run(const char *address, const char *port) {
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
    if (::inet_pton(AF_INET, address, &peer.sin_addr) != 1)
        throw std::system_error(EINVAL, std::generic_category(), address);

    Buffer buffer;
    const snap::Socket socket = stream_socket();
    snap::check(::connect(socket.fd(),
                          reinterpret_cast<const sockaddr *>(&peer),
                          sizeof(peer)) < 0
                    ? -errno
                    : 0,
                "connect");
    for (int i = 0; i < blocks; ++i) {
        std::ranges::fill(buffer.bytes(), static_cast<std::byte>('a' + i % 26));
        send_all(socket.fd(), buffer.bytes());
        // The buffer is ours again: the next block may go into it at once.
    }
    report(socket);
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fputs("usage: porting ADDRESS PORT\n", stderr);
        return 2;
    }
    try {
        run(argv[1], argv[2]);
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "porting: %s\n", e.what());
        return 1;
    }
}
