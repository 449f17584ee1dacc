// SPDX-License-Identifier: LGPL-2.1-or-later
// The socket and the memory that a transfer uses.
#ifndef SNAPCAT_ENDPOINT_H
#define SNAPCAT_ENDPOINT_H

#include "options.h"

#include <snap/libsnap.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace snapcat {

// Bound and connected as the options say.  Throws std::system_error, or
// std::runtime_error with the resolver's message.
snap::Socket open_socket(const Options &options);

// What datagrams are sent from: a buffer in a region, or plain memory.
class SendMemory {
  public:
    explicit SendMemory(const Options &options);

    std::span<std::byte> bytes() noexcept {
        return buffer_ ? buffer_->bytes() : std::span(plain_);
    }
    bool in_region() const noexcept { return buffer_.has_value(); }

  private:
    std::optional<snap::Region> region_;
    std::optional<snap::Buffer> buffer_; // of region_: goes before it
    std::vector<std::byte> plain_;
};

} // namespace snapcat

#endif
