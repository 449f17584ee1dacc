// SPDX-License-Identifier: LGPL-2.1-or-later
// snapctl: reports, command line.
#include "snapctl/command.h"
#include "snapctl/report.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {

// An argument vector that getopt may write to.
class Arguments {
  public:
    explicit Arguments(std::vector<std::string> words)
        : words_(std::move(words)) {
        for (auto &word : words_)
            pointers_.push_back(word.data());
        pointers_.push_back(nullptr);
    }
    snapctl::Request parse() {
        return snapctl::parse(static_cast<int>(words_.size()),
                              pointers_.data());
    }

  private:
    std::vector<std::string> words_;
    std::vector<char *> pointers_;
};

snapctl::Request parse(std::vector<std::string> words) {
    words.insert(words.begin(), "snapctl");
    return Arguments(std::move(words)).parse();
}

TEST(Report, StatusHasTheFieldsOfTheStructure) {
    const snap_info info{
        sizeof(snap_info), 1, 2, 3, SNAP_F_TSO4, 5, 6, 7, 8, 9, 10, 4096};
    EXPECT_EQ(snapctl::status_json(info),
              R"({"abi_version":1,"device_version":2,"ifindex":3,)"
              R"("features":2,"pool_frames":5,"free_frames":6,)"
              R"("out_frames":7,"window_pages":8,"quota_frames":9,)"
              R"("used_frames":10,"frame_bytes":4096})");
    EXPECT_NE(snapctl::status_text(info).find("tso4"), std::string::npos);
}

TEST(Report, FeaturesHaveNames) {
    EXPECT_EQ(snapctl::feature_names(0), "none");
    EXPECT_EQ(snapctl::feature_names(SNAP_F_ALL),
              "csum tso4 tso6 rx_csum rx_lro snapshot steps take_arm "
              "uso holdoff steer large_frames");
    EXPECT_EQ(snapctl::feature_names(SNAP_F_CSUM | 1ULL << 40),
              "csum 0x10000000000");
}

TEST(Report, StatsNameEveryReasonAndCounter) {
    snap_stats stats{};
    stats.ncounters = SNAP_CTR_MAX;
    stats.sockets.tx_ref_msgs = 42;
    stats.sockets.copied_bytes[SNAP_COPY_ROUTE] = 99;
    stats.device[SNAP_CTR_TAKES] = 7;
    const std::string json = snapctl::stats_json(stats);
    const std::string text = snapctl::stats_text(stats);
    EXPECT_EQ(json.find(R"({"tx_ref_msgs":42,)"), 0U);
    EXPECT_NE(json.find(R"("route":{"msgs":0,"bytes":99})"), std::string::npos);
    EXPECT_NE(json.find(R"("takes":7,)"), std::string::npos);
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++)
        EXPECT_NE(text.find(snap_copy_reason_name(i)), std::string::npos);
    for (unsigned int i = 0; i < SNAP_CTR_MAX; i++) {
        EXPECT_NE(text.find(snap_counter_name(i)), std::string::npos);
        EXPECT_NE(json.find(snap_counter_name(i)), std::string::npos);
    }
}

TEST(Report, CountersOfAnotherVersionAreLeftOut) {
    snap_stats stats{};
    stats.ncounters = 1;
    EXPECT_NE(snapctl::stats_json(stats).find(R"("device":{"doorbells":0}})"),
              std::string::npos);
    stats.ncounters = 10000;
    EXPECT_NE(snapctl::stats_json(stats).find("reserved_frames"),
              std::string::npos);
}

TEST(Report, DifferenceKeepsLevels) {
    snap_stats before{};
    before.ncounters = SNAP_CTR_MAX;
    before.sockets.tx_ref_bytes = 10;
    before.sockets.copied_msgs[SNAP_COPY_SHORT] = 1;
    before.device[SNAP_CTR_DOORBELLS] = 5;
    before.device[SNAP_CTR_FREE_FRAMES] = 100;
    snap_stats after = before;
    after.sockets.tx_ref_bytes = 25;
    after.sockets.copied_msgs[SNAP_COPY_SHORT] = 4;
    after.device[SNAP_CTR_DOORBELLS] = 8;
    after.device[SNAP_CTR_FREE_FRAMES] = 90;
    const snap_stats delta = snapctl::difference(before, after);
    EXPECT_EQ(delta.sockets.tx_ref_bytes, 15U);
    EXPECT_EQ(delta.sockets.copied_msgs[SNAP_COPY_SHORT], 3U);
    EXPECT_EQ(delta.device[SNAP_CTR_DOORBELLS], 3U);
    EXPECT_EQ(delta.device[SNAP_CTR_FREE_FRAMES], 90U);
}

TEST(Command, OptionsGoBeforeAndAfter) {
    EXPECT_STREQ(parse({"status"}).command->name, "status");
    EXPECT_FALSE(parse({"status"}).json);
    EXPECT_TRUE(parse({"--json", "stats"}).json);
    EXPECT_TRUE(parse({"stats", "-j"}).json);
    EXPECT_STREQ(parse({"-h"}).command->name, "help");
    EXPECT_STREQ(parse({"--version"}).command->name, "version");
}

TEST(Command, DeltaTakesAProgramWithItsOptions) {
    for (const char *separator : {"--", "ls"}) {
        Arguments arguments(
            {"snapctl", "stats", "--delta", separator, "-l", "--json"});
        const auto request = arguments.parse();
        ASSERT_NE(request.program, nullptr);
        EXPECT_FALSE(request.json);
        const std::string first = request.program[0];
        EXPECT_EQ(first, std::string(separator) == "--" ? "-l" : "ls");
    }
}

TEST(Command, HasTwoWordsAndArguments) {
    const auto request = parse({"region", "-j", "show", "12", "5"});
    EXPECT_STREQ(request.command->name, "region show");
    EXPECT_TRUE(request.json);
    EXPECT_EQ(request.arguments, (std::vector<std::string>{"12", "5"}));
    EXPECT_STREQ(parse({"snapshot", "list"}).command->name, "snapshot list");
    EXPECT_EQ(parse({"region", "diff", "1", "2", "3"}).arguments.size(), 3U);
    EXPECT_EQ(parse({"snapshot", "diff", "1", "2", "3", "4"}).arguments.size(),
              4U);
}

TEST(Command, RefusesWhatItDoesNotKnow) {
    const std::vector<std::vector<std::string>> bad{
        {},
        {"region"},
        {"region", "frob"},
        {"region", "list", "1"},
        {"region", "show", "1"},
        {"snapshot", "diff", "1", "2"},
        {"region", "diff", "1", "2", "3", "4", "5"},
        {"list"},
        {"frob"},
        {"status", "more"},
        {"--frob", "status"},
        {"stats", "--delta"},
        {"status", "--delta", "ls"},
        {"stats", "ls"}};
    for (const auto &words : bad)
        EXPECT_THROW(parse(words), snapctl::UsageError) << words.size();
}

TEST(Command, ExplainsErrors) {
    EXPECT_NE(snapctl::explain(ENOENT).find("load the snap module"),
              std::string::npos);
    EXPECT_NE(snapctl::explain(ENODEV).find("no device"), std::string::npos);
    EXPECT_NE(snapctl::explain(EACCES).find("permission"), std::string::npos);
    EXPECT_NE(snapctl::explain(EPROTONOSUPPORT).find("version"),
              std::string::npos);
    EXPECT_EQ(snapctl::DeviceError(ENODEV).exit_code(), snapctl::exit_absent);
    EXPECT_EQ(snapctl::DeviceError(EACCES).exit_code(), snapctl::exit_failed);
}

} // namespace
