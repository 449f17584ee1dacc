// SPDX-License-Identifier: LGPL-2.1-or-later
// What the module answers, as text for people and JSON for programs.
#ifndef SNAPCTL_REPORT_H
#define SNAPCTL_REPORT_H

#include <snap/libsnap.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace snaptool {
class Json;
}

namespace snapctl {

// Appends a line: a name, a number, and what the number is of.
void line(std::string &text, std::string_view name, std::uint64_t value,
          std::string_view note = "");

std::string status_text(const snap_info &info);
std::string status_json(const snap_info &info);

using snaptool::Json;

// The counters of one socket or of many, into the open object; without
// reasons if they are not known.
void put_socket_stats(Json &json, const snap_sock_stats &stats, bool reasons);

std::string stats_text(const snap_stats &stats);
std::string stats_json(const snap_stats &stats);

std::string reasons_text();
std::string reasons_json();

// What happened in between; a level is shown as it is afterwards.
snap_stats difference(const snap_stats &before, const snap_stats &after);

// "csum tso4 ..." or "none"; bits without a name as one hexadecimal number.
std::string feature_names(std::uint64_t features);

} // namespace snapctl

#endif
