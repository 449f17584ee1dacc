// SPDX-License-Identifier: LGPL-2.1-or-later
#include "userfault_trap.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <span>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

// Since Linux 5.11, 6.1 and 5.19: older headers lack them.
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

namespace snapmem_impl {

namespace {

// The device's file mode says who may have one that catches stores of the
// kernel (KVM, system calls of this process), too; the system call wants a
// privilege or a sysctl for it. Anybody may have one that does not: then such
// a store to an armed page fails, so that one is no use with kernel stores.
Fd open_userfault(bool kernel_stores) {
    Fd fd;
    if (const Fd device(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC)); device) {
        fd = Fd(
            ioctl(device.get(), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK));
    }
    for (const int extra : {0, UFFD_USER_MODE_ONLY}) {
        if (fd || (extra != 0 && kernel_stores)) {
            break;
        }
        fd = Fd(static_cast<int>(
            syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | extra)));
    }
    if (!fd) {
        throw_errno("userfaultfd");
    }
    uffdio_api api{};
    api.api = UFFD_API;
    api.features =
        UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
    if (ioctl(fd.get(), UFFDIO_API, &api) != 0) {
        throw_errno("userfaultfd without write protection of shared memory");
    }
    return fd;
}

// A thread that is born inside takes no signal of the process.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old_);
    }
    SignalsBlocked(const SignalsBlocked &) = delete;
    SignalsBlocked &operator=(const SignalsBlocked &) = delete;
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }

  private:
    sigset_t old_{};
};

std::uint64_t address(const std::uint8_t *p) {
    return reinterpret_cast<std::uintptr_t>(p);
}

} // namespace

void UserfaultTrap::start(std::uint8_t *window, std::uint32_t pages,
                          StoreSink &sink) {
    userfault_ = open_userfault(kernel_stores_);
    stop_ = Fd(eventfd(0, EFD_CLOEXEC));
    if (!stop_) {
        throw_errno("eventfd");
    }
    window_ = window;
    sink_ = &sink;

    // Ask the kernel on the real kind of memory, then let go of it again:
    // scratch pages are never armed.
    uffdio_range all{address(window), pages * page_bytes};
    if (!rebound(0, pages) || !arm(0, 1) ||
        ioctl(userfault_.get(), UFFDIO_UNREGISTER, &all) != 0) {
        throw_errno("write protection of shared memory");
    }

    const SignalsBlocked blocked;
    thread_ = std::thread([this] { serve(); });
    pthread_setname_np(thread_.native_handle(), "snapmem-fault");
}

void UserfaultTrap::stop() noexcept {
    if (thread_.joinable()) {
        eventfd_write(stop_.get(), 1);
        thread_.join();
    }
}

bool UserfaultTrap::rebound(Page p, std::uint32_t n) noexcept {
    uffdio_register reg{};
    reg.range = {address(window_ + p * page_bytes), n * page_bytes};
    reg.mode = UFFDIO_REGISTER_MODE_WP;
    return ioctl(userfault_.get(), UFFDIO_REGISTER, &reg) == 0;
}

// Kernels before 6.3 refuse a range of several mappings: halve it then.
bool UserfaultTrap::write_protect(Page p, std::uint32_t n,
                                  std::uint64_t mode) noexcept {
    uffdio_writeprotect wp{};
    wp.range = {address(window_ + p * page_bytes), n * page_bytes};
    wp.mode = mode;
    int r = 0;
    do {
        r = ioctl(userfault_.get(), UFFDIO_WRITEPROTECT, &wp);
    } while (r != 0 && (errno == EAGAIN || errno == EINTR));
    if (r == 0 || n == 1) {
        return r == 0;
    }
    const std::uint32_t half = n / 2;
    return write_protect(p, half, mode) &&
           write_protect(p + half, n - half, mode);
}

bool UserfaultTrap::arm(Page p, std::uint32_t n) noexcept {
    return write_protect(p, n, UFFDIO_WRITEPROTECT_MODE_WP);
}

bool UserfaultTrap::disarm(Page p, std::uint32_t n) noexcept {
    return write_protect(p, n, 0);
}

void UserfaultTrap::wake(Page p) noexcept {
    uffdio_range range{address(window_ + p * page_bytes), page_bytes};
    ioctl(userfault_.get(), UFFDIO_WAKE, &range);
}

// Other threads' faults are served meanwhile.
void UserfaultTrap::wait(Page p) noexcept {
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(nwaiting_);
    if (std::find(waiting_.begin(), end, p) != end) {
        return;
    }
    if (nwaiting_ == waiting_.size()) {
        wake(p);
        return;
    }
    if (nwaiting_ == 0) {
        retry_at_ = Clock::now() + pause;
    }
    waiting_[nwaiting_++] = p;
}

// A disarm() wakes who waits for its pages. Where there was none, the page has
// another mapping by now, or is nobody's.
bool UserfaultTrap::resolve(Page p) noexcept {
    const Resolved done = sink_->resolve_store(p);
    if (done == Resolved::yes) {
        wake(p);
    }
    return done != Resolved::no;
}

bool UserfaultTrap::serve_pending() noexcept {
    std::array<uffd_msg, messages_max> messages{};
    const ssize_t got =
        read(userfault_.get(), messages.data(), sizeof(messages));
    if (got <= 0) {
        return false; // somebody else's disarm() may have woken the thread
    }
    for (const uffd_msg &m : std::span(messages).first(
             static_cast<std::size_t>(got) / sizeof(uffd_msg))) {
        if (m.event != UFFD_EVENT_PAGEFAULT) {
            continue;
        }
        const std::uint64_t offset = m.arg.pagefault.address - address(window_);
        const auto page = static_cast<Page>(offset / page_bytes);
        if (!resolve(page)) {
            wait(page);
        }
    }
    return true;
}

void UserfaultTrap::retry() noexcept {
    std::size_t left = 0;
    for (std::size_t i = 0; i < nwaiting_; ++i) {
        if (!resolve(waiting_[i])) {
            waiting_[left++] = waiting_[i];
        }
    }
    nwaiting_ = left;
    retry_at_ = Clock::now() + pause;
}

// A thread that has been woken may well have come to its next store already,
// so look before asking whether there is something.
void UserfaultTrap::serve() noexcept {
    for (;;) {
        for (int i = 0; i < rounds_max && serve_pending(); ++i) {
            if (nwaiting_ != 0 && Clock::now() >= retry_at_) {
                retry();
            }
        }
        std::array<pollfd, 2> fds{
            {{userfault_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
        const int timeout =
            nwaiting_ == 0 ? -1 : static_cast<int>(pause.count());
        if (poll(fds.data(), fds.size(), timeout) < 0) {
            continue;
        }
        if (fds[1].revents != 0) {
            return;
        }
        if (nwaiting_ != 0 && Clock::now() >= retry_at_) {
            retry();
        }
    }
}

} // namespace snapmem_impl
