// SPDX-License-Identifier: LGPL-2.1-or-later
// snapcat: command line and pacing.
#include "snapcat/options.h"
#include "snapcat/transfer.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

using snapcat::Options;
using snapcat::UsageError;

namespace {

Options parse(std::vector<std::string> words) {
    words.insert(words.begin(), "snapcat");
    std::vector<char *> pointers;
    pointers.reserve(words.size() + 1);
    for (auto &word : words)
        pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return snapcat::parse(static_cast<int>(words.size()), pointers.data());
}

TEST(Parse, Defaults) {
    const auto options = parse({"host", "7"});
    EXPECT_EQ(options.host, "host");
    EXPECT_EQ(options.port, "7");
    EXPECT_EQ(options.bytes, 1400U);
    EXPECT_EQ(options.family, AF_UNSPEC);
    EXPECT_EQ(options.memory, snapcat::Memory::automatic);
    EXPECT_FALSE(options.listen || options.inet || options.verbose ||
                 options.view);
}

TEST(Parse, EveryOption) {
    const auto options = parse({"-6lukvfz", "-p", "9", "-s", "::1", "-b", "2k",
                                "-n", "5", "-w", "3", "-r", "--rate=1M",
                                "--rcvbuf=64k", "--copybreak", "0", "--view"});
    EXPECT_EQ(options.family, AF_INET6);
    EXPECT_TRUE(options.listen && options.keep && options.verbose);
    EXPECT_TRUE(options.fill && options.end_mark && options.view);
    EXPECT_EQ(options.host, "::1");
    EXPECT_EQ(options.port, "9");
    EXPECT_EQ(options.bytes, 2048U);
    EXPECT_EQ(options.count, 5U);
    EXPECT_EQ(options.wait, std::chrono::seconds(3));
    EXPECT_EQ(options.memory, snapcat::Memory::region);
    EXPECT_EQ(options.rate, 1U << 20);
    EXPECT_EQ(options.receive_buffer, 65536);
    EXPECT_EQ(options.copybreak, 0);
    EXPECT_TRUE(parse({"--inet", "--no-region", "h", "1"}).inet);
}

TEST(Parse, ListensOnAddressAndPort) {
    EXPECT_EQ(parse({"-l", "5"}).port, "5");
    EXPECT_EQ(parse({"-l", "::", "5"}).host, "::");
    EXPECT_EQ(parse({"-l", "-s", "::", "5"}).host, "::");
    EXPECT_EQ(parse({"-l", "-p", "5"}).port, "5");
}

TEST(Parse, HelpAndVersionNeedNothingElse) {
    EXPECT_EQ(parse({"-h"}).action, Options::Action::help);
    EXPECT_EQ(parse({"--version"}).action, Options::Action::version);
}

TEST(Parse, Refuses) {
    const std::vector<std::vector<std::string>> bad{
        {},
        {"host"},
        {"a", "b", "c"},
        {"-l"},
        {"-l", "-p", "1", "2"},
        {"-l", "-s", "a", "b", "1"},
        {"-b"},
        {"-b", "0", "h", "1"},
        {"-b", "65508", "h", "1"},
        {"-b", "64k", "h", "1"},
        {"-n", "-1", "h", "1"},
        {"-w", "1.5", "h", "1"},
        {"-k", "h", "1"},
        {"--frob", "h", "1"},
        {"--inet", "--copybreak=1", "h", "1"}};
    for (const auto &words : bad)
        EXPECT_THROW(parse(words), UsageError)
            << (words.empty() ? "" : words.front());
}

TEST(ParseNumber, KnowsUnitsAndLimits) {
    const auto number = [](const char *text) {
        return snapcat::parse_number("x", text, 0, UINT64_MAX);
    };
    EXPECT_EQ(number("0"), 0U);
    EXPECT_EQ(number("3k"), 3072U);
    EXPECT_EQ(number("3K"), 3072U);
    EXPECT_EQ(number("2m"), 2U << 20);
    EXPECT_EQ(number("1G"), 1U << 30);
    EXPECT_EQ(number("18446744073709551615"), UINT64_MAX);
    for (const char *bad : {"", "k", "1kk", "1x", " 1", "-1", "0x1",
                            "18446744073709551616", "18446744073709551615k"})
        EXPECT_THROW(number(bad), UsageError) << bad;
}

TEST(Usage, ShowsEveryOption) {
    const std::string text = snapcat::usage();
    for (const char *name : {"-4", "-l", "--rate=BYTES", "--no-region"})
        EXPECT_NE(text.find(name), std::string::npos) << name;
}

TEST(Pacer, KeepsTheRateWithoutBursts) {
    using namespace std::chrono_literals;
    const auto start = snapcat::Pacer::Clock::now();
    snapcat::Pacer pacer(1000);
    EXPECT_LE(pacer.delay(start), 0s);
    pacer.sent(1000, start);
    EXPECT_GE(pacer.delay(start), 990ms);
    EXPECT_LE(pacer.delay(start), 1s);
    // After a long pause only a short burst is made up for.
    pacer.sent(1000, start + 100s);
    EXPECT_GE(pacer.delay(start + 100s), 990ms);
}

TEST(Pacer, NoRateNoDelay) {
    snapcat::Pacer pacer(0);
    const auto now = snapcat::Pacer::Clock::now();
    pacer.sent(1 << 20, now);
    EXPECT_LE(pacer.delay(now).count(), 0);
}

} // namespace
