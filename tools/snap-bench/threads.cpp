// SPDX-License-Identifier: LGPL-2.1-or-later
#include "threads.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace snapbench {

ThreadTimes thread_times(const std::string &pid, const std::string &proc) {
    namespace fs = std::filesystem;
    ThreadTimes times;
    std::error_code none;
    for (const auto &task : fs::directory_iterator(
             fs::path(proc) / pid / "task",
             fs::directory_options::skip_permission_denied, none)) {
        std::string name;
        std::uint64_t ns = 0;
        std::ifstream comm(task.path() / "comm");
        // To the nanosecond, where stat has hundredths of a second.
        std::ifstream schedstat(task.path() / "schedstat");
        if (!std::getline(comm, name) || !(schedstat >> ns))
            continue; // it has ended meanwhile
        std::replace(name.begin(), name.end(), ';', '_');
        times[name] += ns;
    }
    return times;
}

std::string to_line(const ThreadTimes &times) {
    std::string line;
    for (const auto &[name, ns] : times)
        line += std::to_string(ns) + ' ' + name + ';';
    return line;
}

ThreadTimes from_line(const std::string &line) {
    ThreadTimes times;
    std::istringstream text(line);
    std::uint64_t ns = 0;
    for (std::string name;
         text >> ns && text.ignore() && std::getline(text, name, ';');)
        times[name] += ns;
    return times;
}

} // namespace snapbench
