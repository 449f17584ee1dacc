// SPDX-License-Identifier: LGPL-2.1-or-later
// All that the doctor may say.  Documentation/your-own-machine.rst has the same
// words; a test compares them.
#ifndef SNAPCTL_DOCTOR_ADVICE_H
#define SNAPCTL_DOCTOR_ADVICE_H

#include "finding.h"

#include <array>

namespace snapctl::doctor::advice {

// ---- The guest: from the device up -----------------------------------------

inline constexpr Advice no_device{
    Verdict::missing, "device", "this machine has no snapshot memory device",
    "on the host, start it by snap-qemu and with -device snap"};
inline constexpr Advice no_package{Verdict::missing, "module",
                                   "there is no module snap for RELEASE",
                                   "install the package snap-dkms"};
inline constexpr Advice no_headers{
    Verdict::missing, "module",
    "there is no module snap for RELEASE, nor headers to build it with",
    "apt install linux-headers-RELEASE"};
inline constexpr Advice not_added{
    Verdict::missing, "module",
    "there is no module snap for RELEASE, and DKMS does not know its source",
    "dkms install SOURCE"};
inline constexpr Advice not_built{
    Verdict::missing, "module",
    "there is no module snap for RELEASE, but source and headers",
    "dkms autoinstall; if that fails, its last lines name the log"};
inline constexpr Advice not_loaded{Verdict::missing, "module",
                                   "the module snap is not loaded",
                                   "modprobe snap"};
inline constexpr Advice not_signed{
    Verdict::missing, "module",
    "the module snap is not loaded, and secure boot asks for a signature",
    "modprobe snap; if the key was rejected, enrol it: mokutil --import "
    "/var/lib/dkms/mok.pub, and reboot"};
inline constexpr Advice other_version{
    Verdict::missing, "module",
    "the module that runs is of version VERSION, these programs are of MINE",
    "modprobe -r snap_diag snap && modprobe snap, or reboot"};
inline constexpr Advice old_abi{
    Verdict::missing, "module",
    "the module that runs has an older ABI than these programs need",
    "install snap-dkms of their release, then modprobe -r snap_diag snap && "
    "modprobe snap, or reboot"};
inline constexpr Advice other_driver{
    Verdict::missing, "driver", "SLOT has the driver OTHER",
    "echo SLOT >/sys/bus/pci/drivers/OTHER/unbind && echo SLOT "
    ">/sys/bus/pci/drivers/snap/bind"};
inline constexpr Advice refused{Verdict::missing, "driver",
                                "the module has refused SLOT",
                                "dmesg | grep 'snap SLOT' says why"};
inline constexpr Advice refused_why{Verdict::missing, "driver",
                                    "the module has refused SLOT: REASON",
                                    "what the reason says, then modprobe -r "
                                    "snap_diag snap && modprobe snap"};
inline constexpr Advice no_file{
    Verdict::missing, "file", "there is no /dev/snap",
    "udevadm trigger /sys/class/misc/snap; give it to a container with "
    "--device /dev/snap"};
inline constexpr Advice not_permitted{
    Verdict::missing, "file", "the group of /dev/snap, GROUP, is not yours",
    "usermod -aG GROUP USER, and log in again"};
inline constexpr Advice not_opened{Verdict::missing, "file",
                                   "/dev/snap cannot be opened: ERROR",
                                   "ls -l /dev/snap"};

// ---- The guest: sockets and memory -----------------------------------------

inline constexpr Advice denied{Verdict::missing, "sockets",
                               "net.snap.sockets is 0: there are none",
                               "sysctl net.snap.sockets=1"};
inline constexpr Advice no_sockets{
    Verdict::missing, "sockets", "socket(AF_SNAP) fails: ERROR",
    "ask outside of the container or service: a filter of seccomp(2) may deny "
    "family 18"};
inline constexpr Advice all_copied{Verdict::note, "sockets",
                                   "net.snap.by_reference is 0: all is copied",
                                   "sysctl net.snap.by_reference=1"};
inline constexpr Advice no_snapshots{
    Verdict::missing, "snapshots",
    "the device has none: QEMU cannot trap stores",
    "on the host, snapctl doctor --host"};
inline constexpr Advice no_quota{
    Verdict::missing, "quota", "nobody but root may hold frames",
    "echo 40 >/sys/module/snap/parameters/user_quota"};
inline constexpr Advice little_quota{Verdict::note, "quota",
                                     "USED of your QUOTA frames are in use",
                                     "snapctl region list; more for each user: "
                                     "/sys/module/snap/parameters/user_quota"};
inline constexpr Advice no_rx_quota{
    Verdict::note, "quota", "rx_quota is 0: what is received is copied",
    "echo 25 >/sys/module/snap/parameters/rx_quota"};
inline constexpr Advice few_frames{
    Verdict::note, "frames", "FREE of POOL frames are free",
    "snapctl sockets shows who reads nothing; on the host, a larger "
    "pool-size="};
inline constexpr Advice no_frames{
    Verdict::note, "frames",
    "NUMBER messages were copied because there were none",
    "on the host, a larger pool-size=, and snapctl doctor --host"};

// ---- The guest: the interface ----------------------------------------------

inline constexpr Advice elsewhere{
    Verdict::missing, "interface",
    "that of SLOT is in another network namespace",
    "ip netns exec NAME snapctl doctor"};
inline constexpr Advice down{Verdict::missing, "interface", "INTERFACE is down",
                             "ip link set INTERFACE up"};
inline constexpr Advice no_carrier{
    Verdict::missing, "interface", "INTERFACE has no carrier",
    "on the host, see that what -netdev names is up and connected"};
inline constexpr Advice no_route{Verdict::missing, "interface",
                                 "no route leaves by INTERFACE",
                                 "ip address add ADDRESS/LENGTH dev INTERFACE"};
inline constexpr Advice other_default{
    Verdict::note, "interface",
    "the default route leaves by OTHER: messages on it are copied",
    "ip route replace default via GATEWAY dev INTERFACE"};
inline constexpr Advice small_mtu{
    Verdict::note, "interface",
    "INTERFACE has an MTU of NUMBER, OTHER one of LIMIT",
    "ip link set INTERFACE mtu LIMIT, and the same at the host's end"};
inline constexpr Advice no_offloads{
    Verdict::note, "interface",
    "no OFFLOADS on INTERFACE: its backend has no header of virtio-net",
    "on the host, -netdev tap in place of user or socket"};

// ---- The guest: its kernel -------------------------------------------------

inline constexpr Advice no_egress{
    Verdict::note, "kernel",
    "RELEASE has no CONFIG_NETFILTER_EGRESS: frames may reach drivers that "
    "cannot read them",
    "another kernel, or no forwarding from INTERFACE"};
inline constexpr Advice no_types{
    Verdict::note, "kernel", "the module has no type information (BTF)",
    "for snaptrace: apt install pahole, then build the module again"};

// ---- The host --------------------------------------------------------------

inline constexpr Advice no_kvm{
    Verdict::note, "kvm", "there is no /dev/kvm: machines are emulated, slowly",
    "modprobe kvm_intel, or kvm_amd; the firmware must allow it"};
inline constexpr Advice kvm_denied{Verdict::missing, "kvm",
                                   "you may not open /dev/kvm",
                                   "usermod -aG kvm USER, and log in again"};
inline constexpr Advice no_trap{
    Verdict::missing, "userfaultfd",
    "QEMU of this user cannot trap stores of KVM: no snapshots, no sharing",
    "let its group open /dev/userfaultfd, or sysctl "
    "vm.unprivileged_userfaultfd=1"};
inline constexpr Advice few_mappings{
    Verdict::note, "mappings",
    "vm.max_map_count is NUMBER: enough for HAVE MiB of sparse regions and "
    "clones, not for WANT",
    "sysctl vm.max_map_count=LIMIT, then start the machine again"};
inline constexpr Advice no_tap{Verdict::note, "tap",
                               "you may not open /dev/net/tun",
                               "-netdev user, or a tap that root has made for "
                               "you: ip tuntap add NAME mode tap user USER "
                               "vnet_hdr"};

inline constexpr std::array every{
    &no_device,    &no_package,   &no_headers,    &not_added,     &not_built,
    &not_loaded,   &not_signed,   &other_version, &old_abi,       &other_driver,
    &refused,      &refused_why,  &no_file,       &not_permitted, &not_opened,
    &denied,       &no_sockets,   &all_copied,    &no_snapshots,  &no_quota,
    &little_quota, &no_rx_quota,  &few_frames,    &no_frames,     &elsewhere,
    &down,         &no_carrier,   &no_route,      &other_default, &small_mtu,
    &no_offloads,  &no_egress,    &no_types,      &no_kvm,        &kvm_denied,
    &no_trap,      &few_mappings, &no_tap};

} // namespace snapctl::doctor::advice

#endif
