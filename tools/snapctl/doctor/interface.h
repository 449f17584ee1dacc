// SPDX-License-Identifier: LGPL-2.1-or-later
// The interface of the device, beside the others.
#ifndef SNAPCTL_DOCTOR_INTERFACE_H
#define SNAPCTL_DOCTOR_INTERFACE_H

#include "files.h"
#include "finding.h"

#include <cstdint>
#include <string>

namespace snapctl::doctor {

// At least one finding.  features are those negotiated, SNAP_F_*.
Findings examine_interface(const Files &files, const std::string &name,
                           std::uint64_t features);

} // namespace snapctl::doctor

#endif
