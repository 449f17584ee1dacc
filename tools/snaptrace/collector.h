// SPDX-License-Identifier: LGPL-2.1-or-later
// The program in the kernel: loads it, and reads what it counted.
#ifndef SNAPTRACE_COLLECTOR_H
#define SNAPTRACE_COLLECTOR_H

#include "options.h"
#include "table.h"

#include <memory>
#include <stdexcept>

struct snaptrace_bpf;

namespace snaptrace {

// Exit codes, as in snaptrace(8).
enum Exit {
    exit_ok = 0,
    exit_failed = 1,
    exit_usage = 2,
    exit_absent = 3,
    exit_no_types = 4,
    exit_denied = 5
};

class CollectorError : public std::runtime_error {
  public:
    CollectorError(Exit code, const std::string &text)
        : std::runtime_error(text), code_(code) {}
    Exit code() const noexcept { return code_; }

  private:
    Exit code_;
};

// Counts from its construction until it is destroyed.
class Collector {
  public:
    explicit Collector(const Options &options);

    Report read() const;

  private:
    struct Destroy {
        void operator()(snaptrace_bpf *program) const;
    };
    std::unique_ptr<snaptrace_bpf, Destroy> program_;
};

} // namespace snaptrace

#endif
