// SPDX-License-Identifier: LGPL-2.1-or-later
// The command that says what is missing.
#ifndef SNAPCTL_DOCTOR_H
#define SNAPCTL_DOCTOR_H

namespace snapctl {

struct Request;

int run_doctor(const Request &request);

} // namespace snapctl

#endif
