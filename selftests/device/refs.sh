#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Somebody takes references on pages of the pool that are none of his, as everybody
# does who looks at pages by number: he gets none on those that are at rest.  Of
# others he keeps the frames, while packets go on, and no hold is lost.
#
# Machines: copy-1 newest
# Paths: thread-auto-* main-auto-*
set -uo pipefail
# shellcheck source=../lib/tap.sh
. "$(dirname "$(readlink -f "$0")")/tap.sh"
trap 'rm -rf "$work"' EXIT

module=$(dirname "$(sed -n "s/^VM_MODULE='\?\([^']*\)'\?$/\1/p" \
    /run/snap-vm/settings)")/snap_test.ko

level() {
    ethtool -S snap0 | sed -n 's/^ *guest_frames: //p'
}
# These are run by name, by check().
# level_is TEST: within two seconds, in words of test(1).
# shellcheck disable=SC2317
level_is() {
    local i
    for ((i = 0; i < 20; i++)); do
        # shellcheck disable=SC2086 # words
        ! test "$(level)" $1 || return 0
        sleep 0.1
    done
    echo "$(level) are held"
    return 1
}
# How many references the module takes, in words of test(1); it keeps them.
# shellcheck disable=SC2317
takes() {
    local taken
    insmod "$module" run=refs || return
    taken=$(dmesg | sed -n 's/.*snap_test: \([0-9]*\) references$/\1/p' | tail -n 1)
    echo "$taken references"
    # shellcheck disable=SC2086 # words
    test "$taken" $1
}

if [[ ! -e $module || -z ${SNAP_HOST_ECHO:-} ]]; then
    echo "TAP version 13"
    echo "1..0 # SKIP no $module, or no echo on the host"
    exit 4
fi
echo "TAP version 13"
echo "1..5"
level_is "-eq 0"
check "nobody gets a page at rest" takes "-eq 0"
rmmod snap_test

# an echo of eight pages that nobody reads
exec {unread}<>"/dev/udp/10.77.0.1/$SNAP_HOST_ECHO"
dd if=/dev/zero bs=32000 count=1 status=none >&"$unread"
level_is "-ge 8"
check "others can be had" takes "-ge 8"
exec {unread}>&-
check "packets go on" ping -q -c 3 -i 0.2 -W 2 10.77.0.1
check "what is held stays" level_is "-ge 8"
rmmod snap_test
check "all frames come home" level_is "-eq 0"
exit $((failures != 0))
