// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line and the commands of snapctl.
#include "command.h"

#include "doctor.h"
#include "memory.h"
#include "report.h"
#include "sockets.h"

#include "../common/printable.h"

#include <snap/libsnap.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <getopt.h>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <sys/wait.h>

namespace snapctl {

namespace {

// Runs a program and returns its exit code, shell fashion: 127 if it could
// not be started, 128 + signal if one ended it.
int run_program(char **program) {
    const pid_t child = ::fork();
    if (child < 0)
        throw std::system_error(errno, std::generic_category(), "fork");
    if (child == 0) {
        ::execvp(program[0], program);
        const int error = errno;
        snaptool::complain("snapctl", std::string(program[0]) + ": " +
                                          std::strerror(error));
        ::_exit(127);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Errors of the device are told apart from all others: explain() knows them.
template <typename Question>
auto ask(Question question) {
    try {
        return question();
    } catch (const std::system_error &error) {
        throw DeviceError(error.code().value());
    }
}

int run_status(const Request &request) {
    const auto info = ask([] { return snap::Device().info(); });
    print(request.json ? status_json(info) : status_text(info));
    return exit_ok;
}

int run_stats(const Request &request) {
    const auto device = ask([] { return snap::Device(); });
    const auto read = [&] { return device.stats(); };
    auto stats = ask(read);
    int code = exit_ok;
    if (request.program != nullptr) {
        code = run_program(request.program);
        stats = difference(stats, ask(read));
    }
    print(request.json ? stats_json(stats) : stats_text(stats));
    return code;
}

int run_reasons(const Request &request) {
    print(request.json ? reasons_json() : reasons_text());
    return exit_ok;
}

constexpr std::array commands{
    Command{"status", "the device, its frames and this user's quota",
            run_status},
    Command{"doctor", "what is missing, and what to do about it", run_doctor,
            false, "[SIZE]", 0, 1, false, true},
    Command{"stats", "what went by reference, what was copied and why",
            run_stats, true},
    Command{"reasons", "why messages are copied, by name", run_reasons},
    Command{"sockets", "AF_SNAP sockets of this network namespace",
            list_sockets, false, "", 0, 0, true},
    Command{"region list", "regions that processes have open", list_regions},
    Command{"region show", "what is known of a region", show_region, false,
            "PID FD", 2, 2},
    Command{"region diff", "pages that differ from another region's",
            diff_region, false, "PID FD [PID] FD", 3, 4},
    Command{"snapshot list", "snapshots that processes have open",
            list_snapshots},
    Command{"snapshot show", "what is known of a snapshot", show_snapshot,
            false, "PID FD", 2, 2},
    Command{"snapshot diff", "pages that differ from another snapshot's",
            diff_snapshot, false, "PID FD [PID] FD", 3, 4},
};

enum Option {
    opt_json = 'j',
    opt_help = 'h',
    opt_version = 'V',
    opt_delta = 'd',
    opt_host = 'H',
    opt_processes = 'p',
    opt_listening = 'l',
    opt_dgram = 'u',
    opt_stream = 't'
};

constexpr std::array<option, 10> long_options{{
    {"json", no_argument, nullptr, opt_json},
    {"delta", no_argument, nullptr, opt_delta},
    {"host", no_argument, nullptr, opt_host},
    {"processes", no_argument, nullptr, opt_processes},
    {"listening", no_argument, nullptr, opt_listening},
    {"dgram", no_argument, nullptr, opt_dgram},
    {"stream", no_argument, nullptr, opt_stream},
    {"help", no_argument, nullptr, opt_help},
    {"version", no_argument, nullptr, opt_version},
    {nullptr, 0, nullptr, 0},
}};

int run_help(const Request &) {
    print(usage());
    return exit_ok;
}

int run_version(const Request &) {
    print(std::string("snapctl ") + snap_version());
    return exit_ok;
}

constexpr Command help_command{"help", "", run_help};
constexpr Command version_command{"version", "", run_version};

// Takes an option of the command sockets; false if it is none.
bool take_filter(int option, SocketFilter &filter) {
    switch (option) {
    case opt_processes:
        return filter.processes = true;
    case opt_listening:
        return filter.listening = true;
    case opt_dgram:
        return filter.dgram = true;
    case opt_stream:
        return filter.stream = true;
    default:
        return false;
    }
}

// Adds a word to the name of a command: the command once it has all its words.
const Command *next_word(std::string &name, std::string_view word) {
    name.append(name.empty() ? "" : " ").append(word);
    for (const auto &command : commands)
        if (name == command.name)
            return &command;
    const bool begun =
        std::any_of(commands.begin(), commands.end(), [&](auto &command) {
            return std::string_view(command.name).starts_with(name + ' ');
        });
    if (!begun)
        throw UsageError("unknown command " + name);
    return nullptr;
}

} // namespace

void print(std::string text) {
    if (!text.ends_with('\n'))
        text += '\n';
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
        std::fflush(stdout) != 0)
        throw std::system_error(errno, std::generic_category(),
                                "standard output");
}

std::string usage() {
    std::string text =
        "Usage: snapctl [--json] COMMAND [ARGUMENT...]\n"
        "       snapctl [--json] stats --delta [--] PROGRAM [ARGUMENT...]\n"
        "\nCommands:\n";
    for (const auto &command : commands) {
        std::string name = command.name;
        name.append(" ").append(command.arguments);
        name.resize(31, ' ');
        text += "  " + name + command.help + '\n';
    }
    return text +
           "\nPID and FD: a process and its descriptor of a region or "
           "snapshot.\n"
           "\nOptions:\n"
           "  -j, --json     one JSON object instead of text\n"
           "  -d, --delta    with stats: run PROGRAM and print the change\n"
           "  -H, --host     with doctor: of this host, for windows of SIZE "
           "(64M)\n"
           "  -h, --help     this text\n"
           "  -V, --version  the version\n"
           "\nOptions of sockets:\n"
           "  -u, --dgram, -t, --stream  only sockets of that type\n"
           "  -l, --listening            only those that listen\n"
           "  -p, --processes            and who has them open\n"
           "\nExit codes: 0 done, 1 failed or missing, 2 usage, 3 no module or "
           "no "
           "device;\n"
           "with --delta the exit code of PROGRAM.\n";
}

Request parse(int argc, char **argv) {
    Request request;
    std::string name;
    bool delta = false;
    bool filtered = false;
    optind = 0; // starts getopt afresh, also for tests
    opterr = 0;
    // "+" stops at the first word that is no option: the command, then what
    // it is given.  Options are allowed on both sides of the command.
    for (;;) {
        const int got = getopt_long(argc, argv, "+:jdHhVplut",
                                    long_options.data(), nullptr);
        if (got == opt_json) {
            request.json = true;
        } else if (got == opt_delta) {
            delta = true;
        } else if (got == opt_host) {
            request.host = true;
        } else if (take_filter(got, request.sockets)) {
            filtered = true;
        } else if (got == opt_help) {
            request.command = &help_command;
            return request;
        } else if (got == opt_version) {
            request.command = &version_command;
            return request;
        } else if (got != -1) {
            throw UsageError(std::string("unknown option ") +
                             argv[std::max(1, optind - 1)]);
        } else if (optind >= argc || (request.command != nullptr && delta)) {
            break;
        } else if (request.command == nullptr) {
            request.command = next_word(name, argv[optind++]);
        } else {
            request.arguments.emplace_back(argv[optind++]);
        }
    }
    if (request.command == nullptr)
        throw UsageError(name.empty() ? "no command"
                                      : name + ": list, show or diff?");
    if (delta && !request.command->takes_delta)
        throw UsageError(std::string("--delta does not go with ") +
                         request.command->name);
    if (filtered && !request.command->takes_filter)
        throw UsageError(std::string("only sockets has such options, not ") +
                         request.command->name);
    if (request.host && !request.command->takes_host)
        throw UsageError(std::string("--host does not go with ") +
                         request.command->name);
    if (delta && optind >= argc)
        throw UsageError("--delta needs a program to run");
    const auto &given = request.arguments;
    if (given.size() < request.command->fewest)
        throw UsageError(std::string(request.command->name) + " needs " +
                         request.command->arguments);
    if (given.size() > request.command->most)
        throw UsageError("unexpected argument " +
                         given.at(request.command->most));
    if (delta)
        request.program = argv + optind;
    return request;
}

std::string explain(int error) {
    switch (error) {
    case ENOENT:
    case ENXIO:
        return "there is no " SNAP_DEVICE_PATH ": load the snap module "
               "(modprobe snap)";
    case ENODEV:
        return "the snap module is loaded, but there is no device";
    case EPROTONOSUPPORT:
        return "the snap module has an older ABI version than this program "
               "needs: install that of the same release";
    case EACCES:
    case EPERM:
        return "no permission to open " SNAP_DEVICE_PATH;
    case ENOTTY:
        return SNAP_DEVICE_PATH " is not the device of the snap module";
    default:
        return std::string("cannot ask " SNAP_DEVICE_PATH ": ") +
               std::strerror(error);
    }
}

DeviceError::DeviceError(int error)
    : std::runtime_error(explain(error)), code_(error) {}

int DeviceError::exit_code() const noexcept {
    return code_ == ENOENT || code_ == ENXIO || code_ == ENODEV ? exit_absent
                                                                : exit_failed;
}

} // namespace snapctl
