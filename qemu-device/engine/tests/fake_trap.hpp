// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A write trap without an MMU: tests store through store(). It lets the
// protocol run on any host, under TSan, and with failures injected.
#pragma once

#include "write_trap.hpp"

#include <mutex>
#include <vector>

namespace snapmem_test {

using snapmem_impl::Page;

class FakeTrap final : public snapmem_impl::WriteTrap {
  public:
    bool fail_start = false;
    bool fail_arm = false; // arms the first half only, as a kernel may
    bool fail_rebound = false;
    std::uint32_t disarms = 0;

    void start(std::uint8_t * /*window*/, std::uint32_t pages,
               snapmem_impl::StoreSink &sink) override {
        if (fail_start) {
            throw std::system_error(
                std::make_error_code(std::errc::operation_not_permitted));
        }
        slots_ = std::vector<Slot>(pages);
        sink_ = &sink;
    }
    void stop() noexcept override {}

    bool arm(Page p, std::uint32_t n) noexcept override {
        set(p, fail_arm ? n / 2 : n, true);
        return !fail_arm;
    }
    bool disarm(Page p, std::uint32_t n) noexcept override {
        ++disarms;
        set(p, n, false);
        return true;
    }
    bool rebound(Page p, std::uint32_t n) noexcept override {
        set(p, n, false);
        return !fail_rebound;
    }

    // f() is the store. It lands while the page is not armed, and arm() ends
    // after it: as with an MMU, whose change of protection waits for stores.
    template <typename F>
    void store(Page p, F f) {
        for (;;) {
            {
                const std::lock_guard lock(slots_[p].mutex);
                if (!slots_[p].armed) {
                    f();
                    return;
                }
            }
            sink_->resolve_store(p);
        }
    }

  private:
    struct Slot {
        std::mutex mutex; // inside the engine's
        bool armed = false;
    };

    void set(Page p, std::uint32_t n, bool armed) {
        for (Page q = p; q < p + n; ++q) {
            const std::lock_guard lock(slots_[q].mutex);
            slots_[q].armed = armed;
        }
    }

    std::vector<Slot> slots_;
    snapmem_impl::StoreSink *sink_ = nullptr;
};

} // namespace snapmem_test
