// SPDX-License-Identifier: LGPL-2.1-or-later
// The function that a replaced one stands in front of.
#ifndef SNAP_RUN_NEXT_H
#define SNAP_RUN_NEXT_H

#include <atomic>
#include <dlfcn.h>

namespace snaprun {

// Found when it is used: constructors of other libraries may come before ours.
// After ours it is there: looking for it takes the loader's lock, which is
// nothing for a signal handler or a child process of clone(2).
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

// next_NAME: the one that NAME, of that type, stands in front of.
// NOLINTBEGIN(bugprone-macro-parentheses, cppcoreguidelines-macro-usage)
#define SNAP_RUN_NEXT(NAME, ...)                                               \
    namespace {                                                                \
    constinit snaprun::Next<__VA_ARGS__> next_##NAME(#NAME);                   \
    [[gnu::constructor]] void find_##NAME() noexcept {                         \
        next_##NAME.get();                                                     \
    }                                                                          \
    }
// NOLINTEND(bugprone-macro-parentheses, cppcoreguidelines-macro-usage)

#endif
