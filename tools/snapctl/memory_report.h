// SPDX-License-Identifier: LGPL-2.1-or-later
// Regions and snapshots as text for people and JSON for programs.
#ifndef SNAPCTL_MEMORY_REPORT_H
#define SNAPCTL_MEMORY_REPORT_H

#include "objects.h"

#include <snap/libsnap.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace snapctl {

std::string listing_text(std::string_view kind, const Listing &listing);
std::string listing_json(std::string_view kind, const Listing &listing);

std::string object_text(const snap_object_info &info);
std::string object_json(const snap_object_info &info);

// Pages that follow each other, in bytes.
struct Run {
    std::uint64_t offset;
    std::uint64_t length;
};

// `pages`: offsets in bytes and in order.
std::vector<Run> runs_of(const std::vector<std::uint64_t> &pages);

// Of the `pages` that differ, of objects of so many bytes.
std::string diff_text(std::uint64_t length,
                      const std::vector<std::uint64_t> &pages);
std::string diff_json(std::uint64_t length,
                      const std::vector<std::uint64_t> &pages);

} // namespace snapctl

#endif
