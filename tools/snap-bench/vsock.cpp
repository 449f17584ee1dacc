// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vsock.h"

#include "socket.h"
#include "workload.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

namespace snapbench {

namespace {

snap::Socket vsock() {
    const int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EAFNOSUPPORT)
        throw Unavailable("the kernel has no AF_VSOCK");
    return snap::Socket(checked(fd, "socket(AF_VSOCK)"));
}

sockaddr_vm address_of_vsock(std::string_view host, std::uint32_t port) {
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid =
        host.starts_with("127.") ? VMADDR_CID_LOCAL : VMADDR_CID_HOST;
    address.svm_port = port;
    return address;
}

// Whether this machine has a device for it, which gives it a number.  A host
// has one as well, and loopback answers for it where there is none.
bool is_guest() {
    const snap::Socket device(open("/dev/vsock", O_RDONLY | O_CLOEXEC));
    unsigned own = VMADDR_CID_ANY;
    return ioctl(device.fd(), IOCTL_VM_SOCKETS_GET_LOCAL_CID, &own) == 0 &&
           own > VMADDR_CID_HOST && own != VMADDR_CID_ANY;
}

int connect_vsock(int fd, const sockaddr_vm &to) {
    return uninterrupted([&] {
        return connect(fd, reinterpret_cast<const sockaddr *>(&to), sizeof(to));
    });
}

} // namespace

snap::Socket listening_vsock() {
    snap::Socket made = vsock();
    sockaddr_vm any{};
    any.svm_family = AF_VSOCK;
    any.svm_cid = VMADDR_CID_ANY;
    any.svm_port = VMADDR_PORT_ANY;
    checked(
        bind(made.fd(), reinterpret_cast<const sockaddr *>(&any), sizeof(any)),
        "bind");
    checked(listen(made.fd(), 1), "listen");
    return made;
}

std::uint32_t own_vsock_port(int fd) {
    sockaddr_vm address{};
    socklen_t length = sizeof(address);
    checked(getsockname(fd, reinterpret_cast<sockaddr *>(&address), &length),
            "getsockname");
    return address.svm_port;
}

void need_vsock(std::string_view host) {
    const auto address = address_of_vsock(host, 1);
    const snap::Socket probe = vsock();
    if (address.svm_cid == VMADDR_CID_LOCAL) {
        // Nobody listens there; it is refused by whoever is.
        if (connect_vsock(probe.fd(), address) < 0 && errno == ENODEV)
            throw Unavailable("vsock_loopback is not loaded");
    } else if (!is_guest()) {
        throw Unavailable("this machine has no vsock device");
    }
}

snap::Socket connected_vsock(std::string_view host, std::uint32_t port) {
    snap::Socket made = vsock();
    set_patience(made.fd(), {patience_seconds, 0});
    checked(connect_vsock(made.fd(), address_of_vsock(host, port)), "connect");
    return made;
}

} // namespace snapbench
