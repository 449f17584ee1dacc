// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where a packet's headers end, and what of its offload header the guest sees.
#pragma once

#include "snap_device.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace snapmem_impl {

// Bytes of headers of an Ethernet packet of at least 14 bytes, those among
// them, and no more than SNAP_RX_HEADER_MAX. Whatever is not understood counts
// as payload.
std::size_t header_bytes(std::span<const std::uint8_t> packet) noexcept;

// Leaves of the header what the features in force allow. False if the packet
// makes no sense without an offload that is not in force: it may stem from a
// time before START.
bool admit_offload(snap_offload &offload, std::uint64_t features,
                   std::size_t length) noexcept;

} // namespace snapmem_impl
