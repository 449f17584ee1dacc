// SPDX-License-Identifier: LGPL-2.1-or-later
// What snapctl was asked to do.
#ifndef SNAPCTL_COMMAND_H
#define SNAPCTL_COMMAND_H

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace snapctl {

// Exit codes, as in snapctl(8).
enum Exit { exit_ok = 0, exit_failed = 1, exit_usage = 2, exit_absent = 3 };

struct Request;

struct Command {
    const char *name; // one word or two
    const char *help;
    int (*run)(const Request &);
    bool takes_delta = false;
    const char *arguments = "";
    std::size_t fewest = 0; // arguments
    std::size_t most = 0;
    bool takes_filter = false;
    bool takes_host = false;
};

// Which sockets to list; neither type: both.
struct SocketFilter {
    bool dgram = false;
    bool stream = false;
    bool listening = false;
    bool processes = false; // not a filter: find out who has them open
};

struct Request {
    const Command *command = nullptr; // never null from parse()
    bool json = false;
    bool host = false; // of doctor: ask about the host
    std::vector<std::string> arguments;
    SocketFilter sockets;
    char **program = nullptr; // of --delta, ended by a null pointer
};

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The device could not be asked; what() is explain() of the errno.
class DeviceError : public std::runtime_error {
  public:
    explicit DeviceError(int error);
    int exit_code() const noexcept;

  private:
    int code_;
};

// Options and commands in any order; throws UsageError.  argv must live on.
Request parse(int argc, char **argv);

std::string usage();

// To standard output, ended by a newline; throws if it cannot be written.
void print(std::string text);

// What to say when the device could not be asked.
std::string explain(int error);

} // namespace snapctl

#endif
