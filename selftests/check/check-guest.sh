#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-guest.sh [--kernel debug] [--all] [--capture MODE] [--smp N]
# The tests of the guest, each in the machines that its head names, of all
# capture modes, with two processors and with one; and those that need a special
# machine.  With --all each in every machine; --capture and --smp leave the other
# machines out.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"

stage=guest timeout=1500
captures=(auto share copy)
smps=(2 1)
while (($#)); do
    case $1 in
    --all)
        stage=all timeout=3000
        shift
        continue
        ;;
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
read_machines
if [[ $stage == all ]]; then
    for test in "${!machines_of[@]}"; do
        machines_of[$test]='auto-2 auto-1 share-2 share-1 copy-2 copy-1 asan'
    done
    # such a device does not start
    machines_of[no_trap]='auto-2 auto-1 copy-2 copy-1'
fi

# suite MACHINE CAPTURE PROCESSORS OPTION...
suite() {
    local machine=$1 capture=$2 smp=$3
    shift 3
    tests_of "$machine"
    ((${#tests[@]})) || return 0
    begin "$stage/$machine" "$smp" suite_ends machine "$stage/$machine" \
        --virtio-net --capture "$capture" --smp "$smp" --timeout "$timeout" "$@" \
        -- make -s -C selftests run_tests TESTS="${tests[*]}"
}

suite_ends() {
    local name=$1 status=0
    add "$name" "$2"
    grep -h 'per message' "$SNAP_LOGS/$name.tap" | sed 's/^.*of_a_datagram:/# /' ||
        true
    # which also sends what shows that poison would be found
    if wants no_poison "${name#*/}"; then
        wire_is_clean "$name" || status=1
        report "$status" "no poison on the wire of $name"
    fi
    rm -f "$SNAP_LOGS/$name/tap.pcap"
}

# alone TEST CAPTURE PROCESSORS
alone() {
    local name=$stage/$1-$2-$3
    wants "$1" "$2-$3" || return 0
    options_of "$1"
    begin "$name" "$3" ends machine "$name" --capture "$2" --smp "$3" \
        "${options[@]}" -- make -s -C selftests run_tests TESTS="$1"
}

for capture in "${captures[@]}"; do
    for smp in "${smps[@]}"; do
        # in one of them QEMU's main loop moves packets, not a thread
        suite "$capture-$smp" "$capture" "$smp" \
            --device-opts "$([[ $capture-$smp != copy-1 ]] || echo ,datapath=main)"
        [[ $capture-$smp != share-2 ]] ||
            suite asan share 2 --qemu "$SNAP_BUILD/qemu/asan/snap-qemu"
    done
done
for test in "${others[@]}"; do
    for capture in "${captures[@]}"; do
        for smp in "${smps[@]}"; do
            alone "$test" "$capture" "$smp"
        done
    done
done
await_all
finish
