// SPDX-License-Identifier: LGPL-2.1-or-later
// What the driver of an interface counts, as `ethtool -S` shows it; its MTU.
#ifndef SNAP_BENCH_NIC_STATS_H
#define SNAP_BENCH_NIC_STATS_H

#include <snap/socket.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace snapbench {

class NicStats {
  public:
    // None if the interface has none.
    explicit NicStats(std::string_view nic);

    void read();
    // Of the last read(); zero without such a counter.
    std::uint64_t operator[](std::string_view name) const;

  private:
    void call(void *request, const char *what) const;

    snap::Socket socket_;
    std::string nic_;
    std::vector<std::string> names_;
    std::vector<std::uint64_t> words_; // struct ethtool_stats
};

void set_mtu(std::string_view nic, unsigned mtu);

} // namespace snapbench

#endif
