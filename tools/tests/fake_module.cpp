// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fake_module.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace snaptest {

namespace {

constexpr std::size_t page = SNAP_BUFFER_ALIGN;
constexpr std::size_t word = SNAP_MERGE_WORD;

std::atomic<FakeModule *> current;

ino_t inode(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) < 0 ? 0 : status.st_ino;
}

void store(int fd, const std::string &content, std::size_t offset = 0) {
    if (::pwrite(fd, content.data(), content.size(),
                 static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(content.size()))
        std::abort();
}

bool whole_pages(std::uint64_t bytes) {
    return bytes % page == 0;
}

} // namespace

FakeModule::FakeModule() {
    ::setenv("SNAP_DEVICE", "/dev/null", 1);
    current = this;
}

FakeModule::~FakeModule() {
    current = nullptr;
    ::unsetenv("SNAP_DEVICE");
}

FakeModule::Object *FakeModule::find(int fd) {
    const auto found = objects_.find(inode(fd));
    return found == objects_.end() ? nullptr : &found->second;
}

// A snapshot's descriptor is read-only, as the module's is.
int FakeModule::add(Object object, const std::string &content) {
    const int fd = ::memfd_create("snap", MFD_CLOEXEC);
    if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(object.length)) < 0)
        return -ENOMEM;
    store(fd, content);
    object.handle = ++handles_;
    objects_[inode(fd)] = object;
    if (object.kind == SNAP_OBJECT_REGION)
        return fd;
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int read_only = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ::close(fd);
    return read_only;
}

std::string FakeModule::content(int fd, const Object &object) {
    std::string bytes(object.length, '\0');
    if (::pread(fd, bytes.data(), bytes.size(), 0) !=
        static_cast<ssize_t>(bytes.size()))
        std::abort();
    return bytes;
}

int FakeModule::info(snap_info &args) {
    args.abi_version = abi_version;
    args.frame_bytes = page;
    return 0;
}

int FakeModule::create(const snap_region_args &args) {
    if (args.length == 0 || !whole_pages(args.length) ||
        args.hint > SNAP_HINT_REWRITE ||
        (args.flags & ~SNAP_REGION_ARGS_SPARSE) != 0)
        return -EINVAL;
    const std::string zeros(args.length, '\0');
    return add({SNAP_OBJECT_REGION, 0, args.length, 1, zeros}, zeros);
}

int FakeModule::snapshot(int fd, Object &region, snap_snapshot_args &args) {
    const std::string now = content(fd, region);
    if (now != region.clean) {
        region.clean = now;
        region.version++;
    }
    args.version = region.version;
    return add({SNAP_OBJECT_SNAPSHOT, 0, region.length, region.version, now},
               now);
}

int FakeModule::clone(int, const Object &snapshot,
                      const snap_region_args &args) {
    if (args.length != 0)
        return -EINVAL;
    return add({SNAP_OBJECT_REGION, 0, snapshot.length, 1, snapshot.clean},
               snapshot.clean);
}

int FakeModule::commit(int fd, Object &region, snap_commit_args &args) {
    const Object *from = find(args.from);
    if (from == nullptr || from->kind != SNAP_OBJECT_SNAPSHOT ||
        from->length != region.length)
        return -EINVAL;
    if (args.version != region.version || content(fd, region) != region.clean)
        return -ESTALE;
    store(fd, from->clean);
    region.clean = from->clean;
    args.version = ++region.version;
    return 0;
}

int FakeModule::merge(int fd, Object &region, snap_merge_args &args) {
    const Object *base = find(args.base);
    const Object *from = find(args.from);
    if (base == nullptr || from == nullptr || base->length != region.length ||
        from->length != region.length)
        return -EINVAL;
    std::string mine = content(fd, region);
    auto *places = reinterpret_cast<std::uint64_t *>(args.conflicts);
    const std::uint32_t room = std::exchange(args.nconflicts, 0);
    bool conflict = false;
    for (std::size_t at = 0; at < region.length; at += word) {
        const auto part = [&](const std::string &s) {
            return s.substr(at, word);
        };
        const std::string theirs = part(from->clean);
        if (theirs == part(base->clean) || theirs == part(mine))
            continue;
        if (part(mine) == part(base->clean)) {
            mine.replace(at, word, theirs);
            continue;
        }
        conflict = true;
        if (args.nconflicts < room)
            places[args.nconflicts++] = at;
    }
    if (conflict)
        return -ESTALE;
    store(fd, mine);
    region.clean = mine;
    args.version = ++region.version;
    return 0;
}

int FakeModule::diff(int, const Object &snapshot, snap_diff_args &args) {
    const Object *other = find(args.other);
    if (other == nullptr || other->kind != SNAP_OBJECT_SNAPSHOT ||
        other->length != snapshot.length || !whole_pages(args.offset) ||
        args.offset > snapshot.length)
        return -EINVAL;
    auto *pages = reinterpret_cast<std::uint64_t *>(args.pages);
    const std::size_t room = std::min<std::size_t>(args.npages, diff_step);
    args.npages = 0;
    for (; args.offset < snapshot.length; args.offset += page) {
        if (snapshot.clean.compare(args.offset, page, other->clean, args.offset,
                                   page) == 0)
            continue;
        if (args.npages == room)
            return 0;
        pages[args.npages++] = args.offset;
    }
    args.done = 1;
    return 0;
}

int FakeModule::discard(int fd, const Object &region,
                        const snap_discard_args &args) {
    if (!whole_pages(args.offset) || !whole_pages(args.length) ||
        args.length == 0 || args.offset > region.length ||
        args.length > region.length - args.offset)
        return -EINVAL;
    store(fd, std::string(args.length, '\0'), args.offset);
    return 0;
}

int FakeModule::object_info(int fd, const Object &object,
                            snap_object_info &args) {
    args.kind = object.kind;
    args.length = object.length;
    args.version = object.version;
    args.populated_frames = object.length / page;
    args.handle = object.handle;
    args.owner = ::getuid();
    args.dirty = content(fd, object) != object.clean ? 1 : 0;
    return 0;
}

std::optional<int> FakeModule::ioctl(int fd, unsigned long request,
                                     void *argument) {
    if (_IOC_TYPE(request) != SNAP_IOC_MAGIC)
        return std::nullopt;
    const std::lock_guard guard(lock_);
    if (fail_with != 0)
        return -fail_with;
    if (request == SNAP_IOC_INFO)
        return info(*static_cast<snap_info *>(argument));
    if (request == SNAP_IOC_REGION_CREATE)
        return create(*static_cast<snap_region_args *>(argument));
    Object *object = find(fd);
    if (object == nullptr)
        return std::nullopt;
    if (request == SNAP_IOC_OBJECT_INFO)
        return object_info(fd, *object,
                           *static_cast<snap_object_info *>(argument));
    const bool region = object->kind == SNAP_OBJECT_REGION;
    if (region && request == SNAP_IOC_SNAPSHOT)
        return snapshot(fd, *object,
                        *static_cast<snap_snapshot_args *>(argument));
    if (region && request == SNAP_IOC_COMMIT)
        return commit(fd, *object, *static_cast<snap_commit_args *>(argument));
    if (region && request == SNAP_IOC_MERGE)
        return merge(fd, *object, *static_cast<snap_merge_args *>(argument));
    if (region && request == SNAP_IOC_DISCARD)
        return discard(fd, *object,
                       *static_cast<snap_discard_args *>(argument));
    if (!region && request == SNAP_IOC_CLONE)
        return clone(fd, *object, *static_cast<snap_region_args *>(argument));
    if (!region && request == SNAP_IOC_DIFF)
        return diff(fd, *object, *static_cast<snap_diff_args *>(argument));
    return -ENOTTY;
}

} // namespace snaptest

// Before the C library's, which only makes the system call.
extern "C" __attribute__((visibility("default"))) int
ioctl(int fd, unsigned long request, ...) noexcept {
    va_list list;
    va_start(list, request);
    void *const argument = va_arg(list, void *);
    va_end(list);
    if (auto *module = snaptest::current.load()) {
        std::optional<int> result;
        try {
            result = module->ioctl(fd, request, argument);
        } catch (const std::bad_alloc &) {
            result = -ENOMEM;
        }
        if (result) {
            if (*result < 0)
                errno = -*result;
            return *result < 0 ? -1 : *result;
        }
    }
    return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
}
