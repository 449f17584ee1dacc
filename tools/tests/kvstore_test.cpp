// SPDX-License-Identifier: LGPL-2.1-or-later
// examples/kvstore: table, files, checkpoints and versions.
#include "examples/kvstore/checkpoint.h"
#include "examples/kvstore/file.h"
#include "examples/kvstore/follow.h"
#include "examples/kvstore/options.h"
#include "examples/kvstore/store.h"
#include "examples/kvstore/table.h"
#include "examples/kvstore/writers.h"
#include "tests/fake_module.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using kvstore::Reader;
using kvstore::Table;

constexpr std::size_t shards = 4;

class KvstoreTest : public testing::Test {
  protected:
    KvstoreTest() : words(1 << 13) {}

    std::span<std::byte> memory() {
        return std::as_writable_bytes(std::span(words));
    }
    // The slot of a key, by its bytes in memory.
    std::byte *find(const std::string &text) {
        const std::string_view all(reinterpret_cast<char *>(words.data()),
                                   memory().size());
        const auto at = all.find(text);
        return at == std::string_view::npos ? nullptr : memory().data() + at;
    }

    std::vector<std::uint64_t> words; // 64 KiB
};

TEST_F(KvstoreTest, PutsAndGets) {
    auto table = Table::format(memory(), shards);
    std::map<std::string, std::string> model;
    for (int i = 0; i < 300; i++) {
        const std::string key = "key " + std::to_string(i % 100);
        model[key] = "value " + std::to_string(i);
        ASSERT_TRUE(table.put(key, model[key]));
    }
    for (const auto &[key, value] : model)
        EXPECT_EQ(table.get(key), value);
    EXPECT_EQ(table.get("key"), std::nullopt);
    const auto verdict = Reader(memory()).verify();
    EXPECT_EQ(verdict.fault, "");
    EXPECT_EQ(verdict.entries, 100U);
    EXPECT_EQ(verdict.puts, 300U);
    EXPECT_THROW(table.put(std::string(33, 'k'), ""), std::length_error);
    EXPECT_THROW(table.put("k", std::string(209, 'v')), std::length_error);
}

TEST_F(KvstoreTest, SaysWhenItIsFull) {
    auto table = Table::format(memory(), 1);
    std::uint64_t count = 0;
    while (table.put(std::to_string(count), "x"))
        count++;
    EXPECT_EQ(count, table.slots());
    EXPECT_TRUE(table.put("0", "y"));
    EXPECT_EQ(table.get("not there"), std::nullopt);
    EXPECT_TRUE(table.verify().good());
}

TEST_F(KvstoreTest, MeansTheSameElsewhere) {
    auto table = Table::format(memory(), shards);
    table.put("key", "value");
    const auto copy = words;
    EXPECT_EQ(Reader(std::as_bytes(std::span(copy))).get("key"), "value");
}

TEST_F(KvstoreTest, NoticesWhatIsTorn) {
    auto table = Table::format(memory(), shards);
    kvstore::Store store(table);
    store.put_twins("one", "value 1");
    ASSERT_TRUE(table.verify().good());
    const auto before = words;
    // every word of an update missing, one after the other
    store.put_twins("one", "value 2");
    ASSERT_TRUE(table.verify().good());
    const auto after = words;
    unsigned int changed = 0;
    for (std::size_t i = 0; i < words.size(); i++) {
        if (before[i] == after[i])
            continue;
        words[i] = before[i];
        // the count of puts is information only
        changed += table.verify().good() ? 0 : 1;
        words[i] = after[i];
    }
    EXPECT_GE(changed, 4U) << "checksum and value, of two entries";
    EXPECT_TRUE(table.verify().good());
    std::memcpy(find("a:one"), "a:two", 5);
    EXPECT_EQ(table.verify().fault, "an entry does not have its checksum");
}

TEST_F(KvstoreTest, TwinsAreEqual) {
    auto table = Table::format(memory(), shards);
    table.put("a:x", "1");
    EXPECT_EQ(table.verify().fault, "an entry differs from its twin");
    table.put("b:x", "2");
    EXPECT_EQ(table.verify().fault, "an entry differs from its twin");
    table.put("b:x", "1");
    EXPECT_TRUE(table.verify().good());
}

TEST_F(KvstoreTest, RefusesWhatIsNoTable) {
    EXPECT_THROW(Reader{memory()}, std::runtime_error);
    EXPECT_THROW(Reader(memory().first(8)), std::runtime_error);
    EXPECT_THROW(Table::format(memory().first(4096), shards),
                 std::length_error);
    Table::format(memory(), shards);
    EXPECT_THROW(Reader(memory().first(32768)), std::runtime_error);
    for (const std::size_t field : {2U, 8U, 9U}) { // shards, first, slots
        const auto saved = words[field];
        words[field] = ~std::uint64_t{0};
        EXPECT_THROW(Reader{memory()}, std::runtime_error) << field;
        words[field] = saved;
    }
}

class FileTest : public KvstoreTest {
  protected:
    FileTest() : table(Table::format(memory(), shards)) {
        table.put("key", "value");
    }
    void TearDown() override { std::filesystem::remove(path); }

    std::string path =
        testing::TempDir() + "kvstore_test." + std::to_string(::getpid());
    Table table;
};

TEST_F(FileTest, ComesBack) {
    ASSERT_EQ(kvstore::write_file(path.c_str(), memory()), 0);
    const auto verdict = kvstore::verify_file(path);
    EXPECT_EQ(verdict.fault, "");
    EXPECT_EQ(verdict.entries, 1U);
    EXPECT_EQ(kvstore::write_file("/nonexistent/file", memory()), ENOENT);
    EXPECT_FALSE(kvstore::verify_file("/nonexistent/file").good());
}

TEST_F(FileTest, NoticesDamage) {
    ASSERT_EQ(kvstore::write_file(path.c_str(), memory()), 0);
    {
        std::fstream file(path, std::ios::in | std::ios::out);
        file.seekp(40000);
        file.put('x');
    }
    EXPECT_EQ(kvstore::verify_file(path).fault,
              "the file does not have its checksum");
    std::filesystem::resize_file(path, 40000);
    EXPECT_EQ(kvstore::verify_file(path).fault,
              "the file does not have its length");
    std::filesystem::resize_file(path, 0);
    EXPECT_EQ(kvstore::verify_file(path).fault, "the file is too short");
}

TEST_F(FileTest, CheckpointsWhileItIsWritten) {
    const std::uint64_t names = kvstore::fill(table);
    kvstore::Store store(table);
    {
        kvstore::Writers writers(store, 2, names);
        for (int i = 0; i < 10; i++) {
            const auto times = kvstore::by_fork(memory(), store, path);
            EXPECT_LE(times.call, times.total);
            EXPECT_EQ(kvstore::verify_file(path).fault, "");
        }
        EXPECT_GT(writers.take().count, 0U);
    }
    EXPECT_TRUE(table.verify().good());
}

TEST_F(FileTest, CheckpointsOfARegion) {
    const snaptest::FakeModule module;
    const snap::Device device;
    const snap::Region region(device, 1 << 16);
    auto shared = Table::format(region.bytes(), shards);
    const std::uint64_t names = kvstore::fill(shared);
    kvstore::Store store(shared);
    const kvstore::Writers writers(store, 1, names);
    for (int i = 0; i < 10; i++) {
        kvstore::by_snapshot(region, store, path);
        const auto verdict = kvstore::verify_file(path);
        EXPECT_EQ(verdict.fault, "");
        EXPECT_EQ(verdict.entries, 2 * names);
    }
}

TEST(Publisher, PublishesGenerations) {
    const snaptest::FakeModule module;
    const snap::Device device;
    const snap::Region region(device, 1 << 16);
    auto table = Table::format(region.bytes(), shards);
    const std::uint64_t names = kvstore::fill(table);
    kvstore::Publisher publisher(region);
    for (int i = 0; i < 3; i++)
        publisher.publish(names);
    EXPECT_EQ(table.generation(), 3U);
    EXPECT_TRUE(table.verify().good());
    EXPECT_TRUE(publisher.refuses_stale());
    EXPECT_EQ(table.generation(), 3U);

    const auto seen = kvstore::follow(region, 3);
    EXPECT_EQ(seen.fault, "");
    EXPECT_EQ(seen.versions, 1U);
    EXPECT_EQ(seen.snapshots, 1U);
    EXPECT_EQ(seen.direct, 1U);

    table.set_generation(7);
    EXPECT_THROW(publisher.publish(names), std::runtime_error);
    table.put("a:only", "one of the twins");
    EXPECT_NE(kvstore::follow(region, 8).fault, "");
}

kvstore::Options parse(std::vector<std::string> words) {
    words.insert(words.begin(), "kvstore");
    std::vector<char *> pointers;
    pointers.reserve(words.size() + 1);
    for (auto &word : words)
        pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return kvstore::parse(static_cast<int>(words.size()), pointers.data());
}

TEST(KvstoreOptions, AreParsed) {
    const auto options =
        parse({"checkpoint", "--seconds", "2", "-m", "fork", "--size=3"});
    EXPECT_EQ(options.command, kvstore::Command::checkpoint);
    EXPECT_EQ(options.method, kvstore::Method::fork);
    EXPECT_EQ(options.seconds, 2U);
    EXPECT_EQ(options.size, 3U << 20);
    EXPECT_EQ(parse({"follow", "--versions", "9"}).versions, 9U);
    EXPECT_EQ(parse({"follow"}).size, 1U << 20);
    EXPECT_EQ(parse({"-h"}).command, kvstore::Command::help);
    const std::vector<std::vector<std::string>> bad{
        {},         {"frob"},           {"follow", "more"},
        {"--frob"}, {"-m", "x"},        {"follow", "-n", "0"},
        {"-t"},     {"follow", "-n1x"}, {"checkpoint", "-w", "65"}};
    for (const auto &words : bad)
        EXPECT_THROW(parse(words), kvstore::UsageError) << words.size();
}

} // namespace
