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
#include <string_view>
#include <sys/time.h>
#include <system_error>
#include <unistd.h>

namespace snaptrace {

namespace {

// How often it was asked to end.  Once ends the waiting; a second time, or as
// long after that as a reader has to take the last report, the writing, too.
volatile std::sig_atomic_t asked = 0;

extern "C" void ask(int) {
    constexpr itimerval patience{.it_interval = {1, 0}, .it_value = {1, 0}};
    asked = asked + 1;
    // Also for what begins to wait just after a signal: SIGALRM comes here.
    ::setitimer(ITIMER_REAL, &patience, nullptr);
}

// Before something is counted a signal ends the program as ever.
void catch_signals() {
    struct sigaction action {};
    action.sa_handler = ask; // without SA_RESTART
    for (const int signal : {SIGINT, SIGTERM, SIGALRM})
        if (::sigaction(signal, &action, nullptr) < 0)
            throw std::system_error(errno, std::generic_category(),
                                    "sigaction");
}

void print(std::string_view text) {
    while (!text.empty()) {
        const ssize_t done = ::write(STDOUT_FILENO, text.data(), text.size());
        if (done >= 0)
            text.remove_prefix(static_cast<std::size_t>(done));
        else if (errno != EINTR || asked > 1)
            throw std::system_error(errno, std::generic_category(),
                                    "standard output");
    }
}

// True: asked to end.
bool wait(std::chrono::milliseconds time) {
    const auto ms = time.count();
    timespec rest{ms / 1000, ms % 1000 * 1000000};
    while (asked == 0)
        if (::nanosleep(&rest, &rest) == 0)
            return false;
    return true;
}

void run(const Options &options) {
    const Collector collector(options);
    catch_signals();
    const bool live = !options.json && isatty(STDOUT_FILENO);
    // Says that counting has begun.
    if (!live)
        std::fputs("snaptrace: counting\n", stderr);
    unsigned int reports = 0;
    for (bool end = false; !end;) {
        end = wait(options.interval) || ++reports == options.count;
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
