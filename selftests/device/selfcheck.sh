#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Promise 8: before a device is offered to anybody, one frame of it has gone out as a
# page and come home.
#
# Machines: copy-1 newest
set -uo pipefail

driver=/sys/bus/pci/drivers/snap
device=$(readlink -f /sys/class/net/snap0/device)
device=${device##*/}
cases=("the device can be bound again" "a frame has been out" "none is out")
failed=0 n=0

count() {
    ethtool -S snap0 | sed -n "s/^ *$1: //p"
}
# check STATUS [WHY]: of the next case.
check() {
    local word=ok
    (($1 == 0)) || word="not ok" failed=1
    echo "$word $((n + 1)) ${cases[n]}${2:+: $2}"
    n=$((n + 1))
}

echo "TAP version 13"
echo "1..${#cases[@]}"
before=$(count captures)
echo "$device" >$driver/unbind
echo "$device" >$driver/bind
if [[ ! -e /sys/class/net/snap0 ]]; then
    why=$(dmesg | sed -n 's/.*self-check: //p' | tail -n 1)
    # nothing of a device that is refused keeps the module
    why+=", rmmod: $(rmmod snap_diag snap 2>&1 && echo ok)"
    check 1 "$why"
    exit 1
fi
check 0
[[ $(count captures) == $((before + 1)) ]]
check $? "$(count captures) captures, before $before"
[[ $(count guest_frames) == 0 ]]
check $? "$(count guest_frames) frames"
ip link set snap0 up
exit "$failed"
