// SPDX-License-Identifier: LGPL-2.1-or-later
// The doctor on a host, before a machine is started there.
#ifndef SNAPCTL_DOCTOR_HOST_H
#define SNAPCTL_DOCTOR_HOST_H

#include "finding.h"
#include "system.h"

#include <cstdint>

namespace snapctl::doctor {

// window_bytes: of the windows of all devices of one machine, window-size=.
Findings examine_host(const System &system, std::uint64_t window_bytes);

} // namespace snapctl::doctor

#endif
