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

read_machines

# suite NUMBER: every second test, in its order.
suite() {
    local name=debug/share-2-$1 i
    local -a half=()
    tests_of debug
    for ((i = $1 - 1; i < ${#tests[@]}; i += 2)); do
        half+=("${tests[i]}")
    done
    begin "$name" 2 ends machine "$name" --kernel debug --virtio-net \
        --capture share --smp 2 --env "SNAP_TEST_ARGS=$(without_controls)" \
        --timeout 1500 -- \
        make -s -C selftests run_tests TESTS="${half[*]}"
}

alone() {
    local name=debug/$1
    wants "$1" debug || return 0
    options_of "$1"
    begin "$name" 2 ends machine "$name" --kernel debug --capture share \
        --timeout 600 "${options[@]}" -- \
        make -s -C selftests run_tests TESTS="$1"
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
    vm "$1" --kernel debug --netdev none --smp 1 \
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

suite 1
suite 2
for test in "${others[@]}"; do
    alone "$test"
done
fault kasan 'BUG: KASAN'
fault lockdep 'possible circular locking'
fault rcu 'suspicious RCU usage'
fault atomic 'scheduling while atomic|sleeping function called'
fault leak 'unreferenced object'
fault warn 'WARNING: '
await_all
finish
