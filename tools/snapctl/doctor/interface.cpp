// SPDX-License-Identifier: LGPL-2.1-or-later
#include "interface.h"

#include "../report.h"
#include "advice.h"

#include <algorithm>
#include <net/if.h>
#include <snap/libsnap.h>
#include <sstream>

namespace snapctl::doctor {

namespace {

namespace fs = std::filesystem;

const fs::path interfaces = "sys/class/net";

struct Route {
    std::string interface;
    bool is_default = false;
};

std::vector<std::string> words(const std::string &line) {
    std::istringstream stream(line);
    std::vector<std::string> found;
    for (std::string word; stream >> word;)
        found.push_back(word);
    return found;
}

// Those of IPv4, and of IPv6 but what every interface has: fe80::/64, ff00::/8.
std::vector<Route> routes(const Files &files) {
    std::vector<Route> found;
    const auto zero = [](const std::string &digits) {
        return digits.find_first_not_of('0') == std::string::npos;
    };
    for (const auto &line : files.lines("proc/net/route")) {
        const auto part = words(line);
        if (part.size() >= 8 && part[0] != "Iface")
            found.push_back({part[0], zero(part[1]) && zero(part[7])});
    }
    for (const auto &line : files.lines("proc/net/ipv6_route")) {
        const auto part = words(line);
        if (part.size() >= 10 && !part[0].starts_with("fe80") &&
            !part[0].starts_with("ff") && part[9] != "lo")
            found.push_back({part[9], zero(part[0]) && zero(part[1])});
    }
    return found;
}

std::uint64_t mtu_of(const Files &files, const std::string &name) {
    return files.number(interfaces / name / "mtu").value_or(0);
}

// Only those that have a device behind them: not lo, bridges or tunnels.
std::string largest_other(const Files &files, const std::string &name) {
    std::string found;
    for (const auto &other : files.names(interfaces))
        if (other != name && files.exist(interfaces / other / "device") &&
            mtu_of(files, other) > mtu_of(files, found))
            found = other;
    return found;
}

} // namespace

Findings examine_interface(const Files &files, const std::string &name,
                           std::uint64_t features) {
    Values values{{"INTERFACE", name}};
    const auto flags = files.number(interfaces / name / "flags").value_or(0);
    if ((flags & IFF_UP) == 0)
        return {fill(advice::down, values)};
    if (files.number(interfaces / name / "carrier") != 1U)
        return {fill(advice::no_carrier, values)};
    const auto all = routes(files);
    if (std::none_of(all.begin(), all.end(),
                     [&](auto &route) { return route.interface == name; }))
        return {fill(advice::no_route, values)};

    Findings found;
    const auto other = std::find_if(all.begin(), all.end(), [&](auto &route) {
        return route.is_default && route.interface != name;
    });
    const bool ours = std::any_of(all.begin(), all.end(), [&](auto &route) {
        return route.is_default && route.interface == name;
    });
    if (other != all.end() && !ours) {
        values.emplace_back("OTHER", other->interface);
        found.push_back(fill(advice::other_default, values));
        values.pop_back();
    }
    const auto larger = largest_other(files, name);
    if (mtu_of(files, larger) > mtu_of(files, name))
        found.push_back(
            fill(advice::small_mtu,
                 {{"INTERFACE", name},
                  {"OTHER", larger},
                  {"NUMBER", std::to_string(mtu_of(files, name))},
                  {"LIMIT", std::to_string(mtu_of(files, larger))}}));
    // What virtio-net has with every backend that passes its header.
    constexpr std::uint64_t usual =
        SNAP_F_CSUM | SNAP_F_TSO4 | SNAP_F_TSO6 | SNAP_F_RX_CSUM;
    if (const auto lacking = usual & ~features; lacking != 0) {
        values.emplace_back("OFFLOADS", feature_names(lacking));
        found.push_back(fill(advice::no_offloads, values));
    }
    if (found.empty())
        found.push_back(good("interface", name));
    return found;
}

} // namespace snapctl::doctor
