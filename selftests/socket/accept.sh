#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A server of the kernel that asks an AF_SNAP socket for connections in vain
# costs no memory: the test module asks 40,000 times while loading.
#
# Machines: auto-1 debug
set -uo pipefail

module=$(dirname "$(sed -n "s/^VM_MODULE='\?\([^']*\)'\?$/\1/p" \
    /run/snap-vm/settings)")/snap_test.ko

# Memory of the kernel that it will not give back, in KiB.
held() {
    awk '/^SUnreclaim:/ { print $2 }' /proc/meminfo
}

echo "TAP version 13"
echo "1..1"
if [[ ! -e $module ]]; then
    echo "ok 1 accept # SKIP $module is not built"
    exit 4
fi
before=$(held)
if insmod "$module" run=accept && rmmod snap_test; then
    kept=$(($(held) - before))
    echo "# $kept KiB more than before"
    if ((kept < 4096)); then
        echo "ok 1 accept in vain keeps no memory"
        exit 0
    fi
else
    dmesg | tail -n 3 | sed 's/^/# /'
fi
echo "not ok 1 accept in vain keeps no memory"
exit 1
