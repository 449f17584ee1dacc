// SPDX-License-Identifier: LGPL-2.1-or-later
#include "remote.h"

#include "command.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <sys/syscall.h>
#include <unistd.h>

namespace snapctl {

namespace {

int number(const std::string &text) {
    int value = 0;
    const char *end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end || value < 0)
        throw UsageError("not the number of a process or descriptor: " + text);
    return value;
}

[[noreturn]] void fail(const std::string &name, int error) {
    throw std::runtime_error(name + ": " + std::strerror(error));
}

// pidfd_getfd(2), which needs the right to trace the process.
int fetch(const std::string &name, int process, int descriptor) {
    const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
    if (pidfd < 0)
        fail(name, errno);
    const auto fd =
        static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, descriptor, 0));
    const int error = errno;
    ::close(pidfd);
    if (fd < 0)
        fail(name, error);
    return fd;
}

} // namespace

const char *kind_name(std::uint32_t kind) {
    return kind == SNAP_OBJECT_REGION     ? "region"
           : kind == SNAP_OBJECT_SNAPSHOT ? "snapshot"
                                          : "unknown";
}

Remote::Remote(const std::string &process, const std::string &descriptor)
    : name_("descriptor " + descriptor + " of process " + process),
      fd_(fetch(name_, number(process), number(descriptor))) {
    const int error = snap_get_object_info(fd_, &info_);
    if (error == 0)
        return;
    ::close(fd_);
    if (error == -ENOTTY)
        throw std::runtime_error(name_ + " is no region or snapshot");
    fail(name_, -error);
}

Remote::~Remote() {
    if (fd_ >= 0)
        ::close(fd_);
}

void Remote::expect(snap_object_kind kind) const {
    if (info_.kind != kind)
        throw std::runtime_error(name_ + " is a " + kind_name(info_.kind));
}

snap::Snapshot Remote::snapshot() {
    if (info_.kind == SNAP_OBJECT_REGION) {
        const auto region = snap::Region::from_fd(fd_, info_.length);
        fd_ = -1;
        return region.snapshot();
    }
    auto same = snap::Snapshot::from_fd(fd_);
    fd_ = -1;
    return same;
}

} // namespace snapctl
