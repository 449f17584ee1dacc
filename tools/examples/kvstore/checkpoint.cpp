// SPDX-License-Identifier: LGPL-2.1-or-later
#include "checkpoint.h"

#include "file.h"
#include "options.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <optional>
#include <sys/mman.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace kvstore {

namespace {

constexpr std::size_t shards = 8;

[[noreturn]] void fail(int error, const std::string &what) {
    throw std::system_error(error, std::generic_category(), what);
}

// Ordinary memory, of this process and its children's copies.
class Anonymous {
  public:
    explicit Anonymous(std::size_t length)
        : length_(length),
          start_(::mmap(nullptr, length, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
        if (start_ == MAP_FAILED)
            fail(errno, "mmap");
    }
    Anonymous(const Anonymous &) = delete;
    Anonymous &operator=(const Anonymous &) = delete;
    ~Anonymous() { ::munmap(start_, length_); }

    std::span<std::byte> bytes() const {
        return {static_cast<std::byte *>(start_), length_};
    }

  private:
    std::size_t length_;
    void *start_;
};

struct Result {
    Writers::Puts before; // while nothing else happened
    nanoseconds before_time{0};
    Writers::Puts during;
    std::vector<Checkpoint> checkpoints;
    std::vector<std::string> faults;
};

using Action = std::function<Checkpoint(Store &)>;

// A quarter of the time nothing but puts, then checkpoints one after another.
// Those are verified in between, which counts for neither.
Result measure(const Options &options, std::span<std::byte> memory,
               const Action &checkpoint) {
    Result result;
    auto table = Table::format(memory, shards);
    const std::uint64_t names = fill(table);
    Store store(table);
    Writers writers(store, options.writers, names);
    const auto end = Clock::now() + std::chrono::seconds(options.seconds);
    const auto start = Clock::now();
    std::this_thread::sleep_for(
        std::chrono::milliseconds(options.seconds * 250));
    result.before = writers.take();
    result.before_time = Clock::now() - start;
    do {
        writers.take();
        result.checkpoints.push_back(checkpoint(store));
        const auto puts = writers.take();
        result.during.count += puts.count;
        result.during.longest = std::max(result.during.longest, puts.longest);
        const auto verdict = verify_file(options.file);
        if (!verdict.good() || verdict.entries != 2 * names)
            result.faults.push_back(verdict.good() ? "entries are missing"
                                                   : verdict.fault);
    } while (Clock::now() < end);
    ::unlink(options.file.c_str());
    return result;
}

struct Row {
    const char *name;
    double (*value)(const Result &);
};

double rate(const Writers::Puts &puts, nanoseconds time) {
    return static_cast<double>(puts.count) * 1e6 / us(time);
}

nanoseconds sum(const Result &result, nanoseconds Checkpoint::*time) {
    nanoseconds all{0};
    for (const auto &checkpoint : result.checkpoints)
        all += checkpoint.*time;
    return all;
}

double mean(const Result &result, nanoseconds Checkpoint::*time) {
    return us(sum(result, time)) /
           static_cast<double>(result.checkpoints.size());
}

double most(const Result &result, nanoseconds Checkpoint::*time) {
    nanoseconds longest{0};
    for (const auto &checkpoint : result.checkpoints)
        longest = std::max(longest, checkpoint.*time);
    return us(longest);
}

constexpr std::array rows{
    Row{"checkpoints",
        [](const Result &r) {
            return static_cast<double>(r.checkpoints.size());
        }},
    Row{"verified",
        [](const Result &r) {
            return static_cast<double>(r.checkpoints.size() - r.faults.size());
        }},
    Row{"call returned, mean us",
        [](const Result &r) { return mean(r, &Checkpoint::call); }},
    Row{"call returned, longest us",
        [](const Result &r) { return most(r, &Checkpoint::call); }},
    Row{"checkpoint written, mean us",
        [](const Result &r) { return mean(r, &Checkpoint::total); }},
    Row{"longest put before, us",
        [](const Result &r) { return us(r.before.longest); }},
    Row{"longest put during, us",
        [](const Result &r) { return us(r.during.longest); }},
    Row{"puts per second before",
        [](const Result &r) { return rate(r.before, r.before_time); }},
    Row{"puts per second during",
        [](const Result &r) {
            return rate(r.during, sum(r, &Checkpoint::total));
        }},
    Row{"puts served during",
        [](const Result &r) { return static_cast<double>(r.during.count); }},
};

using Results = std::vector<std::pair<std::string, Result>>; // by method

// A column for each method.
void print(const Results &results) {
    std::printf("%-28s", "");
    for (const auto &[method, result] : results)
        std::printf(" %12s", method.c_str());
    for (const auto &row : rows) {
        std::printf("\n%-28s", row.name);
        for (const auto &[method, result] : results)
            std::printf(" %12.0f", row.value(result));
    }
    std::printf("\n");
    for (const auto &[method, result] : results)
        for (const auto &fault : result.faults)
            std::printf("%s: %s\n", method.c_str(), fault.c_str());
}

} // namespace

std::uint64_t fill(Table &table) {
    const std::uint64_t names = table.slots() * 3 / 10; // each is two entries
    for (std::uint64_t i = 0; i < names; i++)
        for (const char *twin : {"a:", "b:"})
            if (!table.put(twin + name_of(i), value_of(i, 0)))
                throw std::runtime_error("the table is full");
    return names;
}

// Puts wait for the call, not for the writing of the file.
Checkpoint by_snapshot(const snap::Region &region, Store &store,
                       const std::string &path) {
    Checkpoint times{};
    std::optional<snap::Snapshot> snapshot;
    const auto start = Clock::now();
    store.between_puts([&] {
        const auto call = Clock::now();
        snapshot.emplace(region.snapshot());
        times.call = Clock::now() - call;
    });
    if (const int error = write_file(path.c_str(), snapshot->map().bytes());
        error != 0)
        fail(error, path);
    times.total = Clock::now() - start;
    return times;
}

Checkpoint by_fork(std::span<const std::byte> memory, Store &store,
                   const std::string &path) {
    Checkpoint times{};
    pid_t child = 0;
    int error = 0;
    const auto start = Clock::now();
    store.between_puts([&] {
        const auto call = Clock::now();
        child = ::fork();
        if (child == 0)
            ::_exit(write_file(path.c_str(), memory));
        error = errno;
        times.call = Clock::now() - call;
    });
    if (child < 0)
        fail(error, "fork");
    int status = 0;
    while (::waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            fail(errno, "waitpid");
    if (status != 0)
        fail(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR, path);
    times.total = Clock::now() - start;
    return times;
}

int run_checkpoint(const Options &options) {
    Results results;
    if (options.method != Method::fork) {
        const snap::Device device;
        const snap::Region region(device, options.size, SNAP_HINT_KEEP);
        results.emplace_back(
            "snapshot", measure(options, region.bytes(), [&](Store &store) {
                return by_snapshot(region, store, options.file);
            }));
    }
    if (options.method != Method::snapshot) {
        const Anonymous memory(options.size);
        results.emplace_back(
            "fork", measure(options, memory.bytes(), [&](Store &store) {
                return by_fork(memory.bytes(), store, options.file);
            }));
    }
    std::printf("%zu MiB, writers: %u\n", options.size >> 20, options.writers);
    print(results);
    return std::all_of(results.begin(), results.end(),
                       [](auto &named) { return named.second.faults.empty(); })
               ? 0
               : 1;
}

} // namespace kvstore
