// SPDX-License-Identifier: LGPL-2.1-or-later
// Streams of AF_VSOCK: between a machine and its host, or within one.
#ifndef SNAP_BENCH_VSOCK_H
#define SNAP_BENCH_VSOCK_H

#include <snap/socket.hpp>

#include <cstdint>
#include <string_view>

namespace snapbench {

// Listens at a port of its own.
snap::Socket listening_vsock();
std::uint32_t own_vsock_port(int fd);

// Unavailable, if this machine has no way to this host, which is an IPv4
// address: that of loopback, or of whoever runs this machine.
void need_vsock(std::string_view host);
snap::Socket connected_vsock(std::string_view host, std::uint32_t port);

} // namespace snapbench

#endif
