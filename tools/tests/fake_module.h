// SPDX-License-Identifier: LGPL-2.1-or-later
// The ioctls of regions and snapshots without module or device: memory files
// stand for them, copies for sharing.  While one exists, it answers the
// ioctl(2) of this program.
#ifndef SNAP_TESTS_FAKE_MODULE_H
#define SNAP_TESTS_FAKE_MODULE_H

#include <snap/libsnap.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <sys/types.h>

namespace snaptest {

class FakeModule {
  public:
    FakeModule(); // opens as /dev/snap, by SNAP_DEVICE
    FakeModule(const FakeModule &) = delete;
    FakeModule &operator=(const FakeModule &) = delete;
    ~FakeModule();

    // Nothing if the request is none of the module's.
    std::optional<int> ioctl(int fd, unsigned long request, void *argument);

    int fail_with = 0; // errno of everything, if not 0
    std::uint32_t abi_version = SNAP_ABI_VERSION;
    // DIFF answers no more pages than this at a time, as a device may.
    std::size_t diff_step = 1024;

  private:
    struct Object {
        snap_object_kind kind;
        std::uint32_t handle;
        std::size_t length;
        std::uint64_t version;
        std::string clean; // content when the version was made
    };

    Object *find(int fd); // nullptr: not one of ours
    int add(Object object, const std::string &content);
    static std::string content(int fd, const Object &object);

    int info(snap_info &args);
    int create(const snap_region_args &args);
    int snapshot(int fd, Object &region, snap_snapshot_args &args);
    int clone(int fd, const Object &snapshot, const snap_region_args &args);
    int commit(int fd, Object &region, snap_commit_args &args);
    int merge(int fd, Object &region, snap_merge_args &args);
    int diff(int fd, const Object &snapshot, snap_diff_args &args);
    int discard(int fd, const Object &region, const snap_discard_args &args);
    int object_info(int fd, const Object &object, snap_object_info &args);

    std::mutex lock_; // guards objects_ and what is in them
    std::map<ino_t, Object> objects_;
    std::uint32_t handles_ = 0;
};

} // namespace snaptest

#endif
