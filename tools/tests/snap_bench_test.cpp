// SPDX-License-Identifier: LGPL-2.1-or-later
// snap-bench: statistics, results as JSON, rows, command line.
#include "snap-bench/options.h"
#include "snap-bench/report.h"
#include "snap-bench/stats.h"
#include "snap-bench/threads.h"
#include "snap-bench/workload.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace snapbench;

TEST(BenchStats, PercentilesAreOfTheValues) {
    const std::vector<double> values{5, 1, 4, 2, 3};
    EXPECT_EQ(percentile(values, 0), 1);
    EXPECT_EQ(percentile(values, 0.2), 1);
    EXPECT_EQ(percentile(values, 0.21), 2);
    EXPECT_EQ(percentile(values, 0.5), 3);
    EXPECT_EQ(percentile(values, 0.99), 5);
    EXPECT_EQ(percentile(values, 1), 5);
    EXPECT_EQ(percentile({7}, 0.5), 7);
}

TEST(BenchStats, MedianOfAnEvenNumberIsBetween) {
    EXPECT_EQ(median({3, 1, 2}), 2);
    EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
    EXPECT_EQ(median({9}), 9);
}

TEST(BenchStats, RatiosAreOfRoundsNotOfMedians) {
    // a disturbance that hits both sides of a round says nothing
    const std::array<double, 3> ours{10, 100, 10};
    const std::array<double, 3> peer{20, 200, 20};
    const Ratio same = ratio_of(ours, peer);
    EXPECT_EQ(same.median, 2);
    EXPECT_EQ(same.lowest, 2);
    EXPECT_EQ(same.highest, 2);
    EXPECT_EQ(same.spread(), 0);
    EXPECT_FALSE(same.wide());
}

TEST(BenchStats, SpreadOverAFifthIsWide) {
    const std::array<double, 3> ours{10, 10, 10};
    const std::array<double, 3> narrow{9.1, 10, 11};
    const std::array<double, 3> wide{8.9, 10, 11};
    EXPECT_FALSE(ratio_of(ours, narrow).wide());
    EXPECT_TRUE(ratio_of(ours, wide).wide());
    EXPECT_NEAR(ratio_of(ours, wide).spread(), 0.21, 1e-9);
}

Cost cost(std::vector<double> rounds) {
    Cost made;
    made.round_ns = std::move(rounds);
    made.messages = 10;
    made.arrived = 5;
    for (unsigned i = 0; i < counters_max; ++i)
        made.counts[i] = 10 * i;
    made.threads = {{"CPU 0/TCG", 25}};
    return made;
}

Result result() {
    constexpr Side side{Family::inet, {"nic", "10.0.0.1"}};
    static const Row row{"name", &stream_send, 1500, 64, side, side};
    Result made;
    made.row = &row;
    made.ours = cost({1000});
    made.peer = cost({2500});
    made.peer.latencies = {1, 2, 3};
    made.ratio = {2.5, 2, 3};
    made.attempts = 1;
    return made;
}

TEST(BenchReport, JsonHasCountsOfOneMessage) {
    const std::array<Result, 1> all{result()};
    const std::string text = json_of(all);
    EXPECT_TRUE(text.starts_with(
        R"({"rows":[{"name":"name","mtu":1500,"bytes":64,"ours":1000,)"
        R"("peer":2500,"ratio":2.5,"lowest":2,"highest":3,"wide":1,)"
        R"("lossy":1,"rounds":1,"attempts":1,"counts":{"ours":{"messages":10,)"
        R"("arrived":0.5,"busy_ns":1,"doorbells":2,"exits":3,)"))
        << text;
    EXPECT_NE(text.find(R"("p50_ns":2,"p90_ns":3,"p99_ns":3,"longest_ns":3,)"
                        R"("host_cpu_ns":{"CPU 0/TCG":2.5}}}}]})"),
              std::string::npos)
        << text;
}

TEST(BenchReport, BusyTimeIsLeftOutWhereItIsNotKnown) {
    Result made = result();
    made.ours.knows_busy = false;
    const std::array<Result, 1> all{made};
    const std::string text = json_of(all);
    EXPECT_NE(text.find(R"("arrived":0.5,"doorbells":2,)"), std::string::npos)
        << text;
    EXPECT_NE(text.find(R"("arrived":0.5,"busy_ns":1,)"), std::string::npos)
        << text;
}

TEST(BenchReport, JsonSaysWhatFailed) {
    Result made = result();
    made.failed = "no \"such\" thing";
    const std::array<Result, 1> all{made};
    EXPECT_EQ(json_of(all), R"({"rows":[{"name":"name","mtu":1500,"bytes":64,)"
                            R"("failed":"no \"such\" thing"}]})");
    EXPECT_EQ(line_of(made), "name: FAILED: no \"such\" thing");
}

TEST(BenchReport, SaysWhatWasSkipped) {
    Result made = result();
    made.skipped = "nothing there";
    const std::array<Result, 1> all{made};
    EXPECT_EQ(json_of(all), R"({"rows":[{"name":"name","mtu":1500,"bytes":64,)"
                            R"("skipped":"nothing there"}]})");
    EXPECT_EQ(line_of(made), "name: skipped: nothing there");
}

TEST(BenchReport, SideWithoutAnInterfaceHasNoneOfItsCounts) {
    Row row{"name", &stream_send, 1500, 64, {}, {}};
    row.ours.nic = {"snap0", "10.77.0.1"};
    Result made = result();
    made.row = &row;
    const std::array<Result, 1> all{made};
    const std::string text = json_of(all);
    const auto ours = text.find("\"ours\":{");
    const auto peer = text.find("\"peer\":{");
    ASSERT_LT(ours, peer);
    EXPECT_NE(text.substr(ours, peer - ours).find("exits"), std::string::npos);
    EXPECT_EQ(text.find("exits", peer), std::string::npos);
    EXPECT_NE(text.find("page_faults", peer), std::string::npos);
}

TEST(BenchReport, LineSaysWhenARatioIsWideOrOfLostMessages) {
    Result made = result();
    EXPECT_EQ(line_of(made), "name: ours 1.00 us, peer 2.50 us, ratio 2.50 "
                             "(2.00 to 3.00) wide lossy");
    made.ratio = {2.5, 2.5, 2.5};
    made.ours.arrived = made.ours.messages;
    EXPECT_TRUE(made.lossy());
    made.peer.arrived = made.peer.messages;
    EXPECT_EQ(line_of(made), "name: ours 1.00 us, peer 2.50 us, ratio 2.50 "
                             "(2.50 to 2.50)");
}

TEST(BenchRows, HaveNamesOfTheirOwnAndServedWork) {
    std::set<std::string> names;
    for (const Row &row : rows()) {
        EXPECT_TRUE(names.insert(row.name).second) << row.name;
        EXPECT_EQ(find_workload(row.workload->name), row.workload) << row.name;
        EXPECT_GT(row.bytes, 0U) << row.name;
    }
    EXPECT_EQ(find_workload("frob"), nullptr);
}

TEST(BenchCounters, WaitingInUringIsIdleTime) {
    const std::string path = testing::TempDir() + "snap-bench-timers";
    std::ofstream(path) << "cpu: 0\n"
                           "  .idle_sleeptime : 1000000007 nsecs\n"
                           "  .iowait_sleeptime: 500 nsecs\n"
                           "  .last_jiffies   : 4294900000\n";
    EXPECT_EQ(idle_of(path.c_str()).ns, 1000000507U);
    EXPECT_EQ(idle_of(path.c_str()).processors, 1U);
    std::ofstream(path, std::ios::app) << "  .idle_sleeptime : 5 nsecs\n";
    EXPECT_EQ(idle_of(path.c_str()).processors, 2U);
    std::filesystem::remove(path);
}

TEST(BenchThreads, AddUpByName) {
    namespace fs = std::filesystem;
    const fs::path proc = testing::TempDir() + "snap-bench-proc";
    for (const auto &[id, name, ns] : {std::tuple{"1", "CPU 0/TCG", "100 5 1"},
                                       {"2", "worker", "7 0 0"},
                                       {"3", "worker", "30 0 0"}}) {
        const auto task = proc / "42" / "task" / id;
        fs::create_directories(task);
        std::ofstream(task / "comm") << name << '\n';
        std::ofstream(task / "schedstat") << ns << '\n';
    }
    const auto times = thread_times("42", proc);
    EXPECT_EQ(times, (ThreadTimes{{"CPU 0/TCG", 100}, {"worker", 37}}));
    EXPECT_EQ(thread_times("43", proc), ThreadTimes{});
    EXPECT_EQ(to_line(times), "100 CPU 0/TCG;37 worker;");
    EXPECT_EQ(from_line(to_line(times)), times);
    EXPECT_EQ(from_line(""), ThreadTimes{});
    fs::remove_all(proc);
}

TEST(BenchOptions, CommandsAndTheirOptions) {
    const auto parsed = [](std::vector<std::string> words) {
        words.insert(words.begin(), "snap-bench");
        std::vector<char *> pointers;
        pointers.reserve(words.size() + 1);
        for (auto &word : words)
            pointers.push_back(word.data());
        pointers.push_back(nullptr);
        optind = 0;
        return parse(static_cast<int>(words.size()), pointers.data());
    };
    const auto run = parsed({"run", "-r", "7", "--json", "file", "a*", "b"});
    EXPECT_EQ(run.command, Command::run);
    EXPECT_EQ(run.plan.rounds, 7U);
    EXPECT_EQ(run.json, "file");
    EXPECT_EQ(run.rows, (std::vector<std::string>{"a*", "b"}));
    EXPECT_EQ(parsed({"--port", "9", "serve"}).port, 9);
    EXPECT_EQ(parsed({"-l", "127.0.0.1", "serve"}).listen, "127.0.0.1");
    for (const std::vector<std::string> &words :
         std::vector<std::vector<std::string>>{{},
                                               {"frob"},
                                               {"-r", "0", "run"},
                                               {"serve", "x"},
                                               {"run", "-j"},
                                               {"-m", "1x", "run"}})
        EXPECT_THROW(parsed(words), UsageError);
}

} // namespace
