// SPDX-License-Identifier: LGPL-2.1-or-later
#include "host.h"

#include "advice.h"

#include <algorithm>

namespace snapctl::doctor {

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

Finding examine_kvm(const System &system) {
    if (!system.files.exist("dev/kvm"))
        return fill(advice::no_kvm);
    if (!system.files.may_open("dev/kvm"))
        return fill(advice::kvm_denied, {{"USER", system.user}});
    return good("kvm", "/dev/kvm");
}

// KVM stores for the guest from within the kernel; TCG traps without
// privileges.
Finding examine_trap(const System &system) {
    const auto &files = system.files;
    if (!files.exist("dev/kvm"))
        return good("userfaultfd", "not needed without KVM");
    if (files.may_open("dev/userfaultfd"))
        return good("userfaultfd", "/dev/userfaultfd");
    if (files.number("proc/sys/vm/unprivileged_userfaultfd") == 1U)
        return good("userfaultfd", "vm.unprivileged_userfaultfd");
    if (system.root)
        return good("userfaultfd", "by root");
    return fill(advice::no_trap);
}

// Windows may have half of what a process may map, and each device wants as
// much as it has pages, and some more, if all of them are sparse regions and
// clones: qemu-device.rst, "Stores to shared pages".
Finding examine_mappings(const System &system, std::uint64_t window_bytes) {
    constexpr std::uint64_t more = 1025;
    const auto limit =
        system.files.number("proc/sys/vm/max_map_count").value_or(0);
    const auto pages = std::max(limit / 2, more) - more;
    const auto have = pages * SNAP_FRAME_SIZE / mebibyte;
    if (pages < window_bytes / SNAP_FRAME_SIZE)
        return fill(
            advice::few_mappings,
            {{"NUMBER", std::to_string(limit)},
             {"HAVE", std::to_string(have)},
             {"WANT", std::to_string(window_bytes / mebibyte)},
             {"LIMIT",
              std::to_string(2 * (window_bytes / SNAP_FRAME_SIZE + more))}});
    return good("mappings", "enough for " + std::to_string(have) +
                                " MiB of sparse regions and clones");
}

Finding examine_tap(const System &system) {
    if (!system.files.may_open("dev/net/tun"))
        return fill(advice::no_tap, {{"USER", system.user}});
    return good("tap", "/dev/net/tun");
}

} // namespace

Findings examine_host(const System &system, std::uint64_t window_bytes) {
    return {examine_kvm(system), examine_trap(system),
            examine_mappings(system, window_bytes), examine_tap(system)};
}

} // namespace snapctl::doctor
