// SPDX-License-Identifier: LGPL-2.1-or-later
#include "supervise.h"
#include "counts.h"
#include "options.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <snap/libsnap.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace snaprun {

namespace {

[[noreturn]] void fail(const char *what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// Found by the program through /proc, so that it inherits no descriptor; that
// needs the same user.
Counts &make_counts() {
    const int fd = ::memfd_create("snap-run", MFD_CLOEXEC);
    if (fd < 0 || ::ftruncate(fd, sizeof(Counts)) < 0)
        fail("memfd_create");
    void *const memory = ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE,
                                MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    const std::string path =
        "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd);
    ::setenv(counts_variable, path.c_str(), 1);
    auto &counts = *new (memory) Counts{};
    counts.ledger.create();
    return counts;
}

int exit_status(int status) {
    return WIFSIGNALED(status) ? exit_signal_base + WTERMSIG(status)
                               : WEXITSTATUS(status);
}

// The program, while it is there, and its exit status then.
struct Child {
    pid_t pid;
    int status = 0;
};

// False when there are no descendants left.
bool reap(Child &child) {
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == child.pid) {
            child.status = exit_status(status);
            child.pid = 0;
        }
    }
    return pid == 0;
}

// Signals of a process are meant for the program; those of a terminal it gets
// from there.  One that comes after its end ends the wait for its daemons.
void wait_for(Child &child, const sigset_t &signals) {
    while (reap(child)) {
        siginfo_t info{};
        if (::sigwaitinfo(&signals, &info) < 0 || info.si_signo == SIGCHLD)
            continue;
        if (child.pid == 0)
            return;
        if (info.si_code <= 0)
            ::kill(child.pid, info.si_signo);
    }
}

void tell(Counts &counts, const std::string &output) {
    const std::string text = report(counts) + report(counts.ledger.read());
    if (output.empty()) {
        std::fputs(text.c_str(), stderr);
        return;
    }
    std::ofstream file(output);
    file << text << std::flush;
    if (!file)
        fail(output.c_str());
}

} // namespace

std::string report(const Counts &counts) {
    const auto fell_back = counts.fell_back.load();
    std::string text =
        "snap-run: sockets: " + std::to_string(counts.mapped.load()) +
        " AF_SNAP, " + std::to_string(fell_back) + " fell back";
    if (fell_back != 0)
        text.append(" (").append(std::strerror(counts.error.load())) += ')';
    const auto in_region = counts.in_region.load();
    const auto elsewhere = counts.elsewhere.load();
    if (in_region + elsewhere != 0)
        text += "; large allocations: " + std::to_string(in_region) +
                " in regions, " + std::to_string(elsewhere) + " elsewhere";
    return text + '\n';
}

std::string report(const snap_sock_stats &stats) {
    std::string text;
    const auto line = [&](const std::string &what, std::uint64_t messages,
                          std::uint64_t bytes) {
        text += "snap-run: " + what + ' ' + std::to_string(messages) +
                " messages " + std::to_string(bytes) + " bytes\n";
    };
    line("received", stats.rx_msgs,
         stats.rx_copied_bytes + stats.rx_viewed_bytes);
    if (stats.rx_viewed_msgs != 0)
        line("received by view", stats.rx_viewed_msgs, stats.rx_viewed_bytes);
    line("by reference", stats.tx_ref_msgs, stats.tx_ref_bytes);
    line("copied", stats.tx_copied_msgs, stats.tx_copied_bytes);
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++)
        if (stats.copied_msgs[i] != 0)
            line(std::string("copied ") + snap_copy_reason_name(i),
                 stats.copied_msgs[i], stats.copied_bytes[i]);
    return text;
}

int supervise(const std::function<int()> &program, const std::string &output) {
    Counts &counts = make_counts();
    constexpr std::array passed_on{SIGCHLD, SIGHUP,  SIGINT, SIGQUIT,
                                   SIGTERM, SIGUSR1, SIGUSR2};
    sigset_t signals;
    sigset_t before;
    sigemptyset(&signals);
    for (const int number : passed_on)
        sigaddset(&signals, number);
    ::signal(SIGCHLD, SIG_DFL); // ignored, it would leave no exit status
    ::sigprocmask(SIG_BLOCK, &signals, &before);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    Child child{::fork()};
    if (child.pid < 0)
        fail("fork");
    if (child.pid == 0) {
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        std::_Exit(program());
    }
    wait_for(child, signals);
    tell(counts, output);
    return child.status;
}

} // namespace snaprun
