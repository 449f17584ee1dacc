// SPDX-License-Identifier: LGPL-2.1-or-later
// What several rounds say together.
#ifndef SNAP_BENCH_STATS_H
#define SNAP_BENCH_STATS_H

#include <span>
#include <vector>

namespace snapbench {

// Of at least one value; 0 to 1, nearest rank: 0.5 of two is the lower one.
double percentile(std::vector<double> values, double part);

// Of at least one value; the mean of the two in the middle, if there are two.
double median(std::vector<double> values);

// How many times as fast one is as the other: times of the other by its own.
struct Ratio {
    double median = 0;
    double lowest = 0;
    double highest = 0;

    double spread() const { return (highest - lowest) / median; }
    // Of such a ratio little can be said.
    bool wide() const { return spread() > 0.2; }
};

// Rounds belong together: what disturbs one end of a pair is likely to disturb
// the other.  Of at least one round, as many of both, none of which took no
// time.
Ratio ratio_of(std::span<const double> ours, std::span<const double> peer);

} // namespace snapbench

#endif
