#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The tests of the guest in the debug kernel; then one deliberate fault for
# each detector, which must turn an otherwise good run red.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"

make -s -C "$selftests" -j "$SNAP_JOBS"
[[ -e $SNAP_BUILD/debug-kernel/complete ]] || "$SNAP_TOP/tools/setup/build-debug-kernel"
"$SNAP_TOP/tools/setup/build-kmod" debug

# What reads and writes options only is slow here, and has little to find.
suite() {
    local name=debug/$1-$2
    begin "$name" "$2" ends machine "$name" --kernel debug --virtio-net \
        --capture "$1" --smp "$2" --timeout 3000 -- make -s -C selftests \
        run_tests LEAVE_OUT="conf_options conf_policy conf_stamps"
}

alone() {
    local program=$1 name=debug/$1
    shift
    begin "$name" 2 ends machine "$name" --kernel debug --capture share \
        --timeout 600 "$@" -- make -s -C selftests run_tests TESTS="$program"
}

# fault NAME EXPRESSION: the run's status must be 99, which says that the
# command was well and the machine was not, and the report must be there.
declare -A expected
fault() {
    local name=debug/fault-$1
    expected[$name]=$2
    begin "$name" 1 fault_ends faulty_machine "$name" "$1"
}

faulty_machine() {
    local leaks=(--no-leaks)
    [[ $2 != leak ]] || leaks=()
    "$selftests/vm/snap-vm" --name "$1" --kernel debug --netdev none --smp 1 \
        "${leaks[@]}" --timeout 400 -- \
        "insmod \$(dirname \$(. /run/snap-vm/settings; echo \$VM_MODULE))/snap_test.ko run=$2" \
        >"$SNAP_LOGS/$1.tap" 2>&1
}

fault_ends() {
    local name=$1 status=$2 log=$SNAP_LOGS/$1 text
    text="a deliberate fault is found: ${name#debug/fault-}"
    if ((status == 99)) &&
        grep -Eqs "${expected[$name]}" "$log/guest/dmesg" "$log/guest/kmemleak"; then
        report 0 "$text"
    else
        report 1 "$text (status $status)"
        tail -n 5 "$log.tap"
    fi
}

# Its processors are busy: nothing is won by others beside it.
suite share 2
await_all
alone unread --pool-size 8M
alone unplug --monitor --host selftests/peers/unplug-host.sh
fault kasan 'BUG: KASAN'
fault lockdep 'possible circular locking'
fault rcu 'suspicious RCU usage'
fault atomic 'scheduling while atomic|sleeping function called'
fault leak 'unreferenced object'
fault warn 'WARNING: '
await_all
finish
