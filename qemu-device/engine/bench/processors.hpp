// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where the calling thread runs, and those that it makes. A trap wakes the
// engine's fault thread, and what that costs depends on whether its processor
// is this one, another one, or one that sleeps: so it is not left to chance.
#pragma once

namespace snapmem_bench {

void use_first_processor();
// The first one again if there is no other.
void use_last_processor();
void use_all_processors();

} // namespace snapmem_bench
