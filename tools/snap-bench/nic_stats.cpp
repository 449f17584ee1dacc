// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nic_stats.h"

#include "socket.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

namespace snapbench {

namespace {

snap::Socket any_socket() {
    return snap::Socket(
        checked(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
}

ifreq request_of(std::string_view nic) {
    ifreq request{};
    nic.copy(request.ifr_name, IFNAMSIZ - 1);
    return request;
}

// A structure of ethtool's that ends in data, in words that align it.
template <typename Struct>
std::vector<std::uint64_t> with_data(std::size_t bytes) {
    return std::vector<std::uint64_t>((sizeof(Struct) + bytes + 7) / 8);
}

} // namespace

void NicStats::call(void *request, const char *what) const {
    ifreq all = request_of(nic_);
    all.ifr_data = static_cast<char *>(request);
    checked(ioctl(socket_.fd(), SIOCETHTOOL, &all), what);
}

NicStats::NicStats(std::string_view nic) : socket_(any_socket()), nic_(nic) {
    auto sets = with_data<ethtool_sset_info>(sizeof(__u32));
    auto *info = reinterpret_cast<ethtool_sset_info *>(sets.data());
    info->cmd = ETHTOOL_GSSET_INFO;
    info->sset_mask = 1ULL << ETH_SS_STATS;
    call(info, "ETHTOOL_GSSET_INFO");
    const std::size_t count = info->sset_mask != 0 ? info->data[0] : 0;

    auto texts = with_data<ethtool_gstrings>(count * ETH_GSTRING_LEN);
    auto *strings = reinterpret_cast<ethtool_gstrings *>(texts.data());
    strings->cmd = ETHTOOL_GSTRINGS;
    strings->string_set = ETH_SS_STATS;
    strings->len = static_cast<__u32>(count);
    if (count > 0)
        call(strings, "ETHTOOL_GSTRINGS");
    for (std::size_t i = 0; i < count; ++i) {
        const auto *name =
            reinterpret_cast<const char *>(strings->data) + i * ETH_GSTRING_LEN;
        names_.emplace_back(name, strnlen(name, ETH_GSTRING_LEN));
    }
    words_ = with_data<ethtool_stats>(count * sizeof(__u64));
}

void NicStats::read() {
    auto *stats = reinterpret_cast<ethtool_stats *>(words_.data());
    stats->cmd = ETHTOOL_GSTATS;
    stats->n_stats = static_cast<__u32>(names_.size());
    if (!names_.empty())
        call(stats, "ETHTOOL_GSTATS");
}

std::uint64_t NicStats::operator[](std::string_view name) const {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end())
        return 0;
    const auto *stats = reinterpret_cast<const ethtool_stats *>(words_.data());
    return stats->data[at - names_.begin()];
}

void set_mtu(std::string_view nic, unsigned mtu) {
    ifreq request = request_of(nic);
    request.ifr_mtu = static_cast<int>(mtu);
    checked(ioctl(any_socket().fd(), SIOCSIFMTU, &request), "set the MTU");
}

} // namespace snapbench
