// SPDX-License-Identifier: LGPL-2.1-or-later
// snapctl doctor: each finding, in a machine made of files that lacks one
// thing.
#include "snapctl/doctor/advice.h"
#include "snapctl/doctor/guest.h"
#include "snapctl/doctor/host.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>
#include <string>

namespace {

namespace fs = std::filesystem;
namespace doctor = snapctl::doctor;
namespace advice = snapctl::doctor::advice;

using doctor::Advice;
using doctor::Finding;
using doctor::Findings;
using doctor::Verdict;

constexpr const char *release = "6.12.0-test-amd64";
const std::string slot = "0000:00:04.0";
const fs::path device = "sys/bus/pci/devices/0000:00:04.0";
const fs::path modules = fs::path("lib/modules") / release;
const fs::path secure = "sys/firmware/efi/efivars/"
                        "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

// A machine in which nothing is missing, below a folder of its own.
class DoctorTest : public testing::Test {
  protected:
    DoctorTest() {
        std::string name = testing::TempDir() + "doctor.XXXXXX";
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        root = name;
        system.files = doctor::Files(root);
        system.version = "0.2";
        system.user = "alice";
        system.group = "snap";
        snap_info info{};
        info.features = SNAP_F_ALL;
        info.pool_frames = 16384;
        info.free_frames = 16000;
        info.quota_frames = 6553;
        system.info = info;
        system.stats = snap_stats{};
        make_guest();
        make_host();
    }
    void TearDown() override { fs::remove_all(root); }

    void put(const fs::path &file, const std::string &text = "") const {
        fs::create_directories((root / file).parent_path());
        std::ofstream(root / file) << text;
    }
    void link(const fs::path &file, const std::string &target) const {
        fs::create_directories((root / file).parent_path());
        fs::remove(root / file);
        fs::create_symlink(target, root / file);
    }
    void remove(const fs::path &path) const { fs::remove_all(root / path); }

    void make_guest() const {
        put("proc/sys/kernel/osrelease", std::string(release) + "\n");
        put("sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086\n");
        put("sys/bus/pci/devices/0000:00:00.0/device", "0x5ab0\n");
        put(device / "vendor", "0x1234\n");
        put(device / "device", "0x5ab0\n");
        link(device / "driver", "../../../bus/pci/drivers/snap");
        put(device / "net/snap0/mtu");
        put(modules / "modules.dep",
            "kernel/net/snap.kox:\nupdates/dkms/snap.ko.xz: kernel/a.ko\n");
        put("sys/module/snap/version", "0.2\n");
        put("sys/module/snap/parameters/user_quota", "40\n");
        put("sys/module/snap/parameters/rx_quota", "25\n");
        put("proc/sys/net/snap/sockets", "1\n");
        put("proc/sys/net/snap/by_reference", "1\n");
        put("sys/class/net/snap0/flags", "0x1003\n");
        put("sys/class/net/snap0/carrier", "1\n");
        put("sys/class/net/snap0/mtu", "1500\n");
        put("sys/class/net/lo/mtu", "65536\n");
        put("proc/net/route",
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
            "snap0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\n");
        put("boot/config-" + std::string(release),
            "CONFIG_NET=y\nCONFIG_NETFILTER_EGRESS=y\n");
        put("sys/kernel/btf/vmlinux");
        put("sys/kernel/btf/snap");
    }
    void make_host() const {
        put("dev/kvm");
        put("dev/userfaultfd");
        put("dev/net/tun");
        put("proc/sys/vm/max_map_count", "65530\n");
    }

    // Exactly this is not as it should be.
    void expect(const Advice &words, const std::string &what,
                const std::string &remedy) const {
        expect_in(doctor::examine_guest(system), words, what, remedy);
    }
    static void expect_in(const Findings &findings, const Advice &words,
                          const std::string &what, const std::string &remedy) {
        std::vector<Finding> bad;
        std::copy_if(findings.begin(), findings.end(), std::back_inserter(bad),
                     [](auto &f) { return f.verdict != Verdict::ok; });
        ASSERT_EQ(bad.size(), 1U) << doctor::findings_text(findings);
        EXPECT_EQ(bad[0].verdict, words.verdict);
        EXPECT_EQ(bad[0].check, words.check);
        EXPECT_EQ(bad[0].what, what);
        EXPECT_EQ(bad[0].remedy, remedy);
        EXPECT_EQ(doctor::healthy(findings), words.verdict == Verdict::note);
    }
    void expect(const Advice &words) const {
        expect(words, words.what, words.remedy);
    }

    // As if the module had not been loaded.
    void unload() {
        remove("sys/module/snap");
        remove("sys/kernel/btf/snap");
        remove(device / "driver");
        remove(device / "net");
        system.info.reset();
        system.stats.reset();
        system.open_error = ENOENT;
        system.socket_error = EAFNOSUPPORT;
    }

    fs::path root;
    doctor::System system;
};

TEST_F(DoctorTest, NothingIsMissing) {
    const auto findings = doctor::examine_guest(system);
    for (const auto &finding : findings)
        EXPECT_EQ(finding.verdict, Verdict::ok) << finding.what;
    EXPECT_TRUE(doctor::healthy(findings));
    EXPECT_EQ(findings.size(), 10U);
    EXPECT_EQ(findings.front().what, slot);
}

TEST_F(DoctorTest, Device) {
    put(device / "device", "0x5ab1\n");
    expect(advice::no_device);
    put(device / "vendor", "frob\n");
    expect(advice::no_device);
}

TEST_F(DoctorTest, ModuleIsNotLoaded) {
    unload();
    expect(advice::not_loaded);
}

TEST_F(DoctorTest, ModuleIsNotSigned) {
    unload();
    put(secure, std::string("\6\0\0\0\0", 5));
    expect(advice::not_loaded);
    put(secure, std::string("\6\0\0\0\1", 5));
    expect(advice::not_signed);
}

TEST_F(DoctorTest, ModuleIsNotBuilt) {
    unload();
    put(modules / "modules.dep", "updates/dkms/snap_diag.ko: a/snap.ko\n");
    const std::string none = "there is no module snap for 6.12.0-test-amd64";
    expect(advice::no_package, none, advice::no_package.remedy);
    put("usr/src/snap-0.2/dkms.conf");
    expect(advice::no_headers, none + ", nor headers to build it with",
           "apt install linux-headers-6.12.0-test-amd64");
    put(modules / "build/Makefile");
    expect(advice::not_built, none + ", but source and headers",
           advice::not_built.remedy);
}

TEST_F(DoctorTest, ModuleIsNotKnownToDkms) {
    unload();
    remove(modules / "modules.dep");
    const std::string none = "there is no module snap for 6.12.0-test-amd64";
    put("usr/local/src/snap-other/README");
    expect(advice::no_package, none, advice::no_package.remedy);
    put("usr/local/src/snap-0.1/dkms.conf");
    put("usr/local/src/snap-0.2/dkms.conf");
    expect(advice::no_headers, none + ", nor headers to build it with",
           "apt install linux-headers-6.12.0-test-amd64");
    put(modules / "build/Makefile");
    expect(advice::not_added, none + ", and DKMS does not know its source",
           "dkms install /usr/local/src/snap-0.2");
    put("usr/src/snap-0.2/dkms.conf");
    expect(advice::not_built, none + ", but source and headers",
           advice::not_built.remedy);
}

TEST_F(DoctorTest, ModuleIsOfAnotherVersion) {
    put("sys/module/snap/version", "0.1\n");
    expect(advice::other_version,
           "the module that runs is of version 0.1, these programs are of 0.2",
           advice::other_version.remedy);
}

TEST_F(DoctorTest, ModuleHasAnOldAbi) {
    remove("sys/module/snap/version");
    system.open_error = EPROTONOSUPPORT;
    system.info.reset();
    expect(advice::old_abi);
}

TEST_F(DoctorTest, AnotherDriverHasTheDevice) {
    link(device / "driver", "../../../bus/pci/drivers/vfio-pci");
    system.info.reset();
    expect(advice::other_driver, slot + " has the driver vfio-pci",
           "echo 0000:00:04.0 >/sys/bus/pci/drivers/vfio-pci/unbind && echo "
           "0000:00:04.0 >/sys/bus/pci/drivers/snap/bind");
}

TEST_F(DoctorTest, ModuleHasRefusedTheDevice) {
    remove(device / "driver");
    system.info.reset();
    expect(advice::refused, "the module has refused " + slot,
           "dmesg | grep 'snap 0000:00:04.0' says why");
    put("dev/kmsg", "6,1,1,-;snap 0000:00:04.0: older\n SUBSYSTEM=pci\n"
                    "3,2,2,-;snap 0000:00:04.0: no MSI-X \x1bvectors\n"
                    "6,3,3,-;snap 0000:00:05.0: another\n");
    expect(advice::refused_why,
           "the module has refused " + slot + ": no MSI-X \\x1bvectors",
           advice::refused_why.remedy);
}

TEST_F(DoctorTest, FileIsNotThere) {
    system.open_error = ENOENT;
    system.info.reset();
    expect(advice::no_file);
}

TEST_F(DoctorTest, FileIsForAGroup) {
    system.open_error = EACCES;
    system.info.reset();
    expect(advice::not_permitted, "the group of /dev/snap, snap, is not yours",
           "usermod -aG snap alice, and log in again");
    system.group.clear();
    expect(advice::not_opened, "/dev/snap cannot be opened: Permission denied",
           advice::not_opened.remedy);
}

TEST_F(DoctorTest, GroupThatIsOfNoUseIsNotAdvised) {
    struct stat status {};
    status.st_gid = 4000000000; // nobody's: its name is its number
    status.st_mode = S_IFCHR | 0660;
    EXPECT_EQ(doctor::opening_group(status), "4000000000");
    for (const mode_t mode : {0600, 0640, 0620, 0606}) {
        status.st_mode = S_IFCHR | mode;
        EXPECT_EQ(doctor::opening_group(status), "") << mode;
    }
    status.st_mode = S_IFCHR | 0660;
    status.st_gid = 0;
    EXPECT_EQ(doctor::opening_group(status), "");
}

TEST_F(DoctorTest, SocketsAreDenied) {
    system.socket_error = EAFNOSUPPORT;
    expect(advice::no_sockets,
           "socket(AF_SNAP) fails: Address family not supported by protocol",
           advice::no_sockets.remedy);
    put("proc/sys/net/snap/sockets", "0\n");
    expect(advice::denied);
}

TEST_F(DoctorTest, AllIsCopied) {
    put("proc/sys/net/snap/by_reference", "0\n");
    expect(advice::all_copied);
}

TEST_F(DoctorTest, Snapshots) {
    system.info->features &= ~SNAP_F_SNAPSHOT;
    expect(advice::no_snapshots);
}

TEST_F(DoctorTest, Quotas) {
    put("sys/module/snap/parameters/rx_quota", "0\n");
    expect(advice::no_rx_quota);
    put("sys/module/snap/parameters/user_quota", "0\n");
    expect(advice::no_quota);
}

TEST_F(DoctorTest, QuotaIsUsedUp) {
    system.info->used_frames = 4914;
    EXPECT_TRUE(doctor::healthy(doctor::examine_guest(system)));
    system.info->used_frames = 5000;
    expect(advice::little_quota, "5000 of your 6553 frames are in use",
           advice::little_quota.remedy);
}

TEST_F(DoctorTest, Frames) {
    system.stats->sockets.copied_msgs[SNAP_COPY_NO_FRAMES] = 7;
    expect(advice::no_frames, "7 messages were copied because there were none",
           advice::no_frames.remedy);
    system.info->free_frames = 100;
    expect(advice::few_frames, "100 of 16384 frames are free",
           advice::few_frames.remedy);
}

TEST_F(DoctorTest, InterfaceIsElsewhere) {
    remove(device / "net/snap0");
    expect(advice::elsewhere,
           "that of 0000:00:04.0 is in another network namespace",
           advice::elsewhere.remedy);
}

TEST_F(DoctorTest, InterfaceIsDown) {
    put("sys/class/net/snap0/flags", "0x1002\n");
    expect(advice::down, "snap0 is down", "ip link set snap0 up");
}

TEST_F(DoctorTest, InterfaceHasNoCarrier) {
    put("sys/class/net/snap0/carrier", "0\n");
    expect(advice::no_carrier, "snap0 has no carrier",
           advice::no_carrier.remedy);
}

TEST_F(DoctorTest, InterfaceHasNoAddress) {
    const std::string no_route = "no route leaves by snap0";
    const std::string remedy = "ip address add ADDRESS/LENGTH dev snap0";
    const std::string zeros(32, '0');
    put("proc/net/route", "Iface Destination\n");
    expect(advice::no_route, no_route, remedy);
    put("proc/net/ipv6_route",
        "fe80" + std::string(28, '0') + " 40 " + zeros + " 00 " + zeros +
            " 00000100 00000001 00000000 00000001    snap0\n");
    expect(advice::no_route, no_route, remedy);
    put("proc/net/ipv6_route",
        "fd77" + std::string(28, '0') + " 40 " + zeros + " 00 " + zeros +
            " 00000100 00000001 00000000 00000001    snap0\n");
    EXPECT_TRUE(doctor::healthy(doctor::examine_guest(system)));
}

TEST_F(DoctorTest, DefaultRouteIsAnothers) {
    put("proc/net/route", "eth0 00000000 01 0003 0 0 0 00000000\n"
                          "snap0 0000A8C0 00 0001 0 0 0 00FFFFFF\n");
    expect(advice::other_default,
           "the default route leaves by eth0: messages on it are copied",
           "ip route replace default via GATEWAY dev snap0");
    put("proc/net/route", "eth0 00000000 01 0003 0 0 0 00000000\n"
                          "snap0 00000000 01 0003 0 0 0 00000000\n");
    EXPECT_EQ(doctor::examine_guest(system).size(), 10U);
}

TEST_F(DoctorTest, AnotherInterfaceHasALargerMtu) {
    put("sys/class/net/eth0/mtu", "9000\n");
    EXPECT_TRUE(doctor::healthy(doctor::examine_guest(system)));
    put("sys/class/net/eth0/device/vendor");
    expect(advice::small_mtu, "snap0 has an MTU of 1500, eth0 one of 9000",
           "ip link set snap0 mtu 9000, and the same at the host's end");
}

TEST_F(DoctorTest, Offloads) {
    system.info->features &= ~(SNAP_F_TSO4 | SNAP_F_TSO6 | SNAP_F_RX_LRO);
    expect(advice::no_offloads,
           "no tso4 tso6 on snap0: its backend has no header of virtio-net",
           advice::no_offloads.remedy);
}

TEST_F(DoctorTest, KernelHasNoEdge) {
    const fs::path config = "boot/config-" + std::string(release);
    put(config, "# CONFIG_NETFILTER_EGRESS is not set\n");
    expect(advice::no_egress,
           std::string(release) +
               " has no CONFIG_NETFILTER_EGRESS: frames may reach drivers "
               "that cannot read them",
           "another kernel, or no forwarding from snap0");
    remove(config);
    EXPECT_EQ(doctor::examine_guest(system).back().verdict, Verdict::ok);
}

TEST_F(DoctorTest, ModuleHasNoTypes) {
    remove("sys/kernel/btf/snap");
    expect(advice::no_types);
}

TEST_F(DoctorTest, WhatIsFilledInIsNotFilledAgain) {
    link(device / "driver", "../../../bus/pci/drivers/SLOT");
    system.info.reset();
    expect(advice::other_driver, slot + " has the driver SLOT",
           "echo 0000:00:04.0 >/sys/bus/pci/drivers/SLOT/unbind && echo "
           "0000:00:04.0 >/sys/bus/pci/drivers/snap/bind");
}

constexpr std::uint64_t usual = 64 << 20;

TEST_F(DoctorTest, NothingIsMissingOnTheHost) {
    for (const auto &finding : doctor::examine_host(system, usual))
        EXPECT_EQ(finding.verdict, Verdict::ok) << finding.what;
}

TEST_F(DoctorTest, Kvm) {
    remove("dev/kvm");
    fs::create_directory(root / "dev/kvm"); // nobody may write to it
    expect_in(doctor::examine_host(system, usual), advice::kvm_denied,
              advice::kvm_denied.what,
              "usermod -aG kvm alice, and log in again");
    remove("dev/kvm");
    expect_in(doctor::examine_host(system, usual), advice::no_kvm,
              advice::no_kvm.what, advice::no_kvm.remedy);
}

TEST_F(DoctorTest, Userfaultfd) {
    remove("dev/userfaultfd");
    put("proc/sys/vm/unprivileged_userfaultfd", "0\n");
    expect_in(doctor::examine_host(system, usual), advice::no_trap,
              advice::no_trap.what, advice::no_trap.remedy);
    put("proc/sys/vm/unprivileged_userfaultfd", "1\n");
    EXPECT_TRUE(doctor::healthy(doctor::examine_host(system, usual)));
    put("proc/sys/vm/unprivileged_userfaultfd", "0\n");
    system.root = true;
    EXPECT_TRUE(doctor::healthy(doctor::examine_host(system, usual)));
}

TEST_F(DoctorTest, WithoutKvmStoresAreTrappedAllTheSame) {
    remove("dev/kvm");
    remove("dev/userfaultfd");
    expect_in(doctor::examine_host(system, usual), advice::no_kvm,
              advice::no_kvm.what, advice::no_kvm.remedy);
}

TEST_F(DoctorTest, Mappings) {
    // The figure of qemu-device.rst.
    EXPECT_TRUE(doctor::healthy(doctor::examine_host(system, 123 << 20)));
    expect_in(doctor::examine_host(system, 128 << 20), advice::few_mappings,
              "vm.max_map_count is 65530: enough for 123 MiB of sparse regions "
              "and clones, not for 128",
              "sysctl vm.max_map_count=67586, then start the machine again");
    put("proc/sys/vm/max_map_count", "67586\n");
    EXPECT_TRUE(doctor::healthy(doctor::examine_host(system, 128 << 20)));
    put("proc/sys/vm/max_map_count", "1\n");
    expect_in(doctor::examine_host(system, usual), advice::few_mappings,
              "vm.max_map_count is 1: enough for 0 MiB of sparse regions and "
              "clones, not for " +
                  std::to_string(usual >> 20),
              "sysctl vm.max_map_count=34818, then start the machine again");
    // Regions of frames do without.
    EXPECT_TRUE(doctor::healthy(doctor::examine_host(system, usual)));
}

TEST_F(DoctorTest, Tap) {
    remove("dev/net/tun");
    expect_in(doctor::examine_host(system, usual), advice::no_tap,
              advice::no_tap.what,
              "-netdev user, or a tap that root has made for you: ip tuntap "
              "add NAME mode tap user alice vnet_hdr");
}

// One blank between words, whatever the page breaks its lines at.
std::string words_of(std::istream &&text) {
    std::string all;
    for (std::string word; text >> word;)
        all += word + ' ';
    return all;
}

TEST(Advice, IsThatOfThePage) {
    const fs::path page = fs::path(__FILE__).parent_path() /
                          "../../Documentation/your-own-machine.rst";
    const std::string words = words_of(std::ifstream(page));
    for (const auto *it : advice::every) {
        const auto line = std::string(it->what) + ' ' + it->remedy;
        EXPECT_NE(words.find(words_of(std::istringstream(line))),
                  std::string::npos)
            << page << " lacks: " << line;
    }
}

TEST(Findings, AreTextAndJson) {
    const Findings findings{doctor::good("device", "a\"b"),
                            doctor::fill(advice::not_loaded)};
    EXPECT_EQ(doctor::findings_text(findings),
              "ok       device        a\"b\n"
              "missing  module        the module snap is not loaded\n"
              "                       to do: modprobe snap\n"
              "1 missing, 0 notes\n");
    EXPECT_EQ(doctor::findings_json(findings),
              R"({"missing":1,"notes":0,"findings":[)"
              R"({"check":"device","verdict":"ok","what":"a\"b","to_do":""},)"
              R"({"check":"module","verdict":"missing",)"
              R"("what":"the module snap is not loaded",)"
              R"("to_do":"modprobe snap"}]})");
    EXPECT_EQ(doctor::findings_text({}), "nothing is missing, 0 notes\n");
}

} // namespace
