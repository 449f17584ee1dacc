// SPDX-License-Identifier: LGPL-2.1-or-later
#include "measure.h"

#include "session.h"
#include "workload.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>

namespace snapbench {

namespace {

using Clock = std::chrono::steady_clock;

// A side, set up: its work, and who looks at what it costs.
class Bench {
  public:
    Bench(const Row &row, const Side &side)
        : host_(reach(side.nic)), meter_(side.nic) {
        if (row.mtu != 0 && !side.nic.name.empty())
            set_both_mtus(side.nic, row.mtu);
        work_ = row.workload->begin(side, row.bytes);
    }

    // Warms up, and finds out how many messages take about so long.
    void calibrate(std::chrono::nanoseconds wanted) {
        // Twice in a row, for the first runs may be slow.
        messages_ = work_->least();
        for (unsigned right = 0; right < 2;) {
            const auto start = Clock::now();
            work_->run(messages_);
            const auto took = std::chrono::nanoseconds(Clock::now() - start);
            const double part = static_cast<double>(wanted.count()) /
                                static_cast<double>(took.count());
            // Few tell little of many: at most eight times as many.
            messages_ = std::max<std::uint64_t>(
                work_->least(),
                static_cast<std::uint64_t>(static_cast<double>(messages_) *
                                           std::min(part, 8.0)));
            right = part < 2 ? right + 1 : 0;
        }
    }

    void round(Cost &cost) {
        const ThreadTimes threads = ask_threads();
        const Counts start = meter_.before();
        const std::uint64_t arrived = work_->run(messages_);
        const Counts counts = meter_.after() - start;
        for (const auto &[name, ns] : ask_threads()) {
            const auto was = threads.find(name);
            cost.threads[name] += ns - (was == threads.end() ? 0 : was->second);
        }
        if (arrived == 0)
            throw std::runtime_error("nothing arrived");
        cost.counts += counts;
        cost.knows_busy = Meter::knows_busy();
        cost.messages += messages_;
        cost.arrived += arrived;
        cost.round_ns.push_back(static_cast<double>(counts[wall_ns]) /
                                static_cast<double>(messages_));
        const auto latencies = work_->latencies();
        cost.latencies.insert(cost.latencies.end(), latencies.begin(),
                              latencies.end());
    }

  private:
    void set_both_mtus(const Nic &nic, unsigned mtu) {
        host_.put("mtu " + std::to_string(mtu));
        host_.number();
        set_mtu(nic.name, mtu);
    }

    ThreadTimes ask_threads() {
        host_.put("threads");
        return from_line(host_.get().value_or(""));
    }

    Line host_;
    Meter meter_;
    std::unique_ptr<Work> work_;
    std::uint64_t messages_ = 0;
};

} // namespace

Result measure(const Row &row, const Plan &plan) {
    Result best;
    best.row = &row;
    try {
        Bench ours(row, row.ours);
        Bench peer(row, row.peer);
        const std::chrono::milliseconds wanted(plan.milliseconds);
        ours.calibrate(wanted);
        peer.calibrate(wanted);
        for (unsigned attempt = 1; attempt <= plan.attempts; ++attempt) {
            Result result;
            result.row = &row;
            for (unsigned round = 0; round < plan.rounds; ++round) {
                // Nobody is always the second.
                const bool first = round % 2 == 0;
                (first ? ours : peer).round(first ? result.ours : result.peer);
                (first ? peer : ours).round(first ? result.peer : result.ours);
            }
            result.ratio = ratio_of(result.ours.round_ns, result.peer.round_ns);
            if (attempt == 1 || result.ratio.spread() < best.ratio.spread())
                best = std::move(result);
            best.attempts = attempt;
            if (!best.ratio.wide())
                break;
        }
    } catch (const Unavailable &missing) {
        best = {};
        best.row = &row;
        best.skipped = missing.what();
    } catch (const std::exception &error) {
        best = {};
        best.row = &row;
        best.failed = error.what();
    }
    return best;
}

} // namespace snapbench
