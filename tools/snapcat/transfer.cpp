// SPDX-License-Identifier: LGPL-2.1-or-later
#include "transfer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace snapcat {

namespace {

constexpr std::size_t datagram_room = 65536;
constexpr std::size_t view_room = 16 * datagram_room;
constexpr auto for_ever = std::chrono::hours(1000000);

[[noreturn]] void fail(const char *what) {
    throw std::system_error(errno, std::generic_category(), what);
}

void write_all(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t wrote =
            ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (wrote < 0)
            fail("standard output");
        bytes = bytes.subspan(static_cast<std::size_t>(wrote));
    }
}

volatile std::sig_atomic_t ended = 0;

// Whatever waits fails with EINTR, also what begins to wait just after the
// signal: the timer goes on.
extern "C" void end(int) {
    constexpr itimerval often{.it_interval = {0, 50000},
                              .it_value = {0, 50000}};
    ended = 1;
    ::setitimer(ITIMER_REAL, &often, nullptr);
}

// The report is printed after a signal, too.
void catch_signals() {
    struct sigaction action {};
    action.sa_handler = end; // without SA_RESTART
    for (const int signal : {SIGINT, SIGTERM, SIGALRM})
        if (::sigaction(signal, &action, nullptr) < 0)
            fail("sigaction");
}

timespec to_timespec(std::chrono::nanoseconds time) {
    time = std::max(time, std::chrono::nanoseconds::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
    return {static_cast<time_t>(seconds.count()),
            static_cast<long>((time - seconds).count())};
}

} // namespace

void Pacer::sent(std::size_t bytes, Clock::time_point now) {
    if (rate_ == 0)
        return;
    constexpr auto burst = std::chrono::milliseconds(2);
    const auto cost = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(static_cast<double>(bytes) /
                                      static_cast<double>(rate_)));
    next_ = std::max(next_, now - burst) + cost;
}

Transfer::Transfer(const Options &options)
    : options_(options), socket_(open_socket(options)), memory_(options),
      received_(datagram_room), pacer_(options.rate),
      input_ended_(options.listen && options.keep),
      peer_known_(!options.listen), last_heard_(Clock::now()) {
    if (options.view)
        view_.emplace(socket_, view_room);
}

bool Transfer::may_read() const {
    return peer_known_ && !input_ended_ && !pending_ready_;
}

bool Transfer::sending_is_over() const {
    return input_ended_ && !pending_ready_;
}

Pacer::Clock::duration Transfer::patience(Clock::time_point now) const {
    const bool counts = options_.listen || sending_is_over();
    if (options_.wait.count() == 0 || !counts)
        return for_ever;
    return last_heard_ + options_.wait - now;
}

void Transfer::read_input() {
    const auto room = memory_.bytes().subspan(pending_);
    const ssize_t got = ::read(STDIN_FILENO, room.data(), room.size());
    if (got < 0)
        fail("standard input");
    pending_ += static_cast<std::size_t>(got);
    input_ended_ = got == 0;
    pending_ready_ = pending_ != 0 && (!options_.fill || input_ended_ ||
                                       pending_ == options_.bytes);
}

void Transfer::send_pending() {
    const auto message = memory_.bytes().first(pending_);
    if (::send(socket_.fd(), message.data(), message.size(), 0) < 0)
        fail("send");
    out_.add(pending_);
    pacer_.sent(pending_, Clock::now());
    pending_ = 0;
    pending_ready_ = false;
    if (!options_.listen && out_.messages == options_.count)
        input_ended_ = true;
}

// Answers go to the first one, unless everybody may send.
void Transfer::heard_from(const sockaddr_storage &peer, socklen_t length) {
    last_heard_ = Clock::now();
    if (peer_known_ || options_.keep)
        return;
    if (::connect(socket_.fd(), reinterpret_cast<const sockaddr *>(&peer),
                  length) < 0)
        fail("connect to the first peer");
    peer_known_ = true;
}

std::size_t Transfer::take_datagram() {
    sockaddr_storage peer{};
    socklen_t peer_length = sizeof(peer);
    auto *const from = reinterpret_cast<sockaddr *>(&peer);
    if (view_) {
        const auto message =
            view_->receive(received_, MSG_DONTWAIT, from, &peer_length);
        heard_from(peer, peer_length);
        message.for_each_piece(write_all);
        return message.size();
    }
    const ssize_t got =
        ::recvfrom(socket_.fd(), received_.data(), received_.size(),
                   MSG_DONTWAIT, from, &peer_length);
    if (got < 0)
        fail("receive");
    heard_from(peer, peer_length);
    const auto length = static_cast<std::size_t>(got);
    write_all(std::span(received_).first(length));
    return length;
}

Transfer::Step Transfer::receive() {
    std::size_t length = 0;
    try {
        length = take_datagram();
    } catch (const std::system_error &error) {
        const int code = error.code().value();
        if (code != EAGAIN && code != EINTR)
            throw;
        return Step::more; // somebody else has it, or its checksum was wrong
    }
    if (length == 0 && options_.end_mark)
        return options_.listen && in_.messages < options_.count ? Step::missing
                                                                : Step::done;
    in_.add(length);
    return options_.listen && in_.messages == options_.count ? Step::done
                                                             : Step::more;
}

Transfer::Step Transfer::out_of_patience() const {
    if (!options_.listen)
        return Step::done;
    return options_.count != 0 || options_.end_mark || in_.messages == 0
               ? Step::missing
               : Step::done;
}

int Transfer::run() {
    catch_signals();
    try {
        return carry();
    } catch (const std::system_error &error) {
        if (ended == 0 || error.code().value() != EINTR)
            throw;
        return exit_ok;
    }
}

int Transfer::carry() {
    bool end_mark_due = options_.end_mark && !options_.listen;
    while (ended == 0) {
        auto now = Clock::now();
        if (pending_ready_ && pacer_.delay(now).count() <= 0) {
            send_pending();
            now = Clock::now();
        }
        if (!options_.listen && sending_is_over()) {
            if (end_mark_due && ::send(socket_.fd(), nullptr, 0, 0) < 0)
                fail("send");
            if (std::exchange(end_mark_due, false) || out_.messages == 0)
                last_heard_ = now;
            if (options_.wait.count() == 0)
                return exit_ok;
        }
        if (patience(now).count() <= 0)
            return out_of_patience() == Step::done ? exit_ok : exit_missing;

        std::array<pollfd, 2> polled{{
            {socket_.fd(), POLLIN, 0},
            {may_read() ? STDIN_FILENO : -1, POLLIN, 0},
        }};
        auto sleep = patience(now);
        if (pending_ready_)
            sleep = std::min(sleep, pacer_.delay(now));
        const timespec timeout = to_timespec(sleep);
        if (::ppoll(polled.data(), polled.size(), &timeout, nullptr) < 0)
            fail("poll");
        if (polled[0].revents != 0) {
            const Step step = receive();
            if (step != Step::more)
                return step == Step::done ? exit_ok : exit_missing;
        }
        if (polled[1].revents != 0)
            read_input();
    }
    return exit_ok;
}

std::string Transfer::report() const {
    std::string text;
    const auto line = [&](const std::string &what, std::uint64_t messages,
                          std::uint64_t bytes) {
        text += "snapcat: " + what + ' ' + std::to_string(messages) +
                " messages " + std::to_string(bytes) + " bytes\n";
    };
    line("sent", out_.messages, out_.bytes);
    line("received", in_.messages, in_.bytes);
    if (options_.inet)
        return text;
    const auto stats = socket_.stats();
    if (view_)
        line("received by view", stats.rx_viewed_msgs, stats.rx_viewed_bytes);
    line("by reference", stats.tx_ref_msgs, stats.tx_ref_bytes);
    line("copied", stats.tx_copied_msgs, stats.tx_copied_bytes);
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++)
        if (stats.copied_msgs[i] != 0)
            line(std::string("copied ") + snap_copy_reason_name(i),
                 stats.copied_msgs[i], stats.copied_bytes[i]);
    if (out_.messages != 0)
        text += memory_.in_region() ? "snapcat: sent from a region\n"
                                    : "snapcat: sent from plain memory\n";
    return text;
}

} // namespace snapcat
