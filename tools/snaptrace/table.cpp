// SPDX-License-Identifier: LGPL-2.1-or-later
#include "table.h"

#include "../common/json.h"
#include "../common/printable.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>
#include <snap/libsnap.h>
#include <span>
#include <string_view>
#include <tuple>

namespace snaptrace {

static_assert(SNAP_COPY_REASONS <= SNAPTRACE_REASONS);

namespace {

constexpr unsigned int bar_columns = 40;

std::uint64_t sum(std::span<const __u64> of) {
    return std::accumulate(of.begin(), of.end(), std::uint64_t{0});
}

std::uint64_t bytes(const snaptrace_counts &c) {
    return c.ref_bytes + sum(c.copied_bytes) + c.rx_copied_bytes +
           c.rx_viewed_bytes;
}

// A module that is newer than we are may have more of them.
std::string reason_name(unsigned int reason) {
    const char *name = snap_copy_reason_name(reason);
    return name ? name : "reason_" + std::to_string(reason);
}

std::string command(const snaptrace_counts &c) {
    const std::string_view whole(c.comm, sizeof(c.comm));
    return snaptool::printable(whole.substr(0, whole.find('\0')));
}

template <typename... Args>
std::string format(const char *text, Args... args) {
    std::array<char, 256> line{};
    std::snprintf(line.data(), line.size(), text, args...);
    return line.data();
}

// Four digits at most, and the unit: 1234, 56K, 7.8M.
std::string human(std::uint64_t value) {
    static constexpr std::string_view units = " KMGTPE";
    auto scaled = static_cast<double>(value);
    std::size_t unit = 0;
    for (; scaled >= 9999.5 && unit + 1 < units.size(); ++unit)
        scaled /= 1024;
    if (unit == 0)
        return std::to_string(value);
    return format(scaled < 9.95 ? "%.1f%c" : "%.0f%c", scaled, units[unit]);
}

std::string reasons(const snaptrace_counts &c) {
    std::string text;
    for (unsigned int i = 0; i < SNAPTRACE_REASONS; ++i) {
        if (c.copied_msgs[i])
            text += " " + reason_name(i) + "=" + human(c.copied_msgs[i]);
    }
    return text;
}

std::string nanoseconds(unsigned int slot) {
    static constexpr std::array units{"ns", "us", "ms", "s"};
    const unsigned int unit = std::min(slot / 10, 3U);
    return std::to_string(std::uint64_t{1} << (slot - unit * 10)) +
           units.at(unit);
}

std::string histogram(std::span<const __u64> latency) {
    const auto used = [](std::uint64_t n) { return n != 0; };
    const auto first = std::ranges::find_if(latency, used);
    if (first == latency.end())
        return "    no packet seen yet\n";
    const auto last =
        std::ranges::find_if(latency.rbegin(), latency.rend(), used).base();
    const auto most = *std::ranges::max_element(latency);
    std::string text;
    for (auto at = first; at != last; ++at) {
        const auto bar = (*at * bar_columns + most - 1) / most;
        text +=
            format("    %6s %10s %s\n",
                   nanoseconds(static_cast<unsigned int>(at - latency.begin()))
                       .c_str(),
                   human(*at).c_str(), std::string(bar, '#').c_str());
    }
    return text;
}

} // namespace

void sort(Report &report) {
    std::ranges::sort(report.rows, [](const Row &a, const Row &b) {
        return std::tuple(bytes(b.counts), a.key.pid, a.key.inode) <
               std::tuple(bytes(a.counts), b.key.pid, b.key.inode);
    });
}

std::string table(const Report &report, Columns columns) {
    std::string text =
        format("%7s %-15s%s %7s %7s %7s %7s %7s %7s %7s %7s %s\n", "PID",
               "COMMAND", columns.socket ? "      INODE" : "", "REF", "BYTES",
               "COPIED", "BYTES", "RECV", "BYTES", "VIEWED", "BYTES", "WHY");
    for (const auto &[key, c] : report.rows) {
        text += format("%7u %-15s", key.pid, command(c).c_str());
        if (columns.socket)
            text += format(" %10llu", key.inode);
        for (const std::uint64_t value :
             {std::uint64_t{c.ref_msgs}, std::uint64_t{c.ref_bytes},
              sum(c.copied_msgs), sum(c.copied_bytes), std::uint64_t{c.rx_msgs},
              std::uint64_t{c.rx_copied_bytes}, std::uint64_t{c.rx_viewed_msgs},
              std::uint64_t{c.rx_viewed_bytes}})
            text += format(" %7s", human(value).c_str());
        text += reasons(c) + "\n";
        if (columns.histogram)
            text += histogram(c.latency);
    }
    if (report.lost)
        text += "lost: " + std::to_string(report.lost) +
                " events of processes beyond those above\n";
    return text;
}

std::string json(const Report &report) {
    snaptool::Json out;
    out.put("lost", report.lost).open_list("processes");
    for (const auto &[key, c] : report.rows) {
        out.open()
            .put("pid", key.pid)
            .put("command", command(c))
            .put("inode", key.inode)
            .put("tx_ref_msgs", c.ref_msgs)
            .put("tx_ref_bytes", c.ref_bytes)
            .put("tx_copied_msgs", sum(c.copied_msgs))
            .put("tx_copied_bytes", sum(c.copied_bytes))
            .put("rx_msgs", c.rx_msgs)
            .put("rx_copied_bytes", c.rx_copied_bytes)
            .put("rx_viewed_msgs", c.rx_viewed_msgs)
            .put("rx_viewed_bytes", c.rx_viewed_bytes)
            .open("copied");
        for (unsigned int i = 0; i < SNAPTRACE_REASONS; ++i) {
            if (i < SNAP_COPY_REASONS || c.copied_msgs[i])
                out.open(reason_name(i))
                    .put("msgs", c.copied_msgs[i])
                    .put("bytes", c.copied_bytes[i])
                    .close();
        }
        out.close().open("send_to_doorbell_ns");
        for (unsigned int i = 0; i < SNAPTRACE_SLOTS; ++i) {
            if (c.latency[i])
                out.put(std::to_string(std::uint64_t{1} << i), c.latency[i]);
        }
        out.close().close();
    }
    out.close_list();
    return std::move(out).finish() + "\n";
}

} // namespace snaptrace
