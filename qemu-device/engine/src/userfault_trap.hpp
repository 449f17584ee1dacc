// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The write trap of the host's MMU: userfaultfd write protection.
#pragma once

#include "os.hpp"
#include "write_trap.hpp"

#include <thread>

namespace snapmem_impl {

class UserfaultTrap final : public WriteTrap {
  public:
    UserfaultTrap() = default;
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
    // Resolves all faults that wait. False: one could not be resolved.
    bool serve_pending() noexcept;
    bool write_protect(Page p, std::uint32_t n, std::uint64_t mode) noexcept;

    Fd userfault_;
    Fd stop_;
    std::uint8_t *window_ = nullptr;
    StoreSink *sink_ = nullptr;
    std::thread thread_;
};

} // namespace snapmem_impl
