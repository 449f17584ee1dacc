// SPDX-License-Identifier: LGPL-2.1-or-later
// snaptrace/options.cpp and table.cpp, without the kernel's program
#include "snaptrace/options.h"
#include "snaptrace/table.h"

#include <cstring>
#include <gtest/gtest.h>
#include <snap/libsnap.h>
#include <string>
#include <vector>

using snaptrace::Report;
using snaptrace::Row;

namespace {

snaptrace::Options parsed(std::vector<std::string> words) {
    words.insert(words.begin(), "snaptrace");
    std::vector<char *> argv;
    argv.reserve(words.size() + 1);
    for (std::string &word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    return snaptrace::parse(static_cast<int>(words.size()), argv.data());
}

Row row(std::uint32_t pid, const char *comm) {
    Row r;
    r.key.pid = pid;
    std::strncpy(r.counts.comm, comm, sizeof(r.counts.comm) - 1);
    return r;
}

bool has(const std::string &text, const std::string &part) {
    return text.find(part) != std::string::npos;
}

} // namespace

TEST(SnaptraceOptions, AreTaken) {
    const auto o = parsed({"--interval", "0.25", "-n", "3", "--pid=7", "--json",
                           "-H", "--by-socket"});
    EXPECT_EQ(o.interval.count(), 250);
    EXPECT_EQ(o.count, 3U);
    EXPECT_EQ(o.pid, 7U);
    EXPECT_TRUE(o.json && o.histogram && o.by_socket);
    const auto none = parsed({});
    EXPECT_EQ(none.interval.count(), 1000);
    EXPECT_FALSE(none.json || none.histogram || none.by_socket);
}

TEST(SnaptraceOptions, NonsenseIsRefused) {
    for (const auto &words :
         std::vector<std::vector<std::string>>{{"-i", "0"},
                                               {"-i", "-1"},
                                               {"-i", "nan"},
                                               {"-i", "3601"},
                                               {"-i", "1s"},
                                               {"-n", "0"},
                                               {"-n", ""},
                                               {"-p", "0"},
                                               {"-p", "99999999999"},
                                               {"-p"},
                                               {"--what"},
                                               {"more"}})
        EXPECT_THROW(parsed(words), snaptrace::UsageError) << words.back();
}

TEST(SnaptraceTable, MostBytesComeFirst) {
    Report report{{row(1, "small"), row(2, "view"), row(3, "copy")}, 0};
    report.rows[0].counts.ref_bytes = 10;
    report.rows[1].counts.rx_viewed_bytes = 30;
    report.rows[2].counts.copied_bytes[SNAP_COPY_ROUTE] = 20;
    snaptrace::sort(report);
    EXPECT_EQ(report.rows[0].key.pid, 2U);
    EXPECT_EQ(report.rows[1].key.pid, 3U);
    EXPECT_EQ(report.rows[2].key.pid, 1U);
}

TEST(SnaptraceTable, ReasonsAreNamedAndSummed) {
    Report report{{row(42, "prog")}, 5};
    auto &c = report.rows[0].counts;
    c.copied_msgs[SNAP_COPY_SHORT] = 2;
    c.copied_bytes[SNAP_COPY_SHORT] = 100;
    c.copied_msgs[SNAPTRACE_REASONS - 1] = 1;
    c.copied_bytes[SNAPTRACE_REASONS - 1] = 7;
    const auto json = snaptrace::json(report);
    EXPECT_TRUE(has(json, R"("tx_copied_msgs":3,"tx_copied_bytes":107)"));
    EXPECT_TRUE(has(json, R"("short":{"msgs":2,"bytes":100})"));
    EXPECT_TRUE(has(json, R"("reason_31":{"msgs":1,"bytes":7})"));
    EXPECT_TRUE(has(json, R"({"lost":5,)"));
    const auto table = snaptrace::table(report, {});
    EXPECT_TRUE(has(table, " short=2 reason_31=1\n"));
    EXPECT_TRUE(has(table, "lost: 5 "));
    EXPECT_FALSE(has(table, "route"));
}

TEST(SnaptraceTable, NumbersStayShort) {
    Report report{{row(1, "p")}, 0};
    auto &c = report.rows[0].counts;
    c.ref_msgs = 9999;
    c.ref_bytes = 10000;
    c.rx_copied_bytes = ~std::uint64_t{0};
    const auto table = snaptrace::table(report, {});
    EXPECT_TRUE(has(table, "   9999    9.8K ")) << table;
    EXPECT_TRUE(has(table, "     16E ")) << table;
}

TEST(SnaptraceTable, HistogramRunsFromTheFirstToTheLast) {
    Report report{{row(1, "p")}, 0};
    auto &latency = report.rows[0].counts.latency;
    EXPECT_TRUE(
        has(snaptrace::table(report, {.histogram = true}), "no packet"));
    latency[9] = 1;
    latency[11] = 80;
    const auto table = snaptrace::table(report, {.histogram = true});
    EXPECT_TRUE(has(table, "     512ns          1 #\n")) << table;
    EXPECT_TRUE(has(table, "       1us          0 \n")) << table;
    EXPECT_TRUE(
        has(table, "       2us         80 " + std::string(40, '#') + "\n"))
        << table;
    EXPECT_FALSE(has(table, "256ns"));
    EXPECT_FALSE(has(table, "4us"));
    EXPECT_FALSE(has(snaptrace::table(report, {}), "#"));
    EXPECT_TRUE(has(snaptrace::json(report),
                    R"("send_to_doorbell_ns":{"512":1,"2048":80})"));
}

TEST(SnaptraceTable, NamesCannotSteerTheTerminal) {
    Report report{{row(1, "\033[2J\"x")}, 0};
    EXPECT_TRUE(has(snaptrace::table(report, {}), R"(\x1b[2J"x)"));
    EXPECT_TRUE(has(snaptrace::json(report), R"("command":"\\x1b[2J\"x")"));
    report.rows[0].counts = {};
    std::memset(report.rows[0].counts.comm, 'a', SNAPTRACE_COMM);
    EXPECT_TRUE(has(snaptrace::json(report),
                    "\"" + std::string(SNAPTRACE_COMM, 'a') + "\""));
}
