// SPDX-License-Identifier: LGPL-2.1-or-later
#include "workload.h"

#include <algorithm>
#include <array>

namespace snapbench {

const Workload *find_workload(std::string_view name) {
    static const std::array all{
        &stream_send,      &stream_send_read, &stream_receive,
        &stream_echo,      &forward,          &datagram_send,
        &datagram_receive, &datagram_echo,    &checkpoint,
    };
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Workload *workload) {
            return workload->name == name;
        });
    return found == all.end() ? nullptr : *found;
}

} // namespace snapbench
