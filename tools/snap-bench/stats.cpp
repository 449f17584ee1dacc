// SPDX-License-Identifier: LGPL-2.1-or-later
#include "stats.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace snapbench {

double percentile(std::vector<double> values, double part) {
    const auto rank = static_cast<std::size_t>(
        std::ceil(part * static_cast<double>(values.size())));
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(
                                         std::max<std::size_t>(rank, 1) - 1);
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half]
                                  : (values[half - 1] + values[half]) / 2;
}

Ratio ratio_of(std::span<const double> ours, std::span<const double> peer) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < ours.size(); ++i)
        ratios.push_back(peer[i] / ours[i]);
    const auto [lowest, highest] =
        std::minmax_element(ratios.begin(), ratios.end());
    return {median(ratios), *lowest, *highest};
}

} // namespace snapbench
