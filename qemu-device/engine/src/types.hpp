// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Names and units that all parts of the engine share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace snapmem_impl {

using Frame = std::uint32_t;   // index of a frame in the pool
using Version = std::uint32_t; // of a page's bytes: versions.hpp
using Page = std::uint32_t;    // index of a page: in the window, or in a region
using Slot = std::uint16_t;    // index of a region's slot
using Owner = std::uint16_t;   // index of an owner in the ledger; 0: nobody

inline constexpr std::size_t page_bytes = 4096;
inline constexpr Frame no_frame = ~Frame{0};
// Frames in a row that may be given as one; the bit of its number.
inline constexpr std::uint32_t large_frames = 16;
inline constexpr Frame large_bit = Frame{1} << 31;
inline constexpr Version no_version = ~Version{0};
inline constexpr Slot no_slot = 0xffff;

} // namespace snapmem_impl
