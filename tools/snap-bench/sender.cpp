// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sender.h"

#include "memory.h"
#include "socket.h"
#include "uring.h"
#include "xdp_sender.h"

#include <array>
#include <linux/errqueue.h>
#include <poll.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <vector>

namespace snapbench {

namespace {

// send(2): the buffer may be written at once.
class PlainSender final : public Sender {
  public:
    PlainSender(int fd, std::shared_ptr<Buffers> buffers)
        : fd_(fd), buffers_(std::move(buffers)) {}

    void send() override {
        const auto buffer = buffers_->next();
        if (buffers_->rewritten())
            rewrite(buffer);
        send_all(fd_, buffer);
    }

  private:
    int fd_;
    std::shared_ptr<Buffers> buffers_;
};

// sendmmsg(2): as many at a time as there are buffers.
class BatchSender final : public Sender {
  public:
    BatchSender(int fd, std::shared_ptr<Buffers> buffers)
        : fd_(fd), buffers_(std::move(buffers)), parts_(buffers_->count()),
          messages_(buffers_->count()) {
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            messages_[i].msg_hdr.msg_iov = &parts_[i];
            messages_[i].msg_hdr.msg_iovlen = 1;
        }
    }

    void send() override {
        const auto buffer = buffers_->next();
        if (buffers_->rewritten())
            rewrite(buffer);
        parts_[kept_++] = {buffer.data(), buffer.size()};
        if (kept_ == parts_.size())
            flush();
    }

    void flush() override {
        for (std::size_t sent = 0; sent < kept_;)
            sent += static_cast<std::size_t>(
                checked(uninterrupted([&] {
                            return sendmmsg(fd_, &messages_[sent],
                                            static_cast<unsigned>(kept_ - sent),
                                            MSG_NOSIGNAL);
                        }),
                        "sendmmsg"));
        kept_ = 0;
    }

  private:
    int fd_;
    std::shared_ptr<Buffers> buffers_;
    std::vector<iovec> parts_;
    std::vector<mmsghdr> messages_;
    std::size_t kept_ = 0;
};

// MSG_ZEROCOPY: each successful call has a number, from 0 on, and a
// notification of the error queue covers a range of them.
class ZerocopySender final : public Sender {
  public:
    ZerocopySender(int fd, std::shared_ptr<Buffers> buffers)
        : fd_(fd), buffers_(std::move(buffers)), last_use_(buffers_->count()) {
        set_option(fd, SOL_SOCKET, SO_ZEROCOPY, 1, "SO_ZEROCOPY");
    }

    void send() override {
        const auto buffer = buffers_->next();
        std::uint32_t &last = last_use_[turn_];
        turn_ = (turn_ + 1) % buffers_->count();
        if (buffers_->rewritten()) {
            await(last);
            rewrite(buffer);
        }
        for (auto left = std::span<const std::byte>(buffer); !left.empty();) {
            const auto sent = ::send(fd_, left.data(), left.size(),
                                     MSG_ZEROCOPY | MSG_NOSIGNAL);
            if (sent < 0 && errno == ENOBUFS) {
                // Too many notifications are due: nobody else reads them of
                // a buffer that is not written.
                await(done_ + 1);
                continue;
            }
            checked(sent, "send(MSG_ZEROCOPY)");
            ++calls_;
            left = left.subspan(static_cast<std::size_t>(sent));
        }
        last = calls_;
    }

  private:
    // Until so many calls are done with; numbers wrap.
    void await(std::uint32_t calls) {
        while (static_cast<std::int32_t>(calls - done_) > 0) {
            if (reap())
                continue;
            pollfd wanted{fd_, 0, 0}; // errors are always waited for
            if (checked(poll(&wanted, 1, patience_seconds * 1000), "poll") == 0)
                throw std::runtime_error("no notification of MSG_ZEROCOPY");
        }
    }

    // Reads one notification, if there is one.
    bool reap() {
        std::array<char, 128> control{};
        msghdr message{};
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        if (recvmsg(fd_, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno == EAGAIN)
                return false;
            throw std::system_error(errno, std::generic_category(),
                                    "MSG_ERRQUEUE");
        }
        const cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header == nullptr)
            return true;
        const auto *error =
            reinterpret_cast<const sock_extended_err *>(CMSG_DATA(header));
        // Ranges of a stream come in order; those of datagrams nearly so.
        if (error->ee_origin == SO_EE_ORIGIN_ZEROCOPY &&
            static_cast<std::int32_t>(error->ee_data + 1 - done_) > 0)
            done_ = error->ee_data + 1;
        return true;
    }

    int fd_;
    std::shared_ptr<Buffers> buffers_;
    std::vector<std::uint32_t> last_use_; // calls_ after that of each buffer
    std::size_t turn_ = 0;
    std::uint32_t calls_ = 0;
    std::uint32_t done_ = 0;
};

// IORING_OP_SEND_ZC: each send has a result, and a notification later.
class UringSender final : public Sender {
  public:
    UringSender(int fd, std::shared_ptr<Buffers> buffers)
        : fd_(fd), buffers_(std::move(buffers)), due_(buffers_->count()) {
        ring_.register_buffer(buffers_->all());
    }

    void send() override {
        const auto buffer = buffers_->next();
        const std::size_t turn = turn_;
        turn_ = (turn_ + 1) % buffers_->count();
        if (buffers_->rewritten()) {
            while (due_[turn] > 0)
                note();
            rewrite(buffer);
        }
        io_uring_sqe &entry = ring_.entry();
        entry.opcode = IORING_OP_SEND_ZC;
        entry.fd = fd_;
        entry.addr = reinterpret_cast<std::uintptr_t>(buffer.data());
        entry.len = static_cast<__u32>(buffer.size());
        entry.msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
        entry.ioprio = IORING_RECVSEND_FIXED_BUF;
        entry.user_data = turn;
        ring_.submit();
        while (!note()) {
        }
    }

  private:
    // Takes one completion: whether it is the result of a send.
    bool note() {
        const io_uring_cqe done = ring_.completion();
        if ((done.flags & IORING_CQE_F_NOTIF) != 0) {
            --due_[done.user_data];
            return false;
        }
        if (done.res < 0)
            throw std::system_error(-done.res, std::generic_category(),
                                    "IORING_OP_SEND_ZC");
        if ((done.flags & IORING_CQE_F_MORE) != 0)
            ++due_[done.user_data];
        return true;
    }

    int fd_;
    std::shared_ptr<Buffers> buffers_;
    Uring ring_;                // ends before the buffers that it has pinned
    std::vector<unsigned> due_; // notifications, of each buffer
    std::size_t turn_ = 0;
};

// sendfile(2) of a file in memory, which does not change.
class FileSender final : public Sender {
  public:
    FileSender(int fd, std::size_t bytes)
        : fd_(fd), bytes_(bytes),
          file_(checked(memfd_create("snap-bench", MFD_CLOEXEC),
                        "memfd_create")) {
        const Pages content(bytes);
        rewrite(content.bytes());
        checked(pwrite(file_.fd(), content.bytes().data(), bytes, 0), "pwrite");
    }

    void send() override {
        off_t at = 0;
        while (static_cast<std::size_t>(at) < bytes_)
            checked(sendfile(fd_, file_.fd(), &at,
                             bytes_ - static_cast<std::size_t>(at)),
                    "sendfile");
    }

  private:
    int fd_;
    std::size_t bytes_;
    snap::Socket file_;
};

} // namespace

std::unique_ptr<Sender> make_sender(int fd, const Side &side, std::size_t bytes,
                                    std::shared_ptr<Buffers> buffers) {
    switch (side.method) {
    case Method::plain:
        return std::make_unique<PlainSender>(fd, std::move(buffers));
    case Method::zerocopy:
        return std::make_unique<ZerocopySender>(fd, std::move(buffers));
    case Method::batch:
        return std::make_unique<BatchSender>(fd, std::move(buffers));
    case Method::uring:
        return std::make_unique<UringSender>(fd, std::move(buffers));
    case Method::xdp:
        return make_xdp_sender(fd, side, bytes);
    case Method::sendfile:
        return std::make_unique<FileSender>(fd, bytes);
    case Method::splice:
    case Method::view:
        break;
    }
    throw std::logic_error("this is no way to send");
}

} // namespace snapbench
