// SPDX-License-Identifier: LGPL-2.1-or-later
// Results, as a line for people and as JSON for programs.
#ifndef SNAP_BENCH_REPORT_H
#define SNAP_BENCH_REPORT_H

#include "measure.h"

#include <span>
#include <string>

namespace snapbench {

// "NAME: ours 18.1 us, peer 9.8 us, ratio 0.54 (0.51 to 0.57)", one line.
std::string line_of(const Result &result);

// All of them; snap-bench(1) has the fields.
std::string json_of(std::span<const Result> results);

} // namespace snapbench

#endif
