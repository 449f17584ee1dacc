// SPDX-License-Identifier: LGPL-2.1-or-later
#include "objects.h"

#include "../common/printable.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>

namespace snapctl {

namespace {

namespace fs = std::filesystem;

template <typename Number>
std::optional<Number> number(std::string_view text) {
    const bool hex = text.starts_with("0x");
    if (hex)
        text.remove_prefix(2);
    Number value{};
    const auto *end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value, hex ? 16 : 10);
    if (result.ec != std::errc() || result.ptr != end)
        return std::nullopt;
    return value;
}

// "" also for a file that has gone.
std::string content(const fs::path &path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string program(const fs::path &process) {
    std::string name = content(process / "comm");
    if (name.ends_with('\n'))
        name.pop_back();
    return snaptool::printable(name);
}

// The entries of a folder, and the errno if it could not be read.
int entries(const fs::path &folder, std::vector<fs::path> &found) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error))
        found.push_back(it->path());
    return error.value();
}

struct Walk {
    int error = 0;              // errno, if the processes cannot be listed
    std::size_t unreadable = 0; // processes that this user may not look at
};

// visit(process, pid, fd, file) for what is in a folder of each process that
// has an entry for each of its descriptors.
template <typename Visit>
Walk walk_descriptors(const fs::path &proc, const char *folder, Visit visit) {
    Walk walk;
    std::vector<fs::path> processes;
    walk.error = entries(proc, processes);
    for (const auto &process : processes) {
        const auto pid = number<pid_t>(process.filename().native());
        std::vector<fs::path> files;
        if (!pid)
            continue;
        if (const int error = entries(process / folder, files);
            error == EACCES || error == EPERM)
            walk.unreadable++;
        for (const auto &file : files)
            if (const auto fd = number<int>(file.filename().native()))
                visit(process, *pid, *fd, file);
    }
    return walk;
}

} // namespace

std::optional<Object> parse_fdinfo(std::string_view text) {
    std::map<std::string_view, std::string_view> values;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const auto colon = line.find(":\t");
        if (line.starts_with("snap-") && colon != std::string_view::npos)
            values[line.substr(5, colon - 5)] = line.substr(colon + 2);
    }
    const auto value = [&](const char *key) {
        return number<std::uint64_t>(values[key]);
    };
    const auto handle = number<std::uint32_t>(values["handle"]);
    const auto pages = value("pages");
    const std::string_view kind = values["kind"];
    if ((kind != "region" && kind != "snapshot") || !handle || !pages)
        return std::nullopt;
    Object object{std::string(kind), *handle, *pages, std::nullopt, {}};
    const auto version = value("version");
    const auto populated = value("populated");
    const auto reserved = value("reserved");
    if (version && populated && reserved)
        object.state = State{*version, *populated, *reserved,
                             value("dirty").value_or(0) != 0};
    return object;
}

Listing list_objects(std::string_view kind, const fs::path &proc) {
    Listing listing;
    std::map<std::uint32_t, Object> objects;
    const auto walk = walk_descriptors(
        proc, "fdinfo",
        [&](const auto &process, pid_t pid, int fd, const auto &file) {
            const auto object = parse_fdinfo(content(file));
            if (!object || object->kind != kind)
                return;
            auto &known =
                objects.try_emplace(object->handle, *object).first->second;
            known.holders.push_back({pid, fd, program(process)});
        });
    if (walk.error != 0)
        throw std::system_error(walk.error, std::generic_category(), proc);
    listing.unreadable = walk.unreadable;
    for (auto &[handle, object] : objects) {
        std::sort(object.holders.begin(), object.holders.end(),
                  [](const Holder &a, const Holder &b) {
                      return std::pair(a.pid, a.fd) < std::pair(b.pid, b.fd);
                  });
        listing.objects.push_back(std::move(object));
    }
    return listing;
}

std::map<std::uint64_t, std::vector<Holder>>
socket_holders(const fs::path &proc) {
    constexpr std::string_view prefix = "socket:[";
    std::map<std::uint64_t, std::vector<Holder>> holders;
    walk_descriptors(
        proc, "fd",
        [&](const auto &process, pid_t pid, int fd, const auto &file) {
            std::error_code error;
            const std::string target = fs::read_symlink(file, error).string();
            if (error || !target.starts_with(prefix))
                return;
            const auto inode =
                number<std::uint64_t>(std::string_view(target).substr(
                    prefix.size(), target.size() - prefix.size() - 1));
            if (inode)
                holders[*inode].push_back({pid, fd, program(process)});
        });
    return holders;
}

} // namespace snapctl
