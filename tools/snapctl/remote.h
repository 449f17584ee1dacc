// SPDX-License-Identifier: LGPL-2.1-or-later
// Regions and snapshots of other processes.
#ifndef SNAPCTL_REMOTE_H
#define SNAPCTL_REMOTE_H

#include <snap/libsnap.hpp>

#include <string>

namespace snapctl {

// A descriptor of another process, duplicated: the object is the same.
// Failures are std::runtime_error and name process and descriptor.
class Remote {
  public:
    // The words of the command line; throws UsageError for what is no number.
    Remote(const std::string &process, const std::string &descriptor);
    Remote(const Remote &) = delete;
    Remote &operator=(const Remote &) = delete;
    ~Remote();

    const snap_object_info &info() const noexcept { return info_; }
    void expect(snap_object_kind kind) const; // throws if it is another

    // The object itself, or a snapshot of it as it is now; once only.
    snap::Snapshot snapshot();

  private:
    std::string name_; // "descriptor 5 of process 12"
    int fd_;
    snap_object_info info_ = snap::sized<snap_object_info>();
};

const char *kind_name(std::uint32_t kind);

} // namespace snapctl

#endif
