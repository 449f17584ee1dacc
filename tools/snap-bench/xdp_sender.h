// SPDX-License-Identifier: LGPL-2.1-or-later
// Datagrams of a socket, built by the application and sent past the kernel's
// UDP.
#ifndef SNAP_BENCH_XDP_SENDER_H
#define SNAP_BENCH_XDP_SENDER_H

#include "row.h"
#include "sender.h"

#include <cstddef>
#include <memory>

namespace snapbench {

// As the socket, which is connected, would send them.
std::unique_ptr<Sender> make_xdp_sender(int fd, const Side &side,
                                        std::size_t bytes);

} // namespace snapbench

#endif
