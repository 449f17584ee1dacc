// SPDX-License-Identifier: LGPL-2.1-or-later
// snapctl: commands about regions and snapshots.
#include "snapctl/command.h"
#include "snapctl/memory.h"
#include "snapctl/memory_report.h"
#include "snapctl/objects.h"
#include "snapctl/remote.h"
#include "tests/fake_module.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t page = SNAP_FRAME_SIZE;

constexpr const char *region_text = "pos:\t0\nflags:\t02\nsnap-kind:\tregion\n"
                                    "snap-handle:\t0x10001\nsnap-pages:\t16\n"
                                    "snap-owner:\t0\nsnap-version:\t7\n"
                                    "snap-populated:\t12\nsnap-reserved:\t4\n"
                                    "snap-dirty:\t1\n";

TEST(Fdinfo, IsParsed) {
    const auto object = snapctl::parse_fdinfo(region_text);
    ASSERT_TRUE(object);
    EXPECT_EQ(object->kind, "region");
    EXPECT_EQ(object->handle, 0x10001U);
    EXPECT_EQ(object->pages, 16U);
    ASSERT_TRUE(object->state);
    EXPECT_EQ(object->state->version, 7U);
    EXPECT_EQ(object->state->populated, 12U);
    EXPECT_EQ(object->state->reserved, 4U);
    EXPECT_TRUE(object->state->dirty);
}

TEST(Fdinfo, HasNoStateWithoutADevice) {
    const auto object = snapctl::parse_fdinfo(
        "snap-kind:\tsnapshot\nsnap-handle:\t0x2\nsnap-pages:\t1\n");
    ASSERT_TRUE(object);
    EXPECT_EQ(object->kind, "snapshot");
    EXPECT_FALSE(object->state);
}

TEST(Fdinfo, OfOthersIsIgnored) {
    for (const char *text :
         {"", "pos:\t0\n", "snap-kind:\tregion\n", "snap-kind",
          "snap-kind:\tfrob\nsnap-handle:\t0x2\nsnap-pages:\t1\n",
          "snap-kind:\tregion\nsnap-handle:\tx\nsnap-pages:\t1\n",
          "snap-kind:\tregion\nsnap-handle:\t0x2 \nsnap-pages:\t1\n"})
        EXPECT_FALSE(snapctl::parse_fdinfo(text)) << text;
}

class ProcTest : public testing::Test {
  protected:
    ProcTest() {
        std::string name = testing::TempDir() + "snapctl.XXXXXX";
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        proc = name;
    }
    void TearDown() override { fs::remove_all(proc); }

    void add(int pid, const std::string &program, int fd,
             const std::string &text) const {
        const fs::path process = proc / std::to_string(pid);
        fs::create_directories(process / "fdinfo");
        std::ofstream(process / "comm") << program << '\n';
        std::ofstream(process / "fdinfo" / std::to_string(fd)) << text;
    }

    fs::path proc;
};

TEST_F(ProcTest, OneObjectWithAllItsHolders) {
    add(20, "reader", 3, region_text);
    add(7, "writer", 5, region_text);
    add(7, "writer", 4,
        "snap-kind:\tsnapshot\nsnap-handle:\t0x3\n"
        "snap-pages:\t16\n");
    add(7, "writer", 0, "pos:\t0\n");
    fs::create_directory(proc / "self");
    std::ofstream(proc / "stat") << "7";
    const auto listing = snapctl::list_objects("region", proc);
    ASSERT_EQ(listing.objects.size(), 1U);
    EXPECT_EQ(listing.unreadable, 0U);
    const auto &holders = listing.objects.front().holders;
    ASSERT_EQ(holders.size(), 2U);
    EXPECT_EQ(holders.front().pid, 7);
    EXPECT_EQ(holders.front().fd, 5);
    EXPECT_EQ(holders.back().program, "reader");
    EXPECT_EQ(snapctl::listing_json("region", listing),
              R"({"regions":[{"handle":65537,"pages":16,"populated":12,)"
              R"("reserved":4,"version":7,"dirty":1,"holders":[)"
              R"({"pid":7,"fd":5,"program":"writer"},)"
              R"({"pid":20,"fd":3,"program":"reader"}]}],)"
              R"("unreadable_processes":0})");
    const auto text = snapctl::listing_text("region", listing);
    EXPECT_NE(text.find("0x10001"), std::string::npos);
    EXPECT_NE(text.find("7/5 writer, 20/3 reader"), std::string::npos);

    const auto snapshots = snapctl::list_objects("snapshot", proc);
    ASSERT_EQ(snapshots.objects.size(), 1U);
    EXPECT_NE(snapctl::listing_text("snapshot", snapshots).find(" - "),
              std::string::npos);
}

// Escapes of a terminal, a line more, no UTF-8: 15 bytes of a stranger.
TEST_F(ProcTest, NamesOfStrangersAreEscaped) {
    add(7, "\033[2J\nx\xff\"", 5, region_text);
    fs::create_directories(proc / "7" / "fd");
    fs::create_symlink("socket:[12]", proc / "7" / "fd" / "3");
    const auto listing = snapctl::list_objects("region", proc);
    EXPECT_NE(snapctl::listing_text("region", listing)
                  .find(R"(7/5 \x1b[2J\x0ax\xff")"
                        "\n"),
              std::string::npos);
    EXPECT_NE(snapctl::listing_json("region", listing)
                  .find(R"("program":"\\x1b[2J\\x0ax\\xff\"")"),
              std::string::npos);
    EXPECT_EQ(snapctl::socket_holders(proc).at(12).front().program,
              R"(\x1b[2J\x0ax\xff")");
}

TEST_F(ProcTest, NothingIsAnEmptyList) {
    const auto listing = snapctl::list_objects("region", proc);
    EXPECT_EQ(snapctl::listing_json("region", listing),
              R"({"regions":[],"unreadable_processes":0})");
    EXPECT_THROW(snapctl::list_objects("region", proc / "gone"),
                 std::system_error);
}

TEST(MemoryReport, JoinsPagesToRuns) {
    EXPECT_EQ(snapctl::diff_json(16 * page, {0, page, 5 * page}),
              R"({"pages":16,"differ":3,"runs":[{"offset":0,"length":8192},)"
              R"({"offset":20480,"length":4096}]})");
    EXPECT_EQ(snapctl::diff_json(page, {}),
              R"({"pages":1,"differ":0,"runs":[]})");
    EXPECT_EQ(snapctl::diff_text(page, {}), "0 of 1 pages differ\n");
    const auto text = snapctl::diff_text(16 * page, {page, 2 * page});
    EXPECT_EQ(text.find("2 of 16 pages differ\n"), 0U);
    EXPECT_NE(text.find("0x1000 "), std::string::npos);
    EXPECT_NE(text.find(" 8192\n"), std::string::npos);
}

TEST(MemoryReport, ShowsWhatAppliesToTheKind) {
    snap_object_info info{};
    info.kind = SNAP_OBJECT_REGION;
    info.length = 2 * page;
    info.version = 3;
    const auto region = snapctl::object_json(info);
    EXPECT_EQ(region.find(R"({"kind":"region",)"), 0U);
    EXPECT_NE(region.find(R"("length":8192,"version":3,)"), std::string::npos);
    EXPECT_NE(region.find("\"dirty\":0"), std::string::npos);
    info.kind = SNAP_OBJECT_SNAPSHOT;
    EXPECT_EQ(snapctl::object_json(info).find("dirty"), std::string::npos);
    EXPECT_NE(snapctl::object_text(info).find("populated_frames"),
              std::string::npos);
}

class RemoteTest : public testing::Test {
  protected:
    static snapctl::Remote remote(int fd) {
        return {std::to_string(::getpid()), std::to_string(fd)};
    }

    snaptest::FakeModule module;
    const snap::Device device;
    const snap::Region region{device, 4 * page};
};

TEST_F(RemoteTest, IsTheSameObject) {
    const auto object = remote(region.fd());
    EXPECT_EQ(object.info().handle, region.info().handle);
    EXPECT_NO_THROW(object.expect(SNAP_OBJECT_REGION));
    EXPECT_THROW(object.expect(SNAP_OBJECT_SNAPSHOT), std::runtime_error);
}

TEST_F(RemoteTest, ARegionIsSnapshottedForADiff) {
    const auto before = region.snapshot();
    std::memset(region.bytes().data() + 2 * page, 1, page);
    auto one = remote(region.fd());
    auto two = remote(before.fd());
    EXPECT_EQ(one.snapshot().diff(two.snapshot()),
              std::vector<std::uint64_t>{2 * page});
}

TEST_F(RemoteTest, SaysWhatIsWrong) {
    const auto message = [](const std::string &pid, const std::string &fd) {
        try {
            const snapctl::Remote object(pid, fd);
        } catch (const std::runtime_error &error) {
            return std::string(error.what());
        }
        return std::string();
    };
    const auto self = std::to_string(::getpid());
    EXPECT_EQ(message(self, "0"),
              "descriptor 0 of process " + self + " is no region or snapshot");
    EXPECT_EQ(message(self, "999999"),
              "descriptor 999999 of process " + self + ": Bad file descriptor");
    EXPECT_THROW(snapctl::Remote("x", "0"), snapctl::UsageError);
    EXPECT_THROW(snapctl::Remote(self, "-1"), snapctl::UsageError);
    EXPECT_THROW(snapctl::Remote("", "1"), snapctl::UsageError);
}

TEST_F(RemoteTest, DiffRefusesOtherKindsAndLengths) {
    const snap::Region longer(device, 5 * page);
    const auto snapshot = region.snapshot();
    snapctl::Request request;
    const auto self = std::to_string(::getpid());
    const auto words = [&](int one, int two) {
        request.arguments = {self, std::to_string(one), std::to_string(two)};
    };
    words(region.fd(), longer.fd());
    EXPECT_THROW(snapctl::diff_region(request), std::runtime_error);
    words(snapshot.fd(), region.fd());
    EXPECT_THROW(snapctl::diff_region(request), std::runtime_error);
}

} // namespace
