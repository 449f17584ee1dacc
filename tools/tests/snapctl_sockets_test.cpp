// SPDX-License-Identifier: LGPL-2.1-or-later
// snapctl sockets: what a dump and /proc/net/snap are made into.
#include "snapctl/command.h"
#include "snapctl/sockets.h"

#include <arpa/inet.h>
#include <cstring>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace {

using Bytes = std::vector<std::byte>;

template <typename Struct>
void append(Bytes &bytes, const Struct &value) {
    const auto *from = reinterpret_cast<const std::byte *>(&value);
    bytes.insert(bytes.end(), from, from + sizeof(value));
}

void append_attribute(Bytes &bytes, std::uint16_t type, const Bytes &value) {
    append(bytes, static_cast<std::uint16_t>(value.size() + 4));
    append(bytes, type);
    bytes.insert(bytes.end(), value.begin(), value.end());
    bytes.resize((bytes.size() + 3) & ~std::size_t{3});
}

snap_diag_msg message() {
    snap_diag_msg msg{};
    msg.family = AF_SNAP;
    msg.inner_family = AF_INET;
    msg.type = SOCK_DGRAM;
    msg.state = TCP_ESTABLISHED;
    msg.uid = 1000;
    msg.copybreak = 8192;
    msg.inode = 77;
    msg.cookie = 5;
    msg.rx_queue = 3;
    msg.tx_queue = 4;
    msg.local.port = htons(9000);
    ::inet_pton(AF_INET, "10.77.0.2", static_cast<void *>(msg.local.addr));
    msg.remote.port = htons(9001);
    ::inet_pton(AF_INET, "10.77.0.1", static_cast<void *>(msg.remote.addr));
    return msg;
}

Bytes dump(const snap_diag_msg &msg, std::size_t stats_bytes) {
    snap_sock_stats stats{};
    stats.tx_ref_bytes = 60000;
    stats.tx_copied_bytes = 100;
    stats.copied_bytes[SNAP_COPY_SHORT] = 100;
    Bytes bytes;
    Bytes value;
    append(bytes, msg);
    append_attribute(bytes, SNAP_DIAG_MEMINFO, Bytes(7));
    append(value, stats);
    value.resize(stats_bytes);
    append_attribute(bytes, SNAP_DIAG_STATS, value);
    return bytes;
}

TEST(Diag, IsParsed) {
    const auto socket =
        snapctl::parse_diag(dump(message(), sizeof(snap_sock_stats)));
    ASSERT_TRUE(socket);
    EXPECT_FALSE(socket->stream);
    EXPECT_EQ(socket->inode, 77U);
    EXPECT_EQ(socket->uid, 1000U);
    EXPECT_EQ(socket->local, "10.77.0.2:9000");
    EXPECT_EQ(socket->remote, "10.77.0.1:9001");
    EXPECT_EQ(socket->rx_queue, 3U);
    EXPECT_EQ(socket->tx_queue, 4U);
    EXPECT_EQ(socket->stats.tx_ref_bytes, 60000U);
    EXPECT_EQ(socket->stats.copied_bytes[SNAP_COPY_SHORT], 100U);
    EXPECT_EQ(socket->cookie, 5U);
}

TEST(Diag, KnowsIPv6AndStreams) {
    auto msg = message();
    msg.inner_family = AF_INET6;
    msg.type = SOCK_STREAM;
    msg.state = TCP_LISTEN;
    ::inet_pton(AF_INET6, "fd77::2", static_cast<void *>(msg.local.addr));
    const auto socket = snapctl::parse_diag(dump(msg, 0));
    ASSERT_TRUE(socket);
    EXPECT_TRUE(socket->stream);
    EXPECT_EQ(socket->local, "[fd77::2]:9000");
    EXPECT_EQ(snapctl::state_name(socket->state), "LISTEN");
}

TEST(Diag, OtherReleasesHaveShorterOrLongerStatistics) {
    auto socket = snapctl::parse_diag(dump(message(), 24));
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->stats.tx_ref_bytes, 60000U);
    EXPECT_EQ(socket->stats.tx_copied_bytes, 0U);
    socket = snapctl::parse_diag(dump(message(), sizeof(snap_sock_stats) + 64));
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->stats.tx_copied_bytes, 100U);
}

// Whatever is cut off, nothing beyond it is read.
TEST(Diag, MayBeCutAnywhere) {
    const auto whole = dump(message(), sizeof(snap_sock_stats));
    for (std::size_t n = 0; n < whole.size(); n++) {
        const Bytes part(whole.begin(), whole.begin() + static_cast<long>(n));
        const auto socket = snapctl::parse_diag(part);
        ASSERT_EQ(socket.has_value(), n >= sizeof(snap_diag_msg));
        if (socket) {
            EXPECT_EQ(socket->stats.tx_ref_bytes, 0U);
        }
    }
    auto msg = message();
    msg.family = AF_INET;
    EXPECT_FALSE(snapctl::parse_diag(dump(msg, 0)));
}

constexpr const char *proc_text =
    "type state inode uid local remote rx_queue tx_queue tx_ref_bytes "
    "tx_copied_bytes rx_copied_bytes rx_viewed_bytes\n"
    "dgram 01 1053 0 127.0.0.1:9000 127.0.0.1:9001 0 0 20000 100 7 30\n"
    "stream 0A 1054 0 [::]:80 [::]:0 1 128 0 0 0 0\n"
    "dgram 01 short\n"
    "raw 01 1055 0 a b 0 0 0 0 0 0\n";

TEST(ProcNetSnap, IsParsed) {
    const auto sockets = snapctl::parse_proc_net(proc_text);
    ASSERT_EQ(sockets.size(), 2U);
    EXPECT_EQ(sockets[0].inode, 1053U);
    EXPECT_EQ(sockets[0].stats.tx_ref_bytes, 20000U);
    EXPECT_EQ(sockets[0].stats.rx_copied_bytes, 7U);
    EXPECT_EQ(sockets[0].stats.rx_viewed_bytes, 30U);
    EXPECT_FALSE(sockets[0].cookie);
    EXPECT_TRUE(sockets[1].stream);
    EXPECT_EQ(sockets[1].state, static_cast<unsigned>(TCP_LISTEN));
    EXPECT_TRUE(snapctl::parse_proc_net("").empty());
}

TEST(Sockets, AreShown) {
    auto sockets = snapctl::parse_proc_net(proc_text);
    sockets[0].holders.push_back({12, 3, "snapcat"});
    const auto text = snapctl::sockets_text(sockets, true);
    EXPECT_NE(text.find("127.0.0.1:9001"), std::string::npos);
    EXPECT_NE(text.find("snapcat(12:3)\n"), std::string::npos);
    EXPECT_NE(text.find("LISTEN"), std::string::npos);
    const auto json = snapctl::sockets_json(sockets, true);
    EXPECT_NE(json.find(R"("tx_ref_bytes":20000)"), std::string::npos);
    EXPECT_NE(
        json.find(R"("processes":[{"pid":12,"fd":3,"program":"snapcat"}])"),
        std::string::npos);
    // without reasons where they are not known
    EXPECT_EQ(json.find("copied\":{"), std::string::npos);
    EXPECT_EQ(snapctl::sockets_json({}, false), R"({"sockets":[]})");
    EXPECT_EQ(snapctl::state_name(99), "?");
}

snapctl::Request parse(std::vector<std::string> words) {
    std::vector<char *> pointers;
    pointers.reserve(words.size() + 2);
    words.insert(words.begin(), "snapctl");
    for (auto &word : words)
        pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return snapctl::parse(static_cast<int>(words.size()), pointers.data());
}

TEST(Sockets, HaveOptions) {
    const auto request = parse({"sockets", "--listening", "-t", "-p"});
    EXPECT_TRUE(request.sockets.listening);
    EXPECT_TRUE(request.sockets.stream);
    EXPECT_TRUE(request.sockets.processes);
    EXPECT_FALSE(request.sockets.dgram);
    EXPECT_THROW(parse({"stats", "--dgram"}), snapctl::UsageError);
}

} // namespace
