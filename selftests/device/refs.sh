#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Somebody takes references on pages of the pool that are none of his, as everybody
# does who looks at pages by number: he gets none on those that are at rest.  Of
# others he keeps the frames, while packets go on, and no hold is lost.
#
# Machines: copy-1 newest
set -uo pipefail

module=$(dirname "$(sed -n "s/^VM_MODULE='\?\([^']*\)'\?$/\1/p" \
    /run/snap-vm/settings)")/snap_test.ko
cases=("nobody gets a page at rest" "others can be had" "packets go on"
    "what is held stays" "all frames come home")
failed=0 n=0

level() {
    ethtool -S snap0 | sed -n 's/^ *guest_frames: //p'
}
# level_is TEST: within two seconds, in words of test(1).
level_is() {
    local i
    for ((i = 0; i < 20; i++)); do
        # shellcheck disable=SC2086 # words
        ! test "$(level)" $1 || return 0
        sleep 0.1
    done
    echo "# $(level) are held"
    return 1
}
# How many references the module has taken.
taken() {
    dmesg | sed -n 's/.*snap_test: \([0-9]*\) references$/\1/p' | tail -n 1
}
# check STATUS: of the next case.
check() {
    local word=ok
    (($1 == 0)) || word="not ok" failed=1
    echo "$word $((n + 1)) ${cases[n]}"
    n=$((n + 1))
}

echo "TAP version 13"
echo "1..${#cases[@]}"
if [[ ! -e $module || -z ${SNAP_HOST_ECHO:-} ]]; then
    for ((; n < ${#cases[@]}; n++)); do
        echo "ok $((n + 1)) ${cases[n]} # SKIP no $module, or no echo on the host"
    done
    exit 4
fi

level_is "-eq 0"
insmod "$module" run=refs
[[ $(taken) == 0 ]]
check $?
rmmod snap_test

# an echo of eight pages that nobody reads
exec {unread}<>"/dev/udp/10.77.0.1/$SNAP_HOST_ECHO"
dd if=/dev/zero bs=32000 count=1 status=none >&"$unread"
level_is "-ge 8"
insmod "$module" run=refs
(($(taken) >= 8))
check $?
exec {unread}>&-
ping -q -c 3 -i 0.2 -W 2 10.77.0.1 >/dev/null
check $?
level_is "-ge 8"
check $?
rmmod snap_test
level_is "-eq 0"
check $?
exit "$failed"
