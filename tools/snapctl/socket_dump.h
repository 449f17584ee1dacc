// SPDX-License-Identifier: LGPL-2.1-or-later
// Asks snap_diag, over netlink, for all sockets.
#ifndef SNAPCTL_SOCKET_DUMP_H
#define SNAPCTL_SOCKET_DUMP_H

#include "sockets.h"

#include <optional>
#include <vector>

namespace snapctl {

// Nothing if the module snap_diag is not there.  Types and states as in
// struct snap_diag_req.
std::optional<std::vector<Socket>> dump_sockets(std::uint32_t types,
                                                std::uint32_t states);

} // namespace snapctl

#endif
