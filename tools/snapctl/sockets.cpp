// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sockets.h"

#include "command.h"
#include "report.h"
#include "socket_dump.h"

#include "../common/json.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <netinet/tcp.h>
#include <sstream>
#include <sys/socket.h>
#include <system_error>

namespace snapctl {

namespace {

constexpr const char *proc_file = "/proc/net/snap";

std::string address_text(int family, const snap_diag_addr &address) {
    std::array<char, INET6_ADDRSTRLEN> host{};
    ::inet_ntop(family, static_cast<const void *>(address.addr), host.data(),
                host.size());
    const std::string port = ':' + std::to_string(ntohs(address.port));
    return family == AF_INET6 ? '[' + std::string(host.data()) + ']' + port
                              : host.data() + port;
}

// What both sides know of it.
void take_stats(std::span<const std::byte> bytes, snap_sock_stats &stats) {
    std::memcpy(&stats, bytes.data(), std::min(bytes.size(), sizeof(stats)));
}

// Each attribute is a header of four bytes and a value, both aligned to four.
void take_attributes(std::span<const std::byte> rest, Socket &socket) {
    struct {
        std::uint16_t length;
        std::uint16_t type;
    } header{};
    while (rest.size() >= sizeof(header)) {
        std::memcpy(&header, rest.data(), sizeof(header));
        if (header.length < sizeof(header) || header.length > rest.size())
            return;
        if (header.type == SNAP_DIAG_STATS)
            take_stats(
                rest.subspan(sizeof(header), header.length - sizeof(header)),
                socket.stats);
        rest = rest.subspan(
            std::min<std::size_t>(rest.size(), (header.length + 3U) & ~3U));
    }
}

std::string read_proc() {
    std::ifstream file(proc_file);
    if (!file)
        throw DeviceError(ENOENT);
    return {std::istreambuf_iterator<char>(file), {}};
}

bool wanted(const SocketFilter &filter, const Socket &socket) {
    if (filter.dgram != filter.stream && filter.stream != socket.stream)
        return false;
    return !filter.listening || socket.state == TCP_LISTEN;
}

std::vector<Socket> find_sockets(const SocketFilter &filter) {
    const std::uint32_t types = (filter.dgram ? 1U << SOCK_DGRAM : 0) |
                                (filter.stream ? 1U << SOCK_STREAM : 0);
    auto sockets = dump_sockets(types, filter.listening ? 1U << TCP_LISTEN : 0);
    if (sockets)
        return std::move(*sockets);
    auto all = parse_proc_net(read_proc());
    std::fprintf(stderr,
                 "snapctl: the module snap_diag is not loaded (modprobe "
                 "snap_diag): %s has no reasons\n",
                 proc_file);
    std::erase_if(all, [&](auto &socket) { return !wanted(filter, socket); });
    return all;
}

std::string holders_text(const Socket &socket) {
    std::string text;
    for (const auto &holder : socket.holders)
        text += (text.empty() ? "" : ",") + holder.program + '(' +
                std::to_string(holder.pid) + ':' + std::to_string(holder.fd) +
                ')';
    return text;
}

} // namespace

std::string_view state_name(unsigned state) {
    // in the order of the TCP_* numbers
    constexpr std::array<std::string_view, 13> names{
        "?",          "ESTAB",     "SYN-SENT",    "SYN-RECV",   "FIN-WAIT-1",
        "FIN-WAIT-2", "TIME-WAIT", "UNCONN",      "CLOSE-WAIT", "LAST-ACK",
        "LISTEN",     "CLOSING",   "NEW-SYN-RECV"};
    return names.at(state < names.size() ? state : 0);
}

std::optional<Socket> parse_diag(std::span<const std::byte> message) {
    snap_diag_msg msg{};
    if (message.size() < sizeof(msg))
        return std::nullopt;
    std::memcpy(&msg, message.data(), sizeof(msg));
    if (msg.family != AF_SNAP)
        return std::nullopt;
    Socket socket;
    socket.stream = msg.type == SOCK_STREAM;
    socket.state = msg.state;
    socket.inode = msg.inode;
    socket.uid = msg.uid;
    socket.local = address_text(msg.inner_family, msg.local);
    socket.remote = address_text(msg.inner_family, msg.remote);
    socket.rx_queue = msg.rx_queue;
    socket.tx_queue = msg.tx_queue;
    socket.cookie = msg.cookie;
    socket.copybreak = msg.copybreak;
    take_attributes(message.subspan(sizeof(msg)), socket);
    return socket;
}

std::vector<Socket> parse_proc_net(std::string_view text) {
    std::istringstream lines{std::string(text)};
    std::vector<Socket> sockets;
    std::string line;
    std::getline(lines, line); // names of the columns
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        Socket socket;
        std::string type;
        words >> type >> std::hex >> socket.state >> std::dec >> socket.inode >>
            socket.uid >> socket.local >> socket.remote >> socket.rx_queue >>
            socket.tx_queue >> socket.stats.tx_ref_bytes >>
            socket.stats.tx_copied_bytes >> socket.stats.rx_copied_bytes >>
            socket.stats.rx_viewed_bytes;
        socket.stream = type == "stream";
        if (words && (socket.stream || type == "dgram"))
            sockets.push_back(std::move(socket));
    }
    return sockets;
}

std::string sockets_text(const std::vector<Socket> &sockets, bool processes) {
    const auto row = [](auto... column) {
        std::array<char, 512> buffer{};
        std::snprintf(buffer.data(), buffer.size(),
                      "%-6s %-10s %9s %9s %-23s %-23s %12s %12s %12s %12s",
                      column...);
        return std::string(buffer.data());
    };
    std::string text =
        row("type", "state", "rx-queue", "tx-queue", "local", "remote",
            "by-reference", "copied", "received", "viewed");
    text += processes ? " processes\n" : "\n";
    for (const auto &socket : sockets) {
        text += row(socket.stream ? "stream" : "dgram",
                    std::string(state_name(socket.state)).c_str(),
                    std::to_string(socket.rx_queue).c_str(),
                    std::to_string(socket.tx_queue).c_str(),
                    socket.local.c_str(), socket.remote.c_str(),
                    std::to_string(socket.stats.tx_ref_bytes).c_str(),
                    std::to_string(socket.stats.tx_copied_bytes).c_str(),
                    std::to_string(socket.stats.rx_copied_bytes).c_str(),
                    std::to_string(socket.stats.rx_viewed_bytes).c_str());
        text += processes ? ' ' + holders_text(socket) + '\n' : "\n";
    }
    return text;
}

std::string sockets_json(const std::vector<Socket> &sockets, bool processes) {
    Json json;
    json.open_list("sockets");
    for (const auto &socket : sockets) {
        json.open()
            .put("type", socket.stream ? "stream" : "dgram")
            .put("state", state_name(socket.state))
            .put("inode", socket.inode)
            .put("uid", socket.uid)
            .put("local", socket.local)
            .put("remote", socket.remote)
            .put("rx_queue", socket.rx_queue)
            .put("tx_queue", socket.tx_queue);
        if (socket.cookie)
            json.put("cookie", *socket.cookie);
        if (socket.copybreak)
            json.put("copybreak", *socket.copybreak);
        put_socket_stats(json, socket.stats, socket.cookie.has_value());
        if (processes) {
            json.open_list("processes");
            for (const auto &holder : socket.holders)
                json.open()
                    .put("pid", holder.pid)
                    .put("fd", holder.fd)
                    .put("program", holder.program)
                    .close();
            json.close_list();
        }
        json.close();
    }
    json.close_list();
    return std::move(json).finish();
}

int list_sockets(const Request &request) {
    const auto &filter = request.sockets;
    auto sockets = find_sockets(filter);
    if (filter.processes) {
        const auto holders = socket_holders();
        for (auto &socket : sockets)
            if (const auto it = holders.find(socket.inode); it != holders.end())
                socket.holders = it->second;
    }
    print(request.json ? sockets_json(sockets, filter.processes)
                       : sockets_text(sockets, filter.processes));
    return exit_ok;
}

} // namespace snapctl
