// SPDX-License-Identifier: LGPL-2.1-or-later
#include "files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <unistd.h>

namespace snapctl::doctor {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> split(const std::string &text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

} // namespace

fs::path Files::at(const fs::path &path) const {
    return root_ / path;
}

bool Files::exist(const fs::path &path) const {
    std::error_code error;
    return fs::exists(at(path), error);
}

std::string Files::text(const fs::path &path) const {
    std::ifstream file(at(path));
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string Files::word(const fs::path &path) const {
    std::istringstream stream(text(path));
    std::string word;
    stream >> word;
    return word;
}

std::vector<std::string> Files::lines(const fs::path &path) const {
    return split(text(path));
}

std::optional<std::uint64_t> Files::number(const fs::path &path) const {
    std::string_view digits;
    const std::string value = word(path);
    digits = value;
    const bool hex = digits.starts_with("0x");
    if (hex)
        digits.remove_prefix(2);
    std::uint64_t number = 0;
    const auto *end = digits.data() + digits.size();
    const auto result =
        std::from_chars(digits.data(), end, number, hex ? 16 : 10);
    if (result.ec != std::errc() || result.ptr != end)
        return std::nullopt;
    return number;
}

std::vector<std::string> Files::names(const fs::path &path) const {
    std::vector<std::string> found;
    std::error_code error;
    for (fs::directory_iterator it(at(path), error), end; !error && it != end;
         it.increment(error))
        found.push_back(it->path().filename());
    std::sort(found.begin(), found.end());
    return found;
}

std::string Files::link(const fs::path &path) const {
    std::error_code error;
    return fs::read_symlink(at(path), error).filename();
}

bool Files::may_open(const fs::path &path) const {
    const int fd = ::open(at(path).c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ::close(fd);
    return true;
}

// Each read(2) of /dev/kmsg gives one record, EPIPE where some were lost.
std::vector<std::string> Files::log() const {
    const int fd =
        ::open(at("dev/kmsg").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return {};
    std::string all;
    std::array<char, 8192> record{};
    for (;;) {
        const auto got = ::read(fd, record.data(), record.size());
        if (got > 0)
            all.append(record.data(), static_cast<std::size_t>(got));
        else if (got == 0 || (errno != EPIPE && errno != EINTR))
            break;
    }
    ::close(fd);
    auto lines = split(all);
    for (auto &line : lines)
        line.erase(0, line.find(';') + 1);
    return lines;
}

} // namespace snapctl::doctor
