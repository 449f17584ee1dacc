// SPDX-License-Identifier: LGPL-2.1-or-later
// The other end: a process for each connection.
#ifndef SNAP_BENCH_SERVE_H
#define SNAP_BENCH_SERVE_H

#include <snap/socket.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace snapbench {

snap::Socket listen_on(std::string_view address, std::uint16_t port);

// Until a signal ends it.  pid_file names the process, QEMU, whose threads are
// asked about; it is read then.  Throws std::system_error.
[[noreturn]] void serve(const snap::Socket &listener,
                        const std::string &pid_file);

} // namespace snapbench

#endif
