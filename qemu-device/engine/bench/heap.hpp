// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>

namespace snapmem_bench {

// Bytes that operator new has given out in this program and not had back.
std::size_t heap_bytes();

} // namespace snapmem_bench
