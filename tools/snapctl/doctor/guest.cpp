// SPDX-License-Identifier: LGPL-2.1-or-later
#include "guest.h"

#include "advice.h"
#include "interface.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace snapctl::doctor {

namespace {

namespace fs = std::filesystem;

const fs::path devices = "sys/bus/pci/devices";
const fs::path module_folder = "sys/module/snap";

// The address of the first one, "" without.
std::string find_device(const Files &files) {
    for (const auto &slot : files.names(devices))
        if (files.number(devices / slot / "vendor") == SNAP_PCI_VENDOR &&
            files.number(devices / slot / "device") == SNAP_PCI_DEVICE)
            return slot;
    return "";
}

bool any(const std::vector<std::string> &names, std::string_view beginning) {
    return std::any_of(names.begin(), names.end(),
                       [&](auto &name) { return name.starts_with(beginning); });
}

// modprobe(8) goes by this list, whatever the file is compressed with.
bool is_built(const Files &files, const std::string &release) {
    const auto lines =
        files.lines(fs::path("lib/modules") / release / "modules.dep");
    return std::any_of(lines.begin(), lines.end(), [](auto &line) {
        const auto file = line.substr(0, line.find(':'));
        return file.find("/snap.ko") != std::string::npos;
    });
}

// The variable of UEFI: four bytes of attributes, then the value.
bool secure_boot(const Files &files) {
    const std::string value =
        files.text("sys/firmware/efi/efivars/"
                   "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    return value.size() == 5 && value.back() == 1;
}

// The module's source, as DKMS keeps it and as `make install` leaves it.
const fs::path dkms_sources = "usr/src";
const fs::path own_sources = "usr/local/src";

// The newest below a folder, "" without.
std::string find_source(const Files &files, const fs::path &folder) {
    std::string found;
    for (const auto &name : files.names(folder))
        if (files.exist(folder / name / "dkms.conf") &&
            name.starts_with("snap-"))
            found = "/" + (folder / name).string();
    return found;
}

Finding why_not_loaded(const Files &files, const std::string &release) {
    const std::string source = find_source(files, own_sources);
    const bool added = !find_source(files, dkms_sources).empty();
    const Values values{{"RELEASE", release}, {"SOURCE", source}};
    if (is_built(files, release))
        return fill(secure_boot(files) ? advice::not_signed
                                       : advice::not_loaded);
    if (!added && source.empty())
        return fill(advice::no_package, values);
    if (!files.exist(fs::path("lib/modules") / release / "build"))
        return fill(advice::no_headers, values);
    if (!added)
        return fill(advice::not_added, values);
    return fill(advice::not_built, values);
}

Finding examine_module(const System &system, const std::string &release) {
    const auto &files = system.files;
    if (!files.exist(module_folder))
        return why_not_loaded(files, release);
    // Only a module that has a version says which.
    const std::string version = files.word(module_folder / "version");
    if (!version.empty() && version != system.version)
        return fill(advice::other_version,
                    {{"VERSION", version}, {"MINE", system.version}});
    if (system.open_error == EPROTONOSUPPORT)
        return fill(advice::old_abi);
    return good("module", "snap " + version + (version.empty() ? "" : " ") +
                              "in " + release);
}

Finding examine_driver(const Files &files, const std::string &slot) {
    const std::string driver = files.link(devices / slot / "driver");
    if (driver == "snap")
        return good("driver", "snap has " + slot);
    if (!driver.empty())
        return fill(advice::other_driver, {{"SLOT", slot}, {"OTHER", driver}});
    const std::string prefix = "snap " + slot + ": ";
    const auto log = files.log();
    const auto line = std::find_if(log.rbegin(), log.rend(), [&](auto &text) {
        return text.starts_with(prefix);
    });
    if (line == log.rend())
        return fill(advice::refused, {{"SLOT", slot}});
    return fill(advice::refused_why,
                {{"SLOT", slot}, {"REASON", line->substr(prefix.size())}});
}

Finding examine_file(const System &system) {
    const int error = system.open_error;
    if (error == ENOENT || error == ENXIO)
        return fill(advice::no_file);
    if (error == EACCES && !system.group.empty())
        return fill(advice::not_permitted,
                    {{"USER", system.user}, {"GROUP", system.group}});
    if (error != 0 && error != EPROTONOSUPPORT)
        return fill(advice::not_opened, {{"ERROR", std::strerror(error)}});
    return good("file", SNAP_DEVICE_PATH);
}

Finding examine_sockets(const System &system) {
    const fs::path sysctls = "proc/sys/net/snap";
    if (system.files.number(sysctls / "sockets") == 0U)
        return fill(advice::denied);
    if (system.socket_error != 0)
        return fill(advice::no_sockets,
                    {{"ERROR", std::strerror(system.socket_error)}});
    if (system.files.number(sysctls / "by_reference") == 0U)
        return fill(advice::all_copied);
    return good("sockets", "AF_SNAP");
}

Finding examine_quota(const System &system) {
    const auto &info = *system.info;
    if (system.files.number(module_folder / "parameters/user_quota") == 0U)
        return fill(advice::no_quota);
    if (system.files.number(module_folder / "parameters/rx_quota") == 0U)
        return fill(advice::no_rx_quota);
    if (info.used_frames > info.quota_frames / 4 * 3)
        return fill(advice::little_quota,
                    {{"USED", std::to_string(info.used_frames)},
                     {"QUOTA", std::to_string(info.quota_frames)}});
    return good("quota", std::to_string(info.quota_frames) + " frames");
}

Finding examine_frames(const System &system) {
    const auto &info = *system.info;
    if (info.free_frames < info.pool_frames / 8)
        return fill(advice::few_frames,
                    {{"FREE", std::to_string(info.free_frames)},
                     {"POOL", std::to_string(info.pool_frames)}});
    const auto lacking =
        system.stats ? system.stats->sockets.copied_msgs[SNAP_COPY_NO_FRAMES]
                     : 0;
    if (lacking != 0)
        return fill(advice::no_frames, {{"NUMBER", std::to_string(lacking)}});
    return good("frames", std::to_string(info.free_frames) + " of " +
                              std::to_string(info.pool_frames) + " free");
}

Finding examine_kernel(const Files &files, const std::string &release,
                       const std::string &interface) {
    const auto config = files.lines("boot/config-" + release);
    if (!config.empty() && !any(config, "CONFIG_NETFILTER_EGRESS=y"))
        return fill(advice::no_egress,
                    {{"RELEASE", release}, {"INTERFACE", interface}});
    if (files.exist("sys/kernel/btf/vmlinux") &&
        !files.exist("sys/kernel/btf/snap"))
        return fill(advice::no_types);
    return good("kernel", release);
}

} // namespace

Findings examine_guest(const System &system) {
    const auto &files = system.files;
    const std::string release = files.word("proc/sys/kernel/osrelease");
    const std::string slot = find_device(files);
    Findings found;

    found.push_back(slot.empty() ? fill(advice::no_device)
                                 : good("device", slot));
    found.push_back(examine_module(system, release));
    if (!files.exist(module_folder))
        return found;
    found.push_back(examine_file(system));
    found.push_back(examine_sockets(system));
    if (slot.empty())
        return found;
    found.push_back(examine_driver(files, slot));
    if (files.link(devices / slot / "driver") != "snap")
        return found;
    if (system.info) {
        found.push_back((system.info->features & SNAP_F_SNAPSHOT) == 0
                            ? fill(advice::no_snapshots)
                            : good("snapshots", "stores can be trapped"));
        found.push_back(examine_quota(system));
        found.push_back(examine_frames(system));
    }
    const auto interfaces = files.names(devices / slot / "net");
    if (interfaces.empty()) {
        found.push_back(fill(advice::elsewhere, {{"SLOT", slot}}));
        return found;
    }
    const auto &name = interfaces.front();
    const auto features = system.info ? system.info->features : SNAP_F_ALL;
    for (auto &finding : examine_interface(files, name, features))
        found.push_back(std::move(finding));
    found.push_back(examine_kernel(files, release, name));
    return found;
}

} // namespace snapctl::doctor
