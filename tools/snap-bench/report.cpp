// SPDX-License-Identifier: LGPL-2.1-or-later
#include "report.h"

#include "../common/json.h"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace snapbench {

namespace {

using snaptool::Json;

std::string format(const char *pattern, double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), pattern, value);
    return text.data();
}

std::string time_of(double ns) {
    return ns < 1e6 ? format("%.2f us", ns / 1e3) : format("%.2f ms", ns / 1e6);
}

constexpr std::array<std::pair<const char *, double>, 4> percentiles{
    {{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}, {"longest_ns", 1}}};

// What belongs to the interface.
bool of_nic(Counter counter) {
    return counter == doorbells || counter == exits || counter == interrupts ||
           counter == device_copied;
}

void put(Json &json, const char *name, const Nic &nic, const Cost &cost) {
    const auto total = [&](std::uint64_t count) {
        return cost.per_message(static_cast<double>(count));
    };
    json.open(name);
    json.put("messages", cost.messages);
    json.put("arrived", total(cost.arrived));
    for (unsigned i = busy_ns; i < counters_max; ++i) {
        const auto counter = static_cast<Counter>(i);
        if ((counter < kernel_copied || Meter::counts_calls()) &&
            (counter != busy_ns || cost.knows_busy) &&
            !(of_nic(counter) && nic.name.empty()))
            json.put(name_of(counter), total(cost.counts[i]));
    }
    for (const auto &[field, part] : percentiles)
        if (!cost.latencies.empty())
            json.put(field, percentile(cost.latencies, part));
    json.open("host_cpu_ns");
    for (const auto &[thread, ns] : cost.threads)
        json.put(thread, total(ns));
    json.close().close();
}

void put(Json &json, const Result &result) {
    const Row &row = *result.row;
    json.open().put("name", row.name);
    json.put("mtu", row.mtu).put("bytes", row.bytes);
    if (!result.failed.empty()) {
        json.put("failed", result.failed).close();
        return;
    }
    if (!result.skipped.empty()) {
        json.put("skipped", result.skipped).close();
        return;
    }
    json.put("ours", median(result.ours.round_ns));
    json.put("peer", median(result.peer.round_ns));
    json.put("ratio", result.ratio.median);
    json.put("lowest", result.ratio.lowest);
    json.put("highest", result.ratio.highest);
    json.put("wide", static_cast<int>(result.ratio.wide()));
    json.put("lossy", static_cast<int>(result.lossy()));
    json.put("rounds", result.ours.round_ns.size());
    json.put("attempts", result.attempts);
    json.open("counts");
    put(json, "ours", row.ours.nic, result.ours);
    put(json, "peer", row.peer.nic, result.peer);
    json.close().close();
}

} // namespace

std::string line_of(const Result &result) {
    if (!result.failed.empty())
        return result.row->name + ": FAILED: " + result.failed;
    if (!result.skipped.empty())
        return result.row->name + ": skipped: " + result.skipped;
    return result.row->name + ": ours " +
           time_of(median(result.ours.round_ns)) + ", peer " +
           time_of(median(result.peer.round_ns)) + ", ratio " +
           format("%.2f", result.ratio.median) +
           format(" (%.2f", result.ratio.lowest) +
           format(" to %.2f)", result.ratio.highest) +
           (result.ratio.wide() ? " wide" : "") +
           (result.lossy() ? " lossy" : "");
}

std::string json_of(std::span<const Result> results) {
    Json json;
    json.open_list("rows");
    for (const Result &result : results)
        put(json, result);
    json.close_list();
    return std::move(json).finish();
}

} // namespace snapbench
