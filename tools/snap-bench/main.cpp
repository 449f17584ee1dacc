// SPDX-License-Identifier: LGPL-2.1-or-later
// snap-bench: what messages cost over the snap device, beside other ways.
#include "measure.h"
#include "options.h"
#include "report.h"
#include "row.h"
#include "serve.h"
#include "session.h"
#include "socket.h"

#include "../common/printable.h"

#include <snap/libsnap.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fnmatch.h>
#include <fstream>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

namespace snapbench {

namespace {

// Those that match one of the patterns; all, without any.  A pattern that
// matches nothing is a mistake.
std::vector<const Row *> chosen(const std::vector<std::string> &patterns) {
    std::vector<const Row *> result;
    const auto matches = [](const std::string &pattern, const Row &row) {
        return fnmatch(pattern.c_str(), row.name.c_str(), 0) == 0;
    };
    for (const auto &pattern : patterns)
        if (std::none_of(rows().begin(), rows().end(),
                         [&](const Row &row) { return matches(pattern, row); }))
            throw UsageError("no such row: " + pattern);
    for (const Row &row : rows())
        if (patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                            [&](const std::string &pattern) {
                                                return matches(pattern, row);
                                            }))
            result.push_back(&row);
    return result;
}

// Of both sides of the row with most of them, and what orders go by.
constexpr unsigned sockets_at_once = 5000;

int list(const Options &options) {
    for (const Row *row : chosen(options.rows))
        std::puts(row->name.c_str());
    return exit_ok;
}

// The other end of loopback, until this process ends.
void serve_here(std::uint16_t port) {
    const snap::Socket listener = listen_on("127.0.0.1", port);
    if (checked(fork(), "fork") > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    try {
        serve(listener, "");
    } catch (const std::exception &error) {
        snaptool::complain("snap-bench serve", error.what());
    }
    std::_Exit(exit_failed);
}

int run(const Options &options) {
    const auto wanted = chosen(options.rows);
    if (std::any_of(wanted.begin(), wanted.end(),
                    [](const Row *row) { return row->ours.nic.name == "lo"; }))
        serve_here(options.port);
    allow_sockets(sockets_at_once);
    std::vector<Result> results;
    bool failed = false;
    use_port(options.port);
    for (const Row *row : wanted) {
        results.push_back(measure(*row, options.plan));
        failed = failed || !results.back().failed.empty();
        std::printf("[%zu/%zu] %s\n", results.size(), wanted.size(),
                    line_of(results.back()).c_str());
        std::fflush(stdout);
    }
    if (!options.json.empty()) {
        std::ofstream file(options.json);
        file << json_of(results) << '\n';
        if (!file.flush())
            throw std::runtime_error("cannot write " + options.json);
    }
    return failed ? exit_failed : exit_ok;
}

int obey(const Options &options) {
    switch (options.command) {
    case Command::help:
        std::fputs(usage(), stdout);
        return exit_ok;
    case Command::version:
        std::printf("snap-bench %s\n", snap_version());
        return exit_ok;
    case Command::list:
        return list(options);
    case Command::run:
        return run(options);
    case Command::serve:
        serve(listen_on(options.listen, options.port), options.pid_file);
    }
    return exit_usage;
}

} // namespace

} // namespace snapbench

int main(int argc, char **argv) {
    try {
        return snapbench::obey(snapbench::parse(argc, argv));
    } catch (const snapbench::UsageError &error) {
        snaptool::complain("snap-bench", error.what());
        std::fputs("Try 'snap-bench --help'.\n", stderr);
        return snapbench::exit_usage;
    } catch (const std::exception &error) {
        snaptool::complain("snap-bench", error.what());
        return snapbench::exit_failed;
    }
}
