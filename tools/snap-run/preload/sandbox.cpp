// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded: notes when the program limits its own system calls, which it does
// by prctl(2), or by seccomp(2), which has syscall(2) only.  Asking the kernel
// instead may be what the filter kills for.
#include "sandbox.h"

#include "next.h"

#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

namespace snaprun {

constinit std::atomic<unsigned int> sandboxed = 0;

} // namespace snaprun

// As registers hold them, however many the caller has passed.
using Word = unsigned long;

SNAP_RUN_NEXT(prctl, int(int, Word, Word, Word, Word))
SNAP_RUN_NEXT(syscall, long(long, Word, Word, Word, Word, Word, Word))

namespace {

bool limits(Word option) noexcept {
    return option == PR_SET_SECCOMP;
}

bool limits(long number, Word first) noexcept {
    return (number == SYS_seccomp && (first == SECCOMP_SET_MODE_FILTER ||
                                      first == SECCOMP_SET_MODE_STRICT)) ||
           (number == SYS_prctl && limits(first));
}

// Noted before it is done, for what other threads do then.  Programs also ask
// with what must fail whether there are filters.
template <typename Call>
auto limit(Call call) {
    snaprun::sandboxed.fetch_add(1);
    const auto result = call();
    if (result < 0)
        snaprun::sandboxed.fetch_sub(1);
    return result;
}

} // namespace

#define SNAP_RUN_EXPORT extern "C" __attribute__((visibility("default")))

SNAP_RUN_EXPORT int prctl(int option, Word a, Word b, Word c, Word d) {
    const auto call = [&] { return next_prctl.get()(option, a, b, c, d); };
    return limits(static_cast<Word>(option)) ? limit(call) : call();
}

// Headers know it by other parameters.
SNAP_RUN_EXPORT long seen_syscall(long, Word, Word, Word, Word, Word,
                                  Word) __asm__("syscall");

SNAP_RUN_EXPORT long seen_syscall(long number, Word a, Word b, Word c, Word d,
                                  Word e, Word f) {
    const auto call = [&] {
        return next_syscall.get()(number, a, b, c, d, e, f);
    };
    return limits(number, a) ? limit(call) : call();
}
