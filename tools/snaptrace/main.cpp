// SPDX-License-Identifier: LGPL-2.1-or-later
// snaptrace: what the processes of this machine send and receive by AF_SNAP.
#include "collector.h"
#include "options.h"
#include "table.h"

#include "../common/printable.h"

#include <snap/libsnap.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <system_error>
#include <unistd.h>

namespace snaptrace {

namespace {

void print(const std::string &text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        throw std::system_error(errno, std::generic_category(),
                                "standard output");
}

// Blocked before anything is counted, taken in wait().
sigset_t block_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return set;
}

// True: asked to end.
bool wait(const sigset_t &signals, std::chrono::milliseconds time) {
    const auto ms = time.count();
    const timespec limit{ms / 1000, ms % 1000 * 1000000};
    for (;;) {
        if (sigtimedwait(&signals, nullptr, &limit) >= 0)
            return true;
        if (errno != EINTR)
            return false;
    }
}

void run(const Options &options) {
    const auto signals = block_signals();
    const Collector collector(options);
    const bool live = !options.json && isatty(STDOUT_FILENO);
    // Says that counting has begun.
    if (!live)
        std::fputs("snaptrace: counting\n", stderr);
    unsigned int reports = 0;
    for (bool end = false; !end;) {
        end = wait(signals, options.interval) || ++reports == options.count;
        const Report report = collector.read();
        if (options.json) {
            print(json(report));
            continue;
        }
        print((live ? "\033[H\033[J" : "") +
              table(report, {.socket = options.by_socket,
                             .histogram = options.histogram}) +
              (live || end ? "" : "\n"));
    }
}

} // namespace

} // namespace snaptrace

int main(int argc, char **argv) {
    try {
        const auto options = snaptrace::parse(argc, argv);
        if (options.help)
            std::fputs(snaptrace::usage(), stdout);
        else if (options.version)
            std::printf("snaptrace %s\n", snap_version());
        else
            snaptrace::run(options);
        return snaptrace::exit_ok;
    } catch (const snaptrace::UsageError &error) {
        snaptool::complain("snaptrace", error.what());
        std::fputs("Try 'snaptrace --help'.\n", stderr);
        return snaptrace::exit_usage;
    } catch (const snaptrace::CollectorError &error) {
        snaptool::complain("snaptrace", error.what());
        return error.code();
    } catch (const std::exception &error) {
        snaptool::complain("snaptrace", error.what());
        return snaptrace::exit_failed;
    }
}
