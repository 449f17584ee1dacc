// SPDX-License-Identifier: LGPL-2.1-or-later
// The function that a replaced one stands in front of.
#ifndef SNAP_RUN_NEXT_H
#define SNAP_RUN_NEXT_H

#include <atomic>
#include <dlfcn.h>

namespace snaprun {

// Found when it is used: constructors of other libraries may come before ours.
template <typename Function>
class Next {
  public:
    constexpr explicit Next(const char *name) noexcept : name_(name) {}

    Function *get() noexcept {
        Function *found = found_.load(std::memory_order_relaxed);
        if (found == nullptr) {
            found = reinterpret_cast<Function *>(::dlsym(RTLD_NEXT, name_));
            found_.store(found, std::memory_order_relaxed);
        }
        return found;
    }

  private:
    const char *name_;
    std::atomic<Function *> found_ = nullptr;
};

} // namespace snaprun

#endif
