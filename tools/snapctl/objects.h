// SPDX-License-Identifier: LGPL-2.1-or-later
// What processes have open, by /proc/PID: regions, snapshots, sockets.
#ifndef SNAPCTL_OBJECTS_H
#define SNAPCTL_OBJECTS_H

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace snapctl {

struct Holder {
    pid_t pid = 0;
    int fd = -1;
    std::string program; // printable()
};

// What the device says of an object; absent when the device is gone.
struct State {
    std::uint64_t version = 0;
    std::uint64_t populated = 0; // frames
    std::uint64_t reserved = 0;  // frames
    bool dirty = false;
};

struct Object {
    std::string kind; // "region" or "snapshot"
    std::uint32_t handle = 0;
    std::uint64_t pages = 0;
    std::optional<State> state;
    std::vector<Holder> holders;
};

// Nothing if it is the text of another kind of descriptor.
std::optional<Object> parse_fdinfo(std::string_view text);

struct Listing {
    std::vector<Object> objects; // of one kind, by handle
    std::size_t unreadable = 0;  // processes that this user may not look at
};

// Processes come and go meanwhile: those are left out.
Listing list_objects(std::string_view kind,
                     const std::filesystem::path &proc = "/proc");

// Who has sockets open, by the socket's inode; only processes that this user
// may look at.
std::map<std::uint64_t, std::vector<Holder>>
socket_holders(const std::filesystem::path &proc = "/proc");

} // namespace snapctl

#endif
