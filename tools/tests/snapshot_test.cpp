// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap/snapshot.cpp, version.cpp, region.cpp and their C++ classes, over a
// module that is not there.
#include "tests/fake_module.h"
#include "tests/short_memory.h"

#include <snap/libsnap.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t page = SNAP_BUFFER_ALIGN;

class SnapshotTest : public testing::Test {
  protected:
    snap::Region region(std::size_t pages) const {
        return {device, pages * page};
    }
    static void put(const snap::Region &region, std::size_t offset,
                    std::uint64_t value) {
        std::memcpy(region.bytes().data() + offset, &value, sizeof(value));
    }
    static std::uint64_t get(std::span<const std::byte> bytes,
                             std::size_t offset) {
        std::uint64_t value = 0;
        std::memcpy(&value, bytes.data() + offset, sizeof(value));
        return value;
    }

    snaptest::FakeModule module;
    const snap::Device device;
};

TEST_F(SnapshotTest, KeepsTheBytesOfAnInstant) {
    const auto memory = region(2);
    put(memory, page, 1);
    const auto first = memory.snapshot();
    put(memory, page, 2);
    const snap::Snapshot second(memory);
    EXPECT_EQ(first.length(), 2 * page);
    EXPECT_LT(first.version(), second.version());
    EXPECT_EQ(get(first.map().bytes(), page), 1U);
    EXPECT_EQ(get(second.map().bytes(), page), 2U);
    EXPECT_EQ(get(memory.bytes(), page), 2U);
}

TEST_F(SnapshotTest, AVersionIsThereUntilSomebodyStores) {
    const auto memory = region(1);
    const auto version = memory.snapshot().version();
    EXPECT_EQ(memory.snapshot().version(), version);
    EXPECT_EQ(memory.info().dirty, 0U);
    put(memory, 0, 1);
    EXPECT_EQ(memory.info().dirty, 1U);
    EXPECT_EQ(memory.snapshot().version(), version + 1);
}

TEST_F(SnapshotTest, MapsOnceAndReadOnly) {
    const auto memory = region(1);
    snap_snapshot *snapshot = nullptr;
    ASSERT_EQ(snap_snapshot_take(memory.get(), &snapshot), 0);
    EXPECT_EQ(snapshot->address, nullptr);
    std::array<std::thread, 4> threads;
    for (auto &thread : threads)
        thread =
            std::thread([&] { EXPECT_EQ(snap_snapshot_map(snapshot), 0); });
    for (auto &thread : threads)
        thread.join();
    const void *const first = snapshot->address;
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(snap_snapshot_map(snapshot), 0);
    EXPECT_EQ(snapshot->address, first);
    EXPECT_EQ(::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED,
                     snapshot->fd, 0),
              MAP_FAILED);
    EXPECT_EQ(errno, EACCES);
    const int fd = snapshot->fd;
    snap_snapshot_free(snapshot);
    struct stat status {};
    EXPECT_LT(::fstat(fd, &status), 0) << "the descriptor is closed";
    const snap::Socket file(::memfd_create("file", MFD_CLOEXEC));
    EXPECT_LT(::write(file.fd(), first, 1), 0) << "and the mapping is gone";
    EXPECT_EQ(errno, EFAULT);
}

TEST_F(SnapshotTest, AViewKeepsItsSnapshot) {
    const auto memory = region(1);
    put(memory, 8, 42);
    auto view = memory.snapshot().map();
    const auto copy = view;
    put(memory, 8, 43);
    view = memory.snapshot().map();
    EXPECT_EQ(get(copy.bytes(), 8), 42U);
    EXPECT_EQ(get(view.bytes(), 8), 43U);
    EXPECT_EQ(view.version(), copy.version() + 1);
}

TEST_F(SnapshotTest, ComesFromADescriptor) {
    const auto memory = region(3);
    put(memory, 0, 5);
    const auto taken = memory.snapshot();
    const auto same =
        snap::Snapshot::from_fd(::fcntl(taken.fd(), F_DUPFD_CLOEXEC, 0));
    EXPECT_EQ(same.length(), 3 * page);
    EXPECT_EQ(same.version(), taken.version());
    EXPECT_EQ(get(same.map().bytes(), 0), 5U);
    snap_snapshot *snapshot = nullptr;
    EXPECT_EQ(snap_snapshot_from_fd(memory.fd(), &snapshot), -EINVAL);
    EXPECT_EQ(snap_snapshot_from_fd(-1, &snapshot), -EBADF);
    const snap::Socket null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(snap_snapshot_from_fd(null.fd(), &snapshot), -ENOTTY);
    EXPECT_EQ(snap_snapshot_from_fd(taken.fd(), nullptr), -EINVAL);
    EXPECT_EQ(snapshot, nullptr);
    EXPECT_GE(::fcntl(memory.fd(), F_GETFD), 0) << "not taken over";
}

// Whichever allocation fails: a descriptor that was not taken over is open.
TEST_F(SnapshotTest, TakesADescriptorOverOrLeavesIt) {
    const auto taken = region(1).snapshot();
    bool done = false;
    for (int allocations = 0; !done; allocations++) {
        ASSERT_LT(allocations, 100);
        const int fd = ::fcntl(taken.fd(), F_DUPFD_CLOEXEC, 0);
        try {
            const snaptest::ShortMemory memory(allocations);
            const auto same = snap::Snapshot::from_fd(fd);
            done = true;
        } catch (const std::bad_alloc &) {
        } catch (const std::system_error &error) {
            EXPECT_EQ(error.code().value(), ENOMEM);
        }
        EXPECT_EQ(::close(fd), done ? -1 : 0) << allocations;
    }
}

// What a caller that was built later or earlier, or badly, has room for.
TEST_F(SnapshotTest, StructuresSayTheirSize) {
    struct {
        snap_object_info info = snap::sized<snap_object_info>();
        std::array<unsigned char, 4096> behind{};
    } room;
    const auto memory = region(2);
    const auto ask = [&] {
        return snap_get_object_info(memory.fd(), &room.info);
    };
    EXPECT_EQ(ask(), 0);
    EXPECT_EQ(room.info.length, 2 * page);
    room.info = {};
    room.info.size = 8;
    EXPECT_EQ(ask(), 0);
    EXPECT_EQ(room.info.length, 0U);
    room.info.size = sizeof(room.info) + 8;
    EXPECT_EQ(ask(), 0);
    EXPECT_EQ(room.info.size, sizeof(room.info));
    room.behind.fill(0xa5); // of the caller, if nobody has set the size
    for (const std::uint32_t size : {std::uint32_t{sizeof(room.info)} + 8,
                                     4096U, 4097U, 0x7fffffffU, 0xffffffffU}) {
        room.info.size = size;
        EXPECT_EQ(ask(), -E2BIG) << size;
    }
    for (const auto byte : room.behind)
        ASSERT_EQ(byte, 0xa5);
}

TEST_F(SnapshotTest, ALaterModuleServes) {
    snap_handle *handle = nullptr;
    module.abi_version = SNAP_ABI_VERSION + 1;
    ASSERT_EQ(snap_open(&handle), 0);
    snap_close(handle);
    module.abi_version = 2;
    EXPECT_EQ(snap_open(&handle), -EPROTONOSUPPORT);
}

TEST_F(SnapshotTest, ObjectInfoTellsTheKinds) {
    const auto memory = region(2);
    const auto taken = memory.snapshot();
    EXPECT_EQ(memory.info().kind, SNAP_OBJECT_REGION);
    EXPECT_EQ(memory.info().length, 2 * page);
    EXPECT_EQ(snap::object_info(taken.fd()).kind, SNAP_OBJECT_SNAPSHOT);
    EXPECT_NE(snap::object_info(taken.fd()).handle, memory.info().handle);
    snap_object_info info{};
    EXPECT_EQ(snap_get_object_info(taken.fd(), &info), -EINVAL)
        << "size is zero";
    EXPECT_EQ(snap_get_object_info(taken.fd(), nullptr), -EINVAL);
}

TEST_F(SnapshotTest, SparseRegionsNeedTheirFlag) {
    const snap::Region sparse(device, page, SNAP_HINT_KEEP,
                              SNAP_REGION_ARGS_SPARSE);
    EXPECT_EQ(sparse.bytes().size(), page);
    snap_region *region = nullptr;
    EXPECT_EQ(snap_region_create_flags(device.get(), page, SNAP_HINT_NONE, 2,
                                       &region),
              -EINVAL);
    EXPECT_EQ(region, nullptr);
}

TEST_F(SnapshotTest, DiscardZeroesWholePages) {
    const auto memory = region(3);
    for (std::size_t i = 0; i < 3; i++)
        put(memory, i * page, 9);
    memory.discard(page, page);
    EXPECT_EQ(get(memory.bytes(), 0), 9U);
    EXPECT_EQ(get(memory.bytes(), page), 0U);
    EXPECT_EQ(get(memory.bytes(), 2 * page), 9U);
    EXPECT_THROW(memory.discard(1, page), std::system_error);
    EXPECT_EQ(snap_region_discard(memory.get(), page, 3 * page), -EINVAL);
    EXPECT_EQ(snap_region_discard(memory.get(), 0, 0), -EINVAL);
    EXPECT_EQ(snap_region_discard(nullptr, 0, page), -EINVAL);
}

TEST_F(SnapshotTest, DiffFindsPagesOverSeveralCalls) {
    module.diff_step = 2;
    const auto memory = region(16);
    const auto before = memory.snapshot();
    EXPECT_TRUE(before.diff(before).empty());
    const std::vector<std::uint64_t> changed{0, 3 * page, 4 * page, 7 * page,
                                             15 * page};
    for (const auto offset : changed)
        put(memory, offset + 16, 1);
    const auto after = memory.snapshot();
    EXPECT_EQ(before.diff(after), changed);
    EXPECT_EQ(after.diff(before), changed);
    EXPECT_THROW(before.diff(region(1).snapshot()), std::system_error);
}

TEST_F(SnapshotTest, DiffSaysWhereToGoOn) {
    const auto memory = region(4);
    const auto before = memory.snapshot();
    put(memory, page, 1);
    put(memory, 2 * page, 1);
    const auto after = memory.snapshot();
    std::uint64_t offset = 0;
    std::uint64_t found = 0;
    const auto next = [&] {
        return snap_snapshot_diff(before.get(), after.get(), &offset, &found,
                                  1);
    };
    EXPECT_EQ(next(), 1);
    EXPECT_EQ(found, page);
    EXPECT_EQ(next(), 1);
    EXPECT_EQ(found, 2 * page);
    EXPECT_EQ(offset, 4 * page);
    EXPECT_EQ(next(), 0);
    EXPECT_EQ(offset, 4 * page);
    offset += page;
    EXPECT_EQ(next(), -EINVAL);
    offset = 1;
    EXPECT_EQ(next(), -EINVAL);
    offset = 0;
    EXPECT_EQ(snap_snapshot_diff(before.get(), after.get(), &offset, &found, 0),
              -EINVAL);
    EXPECT_EQ(snap_snapshot_diff(before.get(), nullptr, &offset, &found, 1),
              -EINVAL);
}

TEST_F(SnapshotTest, CloneIsAnotherRegion) {
    const auto memory = region(2);
    put(memory, 0, 1);
    const auto taken = memory.snapshot();
    const auto clone = taken.clone();
    put(clone, 0, 2);
    EXPECT_EQ(get(memory.bytes(), 0), 1U);
    EXPECT_EQ(get(taken.map().bytes(), 0), 1U);
    EXPECT_EQ(get(clone.bytes(), 0), 2U);
    EXPECT_NE(clone.info().handle, memory.info().handle);
    EXPECT_EQ(snap_snapshot_clone(nullptr, SNAP_HINT_NONE, nullptr), -EINVAL);
}

TEST_F(SnapshotTest, CommitComparesVersions) {
    const auto memory = region(1);
    const auto base = memory.snapshot();
    const auto work = base.clone();
    put(work, 0, 7);
    const auto from = work.snapshot();
    const auto version = memory.commit(from, base.version());
    ASSERT_TRUE(version);
    EXPECT_GT(*version, base.version());
    EXPECT_EQ(get(memory.bytes(), 0), 7U);
    EXPECT_EQ(memory.info().version, *version);
    EXPECT_FALSE(memory.commit(from, base.version())) << "stale";
    put(memory, 8, 1);
    EXPECT_FALSE(memory.commit(from, *version)) << "somebody stored";
    EXPECT_EQ(get(memory.bytes(), 8), 1U);
    EXPECT_THROW(memory.commit(region(2).snapshot(), *version),
                 std::system_error);
    std::uint64_t same = 3;
    EXPECT_EQ(snap_region_commit(memory.get(), from.get(), &same), -ESTALE);
    EXPECT_EQ(same, 3U);
    EXPECT_EQ(snap_region_commit(memory.get(), nullptr, &same), -EINVAL);
}

TEST_F(SnapshotTest, MergeJoinsWordsAndNamesConflicts) {
    const auto memory = region(2);
    const auto base = memory.snapshot();
    const auto work = base.clone();
    put(memory, 0, 1);
    put(work, 8, 2);
    put(work, page, 3);
    const auto from = work.snapshot();
    const auto merged = memory.merge(base, from);
    EXPECT_TRUE(merged.done);
    EXPECT_TRUE(merged.conflicts.empty());
    EXPECT_EQ(memory.info().version, merged.version);
    EXPECT_EQ(get(memory.bytes(), 0), 1U);
    EXPECT_EQ(get(memory.bytes(), 8), 2U);
    EXPECT_EQ(get(memory.bytes(), page), 3U);

    put(memory, 8, 4);
    put(memory, page, 5);
    put(work, 16, 6);
    const auto refused = memory.merge(base, work.snapshot());
    EXPECT_FALSE(refused.done);
    EXPECT_EQ(refused.conflicts, (std::vector<std::uint64_t>{8, page}));
    EXPECT_EQ(get(memory.bytes(), 16), 0U) << "nothing has changed";
    std::size_t none = 0;
    EXPECT_EQ(snap_region_merge(memory.get(), base.get(), from.get(), nullptr,
                                &none, nullptr),
              -ESTALE);
    none = 1;
    EXPECT_EQ(snap_region_merge(memory.get(), base.get(), from.get(), nullptr,
                                &none, nullptr),
              -EINVAL);
}

TEST_F(SnapshotTest, ErrorsPassThrough) {
    const auto memory = region(1);
    const auto taken = memory.snapshot();
    for (const int error : {ENOSPC, EDQUOT, EOPNOTSUPP, ENODEV}) {
        module.fail_with = error;
        snap_snapshot *snapshot = nullptr;
        snap_region *clone = nullptr;
        std::uint64_t version = 1;
        std::size_t none = 0;
        errno = ERANGE;
        EXPECT_EQ(snap_snapshot_take(memory.get(), &snapshot), -error);
        EXPECT_EQ(snap_snapshot_clone(taken.get(), SNAP_HINT_NONE, &clone),
                  -error);
        EXPECT_EQ(snap_region_commit(memory.get(), taken.get(), &version),
                  -error);
        EXPECT_EQ(snap_region_merge(memory.get(), taken.get(), taken.get(),
                                    nullptr, &none, &version),
                  -error);
        EXPECT_EQ(errno, ERANGE);
        EXPECT_EQ(snapshot, nullptr);
        EXPECT_EQ(clone, nullptr);
        EXPECT_EQ(version, 1U);
        EXPECT_THROW(memory.commit(taken, 1), std::system_error);
        module.fail_with = 0;
    }
    EXPECT_EQ(snap_snapshot_take(nullptr, nullptr), -EINVAL);
    EXPECT_EQ(snap_snapshot_map(nullptr), -EINVAL);
    snap_snapshot_free(nullptr);
}

} // namespace
