// SPDX-License-Identifier: LGPL-2.1-or-later
#include "follow.h"

#include "checkpoint.h"
#include "options.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace kvstore {

namespace {

constexpr std::size_t shards = 4;
constexpr unsigned int changes = 16; // pairs of entries per version

// A snapshot: whatever happens to the region, this is one version.
void look_at_snapshot(const snap::Region &published, Seen &seen,
                      std::uint64_t &version, std::uint64_t &generation) {
    const auto view = published.snapshot().map();
    const Reader table(view.bytes());
    const auto verdict = table.verify();
    if (!verdict.good())
        seen.fault = "snapshot: " + verdict.fault;
    else if (seen.snapshots != 0 &&
             (view.version() < version || table.generation() < generation ||
              (view.version() == version) !=
                  (table.generation() == generation)))
        seen.fault = "versions and generations do not go together";
    if (seen.snapshots == 0 || view.version() != version)
        seen.versions++;
    version = view.version();
    generation = table.generation();
    seen.snapshots++;
}

// The region itself: if no commit came in between, all was of one version.
void look_directly(const snap::Region &published, Seen &seen) {
    const Reader table(published.bytes());
    const std::uint64_t before = table.generation();
    const auto verdict = table.verify();
    if (table.generation() != before)
        seen.passed++;
    else if (!verdict.good())
        seen.fault = "region: " + verdict.fault;
    else
        seen.direct++;
}

// A child process; its exit code says whether all was well.
pid_t start_reader(const snap::Region &published, unsigned int number,
                   std::uint64_t last) {
    std::fflush(stdout);
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0)
        throw std::system_error(errno, std::generic_category(), "fork");
    if (child != 0)
        return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(1);
    Seen seen;
    try {
        seen = follow(published, last);
    } catch (const std::exception &error) {
        seen.fault = error.what();
    }
    std::printf("reader %u: %llu versions; %llu snapshots and %llu direct "
                "readings verified, %llu readings met a commit%s%s\n",
                number, static_cast<unsigned long long>(seen.versions),
                static_cast<unsigned long long>(seen.snapshots),
                static_cast<unsigned long long>(seen.direct),
                static_cast<unsigned long long>(seen.passed),
                seen.fault.empty() ? "" : "; ", seen.fault.c_str());
    std::fflush(stdout);
    ::_exit(seen.fault.empty() ? 0 : 1);
}

bool ends_well(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "waitpid");
    return status == 0;
}

} // namespace

Publisher::Publisher(const snap::Region &published)
    : published_(published), first_(published.snapshot()),
      work_(first_.clone()), table_(work_.bytes()), version_(first_.version()) {
}

void Publisher::publish(std::uint64_t names) {
    const std::uint64_t generation = table_.generation() + 1;
    for (unsigned int i = 0; i < changes; i++) {
        const std::uint64_t number = (generation * changes + i) % names;
        const std::string value = value_of(number, generation);
        table_.put("a:" + name_of(number), value);
        table_.put("b:" + name_of(number), value);
    }
    table_.set_generation(generation);
    const auto start = Clock::now();
    const auto version = published_.commit(work_.snapshot(), version_);
    const nanoseconds took = Clock::now() - start;
    if (!version)
        throw std::runtime_error("somebody else has changed the region");
    version_ = *version;
    longest_ = std::max(longest_, took);
    total_ += took;
}

bool Publisher::refuses_stale() const {
    return !published_.commit(first_, first_.version());
}

Seen follow(const snap::Region &published, std::uint64_t last) {
    Seen seen;
    std::uint64_t version = 0;
    std::uint64_t generation = 0;
    while (seen.fault.empty() && generation < last) {
        look_at_snapshot(published, seen, version, generation);
        if (seen.fault.empty())
            look_directly(published, seen);
    }
    return seen;
}

int run_follow(const Options &options) {
    const snap::Device device;
    const snap::Region published(device, options.size);
    auto table = Table::format(published.bytes(), shards);
    const std::uint64_t names = fill(table);
    std::vector<pid_t> readers;
    for (unsigned int i = 1; i <= options.readers; i++)
        readers.push_back(start_reader(published, i, options.versions));

    Publisher publisher(published);
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < options.versions; i++) {
        publisher.publish(names);
        ::usleep(options.pause);
    }
    const nanoseconds took = Clock::now() - start;
    const bool refused = publisher.refuses_stale();
    bool good = refused;
    for (const pid_t reader : readers)
        good = ends_well(reader) && good;
    const auto verdict = Reader(published.bytes()).verify();
    std::printf("writer: %llu versions of %zu MiB in %.0f ms; snapshot and "
                "commit %.0f us mean, %.0f us longest; stale commit %s\n",
                static_cast<unsigned long long>(options.versions),
                options.size >> 20, us(took) / 1e3,
                us(publisher.total()) / static_cast<double>(options.versions),
                us(publisher.longest()), refused ? "refused" : "ACCEPTED");
    if (!verdict.good())
        std::printf("writer: %s\n", verdict.fault.c_str());
    return good && verdict.good() ? 0 : 1;
}

} // namespace kvstore
