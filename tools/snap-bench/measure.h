// SPDX-License-Identifier: LGPL-2.1-or-later
// Takes the time of a row: rounds of both sides in turn.
#ifndef SNAP_BENCH_MEASURE_H
#define SNAP_BENCH_MEASURE_H

#include "counters.h"
#include "row.h"
#include "stats.h"
#include "threads.h"

#include <string>
#include <vector>

namespace snapbench {

struct Plan {
    unsigned rounds = 5;
    unsigned milliseconds = 200; // of one side in a round, about
    unsigned attempts = 3;       // for a ratio that is not wide
};

// One side, all rounds of the attempt that counts.
struct Cost {
    std::vector<double> round_ns; // a message, one of each round
    Counts counts{};              // in all
    ThreadTimes threads;          // of the other end's QEMU, in all
    std::uint64_t messages = 0;   // in all
    std::uint64_t arrived = 0;
    std::vector<double> latencies; // if the work takes them
    bool knows_busy = true;        // whether counts has busy_ns

    double per_message(double count) const {
        return count / static_cast<double>(messages);
    }
};

struct Result {
    const Row *row = nullptr;
    std::string failed;  // why there is nothing else
    std::string skipped; // the same, and nobody is to blame
    Cost ours;
    Cost peer;
    Ratio ratio;
    unsigned attempts = 0;

    // Messages were lost: the times are of those that were sent.
    bool lossy() const {
        return ours.arrived < ours.messages || peer.arrived < peer.messages;
    }
};

// Throws nothing: what goes wrong is in the result.
Result measure(const Row &row, const Plan &plan);

} // namespace snapbench

#endif
