// SPDX-License-Identifier: LGPL-2.1-or-later
// A kind of work, both ends of it: `run` begins it and has its time taken,
// `serve` answers.
#ifndef SNAP_BENCH_WORKLOAD_H
#define SNAP_BENCH_WORKLOAD_H

#include "row.h"

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>

namespace snapbench {

class Session;

// This machine has no such thing: the row is skipped, and says why.
struct Unavailable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// One side of a row, connected and ready.  Members throw std::system_error.
class Work {
  public:
    Work() = default;
    Work(const Work &) = delete;
    Work &operator=(const Work &) = delete;
    virtual ~Work() = default;

    // Moves so many messages; the last one is there when it returns.  How many
    // arrived: datagrams may be lost.
    virtual std::uint64_t run(std::uint64_t messages) = 0;

    // Fewer messages cost as much for their orders as for themselves.
    virtual std::uint64_t least() const { return 1; }

    // Nanoseconds of each message of the last run, if it takes them.
    virtual std::span<const double> latencies() const { return {}; }
};

struct Workload {
    std::string_view name;
    std::unique_ptr<Work> (*begin)(const Side &side, std::size_t bytes);
    // Until the other end goes; null if it uses those of others.
    void (*serve)(Session &session, std::size_t bytes);
};

extern const Workload stream_send;
extern const Workload stream_send_read; // the other end reads all of it
extern const Workload stream_receive;
extern const Workload stream_echo;
extern const Workload datagram_send;
extern const Workload datagram_receive;
extern const Workload datagram_echo;
extern const Workload forward;
extern const Workload checkpoint;

// Which one `serve` is asked for; null: there is none of that name.
const Workload *find_workload(std::string_view name);

} // namespace snapbench

#endif
