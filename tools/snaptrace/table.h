// SPDX-License-Identifier: LGPL-2.1-or-later
// How snaptrace shows what was counted; knows nothing of where it came from.
#ifndef SNAPTRACE_TABLE_H
#define SNAPTRACE_TABLE_H

#include "events.h"

#include <cstdint>
#include <string>
#include <vector>

namespace snaptrace {

struct Row {
    snaptrace_key key{};
    snaptrace_counts counts{};
};

struct Report {
    std::vector<Row> rows;
    std::uint64_t lost = 0; // events of processes there was no room for
};

// Most bytes first, then by process and socket.
void sort(Report &report);

struct Columns {
    bool socket = false;
    bool histogram = false;
};

// Lines, each ended.
std::string table(const Report &report, Columns columns);

// One line, ended: {"lost": N, "processes": [...]}.
std::string json(const Report &report);

} // namespace snaptrace

#endif
