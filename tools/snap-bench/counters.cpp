// SPDX-License-Identifier: LGPL-2.1-or-later
#include "counters.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/resource.h>
#include <unistd.h>

namespace snapbench {

namespace {

constexpr const char *calls_file = "/sys/kernel/debug/snap_count";
constexpr const char *timers_file = "/proc/timer_list";

// The sum of the numbers of all "NAME NUMBER" whose name is wanted.
template <typename Wanted>
std::uint64_t sum_of(const char *path, Wanted wanted) {
    std::ifstream file(path);
    std::string name;
    std::uint64_t value = 0;
    std::uint64_t sum = 0;
    while (file >> name >> value)
        if (wanted(name))
            sum += value;
    return sum;
}

// How interrupts of the NIC are called in /proc/interrupts.
std::string interrupt_names(std::string_view nic) {
    namespace fs = std::filesystem;
    if (nic.empty())
        return "";
    const fs::path device =
        fs::path("/sys/class/net") / std::string(nic) / "device";
    std::error_code none;
    const auto driver =
        fs::read_symlink(device / "driver", none).filename().string();
    if (driver == "snap")
        return "snap-";
    const auto target = fs::read_symlink(device, none).filename().string();
    return target.empty() ? "" : target + '-';
}

// Those of all processors, of lines "NUMBER: COUNT... CHIP HWIRQ NAME".
std::uint64_t interrupts_named(const std::string &start) {
    std::ifstream file("/proc/interrupts");
    std::uint64_t sum = 0;
    for (std::string line; !start.empty() && std::getline(file, line);) {
        const auto name = line.find_last_of(' ') + 1;
        if (line.compare(name, start.size(), start) != 0)
            continue;
        std::istringstream words(line);
        std::string number;
        words >> number;
        for (std::uint64_t count = 0; words >> count;)
            sum += count;
    }
    return sum;
}

// Drivers do not agree on how they call this.
std::uint64_t received_bytes(const std::string &nic) {
    std::ifstream file("/sys/class/net/" + nic + "/statistics/rx_bytes");
    std::uint64_t bytes = 0;
    file >> bytes;
    return bytes;
}

} // namespace

// To the nanosecond, where /proc/stat has hundredths of a second.  While a task
// waits in io_uring the kernel takes the time for one of waiting for a disk.
Idle idle_of(const char *path) {
    std::ifstream file(path);
    Idle idle;
    for (std::string line; std::getline(file, line);) {
        const bool first = line.find(".idle_sleeptime") != std::string::npos;
        if (!first && line.find(".iowait_sleeptime") == std::string::npos)
            continue;
        idle.processors += first ? 1 : 0;
        idle.ns += std::stoull(line.substr(line.find(':') + 1));
    }
    return idle;
}

std::string_view name_of(Counter counter) {
    static constexpr std::array<std::string_view, counters_max> names{
        "wall_ns",
        "busy_ns",
        "doorbells",
        "exits",
        "interrupts",
        "capture_copied_bytes",
        "write_faults",
        "cow_copied_bytes",
        "device_copied_bytes",
        "by_reference_bytes",
        "page_allocs",
        "page_faults",
        "kernel_copied_bytes",
        "slab_allocs",
    };
    return names[counter];
}

Counts operator-(const Counts &after, const Counts &before) {
    Counts difference{};
    for (unsigned i = 0; i < counters_max; ++i)
        difference[i] = after[i] - before[i];
    return difference;
}

Counts &operator+=(Counts &sum, const Counts &more) {
    for (unsigned i = 0; i < counters_max; ++i)
        sum[i] += more[i];
    return sum;
}

Meter::Meter(const Nic &nic)
    : nic_(nic.name), interrupts_of_(interrupt_names(nic.name)) {
    if (!nic.name.empty() && nic.name != "lo")
        stats_.emplace(nic.name);
    if (access("/dev/snap", F_OK) == 0)
        device_.emplace();
}

bool Meter::knows_busy() {
    static const bool alone = idle_of(timers_file).processors == 1;
    return alone;
}

bool Meter::counts_calls() {
    return access(calls_file, R_OK) == 0;
}

void Meter::read_nic(Counts &counts) {
    if (device_)
        counts[by_reference] = device_->stats().sockets.tx_ref_bytes;
    counts[interrupts] = interrupts_named(interrupts_of_);
    if (!stats_)
        return;
    NicStats &nic = *stats_;
    nic.read();
    // Each queue of virtio-net is kicked, ours has doorbells.
    const std::uint64_t kicks = nic["rx_kicks"] + nic["tx_kicks"];
    counts[doorbells] = nic["doorbells"] + kicks;
    counts[exits] = nic["doorbells"] + nic["takes"] + nic["arms"] + kicks;
    counts[capture_copied] = nic["copied_bytes"];
    // What sharing costs later: a store to what was shared is trapped, and may
    // copy the page.
    counts[write_faults] = nic["write_faults"];
    counts[cow_copied] = nic["cow_copies"] * SNAP_FRAME_SIZE;
    // virtio-net copies into the guest's buffers what the backend has read; so
    // does ours into frames.  What virtio-net sends lies in the guest's memory.
    counts[device_copied] =
        nic["tx_dma_bytes"] + nic["tx_inline_bytes"] + received_bytes(nic_);
    // The driver's own memcpy() is no function that can be probed.
    counts[kernel_copied] = nic["driver_rx_copied_bytes"] +
                            nic["driver_rx_small_bytes"] +
                            nic["tx_inline_bytes"];
}

void Meter::read_kernel(Counts &counts) {
    counts[page_allocs] = sum_of("/proc/vmstat", [](const std::string &name) {
        return name.starts_with("pgalloc_");
    });
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    counts[page_faults] =
        static_cast<std::uint64_t>(use.ru_minflt + use.ru_majflt);
}

void Meter::read_clocks(Counts &counts) {
    const auto now = [] {
        return static_cast<std::uint64_t>(
            std::chrono::nanoseconds(
                std::chrono::steady_clock::now().time_since_epoch())
                .count());
    };
    counts[wall_ns] = now();
    counts[busy_ns] = counts[wall_ns];
}

void Meter::read_calls(Counts &counts) {
    counts[kernel_copied] += sum_of(calls_file, [](const std::string &name) {
        return name.ends_with("_bytes");
    });
    counts[slab_allocs] = sum_of(
        calls_file, [](const std::string &name) { return name == "slab"; });
}

Counts Meter::before() {
    Counts counts{};
    read_nic(counts);
    read_kernel(counts);
    read_calls(counts);
    const std::uint64_t idle = idle_of(timers_file).ns;
    read_clocks(counts);
    counts[busy_ns] -= idle;
    return counts;
}

Counts Meter::after() {
    Counts counts{};
    read_clocks(counts);
    counts[busy_ns] -= idle_of(timers_file).ns;
    Counts calls{};
    read_calls(calls);
    read_kernel(counts);
    read_nic(counts);
    counts += calls;
    return counts;
}

} // namespace snapbench
