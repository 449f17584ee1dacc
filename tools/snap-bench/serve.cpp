// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve.h"

#include "nic_stats.h"
#include "session.h"
#include "threads.h"
#include "workload.h"

#include "../common/printable.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <ifaddrs.h>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace snapbench {

namespace {

// The interface that has this address.
std::string nic_of(const sockaddr_in &address) {
    ifaddrs *all = nullptr;
    checked(getifaddrs(&all), "getifaddrs");
    std::string name;
    for (const ifaddrs *one = all; one != nullptr; one = one->ifa_next)
        if (one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET &&
            reinterpret_cast<const sockaddr_in *>(one->ifa_addr)
                    ->sin_addr.s_addr == address.sin_addr.s_addr)
            name = one->ifa_name;
    freeifaddrs(all);
    return name;
}

// The first line names a workload, or is a question about this end.
void answer(snap::Socket connection, const std::string &pid_file) {
    const sockaddr_in address = own_address(connection.fd());
    Line line(std::move(connection));
    while (const auto request = line.get()) {
        std::istringstream words(*request);
        std::string name;
        std::size_t number = 0;
        std::string way;
        words >> name >> number >> way;
        if (name == "threads") {
            std::string pid;
            std::ifstream(pid_file) >> pid;
            line.put(pid.empty() ? "" : to_line(thread_times(pid)));
        } else if (name == "mtu") {
            set_mtu(nic_of(address), static_cast<unsigned>(number));
            line.put("0");
        } else {
            const Workload *workload = find_workload(name);
            constexpr std::size_t bytes_max = 64 << 20;
            if (workload == nullptr || workload->serve == nullptr ||
                number == 0 || number > bytes_max)
                throw std::runtime_error("no such work: " + *request);
            Session session(std::move(line), address, way == "vsock");
            workload->serve(session, number);
            return;
        }
    }
}

// Whether accept() may succeed the next time.
bool passes(int error) {
    return error == ECONNABORTED || error == EINTR || error == EMFILE ||
           error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

} // namespace

snap::Socket listen_on(std::string_view address, std::uint16_t port) {
    snap::Socket listener(
        checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    set_option(listener.fd(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    const sockaddr_in own = address_of(address, port);
    checked(bind(listener.fd(), reinterpret_cast<const sockaddr *>(&own),
                 sizeof(own)),
            "bind");
    checked(listen(listener.fd(), SOMAXCONN), "listen");
    return listener;
}

void serve(const snap::Socket &listener, const std::string &pid_file) {
    std::signal(SIGCHLD, SIG_IGN); // nobody waits for them
    for (;;) {
        const int accepted =
            accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0 && !passes(errno))
            checked(accepted, "accept");
        snap::Socket connection(accepted);
        const pid_t child = accepted < 0 ? -1 : fork();
        if (child < 0) {
            snaptool::complain("snap-bench serve", std::strerror(errno));
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            continue;
        }
        if (child > 0)
            continue;
        // A work whose other end breaks off ends with it, and no other does.
        try {
            answer(std::move(connection), pid_file);
        } catch (const std::exception &error) {
            snaptool::complain("snap-bench serve", error.what());
            std::_Exit(EXIT_FAILURE);
        }
        std::_Exit(EXIT_SUCCESS);
    }
}

} // namespace snapbench
