// SPDX-License-Identifier: LGPL-2.1-or-later
// The doctor in a guest: from the device up to what leaves by its interface.
#ifndef SNAPCTL_DOCTOR_GUEST_H
#define SNAPCTL_DOCTOR_GUEST_H

#include "finding.h"
#include "system.h"

namespace snapctl::doctor {

// What depends on something missing is left out.
Findings examine_guest(const System &system);

} // namespace snapctl::doctor

#endif
