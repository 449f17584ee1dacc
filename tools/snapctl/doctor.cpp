// SPDX-License-Identifier: LGPL-2.1-or-later
#include "doctor.h"

#include "command.h"
#include "doctor/guest.h"
#include "doctor/host.h"

#include <charconv>
#include <cstdint>

namespace snapctl {

namespace {

// MiB, as QEMU reads "64M".
std::uint64_t mebibytes(const std::string &text) {
    std::uint64_t value = 0;
    const char *end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc() || result.ptr + 1 != end ||
        *result.ptr != 'M' || value == 0 || value > (1U << 20))
        throw UsageError("not the size of windows, as 64M: " + text);
    return value << 20;
}

} // namespace

int run_doctor(const Request &request) {
    if (!request.host && !request.arguments.empty())
        throw UsageError("only doctor --host takes a size");
    constexpr std::uint64_t usual = 64U << 20; // the device's default
    const auto windows = request.arguments.empty()
                             ? usual
                             : mebibytes(request.arguments.front());
    const auto system = doctor::this_system();
    const auto findings = request.host ? doctor::examine_host(system, windows)
                                       : doctor::examine_guest(system);
    print(request.json ? doctor::findings_json(findings)
                       : doctor::findings_text(findings));
    return doctor::healthy(findings) ? exit_ok : exit_failed;
}

} // namespace snapctl
