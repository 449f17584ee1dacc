#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In a Debian of its own, which check-install.sh makes: installs the packages of
# /run/packages, uses, upgrades and removes them. TAP.
set -uo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
packages=/run/packages
apt=(apt-get install --yes --no-install-recommends)
number=0
work=$(mktemp -d)

# expect TITLE COMMAND...: what it prints is shown if it fails.
expect() {
    local title=$1 verdict=ok
    shift
    number=$((number + 1))
    "$@" >"$work/out" 2>&1 || verdict="not ok"
    echo "$verdict $number $title"
    [[ $verdict == ok ]] || tail -n 30 "$work/out" | sed 's/^/# /'
}

kernels() { ls /lib/modules; }

first=$(kernels)

# module KERNEL NAME: decompressed, to standard output.
module() {
    xz -dc "/lib/modules/$1/updates/dkms/$2.ko.xz"
}

# A kernel has both modules, with types, and finds them by what asks for them.
served() {
    local name alias
    for name in snap snap_diag; do
        module "$1" "$name" >"$work/$name.ko" || return
        readelf -SW "$work/$name.ko" | grep ' \.BTF ' || return
    done
    for alias in net-pf-18 net-pf-16-proto-4-type-18 \
        pci:v00001234d00005AB0sv00000000sd00000000bc02sc00i00; do
        modprobe -S "$1" --dry-run --verbose "$alias" | grep '/snap' || return
    done
}

signed() {
    module "$1" snap | tail -c 28 | grep -a 'Module signature appended'
}

# Something like a loaded module, of this srcversion, and a kernel that runs.
loaded() {
    mkdir -p /sys/module/snap
    echo 0.1 >/sys/module/snap/version
    echo "$1" >/sys/module/snap/srcversion
    # Only who asks for the release gets another answer.
    cp /usr/bin/uname "$work/asked"
    printf '#!/bin/sh\n[ "$*" != -r ] || exec echo %s\nexec %s "$@"\n' \
        "$first" "$work/asked" >"$work/uname"
    chmod 755 "$work/uname"
    mount --bind "$work/uname" /usr/bin/uname
}

unloaded() {
    umount /usr/bin/uname
    rm -r /sys/module
}

install_all() {
    local status=0
    loaded another
    "${apt[@]}" "$packages"/{snap-dkms,snap-tools,libsnap0,libsnap-dev}_*.deb \
        "$packages"/python3-snap_*.deb >"$work/installed" 2>&1 || status=$?
    unloaded
    cat "$work/installed"
    return "$status"
}

says_so() {
    cat "$work/installed"
    grep "^snap-dkms: snap 0.1 of another build is loaded" "$work/installed"
}

tools_answer() {
    local tool
    for tool in snapcat snapctl snap-run snap-bench snaptrace; do
        "$tool" --version && "$tool" --help >/dev/null || return
        [[ -e $(echo /usr/share/man/man[18]/"$tool".[18].gz) ]] || return
    done
    ! ldd /usr/lib/snap-run/*.so | grep 'not found'
}

completes() {
    bash -c '. /usr/share/bash-completion/bash_completion
        _comp_load snapctl && complete -p snapctl' | grep _snapctl
}

runs_a_program() {
    snap-run --count -- bash -c 'exec 3<>/dev/udp/127.0.0.1/9' 2>&1 |
        grep 'snap-run: sockets'
}

# It has no device to open here.
programs_compile() {
    cat >"$work/first.c" <<'C'
#include <snap/libsnap.h>
#include <snap/snap_diag.h>
#include <errno.h>

int main(void)
{
	struct snap_handle *device;

	return snap_open(&device) != -ENOENT;
}
C
    cat >"$work/second.cpp" <<'C'
#include <cerrno>
#include <snap/libsnap.hpp>

int main()
{
    try {
        const snap::Device device;
    } catch (const std::system_error &error) {
        return error.code().value() != ENOENT;
    }
    return 1;
}
C
    local -a how
    read -ra how < <(pkg-config --cflags --libs libsnap)
    cc -Wall -Werror -o "$work/first" "$work/first.c" "${how[@]}" &&
        "$work/first" || return
    c++ -std=c++20 -Wall -Werror -o "$work/second" "$work/second.cpp" \
        "${how[@]}" && "$work/second" || return
    read -ra how < <(pkg-config --cflags --libs --static libsnap)
    cc -static -o "$work/static" "$work/first.c" "${how[@]}" && "$work/static"
}

python_imports() {
    python3 -W error -c 'import snap, sys
try:
    snap.Device()
except OSError as error:
    sys.exit(error.errno != 2)
sys.exit(1)'
}

# What udev and systemd think of what they are given.
system_files() {
    udevadm verify --resolve-names=late /usr/lib/udev/rules.d/60-snap.rules &&
        getent group snap &&
        cp /usr/share/doc/snap-tools/examples/snap-run.service "$work/" &&
        systemd-analyze verify --man=no "$work/snap-run.service"
}

# A kernel that lacks something: a flag has another name in a header.
says_why() {
    local build=/lib/modules/$first/build header status=0
    header=$(sed -n 's,^include \(.*\)/Makefile$,\1,p' "$build/Makefile")
    header+=/include/linux/socket.h
    cp -p "$header" "$work/"
    sed -i 's/MSG_SPLICE_PAGES/MSG_NO_SUCH_FLAG/' "$header"
    dpkg-reconfigure snap-dkms >"$work/reconfigured" 2>&1 || status=$?
    cp -p "$work/socket.h" "$header"
    cat "$work/reconfigured"
    ((status != 0)) &&
        grep '^snap-dkms: this kernel cannot be served: it lacks MSG_SPLICE_PAGES' \
            "$work/reconfigured"
}

# With the module loaded that it is then.
recovers() {
    local status=0
    loaded "$1"
    dpkg-reconfigure snap-dkms >"$work/reconfigured" 2>&1 || status=$?
    unloaded
    cat "$work/reconfigured"
    ((status == 0)) && served "$first" &&
        [[ $(modinfo -F srcversion -k "$first" snap) == "$1" ]] &&
        ! grep "another build" "$work/reconfigured"
}

second_kernel() {
    "${apt[@]}" linux-headers-cloud-amd64 || return
    for kernel in $(kernels); do
        echo "$kernel" && served "$kernel" || return
    done
    [[ $(kernels | wc -l) == 2 ]]
}

upgrade() {
    local version
    version=$(dpkg-query -W -f '${Version}' snap-dkms)
    "${apt[@]}" /run/newer/{snap-dkms,snap-tools,libsnap0,libsnap-dev}_*.deb \
        /run/newer/python3-snap_*.deb || return
    [[ $(snapctl --version) == "snapctl $version+1" ]] || return
    [[ ! -e /usr/src/snap-$version && ! -e /var/lib/dkms/snap/$version ]] &&
        served "$first"
}

# Somebody in the group has files, perhaps.
keeps_members() {
    gpasswd -a nobody snap && apt-get purge --yes snap-tools &&
        getent group snap && groupdel snap
}

keeps_others() {
    groupadd snap && "${apt[@]}" /run/newer/snap-tools_*.deb &&
        apt-get purge --yes snap-tools && getent group snap && groupdel snap &&
        "${apt[@]}" /run/newer/snap-tools_*.deb
}

purge() {
    apt-get remove --yes snap-dkms snap-tools libsnap0 libsnap-dev python3-snap &&
        dpkg --purge snap-dkms snap-tools libsnap0 libsnap-dev python3-snap &&
        apt-get purge --yes linux-headers-cloud-amd64 \
            "linux-*-$(kernels | grep cloud)" &&
        [[ $(kernels) == "$first" ]] && ! getent group snap
}

expect "the packages install" install_all
expect "another build that is loaded is named, with what to do" says_so
expect "both modules are there for the kernel, with BTF and aliases" \
    served "$first"
expect "and signed with the machine's key" signed "$first"
expect "the tools answer and have pages" tools_answer
expect "bash completes them" completes
expect "snap-run finds its libraries" runs_a_program
expect "programs compile with pkg-config" programs_compile
expect "Python finds its module" python_imports
expect "udev and systemd take their files" system_files
srcversion=$(modinfo -F srcversion -k "$first" snap)
expect "a kernel that cannot be served: why" says_why
expect "one that can be again; its own build is not named" \
    recovers "$srcversion"
expect "DKMS follows a second kernel" second_kernel
expect "a newer version takes the place of the older" upgrade
expect "purging leaves a group that has members" keeps_members
expect "and one that was there before" keeps_others
expect "purging all" purge
rm -r "$work"
echo "1..$number"
