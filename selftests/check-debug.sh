#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The tests of the guest in the debug kernel; then one deliberate fault for
# each detector, which must turn an otherwise good run red.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"

make -s -C "$here" -j "$SNAP_JOBS"
[[ -e $SNAP_BUILD/debug-kernel/complete ]] || "$SNAP_TOP/tools/setup/build-debug-kernel"
"$SNAP_TOP/tools/setup/build-kmod" debug

# What reads and writes options only is slow here, and has little to find.
suite() {
    local name=debug/$1-$2 status=0
    say "debug kernel, capture=$1, $2 processors"
    machine "$name" --kernel debug --virtio-net --capture "$1" --smp "$2" \
        --timeout 2400 -- make -s -C selftests run_tests \
        LEAVE_OUT="conf_options conf_policy conf_stamps" || status=$?
    add "$name" "$status"
    rm -f "$SNAP_LOGS/$name/tap.pcap"
}

alone() {
    local program=$1 name=debug/$1 status=0
    shift
    say "debug kernel, $program"
    machine "$name" --kernel debug --capture share --timeout 400 "$@" -- \
        make -s -C selftests run_tests TESTS="$program" || status=$?
    add "$name" "$status"
    rm -f "$SNAP_LOGS/$name/tap.pcap"
}

# fault NAME EXPRESSION: the run's status must be 99, which says that the
# command was well and the machine was not, and the report must be there.
fault() {
    local name=debug/fault-$1 status=0 log leaks=(--no-leaks)
    [[ $1 != leak ]] || leaks=()
    "$here/vm/snap-vm" --name "$name" --kernel debug --netdev none --smp 1 \
        "${leaks[@]}" --timeout 200 -- \
        "insmod \$(dirname \$(. /run/snap-vm/settings; echo \$VM_MODULE))/snap_test.ko run=$1" \
        >"$SNAP_LOGS/$name.tap" 2>&1 || status=$?
    log=$SNAP_LOGS/$name
    if ((status == 99)) &&
        grep -Eqs "$2" "$log/guest/dmesg" "$log/guest/kmemleak"; then
        report 0 "a deliberate fault is found: $1"
    else
        report 1 "a deliberate fault is found: $1 (status $status)"
        tail -n 5 "$SNAP_LOGS/$name.tap"
    fi
}

suite share 2
alone unread --pool-size 8M
alone unplug --monitor --host selftests/unplug-host.sh

say "debug kernel, deliberate faults"
fault kasan 'BUG: KASAN'
fault lockdep 'possible circular locking'
fault rcu 'suspicious RCU usage'
fault atomic 'scheduling while atomic|sleeping function called'
fault leak 'unreferenced object'
fault warn 'WARNING: '
finish
