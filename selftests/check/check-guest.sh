#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-guest.sh [--kernel debug] [--capture MODE] [--smp N]
# The tests of the guest in all capture modes with two processors and with one,
# each in a machine of its own, and the cases that need a special machine.  The
# conformance tests, of calls rather than of races, run with two.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"

captures=(auto share copy)
smps=(2 1)
while (($#)); do
    case $1 in
    --kernel)
        [[ $2 != debug ]] || exec "$here/check-debug.sh"
        ;;
    --capture) captures=("$2") ;;
    --smp) smps=("$2") ;;
    *) die "unknown option $1" ;;
    esac
    shift 2
done
make -s -C "$selftests" -j "$SNAP_JOBS"

suite() {
    local name=guest/$1-$2 leave_out=
    [[ $2 != 1 ]] || leave_out=conf_%
    begin "$name" "$2" suite_ends machine "$name" --virtio-net --capture "$1" \
        --smp "$2" --timeout 1500 -- \
        make -s -C selftests run_tests LEAVE_OUT="$leave_out"
}

suite_ends() {
    local name=$1 status=0
    add "$name" "$2"
    grep -h 'per message' "$SNAP_LOGS/$name.tap" | sed 's/^.*of_a_datagram:/# /' ||
        true
    wire_is_clean "$name" || status=1
    report "$status" "no poison on the wire of $name"
    rm -f "$SNAP_LOGS/$name/tap.pcap"
}

# Programs that want a machine of their own.
alone() {
    local program=$1 capture=$2 name=guest/$1-$2
    shift 2
    begin "$name" 2 ends machine "$name" --capture "$capture" --smp 2 "$@" -- \
        make -s -C selftests run_tests TESTS="$program"
}

for capture in "${captures[@]}"; do
    for smp in "${smps[@]}"; do
        suite "$capture" "$smp"
    done
done
for capture in "${captures[@]}"; do
    alone unread "$capture" --pool-size 8M
    alone unplug "$capture" --monitor --host 'selftests/peers/unplug-host.sh'
    alone stream_long "$capture" --timeout 900
done
alone no_trap auto --qemu selftests/vm/qemu-without-trap
# The kernel tells of those that it kills.
alone memcg "${captures[0]}" --expect 'invoked oom-killer|Call Trace'
await_all
finish
