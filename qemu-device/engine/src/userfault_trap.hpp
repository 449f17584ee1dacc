// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The write trap of the host's MMU: userfaultfd write protection.
#pragma once

#include "os.hpp"
#include "write_trap.hpp"

#include <array>
#include <chrono>
#include <thread>

namespace snapmem_impl {

class UserfaultTrap final : public WriteTrap {
  public:
    // kernel_stores: to the window, besides those of this process's own code.
    explicit UserfaultTrap(bool kernel_stores = false)
        : kernel_stores_(kernel_stores) {}
    UserfaultTrap(const UserfaultTrap &) = delete;
    UserfaultTrap &operator=(const UserfaultTrap &) = delete;
    ~UserfaultTrap() override { stop(); }

    void start(std::uint8_t *window, std::uint32_t pages,
               StoreSink &sink) override;
    void stop() noexcept override;
    [[nodiscard]] bool arm(Page p, std::uint32_t n) noexcept override;
    bool disarm(Page p, std::uint32_t n) noexcept override;
    bool rebound(Page p, std::uint32_t n) noexcept override;

  private:
    void serve() noexcept;
    using Clock = std::chrono::steady_clock;
    // A fault that cannot be resolved is tried again after that.
    static constexpr std::chrono::milliseconds pause{1};
    // So many messages at a time, and so many times in a row at most before it
    // looks whether it shall stop.
    static constexpr std::size_t messages_max = 16;
    static constexpr int rounds_max = 16;

    // Resolves the faults that have come; those that cannot be wait. False:
    // none had.
    bool serve_pending() noexcept;
    // Tries those that wait again.
    void retry() noexcept;
    // True: the store goes on.
    bool resolve(Page p) noexcept;
    void wake(Page p) noexcept;
    void wait(Page p) noexcept;
    bool write_protect(Page p, std::uint32_t n, std::uint64_t mode) noexcept;

    const bool kernel_stores_;
    Fd userfault_;
    Fd stop_;
    std::uint8_t *window_ = nullptr;
    StoreSink *sink_ = nullptr;
    // Pages whose stores wait for a mapping, each once; the thread's. The first
    // `nwaiting_` of them. What does not fit faults again at once.
    std::array<Page, 64> waiting_{};
    std::size_t nwaiting_ = 0;
    Clock::time_point retry_at_;
    std::thread thread_;
};

} // namespace snapmem_impl
