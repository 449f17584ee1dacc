// SPDX-License-Identifier: LGPL-2.1-or-later
#include "system.h"

#include <snap/libsnap.hpp>

#include <cerrno>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace snapctl::doctor {

namespace {

std::string user_name() {
    const auto *entry = ::getpwuid(::geteuid());
    return entry != nullptr ? entry->pw_name : std::to_string(::geteuid());
}

std::string group_name(const std::filesystem::path &file) {
    struct stat status {};
    if (::stat(file.c_str(), &status) < 0)
        return "";
    return opening_group(status);
}

void ask_module(System &system) {
    snap_handle *handle = nullptr;
    system.open_error = -snap_open(&handle);
    if (system.open_error != 0)
        return;
    auto info = snap::sized<snap_info>();
    auto stats = snap::sized<snap_stats>();
    if (snap_get_info(handle, &info) == 0)
        system.info = info;
    if (snap_get_stats(handle, &stats) == 0)
        system.stats = stats;
    snap_close(handle);
}

} // namespace

std::string opening_group(const struct stat &status) {
    constexpr mode_t both = S_IRGRP | S_IWGRP;
    if ((status.st_mode & both) != both || status.st_gid == 0)
        return "";
    const auto *entry = ::getgrgid(status.st_gid);
    return entry != nullptr ? entry->gr_name : std::to_string(status.st_gid);
}

System this_system() {
    System system;
    system.user = user_name();
    system.group = group_name(SNAP_DEVICE_PATH);
    system.version = snap_version();
    system.root = ::geteuid() == 0;
    // socket(2) would load it, and then it would not be lacking.
    if (!system.files.exist("sys/module/snap")) {
        system.open_error = ENOENT;
        system.socket_error = EAFNOSUPPORT;
        return system;
    }
    ask_module(system);
    const int fd = snap_socket(SOCK_DGRAM, SNAPPROTO_IPV4);
    system.socket_error = fd < 0 ? -fd : 0;
    if (fd >= 0)
        ::close(fd);
    return system;
}

} // namespace snapctl::doctor
