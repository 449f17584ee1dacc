// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where a packet's headers end, which flow it is of, and what of its offload
// header the guest sees.
#pragma once

#include "snap_device.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace snapmem_impl {

struct PacketHeader {
    // Of headers, those of Ethernet among them, and no more than
    // SNAP_RX_HEADER_MAX. Whatever is not understood counts as payload.
    std::size_t bytes = 0;
    // Where they are in the packet: both addresses of IP, both ports of TCP or
    // UDP. Empty: none. Fragments have no ports, not even the first: those of
    // one datagram are alike.
    std::span<const std::uint8_t> addresses;
    std::span<const std::uint8_t> ports;
};

// Of an Ethernet packet of at least 14 bytes.
PacketHeader parse_header(std::span<const std::uint8_t> packet) noexcept;

// Nobody who does not know the key can tell which flows have hashes alike.
using FlowKey = std::array<std::uint64_t, 2>;
// Sets hash and hash_type of the entry.
void hash_flow(const PacketHeader &header, const FlowKey &key,
               snap_rx &entry) noexcept;

// Leaves of the header what the features in force allow. False if the packet
// makes no sense without an offload that is not in force: it may stem from a
// time before START.
bool admit_offload(snap_offload &offload, std::uint64_t features,
                   std::size_t length) noexcept;

} // namespace snapmem_impl
